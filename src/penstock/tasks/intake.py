"""A new task: checked, priced, held for, and written down in one transaction; then the answer."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import msgspec

from penstock import catalog as catalogue
from penstock.access import Keys
from penstock.canonical.commands import Submit
from penstock.canonical.plan import Channel
from penstock.canonical.task import State, Task, TaskId, queued
from penstock.canonical.usage import Unit
from penstock.canonical.who import TEST, Caller
from penstock.clock import after
from penstock.context import Context
from penstock.errors import (
    CallerError,
    Conflict,
    InvalidField,
    InvalidInput,
    PenstockError,
    QuotaSpent,
    ShuttingDown,
    Stale,
)
from penstock.ids import made_at, new_id
from penstock.ledger import Allowances, Priced
from penstock.store import accounts, files, tasks
from penstock.tasks import costs, inputs, taking, targets
from penstock.tasks.events import Bells
from penstock.tasks.targets import HIDDEN, Target
from penstock.tasks.watcher import Watches

IDEMPOTENCY_S = 86400.0
WAIT_SPARE_S = 0.05
PARTS_MOST, DEEPEST = 20_000, 64


async def submit(ctx: Context, caller: Caller, command: Submit) -> Task:
    """Make the task, or find the one that this idempotency key made. Raises CallerError and its kin; then nothing was
    made and nothing is held."""
    if ctx.closing.is_set():
        raise ShuttingDown(retry_after_s=2.0)
    if command.idempotency_key:
        return await _once(ctx, caller, command)
    return await _make(ctx, caller, command, new_id(), ())


async def quoted(ctx: Context, caller: Caller, command: Submit) -> Priced:
    """What the task would hold and why; nothing is made. Raises what `submit` would, but for want of money."""
    target, _ = await _checked(ctx, caller, command)
    return _priced(ctx, caller, command, target)


async def wait(ctx: Context, task: Task, wait_s: float) -> Task:
    """The task when it has ended, or as it is after so long."""
    until = time.monotonic() + wait_s - WAIT_SPARE_S
    bells = ctx.of(Bells)
    while not task.ended and not ctx.closing.is_set():
        bell = bells.bell(task.id)
        task = await tasks.get(ctx.store, task.id) or task
        left = until - time.monotonic()
        if task.shown in (State.SUCCEEDED, State.FAILED, State.CANCELED) or left <= 0:
            bells.leave(task.id, bell)
            break
        await bells.wait(task.id, bell, left)
    return task


async def _make(ctx: Context, caller: Caller, command: Submit, id: TaskId, extra: tuple[Any, ...]) -> Task:
    target, serving = await _checked(ctx, caller, command)
    ctx.blobs.check_space()
    task = _task(ctx, caller, command, target, id)
    counted = taking.count(ctx, caller, task)
    try:
        gathered = await _gather(ctx, caller, command, target, task, serving)
        if gathered.known:
            input, kept_files = _slim(ctx, command, gathered.known)
            task = msgspec.structs.replace(task, input=input, files=kept_files)
        ctx.faults.reach("intake.before")
    except BaseException:
        counted.undo()
        raise
    ctx.of(Watches).made(task)
    await taking.write(counted, task, *extra, *gathered.steps)
    ctx.faults.reach("intake.committed")
    return task


# ── idempotency ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def _once(ctx: Context, caller: Caller, command: Submit) -> Task:
    """The same key with the same request is the same task; with another one, a conflict. A twin in flight is waited
    for by the store itself: of two inserts one changes nothing, and then finds the other's."""
    route = f"{caller.mode}/{command.dialect}/submit"
    key = (command.idempotency_key or "")[:255]
    body = _fingerprint(command)
    for _ in range(3):
        row = await files.recorded(ctx.store, caller.account, route, key)
        if row is not None and row[2] > after(-IDEMPOTENCY_S):
            if row[0] != body:
                raise Conflict("This Idempotency-Key was used for another request in the last 24 hours.")
            found = await tasks.own(ctx.store, row[1], caller.account, caller.mode)
            if found is not None:
                return found
        if row is not None:
            await ctx.store.write(files.unrecord(caller.account, route, key, row[1]))
        id = new_id()
        try:
            return await _make(ctx, caller, command, id, (files.record(caller.account, route, key, body, id),))
        except Stale:
            continue
    raise Conflict("Another request with this Idempotency-Key is being made right now.")


def _fingerprint(command: Submit) -> str:
    said = (command.model, command.version, command.deployment, command.webhook, command.webhook_events)
    return hashlib.sha256(repr(said).encode() + command.raw_input).hexdigest()


async def _checked(ctx: Context, caller: Caller, command: Submit) -> tuple[Target, list[Channel]]:
    """What is asked for, and the channels that could take it now."""
    _check_size(command.input)
    target = await targets.find(ctx, caller, command)
    _check_input(target, command)
    serving = targets.serving(ctx, caller, target)
    if command.webhook:
        await _check_webhook(ctx, command.webhook)
    return target, serving


# ── what is checked ───────────────────────────────────────────────────────────────────────────────────────────────────


def _check_size(input: Any) -> None:
    """Refuse what takes long to walk over, by looking at no more of it than is allowed, a level at a time."""
    level, parts = [input], 0
    for _ in range(DEEPEST):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict | list):
                parts += len(value)
                if parts > PARTS_MOST:
                    raise _oversized("parts", f"Must have at most {PARTS_MOST} values")
                below += value.values() if isinstance(value, dict) else value
        if not below:
            return
        level = below
    raise _oversized("depth", f"Must be nested at most {DEEPEST} deep")


def _oversized(rule: str, words: str) -> InvalidInput:
    return InvalidInput(fields=(InvalidField("input", rule, words),))


def _check_input(target: Target, command: Submit) -> None:
    if target.known is not None:
        catalogue.check(target.known[1], command.input)


async def _check_webhook(ctx: Context, url: str) -> None:
    """Refuse what may never be called; a name that has no address now may have one later."""
    try:
        await ctx.guard.check(url)
    except CallerError as error:
        raise CallerError(f"webhook: {error}") from None
    except PenstockError:
        return


async def _gather(
    ctx: Context, caller: Caller, command: Submit, target: Target, task: Task, serving: list[Channel]
) -> inputs.Gathered:
    """Nothing is fetched for who could not pay for the task anyway."""
    fetch = caller.mode == TEST or any(inputs.is_nearby(channel) for channel in serving)
    fields = target.known[1].files if target.known else None
    chosen = {k: v for k, v in command.input.items() if fields is None or k in fields}
    if not chosen:
        return inputs.Gathered()
    drawn = ctx.of(Allowances).free(caller.account, caller.mode)
    if await accounts.balance(ctx.store, caller.account, caller.mode) + drawn < task.hold:
        raise QuotaSpent()
    return await inputs.gather(ctx, caller, task.id, chosen, fetch=fetch)


# ── the row ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _priced(ctx: Context, caller: Caller, command: Submit, target: Target) -> Priced:
    """Each of an alias's models may take the task, and reads the input in its own way: the most of all counts."""
    rule = costs.rule_for(ctx, caller, target.model, target.known, command.input, target.asked)
    bounds: dict[Unit, float] = {}
    for version in targets.versions(ctx, target):
        for unit, bound in costs.bounds(rule, version, command.input, _longest_s(ctx, target)).items():
            bounds[unit] = max(bound, bounds.get(unit, 0.0))
    return Priced(target.asked or target.model, rule, costs.held(rule, bounds), bounds)


def _longest_s(ctx: Context, target: Target) -> float:
    return target.known[0].longest_s if target.known else ctx.settings.longest_s


def _task(ctx: Context, caller: Caller, command: Submit, target: Target, id: TaskId) -> Task:
    at = made_at(id)
    priced = _priced(ctx, caller, command, target)
    if caller.mode == TEST and "[[broke]]" in str(command.input.get("prompt", "")):
        raise QuotaSpent()
    return queued(
        at=at,
        id=id,
        name=None,
        dialect=command.dialect,
        account=caller.account,
        key=caller.key,
        mode=caller.mode,
        source=command.source,
        model=target.model,
        version=target.version,
        deployment=target.deployment,
        input=command.raw_input.decode(),
        price=costs.frozen(priced.rule),
        hold=priced.hold,
        webhook=command.webhook,
        webhook_events=",".join(command.webhook_events),
        deadline=after(command.lifetime_s, at) if command.lifetime_s else None,
        longest_s=_longest_s(ctx, target),
        group=caller.group.name,
        asked=target.asked,
    )


def _slim(ctx: Context, command: Submit, known_files: dict[str, str]) -> tuple[str, str | None]:
    """The input as it is kept, long `data:` URLs in it replaced by links to the files that were made of them."""
    text, kept = command.raw_input.decode(), {}
    for said, file in known_files.items():
        link = said
        if said.startswith("data:"):
            link = f"{ctx.settings.public_url}/files/{file}/{ctx.signer.sign('file', file, None)}/input"
            text = text.replace(msgspec.json.encode(said).decode(), msgspec.json.encode(link).decode())
            if link not in text:  # spelt with escapes of its own
                text = msgspec.json.encode(_replaced(command.input, said, link)).decode()
        kept[link] = file
    return text, msgspec.json.encode(kept).decode()


def _replaced(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(part, old, new) for key, part in value.items()}
    if isinstance(value, list):
        return [_replaced(part, old, new) for part in value]
    return new if value == old else value


async def again(ctx: Context, old: Task) -> Task:
    """The same work as a new task, with its own hold at today's price, for the same key."""
    input = msgspec.json.decode(old.input)
    caller = await ctx.of(Keys).by_id(old.key) or Caller(old.key, old.account, "", old.mode)
    version = None if old.version == HIDDEN else old.version
    events = tuple(filter(None, old.webhook_events.split(",")))
    model, raw = old.asked or old.model, old.input.encode()
    command = Submit(old.dialect, input, raw, model, version, webhook=old.webhook, webhook_events=events)
    return await submit(ctx, caller, command)

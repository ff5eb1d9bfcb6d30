"""What operators can do: one table of acts, called by the command line here, through the socket, and by the console."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from penstock import clock, ledger
from penstock.access import Keys
from penstock.calls import converse
from penstock.calls.journal import Journal
from penstock.canonical.plan import Channel
from penstock.canonical.task import State, Task
from penstock.canonical.who import LIVE, TEST, Caller
from penstock.catalog import language
from penstock.catalog.loaded import catalog
from penstock.console import checkup, copying
from penstock.context import Context
from penstock.errors import CallerError, NotFound, PenstockError
from penstock.ledger import Allowances, Prices
from penstock.providers._base import get
from penstock.routing import Channels, Health, Providers
from penstock.store import accounts, calls, files, keys, tasks
from penstock.tasks import ending, events, inputs, intake, learning, retention, webhooks

Act = Callable[..., Awaitable[Any]]
ACTS: dict[str, Act] = {}


def act(name: str) -> Callable[[Act], Act]:
    def bind(function: Act) -> Act:
        ACTS[name] = function
        return function

    return bind


async def do(ctx: Context, name: str, given: dict[str, Any]) -> Any:
    """Do one act. Raises CallerError for one that there is not."""
    if name not in ACTS:
        raise CallerError(f"this gateway can't do {name!r}; is the command newer than the server?")
    return await ACTS[name](ctx, **given)


# ── keys and accounts ─────────────────────────────────────────────────────────────────────────────────────────────────


@act("keys.create")
async def create_key(
    ctx: Context, name: str, mode: str, account: str, rpm: int | None = None, concurrency: int | None = None
) -> dict[str, Any]:
    return await ctx.of(Keys).create(name, mode, account, rpm, concurrency)


@act("keys.list")
async def list_keys(ctx: Context) -> list[dict[str, Any]]:
    names = ("id", "name", "mode", "prefix", "rpm", "concurrency", "created_at", "revoked_at", "account")
    return [_timed(dict(zip(names, row, strict=True))) for row in await keys.every(ctx.store)]


@act("keys.revoke")
async def revoke_key(ctx: Context, key: str) -> None:
    await ctx.of(Keys).revoke(key)


@act("accounts.create")
async def create_account(ctx: Context, name: str) -> dict[str, Any]:
    if await accounts.find(ctx.store, name) is not None:
        raise CallerError(f"there is an account named {name!r} already")
    return {"id": await ctx.of(Keys).open_account(name), "name": name}


@act("accounts.list")
async def list_accounts(ctx: Context) -> list[dict[str, Any]]:
    purses = ctx.of(Allowances)
    amounts = {
        (account, mode): amount + purses.free(account, mode)
        for account, mode, amount in await accounts.amounts(ctx.store)
    }
    return [
        {
            "id": id,
            "name": name,
            "live": amounts.get((id, LIVE), 0),
            "test": amounts.get((id, TEST), 0),
            "created_at": clock.rfc3339(at, 3),
        }
        for id, name, _, at in await accounts.every(ctx.store)
    ]


@act("accounts.topup")
async def topup(ctx: Context, name: str, usd: str, mode: str = LIVE, reason: str = "") -> dict[str, Any]:
    account = await ctx.of(Keys).account(name, make=False)
    await ctx.store.write(*ledger.topup(account, mode, micros(usd), reason))
    balance = await accounts.balance(ctx.store, account, mode) + ctx.of(Allowances).free(account, mode)
    return {"account": name, "mode": mode, "balance": balance}


@act("ledger.check")
async def check_ledger(ctx: Context) -> list[str]:
    return await ledger.check(ctx)


@act("ledger.show")
async def show_ledger(ctx: Context, account: str, mode: str = LIVE, limit: int = 50) -> list[dict[str, Any]]:
    id = await ctx.of(Keys).account(account, make=False)
    rows = await accounts.entries_of(ctx.store, id, mode, limit=limit)
    names = ("id", "account", "mode", "kind", "work", "amount", "detail", "uncovered", "at")
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return [_timed(entry | {"detail": msgspec.json.decode(entry["detail"])}) for entry in found]


@act("tasks.refund")
async def refund(ctx: Context, task: str, usd: str, reason: str) -> dict[str, Any]:
    found = await _task(ctx, task)
    entries = await accounts.entries_of_work(ctx.store, found.id)
    refunded = sum(row[5] for row in entries if row[3] == "refund")
    noted, told = events.append(found, ("note", f"refunded {usd} USD: {reason}"))
    money = ledger.refund(found, micros(usd), refunded, reason)
    await ctx.store.write(tasks.move(found, noted), *told, *money, events.news(ctx, found.id))
    return {"task": found.id, "refunded": refunded + micros(usd)}


# ── prices, models, channels ──────────────────────────────────────────────────────────────────────────────────────────


@act("prices.set")
async def set_price(ctx: Context, model: str, lines: list[dict[str, Any]], source: str = "operator") -> dict[str, Any]:
    rule = await ctx.of(Prices).add(model, lines, source)
    return {"model": model, "lines": msgspec.to_builtins(rule.lines)}


@act("prices.list")
async def list_prices(ctx: Context) -> list[dict[str, Any]]:
    listed = {
        model.path: [{"unit": p.unit, "micros": p.micros, "per": p.per} for p in model.prices]
        for model in catalog(ctx).models()
    } | {known.name: msgspec.to_builtins(known.price) for known in language.every() if known.price}
    own = {model: msgspec.to_builtins(rule.lines) for model, rule in ctx.of(Prices).every().items()}
    return [
        {"model": model, "lines": own.get(model, listed.get(model, [])), "from": "you" if model in own else "catalogue"}
        for model in sorted(listed | own)
    ]


@act("models.list")
async def list_models(ctx: Context, search: str = "") -> list[dict[str, Any]]:
    found = catalog(ctx).search(search) if search else catalog(ctx).models()
    channels = ctx.of(Channels)
    return [
        {
            "model": model.path,
            "kind": model.kind,
            "description": model.description,
            "channels": [channel.name for channel, _ in channels.serving(model.path)],
            "usual_s": model.usual_s,
        }
        for model in found
    ]


@act("channels.add")
async def add_channel(ctx: Context, **given: Any) -> dict[str, Any]:
    channel = await ctx.of(Channels).add(given)
    with suppress(PenstockError):  # a server that is not up yet: its first task, or `channels test`, asks again
        await learning.learn(ctx, channel)
    return _channel(ctx, channel)


@act("calls.list")
async def list_calls(ctx: Context, account: str, mode: str = LIVE, limit: int = 50) -> list[dict[str, Any]]:
    """The request log, newest first. Times are microseconds, `charge` micro-dollars."""
    id = await ctx.of(Keys).account(account, make=False)
    await ctx.of(Journal).flush()
    rows = await calls.page(ctx.store, id, mode, calls.NEWEST, limit)
    found = [dict(zip(calls.COLUMNS, row, strict=True)) for row in rows]
    return [_timed(call | {"units": msgspec.json.decode(call["units"])}) for call in found]


@act("channels.list")
async def list_channels(ctx: Context) -> list[dict[str, Any]]:
    return [_channel(ctx, channel) for channel in ctx.of(Channels).every()]


@act("channels.disable")
async def disable_channel(ctx: Context, name: str, disabled: bool = True) -> None:
    await ctx.of(Channels).disable(name, disabled=disabled)


@act("channels.test")
async def test_channel(ctx: Context, name: str) -> dict[str, Any]:
    """Ask the upstream something that costs nothing: whether it answers, and takes our credential."""
    channel = ctx.of(Channels).named(name)
    if channel is None:
        raise NotFound(f"no channel named {name!r}; see: penstock channels list")
    path = ctx.of(Providers)[channel.provider].probe

    def ask() -> Any:
        return (yield get(path))

    try:
        answer = await converse(ctx, channel, ask())
        await learning.learn(ctx, channel)
    except PenstockError as error:
        said = "; ".join([str(error), *getattr(error, "__notes__", ())])
        return {"channel": name, "works": False, "reason": f"{error.code}: {said}"}
    ctx.of(Health).worked(channel)
    return {"channel": name, "works": True, "answer": str(answer)[:200]}


def _channel(ctx: Context, channel: Channel) -> dict[str, Any]:
    shown = {
        "id": channel.id,
        "name": channel.name,
        "provider": channel.provider,
        "base_url": channel.base_url,
        "models": channel.models,
        "priority": channel.priority,
        "weight": channel.weight,
        "concurrency": channel.concurrency,
        "options": {name: value for name, value in channel.options.items() if name != learning.REMEMBERED},
        "disabled": channel.disabled,
        "cooling_s": round(ctx.of(Health).cooling_s(channel), 1),
    }
    if channel.provider == "cog":
        shown["upload_url"] = f"{inputs.callback_base(ctx, channel)}/internal/cog/{channel.secret}/"
    return shown


# ── tasks ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@act("tasks.list")
async def list_tasks(ctx: Context, state: str = "", model: str = "", limit: int = 50) -> list[dict[str, Any]]:
    return [_brief(task) for task in await tasks.page(ctx.store, None, "", state=state, model=model, limit=limit)]


@act("tasks.show")
async def show_task(ctx: Context, task: str) -> dict[str, Any]:
    found = await _task(ctx, task)
    entries = [
        (row[3], row[5], msgspec.json.decode(row[6])) for row in await accounts.entries_of_work(ctx.store, found.id)
    ]
    hooks = [(row[2], row[4], row[5], row[8]) for row in await files.messages_of(ctx.store, found.id)]
    happened = await tasks.events_after(ctx.store, found.id, -1)
    return _brief(found) | {
        "input": msgspec.json.decode(found.input),
        "output": msgspec.json.decode(found.output or "null"),
        "logs": found.logs,
        "attempt": found.attempt,
        "channel": found.channel,
        "ref": found.ref,
        "entries": [{"kind": kind, "amount": amount, "detail": detail} for kind, amount, detail in entries],
        "webhooks": [{"event": e, "state": s, "attempts": n, "status": status} for e, s, n, status in hooks],
        "events": [{"at": clock.rfc3339(e.at, 3), "kind": e.kind, "data": e.data} for e in happened],
    }


@act("tasks.cancel")
async def cancel_task(ctx: Context, task: str) -> dict[str, Any]:
    found = await _task(ctx, task)
    owner = Caller(found.key, found.account, "", found.mode)
    return _brief(await ending.cancel(ctx, owner, found.id))


@act("tasks.retry")
async def retry_task(ctx: Context, task: str) -> dict[str, Any]:
    """A new task with its own hold, from an ended one whose input is still there."""
    found = await _task(ctx, task)
    if not found.ended or found.data_removed:
        raise CallerError("only an ended task whose input was not removed yet can be made again")
    return _brief(await intake.again(ctx, found))


@act("tasks.redeliver")
async def redeliver(ctx: Context, task: str) -> None:
    await webhooks.redeliver(ctx, (await _task(ctx, task)).id)


async def _task(ctx: Context, id: str) -> Task:
    found = await tasks.get(ctx.store, id)
    if found is None:
        raise NotFound(f"no task {id!r}")
    return found


def _brief(task: Task) -> dict[str, Any]:
    return {
        "id": task.id,
        "state": task.state,
        "model": task.model,
        "mode": task.mode,
        "dialect": task.dialect,
        "hold": task.hold,
        "charge": task.charge,
        "error": task.error if task.state is State.FAILED else None,
        "error_code": task.error_code if task.state is State.FAILED else None,
        "created_at": clock.rfc3339(task.created_at, 3),
        "completed_at": clock.rfc3339(task.completed_at, 3) if task.completed_at else None,
    }


# ── the house ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@act("files.prune")
async def prune(ctx: Context) -> dict[str, int]:
    return await retention.prune(ctx)


@act("backup")
async def backup(ctx: Context, to: str) -> dict[str, Any]:
    return await copying.backup(ctx, to)


@act("doctor")
async def doctor(ctx: Context) -> list[dict[str, Any]]:
    return await checkup.doctor(ctx)


def micros(usd: str) -> int:
    """An amount of dollars as whole micro-dollars. Raises CallerError."""
    try:
        amount = Decimal(usd) * 1_000_000
    except InvalidOperation:
        raise CallerError(f"{usd!r} is not an amount of dollars") from None
    if not amount.is_finite() or amount != amount.to_integral_value() or abs(amount) > 10**15:
        raise CallerError(f"{usd!r} is not an amount of dollars: at most six decimals, at most a billion")
    return int(amount)


def _timed(row: dict[str, Any]) -> dict[str, Any]:
    return {k: clock.rfc3339(v, 3) if (k == "at" or k.endswith("_at")) and v else v for k, v in row.items()}

"""A task that runs a call: its answer is made while nobody waits, and its events are kept as they come.

The call runs beside the worker's steps, which take it up and cut it off. What a process that died left behind was sent
and can't be asked for: it has failed, and costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from penstock.access import Keys
from penstock.calls.carrying import Carried
from penstock.calls.pricing import quoted
from penstock.calls.sizes import measure
from penstock.canonical.commands import Call, Respond
from penstock.canonical.task import Report, State, Task, TaskId, queued
from penstock.canonical.who import Caller
from penstock.clock import SECOND, after, now
from penstock.context import Context
from penstock.errors import (
    FateUnknown,
    GatewayError,
    PenstockError,
    ShuttingDown,
    Stale,
    UpstreamError,
    UpstreamTimeout,
)
from penstock.formats._base import Asked, with_fields
from penstock.formats._installed import formats
from penstock.formats.openai_responses import echoed, retelling
from penstock.ids import made_at, new_id
from penstock.ledger import Charge, Rule
from penstock.log import logger
from penstock.routing import Health
from penstock.store import Step, responses, tasks
from penstock.store.responses import Stored
from penstock.tasks import costs, ending, events, taking
from penstock.tasks.alarm import Retry
from penstock.tasks.watcher import CALL

replace = msgspec.structs.replace
FRAME = "frame"
"""The kind of events that hold a portion of the answer's stream: `{"events": [...]}`."""
STARTED = ("state", "channel", "upstream_model", "ref", "started_at", "moved_at", "seq")
Said = tuple[tuple[str, Any], ...]


class Frame(msgspec.Struct):
    events: list[msgspec.Raw]


# ── taking it in, and telling of it ───────────────────────────────────────────────────────────────────────────────────


async def submit(ctx: Context, caller: Caller, command: Respond, items: list[Any]) -> Stored:
    """The response as it begins. Row, hold, task, and alarm are one transaction."""
    if ctx.closing.is_set():
        raise ShuttingDown(retry_after_s=2.0)
    call = command.call
    priced, id = quoted(ctx, caller, call), new_id()
    stored = _stored(ctx, caller, command, items, id)
    task = _task(ctx, caller, call, id, costs.frozen(priced.rule), priced.hold)
    task, said = events.append(task, _frame(retelling.opening(stored.response.encode())))
    counted = taking.count(ctx, caller, task, measure(call.body).guessed_tokens + (call.most_tokens or 0))
    await taking.write(counted, task, responses.insert(stored), *said)
    ctx.faults.reach("intake.committed")
    return stored


async def follow(ctx: Context, task: TaskId, after: int) -> AsyncIterator[bytes]:
    """The events of the answer's stream with a greater number, as they come, until its end."""
    async for event in events.follow(ctx, task, -1):
        if event is not None and event.kind == FRAME:
            portion = msgspec.json.decode(event.data, type=Frame).events
            yield b"".join(retelling.event(bytes(data)) for data in portion if retelling.number_of(bytes(data)) > after)


def _stored(ctx: Context, caller: Caller, command: Respond, items: list[Any], id: TaskId) -> Stored:
    at = made_at(id)
    asked = Asked(command.call.model, id, at // SECOND, options=command.call.options)
    return Stored(
        id=f"resp_{id}",
        account=caller.account,
        mode=caller.mode,
        key=caller.key,
        model=command.call.model,
        status="queued",
        task=id,
        input=msgspec.json.encode(items).decode(),
        response=retelling.queued(asked).decode(),
        created_at=at,
        expires_at=after(ctx.settings.retention_s, at),
    )


def _task(ctx: Context, caller: Caller, call: Call, id: TaskId, price: str, amount: int) -> Task:
    at = made_at(id)
    return queued(
        at=at,
        id=id,
        name=f"resp_{id}",
        dialect=call.dialect,
        account=caller.account,
        key=caller.key,
        mode=caller.mode,
        source="api",
        model=call.model,
        version=CALL,
        deployment=None,
        input=call.body.decode(),
        price=price,
        hold=amount,
        webhook=None,
        webhook_events="",
        deadline=None,
        longest_s=ctx.settings.longest_s,
        group=caller.group.name,
    )


def _frame(told: Sequence[bytes]) -> tuple[str, str]:
    return FRAME, (b'{"events":[' + b",".join(told) + b"]}").decode()


# ── running it ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Running:
    """The calls that this process makes for tasks."""

    def __init__(self, ctx: Context) -> None:
        self._runs: dict[TaskId, tuple[Run, asyncio.Task[None]]] = {}

    def __contains__(self, task: TaskId) -> bool:
        return task in self._runs

    def begin(self, run: Run) -> None:
        working = asyncio.create_task(run.work())
        self._runs[run.task.id] = run, working
        working.add_done_callback(lambda _: self._runs.pop(run.task.id, None))

    def cut(self, task: TaskId) -> None:
        """Its caller wants no more of it."""
        run, working = self._runs[task]
        if not run.cut:
            run.cut = True
            working.cancel()

    async def stop(self, patience_s: float) -> None:
        """Let what runs finish for so long, then leave it as it is."""
        working = [working for _, working in self._runs.values()]
        if working:
            _, late = await asyncio.wait(working, timeout=patience_s)
            for each in late:
                each.cancel()
            if late:
                await asyncio.wait(late, timeout=1.0)


class Run:
    """One call of a task, from its first byte to the end of the task."""

    def __init__(self, ctx: Context, task: Task, stored: Stored) -> None:
        self.task = task
        self.cut = False
        self._ctx, self._stored = ctx, stored
        self._rule = msgspec.json.decode(task.price, type=Rule)
        own: dict[str, Any] = {"id": stored.id, "background": True}
        said = msgspec.json.decode(stored.response, type=dict[str, msgspec.Raw])
        own["previous_response_id"] = said["previous_response_id"]
        self._told = retelling.Retelling(own, number=2)
        self._told.response = stored.response.encode()
        self._carried: Carried | None = None

    async def work(self) -> None:
        try:
            async with asyncio.timeout(self.task.longest_s):
                last = await self._answer()
            await self._succeeded(last)
        except asyncio.CancelledError:
            if not self.cut:
                raise  # the gateway ends
            await self._stopped()
        except TimeoutError:
            await self._failed(UpstreamTimeout(f"The answer took more than {self.task.longest_s:.0f} s."))
        except PenstockError as error:
            await self._failed(error)
        except Exception:  # noqa: BLE001  a bug in one answer must end its task
            logger("worker").exception("call failed", task=self.task.id)
            await self._failed(GatewayError())

    async def _answer(self) -> list[bytes]:
        """Tell what comes as it comes; the last events, which are told once they are paid for."""
        task, ctx = self.task, self._ctx
        call = _call(task, self._stored)
        caller = await ctx.of(Keys).by_id(task.key) or Caller(task.key, task.account, "", task.mode)
        self._carried = Carried(ctx, caller, call, task.id, task.created_at // SECOND)
        pieces = self._carried.pieces()
        last: list[bytes] = []
        try:
            async for piece in pieces:
                told = self._told.again(piece)
                if self._told.ended:
                    last += told
                elif told:
                    await self._tell(told)
        finally:
            await pieces.aclose()  # type: ignore[attr-defined]
        if not self._told.ended:
            raise UpstreamError("The upstream's answer broke off.")
        return last

    async def _tell(self, told: list[bytes]) -> None:
        """Write a portion down. The first one says that it runs, and where."""
        for _ in range(20):
            moved, said = events.append(self.task, _frame(told))
            also: tuple[Step, ...] = ()
            columns: tuple[str, ...] = ("seq",)
            if self.task.state is State.SUBMITTING and self._carried is not None:
                moved, columns = _started(moved, self._carried), STARTED
                response = with_fields(self._stored.response.encode(), status="in_progress")
                placed = Step(None, {}, after=self._take_place)
                also = (responses.change(self._stored.id, "in_progress", response), placed)
            news = events.news(self._ctx, self.task.id)
            try:
                await self._ctx.store.write(tasks.move(self.task, moved, *columns), *said, *also, news)
            except Stale:
                await self._read_again()
                if self.task.ended:
                    raise GatewayError("The task has ended already.") from None
                continue
            self._ctx.faults.reach("progress.committed")
            self.task = moved
            return
        raise Stale()

    def _take_place(self) -> None:
        """The task's own, in place of its call's."""
        work = self._carried.work if self._carried else None
        if work is not None and work.deployment is not None:
            self._ctx.of(Health).take(work.deployment.channel, self.task.id)
            work.free_place()

    async def _read_again(self) -> None:
        """Somebody else wrote to the task: its caller, who cancels."""
        found = await tasks.get(self._ctx.store, self.task.id)
        if found is None:
            raise GatewayError("The task is gone.")
        self.task = found

    # its ends

    async def _succeeded(self, last: list[bytes]) -> None:
        response = self._told.response or b"{}"
        said = retelling.status_of(response)
        charge = self._carried.charge(self._rule, self.task.hold, whole=True) if self._carried else None
        text = "".join(part.get("text", "") for item in said.output for part in _texts(item))
        await self._end(State.SUCCEEDED, response, (_frame(last),), charge=charge, output=msgspec.json.encode(text))

    async def _failed(self, error: PenstockError) -> None:
        last = self._told.failed(error)
        if self._carried is not None:
            await self._carried.note(error.code)
        await self._end(State.FAILED, self._told.response or b"{}", (_frame([last]),), error=error)

    async def _stopped(self) -> None:
        charge = None
        if self._carried is not None:
            charge = self._carried.charge(self._rule, self.task.hold, whole=False)
            await self._carried.note("left")
        await self._end(State.CANCELED, retelling.cancelled(self._told.response or b"{}"), (), charge=charge)

    async def _end(
        self,
        state: State,
        response: bytes,
        said: Said,
        *,
        charge: Charge | None = None,
        output: bytes | None = None,
        error: PenstockError | None = None,
    ) -> None:
        status = retelling.status_of(response).status
        also = (responses.change(self._stored.id, status, response),)
        for _ in range(20):
            try:
                self.task = await _leaving(self._ctx, self.task, state)
                ended = replace(self.task, output=output.decode()) if output else self.task
                report = Report(state) if charge else None
                words, code = (str(error), error.code) if error else ("", "")
                await ending.end(
                    self._ctx, ended, state, report, error=words, code=code, charge=charge, said=said, also=also
                )
            except Stale:
                await self._read_again()
                if self.task.ended:
                    return
                continue
            return


def _call(task: Task, stored: Stored) -> Call:
    """The call as it was asked, for a stream whatever the caller wanted."""
    body = task.input.encode()
    seen = formats()["openai_responses"].peek(body)
    options = {"request": echoed(stored.response.encode())}
    return Call(task.dialect, "openai_responses", body, task.model, True, seen.most_tokens, options=options)


def _started(task: Task, carried: Carried) -> Task:
    at, deployment = now(), carried.work.deployment
    known = {"channel": deployment.channel.id, "upstream_model": deployment.upstream_model} if deployment else {}
    return replace(task, state=State.RUNNING, ref=task.id, started_at=at, moved_at=at, **known)


def _texts(item: dict[str, Any]) -> list[dict[str, Any]]:
    content = item.get("content") if item.get("type") == "message" else None
    return [part for part in content or () if isinstance(part, dict) and isinstance(part.get("text"), str)]


async def _leaving(ctx: Context, task: Task, state: State) -> Task:
    """A task that was being sent is on its way to its cancel, or to its success, by one move more."""
    if task.state is State.SUBMITTING and state is State.CANCELED:
        moved = replace(task, state=State.CANCELING, moved_at=now())
        await ctx.store.write(tasks.move(task, moved))
        return moved
    return task


# ── the worker's steps ────────────────────────────────────────────────────────────────────────────────────────────────


async def begin(ctx: Context, task: Task) -> None:
    """queued → submitting: write down that it is about to leave, and let it run."""
    stored = await responses.get(ctx.store, task.name or "")
    at = now()
    if stored is None or task.canceled_at is not None:
        return await _given_up(ctx, replace(task, canceled_at=task.canceled_at or at), stored)
    intent = replace(task, state=State.SUBMITTING, submitted_at=at, moved_at=at)
    await ctx.store.write(tasks.move(task, intent, "state", "submitted_at", "moved_at"))
    ctx.faults.reach("submit.intent")
    ctx.of(Running).begin(Run(ctx, intent, stored))


async def go_on(ctx: Context, task: Task) -> None:
    """submitting, running, canceling: it runs in this process, or it is lost."""
    running = ctx.of(Running)
    if task.id in running:
        if task.canceled_at is not None:
            running.cut(task.id)
            raise Retry(1.0)
        return
    current = await tasks.get(ctx.store, task.id)
    if current is None or current.ended or current.state is not task.state:
        raise Retry(0.0)
    await _lost(ctx, current)


async def _lost(ctx: Context, task: Task) -> None:
    """A process that died had sent it."""
    stored = await responses.get(ctx.store, task.name or "")
    if task.canceled_at is not None:
        return await _given_up(ctx, task, stored)
    error = FateUnknown("The gateway was interrupted while it made this response, so it was given up.")
    told = retelling.Retelling(number=await _told(ctx, task.id))
    told.response = stored.response.encode() if stored else None
    last = told.failed(error)
    also = (responses.change(task.name or "", "failed", told.response or b"{}"),)
    said = (_frame([last]),)
    await ending.end(ctx, task, State.FAILED, error=str(error), code=error.code, said=said, also=also)


async def _given_up(ctx: Context, task: Task, stored: Stored | None) -> None:
    """Its caller cancelled it, and it does not run."""
    gone = retelling.cancelled(stored.response.encode() if stored else b"{}")
    also = (responses.change(task.name or "", "cancelled", gone),)
    await ending.end(ctx, await _leaving(ctx, task, State.CANCELED), State.CANCELED, also=also)


async def _told(ctx: Context, task: TaskId) -> int:
    """The number of the event that comes next."""
    seen, number = -1, 0
    while found := await tasks.events_after(ctx.store, task, seen):
        seen = found[-1].seq
        for event in found:
            if event.kind == FRAME:
                portion = msgspec.json.decode(event.data, type=Frame).events
                number = max([number, *(retelling.number_of(bytes(data)) + 1 for data in portion)])
    return number


STEPS = {
    State.QUEUED: begin,
    State.SUBMITTING: go_on,
    State.RUNNING: go_on,
    State.CANCELING: go_on,
}

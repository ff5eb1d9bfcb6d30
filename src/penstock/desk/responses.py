"""Commands about responses: calls whose answers are kept, gone on from, and made in the background."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import msgspec

from penstock.calls import relay
from penstock.canonical.commands import CancelResponse, FollowResponse, List, Respond
from penstock.canonical.results import Answered
from penstock.canonical.task import Page
from penstock.canonical.who import Caller
from penstock.clock import after, now
from penstock.context import Context
from penstock.errors import CallerError, InvalidField, InvalidInput, NotFound, PenstockError
from penstock.formats._base import with_fields
from penstock.formats._installed import formats
from penstock.formats.openai_responses import retelling
from penstock.store import responses, tasks
from penstock.store.responses import Stored
from penstock.tasks import calling, ending, events, intake

CANCEL_PATIENCE_S = 5.0


async def respond(ctx: Context, caller: Caller, command: Respond) -> Answered:
    """Raises InvalidInput where there is no such earlier response."""
    command, items = await whole(ctx, caller, command)
    if command.background:
        return await _in_background(ctx, caller, command, items)
    answered = await relay.answer(ctx, caller, command.call)
    keeper = Keeper(ctx, caller, command, items)
    if answered.stream is not None:
        return replace(answered, stream=Kept(answered.stream, keeper))
    return replace(answered, body=await keeper.whole(answered.body))


async def whole(ctx: Context, caller: Caller, command: Respond) -> tuple[Respond, list[Any]]:
    """The command with all that was said before in its body, and all input items. Raises InvalidInput."""
    items, body = await _whole_input(ctx, caller, command)
    if command.background and not command.store:
        raise InvalidInput("store: a response in the background has to be stored", (_field("store"),))
    return replace(command, call=replace(command.call, body=body)), items


async def show(ctx: Context, caller: Caller, id: str) -> Answered:
    return Answered((await _own(ctx, caller, id)).response.encode())


async def input_items(ctx: Context, caller: Caller, command: List) -> Page:
    stored = await _own(ctx, caller, command.name or "")
    items = retelling.listed(msgspec.json.decode(stored.input), stored.id)
    if command.filters.get("order") != "asc":
        items.reverse()
    if command.cursor:
        places = [place for place, item in enumerate(items) if item["id"] == command.cursor]
        if not places:
            raise InvalidInput("after: this response has no such item", (_field("after"),))
        items = items[places[0] + 1 :]
    more = len(items) > command.limit
    return Page(items[: command.limit], next=items[command.limit - 1]["id"] if more else None)


async def remove(ctx: Context, caller: Caller, id: str) -> None:
    """One that is still being made is cancelled; what its task kept of it goes as well."""
    stored = await _own(ctx, caller, id)
    if stored.task is None:
        await ctx.store.write(responses.remove(id, caller.account))
        return
    await cancel(ctx, caller, CancelResponse(id))
    task = await tasks.get(ctx.store, stored.task)
    data = tasks.clear(stored.task) if task is not None and task.ended else ()
    await ctx.store.write(responses.remove(id, caller.account), *data, events.news(ctx, stored.task))


async def cancel(ctx: Context, caller: Caller, command: CancelResponse) -> Answered:
    """As it is once it has stopped; one that ended before is shown as it is."""
    stored = await _own(ctx, caller, command.response)
    if stored.task is None:
        raise CallerError("Only responses that were created with background=true can be cancelled.")
    task = await ending.cancel(ctx, caller, stored.task)
    await intake.wait(ctx, task, CANCEL_PATIENCE_S)
    return await show(ctx, caller, command.response)


async def follow(ctx: Context, caller: Caller, command: FollowResponse) -> Answered:
    stored = await _own(ctx, caller, command.response)
    if stored.task is None:
        raise CallerError("Only responses that were created with background=true can be streamed again.")
    return _followed(ctx, stored.task, command.after)


async def _in_background(ctx: Context, caller: Caller, command: Respond, items: list[Any]) -> Answered:
    stored = await calling.submit(ctx, caller, command, items)
    if command.call.stream:
        return _followed(ctx, stored.task or "", -1)
    return Answered(stored.response.encode())


def _followed(ctx: Context, task: str, after: int) -> Answered:
    format = formats()["openai_responses"]
    return Answered(stream=calling.follow(ctx, task, after), content_type=format.content_type, beat=format.beat)


async def _own(ctx: Context, caller: Caller, id: str) -> Stored:
    stored = await responses.own(ctx.store, id, caller.account, caller.mode)
    if stored is None:
        raise NotFound(f"Response with id '{id[:100]}' not found.")
    return stored


async def _whole_input(ctx: Context, caller: Caller, command: Respond) -> tuple[list[Any], bytes]:
    """All input items, those of earlier turns first, and the body that says so; what only we understand is left out of
    it."""
    items = retelling.input_of(command.call.body) if command.store or command.previous else []
    ours: dict[str, Any] = {"background": None} if command.background else {}
    if command.previous is not None:
        items = [*await _earlier(ctx, caller, command.previous), *items]
        ours |= {"previous_response_id": None, "input": items}
    return items, with_fields(command.call.body, **ours) if ours else command.call.body


async def _earlier(ctx: Context, caller: Caller, id: str) -> list[Any]:
    """What was said up to and with this response."""
    stored = await responses.own(ctx.store, id, caller.account, caller.mode)
    if stored is None:
        raise InvalidInput(f"Previous response with id '{id[:100]}' not found.", (_field("previous_response_id"),))
    if stored.status in ("queued", "in_progress"):
        words = f"Previous response with id '{id[:100]}' is not finished yet."
        raise InvalidInput(words, (_field("previous_response_id"),))
    output = retelling.status_of(stored.response.encode()).output
    return [*msgspec.json.decode(stored.input), *retelling.replayed(output)]


def _field(name: str) -> InvalidField:
    return InvalidField(name, "value", "")


class Keeper:
    """Keeps an answer as it is told; it says itself which one it goes on from, since the vendor was not told."""

    def __init__(self, ctx: Context, caller: Caller, command: Respond, items: list[Any]) -> None:
        self._ctx, self._caller, self._command, self._items = ctx, caller, command, items
        self.own = {"previous_response_id": command.previous} if command.previous else {}

    async def whole(self, body: bytes) -> bytes:
        """The body as it is told. It is kept before it is told; what is no response is not."""
        if self._command.call.format != "openai_responses":
            return body
        told = with_fields(body, **self.own) if self.own else body
        await self.keep(told)
        return told

    async def keep(self, response: bytes) -> None:
        said = retelling.status_of(response)
        if not self._command.store or not said.id:
            return
        at, caller = now(), self._caller
        stored = Stored(
            id=said.id,
            account=caller.account,
            mode=caller.mode,
            key=caller.key,
            model=self._command.call.model,
            status=said.status,
            task=None,
            input=msgspec.json.encode(self._items).decode(),
            response=response.decode(),
            created_at=at,
            expires_at=after(self._ctx.settings.retention_s, at),
        )
        await self._ctx.store.write(responses.insert(stored))


class Kept:
    """A stream whose end is on disk before its reader sees it. What breaks it on the way is told as a failed response,
    if it had begun."""

    def __init__(self, stream: AsyncIterator[bytes], keeper: Keeper) -> None:
        self._stream = stream
        self._keeper = keeper
        self._heard = retelling.Retelling(keeper.own)
        self._failed = False

    def __aiter__(self) -> Kept:
        return self

    async def __anext__(self) -> bytes:
        if self._failed:
            raise StopAsyncIteration
        try:
            piece = self._heard.heard(await anext(self._stream))
        except PenstockError as error:
            if self._heard.response is None or self._heard.ended:
                raise
            self._failed = True
            piece = retelling.event(self._heard.failed(error))
        if self._heard.ended and self._heard.response is not None:
            await self._keeper.keep(self._heard.response)
            self._heard.response = None
        return piece

    async def aclose(self) -> None:
        await self._stream.aclose()  # type: ignore[attr-defined]

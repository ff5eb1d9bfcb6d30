"""Drives a provider's talk: sends each request it yields, gives it the decoded reply, returns its result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from penstock import __version__
from penstock.canonical.plan import Channel
from penstock.context import Context
from penstock.errors import (
    CallerError,
    ChannelRejected,
    FateUnknown,
    PenstockError,
    UpstreamError,
    UpstreamUnreachable,
)
from penstock.log import logger
from penstock.providers._base import Ask, Talk
from penstock.routing import Providers
from penstock.wire.http import Request

T = TypeVar("T")
MAX_REPLY = 64 << 20
AGENT = f"penstock/{__version__}"


async def converse(ctx: Context, channel: Channel, talk: Talk[T], *, creates: bool = False) -> T:
    """Have the whole conversation. `creates`: what it asks, other than to read, may make something, so a reply that is
    lost after it was sent raises FateUnknown. Other errors are what the provider's refusals say."""
    sent = False
    try:
        ask = next(talk)
        while True:
            made = creates and ask.method != "GET"
            answer = await _answer(ctx, channel, ask, creates=made)
            sent = sent or made
            try:
                ask = talk.send(answer)
            except (LookupError, TypeError, AttributeError, ValueError) as error:
                words = "The upstream's answer is not of the shape that its API promises."
                raise (FateUnknown(words) if sent else UpstreamError(words)) from error
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]


async def _answer(ctx: Context, channel: Channel, ask: Ask, *, creates: bool) -> Any:
    providers = ctx.of(Providers)
    provider = providers[channel.provider]
    transport = providers.transport(channel.provider)
    headers: Mapping[str, str]
    if transport is not None:
        status, headers, body = await transport.answer(ask)
    else:
        sent = {"user-agent": AGENT, **provider.auth.headers(channel.credential), **ask.headers}
        timeout_s = ask.timeout_s or ctx.settings.upstream_timeout_s
        request = Request(ask.method, _url(channel, ask.path), sent, ask.body, timeout_s)
        try:
            reply = await ctx.http.send(request, limit=MAX_REPLY)
        except UpstreamUnreachable:
            raise
        except UpstreamError as error:
            raise FateUnknown() if creates else error from None
        status, headers, body = reply.status, reply.headers, reply.body
    if 300 <= status < 400:
        raise UpstreamError("The upstream points elsewhere: is the channel's base URL right?")
    if status >= 400:
        retry_after_s = seconds(headers.get("retry-after"))
        raise discreet(provider.refusal(status, _decoded(body), retry_after_s, creates=creates), channel)
    if not body:
        return None
    decoded = _decoded(body)
    if decoded is None:
        raise FateUnknown() if creates else UpstreamError("the upstream's answer is not JSON")
    return decoded


def discreet(error: PenstockError, channel: Channel) -> PenstockError:
    """The error as callers may see it: what a vendor says of the operator's own account is for the log (and a note),
    and neither our credential nor the vendor's address is anybody's to see."""
    said = str(error)
    for secret, instead in ((channel.credential, "[hidden]"), (urlsplit(channel.base_url).netloc, "the upstream")):
        if secret:
            said = said.replace(secret, instead)
    if isinstance(error, ChannelRejected):
        logger("calls").warning("channel rejected", channel=channel.name, said=said)
        error.args = type(error)().args
        error.add_note(said)
    elif said != str(error):
        error.args = (said,)
    return error


def _url(channel: Channel, path: str) -> str:
    """Below the channel's base URL; a whole URL only on that same origin, so no credential goes elsewhere."""
    if not path.startswith(("http://", "https://")):
        return channel.base_url + path
    if urlsplit(path)[:2] != urlsplit(channel.base_url)[:2]:
        raise CallerError("the upstream pointed to another host")
    return path


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def seconds(retry_after: str | None) -> float | None:
    """A Retry-After header in seconds; its date form is not used by any vendor we know, and is ignored."""
    try:
        return min(max(float(retry_after or ""), 0.0), 3600.0)
    except ValueError:
        return None

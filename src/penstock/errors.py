"""The one exception tree: what went wrong, as a class and as fields.

A provider's `refusals` turn a vendor's answer into it, a dialect's `errors` turn it into the client's words; nobody in
between builds an error body. The nearest ancestor wins, so a new error needs no edit elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock.clock import Nanos, rfc3339

MOST_WORDS = 4000
"""Characters of a message: some quote what a client sent."""


class PenstockError(Exception):
    """Anything that we say no with.

    `status` is the HTTP status that fits, `code` a stable word for programs, `tries_next` whether another deployment
    may be tried; the message is for people and never holds a credential, an internal URL, or a vendor's raw page.
    `advice` says what the caller should do next, `retry` whether the same request may be sent again as it is.
    """

    status = 500
    code = "internal_error"
    tries_next = False
    advice = "Tell your operator the id of the request."
    retry = True

    def __init__(self, message: str = "", *, retry_after_s: float | None = None) -> None:
        super().__init__((message or (type(self).__doc__ or self.code).partition("\n")[0])[:MOST_WORDS])
        self.retry_after_s = retry_after_s
        self.request_id = ""  # of the request that it answers, once that is known


# ── the caller's: elsewhere it would fail alike ───────────────────────────────────────────────────────────────────────


class CallerError(PenstockError):
    """The request can't be served as it is."""

    status = 400
    code = "bad_request"
    advice = "Correct the request as the message says."
    retry = False


class Unauthenticated(CallerError):
    """You did not pass a valid authentication token"""

    status = 401
    code = "unauthenticated"
    advice = "Check that the key is whole, is sent where this API expects it, and was not revoked."


class KeyExpired(Unauthenticated):
    """This key has expired."""

    code = "key_expired"
    advice = "Ask your operator for a new key, or for a later date."


class QuotaSpent(CallerError):
    """You have insufficient credit to run this model. Ask your operator to top up the account."""

    status = 402
    code = "insufficient_credit"
    advice = "Top up the account, or ask for less: a smaller `max_tokens` holds less."


class QuotaReached(QuotaSpent):
    """This key's quota is used up."""

    code = "key_quota_reached"
    advice = "Wait until the period begins anew, or ask your operator for a larger quota."

    def __init__(self, period: str = "total", anew_at: Nanos | None = None, left: int = 0, hold: int = 0) -> None:
        """`period`: `day`, `month`, or `total`, which never begins anew. `left` and `hold` are micro-dollars: what may
        still be spent, and what this could come to."""
        whose = "This key's quota" if period == "total" else f"This key's quota for this {period}"
        words = f"{whose} is used up."
        if left > 0:
            words = f"{whose} has {_usd(left)} USD left, and this could cost up to {_usd(hold)} USD: ask for less."
        super().__init__(words + (f" It begins anew at {rfc3339(anew_at)}." if anew_at is not None else ""))
        self.period, self.anew_at = period, anew_at


def _usd(micros: int) -> str:
    return f"{micros // 1_000_000:,}.{micros % 1_000_000:06d}".rstrip("0").rstrip(".")


class Forbidden(CallerError):
    """This key may not do that."""

    status = 403
    code = "forbidden"
    advice = "Use a key that may, or ask your operator."


class ModelForbidden(Forbidden):
    """This key may not use a model of that name.

    To be raised before the model is looked up, so that it says nothing of which models there are.
    """

    code = "model_not_allowed"
    advice = "Use a model that this key's list of models shows, or ask your operator to allow this one."


class AddressForbidden(Forbidden):
    """This key may not be used from this address."""

    code = "address_not_allowed"
    advice = "Send it from an address that the key allows, or ask your operator to allow yours."


class ScopeMissing(Forbidden):
    """This key lacks the scope that this takes."""

    code = "scope_missing"
    advice = "Use a key that has the scope, or ask your operator for one."


class NotFound(CallerError):
    """The requested resource could not be found."""

    status = 404
    code = "not_found"
    advice = "Check the path and the id; what belongs to another account is not found either."


class MethodNotAllowed(CallerError):
    """This path does not take that method."""

    status = 405
    code = "method_not_allowed"
    advice = "Use a method that the message names."


class Conflict(CallerError):
    """The request conflicts with an earlier one."""

    status = 409
    code = "conflict"
    advice = "Read what is there now, then change the request, or give it a new Idempotency-Key."
    retry = False  # unlike 409 elsewhere: it would meet the same conflict


class TooLarge(CallerError):
    """The request body is too large."""

    status = 413
    code = "too_large"
    advice = "Send less, or give files by URL."


class RangeNotSatisfiable(CallerError):
    """The requested range is outside of the file."""

    status = 416
    code = "range_not_satisfiable"
    advice = "Ask for a range within the file's size."

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size


@dataclass(frozen=True, slots=True)
class InvalidField:
    """One broken rule: where (`input.steps`; `""` is the body's root), which rule (`number_lte`), and in words."""

    path: str
    rule: str
    words: str


class InvalidInput(CallerError):
    """The input breaks the model's schema."""

    status = 422
    code = "invalid_input"
    advice = "Correct the fields that the message names."

    def __init__(self, message: str = "", fields: tuple[InvalidField, ...] = ()) -> None:
        super().__init__(message or "".join(f"- {f.path}: {f.words}\n" if f.path else f"- {f.words}\n" for f in fields))
        self.fields = fields


class UnknownVersion(InvalidInput):
    """The specified version does not exist (or perhaps you don't have permission to use it?)"""

    code = "unknown_version"
    advice = "Use the id of a version that the model's list of versions shows."

    def __init__(self, message: str = "") -> None:
        super().__init__(message or type(self).__doc__ or "")


class Unpriced(CallerError):
    """This model has no price, so live keys can't use it. Ask your operator to set one."""

    status = 403
    code = "unpriced"
    advice = "Use another model until your operator has set a price."


class Unsupported(CallerError):
    """The model behind this request can't do what was asked."""

    code = "unsupported"
    advice = "Leave out what the message names, or use another model."


class ContextTooLong(CallerError):
    """The request does not fit into the model's context."""

    code = "context_length_exceeded"
    advice = "Shorten the request, or use a model with a larger context."


class UnknownModel(NotFound):
    """There is no such model here, or this key may not use it."""

    code = "model_not_found"
    advice = "Check the name against the list of models."


class ContentRefused(CallerError):
    """The request was refused by the model's content policy."""

    code = "content_refused"
    advice = "Word the request differently."


class LimitReached(CallerError):
    """Too many requests."""

    status = 429
    code = "rate_limited"
    advice = "Wait as long as `Retry-After` says, and send fewer requests at once."
    retry = True


# ── the vendor's ──────────────────────────────────────────────────────────────────────────────────────────────────────


class UpstreamError(PenstockError):
    """The upstream failed."""

    status = 502
    code = "upstream_error"
    tries_next = True
    advice = "Send it again after a moment, a few times at most."


class UpstreamUnreachable(UpstreamError):
    """The upstream can't be reached: the request surely never left."""

    code = "upstream_unreachable"
    advice = "Send it again: nothing was done."


class Crowded(UpstreamUnreachable):
    """Too many requests are on their way upstream."""

    status = 503
    code = "crowded"
    advice = "Send it again after some seconds, with fewer requests at once."


class UpstreamBusy(UpstreamError):
    """The upstream is busy."""

    status = 503
    code = "upstream_busy"
    advice = "Wait as long as `Retry-After` says, else a little longer each time, then send it again."


class UpstreamTimeout(UpstreamError):
    """The upstream did not answer in time."""

    status = 504
    code = "upstream_timeout"
    advice = "Send it again, streamed or in the background if the answer takes long."


class ChannelRejected(UpstreamError):
    """The upstream refused our credential or account: the channel needs its operator."""

    status = 503
    code = "channel_rejected"
    advice = "Send it again later; only your operator can mend the channel."


class UpstreamForgot(UpstreamError):
    """The upstream does not know the work we asked it about."""

    code = "upstream_forgot"
    advice = "Send it again as new work: what was lost costs nothing."


class FateUnknown(UpstreamError):
    """The request was sent and never answered, so whether it was accepted is unknown."""

    code = "fate_unknown"
    tries_next = False
    advice = "Look first: poll the task, and send it again only once that has failed or been cancelled."
    retry = False  # it may have been accepted, and would be made and paid twice


# ── ours ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


class GatewayError(PenstockError):
    """The gateway failed."""

    advice = "Send it again; if it fails again, tell your operator the id of the request."


class NoChannel(GatewayError):
    """No channel serves this model right now."""

    status = 503
    code = "no_channel"
    advice = "Check the model's name, then send it again later, or ask your operator for a channel."


class StorageFull(GatewayError):
    """The gateway's disk is nearly full, so it takes no new work."""

    status = 503
    code = "storage_full"
    advice = "Send it again later, once your operator has made room."


class ShuttingDown(GatewayError):
    """The gateway is restarting. Try again in a moment."""

    status = 503
    code = "shutting_down"
    advice = "Send it again in a few seconds."


class Stale(GatewayError):
    """A conditional write found the world changed; nothing of it happened."""

    code = "stale"
    advice = "Read how things stand now, then send it again."

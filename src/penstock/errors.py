"""The one exception tree: what went wrong, as a class and as fields.

A provider's `refusals` turn a vendor's answer into it, a dialect's `errors` turn it into the client's words; nobody in
between builds an error body. The nearest ancestor wins, so a new error needs no edit elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

MOST_WORDS = 4000
"""Characters of a message: some quote what a client sent."""


class PenstockError(Exception):
    """Anything that we say no with.

    `status` is the HTTP status that fits, `code` a stable word for programs, `tries_next` whether another deployment
    may be tried; the message is for people and never holds a credential, an internal URL, or a vendor's raw page.
    """

    status = 500
    code = "internal_error"
    tries_next = False

    def __init__(self, message: str = "", *, retry_after_s: float | None = None) -> None:
        super().__init__((message or (type(self).__doc__ or self.code).partition("\n")[0])[:MOST_WORDS])
        self.retry_after_s = retry_after_s
        self.request_id = ""  # of the request that it answers, once that is known


# ── the caller's: elsewhere it would fail alike ───────────────────────────────────────────────────────────────────────


class CallerError(PenstockError):
    """The request can't be served as it is."""

    status = 400
    code = "bad_request"


class Unauthenticated(CallerError):
    """You did not pass a valid authentication token"""

    status = 401
    code = "unauthenticated"


class QuotaSpent(CallerError):
    """You have insufficient credit to run this model. Ask your operator to top up the account."""

    status = 402
    code = "insufficient_credit"


class Forbidden(CallerError):
    """This key may not do that."""

    status = 403
    code = "forbidden"


class NotFound(CallerError):
    """The requested resource could not be found."""

    status = 404
    code = "not_found"


class MethodNotAllowed(CallerError):
    """This path does not take that method."""

    status = 405
    code = "method_not_allowed"


class Conflict(CallerError):
    """The request conflicts with an earlier one."""

    status = 409
    code = "conflict"


class TooLarge(CallerError):
    """The request body is too large."""

    status = 413
    code = "too_large"


class RangeNotSatisfiable(CallerError):
    """The requested range is outside of the file."""

    status = 416
    code = "range_not_satisfiable"

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

    def __init__(self, message: str = "", fields: tuple[InvalidField, ...] = ()) -> None:
        super().__init__(message or "".join(f"- {f.path}: {f.words}\n" if f.path else f"- {f.words}\n" for f in fields))
        self.fields = fields


class UnknownVersion(InvalidInput):
    """The specified version does not exist (or perhaps you don't have permission to use it?)"""

    code = "unknown_version"

    def __init__(self, message: str = "") -> None:
        super().__init__(message or type(self).__doc__ or "")


class Unpriced(CallerError):
    """This model has no price, so live keys can't use it. Ask your operator to set one: penstock prices set."""

    status = 403
    code = "unpriced"


class Unsupported(CallerError):
    """The model behind this request can't do what was asked."""

    code = "unsupported"


class ContextTooLong(CallerError):
    """The request does not fit into the model's context."""

    code = "context_length_exceeded"


class UnknownModel(NotFound):
    """There is no such model here, or this key may not use it."""

    code = "model_not_found"


class ContentRefused(CallerError):
    """The request was refused by the model's content policy."""

    code = "content_refused"


class LimitReached(CallerError):
    """Too many requests."""

    status = 429
    code = "rate_limited"


# ── the vendor's ──────────────────────────────────────────────────────────────────────────────────────────────────────


class UpstreamError(PenstockError):
    """The upstream failed."""

    status = 502
    code = "upstream_error"
    tries_next = True


class UpstreamUnreachable(UpstreamError):
    """The upstream can't be reached: the request surely never left."""

    code = "upstream_unreachable"


class Crowded(UpstreamUnreachable):
    """Too many requests are on their way upstream."""

    status = 503
    code = "crowded"


class UpstreamBusy(UpstreamError):
    """The upstream is busy."""

    status = 503
    code = "upstream_busy"


class UpstreamTimeout(UpstreamError):
    """The upstream did not answer in time."""

    status = 504
    code = "upstream_timeout"


class ChannelRejected(UpstreamError):
    """The upstream refused our credential or account: the channel needs its operator."""

    status = 503
    code = "channel_rejected"


class UpstreamForgot(UpstreamError):
    """The upstream does not know the work we asked it about."""

    code = "upstream_forgot"


class FateUnknown(UpstreamError):
    """The request was sent and never answered, so whether it was accepted is unknown."""

    code = "fate_unknown"
    tries_next = False


# ── ours ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


class GatewayError(PenstockError):
    """The gateway failed."""


class NoChannel(GatewayError):
    """No channel serves this model right now."""

    status = 503
    code = "no_channel"


class StorageFull(GatewayError):
    """The gateway's disk is nearly full, so it takes no new work."""

    status = 503
    code = "storage_full"


class ShuttingDown(GatewayError):
    """The gateway is restarting. Try again in a moment."""

    status = 503
    code = "shutting_down"


class Stale(GatewayError):
    """A conditional write found the world changed; nothing of it happened."""

    code = "stale"

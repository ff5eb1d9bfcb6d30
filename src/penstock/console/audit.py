"""What operators did, and who: a row before an act begins and one with its outcome, without secrets."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import msgspec

from penstock.context import Context
from penstock.errors import PenstockError
from penstock.ids import new_id
from penstock.log import logger, redact
from penstock.store import audit

LONGEST = 1000
"""Characters of a value."""
MOST = 100
"""Entries of a list."""
DEEPEST = 10
HIDDEN = "•••"
_SECRET = re.compile(
    r"(?i)(authorization|credential|secret|passw|cookie|api[-_]?key|access[-_]?key|^key$|^(\w+_)?codes?$|^(\w+_)?hash$"
    r"|^((access|auth|bearer|refresh|session|x)[-_]\w*)?token$)"
)
_USER = re.compile(r"(?<=://)[^/@\s]+(?=@)")


async def recorded(ctx: Context, actor: str, act: str, given: str, work: Callable[[], Awaitable[Any]]) -> Any:
    """Do it between two rows. If the first can't be written, it is not done; an act that was cut short has no second.
    `given` as `told`."""
    id = new_id()
    await ctx.store.write(audit.begun(id, actor, act, given))
    try:
        result = await work()
    except Exception as error:
        await _end(ctx, id, actor, act, error.code if isinstance(error, PenstockError) else PenstockError.code)
        raise
    await _end(ctx, id, actor, act, _outcome(result))
    return result


def _outcome(result: Any) -> str:
    """A trial may well end, and say that something does not work."""
    return str(result["error"]) if isinstance(result, dict) and result.get("works") is False else "ok"


async def _end(ctx: Context, begun: str, actor: str, act: str, outcome: str) -> None:
    try:
        await ctx.store.write(audit.ended(begun, actor, act, outcome))
    except Exception:  # noqa: BLE001  it is done or refused already, and who asked shall hear which
        logger("audit").exception("an outcome could not be written", act=act, begun=begun, outcome=outcome)


def told(given: Mapping[str, Any], names: Collection[str] = ()) -> str:
    """The arguments as JSON, with secrets replaced and long values cut. `names`: those that only sound like secrets."""
    shown = {name: _shown(value, _hides(name) and name not in names) for name, value in given.items()}
    return msgspec.json.encode(shown).decode()


def _hides(name: str) -> bool:
    return bool(_SECRET.search(name))


def _shown(value: Any, hidden: bool, depth: int = 0) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Mapping) and depth < DEEPEST:
        return {_text(str(name)): _shown(part, hidden or _hides(str(name)), depth + 1) for name, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and depth < DEEPEST:
        more = [f"… ({len(value)} in all)"] if len(value) > MOST else []
        return [_shown(part, hidden, depth + 1) for part in list(value)[:MOST]] + more
    if hidden or depth >= DEEPEST:
        return HIDDEN
    return value if isinstance(value, int | float) else _text(str(value))


def _text(value: str) -> str:
    text = _USER.sub(HIDDEN, redact(value))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(value)} characters)"

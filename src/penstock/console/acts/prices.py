"""Prices, and the models that have them."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import msgspec

from penstock import clock
from penstock.catalog import language
from penstock.catalog.loaded import catalog
from penstock.clock import Nanos, rfc3339
from penstock.console.acts._base import act, warned
from penstock.console.offering import Offering
from penstock.context import Context
from penstock.errors import CallerError, NotFound
from penstock.ledger import Prices
from penstock.ledger.lines import amount, dollars, parsed, written
from penstock.ledger.lists import Entry, read
from penstock.ledger.prices import Dated
from penstock.ledger.rules import Line
from penstock.routing import Aliases, Channels

Row = dict[str, Any]
Place = tuple[str, int, tuple[tuple[str, str], ...]]
"""What a line is for: unit, tier, condition."""


@act("prices.set")
async def set_price(
    ctx: Context,
    model: str,
    lines: list[dict[str, Any] | str],
    source: str = "operator",
    channel: str = "",
    starts: str = "",
) -> Row:
    """Set what a model costs from now on, or from a moment on. A line is an object (`unit`, `usd`, `per`, `above`,
    `when`) or text, such as `output=0.04 when quality=hd`. Work that exists keeps its price."""
    if not lines:
        raise CallerError("give the price at least one line; run=0 makes the model free")
    _check_channel(ctx, channel)
    given = [_line(line) for line in lines]
    dated = await ctx.of(Prices).add(model, given, source, channel=channel, starts_at=_moment(starts))
    return _done(ctx, dated, starts)


@act("prices.unset")
async def unset_price(ctx: Context, model: str, channel: str = "", starts: str = "") -> Row:
    """Take the operator's price of a model away: its list price holds again, or no price at all; a channel's, and what
    the model costs elsewhere holds there too."""
    prices = ctx.of(Prices)
    if all((dated.model, dated.channel) != (model, channel) or dated.rule is None for dated in prices.every()):
        where = f" on the channel {channel!r}" if channel else ""
        raise NotFound(f"no price of {model!r} was set{where}; penstock prices list shows all")
    dated = await prices.add(model, None, channel=channel, starts_at=_moment(starts))
    return _done(ctx, dated, starts)


@act("prices.list", reads=True)
async def list_prices(ctx: Context, model: str = "", every: bool = False) -> list[Row]:
    """What models cost now and will cost; `model` is a name or a pattern, `every` with what was."""
    own = [*_own(ctx)]
    holding = {row["model"] for row in own if row["holds"] == "now" and not row["channel"] and "unset" not in row}
    listed = [
        _row(name, lines, "catalogue", source)
        for name, (lines, source) in Offering(ctx).listed.items()
        if name not in holding
    ]
    shown = [row for row in own if every or row["holds"] == "coming" or (row["holds"] == "now" and "unset" not in row)]
    rows = [row for row in (*listed, *shown) if not model or fnmatch.fnmatchcase(row["model"], model)]
    return sorted(rows, key=lambda row: (row["model"], row["channel"], row["starts_at"] or ""))


@act("prices.show", reads=True)
async def show_price(ctx: Context, model: str) -> list[Row]:
    """All prices that a model had, has, and will have, its list price first. Those of an alias are its own, and of the
    model that it stands for first, whose price counts as long as it has none."""
    offering = Offering(ctx)
    names = (model, first) if (first := offering.charged_as(model)) != model else (model,)
    own = [row for row in _own(ctx) if row["model"] in names]
    lines, source = offering.list_price(ctx.of(Aliases).targets(model)[0])
    if not lines and not own:
        raise NotFound(f"{model!r} has no price, so live keys can't use it; set one: penstock prices set")
    replaced = any(row["holds"] == "now" and not row["channel"] and "unset" not in row for row in own)
    holds = "past" if replaced else "now"
    return ([_row(names[-1], lines, "catalogue", source) | {"holds": holds}] if lines else []) + own


@act("prices.import")
async def import_prices(
    ctx: Context, content: str, models: list[str] | None = None, every: bool = False, dry_run: bool = False
) -> Row:
    """Take token prices over from LiteLLM's or genai-prices' list, its JSON as text: for the models that channels
    name, for those that fit the patterns in `models`, or for `every` one. `dry_run` only tells what would change."""
    entries = read(content, datetime.now(UTC).date().isoformat())
    chosen = _chosen(ctx, entries, models or [], every)
    if models and not chosen:
        raise NotFound(f"the list has no model that fits {', '.join(models)}")
    own, listed = ctx.of(Prices).now(), Offering(ctx)
    changes, given = [], []
    for name, entry in chosen.items():
        held = own.get(name, {}).get("")
        before = held.lines if held else listed.list_price(name)[0]
        lines = _imported(before, entry)
        if entry.lines and (steps := [*_steps(before, lines)]):
            changes.append({"model": name, "change": _change(before, steps), "steps": steps, "source": entry.source})
            given.append((name, lines, entry.source, "", 0))
    if given and not dry_run:
        await ctx.of(Prices).add_all(given)
    return {
        "changes": changes,
        "refused": [{"model": name, "why": entry.refused} for name, entry in chosen.items() if entry.refused],
        "same": sum(bool(entry.lines) for entry in chosen.values()) - len(changes),
        "dry_run": dry_run,
    }


@act("models.list", reads=True)
async def list_models(ctx: Context, search: str = "") -> list[Row]:
    """List models, the channels that serve them, and what they cost: those of the catalogue, and whatever else
    channels serve."""
    known, offering = catalog(ctx), Offering(ctx)
    rows: list[Row] = [
        {
            "model": model.path,
            "kind": model.kind,
            "description": model.description,
            "channels": offering.serving(model.path),
            "price": _short(offering.lines(model.path)),
            "usual_s": model.usual_s,
        }
        for model in (known.search(search) if search else known.models())
    ]
    return rows + [
        _spoken(offering, name) for name in offering.language() if known.find(name) is None and _fits(name, search)
    ]


def _line(given: Row | str) -> Row:
    """As the ledger has it; the document says dollars (`usd`)."""
    if isinstance(given, str):
        return parsed(given)
    if "usd" not in given:
        return given
    if not isinstance(given["usd"], str) or type(given.get("per", 1)) is not int or "micros" in given:
        raise CallerError('a line has its dollars as text alone ("usd": "2.5"), and `per` as a whole number')
    micros, of = amount(given["usd"])
    return {name: value for name, value in given.items() if name != "usd"} | {
        "micros": micros,
        "per": given.get("per", 1) * of,
    }


def _done(ctx: Context, dated: Dated, starts: str) -> Row:
    offering, model, channel = Offering(ctx), dated.model, dated.channel
    words = []
    if dated.rule is not None and not offering.is_served(model):
        words.append(f"no channel serves {model!r} now; is that its name?")
    elif dated.rule is not None and channel and not offering.is_on(channel, model):
        words.append(f"the channel {channel!r} does not serve {model!r}")
    told = _told(dated, "coming" if starts else "now") | {"priced": offering.lines(model) is not None}
    return warned(told, *words)


def _spoken(offering: Offering, name: str) -> Row:
    known = language.find(name)
    return {
        "model": name,
        "kind": "embedding" if known and known.embeds else "text" if offering.answers(name) else "other",
        "description": known.title if known else "",
        "channels": offering.serving(name),
        "price": _short(offering.lines(name)),
        "usual_s": None,
    }


def _short(lines: Sequence[Line] | None) -> list[str]:
    """Its plain lines."""
    return [written(line) for line in lines or () if not line.above and not line.when]


def _fits(name: str, search: str) -> bool:
    return all(word in name.lower() for word in search.lower().split())


# ── what there is ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _own(ctx: Context) -> Iterator[Row]:
    """All that the operator set, in the order in which they hold. A row without lines: the list price again."""
    dated, at = ctx.of(Prices).every(), clock.now()
    now = {(each.model, each.channel): each.id for each in dated if each.starts_at <= at}
    for each in dated:
        holds = "coming" if each.starts_at > at else "now" if now[each.model, each.channel] == each.id else "past"
        yield _told(each, holds)


def _told(dated: Dated, holds: str) -> Row:
    lines = dated.rule.lines if dated.rule else ()
    source = dated.rule.source if dated.rule else ""
    row = _row(dated.model, lines, "you", source, dated.channel, dated.starts_at)
    return row | {"id": dated.id, "holds": holds} | ({"unset": True} if dated.rule is None else {})


def _row(
    model: str, lines: Sequence[Line], by: str, source: str, channel: str = "", starts_at: Nanos | None = None
) -> Row:
    return {
        "model": model,
        "channel": channel,
        "lines": [msgspec.to_builtins(line) for line in lines],
        "price": [written(line) for line in lines],
        "from": by,
        "source": source,
        "starts_at": None if starts_at is None else rfc3339(starts_at, 0),
        "holds": "now",
    }


def _check_channel(ctx: Context, name: str) -> None:
    names = sorted({channel.name for channel in ctx.of(Channels).every()})
    if name and name not in names:
        raise NotFound(f"there is no channel {name!r}; there are {', '.join(names) or 'none yet'}")


def _moment(text: str) -> Nanos:
    """0: from now on. Refuses what is past, for no price changes backwards."""
    if not text:
        return 0
    try:
        at = clock.parse(text)
    except (ValueError, OverflowError):
        raise CallerError(f"{text!r} is no date; write 2026-12-01, or 2026-12-01T09:00:00Z") from None
    if at <= clock.now():
        raise CallerError(f"{text!r} is past; leave it out for a price from now on")
    return at


# ── import ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _chosen(ctx: Context, entries: Mapping[str, Entry], patterns: Sequence[str], every: bool) -> dict[str, Entry]:
    """By the names that clients use."""
    named = {
        ours: entry for ours, theirs in _named(ctx) if (entry := next(filter(None, map(entries.get, theirs)), None))
    }
    if every:
        return {**entries, **named}
    if patterns:
        offered = {**entries, **named}
        return {name: offered[name] for name in offered if any(fnmatch.fnmatchcase(name, each) for each in patterns)}
    return named


def _named(ctx: Context) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The models that channels name one by one, and how a list may know them."""
    for channel in ctx.of(Channels).every():
        for ours, theirs in channel.models.items():
            if "*" not in ours:
                yield ours, (f"{channel.provider}/{theirs}", theirs, ours)


def _imported(before: Sequence[Line], entry: Entry) -> tuple[Line, ...]:
    """A list says nothing of units that it has no line for: these keep theirs."""
    told = {line.unit for line in entry.lines}
    return (*entry.lines, *(line for line in before if line.unit not in told))


def _steps(before: Sequence[Line], lines: Sequence[Line]) -> Iterator[Row]:
    """What changes, a line each."""
    was, will = _each(before), _each(lines)
    for place in {**was, **will}:
        old, new = was.get(place), will.get(place)
        if old is None or new is None or _price(old) != _price(new):
            told = {"was": old and dollars(old), "is": new and dollars(new)}
            yield {"line": _words(place), **told, **_compared(old, new)}


def _change(before: Sequence[Line], steps: Sequence[Row]) -> str:
    words = {step["change"] for step in steps}
    return "added" if not before else words.pop() if len(words) == 1 else "changed"


def _each(lines: Sequence[Line]) -> dict[Place, Line]:
    return {(line.unit.value, line.above, tuple(sorted(line.when.items()))): line for line in lines}


def _price(line: Line) -> Fraction:
    return Fraction(line.micros, line.per)


def _compared(old: Line | None, new: Line | None) -> Row:
    if old is None or new is None:
        return {"change": "added" if old is None else "removed", "by": None}
    was, will = _price(old), _price(new)
    by = f"{float((will - was) / was):+.1%}" if was else None
    return {"change": "dearer" if will > was else "cheaper", "by": by}


def _words(place: Place) -> str:
    unit, above, when = place
    condition = ",".join(f"{name}={value}" for name, value in when)
    return f"{unit}{f' above {above}' if above else ''}{f' when {condition}' if condition else ''}"

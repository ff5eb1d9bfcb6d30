"""Channels: upstream accounts and servers.

A channel may have several credentials, one a line of its sealed text. Each becomes a `Channel` of its own, with its own
health, places, and rate, and an equal part of the weight. The first has the row's id; the others' ids add a mark of the
credential, so that a task which was submitted with one is asked about with the same.
"""

from __future__ import annotations

import fnmatch
import json
import secrets
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any

import msgspec

from penstock.canonical.plan import Channel
from penstock.context import Context
from penstock.errors import CallerError, NotFound
from penstock.ids import new_id
from penstock.routing.health import Health
from penstock.routing.providers import Providers
from penstock.store import keys as rows

SANDBOX = Channel("sandbox", "sandbox", "sandbox", "", "", "", models={"*": "*"})
"""What answers test keys. It is not in the store and can't be removed."""
_DOES = {True: "calls", False: "tasks"}
FIELDS = frozenset(
    (
        *("provider", "base_url", "credential", "models", "priority", "weight"),
        *("concurrency", "rpm", "options", "disabled"),
    )
)
DEFAULTS: dict[str, Any] = {
    "priority": 0,
    "weight": 1,
    "concurrency": None,
    "rpm": None,
    "credential": "",
    "options": {},
    "disabled": False,
}
MOST = 2**31
"""Of every number: more is a slip of the hand."""


class Row(msgspec.Struct, frozen=True):
    """A channel as it was given, with all that it was not told."""

    id: str
    name: str
    given: dict[str, Any]
    channels: tuple[Channel, ...]
    """One for each credential, or one without any."""


class Channels:
    """All channels, in memory; every change goes through here."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._rows: dict[str, Row] = {}
        self._by_id: dict[str, Channel] = {}
        self.release = 0
        """Grows with every change."""
        self._found = lru_cache(1000)(self._find)

    async def load(self) -> None:
        found = [self._opened(row) for row in await rows.all_channels(self._ctx.store)]
        self._rows = {row.name: row for row in found}
        self._by_id = {SANDBOX.id: SANDBOX} | {channel.id: channel for row in found for channel in row.channels}
        self._found.cache_clear()
        self.release += 1

    def get(self, channel: str) -> Channel | None:
        """By id. One whose credential was removed is the row's first: it may be another key of the same account."""
        return self._by_id.get(channel) or self._by_id.get(row_of(channel))

    def named(self, name: str) -> Channel | None:
        row = self._rows.get(name)
        return row.channels[0] if row else SANDBOX if name == SANDBOX.name else None

    def row(self, name: str) -> Row:
        """Raises NotFound."""
        row = self._rows.get(name)
        if row is None:
            raise NotFound(f"no channel named {name!r}; see: penstock channels list")
        return row

    def rows(self) -> list[Row]:
        return list(self._rows.values())

    def by_secret(self, secret: str) -> Channel | None:
        """The channel whose vendor was told this word. Fails closed: an empty word is nobody's."""
        return next((c for c in self._by_id.values() if c.secret and _same(c.secret, secret)), None)

    def every(self) -> list[Channel]:
        """One for each credential."""
        return [channel for channel in self._by_id.values() if channel is not SANDBOX]

    def serving(self, model: str, *, calls: bool = False) -> list[tuple[Channel, str]]:
        """Every enabled channel that serves this model as tasks, or answers calls to it, and the vendor's name for it
        there."""
        return list(self._found(model, calls))

    def _find(self, model: str, calls: bool) -> tuple[tuple[Channel, str], ...]:
        providers = self._ctx.of(Providers)
        able = [c for c in self.every() if not c.disabled and getattr(providers[c.provider], _DOES[calls])]
        found = [(channel, upstream_name(channel, model)) for channel in able]
        return tuple((channel, upstream) for channel, upstream in found if upstream is not None)

    async def add(self, given: Mapping[str, Any]) -> Channel:
        """Add a channel. Raises CallerError or Conflict."""
        checked = self.checked(given)
        channel = new_id()
        secret = secrets.token_urlsafe(18)
        await self._ctx.store.write(
            rows.insert_channel(
                id=channel,
                name=given["name"],
                secret=self._ctx.box.seal(secret, f"channel-secret/{channel}"),
                **self._sealed(channel, checked),
            )
        )
        await self.load()
        return self._by_id[channel]

    async def change(self, name: str, given: Mapping[str, Any]) -> Channel:
        """Change the fields that are given. What rests of it is given a fresh chance."""
        if name not in self._rows:
            await self.load()
        old = self.row(name)
        checked = self.checked(old.given | dict(given) | {"name": name})
        await self._ctx.store.write(rows.replace_channel(name=name, **self._sealed(old.id, checked)))
        for channel in old.channels:
            self._ctx.of(Health).mended(channel)
        await self.load()
        return self._by_id[old.id]

    async def disable(self, name: str, *, disabled: bool = True) -> None:
        await self._ctx.store.write(rows.disable_channel(name, disabled=disabled))
        await self.load()

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All fields of a channel that is given so; `credentials` may be a list. Raises CallerError."""
        if not given.get("name"):
            raise CallerError("a channel needs a name")
        if given["name"] == SANDBOX.name:
            raise CallerError("the sandbox is built in: give the channel another name")
        if "credentials" in given:
            given = {field: value for field, value in given.items() if field != "credentials"} | {
                "credential": given["credentials"]
            }
        if unknown := set(given) - FIELDS - {"name"}:
            raise CallerError(f"a channel has no {', '.join(sorted(unknown))}")
        provider = self._ctx.of(Providers)[given.get("provider", "")]
        base_url = (given.get("base_url") or provider.base_url).rstrip("/")
        if not base_url.startswith(("http://", "https://")):
            raise CallerError(f"channel {given['name']!r} needs a base URL, such as https://api.example.com/v1")
        checked = DEFAULTS | {field: value for field, value in given.items() if field in FIELDS}
        for field, least in (("priority", -MOST), ("weight", 0), ("concurrency", 1), ("rpm", 1)):
            _check_number(field, checked[field], least, bounded=field in ("priority", "weight"))
        if not isinstance(checked["options"] or {}, Mapping):
            raise CallerError("a channel's options are a table")
        return checked | {
            "base_url": base_url,
            "credential": "\n".join(credentials(checked["credential"])),
            "models": _models(given.get("models") or ["*"]),
            "options": _options(checked["options"] or {}),
            "disabled": bool(checked["disabled"]),
        }

    def _sealed(self, channel: str, checked: dict[str, Any]) -> dict[str, Any]:
        return checked | {
            "credential": self._ctx.box.seal(checked["credential"], f"channel/{channel}"),
            "models": json.dumps(checked["models"]),
            "options": json.dumps(checked["options"]),
        }

    def _opened(self, row: tuple[Any, ...]) -> Row:
        id, name, provider, base_url, credential, secret, models, *rest = row
        priority, weight, concurrency, options, disabled, created_at, rpm = rest
        given = {
            "provider": provider,
            "base_url": base_url,
            "credential": self._ctx.box.open(credential, f"channel/{id}"),
            "models": json.loads(models),
            "priority": priority,
            "weight": weight,
            "concurrency": concurrency,
            "rpm": rpm,
            "options": json.loads(options),
            "disabled": bool(disabled),
        }
        each = credentials(given["credential"]) or [""]
        common = given | {
            "name": name,
            "secret": self._ctx.box.open(secret, f"channel-secret/{id}"),
            "weight": weight / len(each),
            "created_at": created_at,
        }
        ids = [id, *(f"{id}.{sha256(credential.encode()).hexdigest()[:6]}" for credential in each[1:])]
        channels = [Channel(id=id, **common | {"credential": own}) for id, own in zip(ids, each, strict=True)]
        return Row(id, name, given, tuple(channels))


def row_of(channel: str | None) -> str:
    """The id of the row that a channel comes from, whichever of its credentials it has."""
    return (channel or "").partition(".")[0]


def credentials(given: str | Sequence[str]) -> list[str]:
    """Each once, from a text with one a line, or from a list. Raises CallerError."""
    parts = [given] if isinstance(given, str) else list(given)
    if not all(isinstance(part, str) for part in parts):
        raise CallerError("credentials are texts")
    lines = [line.strip() for part in parts for line in part.splitlines()]
    return list(dict.fromkeys(line for line in lines if line))


def _check_number(field: str, value: Any, least: int, *, bounded: bool) -> None:
    if value is None and not bounded:
        return
    if type(value) is not int or not least <= value <= MOST:
        raise CallerError(f"a channel's {field} is a whole number" + (f" from {least} on" if least >= 0 else ""))


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Raises CallerError for one of ours that makes no sense; others are the provider's."""
    for name, least in (("cost", 0.0), ("probe_s", 1.0)):
        value = given.get(name, least)
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value < MOST:
            raise CallerError(f"the option {name} is a number from {least:g} on")
    return dict(given)


def _same(a: str, b: str) -> bool:
    return secrets.compare_digest(a.encode("utf-8", "surrogatepass"), b.encode("utf-8", "surrogatepass"))


def upstream_name(channel: Channel, model: str) -> str | None:
    """The vendor's name for a model of ours, or None where the channel does not serve it. An exact name beats a
    pattern; a pattern's `*` on the vendor's side stands for our name."""
    exact = channel.models.get(model)
    if exact is not None:
        return exact
    for pattern, upstream in channel.models.items():
        if "*" in pattern and fnmatch.fnmatchcase(model, pattern):
            return model if upstream == pattern else upstream.replace("*", model)
    return None


def _models(given: Any) -> dict[str, str]:
    """`["a/b", "c/d=e/f"]` or `{"c/d": "e/f"}`."""
    if isinstance(given, Mapping):
        return {str(ours): str(theirs) for ours, theirs in given.items()}
    pairs = [str(model).partition("=") for model in given]
    return {ours: theirs or ours for ours, _, theirs in pairs}

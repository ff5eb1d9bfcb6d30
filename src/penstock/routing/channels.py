"""Channels: from the store (`penstock channels add`) and from the configuration file."""

from __future__ import annotations

import fnmatch
import json
import secrets
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from penstock.canonical.plan import Channel
from penstock.context import Context
from penstock.errors import CallerError
from penstock.ids import new_id
from penstock.routing.providers import Providers
from penstock.store import keys as rows

SANDBOX = Channel("sandbox", "sandbox", "sandbox", "", "", "", models={"*": "*"})
"""What answers test keys. It is not in the store and can't be removed."""
_DOES = {True: "calls", False: "tasks"}
FIELDS = {
    *(
        "provider",
        "base_url",
        "credential",
        "models",
        "priority",
        "weight",
        "concurrency",
        "rpm",
        "options",
        "disabled",
    ),
}


class Channels:
    """All channels, in memory; every change goes through here."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._by_id: dict[str, Channel] = {}
        self.release = 0
        """Grows with every change."""
        self._found = lru_cache(1000)(self._find)

    async def load(self) -> None:
        """Read the store; bring the configuration file's channels into it first, where they are new or changed."""
        known = {row[1]: row for row in await rows.all_channels(self._ctx.store)}
        for given in self._ctx.settings.channels:
            if given.get("name") in known:
                await self.change(given["name"], given)
            else:
                await self.add(given)
        await self._read()

    async def _read(self) -> None:
        found = [self._opened(row) for row in await rows.all_channels(self._ctx.store)]
        self._by_id = {SANDBOX.id: SANDBOX} | {channel.id: channel for channel in found}
        self._found.cache_clear()
        self.release += 1

    def get(self, channel: str) -> Channel | None:
        return self._by_id.get(channel)

    def named(self, name: str) -> Channel | None:
        return next((channel for channel in self._by_id.values() if channel.name == name), None)

    def by_secret(self, secret: str) -> Channel | None:
        """The channel whose vendor was told this word. Fails closed: an empty word is nobody's."""
        return next((c for c in self._by_id.values() if c.secret and _same(c.secret, secret)), None)

    def every(self) -> list[Channel]:
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
        checked = self._checked(given)
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
        await self._read()
        return self._by_id[channel]

    async def change(self, name: str, given: Mapping[str, Any]) -> Channel:
        """Change the fields that are given."""
        old = self.named(name)
        if old is None:
            await self._read()
            old = self.named(name)
        if old is None:
            raise CallerError(f"no channel named {name!r}")
        checked = self._checked({field: getattr(old, field) for field in FIELDS} | dict(given) | {"name": name})
        await self._ctx.store.write(rows.replace_channel(name=name, **self._sealed(old.id, checked)))
        await self._read()
        return self._by_id[old.id]

    async def disable(self, name: str, *, disabled: bool = True) -> None:
        await self._ctx.store.write(rows.disable_channel(name, disabled=disabled))
        await self._read()

    def _checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        if not given.get("name"):
            raise CallerError("a channel needs a name")
        if given["name"] == SANDBOX.name:
            raise CallerError("the sandbox is built in: give the channel another name")
        if unknown := set(given) - FIELDS - {"name"}:
            raise CallerError(f"a channel has no {', '.join(sorted(unknown))}")
        provider = self._ctx.of(Providers)[given.get("provider", "")]
        base_url = (given.get("base_url") or provider.base_url).rstrip("/")
        if not base_url.startswith(("http://", "https://")):
            raise CallerError(f"channel {given['name']!r} needs a base URL, such as https://api.example.com/v1")
        return {"priority": 0, "weight": 1, "concurrency": None, "rpm": None, "credential": "", "disabled": False} | {
            **{field: value for field, value in given.items() if field in FIELDS},
            "base_url": base_url,
            "models": _models(given.get("models") or ["*"]),
            "options": dict(given.get("options") or {}),
        }

    def _sealed(self, channel: str, checked: dict[str, Any]) -> dict[str, Any]:
        return checked | {
            "credential": self._ctx.box.seal(checked["credential"], f"channel/{channel}"),
            "models": json.dumps(checked["models"]),
            "options": json.dumps(checked["options"]),
        }

    def _opened(self, row: tuple[Any, ...]) -> Channel:
        id, name, provider, base_url, credential, secret, models, *rest = row
        priority, weight, concurrency, options, disabled, created_at, rpm = rest
        return Channel(
            id=id,
            name=name,
            provider=provider,
            base_url=base_url,
            credential=self._ctx.box.open(credential, f"channel/{id}"),
            secret=self._ctx.box.open(secret, f"channel-secret/{id}"),
            models=json.loads(models),
            priority=priority,
            weight=weight,
            concurrency=concurrency,
            rpm=rpm,
            options=json.loads(options),
            disabled=bool(disabled),
            created_at=created_at,
        )


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

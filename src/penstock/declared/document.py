"""The document, as TOML has it. Whatever is left out stays as it is, single fields too; nothing is ever removed by
leaving it out.

Money is dollars as text (`"0.04"`), so that no binary fraction touches it. A secret may stand in the environment:
`"env:OPENAI_API_KEY"`. TOML has no word for nothing: a limit of 0, an empty text, and an empty list mean none.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import date
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from penstock.config import Settings
from penstock.errors import CallerError

T = TypeVar("T")
Given: TypeAlias = T | UnsetType
"""What may be left out: then it stays as it is, and something new has the default."""
ENV = "env:"
ASKED = re.compile(rf"{ENV}(\w+)")


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    pass


class Channel(_Part, frozen=True):
    """An upstream account or server. Several credentials are so many accounts, each with its own limits and health."""

    name: str
    provider: str
    base_url: Given[str] = UNSET
    credentials: Given[tuple[str, ...]] = UNSET
    models: Given[tuple[str, ...]] = UNSET  # ours, ours=theirs, owner/*, *
    priority: Given[int] = UNSET
    weight: Given[int] = UNSET
    concurrency: Given[int | None] = UNSET
    rpm: Given[int | None] = UNSET
    options: Given[dict[str, Any]] = UNSET
    disabled: Given[bool] = UNSET


class Line(_Part, frozen=True):
    """So many dollars for each `per` of a unit."""

    unit: str
    usd: str
    per: int = 1
    above: int = 0
    when: dict[str, str] = {}


class Price(_Part, frozen=True):
    """A model's price, on one channel or on all, from a moment on (RFC 3339, or a date). The `_mtok` ones are lines for
    a million tokens; `run`, `output`, and `second` for one."""

    model: str
    channel: str = ""
    starts: str = ""
    source: str = "operator"
    run: str | None = None
    output: str | None = None
    second: str | None = None
    input_mtok: str | None = None
    cached_mtok: str | None = None
    output_mtok: str | None = None
    lines: tuple[Line, ...] = ()


class Group(_Part, frozen=True):
    """Callers who share models, channels, and prices. `multiplier` is a decimal."""

    name: str
    models: Given[tuple[str, ...] | None] = UNSET
    channels: Given[tuple[str, ...] | None] = UNSET
    multiplier: Given[str] = UNSET
    policy: Given[str] = UNSET
    rpm: Given[int | None] = UNSET
    tpm: Given[int | None] = UNSET
    concurrency: Given[int | None] = UNSET


class Alias(_Part, frozen=True):
    """A name of the operator's: the models to try, in order. One of them may be the name itself, which then is a model
    with others to fall back on."""

    name: str
    targets: tuple[str, ...]


class Opening(_Part, frozen=True):
    """Money that is booked once, under this name: what an account had elsewhere."""

    id: str
    usd: str


class Account(_Part, frozen=True):
    name: str
    group: Given[str] = UNSET
    opening: Opening | None = None


class Key(_Part, frozen=True):
    """Known by account, mode, and name. `key` is its secret where clients have it already; else one is made, and shown
    once."""

    name: str
    account: str = "default"
    mode: str = "live"
    key: str = ""
    group: Given[str | None] = UNSET
    expires: Given[str] = UNSET
    models: Given[tuple[str, ...] | None] = UNSET
    networks: Given[tuple[str, ...]] = UNSET
    scopes: Given[tuple[str, ...]] = UNSET
    quota_usd: Given[str | None] = UNSET
    quota_month_usd: Given[str | None] = UNSET
    quota_day_usd: Given[str | None] = UNSET
    rpm: Given[int | None] = UNSET
    tpm: Given[int | None] = UNSET
    concurrency: Given[int | None] = UNSET


class Document(_Part, frozen=True):
    channels: tuple[Channel, ...] = ()
    aliases: tuple[Alias, ...] = ()
    prices: tuple[Price, ...] = ()
    groups: tuple[Group, ...] = ()
    accounts: tuple[Account, ...] = ()
    keys: tuple[Key, ...] = ()


PARTS = Document.__struct_fields__


def said(part: msgspec.Struct) -> dict[str, Any]:
    """The fields that are given."""
    given = {field: getattr(part, field) for field in part.__struct_fields__}
    return {field: value for field, value in given.items() if value is not UNSET}


def read(text: str, env: Mapping[str, str], where: str) -> Document:
    """Decode a document, with what it takes from the environment filled in; settings beside it are left alone. Raises
    CallerError with the place of what is wrong: `where` the document is, and where in it."""
    try:
        return _read(text, env)
    except CallerError as error:
        raise CallerError(f"{where}: {error}") from None


def _read(text: str, env: Mapping[str, str]) -> Document:
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CallerError(f"not TOML: {error}") from None
    if unknown := found.keys() - {*PARTS, *Settings.model_fields}:
        raise CallerError(f"there is no {', '.join(sorted(unknown))} to declare; there are {', '.join(PARTS)}")
    return decoded(_filled({name: value for name, value in found.items() if name in PARTS}, env))


def filled(document: Document, env: Mapping[str, str], *, strict: bool = True) -> Document:
    """With what it asks of the environment. Where that has it not, raises CallerError; or not `strict`, a name stands
    for itself."""
    return decoded(_filled(msgspec.to_builtins(document), env, strict))


def decoded(given: Any) -> Document:
    """A document of what JSON or TOML decodes to. Raises CallerError with the place of what is wrong."""
    if isinstance(given, dict) and isinstance(given.get("channels"), list):
        given = given | {"channels": [_spelt(channel) for channel in given["channels"]]}
    try:
        return msgspec.convert(given, Document)
    except msgspec.ValidationError as error:
        raise CallerError(f"the document makes no sense: {error}") from None


def _spelt(channel: Any) -> Any:
    """A single `credential`, and models as a table, are spelt as lists."""
    if not isinstance(channel, dict):
        return channel
    rest = {name: value for name, value in channel.items() if name != "credential"}
    if "credential" in channel and "credentials" not in channel:
        rest["credentials"] = [channel["credential"]] if channel["credential"] else []
    elif "credential" in channel:
        raise CallerError(f"channel {channel.get('name')!r}: give credential or credentials, not both")
    if isinstance(models := channel.get("models"), dict):
        rest["models"] = [f"{ours}={theirs}" for ours, theirs in models.items()]
    return rest


def _filled(value: Any, env: Mapping[str, str], strict: bool = True) -> Any:
    if isinstance(value, dict):
        return {name: _filled(part, env, strict) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(part, env, strict) for part in value]
    if isinstance(value, date):  # TOML has dates, with times and without
        return value.isoformat()
    if isinstance(value, str) and (asked := ASKED.fullmatch(value)):
        if strict and asked[1] not in env:
            raise CallerError(f"the environment has no {asked[1]}, which the document asks for")
        return env.get(asked[1], value)
    return value

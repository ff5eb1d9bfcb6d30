"""The document, as TOML has it. Whatever is left out stays as it is; nothing is ever removed by leaving it out.

Money is dollars as text (`"0.04"`), so that no binary fraction touches it. A secret may stand in the environment:
`"env:OPENAI_API_KEY"`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

import msgspec

from penstock.errors import CallerError

ENV = "env:"


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    pass


class Channel(_Part, frozen=True):
    """An upstream account or server. Several credentials are so many accounts, each with its own limits and health."""

    name: str
    provider: str
    base_url: str = ""
    credentials: tuple[str, ...] = ()
    models: tuple[str, ...] = ("*",)  # ours, ours=theirs, owner/*, *
    priority: int = 0
    weight: int = 1
    concurrency: int | None = None
    rpm: int | None = None
    options: dict[str, Any] = {}
    disabled: bool = False


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
    models: tuple[str, ...] | None = None
    channels: tuple[str, ...] | None = None
    multiplier: str = "1"
    policy: str = "weight"
    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None


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
    group: str = "default"
    opening: Opening | None = None


class Key(_Part, frozen=True):
    """Known by account and name. `key` is its secret where clients have it already; else one is made, shown once."""

    name: str
    account: str = "default"
    mode: str = "live"
    key: str = ""
    group: str | None = None
    expires: str = ""
    models: tuple[str, ...] | None = None
    networks: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ("relay", "read")
    quota_usd: str | None = None
    quota_month_usd: str | None = None
    quota_day_usd: str | None = None
    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None


class Document(_Part, frozen=True):
    channels: tuple[Channel, ...] = ()
    aliases: tuple[Alias, ...] = ()
    prices: tuple[Price, ...] = ()
    groups: tuple[Group, ...] = ()
    accounts: tuple[Account, ...] = ()
    keys: tuple[Key, ...] = ()


PARTS = Document.__struct_fields__


def read(text: str, env: Mapping[str, str]) -> Document:
    """Decode a document, with what it takes from the environment filled in; settings beside it are left alone. Raises
    CallerError with the place of what is wrong."""
    try:
        found = tomllib.loads(text)
        given = {name: value for name, value in found.items() if name in PARTS}
        return msgspec.convert(_filled(given, env), Document)
    except tomllib.TOMLDecodeError as error:
        raise CallerError(f"not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise CallerError(f"the document makes no sense: {error}") from None


def _filled(value: Any, env: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(part, env) for name, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, env) for part in value]
    if isinstance(value, str) and re.fullmatch(rf"{ENV}\w+", value):
        name = value.removeprefix(ENV)
        if name not in env:
            raise CallerError(f"the environment has no {name}, which the document asks for")
        return env[name]
    return value

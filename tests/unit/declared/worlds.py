"""Gateways to declare things to, and documents to declare: any that make sense."""

from __future__ import annotations

import asyncio
import string
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

from hypothesis import strategies as st

from penstock.canonical.usage import Unit
from penstock.config import Settings
from penstock.context import Context
from penstock.declared.document import UNSET, Account, Alias, Channel, Document, Group, Key, Line, Opening, Price
from penstock.gateway import opened
from penstock.store import open_store


@asynccontextmanager
async def gateway() -> AsyncIterator[Context]:
    """An empty one, without a server."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "penstock.db").write_bytes(await asyncio.to_thread(_migrated))
        async with opened(Settings(data=Path(folder), min_free_disk=0)) as ctx:
            yield ctx


@cache
def _migrated() -> bytes:
    """A new database; to migrate one takes longer than all else here."""

    async def made(data: Path) -> None:
        await (await open_store(Settings(data=data))).close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(made(Path(folder)))
        return (Path(folder) / "penstock.db").read_bytes()


NAMES = st.sampled_from(["a", "b", "c d", "é", "x-1", "[y]"])
MODELS = st.sampled_from(["gpt-5", "acme/boat", "acme/*", "*", "qwen"])
WORDS = st.text(string.ascii_letters + string.digits + " =\"'\\é", min_size=1, max_size=8)
USD = st.decimals(0, 1000, places=6).map(str)
LIMIT = st.integers(0, 1000) | st.just(UNSET)
PATTERNS = st.lists(MODELS, max_size=3).map(tuple) | st.just(UNSET)
SECRETS = st.text(string.ascii_letters, min_size=16, max_size=20)
LIMITS = {"rpm": LIMIT, "concurrency": LIMIT}


def _maybe(values: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return values | st.just(UNSET)


CHANNELS = st.builds(
    Channel,
    name=NAMES,
    provider=st.sampled_from(["openai", "vllm", "anthropic"]),
    base_url=_maybe(st.sampled_from(["", "https://api.example.com/v1/", "http://10.0.0.7"])),
    credentials=_maybe(st.lists(SECRETS, max_size=3).map(tuple)),
    models=PATTERNS | st.lists(st.sampled_from(["a=b", "c=c", "d/*=e/*"]), max_size=2).map(tuple),
    priority=_maybe(st.integers(-5, 5)),
    weight=_maybe(st.integers(0, 5)),
    options=_maybe(st.dictionaries(st.sampled_from(["idempotent", "note"]), st.booleans() | WORDS)),
    disabled=_maybe(st.booleans()),
    **LIMITS,
)
GROUPS = st.builds(
    Group,
    name=NAMES | st.just("default"),
    models=PATTERNS,
    channels=PATTERNS,
    multiplier=_maybe(st.decimals(0, 10, places=3).map(str)),
    policy=_maybe(st.sampled_from(["weight", "latency", "cost"])),
    tpm=LIMIT,
    **LIMITS,
)
ALIASES = st.builds(Alias, name=st.sampled_from(["best", "fast"]), targets=st.lists(MODELS, min_size=1).map(tuple))
LINES = st.builds(
    Line,
    unit=st.sampled_from([*map(str, Unit), "minute"]),
    usd=USD | st.just("0.00000001"),
    per=st.sampled_from([1, 1000, 7]),
    above=st.just(0),
    when=st.dictionaries(st.sampled_from(["size", "resolution"]), WORDS, max_size=1),
)
PRICES = st.builds(
    Price,
    model=MODELS,
    starts=st.sampled_from(["", "2020-01-01", "2020-06-01T12:00:00+02:00", "2099-01-01"]),
    input_mtok=USD,
    lines=st.lists(LINES, max_size=3, unique_by=lambda x: (x.unit, x.above, *x.when)).map(
        lambda lines: tuple(line for line in lines if line.unit not in ("input_token", "second"))
    ),
)
ACCOUNTS = st.builds(
    Account, name=NAMES, opening=st.none() | st.builds(Opening, id=WORDS, usd=st.decimals(1, 99, places=2).map(str))
)
KEYS = st.builds(
    Key,
    name=NAMES,
    account=NAMES,
    mode=st.sampled_from(["live", "test"]),
    key=st.just("") | SECRETS,
    expires=_maybe(st.sampled_from(["", "2090-01-01", "2091-01-01T10:00:00+02:00"])),
    models=PATTERNS,
    networks=_maybe(st.lists(st.sampled_from(["10.0.0.1", "10.1.0.7/16", "::1"]), max_size=2).map(tuple)),
    scopes=_maybe(st.lists(st.sampled_from(["relay", "read"]), min_size=1).map(tuple)),
    quota_usd=_maybe(USD | st.just("")),
    quota_day_usd=_maybe(USD),
    tpm=LIMIT,
    **LIMITS,
)


def _some(parts: st.SearchStrategy[object], *by: str) -> st.SearchStrategy[tuple[object, ...]]:
    """None of them twice."""
    unique = tuple((lambda part, field=field: getattr(part, field)) for field in by)
    return st.lists(parts, max_size=3, unique_by=unique).map(tuple)


DOCUMENTS = st.builds(
    Document,
    channels=_some(CHANNELS, "name"),
    aliases=_some(ALIASES, "name"),
    prices=st.lists(PRICES, max_size=4, unique_by=lambda price: (price.model, price.starts)).map(tuple),
    groups=_some(GROUPS, "name"),
    accounts=st.lists(
        ACCOUNTS,
        max_size=3,
        unique_by=(
            lambda account: account.name,
            lambda account: account.opening.id if account.opening else account.name,
        ),
    ).map(tuple),
    keys=st.lists(
        KEYS,
        max_size=3,
        unique_by=(lambda key: (key.account, key.mode, key.name), lambda key: key.key or (key.account, key.name)),
    ).map(tuple),
)

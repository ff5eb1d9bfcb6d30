from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from penstock.access import Keys
from penstock.context import Context
from penstock.declared.applying import Applied, apply
from penstock.declared.comparing import compared
from penstock.declared.document import Document, read
from penstock.declared.exporting import export
from penstock.ledger import Prices
from penstock.routing import Channels
from tests.unit.declared.worlds import DOCUMENTS, gateway


@given(DOCUMENTS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_exported_makes_the_same_elsewhere(document: Document) -> None:
    async def there_and_back() -> None:
        async with gateway() as here, gateway() as there:
            await apply(here, document)
            told = await export(here, secrets=True)
            exported = read(told.toml, {}, "a.toml")
            assert await apply(here, exported) == Applied((), ())
            await apply(there, exported)
            assert (await export(there, secrets=True)).toml == told.toml
            assert {change.verb for change in await compared(there, exported)} <= {"same"}

    asyncio.run(there_and_back())


TEXT = """
[[channels]]
name = "my openai"
provider = "openai"
credentials = ["canary-1", "canary-2"]
[[channels]]
name = "my-openai"
provider = "openai"
credential = "canary-3"
[[channels]]
name = "中"
provider = "vllm"
credential = "canary-4"
[[keys]]
name = "app"
key = "sk-from-before-1234"
"""
ASKS = {
    "MY_OPENAI_CREDENTIAL": "canary-1",
    "MY_OPENAI_CREDENTIAL_2": "canary-2",
    "MY_OPENAI_CREDENTIAL_3": "canary-3",
    "CHANNEL_CREDENTIAL": "canary-4",
}


@pytest.mark.anyio
async def test_without_secrets_it_asks_for_them(context: Context) -> None:
    await apply(context, read(TEXT, {}, "a.toml"))
    told = await export(context)
    assert "canary" not in told.toml and "sk-" not in told.toml
    assert told.asks == tuple(ASKS)
    assert await apply(context, read(told.toml, ASKS, "a.toml")) == Applied((), ())


@pytest.mark.anyio
async def test_what_a_server_told_of_itself_is_no_option_and_is_kept(context: Context) -> None:
    channels = context.of(Channels)
    memory = {"described": {"at": "", "document": {}}}
    await channels.add({"name": "a", "provider": "cog", "base_url": "http://127.0.0.1:1", "options": {"x": 1} | memory})
    told = await export(context)
    assert "described" not in told.toml
    assert await apply(context, read(told.toml, {}, "a.toml")) == Applied((), ())
    await apply(context, read(told.toml.replace("x = 1", "x = 2"), {}, "a.toml"))
    assert channels.row("a").given["options"] == {"x": 2} | memory


@pytest.mark.anyio
async def test_it_says_what_it_leaves_out(context: Context) -> None:
    for _ in range(2):
        await context.of(Keys).create("app", "live", "acme")
    await context.of(Prices).add("m", [{"unit": "run", "micros": 1}])
    await context.of(Prices).add("m", None, starts_at=2**62)
    told = await export(context)
    assert [line.partition(":")[2] for line in told.skipped] == [
        " a newer one has its name, 'app'",
        f"{told.skipped[1].partition(':')[2]}",
    ]
    assert "price of m from" in told.skipped[1]


@pytest.mark.anyio
async def test_short_fields_where_they_say_it_all(context: Context) -> None:
    lines = [
        {"unit": "input_token", "micros": 5, "per": 1_000_000},
        {"unit": "run", "micros": 7, "when": {"size": "x"}},
    ]
    await context.of(Prices).add("m", lines)
    [price] = read((await export(context)).toml, {}, "a.toml").prices
    assert msgspec.to_builtins(price) == {
        "model": "m",
        "input_mtok": "0.000005",
        "lines": ({"unit": "run", "usd": "0.000007", "when": {"size": "x"}},),
    }

"""A quote is the hold that the same request then takes, and changes nothing: for every route that can cost something,
of every dialect, with the example that stands in its description."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import typing
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from penstock.access import Keys
from penstock.canonical.commands import Call, Respond, Submit
from penstock.canonical.who import Caller
from penstock.config import Settings
from penstock.console.openapi import data
from penstock.context import Context
from penstock.dialects._base import Dialect, Route
from penstock.dialects._installed import dialects
from penstock.gateway import opened
from penstock.ledger import Allowances, Prices, Quotas
from penstock.server import App
from penstock.store.connection import compiled
from penstock.store.tables import metadata

pytestmark = pytest.mark.anyio
PAID = {Submit, Call, Respond}
FLUX = "black-forest-labs/flux-schnell"
NAMED = {
    "/deployments/{owner}/{name}": "/deployments/acme/boats",
    "/models/{owner}/{name}": f"/models/{FLUX}",
    "/engines/{model}": "/engines/text-embedding-3-small",
    "{call*}": "gemini-2.5-flash:generateContent",
}
"""What stands for the variables of paths."""
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SAY = [{"role": "user", "content": "Name a river in Norway."}]
SEE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DOT}}
MORE: list[tuple[str, Any]] = [
    ("/v1/chat/completions", {"model": "gpt-5-mini", "messages": SAY, "max_tokens": 50, "stream": True}),
    ("/v1/responses", {"model": "gpt-5-mini", "input": "Hi", "max_output_tokens": 100, "background": True}),
    ("/v1/responses", {"model": "gpt-5-mini", "input": "Hi", "stream": True, "store": False}),
    (
        "/anthropic/v1/messages",
        {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": [SEE]}]},
    ),
    ("/v1beta/models/gemini-2.5-flash:countTokens", {"contents": [{"parts": [{"text": "Hi"}]}]}),
    ("/v1beta/models/gemini-2.5-flash:streamGenerateContent", {"contents": [{"parts": [{"text": "Hi"}]}]}),
    (f"/replicate/v1/models/{FLUX}/predictions", {"input": {"prompt": "a boat", "num_outputs": 3}}),
]


def paid(route: Route) -> bool:
    """What its reader says that it reads."""
    read = typing.get_type_hints(route.read)["return"]
    return not PAID.isdisjoint(typing.get_args(read) or (read,))


def asks() -> Iterator[Any]:
    for dialect in dialects().values():
        for route in filter(paid, dialect.routes()):
            yield pytest.param(*example(dialect, route), id=f"{dialect.name} {route.path}")
    for number, (path, body) in enumerate(MORE):
        yield pytest.param(path, body, id=f"{path} {number}")


def example(dialect: Dialect, route: Route) -> tuple[str, Any]:
    facts = data(dialect)
    path = facts.prefix + route.path
    for variables, names in NAMED.items():
        path = path.replace(variables, names)
    assert "{" not in path, f"say what stands for the variables of {path}"
    return path, facts.operations[f"{route.method} {route.path}"].get("example")


@dataclass
class Gateway:
    ctx: Context
    app: App
    key: str
    account: str
    held: list[int] = field(default_factory=list)

    async def post(self, path: str, body: Any, key: str = "") -> tuple[int, bytes]:
        target, _, query = path.partition("?")
        headers = [(b"authorization", f"Bearer {key or self.key}".encode()), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": target, "headers": headers, "query_string": query.encode()}
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": json.dumps(body).encode()}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])

    async def rows(self) -> dict[str, int]:
        """How much there is in every table."""
        counted = {}
        for table in metadata.sorted_tables:
            row = await self.ctx.store.one(compiled(select(func.count()).select_from(table)))
            assert row is not None
            counted[table.name] = row[0]
        return counted

    @property
    def spendable(self) -> tuple[int, int, int]:
        ledger = self.ctx.of(Allowances)
        who = self.account, "test"
        return ledger.free(*who), ledger.held(*who), self.ctx.of(Quotas).spent(self.key).total


@pytest.fixture
async def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    held: list[int] = []
    take = Quotas.take

    def noting(self: Quotas, caller: Caller, amount: int, day: str = "") -> str:
        held.append(amount)
        return take(self, caller, amount, day)

    monkeypatch.setattr(Quotas, "take", noting)
    async with opened(Settings(data=tmp_path), serves=True) as ctx:
        made = await ctx.of(Keys).create("tests", "test", "acme")
        account = await ctx.of(Keys).account("acme", make=False)
        yield Gateway(ctx, App(ctx), made["key"], account, held)


async def deploy(gateway: Gateway) -> None:
    from penstock.catalog.loaded import catalog

    model = catalog(gateway.ctx).find(FLUX)
    assert model is not None
    fields = {"name": "boats", "model": FLUX, "version": model.latest.id, "hardware": "cpu"}
    status, _ = await gateway.post("/replicate/v1/deployments", fields | {"min_instances": 0, "max_instances": 1})
    assert status == 200


@pytest.mark.parametrize(("path", "body"), list(asks()))
async def test_a_quote_is_what_is_then_held(gateway: Gateway, path: str, body: Any) -> None:
    if "/deployments/" in path:
        await deploy(gateway)
    before = await gateway.rows(), gateway.spendable
    status, raw = await gateway.post(f"{path}?dry_run=1", body if body is not None else {})
    if body is None:
        assert 400 <= status < 500, f"{path} has no example in its description, and is not refused"
        return
    quote = json.loads(raw)
    assert (status, quote["object"], quote["dry_run"]) == (200, "quote", True), quote
    assert (await gateway.rows(), gateway.spendable, gateway.held) == (*before, [])
    status, raw = await gateway.post(path, body)
    assert 200 <= status < 300, raw
    assert quote["hold"] == sum(gateway.held)
    assert quote["enough"]
    free = "count" in path.lower() or "input_tokens" in path or "moderations" in path
    assert (quote["hold"] > 0) is not free


async def test_every_dialect_whose_work_costs_something_is_asked() -> None:
    asked = {dialect.name for dialect in dialects().values() if any(map(paid, dialect.routes()))}
    assert asked >= {"anthropic", "gemini", "openai", "replicate"}


CHAT = {"model": "gpt-5-mini", "messages": SAY}
WRONG = [
    ("/v1/chat/completions", {"model": "no-such-model", "messages": SAY}),
    ("/v1/chat/completions", {"messages": SAY}),
    ("/v1/chat/completions", 7),
    ("/v1/responses", {"model": "gpt-5-mini", "input": "Hi", "previous_response_id": "resp_none"}),
    ("/v1/responses", {"model": "gpt-5-mini", "input": "Hi", "background": True, "store": False}),
    ("/anthropic/v1/messages", {"model": "no-such-model", "max_tokens": 9, "messages": SAY}),
    ("/replicate/v1/predictions", {"version": "no/model", "input": {}}),
    (f"/replicate/v1/models/{FLUX}/predictions", {"input": {"prompt": "x", "num_outputs": 99}}),
    (f"/replicate/v1/models/{FLUX}/predictions", {"input": {}}),
    (f"/replicate/v1/models/{FLUX}/predictions", {"input": {"prompt": "x"}, "webhook": "http://127.0.0.1/x"}),
]


@pytest.mark.parametrize(("path", "body"), WRONG)
async def test_wrong_input_is_refused_alike(gateway: Gateway, path: str, body: Any) -> None:
    dry, real = await gateway.post(f"{path}?dry_run=true", body), await gateway.post(path, body)
    assert dry[0] == real[0] >= 400
    numbers = re.compile(rb"0[0-9a-z]{25}")
    assert numbers.sub(b"", dry[1]) == numbers.sub(b"", real[1])
    assert gateway.held == []


async def test_an_unclear_dry_run_is_refused_in_the_dialects_words(gateway: Gateway) -> None:
    for value, path in itertools.product(("0", "yes", ""), ("/v1/chat/completions", "/anthropic/v1/messages")):
        status, raw = await gateway.post(f"{path}?dry_run={value}", CHAT | {"max_tokens": 9})
        assert (status, "dry_run" in json.loads(raw)["error"]["message"]) == (400, True)
    assert gateway.held == []


async def test_what_costs_nothing_is_not_done_as_a_dry_run(gateway: Gateway) -> None:
    _, raw = await gateway.post(f"/replicate/v1/models/{FLUX}/predictions", {"input": {"prompt": "[[hang]]"}})
    id = json.loads(raw)["id"]
    status, _ = await gateway.post(f"/v1/tasks/{id}/cancel?dry_run=1", None)
    assert status == 400
    async with asyncio.timeout(20):  # at once where it was not sent yet, else as soon as its vendor has said so
        while json.loads((await gateway.post(f"/v1/tasks/{id}/cancel", None))[1])["state"] != "canceled":
            await asyncio.sleep(0.05)


async def test_too_little_money_is_said_and_not_refused(gateway: Gateway) -> None:
    ctx = gateway.ctx
    poor = (await ctx.of(Keys).create("poor", "test", "acme", quota_total=10))["key"]
    _, raw = await gateway.post("/v1/chat/completions?dry_run=1", CHAT, poor)
    assert json.loads(raw)["enough"] is False
    status, _ = await gateway.post("/v1/chat/completions", CHAT, poor)
    assert status in (402, 403)


async def test_a_price_of_the_operators_is_told_with_its_version(gateway: Gateway) -> None:
    prices = gateway.ctx.of(Prices)
    dated = await prices.add("gpt-5-mini", [{"unit": "output_token", "micros": 7}], "a contract")
    await prices.add("gpt-5-mini", [{"unit": "output_token", "micros": 9}], channel="a secret name")
    _, raw = await gateway.post("/v1/chat/completions?dry_run=1", CHAT | {"max_tokens": 100})
    quote = json.loads(raw)
    price = quote["price"]
    assert (price["version"], price["source"]) == (dated.id, "a contract")
    assert price["lines"] == [{"unit": "output_token", "micros": 7, "per": 1}]
    assert price["channels"] == [[{"unit": "output_token", "micros": 9, "per": 1}]]
    assert b"secret" not in raw
    assert quote["hold"] == 900

"""A gateway with live keys, money, prices, and channels to the counting upstream, and how tests speak with it."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from standardwebhooks import Webhook

from penstock import gateway
from penstock.access import Keys
from penstock.config import load
from penstock.ledger import Prices, audit, topup
from penstock.routing import Channels
from tests.live import Live
from tests.rigs.counting import ROOT
from tests.webhook_receiver import Delivery

T = TypeVar("T")
ENDED = {"succeeded", "failed", "canceled"}
RUN_MICROS = 10_000
PLUGINS = {"PENSTOCK_PLUGINS": "tests.rigs.askable", "PYTHONPATH": str(ROOT)}


@dataclass(frozen=True)
class Stage:
    """A data directory made once, copied for each gateway that starts from it. Every run costs `RUN_MICROS`."""

    folder: Path
    key: str
    strangers_key: str
    test_key: str

    @classmethod
    def build(
        cls, folder: Path, channels: Iterable[Mapping[str, Any]], models: Iterable[str], usd: float = 1000.0
    ) -> Stage:
        return asyncio.run(cls._build(folder, list(channels), list(models), usd))

    @classmethod
    async def _build(cls, folder: Path, channels: list[Any], models: list[str], usd: float) -> Stage:
        settings = load(data=folder / "data", plugins=(PLUGINS["PENSTOCK_PLUGINS"],))
        async with gateway.opened(settings) as ctx:
            keys = ctx.of(Keys)
            made = [await keys.create(name, mode, account) for name, mode, account in WHO]
            await ctx.store.write(*topup(await keys.account("default"), "live", round(usd * 1e6)))
            for channel in channels:
                await ctx.of(Channels).add({"provider": "replicate", "credential": "upstream-secret", **channel})
            for model in models:
                await ctx.of(Prices).add(model, [{"unit": "run", "micros": RUN_MICROS}])
        return cls(folder, *[key["key"] for key in made])

    def gateway(self, folder: Path, **environment: str) -> Gateway:
        """A server on a copy, not started yet; `environment` is added to its own."""
        shutil.copytree(self.folder / "data", folder / "data")
        settings = {f"PENSTOCK_{name.upper()}": value for name, value in environment.items()}
        return Gateway(Live(folder, environment=PLUGINS | settings), self.key, self.strangers_key, self.test_key)


WHO = (("callers", "live", "default"), ("strangers", "live", "strangers"), ("tests", "test", "default"))


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


@dataclass
class Gateway:
    """A live server as its caller sees it, with a look into its books."""

    live: Live
    key: str | None
    strangers_key: str = ""
    test_key: str = ""
    prefix: str = "/replicate/v1"

    def ask(
        self, method: str, path: str, body: Any = None, key: str | None = "", timeout_s: float = 30.0, **headers: str
    ) -> Answer:
        """One request; raises OSError where no answer came. `key` None: without one."""
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        credential = self.key if key == "" else key
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent |= {"content-type": "application/json"} | ({"authorization": f"Bearer {credential}"} if credential else {})
        request = urllib.request.Request(f"{self.live.url}{self.prefix}{path}", raw, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as reply:
                return Answer(reply.status, reply.headers, reply.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def create(self, model: str, rig: Mapping[str, Any] | None = None, *, hook: str = "", **headers: str) -> Answer:
        body: dict[str, Any] = {"input": {"prompt": "a weir", "rig": dict(rig or {})}}
        if hook:
            body["webhook"] = hook
        return self.ask("POST", f"/models/{model}/predictions", body, **headers)

    def made(self, model: str, rig: Mapping[str, Any] | None = None, **more: str) -> str:
        """The id of a new task."""
        answer = self.create(model, rig, **more)
        assert answer.status in (201, 202), (answer.status, answer.raw)
        return str(answer.json["id"])

    def show(self, task: str) -> dict[str, Any]:
        answer = self.ask("GET", f"/predictions/{task}")
        assert answer.status == 200, (answer.status, answer.raw)
        return dict(answer.json)

    def cancel(self, task: str) -> dict[str, Any]:
        answer = self.ask("POST", f"/predictions/{task}/cancel")
        assert answer.status == 200, (answer.status, answer.raw)
        return dict(answer.json)

    def ended(self, task: str, within_s: float = 30.0) -> dict[str, Any]:
        """The task when it has ended."""
        return until(lambda: found if (found := self.show(task))["status"] in ENDED else None, within_s, task)

    def crash(self, within_s: float = 20.0) -> int:
        """Wait until the server has died by itself; what it died of."""
        process = self.live.process
        assert process is not None
        status = process.wait(within_s)
        self.live.process = None
        return status

    def rows(self, query: str, *params: Any) -> list[tuple[Any, ...]]:
        """Straight from the database, read only."""
        with sqlite3.connect(f"file:{self.live.data}/penstock.db?mode=ro", uri=True, timeout=10) as database:
            return database.execute(query, params).fetchall()

    def facts(self, task: str) -> dict[str, Any]:
        """The columns that no dialect shows."""
        names = ("state", "attempt", "error_code", "hold", "charge")
        return dict(zip(names, self.rows(f"SELECT {', '.join(names)} FROM tasks WHERE id = ?", task)[0], strict=True))

    def balance(self, account: str = "default") -> int:
        """The live balance, in micro-dollars."""
        query = "SELECT amount FROM balances b JOIN accounts a ON a.id = b.account WHERE a.name = ? AND b.mode = 'live'"
        return int(self.rows(query, account)[0][0])

    def count(self, table: str) -> int:
        return int(self.rows(f"SELECT count(*) FROM {table}")[0][0])

    def books_balance(self) -> str:
        """What `penstock ledger check` prints; raises RuntimeError where the books are wrong."""
        return self.live.cli("ledger", "check")

    def errors_in_the_books(self) -> list[str]:
        """What `penstock ledger check` would say, without the cost of its process; the server must have ended."""
        return asyncio.run(_errors_in_the_books(self.live))

    def webhook_secret(self) -> str:
        return str(self.ask("GET", "/webhooks/default/secret").json["key"])


async def _errors_in_the_books(live: Live) -> list[str]:
    async with gateway.opened(load(data=live.data, plugins=(PLUGINS["PENSTOCK_PLUGINS"],))) as ctx:
        return await audit.check(ctx)


def until(look: Callable[[], T | None], within_s: float, what: object = "it") -> T:
    """What `look` finds, as soon as it is not None."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            found = look()
        except ConnectionError:  # killed just now; it comes back
            found = None
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not in {within_s:g} s")
        time.sleep(0.05)


def side_by_side(work: Callable[[Any], T], each: Iterable[Any], threads: int = 32) -> list[T]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, each))


def statuses(secret: str, deliveries: Iterable[Delivery]) -> list[str]:
    """What webhooks told, in the order of their arrival; raises WebhookVerificationError for a wrong signature."""
    signer = Webhook(secret)
    return [signer.verify(delivery.body, delivery.headers)["status"] for delivery in deliveries]

"""What clients of language models do wrong is refused in the words of the API that they speak: nothing stays held,
nothing is charged, nothing of ours is told, and nobody else waits. At the sandbox, and translated for another vendor.
"""

from __future__ import annotations

import copy
import json
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest

from tests.asking import Reply, ask
from tests.contract.gateways import CHANNELS, add, key, operator
from tests.fault.stage import until
from tests.fault.wrongs import (
    A_LOT,
    CHATS,
    FULL,
    JUDGED,
    JUNK,
    KINDS,
    MANY,
    OF_A_WRONG_TYPE,
    OPTIONAL,
    RAW,
    SURFACES,
    TOO_DEEP,
    UNREADABLE,
    WRONG,
    Body,
    Surface,
)
from tests.live import Live

WITHIN_S = 5.0
FUZZED_S, AT_ONCE, PATIENT_S = 6.0, 10, 15.0
MAX_BODY = 16 << 20
TOPUP_USD = 1000
BOTH = pytest.mark.parametrize("way", ["test", "live"])
ALL = pytest.mark.parametrize("surface", SURFACES, ids=str)


# ── two gateways ──────────────────────────────────────────────────────────────────────────────────────────────────────

CREDENTIALS: Mapping[str, list[Mapping[str, str]]] = {
    "openai": [{"authorization": "Bearer {}"}, {"authorization": "{}"}, {"api_key": "{}"}],
    "anthropic": [{"x_api_key": "{}"}, {"authorization": "Bearer {}"}],
    "gemini": [{"x_goog_api_key": "{}"}, {"authorization": "Bearer {}"}],
}
ALWAYS = {"anthropic": {"anthropic_version": "2023-06-01"}}


@dataclass
class World:
    """The one whose sandbox answers, and one before it, to which the first is a vendor of each format."""

    behind: Live
    before: Live
    live_key: str
    revoked: str
    answered: Counter[str] = field(default_factory=Counter)

    def ask(self, live: Live, path: str, method: str = "POST", **more: Any) -> Reply:
        sent: Body = {"timeout_s": WITHIN_S, "content_type": "application/json"} | more
        reply = ask(live.url + path, method, **sent)
        told = reply.body + str(reply.headers).encode()
        assert not [secret for secret in self.secrets() if secret.encode() in told]
        self.answered[live.url] += reply.status == 200
        return reply

    def send(self, surface: Surface, way: str, body: Any = None, *, model: str = "", **more: Any) -> Reply:
        live, secret = (self.behind, self.behind.test_key) if way == "test" else (self.before, self.live_key)
        model = model or getattr(surface, way)
        raw = body if isinstance(body, bytes) else json.dumps(body or self.good(surface, way)).encode()
        credential = {name: words.format(secret) for name, words in CREDENTIALS[surface.dialect][0].items()}
        sent: Body = ALWAYS.get(surface.dialect, {}) | credential | more
        return self.ask(live, surface.path.format(model=model), body=raw, **sent)

    def named(self, surface: Surface, way: str) -> Body:
        return {} if "{model}" in surface.path else {"model": getattr(surface, way)}

    def good(self, surface: Surface, way: str) -> Body:
        return surface.body | self.named(surface, way)

    def secrets(self) -> list[str]:
        return [self.behind.test_key, self.live_key, self.revoked, f"127.0.0.1:{self.behind.port}"]

    def charges(self, live: Live) -> tuple[int, int]:
        """How many, and what they come to where money is real."""
        query = "SELECT count(*), sum(CASE mode WHEN 'live' THEN amount ELSE 0 END) FROM charges"
        with sqlite3.connect(f"file:{live.data}/penstock.db?mode=ro", uri=True, timeout=10) as database:
            count, total = database.execute(query).fetchone()
        return count, total or 0

    def balance(self) -> int:
        """What can be spent: what is held can't."""
        return int(operator(self.before, "accounts.list")[0]["live"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("bad-calls")
    with Live(folder / "behind") as behind, Live(folder / "before") as before:
        revoked = operator(before, "keys.create", name="gone", mode="live", account="default")
        made = World(behind, before, key(before, "live"), revoked["key"])
        operator(before, "keys.revoke", key=revoked["id"])
        operator(before, "accounts.topup", name="default", usd=str(TOPUP_USD), mode="live")
        for name, channel in CHANNELS.items():
            add(before, behind, name, channel)
        vendor = {"provider": "openai", "base_url": f"{behind.url}/v1", "credential": behind.test_key, "options": {}}
        operator(before, "channels.add", name="unpriced", models={"unpriced": "gpt-5.4"}, **vendor)
        yield made


@pytest.fixture(autouse=True)
def _nothing_is_charged_and_others_are_served(world: World) -> Iterator[None]:
    lives = (world.before, world.behind)
    before = [world.charges(live)[0] for live in lives]
    world.answered.clear()
    yield
    more = [world.charges(live)[0] - count for live, count in zip(lives, before, strict=True)]
    assert more[0] <= world.answered[world.before.url]
    assert more[1] <= world.answered.total()
    for way in ("test", "live"):
        assert world.send(SURFACES[0], way).status == 200


OF_OPENAI = {
    400: {"invalid_request_error/invalid_request", "invalid_request_error/unsupported_value"},
    401: {"authentication_error/invalid_api_key"},
    403: {"permission_error/model_price_error"},
    404: {"invalid_request_error/model_not_found", "invalid_request_error/not_found"},
    405: {"invalid_request_error/method_not_allowed"},
    413: {"invalid_request_error/request_too_large"},
}
STATUSES = tuple(OF_OPENAI)
OF_ANTHROPIC = "invalid_request_error authentication_error permission_error not_found_error invalid_request_error"
OF_GOOGLE = "INVALID_ARGUMENT UNAUTHENTICATED PERMISSION_DENIED NOT_FOUND UNIMPLEMENTED INVALID_ARGUMENT"
WORDS: Mapping[str, Mapping[int, set[str]]] = {
    "openai": OF_OPENAI,
    "anthropic": {s: {word} for s, word in zip(STATUSES, f"{OF_ANTHROPIC} request_too_large".split(), strict=True)},
    "gemini": {s: {word} for s, word in zip(STATUSES, OF_GOOGLE.split(), strict=True)},
}


def refused(dialect: str, reply: Reply, status: int, what: object = "") -> None:
    """In the shape and the words of this dialect."""
    where = (what, reply.status, reply.body[:500])
    assert reply.status == status, where
    assert reply.headers["content-type"] == "application/json", where
    said, fault = reply.json, reply.json["error"]
    if dialect == "openai":
        assert (said.keys(), fault.keys()) == ({"error"}, {"message", "type", "param", "code"}), where
        word = f"{fault['type']}/{fault['code']}"
    elif dialect == "anthropic":
        assert (said["type"], fault.keys()) == ("error", {"type", "message"}), where
        assert said.get("request_id") == reply.headers.get("request-id"), where
        word = fault["type"]
    else:
        assert (said.keys(), fault.keys() - {"details"}) == ({"error"}, {"code", "message", "status"}), where
        assert fault["code"] == status, where
        word = fault["status"]
    assert word in WORDS[dialect][status], where
    assert fault["message"], where
    assert b"Traceback" not in reply.body


def put(body: Body, path: str, value: Any) -> Body:
    """A copy, changed there; what leads there is made."""
    made = copy.deepcopy(body)
    node: Any = made
    way: list[Any] = [int(step) if step.isdigit() else step for step in path.split(".")]
    last = way.pop()
    for step in way:
        node = node[step] if isinstance(node, list) else node.setdefault(step, {})
    node[last] = value
    return made


# ── bodies ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@BOTH
@ALL
def test_what_is_no_request(world: World, surface: Surface, way: str) -> None:
    good = json.dumps(world.good(surface, way)).encode()
    within = [good.replace(b"A weir", words) for words in UNREADABLE]
    behind = [good[:-1] + b',"x":' + value + b"}" for value in (b"NaN", b"-Infinity", b"01", *TOO_DEEP)]
    for body in (*RAW, b"[" * 20_000, good[:-1], b"\xef\xbb\xbf" + good, *within, *behind):
        refused(surface.dialect, world.send(surface, way, body), 400, body[:200])


@ALL
def test_too_much(world: World, surface: Surface) -> None:
    good = json.dumps(world.good(surface, "live")).encode()
    much = good[:-1] + b',"%b":%b}' % (surface.about.encode(), A_LOT)
    refused(surface.dialect, world.send(surface, "live", much, timeout_s=PATIENT_S), 400)
    refused(surface.dialect, world.send(surface, "live", b" " * (MAX_BODY + 1), timeout_s=PATIENT_S), 413)


@BOTH
@ALL
def test_fields_that_are_missing_or_of_a_wrong_type(world: World, surface: Surface, way: str) -> None:
    good = world.good(surface, way)
    for path, kind in [one.split(":") for one in KINDS[surface.name].split()]:
        for wrong in OF_A_WRONG_TYPE[kind]:
            refused(surface.dialect, world.send(surface, way, put(good, path, wrong)), 400, (path, wrong))
    for name in good.keys() - {"max_tokens", *OPTIONAL.get(surface.name, ())}:
        less = {other: given for other, given in good.items() if other != name}
        refused(surface.dialect, world.send(surface, way, json.dumps(less).encode()), 400, f"no {name}")


@BOTH
@pytest.mark.parametrize("surface", CHATS, ids=str)
def test_nonsense_within(world: World, surface: Surface, way: str) -> None:
    full = FULL[surface.name] | world.named(surface, way)
    assert world.send(surface, way, full).status == 200
    for path, wrong in WRONG[surface.name]:
        refused(surface.dialect, world.send(surface, way, put(full, path, wrong)), 400, (path, str(wrong)[:80]))


@BOTH
@pytest.mark.parametrize("surface", CHATS, ids=str)
def test_what_vendors_may_judge(world: World, surface: Surface, way: str) -> None:
    """Some take it, some refuse it; it is no fault of ours, and it is soon over."""
    for path, odd in (*JUDGED[surface.name], *MANY.get(surface.name, ()), ("x\r\nset-cookie: a=b", 1)):
        reply = world.send(surface, way, put(FULL[surface.name] | world.named(surface, way), path, odd))
        assert reply.status in (200, 400), (path, str(odd)[:80], reply.body[:300])
        assert "set-cookie" not in reply.headers
        assert len(reply.headers.get("x-penstock-dropped", "")) <= 2000


# ── who asks, for what, where ─────────────────────────────────────────────────────────────────────────────────────────


@ALL
def test_keys(world: World, surface: Surface) -> None:
    path = surface.path.format(model=surface.live)
    body, always = world.good(surface, "live"), ALWAYS.get(surface.dialect, {})
    refused(surface.dialect, world.ask(world.before, path, body=body, **always), 401, "no key")
    wrong = (
        world.revoked,
        world.behind.test_key,
        "sk-live-wrong",
        "Bearer",
        "é" * 10,
        "sk-live-" + "x" * 20_000,
        "a b",
    )
    for place in CREDENTIALS[surface.dialect]:
        for one in wrong:
            given = always | {name: words.format(one) for name, words in place.items()}
            refused(surface.dialect, world.ask(world.before, path, body=body, **given), 401, (place, one[:30]))
        given = always | {name: words.format(world.live_key) for name, words in place.items()}
        assert world.ask(world.before, path, body=body, **given).status == 200
    for query in (f"key={world.revoked}", "key=x&key=y", "key=", "key=%00", "key=%FF", "alt=foo&key=x"):
        refused(surface.dialect, world.ask(world.before, f"{path}?{query}", body=body, **always), 401, query)


@ALL
def test_models(world: World, surface: Surface) -> None:
    in_path = "{model}" in surface.path
    names = ("nobody", "a/b/c", "\0", "é", "..", "x\r\ny: z", "a" * 5000, "sandbox/nothing")
    for way, model in [("test", name) for name in names] + [("live", name) for name in (*names, "sandbox/instant")]:
        model = quote(model) if in_path else model
        reply = world.send(surface, way, world.good(surface, way) | ({} if in_path else {"model": model}), model=model)
        refused(surface.dialect, reply, 404, (way, model[:50]))
    if surface in CHATS:
        named = {} if in_path else {"model": "unpriced"}
        refused(surface.dialect, world.send(surface, "live", surface.body | named, model="unpriced"), 403)


@ALL
def test_paths_methods_and_queries(world: World, surface: Surface) -> None:
    path, always = surface.path.format(model=surface.live), ALWAYS.get(surface.dialect, {})
    given = {name: words.format(world.live_key) for name, words in CREDENTIALS[surface.dialect][0].items()} | always
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        reply = world.ask(world.before, path, method, **given)
        refused(surface.dialect, reply, 405, method)
        assert "POST" in reply.headers["allow"]
    for method in ("GET", "HEAD"):
        reply = world.ask(world.before, path, method, **given)
        assert (reply.status, method == "HEAD") in {(404 if surface.dialect == "gemini" else 405, not reply.body)}
    below = world.ask(world.before, f"{path}/nonsense", body={}, **given)
    refused(surface.dialect, below, 405 if surface.name == "responses" else 404)
    for query in ("beta=true", "alt=foo", "alt=json&alt=sse", "%zz=%&&=;", "x=" + "a" * 5000):
        reply = world.ask(world.before, f"{path}?{query}", body=world.good(surface, "live"), **given)
        assert reply.status == 200, (query, reply.body)
    junk = {"user_agent": "\xff" * 100, "openai_beta": "é", "anthropic_beta": "é,\x7f", "x": "y" * 5000}
    for way in ("live", "own", "test"):
        assert world.send(surface, way, **junk).status in (200, 400)
    assert world.send(surface, "live", content_encoding="gzip", expect="x").status in (200, 400, 415, 417)


LISTS = {
    "openai": ("/v1/models", []),
    "anthropic": ("/v1/models", ["limit=x", "limit=0", "limit=-1", "limit=9999", "after_id=no", "before_id=no"]),
    "gemini": ("/v1beta/models", ["pageSize=x", "pageSize=-1", "pageToken=no", "pageToken=1e9", "pageSize=%D9%A3"]),
}


@pytest.mark.parametrize("dialect", LISTS)
def test_lists_of_models(world: World, dialect: str) -> None:
    path, queries = LISTS[dialect]
    always = ALWAYS.get(dialect, {})
    for place in CREDENTIALS[dialect]:
        for one, status in ((world.live_key, 200), (world.revoked, 401), ("x", 401)):
            given = {name: words.format(one) for name, words in place.items()} | always
            reply = world.ask(world.before, path, "GET", **given)
            assert reply.status == status
            if status != 200:
                refused(dialect, reply, 401)
                refused(dialect, world.ask(world.before, f"{path}/model-openai", "GET", **given), 401)
        given = {name: words.format(world.live_key) for name, words in place.items()} | always
        for query in queries:
            refused(dialect, world.ask(world.before, f"{path}?{query}", "GET", **given), 400, query)
        for name in ("nobody", "a/b", "%00", "..", "a" * 5000, "%ff", "sandbox/instant"):
            refused(dialect, world.ask(world.before, f"{path}/{name}", "GET", **given), 404, name[:20])
        refused(dialect, world.ask(world.before, path, "DELETE", **given), 405)


# ── real requests, broken anywhere ────────────────────────────────────────────────────────────────────────────────────


def places(node: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for name, inner in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield (*above, name)
        yield from places(inner, (*above, name))


def broken(dice: random.Random, good: Body) -> Body:
    """With one to three of its nodes dropped, doubled, moved, or replaced by junk."""
    made = copy.deepcopy(good)
    for _ in range(dice.choice((1, 1, 2, 3))):
        found = list(places(made))
        if not found:
            break
        *way, last = dice.choice(found)
        node: Any = made
        for step in way:
            node = node[step]
        match dice.randrange(5):
            case 0:
                del node[last]
            case 1 if isinstance(node, list):
                node.append(copy.deepcopy(node[last]))
            case 2 if isinstance(node, dict):
                node[dice.choice(("x", "", "type", "$ref", "role", "content"))] = node.pop(last)
            case _:
                node[last] = copy.deepcopy(dice.choice(JUNK))
    return made


@pytest.mark.parametrize("surface", CHATS, ids=str)
def test_requests_broken_anywhere(world: World, surface: Surface) -> None:
    dice = random.Random(surface.name)
    end = time.monotonic() + FUZZED_S

    def one(seed: int) -> tuple[int, Body, Reply] | None:
        if time.monotonic() > end:
            return None
        own = random.Random(seed)
        way = own.choice(("test", "live", "own"))
        body = broken(own, FULL[surface.name] | world.named(surface, way))
        return seed, body, world.send(surface, way, json.dumps(body).encode(), timeout_s=PATIENT_S)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        replies = [done for done in pool.map(one, [dice.getrandbits(32) for _ in range(20_000)]) if done]
    for seed, body, reply in replies:
        told = (seed, json.dumps(body)[:2000], reply.status, reply.body[:300])
        assert reply.status in (200, 400, 404), told
        if reply.status != 200:
            refused(surface.dialect, reply, reply.status, told)
        assert reply.status != 200 or b'"error":{' not in reply.body, told
    assert {reply.status for _, _, reply in replies} >= {200, 400}


# ── afterwards ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_books_and_the_logs(world: World) -> None:
    until(lambda: world.balance() == TOPUP_USD * 1_000_000 - world.charges(world.before)[1] or None, 10.0, "holds")
    for live in (world.behind, world.before):
        assert operator(live, "ledger.check") == []
        told = live.log.read_text(errors="replace")
        assert "Traceback" not in told, live.log_tail()
        assert not [secret for secret in world.secrets()[:3] if secret in told]

"""Penstock in front of real Cog servers of both generations: real input, live logs, cancel, large outputs, deaths."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from penstock.config import load
from penstock.console.asking import operate
from tests.fault.stage import ENDED, Gateway, until
from tests.live import Live
from tests.rigs.cog_server import CogServer, OldCogServer, free_port

RUN_MICROS = 10_000
SPARE_KB = 20 << 10
"""How much more memory than at rest a 50 MB file may take."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Live(tmp_path_factory.mktemp("cog-upstream")) as live:
        key = operator(live, "keys.create", name="callers", mode="live", account="default")
        operator(live, "accounts.topup", name="default", usd="100", mode="live")
        yield Gateway(live, key["key"])


@pytest.fixture(scope="module")
def cogs(gateway: Gateway) -> Iterator[Callable[..., CogServer]]:
    """Starts a server for `acme/<name>` behind a channel of its own, once each; a model of it costs `RUN_MICROS`."""
    running: dict[str, CogServer] = {}
    with ExitStack() as stack:

        def start(name: str, predictor: str, kind: type[CogServer] = CogServer, *, uploads: bool = False) -> CogServer:
            if name not in running:
                port = free_port()
                added = add_channel(gateway.live, name, f"http://127.0.0.1:{port}")
                url = added["upload_url"] if uploads else None
                running[name] = stack.enter_context(kind(predictor, port, url))
                works = operator(gateway.live, "channels.test", name=name)
                assert works["works"], works
            return running[name]

        yield start


def add_channel(live: Live, name: str, base_url: str) -> dict[str, Any]:
    given = {"name": name, "provider": "cog", "base_url": base_url, "models": [f"acme/{name}"]}
    added = operator(live, "channels.add", **given)
    lines = [{"unit": "run", "micros": RUN_MICROS, "per": 1}]
    operator(live, "prices.set", model=f"acme/{name}", lines=lines)
    return dict(added)


def operator(live: Live, act: str, **given: Any) -> Any:
    """What a command of the operator's does, without a process of its own."""
    return asyncio.run(operate(load(data=live.data), act, given))


# ── the caller's own picture ──────────────────────────────────────────────────────────────────────────────────────────


def test_it_works_on_an_uploaded_picture_and_its_logs_grow(gateway: Gateway, cogs: Callable[..., CogServer]) -> None:
    cogs("picture", "picture")
    url = upload(gateway, "mine.png", png(picture()))
    before = gateway.balance()
    task = create(gateway, "acme/picture", image=url, steps=10, delay_s=0.3)
    seen: dict[str, None] = {}
    while (shown := gateway.show(task))["status"] not in ENDED:
        if shown["logs"]:
            seen[shown["logs"]] = None
        time.sleep(0.05)
    assert shown["status"] == "succeeded", shown
    assert len(seen) >= 3
    assert all(later.startswith(earlier) for earlier, later in zip(seen, list(seen)[1:], strict=False))
    assert shown["logs"].endswith("100%|##########| 10/10\n")
    assert shown["metrics"]["predict_time"] >= 3
    assert is_worked_on(download(shown["output"]))
    assert before - gateway.balance() == RUN_MICROS


def test_it_works_on_a_data_url(gateway: Gateway, cogs: Callable[..., CogServer]) -> None:
    cogs("picture", "picture")
    ended = run(gateway, "acme/picture", image=data_url(png(picture())), steps=1, delay_s=0)
    assert is_worked_on(download(ended["output"]))


def test_it_works_on_a_large_data_url(gateway: Gateway, cogs: Callable[..., CogServer]) -> None:
    """One that the gateway keeps as a file, so the server fetches it from here."""
    cogs("picture", "picture")
    large = picture().resize((640, 640)).convert("RGB")
    noisy = Image.blend(large, Image.effect_noise((640, 640), 90).convert("RGB"), 0.3)
    ended = run(gateway, "acme/picture", image=data_url(png(noisy)), steps=1, delay_s=0)
    assert is_worked_on(download(ended["output"]), noisy)


def test_it_works_on_a_picture_from_elsewhere(gateway: Gateway, cogs: Callable[..., CogServer], tmp_path: Path) -> None:
    cogs("picture", "picture")
    (tmp_path / "theirs.png").write_bytes(png(picture()))
    with file_server(tmp_path) as url:
        ended = run(gateway, "acme/picture", image=f"{url}/theirs.png", steps=1, delay_s=0)
    assert is_worked_on(download(ended["output"]))


@pytest.mark.parametrize("image", ["file:///etc/hostname", "/etc/hostname", "server.log", "gopher://127.0.0.1/x"])
def test_what_is_no_url_never_reaches_the_server(gateway: Gateway, cogs: Callable[..., CogServer], image: str) -> None:
    """A Cog server takes such a string for a path on its own disk."""
    cogs("picture", "picture")
    before = gateway.balance()
    answer = gateway.ask("POST", "/models/acme/picture/predictions", {"input": {"image": image}})
    assert answer.status == 422, answer.raw
    assert answer.json["invalid_fields"][0]["field"] == "input.image"
    assert gateway.balance() == before


def test_the_servers_own_schema_is_the_models(gateway: Gateway, cogs: Callable[..., CogServer]) -> None:
    cogs("picture", "picture")
    model = gateway.ask("GET", "/models/acme/picture").json
    properties = model["latest_version"]["openapi_schema"]["components"]["schemas"]["Input"]["properties"]
    assert properties["image"]["format"] == "uri"
    answer = gateway.ask("POST", "/models/acme/picture/predictions", {"input": {"steps": 0}})
    assert answer.status == 422
    fields = {field["field"]: field["type"] for field in answer.json["invalid_fields"]}
    assert fields == {"input": "required", "input.steps": "number_gte"}


# ── while it runs ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("name", "kind"), [("picture", CogServer), ("old-picture", OldCogServer)])
def test_cancel_stops_it(gateway: Gateway, cogs: Callable[..., CogServer], name: str, kind: type[CogServer]) -> None:
    cog = cogs(name, "picture", kind, uploads=name.startswith("old"))
    before = gateway.balance()
    task = create(gateway, f"acme/{name}", image=data_url(png(picture())), steps=100, delay_s=0.2)
    until(lambda: gateway.show(task)["logs"] or None, 10, "logs")
    gateway.cancel(task)
    assert gateway.ended(task, 10)["status"] == "canceled"
    cog.wait_for({"READY"})
    assert "canceled: the brushes are put away" in gateway.show(task)["logs"]
    assert gateway.balance() == before


@pytest.mark.parametrize(("name", "kind"), [("words", CogServer), ("old-words", OldCogServer)])
def test_words_stream(gateway: Gateway, cogs: Callable[..., CogServer], name: str, kind: type[CogServer]) -> None:
    cogs(name, "words", kind)
    prompt = " ".join(f"word{number}" for number in range(12))
    made = gateway.ask(
        "POST", f"/models/acme/{name}/predictions", {"input": {"prompt": prompt, "delay_s": 0.15}, "stream": True}
    ).json
    events = list(follow(made["urls"]["stream"]))
    words = [data for name, data, _ in events if name == "output"]
    assert "".join(words) == " ".join(reversed(prompt.split())) + " "
    at = [at for name, _, at in events if name == "output"]
    assert at[-1] - at[0] > 0.5, "the words came all at once"
    assert events[-1][0] == "done"
    assert gateway.ended(made["id"])["output"] == words


@pytest.mark.parametrize("uploads", [False, True])
def test_several_outputs(gateway: Gateway, cogs: Callable[..., CogServer], uploads: bool) -> None:
    name = f"several{'-up' * uploads}"
    cogs(name, "several", uploads=uploads)
    ended = run(gateway, f"acme/{name}", count=3, colour="teal")
    sizes = sorted(Image.open(io.BytesIO(download(url))).size for url in ended["output"])
    assert sizes == [(10, 10), (20, 10), (30, 10)]


# ── the old generation ────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_old_generation_works_on_an_uploaded_picture(gateway: Gateway, cogs: Callable[..., CogServer]) -> None:
    cogs("old-picture", "picture", OldCogServer, uploads=True)
    url = upload(gateway, "mine.png", png(picture()))
    ended = run(gateway, "acme/old-picture", image=url, steps=4, delay_s=0.3)
    assert is_worked_on(download(ended["output"]))
    assert ended["logs"].endswith("100%|##########| 4/4\n")


def test_an_output_left_on_the_old_servers_disk_is_a_clear_failure(
    gateway: Gateway, cogs: Callable[..., CogServer]
) -> None:
    cogs("old-several", "big", OldCogServer)
    before = gateway.balance()
    ended = gateway.ended(create(gateway, "acme/old-several", megabytes=1))
    assert ended["status"] == "failed"
    assert "--upload-url" in ended["error"]
    assert gateway.balance() == before


# ── large outputs ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("name", "kind"), [("big", CogServer), ("old-big", OldCogServer)])
def test_fifty_megabytes_pass_in_little_memory(
    gateway: Gateway, cogs: Callable[..., CogServer], name: str, kind: type[CogServer]
) -> None:
    cogs(name, "big", kind, uploads=True)
    run(gateway, f"acme/{name}", megabytes=1)
    assert gateway.live.process is not None
    with Peak(gateway.live.process.pid) as peak:
        ended = run(gateway, f"acme/{name}", megabytes=50)
    assert peak.above_rest_kb < SPARE_KB, f"taking it in: {peak.above_rest_kb} kB"
    with Peak(gateway.live.process.pid) as peak:
        digest, size = hashlib.sha256(), 0
        with urllib.request.urlopen(ended["output"], timeout=30) as reply:
            while chunk := reply.read(1 << 20):
                digest.update(chunk)
                size += len(chunk)
    assert peak.above_rest_kb < SPARE_KB, f"giving it out: {peak.above_rest_kb} kB"
    assert size == 50 << 20
    assert f"sha256 {digest.hexdigest()}\n" in ended["logs"]


class Peak:
    """The most memory that a process held while this was open, above what it held at its beginning."""

    def __init__(self, pid: int) -> None:
        self._process = Path(f"/proc/{pid}")
        self.above_rest_kb = 0

    def __enter__(self) -> Peak:
        (self._process / "clear_refs").write_text("5")  # the peak is counted anew from here
        self._rest = self._kb("VmRSS")
        return self

    def __exit__(self, *_: object) -> None:
        self.above_rest_kb = self._kb("VmHWM") - self._rest

    def _kb(self, name: str) -> int:
        lines = (self._process / "status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


# ── deaths ────────────────────────────────────────────────────────────────────────────────────────────────────────────


DEATHS = [(kind, death) for kind in (CogServer, OldCogServer) for death in ("worker", "server", "restart")]
BLAMED = ("crashed", "gone", "died", "restarted", "unknown reason")


@pytest.fixture(scope="module")
def deaths(gateway: Gateway, cogs: Callable[..., CogServer]) -> Iterator[dict[str, Future[None]]]:
    """All of them at once: they wait more than they work."""
    with ThreadPoolExecutor(len(DEATHS)) as pool:
        dying = {}
        for kind, death in DEATHS:
            name = f"mortal-{death}-{kind.__name__.lower()}"
            cog = cogs(name, "picture", kind, uploads=True)
            dying[f"{kind.__name__} {death}"] = pool.submit(die, gateway, cog, name, death)
        yield dying


def die(gateway: Gateway, cog: CogServer, name: str, death: str) -> None:
    task = create(gateway, f"acme/{name}", image=data_url(png(picture())), steps=100, delay_s=1)
    until(lambda: gateway.show(task)["logs"] or None, 15, "logs")
    assert entered(gateway, task) == -RUN_MICROS
    if death == "worker":
        cog.kill_worker()
    else:
        cog.kill()
        if death == "restart":
            cog.start()
    ended = gateway.ended(task, 30)
    assert ended["status"] == "failed"
    assert any(word in ended["error"].lower() for word in BLAMED), ended["error"]
    assert entered(gateway, task) == 0, "the hold was not released"


def entered(gateway: Gateway, task: str) -> int:
    """What the books hold for this task."""
    return int(gateway.rows("SELECT sum(amount) FROM entries WHERE work = ?", task)[0][0])


@pytest.mark.parametrize(("kind", "death"), DEATHS)
def test_a_death_fails_the_task_and_releases_the_hold(
    deaths: dict[str, Future[None]], kind: type[CogServer], death: str
) -> None:
    deaths[f"{kind.__name__} {death}"].result()


def test_a_gateway_that_was_away_hears_of_the_end(gateway: Gateway, cogs: Callable[..., CogServer]) -> None:
    """The server repeats its last webhook for some minutes."""
    cog = cogs("picture", "picture")
    task = create(gateway, "acme/picture", image=data_url(png(picture())), steps=4, delay_s=0.3)
    until(lambda: gateway.show(task)["logs"] or None, 10, "logs")
    gateway.live.kill()
    cog.wait_for({"READY"})
    time.sleep(1)
    gateway.live.start()
    ended = gateway.ended(task)
    assert ended["status"] == "succeeded", ended
    assert is_worked_on(download(ended["output"]))


def test_the_books_balance_in_the_end(gateway: Gateway) -> None:
    assert operator(gateway.live, "ledger.check") == []


# ── how ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def create(gateway: Gateway, model: str, **input: Any) -> str:
    answer = gateway.ask("POST", f"/models/{model}/predictions", {"input": input})
    assert answer.status == 201, (answer.status, answer.raw)
    return str(answer.json["id"])


def run(gateway: Gateway, model: str, **input: Any) -> dict[str, Any]:
    ended = gateway.ended(create(gateway, model, **input))
    assert ended["status"] == "succeeded", ended
    return ended


def upload(gateway: Gateway, name: str, data: bytes) -> str:
    edge = "edge-of-a-part"
    head = f'--{edge}\r\nContent-Disposition: form-data; name="content"; filename="{name}"\r\n\r\n'.encode()
    headers = {"authorization": f"Bearer {gateway.key}", "content-type": f"multipart/form-data; boundary={edge}"}
    body = head + data + f"\r\n--{edge}--\r\n".encode()
    request = urllib.request.Request(f"{gateway.live.url}{gateway.prefix}/files", body, headers)
    with urllib.request.urlopen(request, timeout=30) as reply:
        return str(json.load(reply)["urls"]["get"])


def download(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as reply:
        body: bytes = reply.read()
        return body


def follow(url: str) -> Iterator[tuple[str, str, float]]:
    """(name, data, when) of every event of a stream, until it is closed."""
    request = urllib.request.Request(url, headers={"accept": "text/event-stream"})
    with urllib.request.urlopen(request, timeout=30) as reply:
        event: dict[str, list[str]] = {}
        for line in reply:
            name, _, value = line.decode().rstrip("\r\n").partition(": ")
            if name:
                event.setdefault(name, []).append(value)
            elif "event" in event:
                yield event["event"][0], "\n".join(event.get("data", [])), time.monotonic()
                event = {}


def picture() -> Image.Image:
    """Differs from its mirror image, and says more than four bits a channel can."""
    across = Image.linear_gradient("L").rotate(90)
    return Image.merge("RGB", (across, Image.radial_gradient("L"), Image.linear_gradient("L")))


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def data_url(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def is_worked_on(output: bytes, given: Image.Image | None = None) -> bool:
    """Whether this is what the predictor makes of the given picture, and of no other."""
    made = Image.open(io.BytesIO(output)).convert("RGB")
    return made.tobytes() == ImageOps.posterize(ImageOps.mirror(given or picture()), 4).tobytes()


@contextmanager
def file_server(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()

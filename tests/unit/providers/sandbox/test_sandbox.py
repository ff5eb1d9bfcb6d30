"""The pretend vendor: its jobs live by their scripts, outlive a restart, and make what their models' schemas say."""

import asyncio
import base64
import itertools
import os
from io import BytesIO

import msgspec
import pytest
from PIL import Image

from penstock.canonical.media import OpenJob
from penstock.canonical.task import Report, State
from penstock.canonical.usage import Unit
from penstock.catalog import Catalog
from penstock.errors import ContentRefused, UpstreamBusy, UpstreamForgot
from penstock.providers._base import Ask
from penstock.providers.sandbox import Sandbox, SandboxTask
from penstock.providers.sandbox.vendor import Vendor

START = 1_790_000_000_000_000_000
TAG = "01k2n3m4p5q6r7s8t9v0w1x2y0"
FILE = {"type": "string", "format": "uri"}
FILES = {"type": "array", "items": FILE}
TOKENS = {"type": "array", "items": {"type": "string"}, "x-cog-array-type": "iterator"}
MODELS = [model for model in Catalog.load().models() if model.owner != "sandbox"]


class Clock:
    def __init__(self):
        self.at = START

    def __call__(self):
        return self.at

    def pass_s(self, seconds):
        self.at += int(seconds * 1e9)


class Bench:
    """A vendor under a clock that is moved by hand."""

    def __init__(self, folder):
        self.folder, self.clock, self.endpoint = folder, Clock(), SandboxTask()
        self.vendor = Vendor(folder, self.clock)

    def restart(self):
        self.vendor = Vendor(self.folder, self.clock)

    async def submit(self, prompt="a fox in the snow", tag=TAG, **facts) -> Report:
        facts = {"model": "acme/picture", "kind": "image", "output_schema": FILE, "usual_s": 2.0, **facts}
        input = {"prompt": prompt, **facts.pop("input", {})}
        job = OpenJob(upstream_model=facts["model"], input=input, **facts)
        return await converse(self.endpoint.submit(job, tag), self.vendor)

    async def watch(self, after_s=0.0, tag=TAG) -> Report:
        self.clock.pass_s(after_s)
        return await converse(self.endpoint.watch(tag), self.vendor)

    async def cancel(self, tag=TAG) -> Report:
        return await converse(self.endpoint.cancel(tag), self.vendor)

    async def find(self, tag=TAG) -> Report | None:
        return await converse(self.endpoint.find(tag), self.vendor)

    async def file(self, url):
        return await self.vendor.answer(Ask("GET", url))


async def converse(talk, vendor):
    """What `calls.talk` does, without its context."""
    try:
        ask = next(talk)
        while True:
            status, headers, body = await vendor.answer(ask)
            if status >= 400:
                wait = headers.get("retry-after")
                raise Sandbox().refusal(status, msgspec.json.decode(body), wait and float(wait), creates=False)
            ask = talk.send(msgspec.json.decode(body))
    except StopIteration as done:
        return done.value


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path / "sandbox")


@pytest.fixture
def anyio_backend():
    return "asyncio"


pytestmark = pytest.mark.anyio


# ── life ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_job_is_queued_runs_with_growing_logs_and_succeeds(bench):
    first = await bench.submit()
    assert (first.state, first.ref, first.logs, first.started_at) == (State.QUEUED, TAG, "", None)
    seen = [await bench.watch(0.2) for _ in range(10)]
    running = [report for report in seen if report.state is State.RUNNING]
    logs = [report.logs for report in running]
    assert len(set(logs)) >= 3
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(logs))
    assert all(report.output is None and not report.metrics for report in running)
    last = await bench.watch(0.2)
    assert last.state is State.SUCCEEDED
    assert last.logs.startswith(logs[-1]) and last.logs.endswith("Done.\n")
    assert last.output == f"sandbox://files/{TAG}/0.webp"
    assert last.metrics == {"predict_time": 2.0, "image_count": 1}
    assert last.usage == {Unit.SECOND: 2.0, Unit.OUTPUT: 1}
    assert last.completed_at - last.started_at == 2_000_000_000
    assert await bench.watch(3600) == last


async def test_a_text_grows_token_by_token(bench):
    await bench.submit(kind="text", output_schema=TOKENS)
    seen = [await bench.watch(0.25) for _ in range(9)]
    outputs = [report.output or [] for report in seen]
    assert all(report.text for report in seen)
    assert all(later[: len(earlier)] == earlier for earlier, later in itertools.pairwise(outputs))
    assert len({len(output) for output in outputs}) >= 6
    assert "a fox in the snow" in "".join(outputs[-1])
    assert seen[-1].state is State.SUCCEEDED
    metrics = seen[-1].metrics
    assert metrics["output_token_count"] == len(outputs[-1]) == seen[-1].usage[Unit.OUTPUT_TOKEN]
    assert metrics["input_token_count"] == 5
    assert 0 < metrics["time_to_first_token"] < metrics["predict_time"] == 2.0
    assert metrics["tokens_per_second"] == pytest.approx(len(outputs[-1]) / 2, abs=0.01)


async def test_a_text_ends_at_max_tokens(bench):
    await bench.submit("hello [[slow:0]]", kind="text", output_schema=TOKENS, input={"max_tokens": 7})
    assert len((await bench.watch()).output) == 7


async def test_a_cancel_stops_a_job_and_comes_too_late_for_an_ended_one(bench):
    await bench.submit()
    bench.clock.pass_s(1.1)
    canceled = await bench.cancel()
    assert (canceled.state, canceled.output) == (State.CANCELED, None)
    assert canceled.metrics == {"predict_time": 1.0, "image_count": 0}
    bench.restart()
    assert await bench.watch(10) == canceled == await bench.cancel()
    await bench.submit(tag="other")
    bench.clock.pass_s(10)
    assert (await bench.cancel("other")).state is State.SUCCEEDED


async def test_a_job_canceled_in_the_queue_never_started(bench):
    await bench.submit()
    canceled = await bench.cancel()
    assert (canceled.state, canceled.started_at, canceled.logs) == (State.CANCELED, None, "")
    assert canceled.usage == {Unit.SECOND: 0.0, Unit.OUTPUT: 0}


async def test_the_same_tag_is_the_same_job(bench):
    first, twin = await asyncio.gather(bench.submit(), bench.submit("another prompt"))
    assert first == twin
    assert await bench.find() == first
    assert await bench.find("unknown") is None
    with pytest.raises(UpstreamForgot):
        await bench.watch(tag="unknown")


async def test_a_restart_changes_nothing(bench):
    await bench.submit(output_schema=FILES, input={"num_outputs": 2})
    before = await bench.watch(1.0)
    bench.restart()
    assert await bench.watch() == before
    done = await bench.watch(2.0)
    files = [await bench.file(url) for url in done.output]
    bench.restart()
    assert [await bench.file(url) for url in done.output] == files
    assert files[0] != files[1]
    assert not [name for name in os.listdir(bench.folder / "jobs") if not name.endswith(".json")]


async def test_jobs_are_swept_a_day_after_their_end(bench):
    await bench.submit(input={"image": picture()})
    await bench.submit("[[hang]]", tag="hanging")
    bench.clock.pass_s(86_000)
    await bench.submit(tag="young")
    await bench.vendor.close()
    assert (await bench.watch()).state is State.SUCCEEDED
    bench.clock.pass_s(4000)
    await bench.submit(tag="newest")
    await bench.vendor.close()
    left = sorted(os.listdir(bench.folder / "jobs"))
    assert left == ["hanging.json", "newest.json", "young.json"]
    with pytest.raises(UpstreamForgot):
        await bench.watch()


# ── scripts ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("model", "directive"), [("sandbox/instant", ""), ("acme/picture", "[[slow:0]]")])
async def test_instant(bench, model, directive):
    report = await bench.submit(f"a fox {directive}", model=model)
    assert (report.state, report.metrics["predict_time"]) == (State.SUCCEEDED, 0.0)


@pytest.mark.parametrize(("model", "directive"), [("sandbox/slow", ""), ("acme/picture", "[[slow:30]]")])
async def test_slow(bench, model, directive):
    await bench.submit(f"a fox {directive}", model=model)
    assert (await bench.watch(30)).state is State.RUNNING
    assert (await bench.watch(0.2)).metrics["predict_time"] == 30.0


@pytest.mark.parametrize(("model", "directive"), [("sandbox/failing", ""), ("acme/picture", "[[fail:out of paint]]")])
async def test_failing(bench, model, directive):
    await bench.submit(f"a fox {directive}", model=model)
    assert (await bench.watch(1)).state is State.RUNNING
    report = await bench.watch(1)
    assert (report.state, report.output) == (State.FAILED, None)
    assert report.reason == ("out of paint" if directive else "The sandbox failed this job, as its script says.")
    assert report.logs.endswith(f"Error: {report.reason}\n")
    assert report.usage == {Unit.SECOND: 1.0, Unit.OUTPUT: 0}


@pytest.mark.parametrize(("model", "directive"), [("sandbox/refusing", ""), ("acme/picture", "[[refuse]]")])
async def test_refusing(bench, model, directive):
    with pytest.raises(ContentRefused, match="refused"):
        await bench.submit(f"a fox {directive}", model=model)
    assert await bench.find() is None


@pytest.mark.parametrize(("model", "directive"), [("sandbox/busy", ""), ("acme/picture", "[[busy:2]]")])
async def test_busy(bench, model, directive):
    for _ in range(2):
        with pytest.raises(UpstreamBusy) as refusal:
            await bench.submit(f"a fox {directive}", model=model)
        assert refusal.value.retry_after_s == 1.0
        assert await bench.find() is None
        bench.restart()
    assert (await bench.submit(f"a fox {directive}", model=model)).state is State.QUEUED


@pytest.mark.parametrize(("model", "directive"), [("sandbox/flaky", ""), ("acme/picture", "[[flaky]]")])
async def test_flaky(bench, model, directive):
    await bench.submit(f"a fox {directive}", model=model)
    for _ in range(3):
        await bench.watch(1)
        with pytest.raises(UpstreamBusy):
            await bench.watch()
    assert (await bench.watch()).state is State.SUCCEEDED


@pytest.mark.parametrize(("model", "directive"), [("sandbox/dying", ""), ("acme/picture", "[[die]]")])
async def test_dying(bench, model, directive):
    await bench.submit(f"a fox {directive}", model=model)
    assert (await bench.watch(1)).state is State.RUNNING
    with pytest.raises(UpstreamForgot):
        await bench.watch(1)
    assert await bench.find() is None


@pytest.mark.parametrize(("model", "directive"), [("sandbox/hanging", ""), ("acme/picture", "[[hang]]")])
async def test_hanging(bench, model, directive):
    await bench.submit(f"a fox {directive}", model=model)
    seen = await bench.watch(1)
    assert (await bench.watch(86_400)).state is State.RUNNING
    assert seen.logs and (await bench.watch(1)).logs == (await bench.watch(1)).logs
    assert (await bench.cancel()).state is State.CANCELED


async def test_outputs_by_directive_and_by_field(bench):
    await bench.submit("a fox [[slow:0]] [[outputs:4]]", output_schema=FILES)
    await bench.submit("a fox [[slow:0]]", tag="two", output_schema=FILES, input={"num_outputs": 2})
    assert len((await bench.watch()).output) == 4
    assert (await bench.watch(tag="two")).usage[Unit.OUTPUT] == 2


# ── what it makes ─────────────────────────────────────────────────────────────────────────────────────────────────────


def picture(size=(300, 150), format="PNG") -> str:
    out = BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(out, format)
    return f"data:image/{format.lower()};base64,{base64.b64encode(out.getvalue()).decode()}"


async def drawn(bench, **facts) -> Image.Image:
    await bench.submit("a fox [[slow:0]]", **facts)
    status, headers, body = await bench.file((await bench.watch()).output)
    assert status == 200, body
    image = Image.open(BytesIO(body))
    image.load()
    assert headers["content-type"] == Image.MIME[image.format]
    return image


@pytest.mark.parametrize(
    ("input", "size"),
    [
        ({}, (1024, 1024)),
        ({"aspect_ratio": "16:9"}, (1360, 768)),
        ({"aspect_ratio": "16:9", "megapixels": "0.25"}, (688, 384)),
        ({"aspect_ratio": "custom", "width": 512, "height": 320}, (512, 320)),
        ({"width": 768, "height": 640}, (768, 640)),
        ({"aspect_ratio": "Not set", "size": "1365x1024"}, (1365, 1024)),
        ({"aspect_ratio": "1:1", "resolution": "512x1536"}, (512, 1536)),
        ({"aspect_ratio": "1:1", "resolution": "None"}, (1024, 1024)),
        ({"aspect_ratio": "match_input_image", "input_image": picture()}, (1456, 720)),
        ({"aspect_ratio": "1:1", "image": picture()}, (1456, 720)),
        ({"aspect_ratio": "nonsense", "width": "wide", "seed": "x", "num_outputs": None}, (1024, 1024)),
        ({"width": 10**8, "height": -4}, (2048, 16)),
    ],
)
async def test_sides(bench, input, size):
    assert (await drawn(bench, input=input)).size == size


@pytest.mark.parametrize(
    ("asked", "format"), [("png", "PNG"), ("jpg", "JPEG"), ("jpeg", "JPEG"), ("webp", "WEBP"), ("svg", "WEBP")]
)
async def test_formats(bench, asked, format):
    assert (await drawn(bench, input={"output_format": asked, "megapixels": "0.25"})).format == format


async def test_an_upscaler_enlarges(bench):
    image = await drawn(bench, model="nightmareai/real-esrgan", input={"image": picture(), "scale": 2})
    assert (image.size, image.format) == ((600, 300), "PNG")


async def test_a_background_is_removed(bench):
    image = await drawn(bench, model="lucataco/remove-bg", input={"image": picture()})
    assert (image.size, image.mode) == ((300, 150), "RGBA")


async def test_a_picture_that_cannot_be_read_fails_the_job_in_words(bench):
    await bench.submit(input={"image": "data:image/png;base64,AAAA"})
    report = await bench.watch(2)
    assert (report.state, report.output) == (State.FAILED, None)
    assert "can't be read" in report.reason


async def test_a_stranger_is_answered_with_its_input(bench):
    await bench.submit("hi", model="who/knows", kind="text", output_schema={}, input={"image": picture(), "n": 3})
    report = await bench.watch(3)
    assert report.text and report.state is State.SUCCEEDED
    echoed = msgspec.json.decode(report.output)
    assert (echoed["prompt"], echoed["n"]) == ("hi", 3)
    assert len(echoed["image"]) < 200


async def test_an_object_of_files_and_words(bench):
    schema = {"type": "object", "properties": {"mask": FILE, "label": {"type": "string"}, "score": {"type": "number"}}}
    await bench.submit("a fox [[slow:0]]", kind="json", output_schema=schema)
    report = await bench.watch()
    assert not report.text and "a fox" in report.output["label"]
    assert (await bench.file(report.output["mask"]))[0] == 200


async def test_what_is_asked_amiss(bench):
    for ask, status in (
        (Ask("GET", f"sandbox://files/{TAG}/0.png"), 404),
        (Ask("GET", "sandbox://files/../0.png"), 404),
        (Ask("POST", "/jobs", b"{}"), 400),
        (Ask("POST", "/jobs", b'{"tag":"../x","model":"a/b","kind":"image","input":{}}'), 400),
        (Ask("DELETE", "/jobs/x"), 404),
    ):
        assert (await bench.vendor.answer(ask))[0] == status


MAGIC = {"image": (b"RIFF", b"\x89PNG", b"\xff\xd8"), "video": (b"\0\0\0",), "audio": (b"RIFF", b"ID3", b"\xff")}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.path)
async def test_every_model_of_the_catalogue_makes_what_its_schema_says(bench, model):
    version = model.latest
    facts = {name: picture() for name, schema in version.input["properties"].items() if schema.get("format") == "uri"}
    short = {name: 2 for name in ("duration", "scale") if name in version.input["properties"]}
    await bench.submit(
        model=model.path,
        kind=model.kind,
        usual_s=model.usual_s,
        output_schema=version.output,
        input={**model.example, **facts, **short},
    )
    report = await bench.watch(7)
    assert report.state is State.SUCCEEDED, report.reason
    assert report.text == (model.kind == "text")
    assert isinstance(report.output, list) == (version.output["type"] == "array")
    assert fits(report.output, version.output)
    for unit in {price.unit for price in model.prices} - {Unit.RUN}:
        assert report.usage[unit] > 0
    for url in [] if report.text else report.output if isinstance(report.output, list) else [report.output]:
        status, headers, body = await bench.file(url)
        assert (status, headers["content-type"].split("/")[0]) == (200, model.kind)
        assert body.startswith(MAGIC[model.kind])
        if model.kind == "image":
            Image.open(BytesIO(body)).load()


def fits(value, schema) -> bool:
    if schema["type"] == "array":
        return all(fits(item, schema["items"]) for item in value)
    return isinstance(value, str)


async def test_a_job_of_another_version_is_forgotten(bench):
    await bench.submit()
    (bench.folder / "jobs" / f"{TAG}.json").write_bytes(b'{"kind":')
    bench.restart()
    assert await bench.find() is None

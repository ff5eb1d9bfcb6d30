"""Drives the second generation of Replicate's Python client, generated and still a pre-release; see harness.py.

Quirks: `base_url` is given with `/v1`; `use()` and `stream()` of the module make clients of their own from the
environment; it polls where the first generation streams; it checks no webhooks, so that is done here by the documented
recipe; a failed create may be sent again, so retries are off where an error is expected.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import io
import os
from pathlib import Path
from typing import Any

import replicate
from harness import PICTURE, Mode, equal, main, scenario, true, until
from replicate._exceptions import ModelError
from replicating import BOAT, TELL, Case, fetch_without_key, png

TERMINAL = ("succeeded", "failed", "canceled")


def client(case: Case, key: str = "", base: str = "/replicate/v1", **options: Any) -> Any:
    kind = replicate.Replicate if case.mode.is_sync else replicate.AsyncReplicate
    return kind(bearer_token=key or case.key, base_url=case.url + base, **options)


async def create(
    case: Case, api: Any, model: str, prompt: str, inputs: dict[str, Any] | None = None, **params: Any
) -> Any:
    owner, name = model.split("/")
    to = {"model_owner": owner, "model_name": name, "input": {"prompt": prompt} | (inputs or {})}
    return await case.do(api.models.predictions, "create", **to, **params)


async def get_model(case: Case, api: Any, model: str) -> Any:
    owner, name = model.split("/")
    return await case.do(api.models, "get", model_owner=owner, model_name=name)


async def finish(case: Case, api: Any, prediction_id: str) -> Any:
    return await case.do(api.predictions, "wait", prediction_id)


async def read(case: Case, file: Any) -> bytes:
    kind = replicate.FileOutput if case.mode.is_sync else replicate.AsyncFileOutput
    true(isinstance(file, kind), f"not a {kind.__name__}: {file!r}")
    return await case.do(file, "read")


def function(case: Case, ref: str, streaming: bool = False) -> Any:
    """`replicate.use`, whose clients find key and address in the environment."""
    os.environ |= {"REPLICATE_API_TOKEN": case.key, "REPLICATE_BASE_URL": f"{case.url}/replicate/v1"}
    return replicate.use(ref, streaming=streaming, use_async=not case.mode.is_sync)


async def listed(case: Case, owner: Any, method: str = "list", **params: Any) -> list[Any]:
    """All items of all pages."""
    return await case.collect(await case.do(owner, method, **params))


async def joined(case: Case, pieces: Any) -> str:
    return "".join(str(piece) for piece in await case.collect(pieces))


# ── running ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@scenario
async def run_image(case: Case) -> None:
    inputs = {"prompt": BOAT, "output_format": "png"}
    png(await read(case, await case.do(client(case), "run", case.image, input=inputs)))


@scenario
async def run_images(case: Case) -> None:
    inputs = {"prompt": f"[[outputs:4]] {BOAT}", "output_format": "png"}
    outputs = await case.do(client(case), "run", case.images, input=inputs)
    equal(len(outputs), 4, "number of outputs")
    for output in outputs:
        png(await read(case, output))


@scenario
async def run_bare_strings(case: Case) -> None:
    output = await case.do(client(case), "run", case.image, input={"prompt": BOAT}, use_file_output=False)
    true(isinstance(output, str), f"not a string: {output!r}")


@scenario
async def run_language(case: Case) -> None:
    output = await case.do(client(case), "run", case.language, input={"prompt": TELL})
    true("".join(output).strip(), "an empty answer")


@scenario
async def run_language_version(case: Case) -> None:
    api = client(case)
    version = (await get_model(case, api, case.language)).latest_version.id
    output = await case.do(api, "run", f"{case.language}:{version}", input={"prompt": TELL})
    true("".join(output).strip(), "an empty answer")


@scenario
async def run_polling(case: Case) -> None:
    inputs = {"prompt": "[[slow:2]] Tell me of boats."}
    output = await case.do(client(case), "run", case.language, input=inputs, wait=False)
    true("".join(output).strip(), "an empty answer")


@scenario
async def run_failing(case: Case) -> None:
    error = await case.raises(ModelError, client(case), "run", case.image, input={"prompt": f"[[fail]] {BOAT}"})
    equal(error.prediction.status, "failed", "status")
    true(error.prediction.error, "an error without words")


@scenario
async def run_polling_failing(case: Case) -> None:
    inputs = {"prompt": f"[[fail]] {BOAT}"}
    error = await case.raises(ModelError, client(case), "run", case.image, input=inputs, wait=False)
    equal(error.prediction.status, "failed", "status")


# ── models as functions ───────────────────────────────────────────────────────────────────────────────────────────────


@scenario
async def use_image(case: Case) -> None:
    """A lazy path: the file is fetched, without a key, when it is first opened."""
    output = await case.do(function(case, case.image), "__call__", prompt=BOAT, output_format="png")
    true(replicate.get_path_url(output), f"not a path with an address: {output!r}")
    png(Path(await asyncio.to_thread(os.fspath, output)).read_bytes())


@scenario
async def use_language(case: Case) -> None:
    """The schema says that the tokens are to be joined."""
    output = await case.do(function(case, case.language), "__call__", prompt=TELL)
    true(isinstance(output, str) and output.strip(), f"not an answer: {output!r}")


@scenario
async def use_language_version(case: Case) -> None:
    version = (await get_model(case, client(case), case.language)).latest_version.id
    output = await case.do(function(case, f"{case.language}:{version}"), "__call__", prompt=TELL)
    true(isinstance(output, str) and output.strip(), f"not an answer: {output!r}")


@scenario
async def use_failing(case: Case) -> None:
    call = function(case, case.image)
    error = await case.raises(ModelError, call, "__call__", prompt=f"[[fail]] {BOAT}")
    equal(error.prediction.status, "failed", "status")


@scenario
async def stream_language(case: Case) -> None:
    """What polling yields while the answer grows is the answer."""
    run = await case.do(function(case, case.language, streaming=True), "create", prompt="[[slow:2]] Tell me of boats.")
    told = await joined(case, await case.do(run, "output"))
    done = await case.do(client(case).predictions, "get", prediction_id=run._prediction.id)
    equal(told, "".join(done.output), "the stream and the output")
    true(told, "an empty answer")


@scenario
async def stream_at_once(case: Case) -> None:
    function(case, case.language)
    asked = {"input": {"prompt": TELL}, "use_async": not case.mode.is_sync}
    pieces = await case.do(replicate, "stream", case.language, **asked)
    true((await joined(case, pieces)).strip(), "an empty answer")


# ── predictions ───────────────────────────────────────────────────────────────────────────────────────────────────────


@scenario
async def create_and_wait(case: Case) -> None:
    api = client(case)
    made = await create(case, api, case.image, "[[slow:1]] a boat")
    equal((made.status, made.output, made.error, made.logs), ("starting", None, None, ""), "what create answers")
    equal((made.model, made.data_removed), (case.image, False), "model and data_removed")
    done = await finish(case, api, made.id)
    equal(done.status, "succeeded", "status")
    true(made.created_at <= done.started_at <= done.completed_at, f"times in disorder: {done!r}")
    true(done.metrics.predict_time > 0, f"no predict_time: {done.metrics}")
    true(done.urls.web, "no page for people")
    await fetch_without_key(done.output)


@scenario
async def create_by_version(case: Case) -> None:
    api = client(case)
    version = (await get_model(case, api, case.image)).latest_version.id
    made = await case.do(api.predictions, "create", version=version, input={"prompt": BOAT})
    done = await finish(case, api, made.id)
    equal((done.status, done.model), ("succeeded", case.image), "status and model")


@scenario
async def create_by_name(case: Case) -> None:
    """`version` may be the name of an official model."""
    api = client(case)
    made = await case.do(api.predictions, "create", version=case.image, input={"prompt": BOAT})
    equal((await finish(case, api, made.id)).model, case.image, "model")


@scenario
async def get_by_link(case: Case) -> None:
    api = client(case)
    made = await create(case, api, case.image, BOAT)
    got = await case.do(api, "get", made.urls.get, cast_to=type(made))
    equal((got.id, got.input, got.created_at), (made.id, made.input, made.created_at), "what get answers")


@scenario
async def wait_long_enough(case: Case) -> None:
    """A create that waited: over plain HTTP it carries files as `data:`, and every later read gives links."""
    api = client(case)
    made = await create(case, api, case.image, BOAT, prefer="wait=30")
    equal(made.status, "succeeded", "status")
    true(made.output.startswith("https:" if case.is_https else "data:"), f"not usable: {made.output[:80]}")
    later = await case.do(api.predictions, "get", prediction_id=made.id)
    true(later.output.startswith(f"{case.url}/"), f"not a link: {later.output[:80]}")
    await fetch_without_key(later.output)


@scenario
async def wait_too_short(case: Case) -> None:
    """What still runs when the wait is over says `starting`, or the client would take it as done."""
    api = client(case)
    made = await create(case, api, case.image, "[[slow:8]] a boat", prefer="wait=1")
    equal((made.status, made.output), ("starting", None), "status and output")
    await case.do(api.predictions, "cancel", prediction_id=made.id)


@scenario
async def list_pages(case: Case) -> None:
    seen = await listed(case, client(case, key=case.crowd_key).predictions)
    equal(len({one.id for one in seen}), case.crowd, "different predictions")
    times = [one.created_at for one in seen]
    equal(times, sorted(times, reverse=True), "newest first")


@scenario
async def list_filtered(case: Case) -> None:
    """The filter holds on later pages too."""
    predictions = client(case, key=case.crowd_key).predictions
    seen = await listed(case, predictions)
    oldest, youngest = seen[-1].created_at, seen[0].created_at
    everything = await listed(case, predictions, created_after=oldest)
    equal(len(everything), case.crowd, "since the first")
    equal(len(await listed(case, predictions, created_before=oldest)), 0, "before the first")
    inside = await listed(case, predictions, created_after=oldest, created_before=youngest)
    true(all(oldest <= one.created_at <= youngest for one in inside), "outside of what was asked")


@scenario
async def cancel(case: Case) -> None:
    api = client(case)
    made = await create(case, api, case.image, "[[slow:60]] a boat")
    await case.do(api.predictions, "cancel", prediction_id=made.id)
    done = await finish(case, api, made.id)
    equal((done.status, done.output), ("canceled", None), "status and output")


@scenario
async def cancel_by_deadline(case: Case) -> None:
    api = client(case)
    made = await create(case, api, case.image, "[[slow:60]] a boat", cancel_after="5s")
    equal(round((made.deadline - made.created_at).total_seconds()), 5, "seconds to live")
    equal((await finish(case, api, made.id)).status, "canceled", "status")


@scenario
async def grows_while_it_runs(case: Case) -> None:
    """Tokens can be seen before the end, and none is taken back."""
    api = client(case)
    made = await create(case, api, case.language, "[[slow:3]] Tell me of boats.")
    seen: list[Any] = []

    async def look() -> bool:
        seen.append(await case.do(api.predictions, "get", prediction_id=made.id))
        return seen[-1].status in TERMINAL

    await until(look)
    lengths = [len(one.output or []) for one in seen]
    equal(lengths, sorted(lengths), "lengths of the output")
    true(any(0 < length < lengths[-1] for length in lengths), f"nothing was seen on the way: {lengths}")


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@scenario
async def files(case: Case) -> None:
    files = client(case, max_retries=0).files
    made = await case.do(files, "create", content=("boat.png", PICTURE, "image/png"), metadata='{"job": 17}')
    equal((made.content_type, made.size, made.metadata), ("image/png", len(PICTURE), {"job": 17}), "the file")
    equal(made.checksums.sha256, hashlib.sha256(PICTURE).hexdigest(), "checksum")
    got = await case.do(files, "get", file_id=made.id)
    equal((got.id, got.size, got.urls.get), (made.id, made.size, made.urls.get), "what get answers")
    true(made.id in [one.id for one in await listed(case, files)], "not in the list")
    await case.do(files, "delete", file_id=made.id)
    error = await case.raises(replicate.NotFoundError, files, "get", file_id=made.id)
    equal(error.status_code, 404, "status after delete")


@scenario
async def files_named_by_fields(case: Case) -> None:
    files = client(case).files
    made = await case.do(files, "create", content=PICTURE, filename="boat.png", type="image/png")
    equal((made.content_type, made.size), ("image/png", len(PICTURE)), "the file")


@scenario
async def file_input_uploaded(case: Case) -> None:
    """The client uploads bare bytes, with neither name nor type."""
    inputs = {"input_image": io.BytesIO(PICTURE)}
    made = await create(case, client(case), case.image, BOAT, inputs, prefer="wait=30")
    equal(made.status, "succeeded", "status")
    true(made.input["input_image"].startswith(f"{case.url}/"), f"not a link of ours: {made.input['input_image'][:80]}")


@scenario
async def file_input_inline(case: Case) -> None:
    inputs = {"prompt": BOAT, "input_image": io.BytesIO(PICTURE), "output_format": "png"}
    output = await case.do(client(case), "run", case.image, input=inputs, file_encoding_strategy="base64")
    png(await read(case, output))


# ── webhooks ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def genuine(headers: dict[str, str], body: bytes, secret: str) -> bool:
    """Replicate's documented recipe."""
    key = base64.b64decode(secret.split("_")[1])
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    given = [signature.split(",", 1)[1] for signature in headers["webhook-signature"].split()]
    return any(hmac.compare_digest(one, expected) for one in given)


@scenario
async def webhook(case: Case) -> None:
    api = client(case)
    asked = {"webhook": case.mailbox, "webhook_events_filter": ["start", "completed"]}
    made = await create(case, api, case.image, "[[slow:1]] a boat", **asked)
    came = await case.deliveries(lambda came: any(body["status"] == "succeeded" for _, _, body in came))
    equal({body["id"] for _, _, body in came}, {made.id}, "whose deliveries came")
    secret = (await case.do(api.webhooks.default.secret, "get")).key
    for headers, raw, _ in came:
        true(genuine(headers, raw, secret), f"a false signature: {headers}")
        true(not genuine(headers, raw + b" ", secret), "a changed body passed as genuine")


@scenario
async def webhook_of_a_cancel(case: Case) -> None:
    api = client(case)
    asked = {"webhook": case.mailbox, "webhook_events_filter": ["completed"]}
    made = await create(case, api, case.image, "[[slow:60]] a boat", **asked)
    await case.do(api.predictions, "cancel", prediction_id=made.id)
    came = await case.deliveries(lambda came: len(came) > 0)
    equal([body["status"] for _, _, body in came], ["canceled"], "what was told")


# ── errors ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@scenario
async def error_wrong_key(case: Case) -> None:
    api = client(case, key="r8_wrong", max_retries=0)
    error = await case.raises(replicate.AuthenticationError, api.account, "get")
    equal((error.status_code, error.body["title"]), (401, "Unauthenticated"), "status and title")


@scenario
async def error_not_found(case: Case) -> None:
    api = client(case, max_retries=0)
    error = await case.raises(
        replicate.NotFoundError, api.predictions, "get", prediction_id="7k2m9x4fhsrm40cv8d1a6bqzng"
    )
    true(error.body["detail"], "no detail")
    await case.raises(replicate.NotFoundError, api.models, "get", model_owner="nobody", model_name="nothing")


@scenario
async def error_not_yours(case: Case) -> None:
    made = await create(case, client(case), case.image, BOAT)
    stranger = client(case, key=case.other_key, max_retries=0).predictions
    for method in ("get", "cancel"):
        await case.raises(replicate.NotFoundError, stranger, method, prediction_id=made.id)


@scenario
async def error_invalid_input(case: Case) -> None:
    owner, name = case.image.split("/")
    bad = {"model_owner": owner, "model_name": name, "input": {"prompt": BOAT, "safety_tolerance": 99}}
    predictions = client(case, max_retries=0).models.predictions
    error = await case.raises(replicate.UnprocessableEntityError, predictions, "create", **bad)
    words = "Must be less than or equal to 6"
    field = {"type": "number_lte", "field": "input.safety_tolerance", "description": words}
    equal(error.body["invalid_fields"], [field], "invalid_fields")
    equal(error.body["detail"], f"- input.safety_tolerance: {words}\n", "detail")


@scenario
async def error_unknown_version(case: Case) -> None:
    predictions = client(case, max_retries=0).predictions
    bad = {"version": "0" * 64, "input": {"prompt": BOAT}}
    error = await case.raises(replicate.UnprocessableEntityError, predictions, "create", **bad)
    equal(error.body["title"], "Invalid version or not permitted", "title")


# ── models, deployments, and the rest ─────────────────────────────────────────────────────────────────────────────────


@scenario
async def models(case: Case) -> None:
    api = client(case)
    got = await get_model(case, api, case.image)
    equal((f"{got.owner}/{got.name}", got.visibility), (case.image, "public"), "the model")
    everything = {f"{one.owner}/{one.name}" for one in await listed(case, api.models)}
    true({case.image, case.language} <= everything, f"not in the list: {everything}")


@scenario
async def models_search(case: Case) -> None:
    """The words come as a JSON string here."""
    api, words = client(case), case.image.split("/")[1]
    found = {f"{one.owner}/{one.name}" for one in await listed(case, api.models, "search", body=words)}
    true(case.image in found, f"not found: {found}")
    both = await case.do(api, "search", query=words, limit=5)
    true(case.image in {f"{one.model.owner}/{one.model.name}" for one in both.models}, f"not found: {both!r}")


@scenario
async def models_examples(case: Case) -> None:
    owner, name = case.image.split("/")
    examples = await listed(case, client(case).models.examples, model_owner=owner, model_name=name)
    true(all(one.model == case.image for one in examples), f"examples of another model: {examples!r}")


@scenario
async def versions(case: Case) -> None:
    api = client(case)
    owner, name = case.language.split("/")
    version = (await get_model(case, api, case.language)).latest_version
    named = {"model_owner": owner, "model_name": name, "version_id": version.id}
    got = await case.do(api.models.versions, "get", **named)
    equal((got.id, got.openapi_schema), (version.id, version.openapi_schema), "what get answers")


@scenario
async def deployments(case: Case) -> None:
    api = client(case)
    version = (await get_model(case, api, case.image)).latest_version.id
    name = f"boats-{case.unique}"
    size = {"hardware": "cpu", "min_instances": 0, "max_instances": 1}
    made = await case.do(api.deployments, "create", name=name, model=case.image, version=version, **size)
    named = {"deployment_owner": made.owner, "deployment_name": name}
    got = await case.do(api.deployments, "get", **named)
    equal((got.name, got.current_release.model, got.current_release.number), (name, case.image, 1), "the deployment")
    true(name in [one.name for one in await listed(case, api.deployments)], "not in the list")
    ran = await case.do(api.deployments.predictions, "create", **named, input={"prompt": BOAT})
    done = await finish(case, api, ran.id)
    equal((done.status, done.deployment), ("succeeded", f"{made.owner}/{name}"), "status and deployment")
    changed = await case.do(api.deployments, "update", **named, max_instances=3)
    equal(changed.current_release.number, 2, "release after a change")
    await case.do(api.deployments, "delete", **named)


@scenario
async def collections(case: Case) -> None:
    collections = client(case).collections
    everything = await listed(case, collections)
    true(everything, "no collections")
    got = await case.do(collections, "get", collection_slug=everything[0].slug)
    true(got.models, "a collection without models")


@scenario
async def hardware(case: Case) -> None:
    skus = [one.sku for one in await case.do(client(case).hardware, "list")]
    true("cpu" in skus, f"no cpu: {skus}")


@scenario
async def account(case: Case) -> None:
    got = await case.do(client(case).account, "get")
    true(got.type in ("user", "organization") and got.username, f"incomplete: {got!r}")


@scenario
async def base_paths(case: Case) -> None:
    """The value made for the first generation, which adds `/v1` itself, and this one's own."""
    for base in ("/replicate", "/replicate/v1", "/replicate/v1/"):
        api = client(case, base=base)
        await case.do(api.account, "get")
        made = await create(case, api, case.image, BOAT, prefer="wait=30")
        equal(made.status, "succeeded", f"status by {base}")


if __name__ == "__main__":
    main(Case, (Mode("sync"), Mode("async")))

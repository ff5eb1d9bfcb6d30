"""Drives the first generation of Replicate's Python client; see harness.py.

Quirks: `predictions.create(model=…)` loses `wait`, `models.predictions.create` doesn't; the asynchronous methods are
`async_…` twins on the same class; `base_url` is given without `/v1`.
"""

from __future__ import annotations

import io
from datetime import datetime
from typing import Any

import replicate
from harness import PICTURE, Mode, equal, main, scenario, true, until
from replicate.exceptions import ModelError, ReplicateError
from replicate.helpers import FileOutput
from replicate.webhook import InvalidSignatureError, Webhooks
from replicating import BOAT, TELL, Case, fetch_without_key, png


def client(case: Case, key: str = "", base: str = "/replicate", **options: Any) -> replicate.Client:
    return replicate.Client(api_token=key or case.key, base_url=case.url + base, **options)


async def create(case: Case, api: replicate.Client, model: str, prompt: str, **params: Any) -> Any:
    inputs = {"prompt": prompt} | params.pop("inputs", {})
    return await case.do(api.models.predictions, "create", model, inputs, **params)


async def read(case: Case, file: FileOutput) -> bytes:
    true(isinstance(file, FileOutput), f"not a FileOutput: {file!r}")
    return file.read() if case.mode.is_sync else await file.aread()


async def pages(case: Case, method: Any, twin: Any) -> list[Any]:
    paginate = replicate.paginate(method) if case.mode.is_sync else replicate.async_paginate(twin)
    return await case.collect(paginate)


# ── running ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@scenario
async def run_image(case: Case) -> None:
    inputs = {"prompt": BOAT, "output_format": "png"}
    output = await case.do(client(case), "run", case.image, input=inputs)
    png(await read(case, output))


@scenario
async def run_images(case: Case) -> None:
    inputs = {"prompt": f"[[outputs:4]] {BOAT}", "output_format": "png"}
    outputs = await case.do(client(case), "run", case.images, input=inputs)
    equal(len(outputs), 4, "number of outputs")
    for output in outputs:
        png(await read(case, output))


@scenario
async def run_bare_strings(case: Case) -> None:
    inputs = {"prompt": BOAT}
    output = await case.do(client(case), "run", case.image, input=inputs, use_file_output=False)
    true(isinstance(output, str), f"not a string: {output!r}")


@scenario
async def run_language(case: Case) -> None:
    output = await case.do(client(case), "run", case.language, input={"prompt": TELL})
    true(isinstance(output, list) and output, f"not a list of tokens: {output!r}")
    true("".join(output).strip(), "an empty answer")


@scenario
async def run_language_version(case: Case) -> None:
    """With a version, the client reads its schema and gives an iterator."""
    api = client(case)
    version = (await case.do(api.models, "get", case.language)).latest_version.id
    output = await case.do(api, "run", f"{case.language}:{version}", input={"prompt": TELL})
    true(not isinstance(output, list), f"not an iterator: {output!r}")
    true("".join(await case.collect(output)).strip(), "an empty answer")


@scenario
async def run_polling(case: Case) -> None:
    """Without waiting, the iterator polls, and sees the output grow."""
    api = client(case)
    version = (await case.do(api.models, "get", case.language)).latest_version.id
    inputs = {"prompt": "[[slow:2]] Tell me of boats."}
    output = await case.do(api, "run", f"{case.language}:{version}", input=inputs, wait=False)
    true("".join(await case.collect(output)).strip(), "an empty answer")


@scenario
async def run_failing(case: Case) -> None:
    error = await case.raises(ModelError, client(case), "run", case.image, input={"prompt": f"[[fail]] {BOAT}"})
    equal(error.prediction.status, "failed", "status")
    true(str(error), "an error without words")
    equal(str(error), error.prediction.error, "words")


@scenario
async def run_polling_failing(case: Case) -> None:
    inputs = {"prompt": f"[[fail]] {BOAT}"}
    error = await case.raises(ModelError, client(case), "run", case.image, input=inputs, wait=False)
    equal(error.prediction.status, "failed", "status")


# ── predictions ───────────────────────────────────────────────────────────────────────────────────────────────────────


@scenario
async def create_and_wait(case: Case) -> None:
    api = client(case)
    made = await create(case, api, case.image, "[[slow:1]] a boat")
    equal((made.status, made.output, made.error, made.logs), ("starting", None, None, ""), "what create answers")
    equal(made.model, case.image, "model")
    await case.do(made, "wait")
    equal(made.status, "succeeded", "status")
    true(made.started_at and made.completed_at, "no times")
    true(made.metrics["predict_time"] > 0, f"no predict_time: {made.metrics}")
    true(await fetch_without_key(made.output), "an empty file")


@scenario
async def create_by_version(case: Case) -> None:
    api = client(case)
    version = (await case.do(api.models, "get", case.image)).latest_version.id
    made = await case.do(api.predictions, "create", version, {"prompt": BOAT})
    await case.do(made, "wait")
    equal((made.status, made.model), ("succeeded", case.image), "status and model")


@scenario
async def get_and_reload(case: Case) -> None:
    api = client(case)
    made = await create(case, api, case.image, BOAT)
    got = await case.do(api.predictions, "get", made.id)
    equal((got.id, got.input, got.created_at), (made.id, made.input, made.created_at), "what get answers")
    await case.do(made, "wait")
    await case.do(got, "reload")
    equal(got.status, "succeeded", "what reload sees")
    true(got.urls["get"].startswith(case.url), f"a link that leads elsewhere: {got.urls['get']}")


@scenario
async def wait_long_enough(case: Case) -> None:
    """A create that waited: over plain HTTP it carries files as `data:`, and every later read gives links."""
    api = client(case)
    made = await create(case, api, case.image, BOAT, wait=30)
    equal(made.status, "succeeded", "status")
    true(made.output.startswith("https:" if case.is_https else "data:"), f"not usable: {made.output[:80]}")
    later = await case.do(api.predictions, "get", made.id)
    true(later.output.startswith(f"{case.url}/"), f"not a link: {later.output[:80]}")
    await fetch_without_key(later.output)


@scenario
async def wait_too_short(case: Case) -> None:
    """What still runs when the wait is over says `starting`, or the client would take it as done."""
    api = client(case)
    made = await create(case, api, case.image, "[[slow:8]] a boat", wait=1)
    equal((made.status, made.output), ("starting", None), "status and output")
    await case.do(made, "cancel")


@scenario
async def list_pages(case: Case) -> None:
    predictions = client(case, key=case.crowd_key).predictions
    listed = await pages(case, predictions.list, predictions.async_list)
    equal([len(page) for page in listed], [100, case.crowd - 100], "sizes of the pages")
    seen = [prediction for page in listed for prediction in page]
    equal(len({prediction.id for prediction in seen}), case.crowd, "different predictions")
    times = [datetime.fromisoformat(prediction.created_at) for prediction in seen]
    equal(times, sorted(times, reverse=True), "newest first")
    back = await case.do(predictions, "list", listed[1].previous)
    equal([one.id for one in back], [one.id for one in listed[0]], "the page before")


@scenario
async def cancel(case: Case) -> None:
    api = client(case)
    made = await create(case, api, case.image, "[[slow:60]] a boat")
    await case.do(made, "cancel")
    await case.do(made, "wait")
    equal((made.status, made.output), ("canceled", None), "status and output")


@scenario
async def cancel_when_done(case: Case) -> None:
    api = client(case)
    made = await create(case, api, case.image, BOAT, wait=30)
    await case.do(made, "cancel")
    equal(made.status, "succeeded", "status")


@scenario
async def progress(case: Case) -> None:
    made = await create(case, client(case), case.image, "[[slow:3]] a boat")
    seen = []

    async def look() -> bool:
        await case.do(made, "reload")
        seen.append(made.progress.percentage if made.progress else 0.0)
        return made.status == "succeeded"

    await until(look)
    equal(seen, sorted(seen), "progress never moves back")
    equal(seen[-1], 1.0, "progress at the end")
    true(any(0 < one < 1 for one in seen), f"no progress on the way: {seen}")
    equal(made.progress.current, made.progress.total, "steps at the end")


# ── streams ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@scenario
async def stream_language(case: Case) -> None:
    made = await create(case, client(case), case.language, TELL, stream=True)
    events = await case.collect(made.stream() if case.mode.is_sync else made.async_stream())
    equal(events[-1].event.value, "done", "the last event")
    await case.do(made, "reload")
    equal(made.status, "succeeded", "status after `done`")
    equal("".join(str(event) for event in events), "".join(made.output), "the stream and the output")
    true(made.output, "an empty answer")


@scenario
async def stream_at_once(case: Case) -> None:
    events = await case.do(client(case), "stream", case.language, input={"prompt": TELL})
    true("".join(str(event) for event in await case.collect(events)).strip(), "an empty answer")


@scenario
async def stream_replays(case: Case) -> None:
    """A stream opened when all is over gives all of it."""
    made = await create(case, client(case), case.language, TELL, wait=30)
    events = await case.collect(made.stream() if case.mode.is_sync else made.async_stream())
    equal("".join(str(event) for event in events), "".join(made.output), "the stream and the output")


@scenario
async def stream_image(case: Case) -> None:
    events = await case.do(client(case), "stream", case.image, input={"prompt": BOAT})
    outputs = [event.data for event in await case.collect(events) if event.event.value == "output"]
    equal(len(outputs), 1, "number of outputs")
    await fetch_without_key(str(outputs[0]))


@scenario
async def stream_failing(case: Case) -> None:
    events = await case.do(client(case), "stream", case.language, input={"prompt": f"[[fail]] {TELL}"})
    try:
        await case.collect(events)
    except RuntimeError as error:
        true("detail" in str(error), f"no detail: {error}")
    else:
        raise AssertionError("the stream of a failed prediction ended without an error")


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@scenario
async def files(case: Case) -> None:
    files = client(case).files
    named = {"filename": "boat.png", "content_type": "image/png", "metadata": {"job": 17}}
    made = await case.do(files, "create", io.BytesIO(PICTURE), **named)
    equal((made.name, made.content_type, made.size), ("boat.png", "image/png", len(PICTURE)), "the file")
    equal(made.metadata, {"job": 17}, "metadata")
    true(made.etag and made.expires_at and made.checksums["sha256"], f"incomplete: {made!r}")
    equal(await case.do(files, "get", made.id), made, "what get answers")
    true(made.id in [one.id for one in await case.do(files, "list")], "not in the list")
    equal(await case.do(files, "delete", made.id), True, "what delete answers")
    error = await case.raises(ReplicateError, files, "get", made.id)
    equal(error.status, 404, "status after delete")


@scenario
async def file_input_uploaded(case: Case) -> None:
    handle = io.BytesIO(PICTURE)
    made = await create(case, client(case), case.image, BOAT, inputs={"input_image": handle}, wait=30)
    equal(made.status, "succeeded", "status")
    true(made.input["input_image"].startswith(f"{case.url}/"), f"not a link of ours: {made.input['input_image'][:80]}")


@scenario
async def file_input_inline(case: Case) -> None:
    params = {"inputs": {"input_image": io.BytesIO(PICTURE)}, "file_encoding_strategy": "base64", "wait": 30}
    made = await create(case, client(case), case.image, BOAT, **params)
    equal(made.status, "succeeded", "status")


# ── webhooks ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@scenario
async def webhook(case: Case) -> None:
    api = client(case)
    asked = {"webhook": case.mailbox, "webhook_events_filter": ["start", "completed"]}
    made = await create(case, api, case.image, "[[slow:1]] a boat", **asked)
    came = await case.deliveries(lambda came: any(body["status"] == "succeeded" for _, _, body in came))
    equal({body["id"] for _, _, body in came}, {made.id}, "whose deliveries came")
    equal([body["status"] for _, _, body in came], ["processing", "succeeded"], "what was told")
    secret = await case.do(api.webhooks.default, "secret")
    for headers, raw, _ in came:
        Webhooks.validate(headers=headers, body=raw.decode(), secret=secret, tolerance=60)
    try:
        Webhooks.validate(headers=headers, body=raw.decode() + " ", secret=secret)
    except InvalidSignatureError:
        return
    raise AssertionError("a changed body passed as genuine")


@scenario
async def webhook_unfiltered(case: Case) -> None:
    made = await create(case, client(case), case.language, "[[slow:2]] boats", webhook=case.mailbox)
    came = await case.deliveries(lambda came: any(body["status"] == "succeeded" for _, _, body in came))
    await case.do(made, "reload")
    equal(came[-1][2]["output"], made.output, "the output in the last delivery")
    equal(came[-1][2]["status"], "succeeded", "the last delivery")
    true(len(came) > 2, f"no deliveries of logs or output on the way: {[body['status'] for _, _, body in came]}")


@scenario
async def secret_is_the_accounts(case: Case) -> None:
    ours = await case.do(client(case).webhooks.default, "secret")
    theirs = await case.do(client(case, key=case.other_key).webhooks.default, "secret")
    true(ours.key.startswith("whsec_"), "not a signing secret")
    true(ours.key != theirs.key, "two accounts share a secret")


# ── errors ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@scenario
async def error_wrong_key(case: Case) -> None:
    error = await case.raises(ReplicateError, client(case, key="r8_wrong").predictions, "list")
    equal((error.status, error.title), (401, "Unauthenticated"), "status and title")
    true(error.detail, "no detail")


@scenario
async def error_not_found(case: Case) -> None:
    api = client(case)
    for owner, name in ((api.predictions, "7k2m9x4fhsrm40cv8d1a6bqzng"), (api.models, "nobody/nothing")):
        error = await case.raises(ReplicateError, owner, "get", name)
        equal(error.status, 404, f"status of {name}")
        true(error.detail, "no detail")


@scenario
async def error_not_yours(case: Case) -> None:
    made = await create(case, client(case), case.image, BOAT)
    stranger = client(case, key=case.other_key).predictions
    for method in ("get", "cancel"):
        error = await case.raises(ReplicateError, stranger, method, made.id)
        equal(error.status, 404, f"status of {method}")


@scenario
async def error_invalid_input(case: Case) -> None:
    bad = {"prompt": BOAT, "safety_tolerance": 99}
    error = await case.raises(ReplicateError, client(case).models.predictions, "create", case.image, bad)
    equal((error.status, error.title), (422, "Input validation failed"), "status and title")
    equal(error.detail, "- input.safety_tolerance: Must be less than or equal to 6\n", "detail")


@scenario
async def error_missing_input(case: Case) -> None:
    error = await case.raises(ReplicateError, client(case).models.predictions, "create", case.image, {})
    equal((error.status, error.detail), (422, "- input: prompt is required\n"), "status and detail")


@scenario
async def error_unknown_version(case: Case) -> None:
    error = await case.raises(ReplicateError, client(case).predictions, "create", "0" * 64, {"prompt": BOAT})
    equal((error.status, error.title), (422, "Invalid version or not permitted"), "status and title")


# ── models, deployments, and the rest ─────────────────────────────────────────────────────────────────────────────────


@scenario
async def models(case: Case) -> None:
    models = client(case).models
    got = await case.do(models, "get", case.image)
    equal((got.id, got.visibility), (case.image, "public"), "the model")
    found = await case.do(models, "search", case.image.split("/")[1])
    true(case.image in [one.id for one in found], f"not found: {[one.id for one in found]}")
    listed = await pages(case, models.list, models.async_list)
    true({case.image, case.language} <= {one.id for page in listed for one in page}, "not in the list")


@scenario
async def versions(case: Case) -> None:
    model = await case.do(client(case).models, "get", case.language)
    listed = await case.do(model.versions, "list")
    for version in listed or [model.latest_version]:
        equal(await case.do(model.versions, "get", version.id), version, "what get answers")
        output = version.openapi_schema["components"]["schemas"]["Output"]
        equal((output["type"], output["x-cog-array-type"]), ("array", "iterator"), "the schema of the output")


@scenario
async def deployments(case: Case) -> None:
    api = client(case)
    version = (await case.do(api.models, "get", case.image)).latest_version.id
    size = {"hardware": "cpu", "min_instances": 0, "max_instances": 1}
    name = f"boats-{case.unique}"
    made = await case.do(api.deployments, "create", name=name, model=case.image, version=version, **size)
    got = await case.do(api.deployments, "get", made.id)
    equal((got.name, got.current_release.model, got.current_release.number), (name, case.image, 1), "the deployment")
    true(made.id in [one.id for one in await case.do(api.deployments, "list")], "not in the list")
    ran = await case.do(got.predictions, "create", {"prompt": BOAT})
    await case.do(ran, "wait")
    equal((ran.status, ran.model), ("succeeded", case.image), "status and model")
    changed = await case.do(api.deployments, "update", got.owner, name, max_instances=3)
    equal((changed.current_release.number, changed.current_release.configuration.max_instances), (2, 3), "the change")
    equal(await case.do(api.deployments, "delete", got.owner, name), True, "what delete answers")


@scenario
async def collections(case: Case) -> None:
    collections = client(case).collections
    listed = await case.do(collections, "list")
    true(len(listed), "no collections")
    got = await case.do(collections, "get", listed[0].slug)
    equal(got.name, listed[0].name, "name")
    true(len(got), "a collection without models")


@scenario
async def hardware(case: Case) -> None:
    skus = [one.sku for one in await case.do(client(case).hardware, "list")]
    true("cpu" in skus, f"no cpu: {skus}")


@scenario
async def account(case: Case) -> None:
    got = await case.do(client(case).accounts, "current")
    true(got.type in ("user", "organization") and got.username, f"incomplete: {got!r}")


@scenario
async def base_paths(case: Case) -> None:
    """This client adds `/v1` to its base; the value made for the other clients ends in it already."""
    for base in ("/replicate", "/replicate/", "/replicate/v1"):
        api = client(case, base=base)
        await case.do(api.accounts, "current")
        made = await create(case, api, case.image, BOAT, wait=30)
        equal(made.status, "succeeded", f"status by {base}")


@scenario
async def token_scheme(case: Case) -> None:
    api = client(case, headers={"Authorization": f"Token {case.key}"})
    await case.do(api.accounts, "current")


if __name__ == "__main__":
    main(Case, (Mode("sync"), Mode("async", prefix="async_")))

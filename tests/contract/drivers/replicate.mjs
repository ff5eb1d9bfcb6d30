// Drives Replicate's JavaScript client; see harness.mjs.
//
// Quirks: `baseUrl` is given with `/v1`; outputs and streams are fetched without a key; `stream` doesn't tell which
// prediction it made, so it is overheard; fileEncodingStrategy "data-uri" of 1.4.0 loses the input and isn't used.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { PICTURE, runAll, servers } from "./harness.mjs";

const Replicate = createRequire(`${process.cwd()}/`)("replicate");
const { parseProgressFromLogs, validateWebhook } = Replicate;

const [target] = Object.values(servers);
const isHttps = target.url.startsWith("https:");
const BOAT = "[[slow:0.2]] a boat";
const TELL = "[[slow:0.5]] Tell me of boats.";
const TERMINAL = ["succeeded", "failed", "canceled"];

function client({ key = target.key, base = "/replicate/v1", ...options } = {}) {
  return new Replicate({ auth: key, baseUrl: target.url + base, ...options });
}

async function png(file) {
  assert.equal(typeof file?.blob, "function", `not a FileOutput: ${String(file).slice(0, 80)}`);
  const bytes = Buffer.from(await (await file.blob()).arrayBuffer());
  assert.equal(bytes.subarray(0, 8).toString("hex"), "89504e470d0a1a0a", "not a PNG");
  assert.equal(bytes.subarray(-8).toString("hex"), "49454e44ae426082", "a PNG cut short");
}

async function fetchWithoutKey(url) {
  const reply = await fetch(url);
  assert.equal(reply.status, 200, `status of ${url}`);
  return Buffer.from(await reply.arrayBuffer());
}

async function until(look, seconds = 20) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < deadline, `nothing came within ${seconds} s`);
    await sleep(50);
  }
}

const finish = (api, id) => api.wait({ id, status: "starting" }, { interval: 50 });

// What the receiver got at this address, as soon as it is enough.
async function deliveries(mailbox, enough) {
  return until(async () => {
    const came = (await (await fetch(mailbox)).json()).map(({ headers, body_base64 }) => {
      const raw = Buffer.from(body_base64, "base64").toString();
      return { headers, raw, body: JSON.parse(raw) };
    });
    return enough(came) && came;
  });
}

const mailbox = () => `${target.receiver}/${randomUUID()}?job=17`;

// The API's answer to a call that must fail: the client has put it, whole, at the end of its message.
async function refusal(call) {
  const error = await call.then(
    (value) => assert.fail(`no error, but ${JSON.stringify(value)}`),
    (thrown) => thrown,
  );
  assert.equal(error.name, "ApiError", error.stack);
  const body = JSON.parse(error.message.slice(error.message.indexOf(": {") + 2, -1));
  return { status: error.response.status, body };
}

async function streamed(api, model, input) {
  const events = [];
  for await (const event of api.stream(model, { input })) events.push(event);
  return events;
}

// A client and the list that it fills with the predictions that it made.
function overheard() {
  const made = [];
  const listen = async (url, init) => {
    const reply = await fetch(url, init);
    if (init?.method === "POST") made.push(await reply.clone().json());
    return reply;
  };
  return [client({ fetch: listen }), made];
}

const named = (model) => model.split("/");
const fullName = ({ owner, name }) => `${owner}/${name}`;

const SCENARIOS = {
  // ── running ─────────────────────────────────────────────────────────────────────────────────────────────────────

  async run_image() {
    const input = { prompt: BOAT, output_format: "png" };
    await png(await client().run(target.image, { input }));
  },

  async run_images() {
    const input = { prompt: `[[outputs:4]] ${BOAT}`, output_format: "png" };
    const outputs = await client().run(target.images, { input });
    assert.equal(outputs.length, 4, "number of outputs");
    for (const output of outputs) await png(output);
  },

  async run_bare_strings() {
    const output = await client({ useFileOutput: false }).run(target.image, { input: { prompt: BOAT } });
    assert.equal(typeof output, "string");
  },

  async run_language() {
    const output = await client().run(target.language, { input: { prompt: TELL } });
    assert.ok(output.join("").trim(), "an empty answer");
  },

  async run_language_version() {
    const api = client();
    const { latest_version: version } = await api.models.get(...named(target.language));
    const input = { prompt: TELL };
    const output = await api.run(`${target.language}:${version.id}`, { input });
    assert.ok(output.join("").trim(), "an empty answer");
  },

  async run_polling() {
    const seen = [];
    const options = { input: { prompt: "[[slow:2]] a boat" }, wait: { mode: "poll", interval: 50 } };
    await client().run(target.image, options, ({ status }) => seen.push(status));
    assert.deepEqual([...new Set(seen)], ["starting", "processing", "succeeded"], "what the progress callback saw");
  },

  async run_failing() {
    const run = client().run(target.image, { input: { prompt: `[[fail]] ${BOAT}` } });
    await assert.rejects(run, /^Error: Prediction failed: (?!null|undefined)./);
  },

  async run_polling_failing() {
    const options = { input: { prompt: `[[fail]] ${BOAT}` }, wait: { mode: "poll", interval: 50 } };
    await assert.rejects(client().run(target.image, options), /^Error: Prediction failed: (?!null|undefined)./);
  },

  async run_aborted() {
    const [api, made] = overheard();
    const abort = new AbortController();
    const wait = { mode: "poll", interval: 50 };
    const options = { input: { prompt: "[[slow:60]] a boat" }, signal: abort.signal, wait };
    await api.run(target.image, options, ({ status }) => status === "processing" && abort.abort());
    assert.equal((await finish(client(), made[0].id)).status, "canceled");
  },

  // ── predictions ─────────────────────────────────────────────────────────────────────────────────────────────────

  async create_and_wait() {
    const api = client();
    const made = await api.predictions.create({ model: target.image, input: { prompt: "[[slow:1]] a boat" } });
    const { status, output, error, logs } = made;
    assert.deepEqual({ status, output, error, logs }, { status: "starting", output: null, error: null, logs: "" });
    const done = await api.wait(made, { interval: 50 });
    assert.equal(done.status, "succeeded");
    assert.ok(done.started_at && done.completed_at, "no times");
    assert.ok(done.metrics.predict_time > 0, "no predict_time");
    await fetchWithoutKey(done.output);
  },

  async create_by_version() {
    const api = client();
    const { latest_version: version } = await api.models.get(...named(target.image));
    const made = await api.predictions.create({ version: version.id, input: { prompt: BOAT } });
    assert.equal((await finish(api, made.id)).model, target.image);
  },

  async get() {
    const api = client();
    const made = await api.predictions.create({ model: target.image, input: { prompt: BOAT } });
    const got = await api.predictions.get(made.id);
    assert.deepEqual([got.id, got.input, got.created_at], [made.id, made.input, made.created_at]);
    assert.ok(got.urls.get.startsWith(`${target.url}/`), `a link that leads elsewhere: ${got.urls.get}`);
  },

  async wait_long_enough() {
    const api = client();
    const made = await api.predictions.create({ model: target.image, input: { prompt: BOAT }, wait: 30 });
    assert.equal(made.status, "succeeded");
    assert.ok(made.output.startsWith(isHttps ? "https:" : "data:"), `not usable: ${made.output.slice(0, 80)}`);
    const later = await api.predictions.get(made.id);
    assert.ok(later.output.startsWith(`${target.url}/`), `not a link: ${later.output.slice(0, 80)}`);
    await fetchWithoutKey(later.output);
  },

  async wait_too_short() {
    const api = client();
    const made = await api.predictions.create({ model: target.image, input: { prompt: "[[slow:8]] a boat" }, wait: 1 });
    assert.deepEqual([made.status, made.output], ["starting", null]);
    await api.predictions.cancel(made.id);
  },

  async list_pages() {
    const api = client({ key: target.crowd_key });
    const pages = [];
    for await (const page of api.paginate(api.predictions.list)) pages.push(page);
    assert.deepEqual(pages.map((page) => page.length), [100, target.crowd - 100], "sizes of the pages");
    const seen = pages.flat();
    assert.equal(new Set(seen.map(({ id }) => id)).size, target.crowd, "different predictions");
    const times = seen.map(({ created_at }) => Date.parse(created_at));
    assert.deepEqual(times, times.toSorted((a, b) => b - a), "newest first");
  },

  async cancel() {
    const api = client();
    const made = await api.predictions.create({ model: target.image, input: { prompt: "[[slow:60]] a boat" } });
    await api.predictions.cancel(made.id);
    const done = await finish(api, made.id);
    assert.deepEqual([done.status, done.output], ["canceled", null]);
  },

  async progress() {
    const api = client();
    const { id } = await api.predictions.create({ model: target.image, input: { prompt: "[[slow:3]] a boat" } });
    const seen = [];
    const done = await until(async () => {
      const now = await api.predictions.get(id);
      seen.push(parseProgressFromLogs(now)?.percentage ?? 0);
      return TERMINAL.includes(now.status) && now;
    });
    assert.deepEqual(seen, seen.toSorted((a, b) => a - b), "progress never moves back");
    assert.ok(seen.some((one) => one > 0 && one < 1), `no progress on the way: ${seen}`);
    const { percentage, current, total } = parseProgressFromLogs(done.logs);
    assert.deepEqual([percentage, current], [1, total], "progress at the end");
  },

  // ── streams ─────────────────────────────────────────────────────────────────────────────────────────────────────

  async stream_language() {
    const [api, made] = overheard();
    const events = await streamed(api, target.language, { prompt: TELL });
    assert.equal(events.at(-1).event, "done", "the last event");
    assert.ok(events.every(({ id }) => id), "an event without id");
    const done = await api.predictions.get(made[0].id);
    assert.equal(done.status, "succeeded", "status after `done`");
    assert.equal(events.join(""), done.output.join(""), "the stream and the output");
    assert.ok(events.join("").trim(), "an empty answer");
  },

  async stream_image() {
    const events = await streamed(client(), target.image, { prompt: BOAT });
    const outputs = events.filter(({ event }) => event === "output");
    assert.equal(outputs.length, 1, "number of outputs");
    await fetchWithoutKey(String(outputs[0].data));
  },

  async stream_failing() {
    const stream = streamed(client(), target.language, { prompt: `[[fail]] ${TELL}` });
    await assert.rejects(stream, ({ message }) => Boolean(JSON.parse(message).detail));
  },

  // ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────

  async files() {
    const { files } = client();
    const made = await files.create(new File([PICTURE], "boat.png", { type: "image/png" }), { job: 17 });
    const { name, content_type, size, metadata } = made;
    const expected = { name: "boat.png", content_type: "image/png", size: PICTURE.length, metadata: { job: 17 } };
    assert.deepEqual({ name, content_type, size, metadata }, expected);
    assert.deepEqual(await files.get(made.id), made, "what get answers");
    assert.ok((await files.list()).results.some(({ id }) => id === made.id), "not in the list");
    assert.equal(await files.delete(made.id), true, "what delete answers");
    assert.equal((await refusal(files.get(made.id))).status, 404, "status after delete");
  },

  async file_input_uploaded() {
    for (const file of [PICTURE, new Blob([PICTURE], { type: "image/png" })]) {
      const input = { prompt: BOAT, input_image: file };
      const made = await client().predictions.create({ model: target.image, input, wait: 30 });
      assert.equal(made.status, "succeeded");
      assert.ok(made.input.input_image.startsWith(`${target.url}/`), "not a link of ours");
    }
  },

  async file_input_inline() {
    const input_image = `data:image/png;base64,${PICTURE.toString("base64")}`;
    const input = { prompt: BOAT, input_image, output_format: "png" };
    await png(await client().run(target.image, { input }));
  },

  // ── webhooks ────────────────────────────────────────────────────────────────────────────────────────────────────

  async webhook() {
    const api = client();
    const webhook = mailbox();
    const input = { prompt: "[[slow:1]] a boat" };
    const asked = { webhook, webhook_events_filter: ["start", "completed"] };
    const made = await api.predictions.create({ model: target.image, input, ...asked });
    const came = await deliveries(webhook, (all) => all.some(({ body }) => body.status === "succeeded"));
    assert.deepEqual(came.map(({ body }) => body.status), ["processing", "succeeded"], "what was told");
    const { key } = await api.webhooks.default.secret.get();
    for (const { headers, raw, body } of came) {
      assert.equal(body.id, made.id);
      assert.equal(await validateWebhook({ headers, body: raw }, key), true, "a false signature");
      assert.equal(await validateWebhook({ headers, body: `${raw} ` }, key), false, "a changed body passed as genuine");
    }
  },

  // ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────────

  async error_wrong_key() {
    const { status, body } = await refusal(client({ key: "r8_wrong" }).accounts.current());
    assert.deepEqual([status, body.title], [401, "Unauthenticated"]);
  },

  async error_not_found() {
    const api = client();
    for (const call of [api.predictions.get("7k2m9x4fhsrm40cv8d1a6bqzng"), api.models.get("nobody", "nothing")]) {
      const { status, body } = await refusal(call);
      assert.equal(status, 404);
      assert.ok(body.detail, "no detail");
    }
  },

  async error_not_yours() {
    const made = await client().predictions.create({ model: target.image, input: { prompt: BOAT } });
    const stranger = client({ key: target.other_key });
    assert.equal((await refusal(stranger.predictions.get(made.id))).status, 404);
    assert.equal((await refusal(stranger.predictions.cancel(made.id))).status, 404);
  },

  async error_invalid_input() {
    const input = { prompt: BOAT, safety_tolerance: 99 };
    const { status, body } = await refusal(client().predictions.create({ model: target.image, input }));
    const description = "Must be less than or equal to 6";
    assert.equal(status, 422);
    assert.deepEqual(body.invalid_fields, [{ type: "number_lte", field: "input.safety_tolerance", description }]);
    assert.equal(body.detail, `- input.safety_tolerance: ${description}\n`);
  },

  async error_unknown_version() {
    const asked = { version: "0".repeat(64), input: { prompt: BOAT } };
    const { status, body } = await refusal(client().predictions.create(asked));
    assert.deepEqual([status, body.title], [422, "Invalid version or not permitted"]);
  },

  // ── models, deployments, and the rest ───────────────────────────────────────────────────────────────────────────

  async models() {
    const api = client();
    const got = await api.models.get(...named(target.image));
    assert.deepEqual([fullName(got), got.visibility], [target.image, "public"]);
    const listed = [];
    for await (const page of api.paginate(api.models.list)) listed.push(...page.map(fullName));
    assert.ok(listed.includes(target.image) && listed.includes(target.language), `not in the list: ${listed}`);
  },

  async models_search() {
    // The client sends the words as a JSON string, in quotes.
    const found = (await client().models.search(named(target.image)[1])).results.map(fullName);
    assert.ok(found.includes(target.image), `not found: ${found}`);
  },

  async versions() {
    const { models } = client();
    const { latest_version: version } = await models.get(...named(target.language));
    assert.deepEqual(await models.versions.get(...named(target.language), version.id), version);
    const listed = await models.versions.list(...named(target.language));
    assert.ok(listed.results.every(({ id }) => id), "a version without id");
  },

  async deployments() {
    const api = client();
    const { latest_version: version } = await api.models.get(...named(target.image));
    const name = `boats-${randomUUID()}`;
    const size = { hardware: "cpu", min_instances: 0, max_instances: 1 };
    const { owner } = await api.deployments.create({ name, model: target.image, version: version.id, ...size });
    const { current_release: release } = await api.deployments.get(owner, name);
    assert.deepEqual([release.model, release.number], [target.image, 1]);
    assert.ok((await api.deployments.list()).results.some((one) => one.name === name), "not in the list");
    const ran = await api.deployments.predictions.create(owner, name, { input: { prompt: BOAT } });
    const done = await finish(api, ran.id);
    assert.deepEqual([done.status, done.deployment], ["succeeded", `${owner}/${name}`]);
    const changed = await api.deployments.update(owner, name, { max_instances: 3 });
    assert.equal(changed.current_release.number, 2);
    assert.equal(await api.deployments.delete(owner, name), true);
  },

  async collections() {
    const { collections } = client();
    const { results } = await collections.list();
    assert.ok((await collections.get(results[0].slug)).models.length, "a collection without models");
  },

  async hardware() {
    const skus = (await client().hardware.list()).map(({ sku }) => sku);
    assert.ok(skus.includes("cpu"), `no cpu: ${skus}`);
  },

  async account() {
    const { type, username } = await client().accounts.current();
    assert.ok(["user", "organization"].includes(type) && username, "incomplete");
  },

  async base_paths() {
    for (const base of ["/replicate", "/replicate/v1", "/replicate/v1/"]) {
      const api = client({ base });
      await api.accounts.current();
      const made = await api.predictions.create({ model: target.image, input: { prompt: BOAT }, wait: 30 });
      assert.equal(made.status, "succeeded", `status by ${base}`);
    }
  },
};

await runAll(SCENARIOS);

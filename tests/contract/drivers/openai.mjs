// Drives OpenAI's JavaScript client: the core of what openai_sdk.py does with the Python ones; see harness.mjs.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { PICTURE, runAll } from "./harness.mjs";

const OpenAI = createRequire(`${process.cwd()}/`)("openai");

const TELL = "Tell me of boats and weirs. [[slow:0]]";
const CALL = "What is the weather in Oslo? [[slow:0]]";
const CALLS = "What is the weather in Oslo and Rome? [[slow:0]]";
const SUNNY = "sunny, 19 degrees";
const CITY = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const WEATHER = { name: "get_weather", description: "The weather in a city", parameters: CITY, strict: true };
const CHAT_TOOL = { type: "function", function: WEATHER };
const TOOL = { type: "function", ...WEATHER };

function client({ url, key }) {
  return new OpenAI({ apiKey: key, baseURL: `${url}/v1`, maxRetries: 0, timeout: 30_000 });
}

const turn = (content) => ({ role: "user", content });
const chat = (to, said, asked = {}) =>
  client(to).chat.completions.create({ model: to.model, messages: [turn(said)], ...asked });
const respond = (to, input, asked = {}) => client(to).responses.create({ model: to.model, input, ...asked });

async function all(items) {
  const got = [];
  for await (const item of items) got.push(item);
  return got;
}

function text(said, tells = "") {
  assert.ok(typeof said === "string" && said.trim(), `no words: ${JSON.stringify(said)}`);
  assert.ok(said.includes(tells), `nothing of ${tells}: ${said}`);
  return said;
}

function counted(usage) {
  assert.ok(usage?.prompt_tokens > 0 && usage.completion_tokens > 0, `not counted: ${JSON.stringify(usage)}`);
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens, "the sum of tokens");
}

function answered(done, finish = "stop") {
  counted(done.usage);
  return only(done, finish);
}

function only(done, finish) {
  assert.equal(done.choices.length, 1, "choices");
  assert.equal(done.choices[0].finish_reason, finish, "finish reason");
  return done.choices[0].message;
}

function called(message, count) {
  const calls = message.tool_calls ?? [];
  assert.deepEqual(calls.map((call) => call.function.name), Array(count).fill("get_weather"), "the calls");
  for (const call of calls) text(JSON.parse(call.function.arguments).city);
  return calls;
}

async function refusal(call) {
  return call.then(
    (value) => assert.fail(`no error, but ${JSON.stringify(value)}`),
    (thrown) => thrown,
  );
}

function ordered(events, first = 0) {
  assert.deepEqual(events.map((event) => event.sequence_number), events.map((_, at) => first + at), "numbers");
  return events.map((event) => event.type);
}

const SCENARIOS = {
  async chat_whole(to) {
    text(answered(await chat(to, TELL)).content);
  },

  async chat_streamed(to) {
    const asked = { stream: true, stream_options: { include_usage: true } };
    const chunks = await all(await chat(to, TELL, asked));
    counted(chunks.at(-1).usage);
    const said = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
    assert.equal(said, answered(await chat(to, TELL)).content, "the streamed text");
  },

  async chat_streamed_without_usage(to) {
    const chunks = await all(await chat(to, TELL, { stream: true }));
    assert.ok(chunks.every((chunk) => chunk.choices.length === 1), "a chunk without a choice");
    assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
  },

  async chat_stream_helper(to) {
    const stream = client(to).chat.completions.stream({ model: to.model, messages: [turn(TELL)] });
    let said = "";
    stream.on("content", (piece) => (said += piece));
    assert.equal(text(await stream.finalContent()), said);
  },

  async chat_length(to) {
    text(answered(await chat(to, TELL, { max_completion_tokens: 16 }), "length").content);
  },

  async chat_tools(to) {
    for (const [said, count] of [[CALL, 1], [CALLS, 2]]) {
      const message = answered(await chat(to, said, { tools: [CHAT_TOOL] }), "tool_calls");
      const results = called(message, count).map(({ id }) => ({ role: "tool", tool_call_id: id, content: SUNNY }));
      const messages = [turn(said), message, ...results];
      text(answered(await chat(to, said, { messages, tools: [CHAT_TOOL] })).content, SUNNY);
    }
  },

  async chat_tools_streamed(to) {
    const given = { model: to.model, messages: [turn(CALLS)], tools: [CHAT_TOOL] };
    called(only(await client(to).chat.completions.stream(given).finalChatCompletion(), "tool_calls"), 2);
  },

  async chat_tools_run(to) {
    const asked = [];
    const get_weather = ({ city }) => (asked.push(city), SUNNY);
    const tool = { type: "function", function: { ...WEATHER, parse: JSON.parse, function: get_weather } };
    const given = { model: to.model, messages: [turn(CALL)], tools: [tool] };
    text(await client(to).chat.completions.runTools(given).finalContent(), SUNNY);
    assert.equal(asked.length, 1, "calls");
  },

  async chat_json_schema(to) {
    const response_format = { type: "json_schema", json_schema: { name: "city", schema: CITY, strict: true } };
    const given = { model: to.model, messages: [turn("Name a city. [[slow:0]]")], response_format };
    text(answered(await client(to).chat.completions.parse(given)).parsed.city);
  },

  async chat_vision(to) {
    const url = `data:image/png;base64,${PICTURE.toString("base64")}`;
    const said = [{ type: "text", text: "What is this? [[slow:0]]" }, { type: "image_url", image_url: { url } }];
    text(answered(await chat(to, said)).content, "64 × 64 pixels");
  },

  async embeddings(to) {
    const given = { model: to.embedder, input: ["a boat", "a weir"], dimensions: 64 };
    const [packed, plain] = await Promise.all([
      client(to).embeddings.create(given),
      client(to).embeddings.create({ ...given, encoding_format: "float" }),
    ]);
    for (const [at, { embedding, index }] of packed.data.entries()) {
      assert.equal(index, at);
      assert.equal(embedding.length, 64);
      embedding.forEach((value, place) => assert.ok(Math.abs(value - plain.data[at].embedding[place]) < 1e-6));
    }
  },

  async moderations(to) {
    const { results } = await client(to).moderations.create({ model: to.moderator, input: "a boat" });
    assert.equal(typeof results[0].flagged, "boolean");
  },

  async models(to) {
    const listed = await all(client(to).models.list());
    assert.ok(listed.some(({ id }) => id === to.model), `${to.model} is not in the list`);
    assert.equal((await client(to).models.retrieve(to.model)).id, to.model);
  },

  async response(to) {
    const done = await respond(to, TELL, { instructions: "Be brief." });
    assert.equal(done.status, "completed");
    text(done.output_text);
  },

  async response_streamed(to) {
    const events = await all(await respond(to, TELL, { stream: true }));
    const types = ordered(events);
    assert.equal(types.at(-1), "response.completed");
    const pieces = events.filter(({ type }) => type === "response.output_text.delta").map(({ delta }) => delta);
    assert.equal(pieces.join(""), events.at(-1).response.output[0].content[0].text, "the whole text");
  },

  async response_stream_helper(to) {
    const stream = client(to).responses.stream({ model: to.model, input: TELL });
    text((await stream.finalResponse()).output_text);
  },

  async response_parse(to) {
    const format = { type: "json_schema", name: "city", schema: CITY, strict: true };
    const given = { model: to.model, input: "Name a city. [[slow:0]]", text: { format } };
    text((await client(to).responses.parse(given)).output_parsed.city);
  },

  async response_tools(to) {
    const done = await respond(to, CALLS, { tools: [TOOL] });
    const calls = done.output.filter(({ type }) => type === "function_call");
    assert.equal(calls.length, 2, "calls");
    const results = calls.map(({ call_id }) => ({ type: "function_call_output", call_id, output: SUNNY }));
    const went_on = await respond(to, results, { tools: [TOOL], previous_response_id: done.id });
    text(went_on.output_text, SUNNY);
  },

  async response_in_the_background(to) {
    const kept = client(to).responses;
    const begun = await respond(to, "[[slow:0.5]] boats", { background: true });
    let now = begun;
    while (["queued", "in_progress"].includes(now.status)) {
      await sleep(50);
      now = await kept.retrieve(begun.id);
    }
    assert.equal(now.status, "completed");
    text(now.output_text);
    assert.ok((await all(kept.inputItems.list(begun.id))).length, "no input");
    await kept.delete(begun.id);
    assert.ok((await refusal(kept.retrieve(begun.id))) instanceof OpenAI.NotFoundError);
  },

  async response_cancelled(to) {
    const begun = await respond(to, "[[slow:30]] boats", { background: true });
    assert.equal((await client(to).responses.cancel(begun.id)).status, "cancelled");
  },

  async response_resumed(to) {
    const events = await all(await respond(to, TELL, { background: true, stream: true }));
    const again = { stream: true, starting_after: events[2].sequence_number };
    const rest = await all(await client(to).responses.retrieve(events[0].response.id, again));
    assert.deepEqual(ordered(rest, 3), events.slice(3).map(({ type }) => type), "the rest");
  },

  async error_wrong_key(to) {
    const error = await refusal(chat({ ...to, key: "sk-test-wrong" }, TELL));
    assert.ok(error instanceof OpenAI.AuthenticationError, String(error));
    assert.equal(error.code, "invalid_api_key");
  },

  async error_unknown_model(to) {
    const error = await refusal(chat(to, TELL, { model: "nobody-nothing" }));
    assert.ok(error instanceof OpenAI.NotFoundError, String(error));
    assert.equal(error.code, "model_not_found");
  },

  async error_wrong_types(to) {
    const error = await refusal(chat(to, TELL, { temperature: "hot" }));
    assert.ok(error instanceof OpenAI.BadRequestError, String(error));
  },

  async error_too_long(to) {
    const error = await refusal(chat(to, "All of it. [[context]]", { model: to.fragile }));
    assert.ok(error instanceof OpenAI.BadRequestError, String(error));
    assert.equal(error.code, "context_length_exceeded");
  },

  async error_busy(to) {
    const error = await refusal(chat(to, `${Math.random()} [[busy:9]]`, { model: to.crowded }));
    assert.ok(error instanceof OpenAI.InternalServerError, String(error));
    assert.equal(error.code, "overloaded");
  },

  async error_in_the_stream(to) {
    const error = await refusal(chat(to, "A story. [[die]]", { model: to.fragile, stream: true }).then(all));
    assert.ok(error instanceof OpenAI.APIError, String(error));
    assert.ok(!(error instanceof OpenAI.APIConnectionError), String(error));
  },
};

await runAll(SCENARIOS);

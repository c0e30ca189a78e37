// Assistants behind the OpenAI-compatible provider, against aimock.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import { test } from "node:test";
import { LLMock } from "@copilotkit/aimock";
import { ask, connect, enter, event, events, messages, newChat, serve, until } from "./lib/parlor.mjs";

const model = "aisuite.openai:gpt-4o";
const key = "sk-very-secret-key-1234567890";

async function withModel(t, { args = [] } = {}) {
  const mock = new LLMock({ port: 0 });
  await mock.start();
  t.after(() => mock.stop());
  const server = await serve(t, { args: ["--retry-delay", "10ms", ...args], env: { OPENAI_API_KEY: key, OPENAI_BASE_URL: `${mock.url}/v1` } });
  const alice = await connect(t, server);
  const chat = newChat();
  const room = await enter(alice, chat, { model });
  return { mock, server, alice, chat, room };
}

/** Ends as failed, frees the SPA's spinner, and leaves no key anywhere. */
async function failed({ server, alice, chat, room }, code) {
  const error = await event(alice, `stream_error ${room}`, (b) => !b.retrying);
  assert.equal(error.code, code, JSON.stringify(error));
  assert.ok(error.error.length > 10);
  assert.equal(error.retrying, false);
  assert.equal((await event(alice, `stream_end ${room}`)).state, "failed");
  await event(alice, `turn ${room}`, (b) => b.state === "failed");
  await event(alice, "message_error");
  const freed = await event(alice, `receive_message ${room}`, ({ type }) => type === "sbaw.text_message.assistant");
  assert.ok(freed.data.content.length > 0);
  const { message } = await event(alice, `message ${room}`, (b) => b.message.role === "assistant");
  assert.equal(message.state, "failed");
  assert.ok(!JSON.stringify(alice.seen).includes(key) && !server.log.join().includes(key));
  const text = events(alice, `stream_chunk ${room}`).map((c) => c.content).join("");
  assert.equal(message.content, text, "the partial text is kept");
  assert.ok((await messages(server, chat)).some((m) => m.state === "failed"));
  const joined = await ask(alice, "join_room", { room_id: room });
  assert.equal(joined.turn, null);
  return { error, message };
}

test("a streamed answer, with usage", async (t) => {
  const { mock, alice, chat, room, server } = await withModel(t);
  const text = "Streaming is fun. 😀 Über alles — ja. ".repeat(10).trim();
  mock.onMessage("hello", { content: text });
  await ask(alice, "send_message", { room_id: room, message: "hello" });
  const end = await event(alice, `stream_end ${room}`);
  assert.equal(end.state, "completed");
  assert.equal(events(alice, `stream_chunk ${room}`).map((c) => c.content).join(""), text);
  assert.ok(events(alice, `stream_chunk ${room}`).length > 3);
  assert.ok(end.usage.total_tokens > 0);
  assert.equal((await messages(server, chat)).at(-1).content, text);
});

test("the conversation reaches the model, in order", async (t) => {
  const { mock, alice, room } = await withModel(t);
  mock.onMessage("first", { content: "one" });
  mock.onMessage("second", { content: "two" });
  await ask(alice, "send_message", { room_id: room, message: "first" });
  await ask(alice, "send_message", { room_id: room, message: "second" });
  await until(() => events(alice, `stream_end ${room}`).length, (n) => n === 2);
  const last = mock.getRequests().at(-1).body.messages.map((m) => [m.role, m.content]);
  assert.deepEqual(last.slice(-3), [["user", "first"], ["assistant", "one"], ["user", "second"]]);
});

test("429 and 500 end the turn as failed, and the room goes on", async (t) => {
  const world = await withModel(t);
  world.mock.onMessage("hello", { content: "still here" }); // first: a question without an answer is sent as one with the next
  world.mock.onMessage("limit", { error: { message: "Rate limited, slow down", type: "rate_limit_error" }, status: 429 });
  await ask(world.alice, "send_message", { room_id: world.room, message: "limit" });
  const { error } = await failed(world, "provider_error");
  assert.match(error.error, /Rate limited, slow down/);
  await ask(world.alice, "send_message", { room_id: world.room, message: "hello" });
  await event(world.alice, `stream_end ${world.room}`, (b) => b.state === "completed");
});

test("500 ends the turn as failed", async (t) => {
  const world = await withModel(t);
  world.mock.onMessage("boom", { error: { message: "The server had an error", type: "server_error" }, status: 500 });
  await ask(world.alice, "send_message", { room_id: world.room, message: "boom" });
  await failed(world, "provider_error");
});

test("a provider that fails once is asked again, before any text", async (t) => {
  const { mock, alice, room } = await withModel(t);
  let asked = 0;
  mock.onMessage("once", () => (++asked === 1 ? { error: { message: "Overloaded" }, status: 503 } : { content: "here it is" }));
  await ask(alice, "send_message", { room_id: room, message: "once" });
  const end = await event(alice, `stream_end ${room}`);
  assert.equal(end.state, "completed");
  assert.equal(asked, 2);
  const [error, ...others] = events(alice, `stream_error ${room}`);
  assert.deepEqual([error.retrying, error.code, others], [true, "provider_error", []]);
  assert.match(error.error, /Overloaded/);
  assert.equal(events(alice, `stream_chunk ${room}`).map((c) => c.content).join(""), "here it is");
});

test("a provider that keeps failing is left alone, and its fallback answers", async (t) => {
  const { mock, alice, room, server } = await withModel(t, {
    args: ["--retries", "0", "--breaker-failures", "2", "--eliza-word-delay", "0s", "--metrics", "--discover=false",
      "--models", JSON.stringify([{ model_id: model, provider: "openai", fallbacks: ["eliza"] }])],
  });
  let asked = 0;
  mock.onMessage(/sick/, () => (asked++, { error: { message: "Out of order" }, status: 500 }));
  for (let n = 1; n <= 3; n++) {
    await ask(alice, "send_message", { room_id: room, message: `I am sick ${n}` });
    await until(() => events(alice, `stream_end ${room}`).length, (ends) => ends === n);
  }
  assert.equal(asked, 2, "the third was not asked");
  assert.ok(events(alice, `stream_end ${room}`).every((e) => e.state === "completed"));
  const errors = events(alice, `stream_error ${room}`);
  assert.deepEqual(errors.map((e) => [e.retrying, e.model_id]), Array(3).fill([true, "eliza"]));
  assert.match(errors[2].error, /openai has failed too often; it will be asked again in/);
  const answers = events(alice, `message ${room}`).filter((b) => b.message.role === "assistant");
  assert.ok(answers.every((b) => b.message.model_id === "eliza"), JSON.stringify(answers));
  const states = events(alice, `assistant ${room}`);
  assert.deepEqual(states.map((s) => [s.provider, s.state]), [["openai", "open"], ["openai", "open"]]);
  assert.ok(Date.parse(states[0].retry_at) > Date.now());
  const { models } = await (await fetch(`${server.url}/api/v1/model`)).json();
  assert.deepEqual(models.map((m) => [m.model_id, m.state]), [[model, "open"], ["eliza", undefined]]);
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  assert.match(metrics, /^parlor_provider_state\{provider="openai",state="open"\} 1$/m);
  assert.match(metrics, /^parlor_provider_requests_total\{outcome="failed",provider="openai"\} 2$/m);
  assert.match(metrics, /^parlor_turns_total\{end="completed",reason="stop"\} 3$/m);
  assert.match(metrics, /^parlor_first_token_seconds_count 3$/m);
  for (const series of ["parlor_connections", "parlor_sessions", "parlor_users", "parlor_rooms"]) assert.match(metrics, new RegExp(`^${series} 1$`, "m"));
  assert.match(metrics, /^parlor_commit_requests_total [1-9]/m);
  assert.match(metrics, /^parlor_commit_failures_total 0$/m);
});

test("models of a server on this computer are found, and answer", async (t) => {
  const paths = [];
  const local = createServer((req, res) => {
    paths.push(`${req.method} ${req.url} ${req.headers.authorization}`);
    if (req.url === "/v1/models") {
      res.setHeader("content-type", "application/json").end(JSON.stringify({ object: "list", data: [{ id: "tiny:1b", object: "model" }] }));
      return;
    }
    const piece = { choices: [{ index: 0, delta: { content: "from your own computer" }, finish_reason: "stop" }] };
    res.setHeader("content-type", "text/event-stream").end(`data: ${JSON.stringify(piece)}\n\ndata: [DONE]\n\n`);
  }).listen(0, "127.0.0.1");
  await once(local, "listening");
  t.after(() => { local.closeAllConnections(); local.close(); });
  const providers = JSON.stringify({ ollama: { base_url: `http://127.0.0.1:${local.address().port}/v1` } });
  const list = async (server) => (await (await fetch(`${server.url}/api/v1/model`)).json()).models.map((m) => m.model_id);

  const off = await serve(t, { args: ["--discover=false", "--providers", providers] });
  assert.deepEqual(await list(off), ["eliza"]);
  assert.doesNotMatch(await (await fetch(`${off.url}/metrics`)).text(), /parlor_/, "metrics are off");
  assert.deepEqual(paths, []);

  const server = await serve(t, { args: ["--providers", providers] });
  await until(() => list(server), (ids) => ids.includes("ollama:tiny:1b"));
  const alice = await connect(t, server);
  const room = await enter(alice, newChat(), { model: "ollama:tiny:1b" });
  await ask(alice, "send_message", { room_id: room, message: "hello" });
  await event(alice, `stream_chunk ${room}`, (c) => c.content === "from your own computer");
  assert.deepEqual(new Set(paths), new Set(["GET /v1/models undefined", "POST /v1/chat/completions undefined"]));
});

test("a provider without its key says so", async (t) => {
  const server = await serve(t, {});
  const alice = await connect(t, server);
  const refused = await ask(alice, "create_room", { chat_id: newChat(), model_id: "aisuite.groq:llama", model_api_source: "aisuite" });
  assert.equal(refused.error.code, "not_found");
  assert.equal(refused.error.message, "the provider groq cannot be asked: GROQ_API_KEY is not set");
});

test("a stream cut in the middle keeps the partial text", async (t) => {
  const world = await withModel(t);
  world.mock.onMessage("long", { content: "This answer will be cut somewhere in its middle. ".repeat(5) }, { truncateAfterChunks: 4, latency: 20 });
  await ask(world.alice, "send_message", { room_id: world.room, message: "long" });
  const { message } = await failed(world, "provider_error");
  assert.ok(message.content.startsWith("This answer"), message.content);
});

test("a model that never sends a byte times out", async (t) => {
  const world = await withModel(t, { args: ["--first-token-timeout", "300ms", "--silence-timeout", "300ms"] });
  world.mock.onMessage("hang", () => new Promise(() => {}));
  await ask(world.alice, "send_message", { room_id: world.room, message: "hang" });
  await failed(world, "provider_timeout");
});

test("an upstream that accepts and stays silent: another member stops it at once", async (t) => {
  const silent = createServer(() => {}).listen(0, "127.0.0.1");
  await once(silent, "listening");
  t.after(() => { silent.closeAllConnections(); silent.close(); });
  const server = await serve(t, { env: { OPENAI_BASE_URL: `http://127.0.0.1:${silent.address().port}/v1` } });
  const chat = newChat();
  const [alice, bob] = [await connect(t, server), await connect(t, server, { user: "bob" })];
  const room = await enter(alice, chat, { model });
  await enter(bob, chat, { model });
  await ask(alice, "send_message", { room_id: room, message: "hello?" });
  const { turn_id } = await event(bob, `stream_start ${room}`);

  const started = performance.now();
  const stopped = await ask(bob, `stop ${room}`, { turn_id, reason: "too slow" });
  assert.deepEqual(stopped, { ok: true, turn_id });
  for (const socket of [alice, bob]) {
    const turn = await event(socket, `turn ${room}`, (b) => b.state === "stopped");
    assert.equal(turn.by, "bob");
    assert.equal(turn.reason, "too slow");
    assert.equal((await event(socket, `stream_end ${room}`)).state, "stopped");
    await event(socket, `receive_message ${room}`, ({ type }) => type === "sbaw.text_message.assistant");
  }
  t.diagnostic(`stopped everywhere after ${Math.round(performance.now() - started)} ms`);
  assert.deepEqual(await ask(bob, `stop ${room}`, {}), { ok: true, turn_id: null });
});

test("the SPA's stop is acknowledged (§9.3)", async (t) => {
  const world = await withModel(t);
  world.mock.onMessage("slow", { content: "word ".repeat(500) }, { streamingProfile: { ttft: 10, tps: 20 } });
  await ask(world.alice, "send_message", { room_id: world.room, message: "slow" });
  await event(world.alice, `stream_chunk ${world.room}`);
  world.alice.emit("event", { room_id: world.room, event: { type: "sbaw.assistant.stop_processing", id: "42" } });
  assert.deepEqual(await event(world.alice, "event_received 42"), { success: true });
  const answer = await event(world.alice, `receive_message ${world.room}`, ({ type }) => type === "sbaw.text_message.assistant");
  assert.equal(answer.data.stop_reason, "cancelled");
  assert.ok(answer.data.content.startsWith("word"));
});

test("models are configured as a list", async (t) => {
  const mock = new LLMock({ port: 0 });
  mock.onMessage("hello", { content: "from the list" });
  await mock.start();
  t.after(() => mock.stop());
  const models = [{ model_id: "local:tiny", model_api_source: "aisuite", provider: "openai", display_name: "Tiny", base_url: `${mock.url}/v1`, key_var: "TINY_KEY" }];
  const server = await serve(t, { args: ["--models", JSON.stringify(models)], env: { TINY_KEY: key } });
  const list = await (await fetch(`${server.url}/api/v1/model`)).json();
  assert.equal(list.models[0].model_id, "local:tiny");
  assert.equal(list.models[0].display_name, "Tiny");
  const alice = await connect(t, server);
  const room = await enter(alice, newChat(), { model: "local:tiny" });
  await ask(alice, "send_message", { room_id: room, message: "hello" });
  await event(alice, `stream_chunk ${room}`, (c) => c.content.includes("from"));
});

// An answer that goes on at its provider while the server is away is read on, and not asked for again.
import assert from "node:assert/strict";
import { test } from "node:test";
import { longOnly } from "./lib/random.mjs";
import { ask, connect, enter, folder, messages, newChat, serve, until } from "./lib/parlor.mjs";
import { responsesServer } from "./lib/responses.mjs";

const words = Array.from({ length: 40 }, (_, i) => `word${i} `);
const say = () => words;
const models = ["--models", JSON.stringify([{ model_id: "m", provider: "openai", resume: true }]), "--titles", "off", "--discover=false"];

/** A server at the same address each time. */
async function world(t, options) {
  const model = await responsesServer(t, { say, ...options });
  const dir = folder();
  let listen;
  return async function start() {
    const server = await serve(t, { dir, listen, args: models, env: { OPENAI_BASE_URL: model.url, OPENAI_API_KEY: "k" } });
    listen = new URL(server.url).host;
    return Object.assign(server, { model });
  };
}

/** Joins, and follows the text of the answer: what is told has to follow what is known. */
async function follow(t, server, chat) {
  const socket = await connect(t, server);
  const told = { text: "", attempts: new Set(), recovering: false };
  socket.onAny((name, body) => {
    if (name.startsWith("room_joined ") && body.turn) {
      told.attempts.add(body.turn.attempt);
      told.text = body.turn.content;
    }
    if (name.startsWith("stream_start ")) {
      told.attempts.add(body.attempt);
      told.recovering ||= body.recovering === true;
      told.text = "";
    }
    if (!name.startsWith("stream_chunk ")) return;
    if (body.offset !== told.text.length) told.wrong = `a piece at ${body.offset} follows ${told.text.length}`;
    told.text += body.content;
  });
  const room = await enter(socket, chat, { model: "m" });
  return { socket, told, room };
}

test("kill -9 in the middle of an answer that goes on at the provider", async (t) => {
  const start = await world(t);
  let server = await start();
  const chat = newChat();
  let { socket, told, room } = await follow(t, server, chat);
  await ask(socket, "send_message", { room_id: room, message: "count" });
  for (let kills = 0; kills < 2; kills++) {
    await until(() => told.text, (text) => text.length > 40 + 60 * kills);
    await server.kill();
    const shown = told.text;
    server = await start();
    ({ socket, told } = await follow(t, server, chat));
    const now = await until(() => told.text, (text) => text.length >= shown.length);
    assert.ok(now.startsWith(shown), "nothing that was shown is shown otherwise");
    assert.deepEqual([[...told.attempts], told.wrong], [[1], undefined]);
  }
  const [, answer] = await until(() => messages(server, chat), (all) => all.length === 2);
  assert.deepEqual([answer.content, answer.state, answer.usage.total_tokens], [words.join(""), "completed", 50]);
  assert.equal(told.text, answer.content);
  assert.deepEqual(server.model.requests, ["POST", "GET 0", "GET 0"]);
});

test("an answer that the provider has lost, and one that is stopped", longOnly, async (t) => {
  const start = await world(t);
  let server = await start();
  const chat = newChat();
  let { socket, told, room } = await follow(t, server, chat);
  await ask(socket, "send_message", { room_id: room, message: "count" });
  await until(() => told.text, (text) => text.length > 40);
  await server.kill();
  server.model.lose();
  server = await start();
  ({ socket, told } = await follow(t, server, chat));
  const [, answer] = await until(() => messages(server, chat), (all) => all.length === 2);
  assert.equal(answer.content, words.join(""));
  assert.deepEqual(server.model.requests, ["POST", "GET 0", "POST"]);
  assert.ok(told.attempts.has(2));

  await ask(socket, "send_message", { room_id: room, message: "again" });
  await until(() => told.text, (text) => text.length > 20 && text.length < 200);
  await server.kill();
  server = await start();
  ({ socket, told } = await follow(t, server, chat));
  await until(() => told.text, (text) => text.length > 60);
  await ask(socket, `stop ${room}`, {});
  await until(() => server.model.requests.at(-1), (last) => last === "cancel");
  const said = await messages(server, chat);
  assert.equal(said.at(-1).state, "stopped");
});

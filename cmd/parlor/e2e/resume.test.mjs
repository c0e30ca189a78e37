// An answer that goes on at its provider while the server is away is read on, and not asked for again.
import assert from "node:assert/strict";
import { test } from "node:test";
import { client, collect, joined, rises, versions } from "./lib/openai.mjs";
import { long, longOnly } from "./lib/random.mjs";
import { ask, connect, enter, folder, messages, newChat, serve, until } from "./lib/parlor.mjs";
import { responsesServer } from "./lib/responses.mjs";

const words = Array.from({ length: 40 }, (_, i) => `word${i} `);
const said = (n) => words.slice(0, n).join("");
const models = ["--models", JSON.stringify([{ model_id: "m", provider: "openai", resume: true }]), "--titles", "off", "--discover=false"];

/** A server at the same address each time. */
async function world(t) {
  const model = await responsesServer(t, words);
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
  const kills = long ? [10, 20, 21, 39] : [10];
  for (const n of kills) {
    server.model.release(n);
    await until(() => told.text, (text) => text === said(n));
    await server.kill();
    server = await start();
    ({ socket, told } = await follow(t, server, chat));
    await until(() => told.text, (text) => text === said(n));
    assert.deepEqual([[...told.attempts], told.wrong], [[1], undefined]);
  }
  server.model.release(words.length);
  const [, answer] = await until(() => messages(server, chat), (all) => all.length === 2);
  assert.deepEqual([answer.content, answer.state, answer.usage.total_tokens], [said(), "completed", 50]);
  await until(() => told.text, (text) => text === answer.content);
  assert.deepEqual([told.wrong, server.model.requests], [undefined, ["POST", ...kills.map(() => "GET 0")]]);
});

test("an answer that the provider has lost, and one that is stopped", longOnly, async (t) => {
  const start = await world(t);
  let server = await start();
  const chat = newChat();
  let { socket, told, room } = await follow(t, server, chat);
  await ask(socket, "send_message", { room_id: room, message: "count" });
  server.model.release(10);
  await until(() => told.text, (text) => text === said(10));
  await server.kill();
  server.model.lose();
  server = await start();
  ({ socket, told } = await follow(t, server, chat));
  await until(() => told.attempts.has(2) && told.text, (text) => text === said(10));
  server.model.release(words.length);
  const [, answer] = await until(() => messages(server, chat), (all) => all.length === 2);
  assert.equal(answer.content, said());
  assert.deepEqual(server.model.requests, ["POST", "GET 0", "POST"]);

  server.model.release(10);
  await ask(socket, "send_message", { room_id: room, message: "again" });
  await until(() => told.text, (text) => text === said(10));
  await server.kill();
  server = await start();
  ({ socket, told } = await follow(t, server, chat));
  await until(() => told.text, (text) => text === said(10));
  await ask(socket, `stop ${room}`, {});
  await until(() => server.model.requests.includes("cancel"), Boolean);
  assert.equal((await messages(server, chat)).at(-1).state, "stopped");
});

test("OpenAI's client goes on in the same item", longOnly, async (t) => {
  const start = await world(t);
  let server = await start();
  const ai = () => client(versions[7], server);
  server.model.release(15);
  const heard = await collect(await ai().responses.create({ model: "m", input: "count", stream: true }), (events) => { if (joined(events) === said(15)) server.kill(); });
  server = await start();
  server.model.release(words.length);
  const rest = await collect(await ai().responses.retrieve(heard[0].response.id, { stream: true, starting_after: heard.at(-1).sequence_number }));
  assert.ok(rises([...heard, ...rest]), "no number comes twice");
  assert.equal(joined(heard) + joined(rest), said(), "and no word");
  const { response } = rest.at(-1);
  assert.deepEqual([response.status, response.output.length, response.output[0].content[0].text], ["completed", 1, said()]);
  assert.deepEqual(server.model.requests, ["POST", "GET 0"]);
});

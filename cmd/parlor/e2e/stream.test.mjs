// A stream that kill -9 cuts at a random token: the official client, unchanged,
// ends with the complete answer, once.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { ask, client, enter, event, events, folder, messages, newChat, serve, until } from "./lib/parlor.mjs";
import { long, seeded } from "./lib/random.mjs";

const rounds = long ? 60 : 5;
const words = ["--eliza-word-delay", "30ms"];

/** A client that keeps the text of each answer as the documented events say. */
async function reader(t, server, user, chat, transports) {
  const socket = client(t, server, { auth: { user_id: user }, transports });
  await once(socket, "connect");
  const room = await enter(socket, chat, { dialect: "documented" });
  const texts = new Map();
  const attempts = new Map();
  const returns = [];
  socket.on("connect", () => returns.push(socket.recovered));
  socket.on(`stream_start ${room}`, ({ message_id, attempt }) => {
    texts.set(message_id, "");
    attempts.set(message_id, [...(attempts.get(message_id) ?? []), attempt]);
  });
  socket.on(`stream_chunk ${room}`, ({ message_id, content, offset }) => {
    const text = texts.get(message_id);
    assert.ok(offset <= text.length, `a gap: offset ${offset} after ${text.length}`);
    texts.set(message_id, text.slice(0, offset) + content);
  });
  return { socket, room, texts, attempts, returns };
}

test(`a stream is cut at a random token by kill -9, ${rounds} times`, { timeout: 240_000 }, async (t) => {
  const random = seeded(t);
  const dir = folder();
  let server = await serve(t, { dir, args: words });
  const listen = new URL(server.url).host;
  const chat = newChat();
  const alice = await reader(t, server, "alice", chat, ["websocket"]);
  const bob = await reader(t, server, "bob", chat, ["polling", "websocket"]);
  const { room } = alice;

  for (let round = 0; round < rounds; round++) {
    const ack = await ask(alice.socket, "send_message", { room_id: room, message: `I remember my father ${round}` });
    assert.ok(ack.ok, JSON.stringify(ack));
    const { message_id } = await event(alice.socket, `stream_start ${room}`, (e) => alice.attempts.size === round + 1 && e.message_id === [...alice.attempts.keys()].at(-1));
    const tokens = random.below(5);
    const pieces = () => events(alice.socket, `stream_chunk ${room}`).filter((e) => e.message_id === message_id).length;
    await until(pieces, (n) => n >= tokens);
    await server.kill();
    server = await serve(t, { dir, listen, args: words });
    for (const { socket } of [alice, bob]) {
      await event(socket, `stream_end ${room}`, (e) => e.message_id === message_id, { timeout: 60_000 });
      await until(() => socket.connected, Boolean);
    }
  }

  const history = await messages(server, chat);
  const answers = history.filter((m) => m.role === "assistant");
  assert.equal(answers.length, rounds);
  assert.ok(answers.every((m) => m.state === "completed" && m.content.length > 0), JSON.stringify(answers));
  for (const { socket, texts, attempts, returns } of [alice, bob]) {
    const told = (name) => events(socket, `${name} ${room}`);
    const ids = answers.map((m) => m.message_id);
    assert.deepEqual([...texts.values()], answers.map((m) => m.content), "streamed is recorded");
    assert.deepEqual(told("stream_end").map((e) => [e.message_id, e.state]), ids.map((id) => [id, "completed"]), "one end each, in order");
    assert.deepEqual(told("message").map((e) => e.message).filter((m) => m.role === "assistant").map((m) => m.message_id), ids, "each message once, in order");
    assert.deepEqual(returns, Array(rounds).fill(true), "recovered every time");
    const cut = [...attempts.values()].filter((a) => a.length === 2).length;
    assert.ok([...attempts.values()].every((a) => ["1", "1,2"].includes(String(a))), JSON.stringify([...attempts.values()]));
    assert.ok(cut > rounds / 2, `only ${cut} answers were cut before their end`);
    t.diagnostic(`${cut} of ${rounds} answers were cut in the middle`);
  }
});

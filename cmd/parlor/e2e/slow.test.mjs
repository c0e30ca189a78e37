// Clients that stop reading while an assistant talks.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { withBody } from "./lib/body.mjs";
import { ask, connect, enter, events, newChat, serve, until } from "./lib/parlor.mjs";
import { longOnly } from "./lib/random.mjs";
import { polling, text, websocket } from "./lib/raw.mjs";

const namespace = "/assistant/realtime,";
const model = "aisuite.openai:talker";
const token = (i) => ` ${i % 100000}`;

// Deltas take many times the bytes of their text. The kernel takes about 3 MB of
// them for a WebSocket that is not read, which is 20,000, and none for polling.
const queueBytes = 500_000;

/** A model that says as many tokens as it is asked for. */
async function talker(t) {
  const server = createServer(withBody(async (request, response, body) => {
    if (request.method === "GET") return response.writeHead(404).end(); // it lists no models
    const tokens = Number(JSON.parse(body).messages.at(-1).content);
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    const say = (choice) => `data: ${JSON.stringify({ id: "1", object: "chat.completion.chunk", model: "talker", choices: [{ index: 0, ...choice }] })}\n\n`;
    for (let i = 0; i < tokens && !response.destroyed; ) {
      let piece = "";
      for (const end = Math.min(i + 500, tokens); i < end; i++) piece += say({ delta: { content: token(i) } });
      if (!response.write(piece)) await once(response, "drain").catch(() => {});
    }
    response.end(say({ delta: {}, finish_reason: "stop" }) + "data: [DONE]\n\n");
  }));
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => server.closeAllConnections() ?? server.close());
  return `http://127.0.0.1:${server.address().port}/v1`;
}

/** A server, a room with the talker, and somebody who reads all. */
async function site(t) {
  const server = await serve(t, {
    args: ["--queue-bytes", String(queueBytes), "--log-level", "debug"],
    env: { OPENAI_API_KEY: "key", OPENAI_BASE_URL: await talker(t) },
  });
  const alice = await connect(t, server);
  const room = await enter(alice, newChat(), { model, dialect: "documented" });
  const answer = async (tokens) => {
    const before = events(alice, `stream_end ${room}`).length;
    assert.equal((await ask(alice, `send_message ${room}`, { message: String(tokens) })).ok, true);
    const ends = await until(() => events(alice, `stream_end ${room}`), (all) => all.length > before, { timeout: 120_000 });
    assert.equal(ends.at(-1).state, "completed", JSON.stringify(ends.at(-1)));
  };
  // On a busy machine the time that a write may take can be over first.
  const cut = () => server.log.filter((line) => /connection closed.*(slow consumer|transport error)/.test(line)).length;
  return { server, alice, room, answer, cut };
}

/** The frames of a client that joins a room. */
const join = (room) => [`40${namespace}{"user_id":"bob"}`, `42${namespace}1["join_room",{"room_id":"${room}","dialect":"documented"}]`];

/** The answer that the texts tell in a room, and in how many deltas. */
function told(texts, room) {
  const chunks = texts.filter((s) => s.startsWith(`42${namespace}["stream_chunk ${room}"`)).map((s) => JSON.parse(s.slice(2 + namespace.length))[1]);
  let answer = "";
  for (const chunk of chunks) {
    assert.equal(chunk.offset, answer.length);
    answer += chunk.content;
  }
  return { answer, deltas: chunks.length };
}

/** Checks that a client was told the whole answer, in fewer deltas than were sent. */
function checkJoined(t, texts, room, sent) {
  const got = told(texts, room);
  assert.ok(got.answer === Array.from({ length: sent }, (_, i) => token(i)).join(""), `got ${got.answer.length} characters`);
  t.diagnostic(`${sent} deltas came as ${got.deltas}`);
  assert.ok(got.deltas < sent, "nothing was joined");
}

test("a WebSocket that reads again gets the deltas joined, and one that stays away is cut off", longOnly, async (t) => {
  const deltas = 30_000;
  const { server, alice, room, answer, cut } = await site(t);
  const [late, away] = [await websocket(t, server), await websocket(t, server)];
  for (const raw of [late, away]) {
    for (const packet of join(room)) raw.write(text(packet));
    await raw.text(`43${namespace}1[{"ok":true`);
    raw.socket.pause();
  }
  await answer(deltas);
  late.socket.resume();
  await late.text(`42${namespace}["stream_end ${room}"`);
  checkJoined(t, late.texts(), room, deltas);
  assert.equal(cut(), 0);

  for (let answers = 0; cut() === 0; answers++) { // the kernel takes nothing of it for who stays away
    assert.ok(answers < 10, "nobody is cut off");
    await answer(deltas);
  }
  assert.equal(cut(), 1);
  await answer(10);
  assert.ok(alice.connected);
});

test("a client that polls again gets the deltas joined, and one that stays away is cut off", longOnly, async (t) => {
  const deltas = 10_000;
  const { server, alice, room, answer, cut } = await site(t);
  const [late, away] = [await polling(t, server), await polling(t, server)];
  for (const session of [late, away]) {
    await session.post(join(room).join("\x1e"));
    await until(async () => (await session.get()).text(), (body) => body.includes(`43${namespace}1[{"ok":true`));
  }
  for (let answers = 0; cut() === 0; answers++) { // each takes 100,000 bytes of queue when it has ended
    assert.ok(answers < 10, "nobody is cut off");
    await answer(deltas);
    checkJoined(t, (await (await late.get()).text()).split("\x1e"), room, deltas);
  }
  assert.equal((await away.get()).status, 400);
  assert.equal((await late.post(`42${namespace}2["join_room",{}]`)).status, 200);
  assert.ok(alice.connected);
});

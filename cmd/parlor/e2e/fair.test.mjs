// Two users on one server: what one does, within the limits, costs the other nothing.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { ask, client, connect, enter, messages, serve, sleep, until } from "./lib/parlor.mjs";
import { long, longOnly } from "./lib/random.mjs";

const secret = "0123456789abcdef0123456789abcdef";
const base64 = (v) => Buffer.from(v).toString("base64url");

function token(sub) {
  const now = Math.floor(Date.now() / 1000);
  const body = `${base64('{"alg":"HS256","typ":"JWT"}')}.${base64(JSON.stringify({ sub, token_type: "access", iat: now, exp: now + 3600 }))}`;
  return `${body}.${createHmac("sha256", secret).update(body).digest("base64url")}`;
}

const quantile = (list, p) => [...list].sort((a, b) => a - b)[Math.ceil((list.length * p) / 100) - 1];
const quiet = (room_id, text) => ({
  room_id, message: { type: "conversation.item.create", data: { item: { type: "message", role: "user", content: [{ type: "input_text", text }] } } },
});

/** All that a user can do much of. Returns the codes of the refusals when running ends. */
async function flood(t, server, running) {
  const auth = { token: token("mallory") };
  const options = { auth, reconnection: false };
  const refused = new Set();
  let done = 0;
  const home = await connect(t, server, options);
  const rooms = [];
  for (let i = 0; i < 10; i++) rooms.push((await ask(home, "create_room", { chat_id: `mallory-${i}`, model_id: "eliza", model_api_source: "aisuite" })).room_id);
  const first = await ask(home, "send_message", { room_id: rooms[0], message: "the first" });
  const long = "x".repeat(50_000);
  let n = 0;
  const room = () => rooms[n++ % rooms.length];
  const kinds = [
    (s) => ask(s, "send_message", quiet(room(), "hi")),
    (s) => ask(s, "send_message", quiet(room(), long)),
    (s) => ask(s, "send_message", { room_id: room(), message: "I am curious" }),
    (s) => ask(s, "edit", { room_id: rooms[0], message_id: first.message_id, content: "anew" }),
    (s) => ask(s, "history", { room_id: room(), limit: 500 }),
    (s) => ask(s, "create_room", { chat_id: `mallory-new-${n++}`, model_id: "eliza", model_api_source: "aisuite" }),
    (s) => ask(s, "join_room", { room_id: room(), dialect: "documented" }),
    (s) => ask(s, "leave_room", { room_id: room() }),
    async () => { // a connection that is lost, with a seat
      const lost = client(t, server, options);
      await new Promise((resolve) => lost.once("connect", resolve).once("connect_error", resolve));
      await ask(lost, "join_room", { room_id: room() });
      lost.io.engine.close();
      return { ok: true };
    },
  ];
  const sockets = await Promise.all(Array.from({ length: 3 }, () => connect(t, server, options)));
  const workers = sockets.flatMap((s) => kinds.map(async (kind) => {
    while (running()) {
      const answer = await kind(s).catch(() => ({ ok: false, error: { code: "none" } }));
      if (!answer.ok) refused.add(answer.error.code);
      done++;
    }
  }));
  return Promise.all(workers).then(() => ({ refused, done }));
}

/** A user who talks, reads and loses the connection now and then. All has to succeed. */
async function live(socket, room, said, until) {
  const took = [];
  for (let i = 0; Date.now() < until; i++) {
    const begin = performance.now();
    const sent = await ask(socket, "send_message", quiet(room, `message ${said.length}`));
    took.push(performance.now() - begin);
    assert.deepEqual([sent.ok, sent.error], [true, undefined]);
    said.push(sent.message_id ?? sent.id);
    const history = await ask(socket, "history", { room_id: room, limit: 5 });
    assert.equal(history.ok, true, JSON.stringify(history));
    await sleep(5);
  }
  return took;
}

test("what one user does costs another nothing", longOnly, async (t) => {
  const seconds = long ? 10 : 0.6;
  const server = await serve(t, {
    env: { PARLOR_JWT_SECRET: secret },
    args: ["--max-sessions", "40", "--max-chats-per-user", "11", "--max-bytes-per-user", "1MiB", "--max-rooms-per-user", "8", "--eliza-word-delay", "50ms"],
  });
  const alice = await connect(t, server, { auth: { token: token("alice") } });
  const room = await enter(alice, "alices");
  await enter(alice, "alices-too");
  const said = [];
  const alone = await live(alice, room, said, Date.now() + seconds * 500);

  let running = true;
  const flooding = flood(t, server, () => running);
  await sleep(300);
  const beside = [];
  for (let i = 0; i < 2; i++) {
    beside.push(...(await live(alice, room, said, Date.now() + seconds * 500)));
    const id = alice.id;
    alice.io.engine.close();
    await until(() => alice.connected, Boolean);
    assert.deepEqual([alice.recovered, alice.id], [true, id], "alice comes back");
  }
  const other = await connect(t, server, { auth: { token: token("bob") } });
  await enter(other, "bobs");
  running = false;
  const { refused, done } = await flooding;

  assert.ok(done > 20, `the flood has done ${done} things`);
  assert.ok(refused.has("quota_exceeded"), `the flood met no limit, only ${[...refused]}`);
  const headers = { Authorization: `Bearer ${token("alice")}` };
  assert.equal((await messages(server, "alices", { headers })).length, said.length, "each message is there once");
  const { total } = await (await fetch(`${server.url}/api/v1/chat`, { headers })).json();
  assert.equal(total, 2, "each chat is there");
  for (const p of [50, 99]) {
    const [a, b] = [quantile(alone, p), quantile(beside, p)];
    t.diagnostic(`p${p} of ${alone.length} sends alone ${a.toFixed(1)} ms, of ${beside.length} beside ${done} other things ${b.toFixed(1)} ms: ${(b / a).toFixed(1)} times`);
  }
});

// kill -9 at random moments while clients send: nothing acknowledged is lost,
// nothing is there twice.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, connect, enter, event, events, folder, messages, newChat, serve, sleep, until } from "./lib/parlor.mjs";
import { long, seeded } from "./lib/random.mjs";

const rounds = long ? 20 : 2;
const clients = 20;
const chats = 4;

/** Sends until the connection is gone; an unanswered send is repeated under its id in the next round. */
async function chatter(socket, room, user, state) {
  while (socket.connected) {
    const id = state.unanswered ?? `${user}-${state.sent++}`;
    state.unanswered = id;
    let ack;
    try {
      ack = await socket.timeout(5_000).emitWithAck("send_message", { room_id: room, message: { content: id, client_message_id: id } });
    } catch {
      return;
    }
    if (ack.ok) {
      state.acked.set(id, ack);
      state.unanswered = undefined;
    } else if (ack.error.code !== "busy") {
      throw new Error(JSON.stringify(ack));
    } else {
      await sleep(20);
    }
  }
}

test(`kill -9 while ${clients} clients send, ${rounds} rounds`, { timeout: 600_000 }, async (t) => {
  const random = seeded(t);
  const dir = folder();
  const ids = Array.from({ length: chats }, newChat);
  const states = Array.from({ length: clients }, () => ({ sent: 0, acked: new Map() }));
  let rooms;

  for (let round = 0; round < rounds; round++) {
    const server = await serve(t, { dir, args: ["--eliza-word-delay", "0s"] });
    const sockets = await Promise.all(states.map((_, i) => connect(t, server, { user: `user-${i}`, reconnection: false })));
    const now = await Promise.all(sockets.map((s, i) => enter(s, ids[i % chats])));
    if (rooms) assert.deepEqual(now, rooms, "room ids are the same");
    rooms = now;
    const senders = sockets.map((s, i) => chatter(s, rooms[i], `user-${i}`, states[i]));
    await sleep(100 + random.below(900));
    await server.kill();
    for (const s of sockets) s.disconnect();
    await Promise.all(senders);
    await check(t, dir, ids, rooms, states);
  }
  const acked = states.reduce((n, s) => n + s.acked.size, 0);
  t.diagnostic(`${acked} acknowledged messages survived ${rounds} kills`);
  assert.ok(acked > rounds * clients);
});

async function check(t, dir, ids, rooms, states) {
  const server = await serve(t, { dir, args: ["--eliza-word-delay", "0s"] });
  for (const [k, chat] of ids.entries()) {
    const watcher = await connect(t, server, { user: "watcher" });
    const room = await enter(watcher, chat);
    const history = await settled(server, watcher, room, chat);
    const seqs = history.map((m) => m.seq);
    assert.deepEqual(seqs, [...new Set(seqs)].sort((a, b) => a - b), "in order, none twice");
    const ended = new Set(["completed", "interrupted", "stopped", "failed"]);
    assert.ok(history.every((m) => ended.has(m.state)), "no turn is left running");
    const byID = Map.groupBy ? Map.groupBy(history.filter((m) => m.role === "user"), (m) => m.content) : group(history);
    for (const [i, state] of states.entries()) {
      if (i % ids.length !== k) continue;
      for (const [id, ack] of state.acked) {
        const found = byID.get(id) ?? [];
        assert.equal(found.length, 1, `${id} is there ${found.length} times`);
        assert.equal(found[0].message_id, ack.message_id);
        assert.equal(found[0].seq, ack.seq);
      }
    }
    for (const [id, found] of byID) assert.equal(found.length, 1, `${id} is there ${found.length} times`);
    watcher.disconnect();
  }
  await server.kill("SIGTERM");
}

function group(history) {
  const groups = new Map();
  for (const m of history.filter((x) => x.role === "user")) groups.set(m.content, [...(groups.get(m.content) ?? []), m]);
  return groups;
}

/** The history once every message is answered and no turn is open. */
async function settled(server, watcher, room, chat) {
  await until(async () => (await ask(watcher, "join_room", { room_id: room })).turn, (turn) => turn === null);
  return until(
    () => messages(server, chat, { user: "watcher" }),
    (h) => h.filter((m) => m.role === "user").length === h.filter((m) => m.role === "assistant").length,
    { timeout: 60_000 },
  );
}

test("a turn that kill -9 cuts is answered after the restart, once", async (t) => {
  const dir = folder();
  const chat = newChat();
  const first = await serve(t, { dir, args: ["--eliza-word-delay", "200ms"] });
  const alice = await connect(t, first);
  const room = await enter(alice, chat);
  await ask(alice, "send_message", { room_id: room, message: "I remember my father" });
  const cut = await event(alice, `stream_chunk ${room}`);
  await first.kill();
  alice.disconnect();

  const second = await serve(t, { dir });
  const history = await until(() => messages(second, chat), (h) => h.length === 2);
  assert.equal(history[1].message_id, cut.message_id);
  assert.equal(history[1].state, "completed");
  const bob = await connect(t, second, { user: "bob" });
  assert.equal(await enter(bob, chat), room);
  assert.equal((await event(bob, `room_joined ${room}`)).turn, null);
});

test("seq has no gap over restarts", async (t) => {
  const dir = folder();
  const chat = newChat();
  let last = 0;
  for (let round = 0; round < 3; round++) {
    const server = await serve(t, { dir });
    const alice = await connect(t, server);
    const room = await enter(alice, chat);
    const { seq } = (await event(alice, `room_joined ${room}`));
    if (round > 0) assert.equal(seq, last);
    await ask(alice, "send_message", { room_id: room, message: `round ${round}` });
    const end = await event(alice, `turn ${room}`, (b) => b.state === "completed");
    const seen = [...new Set(alice.seen.flatMap((e) => [e.body?.seq, e.body?.message?.seq]).filter((s) => s > seq))].sort((a, b) => a - b);
    assert.deepEqual(seen, Array.from({ length: end.seq - seq }, (_, i) => seq + 1 + i));
    last = end.seq;
    assert.equal(events(alice, `message ${room}`).length, 1);
    await server.kill();
    alice.disconnect();
  }
});

test("a second process is refused and names the file", async (t) => {
  const dir = folder();
  await serve(t, { dir });
  await assert.rejects(serve(t, { dir }), /parlor\.db/);
});

test("SIGTERM ends the server with status 0 and without a DISCONNECT", async (t) => {
  const server = await serve(t);
  const alice = await connect(t, server, { reconnection: false });
  const reason = new Promise((resolve) => alice.once("disconnect", resolve));
  assert.deepEqual(await server.kill("SIGTERM"), [0, null]);
  assert.equal(await reason, "transport close");
});

test("a client that no longer reads does not make the end a failure", async (t) => {
  const server = await serve(t);
  const alice = await connect(t, server, { reconnection: false });
  await enter(alice, newChat());
  alice.io.engine.transport.ws._socket.pause();
  assert.deepEqual(await server.kill("SIGTERM"), [0, null]);
  alice.io.engine.transport.ws._socket.destroy();
});

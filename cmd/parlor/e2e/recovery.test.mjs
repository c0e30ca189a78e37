// Connection state recovery with the official client, unchanged: it gets its
// id and rooms back, and what it missed exactly once and in order.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { ask, client, connect, enter, event, events, folder, messages, newChat, serve, sleep, story, until } from "./lib/parlor.mjs";
import { proxy } from "./lib/proxy.mjs";
import { long, longOnly } from "./lib/random.mjs";

/** A client that notes how each of its connections began. */
async function visitor(t, server, options = {}) {
  const socket = client(t, server, { auth: { user_id: "alice" }, ...options });
  socket.begun = [];
  socket.on("connect", () => socket.begun.push({ id: socket.id, recovered: socket.recovered }));
  await once(socket, "connect");
  return socket;
}

/** The numbers of the messages that the client was told, in the order in which it was. */
const told = (socket, room) => events(socket, `message ${room}`).map((e) => e.message.seq);

/** Every message but the client's own was told once, in order. */
async function complete(server, socket, chat, room) {
  const history = await messages(server, chat);
  const want = history.filter((m) => m.author?.user_id !== "alice").map((m) => m.seq);
  await until(() => told(socket, room).length, (n) => n >= want.length);
  assert.deepEqual(told(socket, room), want);
}

/** Says n things that no assistant answers. */
async function say(socket, rooms, n) {
  for (let i = 0; i < n; i++) {
    const ack = await ask(socket, "send_message", { room_id: rooms[i % rooms.length], message: quiet(String(i)) });
    assert.ok(ack.ok, JSON.stringify(ack));
  }
}

/** A message of the realtime family, which asks for an answer only in a second step. */
const quiet = (text) => ({
  type: "conversation.item.create",
  id: String(Date.now()),
  data: { item: { type: "message", role: "user", content: [{ type: "input_text", text }] } },
});

for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
  test(`cut from the network, in two rooms, by ${transports.join(" then ")}`, async (t) => {
    const server = await serve(t);
    const network = await proxy(t, server.url);
    const [alice, bob] = [await visitor(t, network, { transports }), await connect(t, server, { user: "bob" })];
    const chats = [newChat(), newChat()];
    const rooms = [];
    for (const chat of chats) {
      rooms.push(await enter(bob, chat));
      await enter(alice, chat, { dialect: "documented" });
    }
    const { id } = alice;
    for (let round = 0; round < 5; round++) {
      await say(bob, rooms, 4);
      await network.cut({ refuse: true });
      await say(bob, rooms, 6);
      network.accept();
      await until(() => alice.begun.length, (n) => n === round + 2);
    }
    assert.deepEqual(alice.begun.slice(1), Array(5).fill({ id, recovered: true }));
    await say(bob, rooms, 2);
    for (const [i, chat] of chats.entries()) await complete(server, alice, chat, rooms[i]);
  });
}

test("cut at any moment of a conversation", { timeout: 240_000 }, async (t) => {
  const asked = long ? 60 : 10;
  const server = await serve(t);
  const network = await proxy(t, server.url);
  const [alice, bob] = [await visitor(t, network), await connect(t, server, { user: "bob" })];
  const chat = newChat();
  const room = await enter(bob, chat);
  await enter(alice, chat, { dialect: "documented" });
  let over = false;
  const cutting = (async () => {
    for (let i = 0; !over; i++) {
      await sleep(10 + ((i * 37) % 90));
      if (i % 2) await until(() => alice.connected || over, Boolean); // every other cut may be while she comes back
      await network.cut();
    }
  })();
  try {
    for (let i = 0; i < asked; i++) {
      const ack = await ask(bob, "send_message", { room_id: room, message: `I feel ${i} today` });
      assert.ok(ack.ok, JSON.stringify(ack));
      await sleep(20);
    }
    await until(() => messages(server, chat), (h) => h.filter((m) => m.role === "assistant").length === asked, { timeout: 120_000 });
    await until(() => alice.begun.length, (n) => n > asked / 6);
  } finally {
    over = true; // else the process would never end
    await cutting;
  }
  await complete(server, alice, chat, room);
  assert.ok(alice.begun.slice(1).every((b) => b.recovered && b.id === alice.begun[0].id), JSON.stringify(alice.begun));
  t.diagnostic(`${alice.begun.length - 1} cuts`);
});

test("cut anywhere in what is told on coming back", { timeout: 240_000 }, async (t) => {
  const step = long ? 61 : 577;
  const server = await serve(t);
  const network = await proxy(t, server.url);
  const [alice, bob] = [await visitor(t, network), await connect(t, server, { user: "bob" })];
  const chat = newChat();
  const room = await enter(bob, chat);
  await enter(alice, chat, { dialect: "documented" });
  for (let bytes = 100; bytes < 3000; bytes += step) {
    await network.cut({ refuse: true });
    await say(bob, [room], 5);
    network.limit(bytes);
    network.accept();
    const want = (await messages(server, chat)).length;
    await until(() => told(alice, room).length, (n) => n >= want);
  }
  await complete(server, alice, chat, room);
  assert.ok(alice.begun.slice(1).every((b) => b.recovered), "recovered each time");
  t.diagnostic(`${alice.begun.length} connections`);
});

test("a message of one's own whose answer was lost", async (t) => {
  const server = await serve(t);
  const network = await proxy(t, server.url);
  const alice = await visitor(t, network);
  const chat = newChat();
  const room = await enter(alice, chat, { dialect: "documented" });
  await ask(alice, "send_message", { room_id: room, message: quiet("answered") });
  const { _pid: pid, _lastOffset: offset } = alice;
  await network.cut({ refuse: true });
  // As if alice sent this just before the cut: by a connection whose answers she never sees.
  const other = await connect(t, server, { auth: { user_id: "alice", pid, offset } });
  assert.equal(other._pid, pid);
  await ask(other, "send_message", { room_id: room, message: quiet("not answered") });
  other.io.reconnection(false);
  other.io.engine.close(); // without a goodbye
  network.accept();
  await until(() => alice.begun.length, (n) => n === 2);
  assert.ok(alice.recovered);
  await until(() => told(alice, room).length, (n) => n === 1);
  const [last] = (await messages(server, chat)).slice(-1);
  assert.deepEqual(told(alice, room), [last.seq]);
});

test("kill -9 of the server, in two rooms", { timeout: 120_000 }, async (t) => {
  const dir = folder();
  let server = await serve(t, { dir });
  const listen = new URL(server.url).host;
  const [alice, bob] = [await visitor(t, server), await connect(t, server, { user: "bob" })];
  const chats = [newChat(), newChat()];
  const rooms = [];
  for (const chat of chats) {
    rooms.push(await enter(bob, chat));
    await enter(alice, chat, { dialect: "documented" });
  }
  for (let round = 0; round < 5; round++) {
    const talking = say(bob, rooms, 1000).catch(() => {});
    await sleep(50 + ((round * 61) % 200));
    await server.kill();
    server = await serve(t, { dir, listen });
    await until(() => [alice.connected, alice.begun.length], ([c, n]) => c && n === round + 2);
    await until(() => bob.connected, Boolean);
    bob.disconnect().connect(); // its send has no id, so it is not repeated: end it
    await talking;
    await until(() => bob.connected, Boolean);
    await say(bob, rooms, 2);
  }
  assert.ok(alice.begun.slice(1).every((b) => b.recovered && b.id === alice.begun[0].id), JSON.stringify(alice.begun));
  for (const [i, chat] of chats.entries()) await complete(server, alice, chat, rooms[i]);
  t.diagnostic(`${told(alice, rooms[0]).length + told(alice, rooms[1]).length} messages over 5 kills`);
});

test("during a stream: the text so far, then the rest", longOnly, async (t) => {
  const server = await serve(t, { args: ["--eliza-word-delay", "60ms"] });
  const network = await proxy(t, server.url);
  const [alice, bob] = [await visitor(t, network), await connect(t, server, { user: "bob" })];
  const chat = newChat();
  const room = await enter(bob, chat);
  await enter(alice, chat, { dialect: "documented" });
  const text = new Map(); // as a client of the documented events keeps it
  let restarts = 0;
  alice.on(`stream_start ${room}`, (e) => text.set(e.message_id, ""));
  alice.on(`stream_chunk ${room}`, (e) => {
    const so_far = text.get(e.message_id);
    assert.ok(e.offset <= so_far.length, `a gap: ${e.offset} after ${so_far.length}`);
    if (e.offset < so_far.length) restarts++;
    text.set(e.message_id, so_far.slice(0, e.offset) + e.content);
  });
  for (let i = 0; i < 3; i++) {
    await ask(bob, "send_message", { room_id: room, message: story(10) });
    await until(() => [...text.values()].at(-1)?.length, (n) => n > 0);
    await sleep(100);
    await network.cut();
    await until(() => alice.connected, Boolean);
    await event(alice, `stream_end ${room}`, () => events(alice, `stream_end ${room}`).length === i + 1);
  }
  const answers = (await messages(server, chat)).filter((m) => m.role === "assistant");
  assert.deepEqual([...text.values()], answers.map((m) => m.content));
  assert.ok(alice.begun.slice(1).every((b) => b.recovered) && alice.begun.length === 4, JSON.stringify(alice.begun));
  t.diagnostic(`${restarts} of 3 answers went on after a cut`);
});

test("after the window: an ordinary new session, and no error", async (t) => {
  const server = await serve(t, { args: ["--recovery-window", "300ms"] });
  const network = await proxy(t, server.url);
  const [alice, bob] = [await visitor(t, network), await connect(t, server, { user: "bob" })];
  let refused = 0;
  const chat = newChat();
  const room = await enter(bob, chat);
  await enter(alice, chat, { dialect: "documented" });
  await network.cut({ refuse: true });
  await say(bob, [room], 1);
  await sleep(1000);
  alice.on("connect_error", (err) => (refused += err.data ? 1 : 0));
  network.accept();
  await until(() => alice.begun.length, (n) => n === 2);
  assert.equal(alice.recovered, false);
  assert.notEqual(alice.id, alice.begun[0].id);
  assert.deepEqual(told(alice, room), []);
  assert.equal(refused, 0);
  await enter(alice, chat, { dialect: "documented" });
  await say(bob, [room], 1);
  await until(() => told(alice, room).length, (n) => n === 1);
});

test("somebody else's pid: an ordinary new session, and the owner keeps its own", async (t) => {
  const server = await serve(t);
  const [alice, bob] = [await visitor(t, server), await connect(t, server, { user: "bob" })];
  const chat = newChat();
  const room = await enter(bob, chat);
  await enter(alice, chat, { dialect: "documented" });
  const { _pid: pid, _lastOffset: offset } = alice;
  assert.ok(pid && offset);
  const mallory = await connect(t, server, { auth: { user_id: "mallory", pid, offset } });
  assert.notEqual(mallory.id, alice.id);
  assert.notEqual(mallory._pid, pid);
  await say(bob, [room], 1);
  await until(() => told(alice, room).length, (n) => n === 1);
  assert.deepEqual(told(mallory, room), []);
  assert.equal(alice.begun.length, 1, "the owner was not cut off");
  for (const event of mallory.seen.concat(alice.seen, bob.seen)) assert.ok(!JSON.stringify(event).includes(pid));
});

test("switched off: no pid, nothing is recovered", async (t) => {
  const server = await serve(t, { args: ["--recovery-window", "0s"] });
  const network = await proxy(t, server.url);
  const alice = await visitor(t, network);
  const room = await enter(alice, newChat(), { dialect: "documented" });
  const extra = [];
  alice.onAny((...args) => extra.push(args.length));
  await ask(alice, "send_message", { room_id: room, message: "hello" });
  await event(alice, `stream_end ${room}`);
  assert.ok(extra.every((n) => n === 2), "events have one argument");
  await network.cut();
  await until(() => alice.begun.length, (n) => n === 2);
  assert.ok(!alice.recovered);
});

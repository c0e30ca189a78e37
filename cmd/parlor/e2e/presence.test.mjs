// Presence in a room, activity of chats that are not open, and limits of how often a user may
// ask: with the official client and a real server.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, connect, enter, event, events, folder, newChat, serve, until } from "./lib/parlor.mjs";

/** Returns who is in the room, as a client works it out from the events. */
function seen(socket, room) {
  const members = new Map();
  let last = {};
  for (const body of events(socket, `presence ${room}`)) {
    if (body.members) members.clear();
    for (const id of body.leaves ?? []) members.delete(id);
    for (const m of body.members ?? body.joins) members.set(m.user_id, m);
    last = body;
  }
  const names = [...members.values()].map((m) => `${m.user_id}*${m.devices}${m.typing ? "…" : ""}`).sort();
  return `${names.join(" ")} ${last.count}/${last.devices} ${last.assistant?.state}`;
}
const sees = (socket, room, want) => until(() => seen(socket, room), (is) => is === want);

test("who is here, who types, and what the assistant does", async (t) => {
  const server = await serve(t, { args: ["--eliza-word-delay", "150ms"] });
  const alice = await connect(t, server);
  const chat = newChat();
  const room = await enter(alice, chat, { dialect: "documented" });
  await sees(alice, room, "alice*1 1/1 idle");
  const [bob, phone] = [await connect(t, server, { user: "bob" }), await connect(t, server, { user: "bob" })];
  await enter(bob, chat, { dialect: "documented" });
  await enter(phone, chat);
  await sees(alice, room, "alice*1 bob*2 2/3 idle");
  await sees(phone, room, "alice*1 bob*2 2/3 idle");
  assert.deepEqual(await ask(phone, `typing ${room}`, { typing: true }), { ok: true });
  await sees(alice, room, "alice*1 bob*2… 2/3 idle");
  assert.equal((await ask(phone, `send_message ${room}`, { message: "hello there, how are you today?" })).ok, true);
  await sees(alice, room, "alice*1 bob*2 2/3 answering");
  await sees(alice, room, "alice*1 bob*2 2/3 idle");
  const states = events(alice, `presence ${room}`).length;
  const pieces = events(alice, `stream_chunk ${room}`).length;
  assert.ok(pieces > 5 && states < pieces + 8, "not a word of it for each piece");
  phone.io.reconnection(false);
  phone.io.engine.close();
  await sees(alice, room, "alice*1 bob*1 2/2 idle");
  phone.connect();
  await sees(alice, room, "alice*1 bob*2 2/3 idle");
  phone.disconnect();
  bob.disconnect();
  await sees(alice, room, "alice*1 1/1 idle");
  assert.deepEqual(await ask(alice, "presence", {}), { ok: true, user_id: "alice", devices: 1 });
});

test("after a crash exactly those are here who have come back", async (t) => {
  const dir = folder();
  const server = await serve(t, { dir });
  const alice = await connect(t, server);
  const chat = newChat();
  const room = await enter(alice, chat, { dialect: "documented" });
  const bob = await connect(t, server, { user: "bob" });
  await enter(bob, chat, { dialect: "documented" });
  await sees(alice, room, "alice*1 bob*1 2/2 idle");
  const listen = new URL(server.url).host;
  await server.kill();
  bob.disconnect();
  alice.seen.length = 0;
  await serve(t, { dir, listen });
  await sees(alice, room, "alice*1 1/1 idle");
  assert.ok(alice.recovered);
  assert.deepEqual(events(alice, "resumed"), [{ rooms: [{ room_id: room, events: 0 }] }]);
});

test("a list of chats is told what goes on in them, and what is read stays read", async (t) => {
  const dir = folder();
  const server = await serve(t, { dir });
  const alice = await connect(t, server);
  const chat = newChat();
  const room = await enter(alice, chat);
  const [list, other] = [await connect(t, server, { user: "bob" }), await connect(t, server, { user: "bob" })];
  assert.deepEqual(await ask(list, "watch"), { ok: true, chats: [] });
  await ask(other, "watch");
  await ask(alice, `send_message ${room}`, { message: "hello" });
  const idle = await event(list, "activity", (a) => a.state === "idle" && a.unread === 2);
  assert.ok(Date.now() - new Date(idle.last_timestamp) < 60_000, idle.last_timestamp);
  assert.deepEqual({ ...idle, last_timestamp: "" }, { last_timestamp: "", title: "", chat_id: chat, room_id: room, seq: 5, state: "idle", unread: 2, mentions: 0, pinned: false, archived: false, folder: "" });
  assert.deepEqual(await ask(list, `read ${room}`, { seq: 2 }), { ok: true, last_seq: 5, unread: 1, mentions: 0 });
  await event(other, "activity", (a) => a.unread === 1);
  const rows = async (server, user) => {
    const response = await fetch(`${server.url}/api/v1/chat`, { headers: { "X-Parlor-User": user } });
    return (await response.json()).chats.map(({ last_seq, unread, mentions }) => ({ last_seq, unread, mentions }));
  };
  await server.kill();
  const again = await serve(t, { dir });
  assert.deepEqual(await rows(again, "bob"), [{ last_seq: 5, unread: 1, mentions: 0 }]);
  assert.deepEqual(await rows(again, "alice"), [{ last_seq: 5, unread: 1, mentions: 0 }]);
  assert.deepEqual(await rows(again, "carol"), [{ last_seq: 5, unread: 2, mentions: 0 }]);
});

test("too many events and requests are refused, with the time to wait", async (t) => {
  const server = await serve(t, { args: ["--max-event-rate", "1", "--max-user-rate", "3", "--max-connections-per-user", "2"] });
  const alice = await connect(t, server);
  const acks = await Promise.all(Array.from({ length: 15 }, () => ask(alice, "presence", {})));
  const refused = acks.filter((a) => !a.ok);
  assert.equal(refused.length, 5, "10 may come at once, at one in a second");
  assert.ok(refused.every(({ error }) => error.code === "rate_limited" && error.retry_after >= 1), JSON.stringify(refused));
  await until(() => ask(alice, "presence", {}), (a) => a.ok);
  assert.equal((await ask(alice, "usage", {})).ok, true, "another kind of event has a bucket of its own");

  const answers = [];
  for (let i = 0; i < 15; i++) answers.push(await fetch(`${server.url}/api/v1/model`, { headers: { "X-Parlor-User": "bob" } }));
  const last = answers.at(-1);
  assert.equal(last.status, 429);
  assert.ok(Number(last.headers.get("Retry-After")) >= 1);
  const body = await last.json();
  assert.deepEqual([body.code, body.retry_after], ["rate_limited", Number(last.headers.get("Retry-After"))]);

  await connect(t, server);
  await assert.rejects(connect(t, server), (e) => e.data.code === "busy");
});

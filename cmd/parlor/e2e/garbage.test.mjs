// Garbage on every event gets an answer with a stable code; nobody else notices.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, connect, enter, event, newChat, serve, until } from "./lib/parlor.mjs";

const codes = new Set([
  "unauthenticated", "forbidden", "not_found", "invalid", "too_large", "rate_limited", "busy", "budget_exceeded",
  "provider_error", "provider_timeout", "storage_unavailable", "quarantined", "internal",
]);
const names = ["find_chat", "create_room", "join_room", "leave_room", "send_message", "stop", "event", "history", "nonsense", "", "send_message r1", "stop r1"];
const bodies = [
  undefined, null, 0, -1, 1e308, "", "text", true, [], [[]], {}, { room_id: null }, { room_id: 7 }, { room_id: "" },
  { room_id: "no-such-room" }, { room_id: "x".repeat(10_000) }, { chat_id: 5 }, { chat_id: "" }, { chat_id: "a b" },
  { chat_id: "x".repeat(200) }, { chat_id: "\u0000" }, { chat_id: "ok", model_id: {} }, { chat_id: "ok", model_id: "nope" },
  { room_id: "r1", message: null }, { room_id: "r1", message: 5 }, { room_id: "r1", message: "" }, { room_id: "r1", message: "   " },
  { room_id: "r1", message: { content: 5 } }, { room_id: "r1", message: { content: "x", client_message_id: "a b" } },
  { room_id: "r1", message: { content: "x", client_message_id: {} } }, { room_id: "r1", message: { type: "weird", id: "1" } },
  { room_id: "r1", message: { type: "sbaw.incoming.text_message.user", id: 5, data: "x" } },
  { room_id: "r1", message: { type: "conversation.item.create", id: "1", data: { item: { content: "x" } } } },
  { room_id: "r1", event: 5 }, { room_id: "r1", event: { type: "weird", id: "1" } }, { room_id: "r1", event: {} },
  { room_id: "r1", turn_id: 5 }, { room_id: "r1", turn_id: "nope", reason: "x".repeat(5000) }, { room_id: "r1", before: "x" },
  { room_id: "r1", limit: -5 }, { room_id: "r1", limit: 1e9 }, { room_id: "r1", dialect: "klingon" },
  { __proto__: null, constructor: 1, room_id: { $ne: 1 } }, { room_id: "r1", message: "x".repeat(500_000) },
  Buffer.from("binary"), { room_id: "r1", message: { content: Buffer.from("x") } },
];

test("every event, every kind of garbage", async (t) => {
  const server = await serve(t);
  const neighbour = await connect(t, server, { user: "neighbour" });
  const room = await enter(neighbour, newChat());

  await Promise.all(names.map(async (name, i) => {
    const vandal = await connect(t, server, { user: `vandal${i}` });
    for (const body of bodies) {
      const args = body === undefined ? [] : [body];
      const ack = await ask(vandal, name, ...args).catch((e) => assert.fail(`${name} ${inspect(body)}: ${e.message}`));
      const harmless = ack.ok === true && ["leave_room", "event"].includes(name);
      if (harmless) continue;
      assert.equal(ack.ok, false, `${name} ${inspect(body)}: ${inspect(ack)}`);
      assert.ok(codes.has(ack.error.code), `${name} ${inspect(body)}: ${inspect(ack)}`);
      assert.doesNotMatch(ack.error.message, /goroutine|\.go:|\/tmp\/|json:/);
    }
    assert.ok(!vandal.seen.some((e) => e.name === "room_error" || e.name === "room_left "));
    assert.ok(vandal.connected);
  }));
  await ask(neighbour, "send_message", { room_id: room, message: "are you there?" });
  await event(neighbour, `stream_end ${room}`, (b) => b.state === "completed");
});

test("a message over the limit is refused, and one over the payload ends only its connection", async (t) => {
  const server = await serve(t);
  const alice = await connect(t, server, { reconnection: false });
  const bob = await connect(t, server, { user: "bob" });
  const room = await enter(alice, newChat());
  const ack = await ask(alice, "send_message", { room_id: room, message: "x".repeat(70_000) });
  assert.equal(ack.error.code, "too_large");
  alice.emit("send_message", { room_id: room, message: "x".repeat(2_000_000) });
  await until(() => alice.connected, (c) => c === false);
  assert.ok(bob.connected);
});

test("events without acknowledgement are answered by name", async (t) => {
  const server = await serve(t);
  const alice = await connect(t, server);
  alice.emit("join_room", {});
  assert.equal((await event(alice, "room_join_error undefined")).code, "invalid");
  alice.emit("join_room", { room_id: "nowhere" });
  assert.equal((await event(alice, "room_join_error nowhere")).code, "not_found");
  alice.emit("create_room", { chat_id: "c1", model_api_source: "aisuite", model_id: "no-such-model" });
  assert.ok((await event(alice, "room_error c1")).code);
  alice.emit("create_room");
  await event(alice, "room_error undefined");
  alice.emit("send_message", { room_id: "nowhere", message: "hi" });
  assert.equal((await event(alice, "error nowhere")).code, "not_found");
  alice.emit("send_message", { room_id: "nowhere", message: { type: "sbaw.incoming.text_message.user", id: "9", data: { item: { id: "8", content: "hi" } } } });
  assert.equal((await event(alice, "message_error 9")).code, "not_found");
  alice.emit("event", { room_id: "nowhere", event: { type: "sbaw.assistant.stop_processing", id: "10" } });
  await event(alice, "event_error 10");
  alice.emit("whatever");
  assert.equal((await event(alice, "error")).code, "invalid");
});

const inspect = (v) => JSON.stringify(v)?.slice(0, 200);

// Tools that models call: run once, asked for first where somebody has to be, and not lost by kill -9.
import assert from "node:assert/strict";
import { test } from "node:test";
import { calls } from "./lib/model.mjs";
import { ask, connect, enter, event, messages, newChat, sleep, until } from "./lib/parlor.mjs";
import { long, seeded } from "./lib/random.mjs";
import { curl } from "./lib/sse.mjs";
import { world } from "./lib/tools.mjs";

test("a call waits for a person over kill -9, is approved on another device, and runs once", async (t) => {
  const { start, pay, model } = await world(t, { approval: "ask", answers: { go: [{ content: "I look." }, ...calls(["pay", { sum: "x" }], ["pay", { sum: 1 }])], paid: [{ content: "Done." }, "stop"] } });
  const first = await start();
  const alice = await connect(t, first);
  const chat = newChat();
  const room = await enter(alice, chat, { model: "m", dialect: "documented" });
  await ask(alice, "send_message", { room_id: room, message: "go" });
  const call = await event(alice, `function_call ${room}`, (c) => c.needs_approval);
  assert.deepEqual([call.function_name, call.arguments, call.where], ["pay", { sum: 1 }, "server"]);
  await event(alice, `turn ${room}`, (b) => b.state === "waiting");
  const wrong = await event(alice, `function_result ${room}`);
  assert.match(wrong.result, /sum/, "what is wrong with the other call is said");
  assert.equal(wrong.state, "failed");
  await first.kill();

  const second = await start();
  const phone = await connect(t, second, { user: "alice" });
  const joined = await ask(phone, "join_room", { room_id: room, dialect: "documented" });
  assert.equal(joined.turn.state, "waiting");
  assert.deepEqual(joined.pending.map((p) => [p.call_id, p.arguments]), [[call.call_id, { sum: 1 }]]);
  assert.deepEqual(joined.turn.calls.map((c) => c.state), ["failed", undefined]);
  assert.equal(pay.ran.length, 0);
  const decided = { room_id: room, call_id: call.call_id, decision: "approve", client_message_id: "once" };
  assert.equal((await ask(phone, "approve", decided)).ok, true);
  const again = await fetch(`${second.url}/api/v1/chat/${chat}/calls/${call.call_id}`, { method: "POST", headers: { "X-Parlor-User": "alice" }, body: JSON.stringify({ decision: "approve", client_message_id: "once" }) });
  assert.deepEqual(await again.json(), { ok: true, call_id: call.call_id, decision: "approve" });
  assert.equal((await ask(phone, "approve", { ...decided, client_message_id: "other" })).error.code, "not_found");
  assert.equal((await event(phone, `approval ${room}`)).by, "alice");
  assert.equal((await event(phone, `function_result ${room}`, (r) => r.call_id === call.call_id)).result, "paid");
  assert.equal((await event(phone, `stream_end ${room}`)).state, "completed");
  assert.deepEqual(pay.ran, [{ key: call.call_id, args: { sum: 1 } }]);
  const history = await messages(second, chat);
  assert.equal(history.at(-1).content, "I look.\n\nDone.");
  assert.deepEqual(history.map((m) => m.type), ["message", "function_call", "function_result", "function_call", "function_result", "message"]);
  assert.deepEqual(history.at(-1).calls.map((c) => [c.call_id, c.arguments, c.state, c.by, c.at]), [
    [wrong.call_id, '{"sum":"x"}', "failed", undefined, 7], [call.call_id, '{"sum":1}', "completed", "alice", 7],
  ]);
  const { messages: told } = await ask(phone, "history", { room_id: room });
  assert.deepEqual(told.at(-1).calls, history.at(-1).calls);
  assert.deepEqual((await event(phone, `message ${room}`, (b) => b.message.role === "assistant")).message.calls, told.at(-1).calls);
  for (const path of [`/chat/${chat}/events`, "/events"]) {
    const stream = curl(t, `${second.url}/api/v1${path}?after=0`, { user: "alice" });
    await until(() => stream.seen, (seen) => seen.some((e) => e.event === "turn" && e.data.state === "completed"));
    stream.stop();
    const told = stream.seen.map((e) => e.event).filter((name) => /^function|^approval/.test(name));
    assert.deepEqual(told, ["function_call", "function_call", "function_result", "approval", "function_result"], path);
  }
  assert.equal(model.asked.at(-1).filter((m) => m.role === "tool").length, 2);
});

test("the assistant page is told of calls and results in its own words", async (t) => {
  const { start } = await world(t, { approval: "never", answers: { go: calls(["pay", { sum: 1 }]), paid: [{ content: "Done." }, "stop"] } });
  const server = await start();
  const page = await connect(t, server);
  const room = await enter(page, newChat(), { model: "m", dialect: "spa" });
  await ask(page, "send_message", { room_id: room, message: "go" });
  const { data: call } = await event(page, `receive_message ${room}`, (b) => b.type === "sbaw.function_call");
  assert.deepEqual([call.name, call.arguments, call.role], ["pay", { sum: 1 }, "assistant"]);
  const { data: result } = await event(page, `receive_message ${room}`, (b) => b.type === "sbaw.function_result");
  assert.deepEqual([result.call_id, result.name, result.result, result.role], [call.call_id, "pay", "paid", "system"]);
  assert.equal((await event(page, `receive_message ${room}`, (b) => b.type === "sbaw.text_message.assistant")).data.content, "Done.");
});

const rounds = long ? 100 : 4;
test(`kill -9 around a tool with an effect, ${rounds} times: at most once for each call`, { timeout: 900_000 }, async (t) => {
  const { start, pay } = await world(t, { approval: "never", wait: 100, answers: { paid: [{ content: "Done." }, "stop"], ...Object.fromEntries(Array.from({ length: rounds }, (_, i) => [`go ${i}`, calls(["pay", { sum: i }])])) } });
  const next = seeded(t);
  const chat = newChat();
  const outcomes = new Map();
  for (let i = 0; i < rounds; i++) {
    const server = await start();
    const alice = await connect(t, server, { reconnection: false });
    const room = await enter(alice, chat, { model: "m", dialect: "documented" });
    alice.onAny((name, body) => name === `function_result ${room}` && outcomes.set(body.call_id, body.state));
    const joined = await ask(alice, "join_room", { room_id: room, dialect: "documented" });
    for (const p of joined.pending) {
      assert.equal(p.unknown, true);
      await ask(alice, "approve", { room_id: room, call_id: p.call_id, decision: "deny" });
    }
    await ask(alice, "send_message", { room_id: room, message: `go ${i}`, policy: "queue" });
    await sleep(next.below(300));
    await server.kill();
  }
  const server = await start();
  const alice = await connect(t, server);
  const room = await enter(alice, chat, { model: "m", dialect: "documented" });
  for (const p of (await ask(alice, "join_room", { room_id: room, dialect: "documented" })).pending) {
    await ask(alice, "approve", { room_id: room, call_id: p.call_id, decision: "deny" });
  }
  await until(() => messages(server, chat), (all) => all.filter((m) => m.role === "assistant").length >= rounds);
  const keys = pay.ran.map((r) => r.key);
  assert.equal(new Set(keys).size, keys.length, "a call has run twice");
  const stated = await ask(alice, "join_room", { room_id: room, dialect: "documented", after: 0 });
  assert.deepEqual(stated.pending, []);
  assert.ok(keys.length > 0);
  t.diagnostic(`${keys.length} runs in ${rounds} rounds`);
});

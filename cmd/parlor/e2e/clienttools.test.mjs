// Tools that a member's pages run, with the official client.
import assert from "node:assert/strict";
import { test } from "node:test";
import { calls } from "./lib/model.mjs";
import { ask, connect, enter, event, events, messages, newChat, until } from "./lib/parlor.mjs";
import { world } from "./lib/tools.mjs";

const tools = [{ name: "selection", description: "Returns the selected text.", parameters: { type: "object", properties: { n: { type: "integer" } } } }];
const answers = { go: [{ content: "I look." }, ...calls(["selection", { n: 1 }])], chosen: [{ content: "Done." }, "stop"] };

test("of two tabs that offer a tool one runs the call; when it closes, the other one does", async (t) => {
  const { start, model } = await world(t, { answers });
  const server = await start();
  const first = await connect(t, server);
  const chat = newChat();
  const room = await enter(first, chat, { model: "m", dialect: "documented" });
  const second = await connect(t, server);
  const page = await connect(t, server);
  await ask(page, "join_room", { room_id: room, dialect: "spa" });
  for (const tab of [first, second]) assert.equal((await ask(tab, "join_room", { room_id: room, dialect: "documented", tools })).ok, true);
  const clash = await ask(first, "join_room", { room_id: room, tools: [{ name: "pay" }] });
  assert.equal(clash.error.code, "invalid");
  assert.match(clash.error.message, /pay/);

  await ask(first, "send_message", { room_id: room, message: "go" });
  const call = await event(first, `function_call ${room}`);
  assert.deepEqual([call.function_name, call.arguments, call.where, call.needs_approval], ["selection", { n: 1 }, "client", false]);
  assert.equal((await event(second, `function_call ${room}`)).call_id, call.call_id);
  assert.equal((await event(first, `function_run ${room}`)).call_id, call.call_id);
  assert.deepEqual(events(second, `function_run ${room}`), []);
  first.close();
  assert.deepEqual((await event(second, `function_run ${room}`)).arguments, { n: 1 });
  const result = { room_id: room, call_id: call.call_id, result: "chosen" };
  assert.deepEqual(await ask(second, "function_result", result), { ok: true, call_id: call.call_id, state: "completed" });
  assert.deepEqual(await ask(second, "function_result", result), { ok: true, call_id: call.call_id, state: "completed" });
  assert.equal((await ask(page, "function_error", { ...result, error: "late" })).error.code, "gone");
  assert.equal((await event(second, `stream_end ${room}`)).state, "completed");
  const told = events(page, `receive_message ${room}`).filter((b) => b.type.startsWith("sbaw.function"));
  assert.deepEqual(told.map((b) => [b.type, b.data.call_id, b.data.name, b.data.arguments ?? b.data.result]), [
    ["sbaw.function_call", call.call_id, "selection", { n: 1 }], ["sbaw.function_result", call.call_id, "selection", "chosen"],
  ]);
  const history = await messages(server, chat);
  assert.deepEqual(history.map((m) => [m.type, m.arguments ?? m.content]), [
    ["message", "go"], ["function_call", '{"n":1}'], ["function_result", '{"n":1}'], ["message", "I look.\n\nDone."],
  ]);
  const offered = (request) => request.tools.map((tool) => tool.function.name);
  assert.deepEqual(offered(model.requests[0]), ["current_time", "pay", "selection"]);
  second.close();
  const bob = await connect(t, server, { user: "bob" });
  await ask(bob, "join_room", { room_id: room, dialect: "documented" });
  await ask(bob, "send_message", { room_id: room, message: "hello" });
  await until(() => model.requests.length, (n) => n > 2);
  assert.deepEqual(offered(model.requests.at(-1)), ["current_time", "pay"], "of others nobody is offered the tools");
});

test("a tab's call waits over kill -9, and the tab that comes back answers it", async (t) => {
  const { start } = await world(t, { answers });
  const server = await start();
  const tab = await connect(t, server, { reconnection: false });
  const chat = newChat();
  const room = await enter(tab, chat, { model: "m", dialect: "documented" });
  await ask(tab, "join_room", { room_id: room, dialect: "documented", tools });
  await ask(tab, "send_message", { room_id: room, message: "go" });
  const { call_id } = await event(tab, `function_run ${room}`);
  await server.kill();

  const again = await start();
  const back = await connect(t, again);
  const joined = await ask(back, "join_room", { room_id: room, dialect: "documented", tools });
  assert.deepEqual(joined.pending, [{ call_id, function_name: "selection", arguments: { n: 1 }, where: "client", needs_approval: false }]);
  await event(back, `function_run ${room}`, (run) => run.call_id === call_id);
  assert.equal((await ask(back, "function_result", { room_id: room, call_id, result: "chosen" })).ok, true);
  assert.equal((await event(back, `stream_end ${room}`)).state, "completed");
  assert.equal((await messages(again, chat)).at(-1).content, "I look.\n\nDone.");
});

test("without a tab the call fails in time, and a stop ends it", async (t) => {
  const { start } = await world(t, { answers: { go: calls(["selection", {}]) }, args: ["--client-tool-grace", "100ms"] });
  const server = await start();
  const [tab, other] = [await connect(t, server), await connect(t, server)];
  const room = await enter(tab, newChat(), { model: "m", dialect: "documented" });
  await ask(other, "join_room", { room_id: room, dialect: "documented" });
  await ask(tab, "join_room", { room_id: room, tools, dialect: "documented" });
  await ask(tab, "send_message", { room_id: room, message: "go" });
  await event(tab, `function_run ${room}`);
  tab.close();
  const failed = await event(other, `function_result ${room}`);
  assert.equal(failed.state, "failed");
  assert.match(failed.result, /closed, and no other one has taken it over within 100ms/);
  assert.equal((await event(other, `stream_end ${room}`)).state, "completed");

  await ask(other, "join_room", { room_id: room, tools, dialect: "documented" });
  await ask(other, "send_message", { room_id: room, message: "go" });
  await event(other, `function_run ${room}`);
  await ask(other, "stop", { room_id: room });
  assert.equal((await event(other, `function_result ${room}`, (r) => r.state !== "failed")).state, "stopped");
});

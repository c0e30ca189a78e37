// Tools that an app of the AI SDK runs itself, with the official client of three versions.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as ai5 from "ai5";
import * as ai6 from "ai6";
import * as ai7 from "ai7";
import { calls } from "./lib/model.mjs";
import { ask, connect, messages, newChat, until } from "./lib/parlor.mjs";
import { longOnly } from "./lib/random.mjs";
import { world } from "./lib/tools.mjs";

const tools = [{ name: "selection", description: "Returns the selected text.", parameters: { type: "object", properties: { n: { type: "integer" } } } }];
const answers = { go: [{ content: "I look." }, ...calls(["current_time", {}], ["selection", { n: 1 }])], again: calls(["selection", { n: 2 }]), chosen: [{ content: "Done." }, "stop"] };

/** A Chat of a version, as a framework makes one, whose app runs the tool with run. */
function chatOf(ai, server, id, run, body = {}) {
  const state = {
    messages: [], status: "ready", error: undefined,
    pushMessage(m) { this.messages = [...this.messages, m]; },
    popMessage() { this.messages = this.messages.slice(0, -1); },
    replaceMessage(i, m) { this.messages = this.messages.with(i, structuredClone(m)); },
    snapshot: (value) => structuredClone(value),
  };
  class Chat extends ai.AbstractChat {}
  const chat = new Chat({
    id, state, sendAutomaticallyWhen: ai.lastAssistantMessageIsCompleteWithToolCalls,
    transport: new ai.DefaultChatTransport({ api: `${server.url}/api/v1/ui/chat`, headers: { "x-parlor-user": "alice" }, body: { model_id: "m", tools, ...body } }),
    onError: (error) => { throw error; },
    onToolCall({ toolCall }) {
      if (toolCall.toolName !== "selection") return;
      run(toolCall, (more) => (chat.addToolOutput ?? chat.addToolResult).call(chat, { tool: "selection", toolCallId: toolCall.toolCallId, ...more }));
    },
  });
  return chat;
}

const textOf = (message) => message.parts.filter((p) => p.type === "text").map((p) => p.text).join("");

for (const [version, ai] of Object.entries({ 5: ai5, 6: ai6, 7: ai7 })) {
  test(`useChat ${version}: an app runs a tool of its own, and the answer goes on`, async (t) => {
    const { start, model } = await world(t, { answers });
    const server = await start();
    const id = newChat();
    const ran = [];
    const chat = chatOf(ai, server, id, (call, done) => { ran.push(call.input); done({ output: "chosen" }); }, version === "5" ? { sdk_version: 5 } : {});
    for (const [i, text] of ["go", "again"].entries()) {
      await chat.sendMessage({ text });
      await until(() => chat.messages.length === 2 * i + 2 && chat.status === "ready" && textOf(chat.messages.at(-1)), (shown) => shown && shown.endsWith("Done."));
    }
    assert.deepEqual(ran, [{ n: 1 }, { n: 2 }], "each call is run once");
    assert.deepEqual(chat.messages.map(textOf), ["go", "I look.\n\nDone.", "again", "Done."]);
    const history = await messages(server, id);
    assert.deepEqual(history.filter((m) => m.type === "function_result").map((m) => [m.name, m.result === "chosen"]), [["current_time", false], ["selection", true], ["selection", true]]);
    assert.equal(model.requests.length, 4);
  });
}

test("useChat: an app says what the model is to call", longOnly, async (t) => {
  const { start, model } = await world(t, { answers });
  const server = await start();
  const asked = async (tool_choice, text = "hm") => {
    const failed = [];
    const chat = chatOf(ai7, server, newChat(), (call, done) => done({ output: "chosen" }), { tool_choice });
    chat.onError = (e) => failed.push(JSON.parse(e.message).code);
    await chat.sendMessage({ text });
    await until(() => chat.status, (s) => s === "ready" || s === "error");
    return failed[0] ?? model.requests.at(-1).tool_choice;
  };
  assert.deepEqual(await asked("auto"), undefined);
  assert.deepEqual(await asked("required"), "required");
  assert.deepEqual(await asked("none"), "none");
  assert.deepEqual(await asked({ type: "tool", toolName: "selection" }), { type: "function", function: { name: "selection" } });
  assert.equal(await asked("sometimes"), "tool_choice_unsupported");
  assert.equal(await asked({ type: "tool" }), "tool_choice_unsupported");
});

test("useChat: a call of an app is answered after kill -9, and nothing more afterwards", async (t) => {
  const { start } = await world(t, { answers });
  let server = await start();
  const id = newChat();
  let answer;
  const chat = chatOf(ai6, server, id, (call, done) => { answer = done; });
  await chat.sendMessage({ text: "go" });
  await until(() => chat.status, (s) => s === "ready");
  const listen = new URL(server.url).host;
  await server.kill();
  server = await start({ listen });
  await answer({ output: "chosen" });
  await until(() => chat.status === "ready" && textOf(chat.messages.at(-1)), (shown) => shown === "I look.\n\nDone.");
  const socket = await connect(t, server);
  const { room_id } = await ask(socket, "find_chat", { chat_id: id });
  await ask(socket, "join_room", { room_id, dialect: "documented" });
  const call = chat.messages.at(-1).parts.find((p) => p.toolName === "selection");
  assert.equal((await ask(socket, "function_result", { room_id, call_id: call.toolCallId, result: "other" })).error.code, "gone");
});

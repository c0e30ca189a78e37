// Calls of tools by models, in each protocol, against aimock.
import assert from "node:assert/strict";
import { test } from "node:test";
import { LLMock } from "@copilotkit/aimock";
import { ask, connect, enter, event, newChat, serve } from "./lib/parlor.mjs";
import { toolbox } from "./lib/toolbox.mjs";

/** Returns the answer of a model that calls tools, each [name, arguments]. Arguments that are a text are sent as they are. */
const call = (...list) => ({ toolCalls: list.map(([name, args]) => ({ name, arguments: typeof args === "string" ? args : JSON.stringify(args) })) });
const say = (content) => ({ content });

/**
 * What a model does, told the results of its calls so far, and what has to come of it: the runs of tools, in any order
 * within a step, and the answer.
 */
const scripts = {
  "several at once": {
    model: (results) => (results.length ? say(results.join(", ")) : call(["wait", { ms: 60 }], ["add", { a: 1, b: 2 }], ["add", { a: 3, b: 4 }])),
    ran: [["add", { a: 1, b: 2 }], ["add", { a: 3, b: 4 }], ["wait", { ms: 60 }]],
    answer: /^waited 60, 3, 7$/,
  },
  "one after the other": {
    model: (results) => (results.length < 3 ? call(["add", { a: Number(results.at(-1) ?? 10), b: 1 }]) : say(`It is ${results.at(-1)}.`)),
    ran: [["add", { a: 10, b: 1 }], ["add", { a: 11, b: 1 }], ["add", { a: 12, b: 1 }]],
    answer: /^It is 13\.$/,
  },
  "a chain past the limit": {
    model: (results) => (results.length === 30 ? say(`After ${results.length}: ${results.at(-1)}`) : call(["add", { a: results.length, b: 0 }])),
    ran: Array.from({ length: 30 }, (_, i) => ["add", { a: i, b: 0 }]),
    answer: /^After 30: 29$/,
    reason: /30 steps/,
  },
  "a tool that fails": {
    model: (results) => (results.length < 4 ? call(["fail", {}]) : say(results.join(" | "))),
    ran: [["fail", {}], ["fail", {}], ["fail", {}]],
    answer: /^(.*out of order[^|]* \| ){3}not run: .*3 times/,
    states: ["failed", "failed", "failed", "failed"],
  },
  "a result too large": {
    model: (results) => (results.length ? say(`${results[0].length} ${results[0].slice(0, 8)} ${results[0].slice(-45)}`) : call(["large", { bytes: 300_000 }])),
    ran: [["large", { bytes: 300_000 }]],
    answer: /^65\d\d\d begins x .*\(cut: this is the beginning of 300012 bytes\)$/s,
  },
  "an unknown tool": {
    model: (results) => [call(["search", { q: "x" }], ["add", { a: 1, b: 1 }]), say(results.join(" | "))][Math.min(results.length, 1)],
    ran: [["add", { a: 1, b: 1 }]],
    answer: /^not run: there is no tool "search".*add, current_time, fail, large, wait \| 2$/,
    states: ["failed", "completed"],
  },
  "arguments that break the schema": {
    model: (results) => [call(["add", { a: "one", b: 1 }]), call(["add", { a: 1, b: 1 }]), say(results.join(" | "))][results.length],
    ran: [["add", { a: 1, b: 1 }]],
    answer: /^not run: the arguments do not fit.*'\/a'.*\| 2$/s,
    states: ["failed", "completed"],
  },
  "arguments that are no JSON": {
    model: (results) => [call(["add", "{'a': 1, 'b': True}"]), call(["add", { a: 2, b: 2 }]), say(results.join(" | "))][results.length],
    ran: [["add", { a: 2, b: 2 }]],
    answer: /^not run: the arguments .*\| 4$/s,
    states: ["failed", "completed"],
  },
  "arguments that are wrong again and again": {
    model: (results) => (results.length === 3 ? say(`I give up after ${results.length}.`) : call(["add", { a: "one", b: results.length }])),
    ran: [],
    answer: /^I give up after 3\.$/,
    reason: /wrong 3 times in a row/,
    states: ["failed", "failed", "failed"],
  },
};

const forms = {
  openai: { api: "openai", path: "/v1" },
  anthropic: { api: "anthropic", path: "" },
  realtime: { api: "openai", path: "/v1", source: "openai_realtime" },
};

for (const [form, { api, path, source }] of Object.entries(forms)) {
  test(`tools, as ${form} has them`, async (t) => {
    const { ran, config } = await toolbox(t);
    const mock = new LLMock({ port: 0 });
    for (const [name, { model }] of Object.entries(scripts)) {
      mock.onMessage(name, (request) => {
        const asked = request.messages;
        const turn = asked.slice(asked.findLastIndex((m) => m.role === "user") + 1);
        return model(turn.filter((m) => m.role === "tool").map((m) => m.content));
      });
    }
    await mock.start();
    t.after(() => mock.stop());
    const server = await serve(t, {
      args: [
        "--providers", JSON.stringify({ mock: { api, base_url: mock.url + path } }), "--discover=false",
        "--models", JSON.stringify([{ model_id: "m", provider: "mock", upstream_model: "any", model_api_source: source, tools: ["*"] }]), "--tools", JSON.stringify(config),
      ],
    });
    const alice = await connect(t, server);
    for (const [name, script] of Object.entries(scripts)) {
      await t.test(name, async () => {
        ran.length = 0;
        const room = await enter(alice, newChat(), { model: "m", dialect: "documented" });
        await ask(alice, "send_message", { room_id: room, message: name });
        const { message } = await event(alice, `message ${room}`, (b) => b.message.role === "assistant");
        assert.equal(message.state, "completed", JSON.stringify(message.error));
        assert.match(message.content, script.answer);
        assert.deepEqual(name.startsWith("several") ? ran.toSorted(byText) : ran, script.ran);
        assert.match(message.reason ?? "", script.reason ?? /^$/);
        assert.deepEqual(message.calls.map((c) => c.state), script.states ?? script.ran.map(() => "completed"));
      });
    }
  });
}

const byText = (a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);

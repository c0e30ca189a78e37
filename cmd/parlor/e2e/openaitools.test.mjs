// Tools in stored responses and in chats, with OpenAI's official client: functions of the program, and approvals.
import assert from "node:assert/strict";
import { test } from "node:test";
import { calls } from "./lib/model.mjs";
import { chatOf, client, collect, joined, rises, versions } from "./lib/openai.mjs";
import { ask, command, connect, enter, event, messages, newChat, until } from "./lib/parlor.mjs";
import { longOnly } from "./lib/random.mjs";
import { world } from "./lib/tools.mjs";

const tools = [{ type: "function", name: "look", description: "Looks.", strict: null, parameters: { type: "object", properties: { n: { type: "integer" } }, required: ["n"] } }];
const functions = [{ type: "function", function: { name: "look", description: "Looks.", parameters: tools[0].parameters } }];
const answers = {
  go: [{ content: "I look 😀." }, ...calls(["current_time", {}], ["look", { n: 1 }], ["look", { n: "x" }], ["look", { n: 2 }])],
  "saw 2": calls(["look", { n: 3 }]), "saw 3": [{ content: "Done." }, "stop"],
  pay: [{ content: "I pay." }, ...calls(["pay", { sum: 1 }])], paid: [{ content: "Paid." }, "stop"],
  both: calls(["pay", { sum: 2 }], ["look", { n: 9 }]), "saw 9": [{ content: "Both." }, "stop"],
  "a person has denied this call: no": [{ content: "Then not." }, "stop"],
};
const output = (call, text) => ({ type: "function_call_output", call_id: call.call_id, output: text });
const callsOf = (response) => response.output.filter((i) => i.type === "function_call");
const saw = (call) => output(call, `saw ${JSON.parse(call.arguments).n}`);
const approval = (response) => response.output.find((i) => i.type === "mcp_approval_request");
const decide = (request, approve, reason) => ({ type: "mcp_approval_response", approval_request_id: request.id, approve, reason });
const refused = async (promise, status, param, code) => {
  const error = await promise.then((r) => assert.fail(`not refused: ${JSON.stringify(r.output)}`), (e) => e);
  assert.deepEqual([error.status, error.param, error.code], [status, param, code], error.message);
  return error;
};

for (const [version, Client] of Object.entries(versions)) {
  test(`openai ${version}: a stored response ends with calls and an approval, and goes on over kill -9`, version === "6" ? longOnly : {}, async (t) => {
    const { start, pay, model } = await world(t, { answers, approval: "ask" });
    let server = await start();
    const ai = client(Client, server);
    const first = await ai.responses.create({ model: "m", input: "go", tools });
    assert.deepEqual([first.status, first.output_text, callsOf(first).map((c) => c.arguments)], ["completed", "I look 😀.", ['{"n":1}', '{"n":2}']]);
    assert.deepEqual([first.tools.map((x) => x.name), first.store, (await ai.responses.retrieve(first.id)).output], [["look"], true, first.output]);

    const listen = new URL(server.url).host;
    await server.kill();
    server = await start({ listen });
    const next = { previous_response_id: first.id, tools };
    const bob = client(Client, server, { user: "bob" }); // in development mode everybody may talk in every chat
    await refused(bob.responses.create({ ...next, input: callsOf(first).map(saw) }), 403, null, null);
    await refused(ai.responses.create({ ...next, input: [saw(callsOf(first)[0])] }), 400, "input", null);
    await refused(ai.responses.create({ ...next, input: "and now?" }), 400, "input", null);
    const second = await ai.responses.create({ ...next, input: callsOf(first).map(saw), stream: true });
    const heard = await collect(second);
    assert.ok(rises(heard));
    const { response } = heard.at(-1);
    assert.deepEqual([heard[0].type, heard.at(-1).type, response.previous_response_id, callsOf(response).map((c) => c.arguments)], ["response.created", "response.completed", first.id, ['{"n":3}']]);
    assert.equal(response.id, first.metadata.parlor_next);
    const third = await ai.responses.create({ input: callsOf(response).map(saw), previous_response_id: response.id, store: true });
    assert.deepEqual([third.output_text, third.conversation.id], ["Done.", first.conversation.id]);
    assert.deepEqual((await messages(server, chatOf(first))).at(-1).content, "I look 😀.\n\nDone.");
    assert.equal(model.requests.length, 3, "no step is asked for again");
    const brought = await ai.responses.inputItems.list(third.id);
    assert.deepEqual(brought.data.map((i) => [i.type, i.output]), [["function_call_output", "saw 3"]]);
    const told = await ai.responses.create({ ...next, input: callsOf(first).map(saw) });
    assert.deepEqual(told.output, response.output, "the same outputs once more lead to the same response");
    await refused(ai.responses.create({ ...next, input: callsOf(first).map((c) => output(c, "other")) }), 409, "input[0].call_id", "gone");

    const asked = await ai.responses.create({ conversation: first.conversation.id, input: "pay" });
    assert.deepEqual([asked.output_text, approval(asked).name, approval(asked).server_label, approval(asked).arguments], ["I pay.", "pay", "parlor", '{"sum":1}']);
    const paid = await ai.responses.stream({ previous_response_id: asked.id, input: [decide(approval(asked), true)] }).finalResponse();
    assert.deepEqual([paid.output_text, pay.ran.map((r) => r.args)], ["Paid.", [{ sum: 1 }]]);
    await refused(ai.responses.create({ previous_response_id: asked.id, input: [decide(approval(asked), false)] }), 409, "input[0].approval_request_id", "gone");
    assert.equal((await ai.responses.create({ conversation: first.conversation.id, input: [decide(approval(asked), true)] })).output_text, "Paid.");
    assert.equal(pay.ran.length, 1);
  });
}

test("a person decides meanwhile, and what is brought late, twice, wrongly or by others is refused", longOnly, async (t) => {
  const env = { PARLOR_JWT_SECRET: "an-e2e-secret-of-thirty-two-bytes!" };
  const { start, pay } = await world(t, { answers, approval: "ask", env });
  const server = await start();
  const token = async (user) => (await command(["token", "--user", user], { env })).stdout.trim();
  const jwt = await token("alice");
  const ai = client(versions[7], server, { apiKey: jwt });
  const mallory = client(versions[7], server, { apiKey: await token("mallory") });

  // A call and an approval in one step; a person approves.
  const both = await ai.responses.create({ model: "m", input: "both", tools });
  assert.deepEqual(both.output.map((i) => i.type), ["message", "mcp_approval_request", "function_call"]);
  const [look] = callsOf(both);
  await refused(mallory.responses.create({ previous_response_id: both.id, input: [saw(look)] }), 400, "previous_response_id", "previous_response_not_found");
  await refused(mallory.responses.create({ conversation: both.conversation.id, input: [saw(look)] }), 404, null, null);
  const alice = await connect(t, server, { auth: { token: jwt } });
  const { room_id } = await ask(alice, "find_chat", { chat_id: chatOf(both) });
  const { pending } = await ask(alice, "join_room", { room_id, dialect: "documented" });
  const waits = pending.find((p) => p.needs_approval);
  const rest = ai.responses.create({ previous_response_id: both.id, input: [saw(look)], background: true });
  assert.equal((await rest).status, "in_progress");
  await ask(alice, "approve", { room_id, call_id: waits.call_id, decision: "deny", reason: "no" });
  await refused(ai.responses.create({ previous_response_id: both.id, input: [saw(look), decide(approval(both), true)] }), 409, "input[1].approval_request_id", "gone");
  const denied = await ai.responses.create({ previous_response_id: both.id, input: [saw(look), decide(approval(both), false)] });
  assert.deepEqual([denied.output_text, pay.ran], ["Both.", []]);

  // Two clients with different decisions at once: one of them holds, and only the other is refused.
  for (let i = 0; i < 5; i++) {
    const asked = await ai.responses.create({ model: "m", input: "pay" });
    const before = pay.ran.length;
    const all = await Promise.allSettled([true, false].map((yes) => ai.responses.create({ previous_response_id: asked.id, input: [decide(approval(asked), yes, yes ? null : "no")] })));
    assert.deepEqual(all.map((r) => r.status).toSorted(), ["fulfilled", "rejected"]);
    const approved = all[0].status === "fulfilled";
    assert.equal(all.find((r) => r.reason).reason.status, 409);
    assert.deepEqual([all.find((r) => r.value).value.output_text, pay.ran.length - before], approved ? ["Paid.", 1] : ["Then not.", 0]);
  }

  // Wrong input.
  const open = await ai.responses.create({ model: "m", input: "go", tools, conversation: both.conversation.id });
  const [one, two] = callsOf(open);
  const next = (...input) => ai.responses.create({ previous_response_id: open.id, input });
  for (const [input, param] of [
    [[saw(one), saw(one), saw(two)], "input[1].call_id"], [[saw(one), saw(look)], "input[1].call_id"], [[output({ call_id: "call_x_1" }, "y")], "input[0].call_id"],
    [[output({ call_id: `${one.call_id}1` }, "y"), saw(two)], "input[0].call_id"], [[output({ call_id: "" }, "y")], "input[0].call_id"], [[saw(one), saw(two), { role: "user", content: "x" }], "input[2]"],
    [[decide({ id: one.call_id.replace("call_", "mcpr_") }, true)], "input[0].approval_request_id"], [[{ type: "mcp_approval_response", approval_request_id: "x" }], "input[0].approve"],
    [[{ type: "function_call_output", call_id: one.call_id }], "input[0].output"], [[{ type: "function_call_output", call_id: one.call_id, output: 7 }], "input[0].output"],
  ]) await refused(next(...input), 400, param, null);
  await refused(ai.responses.create({ previous_response_id: `${open.id.replace(".1f", ".7f")}`, input: [saw(one), saw(two)] }), 400, "previous_response_id", "previous_response_not_found");
  await refused(ai.responses.retrieve(open.id.replace(".1f", ".7f")), 404, null, null);
  await refused(ai.responses.create({ model: "m", store: false, input: [decide({ id: "mcpr_x_1" }, true)] }), 400, "input[0].type", "approval_not_stored");
  assert.equal((await next(...open.output, saw(two), saw(one))).output.at(-1).type, "function_call", "what the response has said may come back with it");

  // Cancelled while it waits: its output comes too late.
  const left = await ai.responses.create({ model: "m", input: "go", tools });
  await ai.responses.cancel(left.id);
  await refused(ai.responses.create({ previous_response_id: left.id, input: callsOf(left).map(saw) }), 409, "input[0].call_id", "gone");
  assert.equal((await ai.responses.retrieve(left.metadata.parlor_next)).status, "cancelled");
});

test("kill -9 at each event of a response that goes on: no number comes twice, and nothing runs again", longOnly, async (t) => {
  const { start, model } = await world(t, { answers });
  let server = await start();
  const listen = new URL(server.url).host;
  const ai = client(versions[7], server);
  for (let cut = 1; cut < 30; cut++) {
    const first = await ai.responses.create({ model: "m", input: "go", tools });
    const asked = model.requests.length;
    const input = callsOf(first).map(saw);
    let killed;
    const stream = await ai.responses.create({ previous_response_id: first.id, input, tools, stream: true });
    const heard = await collect(stream, (events) => { if (events.length === cut) killed = server.kill(); });
    if (!killed) break; // all of its events have come
    await killed;
    server = await start({ listen });
    const rest = heard.cut ? await collect(await ai.responses.retrieve(first.metadata.parlor_next, { stream: true, starting_after: heard.at(-1).sequence_number })) : [];
    assert.ok(rises([...heard, ...rest]));
    const last = [...heard, ...rest].at(-1).response;
    assert.deepEqual(callsOf(last).map((c) => c.arguments), ['{"n":3}'], `cut at ${cut}`);
    const end = await ai.responses.create({ previous_response_id: last.id, input: callsOf(last).map(saw), stream: true });
    assert.equal(joined(await collect(end)), "Done.");
    assert.ok(model.requests.length - asked <= 3, "at most the step that was cut is asked for again");
  }
});

test("functions of a completion in a chat, and what the model is made to call", longOnly, async (t) => {
  const { start, model, pay } = await world(t, { answers, approval: "ask" });
  const server = await start();
  for (const Client of Object.values(versions)) {
    const id = newChat();
    const alice = await connect(t, server);
    const room = await enter(alice, id, { model: "m", dialect: "documented" });
    const ai = client(Client, server, { defaultHeaders: { "X-Parlor-User": "alice", "X-Parlor-Chat": id } });
    const talk = [{ role: "user", content: "go" }];
    const run = (stream) => (stream ? ai.chat.completions.stream({ model: "m", messages: talk, tools: functions }).finalChatCompletion() : ai.chat.completions.create({ model: "m", messages: talk, tools: functions }));
    for (const stream of [true, false, true]) {
      const { choices: [choice] } = await run(stream);
      talk.push(choice.message, ...(choice.message.tool_calls ?? []).map((c) => ({ role: "tool", tool_call_id: c.id, content: `saw ${JSON.parse(c.function.arguments).n}` })));
      if (!choice.message.tool_calls) assert.deepEqual([choice.finish_reason, choice.message.content], ["stop", "Done."]);
      else assert.equal(choice.finish_reason, "tool_calls");
    }
    assert.deepEqual(talk.filter((m) => m.role === "tool").map((m) => m.content), ["saw 1", "saw 2", "saw 3"]);
    assert.equal((await messages(server, id)).filter((m) => m.role === "user").length, 1, "one question is in the chat");
    await refused(ai.chat.completions.create({ model: "m", messages: talk.slice(0, 4).with(2, { ...talk[2], content: "other" }), tools: functions }), 409, "messages[2].tool_call_id", "gone");
    await refused(ai.chat.completions.create({ model: "m", messages: [talk[0], { ...talk[1], tool_calls: [{ ...talk[1].tool_calls[0], id: "call_x_9" }] }, { role: "tool", tool_call_id: "call_x_9", content: "y" }] }), 400, "messages[2].tool_call_id", null);

    // A completion cannot ask: it waits until a member has decided.
    const waits = ai.chat.completions.create({ model: "m", messages: [{ role: "user", content: "pay" }] });
    const call = await event(alice, `function_call ${room}`, (c) => c.needs_approval);
    await ask(alice, "approve", { room_id: room, call_id: call.call_id, decision: "approve" });
    assert.equal((await waits).choices[0].message.content, "I pay.\n\nPaid.");
  }
  assert.equal(pay.ran.length, 2);

  const ai = client(versions[7], server);
  const of = (choice) => model.requests.at(-1).tool_choice === undefined ? undefined : choice(model.requests.at(-1).tool_choice);
  const say = (tool_choice, more) => ai.responses.create({ model: "m", input: "hm", tools, tool_choice, ...more });
  const complete = (tool_choice, more) => ai.chat.completions.create({ model: "m", messages: [{ role: "user", content: "hm" }], tools: functions, tool_choice, ...more });
  const same = (x) => x;
  const named = { type: "function", function: { name: "look" } };
  for (const store of [true, false]) {
    for (const [choice, want] of [["auto", undefined], ["none", "none"], ["required", "required"], [{ type: "function", name: "look" }, named]]) {
      assert.deepEqual((await say(choice, { store })).tool_choice, choice);
      assert.deepEqual(of(same), want);
    }
    await say({ type: "allowed_tools", mode: "required", tools: [{ type: "function", name: "look" }] }, { store });
    assert.deepEqual([of(same), model.requests.at(-1).tools.map((x) => x.function.name)], ["required", ["look"]]);
    const odd = await say({ type: "file_search" }, { store }).catch((e) => e);
    assert.deepEqual([odd.status, odd.code, odd.param], [400, "tool_choice_unsupported", "tool_choice"]);
  }
  for (const [choice, want] of [["required", "required"], [named, named], [{ type: "allowed_tools", allowed_tools: { mode: "auto", tools: [named] } }, undefined]]) {
    await complete(choice);
    assert.deepEqual(of(same), want);
  }
  await refused(complete({ type: "function", function: { name: "gone" } }), 400, "tool_choice", "tool_choice_unsupported");
  await refused(say("required", { model: "eliza", store: false }), 400, "tool_choice", "tool_choice_unsupported");
  const failed = await say("required", { model: "eliza" });
  assert.deepEqual([failed.status, failed.error.message.split(":")[0]], ["failed", "tool_choice_unsupported"]);
  const called = await say("required", { input: "go" });
  await ai.responses.create({ previous_response_id: called.id, input: callsOf(called).map(saw), tools, tool_choice: "none" });
  assert.equal(of(same), "none", "what is to be called next is said with the outputs");
  await until(() => model.requests.length, (n) => n > 0);
});

test("a tool that kill -9 cuts off is asked about in the response that goes on, and runs again for that decision alone", longOnly, async (t) => {
  const { start, pay } = await world(t, { answers, approval: "ask", hold: true });
  let server = await start();
  const listen = new URL(server.url).host;
  const ai = client(versions[7], server);
  const asked = await ai.responses.create({ model: "m", input: "pay" });
  const yes = { previous_response_id: asked.id, input: [decide(approval(asked), true)] };
  const stream = collect(await ai.responses.create({ ...yes, stream: true }));
  await until(() => pay.ran.length, (n) => n === 1);
  await server.kill();
  const heard = await stream;
  pay.release();
  server = await start({ listen });
  const rest = await collect(await ai.responses.retrieve(asked.metadata.parlor_next, { stream: true, starting_after: heard.at(-1).sequence_number }));
  assert.ok(rises([...heard, ...rest]));
  const last = rest.at(-1).response;
  assert.deepEqual([last.status, approval(last).name, approval(last).parlor_lost], ["completed", "pay", true]);
  assert.equal((await ai.responses.create(yes)).id, last.id);
  assert.equal(pay.ran.length, 1, "the decision from before does not run it again");
  const helped = await ai.responses.stream({ response_id: last.id }).finalResponse();
  assert.deepEqual(helped.output.map((i) => i.id), last.output.map((i) => i.id));
  const end = await ai.responses.create({ previous_response_id: last.id, input: [decide(approval(last), true)] });
  assert.deepEqual([end.output_text, new Set(pay.ran.map((r) => r.key)).size, pay.ran.length], ["Paid.", 1, 2]);
});

// The official client of OpenAI, unmodified, in all that parlor serves of its API.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { chatOf, client, collect, deltas, joined, rises, versions } from "./lib/openai.mjs";
import { longOnly, seeded } from "./lib/random.mjs";
import { ask, command, connect, enter, event, events, folder, messages, newChat, serve, sleep, until } from "./lib/parlor.mjs";
import { calls, modelServer } from "./lib/model.mjs";
import { proxy } from "./lib/proxy.mjs";

const slow = ["--eliza-word-delay", "40ms"];
const slower = ["--eliza-word-delay", "200ms"];
const fast = ["--eliza-word-delay", "1ms"];
const story = "I remember my mother";

for (const [version, Client] of Object.entries(versions)) {
  test(`openai ${version}: cut and killed anywhere, a stream is resumed without a loss`, longOnly, async (t) => {
    const random = seeded(t);
    const dir = folder();
    let server = await serve(t, { dir, args: ["--eliza-word-delay", "20ms", "--max-attempts", "9"] });
    const listen = new URL(server.url).host;
    const ai = client(Client, server);
    for (let round = 0; round < 6; round++) {
      const heard = [];
      const first = await ai.responses.create({ model: "eliza", input: `${story} ${round}`, stream: true });
      let id;
      let stream = first;
      for (let cuts = random.below(4); heard.at(-1)?.type !== "response.completed"; cuts--) {
        const [stop, kill] = [cuts > 0 ? 1 + random.below(12) : Infinity, random.below(2) === 0];
        let n = 0;
        try {
          for await (const e of stream) {
            heard.push(e);
            id ??= e.response.id;
            if (++n < stop) continue;
            if (!kill) break;
            server.kill();
          }
        } catch (error) {
          assert.match(`${error}`, /terminated/);
        }
        if (kill && n >= stop) {
          await server.exited;
          server = await serve(t, { dir, listen, args: ["--eliza-word-delay", cuts > 1 ? "20ms" : "5ms", "--max-attempts", "9"] });
        }
        stream = await ai.responses.retrieve(id, { stream: true, starting_after: heard.at(-1).sequence_number }, { maxRetries: 3 });
      }
      assert.ok(rises(heard), `round ${round}: ${heard.map((e) => e.sequence_number)}`);
      const now = await ai.responses.retrieve(id);
      const last = now.output.at(-1);
      assert.equal(joined(heard.filter((e) => e.item_id === last.id)), now.output_text, `round ${round}`);
      for (const dead of now.output.slice(0, -1)) {
        assert.deepEqual([dead.status, dead.content], ["incomplete", []]);
        assert.ok(heard.some((e) => e.type === "response.output_item.done" && e.item.id === dead.id), "it was closed");
      }
      assert.equal((await ai.responses.stream({ response_id: id }).finalResponse()).output_text, now.output_text);
      assert.deepEqual((await messages(server, chatOf(now))).length, 2);
    }
  });

  test(`openai ${version}: background, polled over a restart; cancelled from elsewhere`, longOnly, async (t) => {
    const dir = folder();
    let server = await serve(t, { dir, args: slow });
    const listen = new URL(server.url).host;
    const ai = client(Client, server);
    const begun = await ai.responses.create({ model: "eliza", input: story, background: true });
    assert.match(begun.status, /queued|in_progress/);
    await until(() => ai.responses.retrieve(begun.id), (r) => r.output_text);
    await server.kill();
    server = await serve(t, { dir, listen, args: slow });
    const done = await until(() => ai.responses.retrieve(begun.id), (r) => r.status === "completed");
    assert.equal(done.output_text, (await messages(server, chatOf(done)))[1].content);

    const again = await ai.responses.create({ conversation: done.conversation.id, input: story, stream: true });
    const watching = client(Client, server).responses;
    const heard = await collect(again, (e) => {
      if (deltas(e).length === 2) watching.cancel(e[0].response.id);
    });
    assert.deepEqual([heard.at(-1).type, heard.at(-1).response.status], ["response.incomplete", "cancelled"]);
    assert.equal(joined(heard), heard.at(-1).response.output[0].content[0].text);
    const { id } = heard[0].response;
    assert.equal((await ai.responses.cancel(id)).status, "cancelled", "again");
    assert.equal((await ai.responses.cancel(done.id)).status, "completed", "what has ended stays as it is");
    assert.equal((await ai.responses.stream({ response_id: id }).finalResponse()).status, "cancelled");
  });

  test(`openai ${version}: what the client repeats by itself is said once`, longOnly, async (t) => {
    const dir = folder();
    let server = await serve(t, { dir, args: slow });
    const listen = new URL(server.url).host;
    const network = await proxy(t, server.url);
    const ai = client(Client, network, { maxRetries: 5 });
    const chats = async () => (await (await fetch(`${server.url}/api/v1/chat`, { headers: { "X-Parlor-User": "alice" } })).json()).chats;
    const whole = async (more, cut) => {
      const before = (await chats()).length;
      const answer = ai.responses.create({ model: "eliza", input: story, ...more });
      await until(chats, (all) => all.length > before || more.conversation);
      await sleep(200); // the message is on disk, and its answer is on the way
      await cut();
      return answer;
    };
    const cut = () => network.cut();
    const first = await whole({}, cut);
    assert.equal((await chats()).length, 1);
    assert.deepEqual((await messages(server, chatOf(first))).map((m) => m.content), [story, first.output_text]);
    const { conversation } = first;
    await whole({ conversation: conversation.id, input: "again" }, cut);
    assert.equal((await messages(server, chatOf(first))).length, 4);
    const killed = async () => {
      await server.kill();
      server = await serve(t, { dir, listen, args: slow });
    };
    const second = await whole({ input: "I am sad" }, killed);
    assert.equal((await chats()).length, 2);
    assert.deepEqual((await messages(server, chatOf(second))).map((m) => m.content), ["I am sad", second.output_text]);
    await whole({ conversation: conversation.id, input: "once more" }, killed);
    assert.equal((await messages(server, chatOf(first))).length, 6);
    for (const input of ["yes", "yes"]) await ai.responses.create({ conversation: conversation.id, input });
    assert.equal((await messages(server, chatOf(first))).length, 10, "what a person says twice is said twice");
    const inRoom = { model: "eliza", messages: [{ role: "user", content: "in the room" }] };
    const answer = ai.chat.completions.create(inRoom, { headers: { "X-Parlor-Chat": chatOf(first) } });
    await until(() => messages(server, chatOf(first)), (all) => all.at(-1).content === "in the room");
    await network.cut();
    const { choices } = await answer;
    assert.deepEqual((await messages(server, chatOf(first))).slice(10).map((m) => m.content), ["in the room", choices[0].message.content]);
  });

  test(`openai ${version}: one room by Socket.IO and by responses, live`, longOnly, async (t) => {
    const server = await serve(t, { args: slower });
    const ai = client(Client, server);
    const socket = await connect(t, server, { user: "bob" });
    const chat = newChat();
    const room = await enter(socket, chat, { dialect: "documented" });
    const conversation = `conv_${chat}`;
    const heard = await collect(await ai.responses.create({ conversation, input: story, stream: true }));
    const end = await event(socket, `stream_end ${room}`);
    assert.equal(end.state, "completed");
    const { message } = await event(socket, `message ${room}`, (b) => b.message.role === "user");
    assert.deepEqual([message.content, message.author.user_id], [story, "alice"]);
    assert.equal(events(socket, `stream_chunk ${room}`).map((b) => b.content).join(""), joined(heard));
    let pressed = false; // once: another stop would be of the next answer
    const stopped = collect(await ai.responses.create({ conversation, input: story, stream: true }), (e) => {
      if (pressed || !deltas(e).length) return;
      pressed = true;
      socket.emit(`stop ${room}`, {});
    });
    assert.equal((await stopped).at(-1).response.status, "cancelled", "a member stops it from a socket");

    const waits = await Promise.all(["one", "two"].map((input) => ai.responses.create({ conversation, input, background: true })));
    assert.ok(waits.some((r) => r.status === "queued"), "a response waits for its turn");
    await until(() => Promise.all(waits.map(({ id }) => ai.responses.retrieve(id))), (all) => all.every((r) => r.status === "completed"));
    await ask(socket, `configure ${room}`, { turn_policy: "reject" });
    const busy = await ai.responses.create({ conversation, input: story, background: true });
    await assert.rejects(ai.responses.create({ conversation, input: "now" }, { maxRetries: 2 }), { status: 409 });
    await ai.responses.cancel(busy.id);
  });

  test(`openai ${version}: any response may be followed, in a branch of its own`, longOnly, async (t) => {
    const server = await serve(t, { args: slow });
    const network = await proxy(t, server.url);
    const ai = client(Client, server);
    const said = async (id) => (await messages(server, id)).map((m) => m.content);
    const first = await ai.responses.create({ model: "eliza", input: "one" });
    const chat = chatOf(first);
    const second = await ai.responses.create({ previous_response_id: first.id, input: "two" });
    const beside = await Promise.all(["three", "four", "five"].map((input) => ai.responses.create({ previous_response_id: first.id, input })));
    assert.deepEqual(beside.map((r) => [r.status, chatOf(r)]), Array(3).fill(["completed", chat]), "none stops another");
    for (const [r, input] of [[second, "two"], ...beside.map((r, i) => [r, ["three", "four", "five"][i]])]) {
      const next = await ai.responses.create({ previous_response_id: r.id, input: `behind ${input}` });
      assert.deepEqual(await said(chat), ["one", first.output_text, input, r.output_text, `behind ${input}`, next.output_text]);
    }
    const running = await ai.responses.create({ previous_response_id: second.id, input: "a long answer, please", background: true });
    const other = await ai.responses.create({ previous_response_id: first.id, input: "six" });
    assert.equal((await ai.responses.retrieve(running.id)).status, "completed", "it ran on");
    assert.deepEqual(await said(chat), ["one", first.output_text, "six", other.output_text]);

    // The answer to the request is lost, and the client repeats it by itself.
    const repeating = client(Client, network, { maxRetries: 3 });
    const lost = repeating.responses.create({ previous_response_id: first.id, input: "seven" });
    await until(() => said(chat), (all) => all.includes("seven"));
    await network.cut();
    const { id, output_text } = await lost;
    assert.deepEqual(await said(chat), ["one", first.output_text, "seven", output_text]);
    await assert.rejects(ai.responses.create({ previous_response_id: id.replace("resp_", "resp_9"), input: "x" }), { status: 400, code: "previous_response_not_found" });
  });

  test(`openai ${version}: conversations, their items, and what goes on from what`, longOnly, async (t) => {
    const server = await serve(t, { args: fast });
    const ai = client(Client, server);
    const made = await ai.conversations.create({ metadata: { model: "eliza", title: "Us" }, items: [{ type: "message", role: "user", content: "a word in advance" }] });
    assert.deepEqual([made.object, made.metadata], ["conversation", { model: "eliza", title: "Us" }]);
    await assert.rejects(ai.conversations.update(made.id, { metadata: { topic: "us" } }), { status: 400, param: "metadata.topic" });
    assert.equal((await ai.conversations.update(made.id, { metadata: { title: "We" } })).metadata.title, "We");
    assert.equal((await ai.conversations.retrieve(made.id)).metadata.title, "We");
    const first = await ai.responses.create({ conversation: made.id, input: "hello" });
    const second = await ai.responses.create({ previous_response_id: first.id, input: [{ role: "user", content: [{ type: "input_text", text: "more" }] }] });
    assert.equal(second.conversation.id, made.id);
    const { data } = await ai.responses.inputItems.list(second.id);
    assert.deepEqual(data.map((i) => i.content[0].text), ["more"]);
    for (const order of ["asc", "desc"]) {
      const items = [];
      for await (const item of ai.conversations.items.list(made.id, { limit: 2, order })) items.push(item);
      if (order === "desc") items.reverse();
      assert.deepEqual(items.map((i) => [i.role, i.content[0].text]), [
        ["user", "a word in advance"], ["user", "hello"], ["assistant", first.output_text], ["user", "more"], ["assistant", second.output_text],
      ], order);
      assert.equal((await ai.conversations.items.retrieve(items[3].id, { conversation_id: made.id })).id, items[3].id);
    }
    await ai.conversations.items.create(made.id, { items: [{ type: "message", role: "user", content: "by the way" }] });
    assert.equal((await messages(server, made.id.slice(5))).length, 6);
    await assert.rejects(ai.responses.delete(second.id), { status: 400 });
    assert.equal((await ai.conversations.delete(made.id)).deleted, true);
    await assert.rejects(ai.conversations.retrieve(made.id), { status: 404 });
    await assert.rejects(ai.responses.retrieve(second.id), { status: 404 });
    const alone = await ai.responses.create({ model: "eliza", input: "hi", instructions: "be brief" });
    assert.equal(alone.instructions, "be brief");
    await ai.responses.delete(alone.id);
    await assert.rejects(ai.responses.retrieve(alone.id), { status: 404 });
    const unkept = await ai.responses.create({ model: "eliza", store: false, input: [{ role: "user", content: "I am" }, { role: "assistant", content: "What?" }, { role: "user", content: "sad" }] });
    assert.ok(unkept.output_text.length > 0);
    await assert.rejects(ai.responses.retrieve(unkept.id), { status: 404 });
    const helped = await ai.responses.stream({ model: "eliza", input: "I am sad" }).finalResponse();
    assert.deepEqual([helped.status, helped.output_text.length > 0], ["completed", true]);
    const chat = await ai.chat.completions.stream({ model: "eliza", messages: [{ role: "user", content: "I am sad" }] }).finalContent();
    assert.ok(chat.length > 0);
  });

  test(`openai ${version}: each class of errors`, longOnly, async (t) => {
    const model = await modelServer(t, { fail: [{ content: "so far" }, 100, false], think: [500, { content: "done" }, "length"] });
    const dir = folder();
    const secret = "an-e2e-secret-of-thirty-two-bytes!";
    const env = { PARLOR_JWT_SECRET: secret, OPENAI_BASE_URL: model.url, OPENAI_API_KEY: "k" };
    const { stdout: token } = await command(["token", "--user", "alice"], { dir, env });
    const server = await serve(t, { dir, env, args: [...fast, "--discover=false", "--retries", "0", "--max-user-rate", "3", "--max-event-rate", "0", "--max-address-rate", "0"] });
    const rate = (make) => until(() => make().catch((e) => (e.status === 429 ? null : Promise.reject(e))), Boolean);
    const ai = client(Client, server, { apiKey: token.trim() });
    const failing = (body) => assert.rejects(() => rate(() => ai.responses.create(body)), (e) => { failing.last = e; return true; });
    await assert.rejects(client(Client, server, { apiKey: "wrong" }).models.list(), { status: 401, code: "invalid_api_key" });
    await failing({ model: "none", input: "hi" });
    assert.deepEqual([failing.last.status, failing.last.code, failing.last.constructor.name], [404, "model_not_found", "NotFoundError"]);
    await failing({ model: "eliza", input: "hi", tools: [{ type: "web_search" }] });
    assert.deepEqual([failing.last.status, failing.last.param, failing.last.constructor.name], [400, "tools[0].type", "BadRequestError"]);
    assert.match(failing.last.requestID, /^req_/);
    await failing({ model: "eliza", input: "x".repeat(100_000) });
    assert.equal(failing.last.status, 413);
    const cut = await rate(() => ai.responses.create({ model: "openai:m", input: "fail" }));
    assert.deepEqual([cut.status, cut.error.code], ["failed", "server_error"]);
    assert.match(cut.error.message, /^provider_error: /);
    const streamed = await collect(await rate(() => ai.responses.create({ model: "openai:m", input: "fail", stream: true })));
    assert.deepEqual([streamed.at(-1).type, streamed.at(-1).response.status, joined(streamed)], ["response.failed", "failed", "so far"]);
    const long = await rate(() => ai.responses.create({ model: "openai:m", input: "think" }));
    assert.deepEqual([long.status, long.incomplete_details.reason, long.output_text], ["incomplete", "max_output_tokens", "done"]);
    const question = { model: "openai:m", messages: [{ role: "user", content: "fail" }] };
    await assert.rejects(() => rate(() => ai.chat.completions.create(question)), { status: 502 });
    const stream = await rate(() => ai.chat.completions.create({ ...question, stream: true }));
    await assert.rejects(collect(stream), { code: "provider_error" }, "an error in the middle");
    const many = await Promise.allSettled(Array.from({ length: 80 }, () => ai.models.list()));
    const refused = many.filter((r) => r.status === "rejected");
    assert.ok(refused.length > 0 && refused.every(({ reason }) => reason.status === 429 && reason.headers.get("retry-after") > 0), "too many requests");
  });
}

test("budgets, models-only and the end of a key hold for OpenAI's API", longOnly, async (t) => {
  const dir = folder();
  const env = { PARLOR_JWT_SECRET: "an-e2e-secret-of-thirty-two-bytes!" };
  const config = join(dir, "parlor.yaml");
  writeFileSync(config, 'budgets: [{ user: "alice", period: total, tokens: 60 }]\nmodels-only: true\n');
  const args = ["--config", config, ...slow];
  const key = async (user, ...more) => /pk_\S+/.exec((await command(["key", "add", "--data", join(dir, "parlor.db"), "--user", user, ...more], { dir, env })).stdout)[0];
  const apiKey = await key("alice");
  let server = await serve(t, { dir, env, args });
  const listen = new URL(server.url).host;
  const ai = client(versions[7], server, { apiKey });
  const question = { model: "eliza", messages: [{ role: "user", content: "I am sad" }] };
  await assert.rejects(ai.chat.completions.create({ ...question, model: "openai:gpt-4o" }), { status: 404, code: "model_not_found" });
  const asked = await until(() => ai.chat.completions.create(question).then(() => null, (e) => e), Boolean);
  assert.deepEqual([asked.status, asked.code, asked.headers.get("x-should-retry")], [429, "insufficient_quota", "false"]);
  const usage = async () => (await (await fetch(`${server.url}/api/v1/usage?by=chat`, { headers: { Authorization: `Bearer ${apiKey}` } })).json());
  const used = await usage();
  assert.deepEqual([used.rows.length, used.rows[0].chat_id, used.total.turns > 0], [1, undefined, true]);
  await server.kill();
  server = await serve(t, { dir, listen, env, args: ["--config", config, ...slower] });
  assert.deepEqual(await usage(), used);
  await assert.rejects(ai.responses.create({ model: "eliza", store: false, input: "hi" }), { status: 429, code: "insufficient_quota" });
  await assert.rejects(ai.responses.create({ model: "eliza", input: "hi" }), { status: 429, code: "insufficient_quota" });

  const reading = client(versions[7], server, { apiKey: await key("bob", "--scope", "read") });
  await assert.rejects(reading.responses.create({ model: "eliza", input: "hi" }), { status: 403 });
  assert.ok((await reading.models.list()).data.length > 0);
  const bobs = await key("bob");
  const heard = await collect(await client(versions[7], server, { apiKey: bobs }).responses.create({ model: "eliza", input: story, stream: true }), (e) => {
    if (deltas(e).length === 1) command(["key", "revoke", "--data", join(dir, "parlor.db"), bobs.split("_")[1]], { dir, env });
  });
  assert.ok(heard.cut && deltas(heard).length > 0, "its stream is cut");
  const end = await until(() => reading.responses.retrieve(heard[0].response.id), (r) => r.status === "completed");
  assert.ok(end.output_text.startsWith(joined(heard)), "the answer goes on");
});

for (const [version, Client] of Object.entries(versions)) {
  test(`openai ${version}: tools of the program itself`, longOnly, async (t) => {
    const model = await modelServer(t, {
      "what is 1 + 2?": [{ content: "I add." }, ...calls(["add", { a: 1, b: 2 }], ["my_add", { a: 3, b: 4 }])],
      "no words": calls(["add", { a: 1, b: 2 }]),
      7: [{ content: "3 and 7" }, "stop"],
      3: [{ content: "3" }, "stop"],
    });
    const server = await serve(t, { args: ["--discover=false"], env: { OPENAI_BASE_URL: model.url, OPENAI_API_KEY: "k" } });
    const ai = client(Client, server);
    const sum = ({ a, b }) => String(a + b);
    const parameters = { type: "object", properties: { a: { type: "number" }, b: { type: "number" } }, required: ["a", "b"] };
    const list = ["add", "my.add"].map((name) => ({ name, description: "Adds.", parameters }));

    const tools = list.map((f) => ({ type: "function", strict: false, ...f }));
    const said = [{ role: "user", content: "what is 1 + 2?" }];
    const question = { model: "openai:m", store: false, tools };
    const first = await ai.responses.create({ ...question, input: said });
    assert.deepEqual(first.output.map(({ type, status, name }) => [type, status, name]), [
      ["message", "completed", undefined], ["function_call", "completed", "add"], ["function_call", "completed", "my.add"],
    ]);
    assert.deepEqual(model.requests.at(-1).tools.map(({ function: f }) => f.name), ["add", "my_add"], "a name that providers take");
    const events = await collect(await ai.responses.create({ ...question, input: said, stream: true }));
    assert.ok(rises(events));
    assert.deepEqual(events.filter((e) => e.type === "response.function_call_arguments.done").map((e) => [e.output_index, e.arguments]), [[1, '{"a":1,"b":2}'], [2, '{"a":3,"b":4}']]);
    const helped = await ai.responses.stream({ ...question, input: said }).finalResponse();
    assert.deepEqual(helped.output.map((i) => i.type), ["message", "function_call", "function_call"]);
    const outputs = first.output.filter((i) => i.type === "function_call").map((i) => ({ type: "function_call_output", call_id: i.call_id, output: sum(JSON.parse(i.arguments)) }));
    const last = await ai.responses.create({ ...question, input: [...said, ...first.output, ...outputs] });
    assert.equal(last.output_text, "3 and 7");
    assert.deepEqual(model.asked.at(-1).slice(-3).map((m) => [m.role, m.content, m.tool_calls?.length]), [["assistant", "I add.", 2], ["tool", "3", undefined], ["tool", "7", undefined]]);
    const wordless = await ai.responses.stream({ ...question, input: "no words" }).finalResponse();
    assert.deepEqual([wordless.output.map((i) => i.type), wordless.output_text], [["function_call"], ""]);

    const ran = [];
    const run = (name) => ({ type: "function", function: { name, description: "Adds.", parameters, parse: JSON.parse, function: (args) => { ran.push([name, args]); return sum(args); } } });
    const runner = ai.chat.completions.runTools({ model: "openai:m", stream: true, messages: [{ role: "user", content: "no words" }], tools: [run("add")] });
    assert.equal(await runner.finalContent(), "3");
    assert.deepEqual(ran, [["add", { a: 1, b: 2 }]]);
    const whole = await ai.chat.completions.create({ model: "openai:m", messages: [{ role: "user", content: "no words" }], tools: [{ type: "function", function: list[0] }] });
    const [choice] = whole.choices;
    assert.deepEqual([choice.finish_reason, choice.message.content, choice.message.tool_calls.map((c) => c.function.name)], ["tool_calls", null, ["add"]]);
  });
}

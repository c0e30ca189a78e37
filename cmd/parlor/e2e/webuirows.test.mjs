// The events that clients of Open WebUI's real-time layer rely on, beside those that openwebui.test.mjs plays through: each event, each kind
// of completion, and each part of a question.
import assert from "node:assert/strict";
import { test } from "node:test";
import { calls, modelServer } from "./lib/model.mjs";
import { completions, env, http, page, textOf, token } from "./lib/openwebui.mjs";
import { ask, event, events, messages, newChat, serve, story, until } from "./lib/parlor.mjs";
import { long } from "./lib/random.mjs";

const done = (socket, id) => event(socket, "chat-events", (e) => e.message_id === id && e.data.type === "chat:completion" && e.data.data.done);
const question = (chat, id, content, more) => ({ model: "eliza", chat_id: chat, id, session_id: "x", messages: [{ role: "user", content }], ...more });

test("each event of the contract has its effect", async (t) => {
  const server = await serve(t, { env, args: ["--titles", "on"] });
  const jwt = { alice: token("alice"), bob: token("bob") };
  const [asAlice, asBob] = ["alice", "bob"].map((user) => http(server, jwt[user]));
  const alice = await page(t, server, { auth: { token: jwt.alice } });
  const bob = await page(t, server, { auth: { token: jwt.bob, events: ["events", "events:channel"] } });
  assert.equal((await ask(bob, "user-join", { auth: { token: "nonsense" } })).error.code, "unauthenticated");
  assert.deepEqual(await ask(bob, "user-join", { auth: { token: jwt.bob } }), { id: "bob", name: "BOB" });

  // A channel is made, and both join its room: one by user-join, one by join-channels.
  const access_control = { read: { group_ids: [], user_ids: ["bob"] }, write: { group_ids: [], user_ids: ["bob"] } };
  const { body: channel } = await asAlice("POST", "/v1/channels/create", { name: "general", access_control });
  await ask(alice, "user-join", { auth: { token: jwt.alice } });
  assert.equal((await asAlice("POST", `/v1/channels/${channel.id}/messages/post`, { content: "one" })).status, 200);
  await event(alice, "channel-events", (e) => e.data.type === "message" && e.data.data.content === "one");
  await ask(bob, "join-channels", { auth: { token: jwt.bob } });
  await asAlice("POST", `/v1/channels/${channel.id}/messages/post`, { content: "two" });
  const told = await event(bob, "events:channel", (e) => e.data.type === "message" && e.data.data.content === "two");
  assert.deepEqual(told.user, { id: "alice", name: "ALICE", role: "user", profile_image_url: "" });
  assert.deepEqual([events(bob, "channel-events"), events(bob, "events:channel").filter((e) => e.data.data.content === "one")], [[], []]);

  // Of what clients send to a channel only typing is relayed.
  const says = (type) => ask(bob, "channel-events", { channel_id: channel.id, data: { type, data: {} } });
  assert.equal((await says("message")).ok, true);
  await says("typing");
  await event(alice, "channel-events", (e) => e.data.type === "typing" && e.user.id === "bob");
  assert.deepEqual(events(alice, "channel-events").filter((e) => e.user.id === "bob").map((e) => e.data.type), ["typing"]);

  // Presence, and the models in use.
  await event(alice, "user-list", (b) => b.user_ids.join() === "alice,bob");
  const lists = events(alice, "user-list").length;
  for (const args of [[], [{}]]) assert.equal((await ask(alice, "user-list", ...args)).ok, true);
  await until(() => events(alice, "user-list").length, (n) => n > lists);
  alice.emit("usage", { model: "eliza" });
  await event(alice, "usage", (b) => b.models.join() === "eliza");
  const inUse = () => events(alice, "usage").at(-1).models.join();
  if (long) await until(inUse, (models) => models === ""); // three seconds after the last word of it
  bob.emit("usage", { model: "other" });
  await until(inUse, (models) => models.includes("other"));
  const left = Date.now();
  bob.disconnect();
  await event(alice, "user-list", (b) => b.user_ids.join() === "alice" && events(alice, "user-list").at(-1) === b);
  await until(inUse, (models) => !models.includes("other"));
  assert.ok(Date.now() - left < 3_000, "with the connection, and not when the use would have ended");

  // Newer clients: heartbeats, and how far one has read.
  assert.deepEqual(await ask(alice, "heartbeat", {}), { ok: true });
  assert.equal((await asBob("POST", `/v1/channels/${channel.id}/messages/post`, { content: "three" })).status, 200);
  for (const [name, key] of [["events:chat", "chat_id"], ["events:channel", "channel_id"]]) {
    const read = await ask(alice, name, { [key]: channel.id, data: { type: "last_read_at" } });
    assert.deepEqual([read.ok, read.unread, read.last_seq > 0], [true, 0, true], name);
  }
  for (const name of ["ydoc:document:join", "join-note", `alice:${alice.id}:request`]) assert.equal((await ask(alice, name, {})).error.code, "invalid", name);

  // A title is made when the first answer is there.
  const chat = newChat();
  await asAlice("POST", "/chat/completions", question(chat, "first", "tell me more"));
  const { data } = await event(alice, "chat-events", (e) => e.chat_id === chat && e.data.type === "chat:title");
  const { body: { title } } = await asAlice("GET", `/v1/chat/${chat}`);
  assert.equal(data.data, title);
  await asAlice("POST", "/chat/completions", question(chat, "second", "go on"));
  assert.equal((await done(alice, "second")).data.data.title, title);
});

test("a page that comes in the middle of an answer is told it from where it is", async (t) => {
  const server = await serve(t, { args: ["--eliza-word-delay", "60ms"] });
  const chat = newChat();
  const first = await page(t, server);
  await http(server)("POST", "/chat/completions", question(chat, "a", story(20)));
  await until(() => textOf(first, "chat-events", "a"), Boolean);
  first.disconnect();
  const reloaded = await page(t, server);
  const { content } = (await done(reloaded, "a")).data.data;
  const told = events(reloaded, "chat-events").filter((e) => e.message_id === "a").map((e) => e.data);
  const [{ type, data: { content: soFar } }] = told;
  assert.deepEqual([type, soFar.length > 0, soFar + textOf(reloaded, "chat-events", "a")], ["replace", true, content]);
});

test("an answer is told in pieces or again and again, with its usage, its failure and its calls", async (t) => {
  const model = await modelServer(t, {
    go: [{ reasoning_content: "Hm & so" }, { content: "I look." }, ...calls(["current_time", {}])], think: [{ reasoning_content: "Hm & so" }, { content: "one " }, { content: "two" }, "length"],
    fail: [{ content: "Wh" }, false],
  });
  const args = ["--models", JSON.stringify([{ model_id: "m", provider: "openai" }]), "--retries", "0"];
  const server = await serve(t, { args, env: { OPENAI_BASE_URL: model.url } });
  const [pieces, whole] = await Promise.all([{ events: ["chat-events", "events"] }, { events: ["chat-events"], content: "cumulative" }].map((auth) => page(t, server, { auth: { user_id: "alice", ...auth } })));
  const alice = http(server);
  const chat = newChat();
  const answer = async (content) => {
    assert.equal((await alice("POST", "/chat/completions", question(chat, content, content, { model: "m", stream: content !== "think" }))).status, 200);
    await done(pieces, content);
    await done(whole, content);
    return completions(pieces, "chat-events", content);
  };
  const kind = (d) => Object.keys(d).find((key) => ["choices", "usage", "error", "done"].includes(key));
  const thought = await answer("think");
  assert.deepEqual(thought.map(kind).filter((k, i, all) => k !== all[i - 1]), ["choices", "usage", "done"], "in this order");
  assert.equal(thought.map((d) => d.choices?.[0].delta.reasoning_content ?? "").join(""), "Hm & so");
  assert.equal(thought.find((d) => d.choices?.[0].finish_reason).choices[0].finish_reason, "length");
  assert.ok(thought.find((d) => d.usage).usage.total_tokens > 0);
  assert.deepEqual(thought.at(-1), { done: true, content: "one two", title: "New Chat" });
  assert.equal(textOf(pieces, "events", "think"), "one two");
  const shown = completions(whole, "chat-events", "think").filter((d) => d.content !== undefined).map((d) => d.content);
  assert.match(shown.at(-1), /^<details type="reasoning" done="true">[^]*Hm &amp; so[^]*<\/details>\none two$/);
  assert.ok(shown.every((text) => /^<details type="reasoning" done="(true|false)">/.test(text)));

  await answer("go");
  const states = events(pieces, "chat-events").filter((e) => e.message_id === "go" && e.data.type === "status").map((e) => [e.data.data.action, e.data.data.done]);
  assert.deepEqual(states, [["current_time", false], ["current_time", true]]);

  const failed = await answer("fail");
  assert.deepEqual(failed.map(kind).slice(-2), ["error", "done"]);
  assert.equal(failed.at(-2).error.code, "provider_error");
  assert.equal((await event(pieces, "events", (e) => e.message_id === "fail" && e.data.type === "chat:message:error")).data.data.error.content, failed.at(-2).error.message);
});

test("a question brings files and images, narrows the tools, and is refused what there is not", async (t) => {
  const model = await modelServer(t, { paid: [{ content: "Done." }, "stop"], "pay now": calls(["pay", { sum: 1 }], ["current_time", {}]), "not run: the tool \"current_time\" is not to be used for this answer": [{ content: "Well." }, "stop"] });
  const args = [
    "--models", JSON.stringify([{ model_id: "m", provider: "openai", tools: ["*"], vision: true }]),
    "--tools", JSON.stringify(Object.fromEntries(["pay", "look"].map((name) => [name, { url: "http://127.0.0.1:9/", description: name, approval: "never", parameters: { type: "object" } }]))),
  ];
  const server = await serve(t, { args, env: { OPENAI_BASE_URL: model.url } });
  const socket = await page(t, server);
  const alice = http(server);
  const { body: { chat_id: chat } } = await alice("POST", "/v1/chat", { model_id: "m" });
  const form = new FormData();
  form.append("files", new Blob(["# The answer is 42\n"]), "notes.md");
  const [{ fileid }] = await (await fetch(`${server.url}/api/v1/chat/${chat}/upload`, { method: "POST", headers: { "X-Parlor-User": "alice" }, body: form })).json();
  const png = Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), Buffer.alloc(300, 7)]).toString("base64");
  const file = { type: "file", id: fileid, name: "notes.md", url: `/api/v1/files/${fileid}`, status: "uploaded" };
  const seen = [{ type: "text", text: "what is this?" }, { type: "image_url", image_url: { url: `data:image/png;base64,${png}` } }];
  const asking = (id, content, more) => alice("POST", "/chat/completions", question(chat, id, content, { model: "m", ...more }));
  const offered = () => model.requests.at(-1).tools?.map((tool) => tool.function.name).sort();

  const first = await asking("a1", seen, { files: [file], tool_ids: ["pay"], features: { web_search: false, image_generation: false, code_interpreter: false, memory: true } });
  assert.equal(first.status, 200);
  await done(socket, "a1");
  const parts = model.asked.at(-1).at(-1).content;
  assert.match(parts.filter((p) => p.type === "text").map((p) => p.text).join("\n"), /what is this\?[^]*<file name="notes.md"[^]*The answer is 42/);
  assert.equal(parts.find((p) => p.type === "image_url").image_url.url, `data:image/png;base64,${png}`);
  assert.deepEqual(offered(), ["pay"]);
  assert.deepEqual((await asking("a1", seen, { files: [file], tool_ids: ["pay"] })).body, first.body, "once, also with its files");
  const [said] = await messages(server, chat);
  assert.deepEqual(Object.values(said.file_contents).map((f) => f.filename).sort(), ["image 1", "notes.md"]);

  for (const [id, tool_ids, names] of [["a2", [], undefined], ["a3", undefined, ["current_time", "look", "pay"]], ["a4", ["look", "gone"], ["look"]]]) {
    assert.equal((await asking(id, id, { tool_ids })).status, 200);
    await done(socket, id);
    assert.deepEqual(offered(), names, id);
  }
  await asking("a5", "pay now", { tool_ids: ["pay"] });
  await done(socket, "a5");
  const results = (await messages(server, chat)).filter((m) => m.type === "function_result").map((m) => [m.name, m.result]);
  assert.equal(results.find(([name]) => name === "current_time")[1], 'not run: the tool "current_time" is not to be used for this answer');

  for (const [code, content, more] of [
    ["invalid", "x", { features: { web_search: true } }], ["invalid", "x", { features: { image_generation: true } }], ["invalid", "x", { features: { code_interpreter: true } }],
    ["not_found", "x", { files: [{ type: "file", id: "none" }] }], ["invalid", "x", { files: [{ type: "collection", id: "c" }] }], ["invalid", "x", { files: [file, file] }],
    ["unsupported_type", [{ type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } }], {}], ["invalid", [{ type: "image_url", image_url: { url: "https://example.com/cat.png" } }], {}],
    ["invalid", "x", { chat_id: "local" }], ["invalid", "x", { chat_id: `local:${socket.id}` }], ["invalid", " ", {}],
  ]) {
    const { status, body } = await asking("refused", content, more);
    assert.ok(status >= 400 && status < 500 && typeof body.detail === "string" && body.code === code, JSON.stringify([content, more, status, body]));
  }
  assert.equal((await messages(server, chat)).filter((m) => m.role === "user").length, 5);
  for (const path of ["/chat/completed", "/chat/actions/x", `/v1/chats/${chat}`]) assert.equal((await alice("POST", path, {})).status, 404, path);

  // Without a chat it is OpenAI's API, in both of its forms.
  const plain = { model: "m", messages: [{ role: "user", content: "hello" }] };
  assert.equal((await alice("POST", "/chat/completions", plain)).body.choices[0].message.content, "yes");
  assert.match((await alice("POST", "/chat/completions", { ...plain, stream: true })).body, /^data: \{[^]*"content":"yes"[^]*data: \[DONE\]\n\n$/);
  assert.equal((await alice("POST", "/chat/completions", { ...plain, model: "none" })).status, 404);
});

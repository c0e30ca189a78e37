// The namespace / for clients of Open WebUI's real-time layer, with the official client.
import assert from "node:assert/strict";
import { test } from "node:test";
import { env, http, page, textOf, token } from "./lib/openwebui.mjs";
import { ask, connect, enter, event, events, folder, messages, newChat, serve, sleep, story, until } from "./lib/parlor.mjs";
import { longOnly, seeded } from "./lib/random.mjs";

test("a page is let in, sees its people, and follows a chat", async (t) => {
  const server = await serve(t, { env });
  const jwt = { alice: token("alice"), bob: token("bob"), eve: token("eve") };
  for (const auth of [{}, { token: "nonsense" }]) {
    await assert.rejects(page(t, server, { auth }), (e) => e.data.code === "unauthenticated");
  }
  const owner = await connect(t, server, { auth: { token: jwt.alice } });
  const chat = newChat();
  const room = await enter(owner, chat, { dialect: "documented" });
  const put = await fetch(`${server.url}/api/v1/chat/${chat}/members/bob`, {
    method: "PUT", headers: { Authorization: `Bearer ${jwt.alice}`, "Content-Type": "application/json" }, body: '{"role":"member"}',
  });
  assert.equal(put.status, 200);

  const alice = await page(t, server, { auth: { token: jwt.alice } });
  const bob = await page(t, server, { auth: { token: jwt.bob }, path: "/socket.io", transports: ["polling"] });
  const eve = await page(t, server, { auth: { token: jwt.eve } });
  assert.deepEqual(await ask(alice, "user-join", { auth: { token: jwt.alice } }), { id: "alice", name: "ALICE" });
  assert.equal((await ask(alice, "user-join", { auth: { token: jwt.bob } })).error.code, "forbidden");
  await event(alice, "user-list", (b) => b.user_ids.join() === "alice,bob");
  await event(eve, "user-list", (b) => b.user_ids.join() === "eve");

  alice.emit("usage", { model: "eliza" });
  await event(bob, "usage", (b) => b.models.join() === "eliza");
  assert.deepEqual(events(eve, "usage").filter((b) => b.models.length), []);

  for (const p of [alice, bob]) assert.equal((await ask(p, "join-channels", { chat_id: chat })).ok, true);
  assert.equal((await ask(eve, "join-channels", { chat_id: chat })).error.code, "not_found");
  const typing = { channel_id: chat, message_id: null, data: { type: "typing", data: { typing: true } } };
  assert.equal((await ask(bob, "channel-events", typing)).ok, true);
  const user = { id: "bob", name: "BOB", role: "user", profile_image_url: "" };
  for (const p of [alice, bob]) for (const name of ["channel-events", "events:channel"]) assert.deepEqual(await event(p, name), { ...typing, user });
  assert.equal((await ask(eve, "channel-events", typing)).error.code, "invalid");

  await ask(owner, "send_message", { room_id: room, message: "tell me more" });
  const final = await event(bob, "final");
  assert.equal(events(bob, "stream").filter((s) => s.message_id === final.message_id).map((s) => s.content).join(""), final.content);
  for (const name of ["chat-events", "events"]) assert.equal(textOf(bob, name, final.message_id), final.content);
  const done = await event(bob, "chat-events", (e) => e.data.data.done);
  assert.deepEqual(done, { chat_id: chat, message_id: final.message_id, data: { type: "chat:completion", data: { done: true, content: final.content, title: "New Chat" } } });

  await fetch(`${server.url}/api/v1/chat/${chat}/members/bob`, { method: "DELETE", headers: { Authorization: `Bearer ${jwt.alice}` } });
  await event(bob, "chat-events", (e) => e.data.type === "notification");
  await event(bob, "user-list", (b) => b.user_ids.join() === "bob");
  assert.deepEqual(events(eve, "stream"), []);
});

test("whatever is cut, each answer is told whole in the end", { ...longOnly, timeout: 240_000 }, async (t) => {
  const random = seeded(t);
  const server = await serve(t, { env, args: ["--eliza-word-delay", "20ms"] });
  const jwt = token("alice");
  const ask = http(server, jwt);
  const forms = [{}, { events: ["chat-events"], content: "cumulative" }, { events: ["chat-events"] }];
  const sockets = await Promise.all(forms.map((form, i) => page(t, server, { auth: { token: jwt, ...form }, transports: [i === 2 ? "polling" : "websocket"] })));
  const chats = [newChat(), newChat(), newChat()];
  for (let i = 0; i < 60; i++) {
    const chat = random.pick(chats);
    const question = { model: "eliza", messages: [{ role: "user", content: `tell me more about ${i}` }], chat_id: chat, id: `answer-${i}`, session_id: "x" };
    assert.equal((await ask("POST", "/chat/completions", question)).status, 200);
    await sleep(random.below(200));
    for (const socket of sockets) if (random.below(3) === 0) socket.io.engine?.close();
    await sleep(random.below(100));
  }
  const recorded = (await Promise.all(chats.map((chat) => messages(server, chat, { headers: { Authorization: `Bearer ${jwt}` } })))).flat();
  const contents = () => new Set(recorded.filter((m) => m.role === "assistant").map((m) => m.content));
  for (const [i, socket] of sockets.entries()) {
    for (let n = 0; n < 60; n++) {
      const done = await event(socket, "chat-events", (e) => e.message_id === `answer-${n}` && e.data.data?.done);
      assert.ok(done.data.data.content.length > 0 && (n > 55 || contents().has(done.data.data.content)), `socket ${i}, answer ${n}`);
    }
  }
});

test("a question by HTTP is answered by events, also after kill -9 and a reload", async (t) => {
  const dir = folder();
  const args = ["--eliza-word-delay", "30ms"];
  let server = await serve(t, { dir, env, args });
  const jwt = { alice: token("alice"), eve: token("eve") };
  const [alice, other, eve] = await Promise.all(["alice", "alice", "eve"].map((user) => page(t, server, { auth: { token: jwt[user] } })));
  const [asAlice, asEve] = [http(server, jwt.alice), http(server, jwt.eve)];
  const chat = newChat();
  const question = (id, content) => ({
    model: "eliza", stream: true, messages: [{ role: "system", content: "be kind" }, { role: "user", content }],
    chat_id: chat, id, session_id: eve.id, background_tasks: { title_generation: true }, features: {},
  });
  const first = await asAlice("POST", "/chat/completions", question("first", "tell me more"));
  assert.deepEqual([first.status, first.body.status, typeof first.body.task_id], [200, true, "string"]);
  assert.deepEqual((await asAlice("POST", "/chat/completions", question("first", "tell me more"))).body, first.body, "said once");
  assert.equal((await asAlice("POST", "/chat/completions", question("first", "something else"))).status, 409);
  assert.equal((await asEve("POST", "/chat/completions", question("first", "tell me more"))).status, 404);
  const done = (socket, id) => event(socket, "chat-events", (e) => e.message_id === id && e.data.data?.done);
  for (const socket of [alice, other]) {
    const { content } = (await done(socket, "first")).data.data;
    assert.equal(textOf(socket, "chat-events", "first"), content);
  }

  const long = (await asAlice("POST", "/chat/completions", question("second", story(54)))).body.task_id;
  await event(alice, "chat-events", (e) => e.message_id === "second" && e.data.data.choices?.[0].delta.content);
  assert.deepEqual((await asAlice("GET", "/tasks")).body, { tasks: [long] });
  assert.deepEqual((await asAlice("GET", `/tasks/chat/${chat}`)).body, { task_ids: [long] });
  assert.deepEqual((await asEve("GET", "/tasks")).body, { tasks: [] });
  for (const [method, path] of [["POST", `/tasks/stop/${long}`], ["GET", `/tasks/chat/${chat}`], ["POST", `/tasks/chat/${chat}/stop`], ["POST", "/tasks/stop/nonsense"]]) {
    assert.equal((await asEve(method, path)).status, 404, path);
  }
  await server.kill();
  server = await serve(t, { dir, env, args });
  const again = await page(t, server, { auth: { token: jwt.alice } });
  await event(again, "chat-events", (e) => e.message_id === "second" && e.data.type === "chat:completion");
  assert.equal((await http(server, jwt.alice)("POST", `/tasks/stop/${long}`)).body.status, true);
  await event(again, "chat-events", (e) => e.message_id === "second" && e.data.type === "task-cancelled");
  await done(again, "second");
  assert.equal((await http(server, jwt.alice)("POST", `/tasks/stop/${long}`)).status, 404);
  const { body: plain } = await http(server, jwt.alice)("POST", "/chat/completions", { model: "eliza", messages: [{ role: "user", content: "hello" }] });
  assert.deepEqual([plain.object, plain.choices[0].message.role], ["chat.completion", "assistant"]);
  const recorded = await messages(server, chat, { headers: { Authorization: `Bearer ${jwt.alice}` } });
  assert.deepEqual(recorded.map((m) => m.role), ["user", "assistant", "user", "assistant"]);
  assert.deepEqual(events(eve, "chat-events"), []);
});

test("people talk in a channel, in threads, with edits and reactions", async (t) => {
  const server = await serve(t, { env });
  const jwt = { alice: token("alice"), bob: token("bob"), eve: token("eve") };
  const [asAlice, asBob, asEve] = ["alice", "bob", "eve"].map((user) => http(server, jwt[user]));
  const control = { read: { group_ids: [], user_ids: ["bob"] }, write: { group_ids: [], user_ids: ["bob"] } };
  const { body: channel } = await asAlice("POST", "/v1/channels/create", { name: "general", access_control: control });
  control.read.user_ids.push("carol"); // who may only read
  assert.equal((await asAlice("POST", `/v1/channels/${channel.id}/update`, { access_control: control })).status, 200);
  channel.access_control = control;
  const asCarol = http(server, token("carol"));
  assert.deepEqual([channel.name, channel.user_id, channel.access_control], ["general", "alice", control]);
  for (const path of ["/v1/channels/", "/v1/channels"]) assert.deepEqual((await asBob("GET", path)).body, [channel]);
  assert.deepEqual((await asEve("GET", "/v1/channels/")).body, []);

  const [alice, bob] = await Promise.all(["alice", "bob"].map((user) => page(t, server, { auth: { token: jwt[user], events: ["channel-events"] } })));
  await ask(alice, "user-join", { auth: { token: jwt.alice } });
  assert.deepEqual((await ask(bob, "join-channels", { auth: { token: jwt.bob } })).channels.map((c) => c.channel_id), [channel.id]);
  const told = (type, test = () => true) => event(bob, "channel-events", (e) => e.data.type === type && test(e.data.data));
  const at = (id = "") => `/v1/channels/${channel.id}/messages${id && `/${id}`}`;

  const { body: top } = await asAlice("POST", at("post"), { content: "hello" });
  assert.deepEqual((await told("message")).data.data, top);
  const { body: reply } = await asBob("POST", at("post"), { content: "hi", parent_id: top.id });
  assert.equal(reply.parent_id, top.id);
  assert.deepEqual([(await told("message:reply")).message_id, (await told("message:reply")).data.data.reply_count], [top.id, 1]);
  assert.deepEqual((await asBob("GET", at())).body.map((m) => [m.id, m.reply_count]), [[top.id, 1]]);
  assert.deepEqual((await asBob("GET", `${at(top.id)}/thread`)).body.map((m) => m.id), [reply.id, top.id]);

  assert.deepEqual((await asCarol("GET", at())).body.map((m) => m.id), [top.id]);
  for (const [path, body] of [["post", { content: "x" }], [`${top.id}/update`, { content: "x" }], [`${top.id}/reactions/add`, { name: "x" }]]) {
    assert.equal((await asCarol("POST", at(path), body)).body.code, "forbidden", path);
  }
  assert.equal((await asBob("POST", `${at(top.id)}/update`, { content: "mine now" })).body.code, "forbidden");
  for (const path of ["post", `${top.id}/update`]) assert.equal((await asAlice("POST", at(path), { content: " " })).body.code, "invalid", path);
  for (const content of ["hello all", "hello everybody"]) {
    const { body: updated } = await asAlice("POST", `${at(top.id)}/update`, { content });
    assert.deepEqual([updated.id, updated.content, updated.created_at], [top.id, content, top.created_at]);
    assert.deepEqual((await told("message:update", (m) => m.content === content)).data.data, updated);
  }
  assert.equal((await asBob("POST", `${at(top.id)}/reactions/add`, { name: "smile" })).body, true);
  const reaction = await told("message:reaction:add");
  assert.deepEqual([reaction.data.data.name, reaction.data.data.reactions, reaction.user.id], ["smile", [{ name: "smile", user_ids: ["bob"], count: 1 }], "bob"]);
  await asBob("POST", `${at(top.id)}/reactions/remove`, { name: "smile" });
  assert.deepEqual((await told("message:reaction:remove")).data.data.reactions, []);
  const seen = (await messages(server, channel.id, { headers: { Authorization: `Bearer ${jwt.alice}` } })).map((m) => m.content);
  assert.deepEqual(seen, ["hi", "hello everybody"], "other wires see what is there now");

  const removed = { read: { user_ids: ["bob"] }, write: { user_ids: ["bob"] } };
  assert.equal((await asBob("POST", `/v1/channels/${channel.id}/update`, { access_control: removed })).body.code, "forbidden", "members say not who is one");
  await asAlice("POST", `/v1/channels/${channel.id}/update`, { access_control: removed });
  assert.equal((await asCarol("GET", at())).status, 404);

  await asBob("POST", at("post"), { content: "@eliza what do you think?" });
  await told("message", (m) => m.user.role === "assistant");
  assert.equal((await asBob("DELETE", `${at(top.id)}/delete`)).body.code, "forbidden");
  assert.equal((await asAlice("DELETE", `${at(reply.id)}/delete`)).body, true, "the owner deletes what others have said");
  await told("message:delete", (m) => m.id === reply.id);
  assert.equal((await asBob("GET", at(reply.id))).status, 404);
  assert.deepEqual((await asBob("GET", `${at()}?limit=1&skip=2`)).body.map((m) => [m.content, m.reply_count]), [["hello everybody", 0]]);

  for (const [method, path, body] of [["GET", at()], ["POST", at("post"), { content: "x" }], ["POST", `${at(top.id)}/reactions/add`, { name: "x" }], ["DELETE", `${at(top.id)}/delete`]]) {
    assert.equal((await asEve(method, path, body)).status, 404, path);
  }
  assert.equal((await asBob("POST", `/v1/channels/${channel.id}/update`, { name: "ours" })).status, 200, "members change settings");
  assert.equal((await asBob("DELETE", `/v1/channels/${channel.id}/delete`)).body.code, "forbidden");
  assert.equal((await asAlice("DELETE", `/v1/channels/${channel.id}/delete`)).body, true);
  assert.equal((await asAlice("GET", `/v1/channels/${channel.id}`)).status, 404);
});

test("other backends tell and ask clients of the namespace /", async (t) => {
  const server = await serve(t);
  const alice = await page(t, server, { user: "alice" });
  const chat = newChat();
  const post = async (path, body) => {
    const response = await fetch(`${server.url}/api${path}`, { method: "POST", headers: { "X-Parlor-User": "alice" }, body: JSON.stringify(body) });
    return { status: response.status, body: await response.json() };
  };
  await post("/chat/completions", { chat_id: chat, id: "a", session_id: alice.id, model: "eliza", messages: [{ role: "user", content: "hello" }] });
  await event(alice, "chat-events", (e) => e.message_id === "a" && e.data.data?.done);
  const status = { chat_id: chat, message_id: "a", data: { type: "status", data: { description: "searching", done: false } } };
  for (const to of [{ room: chat }, { user: "alice" }, { session: alice.id }]) {
    assert.deepEqual((await post("/v1/emit", { to, event: "chat-events", args: [status] })).body, { connections: 1 });
  }
  await until(() => events(alice, "chat-events").filter((e) => e.data.type === "status"), (all) => all.length === 3);
  alice.on("chat-events", (e, ack) => e.data.type === "confirmation" && ack(true));
  const confirmation = { ...status, data: { type: "confirmation", data: { title: "sure?" } } };
  assert.deepEqual((await post("/v1/call", { to: { session: alice.id }, event: "chat-events", args: [confirmation], timeout: 10 })).body.args, [true]);
  for (const forged of ["final", "stream", "channel-events", "user-list"]) {
    assert.equal((await post("/v1/emit", { to: { user: "alice" }, event: forged, args: [{}] })).status, 400, forged);
  }
});

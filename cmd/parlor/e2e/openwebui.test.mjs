// The namespace / for clients of Open WebUI's real-time layer, with the official client.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { ask, connect, enter, event, events, folder, messages, newChat, serve } from "./lib/parlor.mjs";

const secret = "an-e2e-secret-of-thirty-two-bytes!";
const env = { PARLOR_JWT_SECRET: secret };
const token = (user) => {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: user, name: user.toUpperCase(), exp: Math.floor(Date.now() / 1000) + 3600 })}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
};

/** A socket in the namespace /, as the page of Open WebUI opens it. */
const page = (t, server, options) => connect(t, server, { namespace: "/", path: "/ws/socket.io", ...options });

/** The text of an answer, as the deltas of chat-events make it. */
const textOf = (socket, name, message) => events(socket, name).filter((e) => e.message_id === message && e.data.type === "chat:completion")
  .map((e) => e.data.data.choices?.[0].delta.content ?? "").join("");

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

/** HTTP of a user, below /api. */
const http = (server, jwt) => async (method, path, body) => {
  const response = await fetch(`${server.url}/api${path}`, {
    method, headers: { Authorization: `Bearer ${jwt}`, "Content-Type": "application/json" }, body: body && JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
};

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

  const long = (await asAlice("POST", "/chat/completions", question("second", "tell us a long story"))).body.task_id;
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
  const recorded = await messages(server, chat, { headers: { Authorization: `Bearer ${jwt.alice}` } });
  assert.deepEqual(recorded.map((m) => m.role), ["user", "assistant", "user", "assistant"]);
  assert.deepEqual(events(eve, "chat-events"), []);
});

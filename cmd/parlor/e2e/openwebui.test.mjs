// The namespace / for clients of Open WebUI's real-time layer, with the official client.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { io } from "socket.io-client";
import { ask, connect, enter, event, events, newChat, serve, until } from "./lib/parlor.mjs";

const secret = "an-e2e-secret-of-thirty-two-bytes!";
const env = { PARLOR_JWT_SECRET: secret };
const token = (user) => {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: user, name: user.toUpperCase(), exp: Math.floor(Date.now() / 1000) + 3600 })}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
};

/** A socket in the namespace /, as the page of Open WebUI opens it. */
async function page(t, server, { auth, ...options }) {
  const socket = io(server.url, { path: "/ws/socket.io", transports: ["websocket"], forceNew: true, auth, ...options });
  socket.seen = [];
  socket.onAny((name, body) => socket.seen.push({ name, body }));
  t.after(() => socket.disconnect());
  await new Promise((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("connect_error", reject);
  });
  return socket;
}

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

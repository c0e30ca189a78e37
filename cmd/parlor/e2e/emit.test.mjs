// Other backends send events to clients, and call them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, client, command, connect, enter, event, events, newChat, serve, until } from "./lib/parlor.mjs";
import { longOnly } from "./lib/random.mjs";

const env = { PARLOR_JWT_SECRET: "an-e2e-secret-of-thirty-two-bytes!" };

/** A server, the token of a user, and the key of a backend. */
async function world(t, args = []) {
  const server = await serve(t, { env, args });
  const parlor = async (...all) => (await command(all, { dir: server.dir, env })).stdout.trim();
  const person = async (user) => ({ auth: { token: await parlor("token", "--user", user) } });
  const post = (key) => async (path, body) => {
    const response = await fetch(`${server.url}/api/v1/${path}`, {
      method: "POST", headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
    return { status: response.status, body: await response.json() };
  };
  const key = (scope) => parlor("key", "add", "--user", "robot", "--scope", scope);
  return { server, person, post, key, backend: post(await key("emit")) };
}

/** Waits for an event of a client, and keeps the function that acknowledges it. */
const asked = (socket, name) => new Promise((resolve) => socket.once(name, (...args) => resolve({ args: args.slice(0, -1), answer: args.at(-1) })));

test("events reach a room, a user, a session and all, and a call survives a reload", async (t) => {
  const { server, person, post, key, backend } = await world(t);
  const alice = await connect(t, server, await person("alice"));
  const bob = await connect(t, server, await person("bob"));
  const room = await enter(alice, newChat(), { dialect: "documented" });

  assert.deepEqual(await backend("emit", { to: { room }, event: "progress", args: [{ percent: 40 }] }), { status: 200, body: { connections: 1 } });
  assert.deepEqual(await backend("emit", { to: { user: "bob" }, event: "note", args: ["hello", { from: "crm" }] }), { status: 200, body: { connections: 1 } });
  assert.equal((await backend("emit", { to: { session: alice.id }, event: "note", args: [1] })).body.connections, 1);
  assert.equal((await backend("emit", { to: { all: true }, event: "news", args: [{}] })).body.connections, 2);
  assert.equal((await backend("emit", { to: { user: "nobody" }, event: "news" })).body.connections, 0);
  await event(alice, "news");
  await event(bob, "news");
  assert.deepEqual(alice.seen.filter((e) => ["progress", "note", "news"].includes(e.name)).map((e) => e.name), ["progress", "note", "news"]);
  assert.deepEqual(events(bob, "note"), ["hello"]);

  for (const forged of [`message ${room}`, "stream_chunk", "receive_message", "disconnect", "connect_error"]) {
    assert.equal((await backend("emit", { to: { all: true }, event: forged, args: [{}] })).status, 400, forged);
  }
  assert.equal((await post(await key("write"))("emit", { to: { all: true }, event: "x" })).status, 403);

  // The first page is asked and reloaded before it answers; the page that comes back is asked again.
  const first = asked(alice, "confirm");
  const call = backend("call", { to: { user: "alice" }, event: "confirm", args: [{ sum: 7 }], timeout: 20 });
  assert.deepEqual((await first).args, [{ sum: 7 }]);
  alice.disconnect();
  const reloaded = client(t, server, await person("alice"));
  const again = await asked(reloaded, "confirm");
  again.answer("yes", { at: "once" });
  assert.deepEqual(await call, { status: 200, body: { args: ["yes", { at: "once" }] } });
  assert.equal((await backend("call", { to: { user: "bob" }, event: "confirm", timeout: 0.2 })).status, 504);
  assert.equal((await backend("call", { to: { user: "nobody" }, event: "confirm", timeout: 0.2 })).status, 404);
});

test("an emission leaves the place of a client that comes back alone", longOnly, async (t) => {
  const { server, person, backend } = await world(t);
  const alice = await connect(t, server, await person("alice"));
  const bob = await connect(t, server, await person("alice"));
  const chat = newChat();
  const room = await enter(alice, chat, { dialect: "documented" });
  await enter(bob, chat, { dialect: "documented" });
  await ask(bob, "send_message", { room_id: room, message: "one" });
  await event(alice, `stream_end ${room}`);
  await backend("emit", { to: { user: "alice" }, event: "text", args: ["a string, which clients take for an offset"] });
  await backend("emit", { to: { room }, event: "bare" });
  await event(alice, "bare");
  alice.io.engine.close();
  await until(() => !alice.connected, Boolean);
  await ask(bob, "send_message", { room_id: room, message: "two" });
  await until(() => alice.connected && events(alice, `stream_end ${room}`).length === 2, Boolean);
  assert.equal(alice.recovered, true);
  assert.equal(events(alice, `message ${room}`).length, 4);
});

test("a slow client delays no emission to others, and is cut off alone", longOnly, async (t) => {
  const { server, person, backend } = await world(t, ["--queue-bytes", "256KiB"]);
  const slow = await connect(t, server, await person("slow"));
  const quick = await connect(t, server, await person("quick"));
  slow.io.engine.transport.ws._socket.pause();
  const text = "x".repeat(60_000);
  for (let i = 0; i < 200; i++) {
    const { status } = await backend("emit", { to: { user: ["slow", "quick"] }, event: "load", args: [{ i, text }] });
    assert.equal(status, 200);
  }
  await until(() => events(quick, "load").length, (n) => n === 200);
  assert.deepEqual(events(quick, "load").map((e) => e.i), Array.from({ length: 200 }, (_, i) => i));
  await until(async () => (await backend("emit", { to: { user: "slow" }, event: "still there" })).body.connections, (n) => n === 0);
});

test("limits of emission", longOnly, async (t) => {
  const { server, person, backend } = await world(t, ["--max-emit-rate", "1", "--max-emit-targets", "2", "--max-emit-bytes", "100"]);
  await connect(t, server, await person("alice"));
  assert.equal((await backend("emit", { to: { user: ["a", "b", "c"] }, event: "x" })).status, 413);
  assert.equal((await backend("emit", { to: { all: true }, event: "x", args: ["x".repeat(100)] })).status, 413);
  const all = await Promise.all(Array.from({ length: 20 }, () => backend("emit", { to: { all: true }, event: "x" })));
  assert.ok(all.filter((a) => a.status === 200).length <= 10);
  assert.ok(all.some((a) => a.status === 429 && a.body.code === "rate_limited"));
});

test("two tabs: a call is taken by the one that is left", longOnly, async (t) => {
  const { server, person, backend } = await world(t);
  const signIn = await person("alice");
  const one = await connect(t, server, signIn);
  const two = await connect(t, server, signIn);
  const call = backend("call", { to: { session: two.id }, event: "confirm", args: [1], timeout: 20 });
  await asked(two, "confirm");
  const taken = asked(one, "confirm");
  two.io.engine.close(); // and it reconnects, as another one
  (await taken).answer({ ok: true });
  assert.deepEqual((await call).body, { args: [{ ok: true }] });
});

test("both namespaces are reached, and a call moves from one to the other", longOnly, async (t) => {
  const { server, person, backend } = await world(t);
  const signIn = await person("alice");
  const assistant = await connect(t, server, signIn);
  const webui = await connect(t, server, { ...signIn, namespace: "/", path: "/ws/socket.io" });
  assert.equal((await backend("emit", { to: { user: "alice" }, event: "note", args: [{ n: 1 }] })).body.connections, 2);
  for (const socket of [assistant, webui]) assert.deepEqual(await event(socket, "note"), { n: 1 });
  for (const forged of ["channel-events", "usage", "user-list"]) {
    assert.equal((await backend("emit", { to: { all: true }, event: forged, args: [{}] })).status, 400, forged);
  }
  const call = backend("call", { to: { session: webui.id }, event: "confirm", args: [1], timeout: 20 });
  await asked(webui, "confirm");
  const taken = asked(assistant, "confirm");
  webui.disconnect();
  (await taken).answer("there");
  assert.deepEqual((await call).body, { args: ["there"] });
});

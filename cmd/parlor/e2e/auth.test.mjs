// Closed by default: who gets in, and who is told what.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { test } from "node:test";
import { ask, client, connect, enter, event, folder, messages, newChat, serve, sleep } from "./lib/parlor.mjs";

const binary = process.env.PARLOR ?? new URL("../../../bin/parlor", import.meta.url).pathname;
const secret = "0123456789abcdef0123456789abcdef";
const token = (user, ...more) =>
  execFileSync(binary, ["token", "--user", user, ...more], { env: { GORACE: "atexit_sleep_ms=0", PARLOR_JWT_SECRET: secret } }).toString().trim();

test("a bad or missing credential is refused", async (t) => {
  const server = await serve(t, { env: { PARLOR_JWT_SECRET: secret } });
  const other = token("alice").split(".").slice(0, 2).join(".") + ".AAAA";
  for (const auth of [{}, { user_id: "testtest" }, { token: "nonsense" }, { token: other }, { token: token("alice", "--ttl", "-1s".slice(1)) + "x" }]) {
    const socket = client(t, server, { auth, reconnection: false });
    const [err] = await once(socket, "connect_error");
    assert.equal(err.data.code, "unauthenticated");
    assert.ok(err.message.length > 0);
    const closed = await new Promise((resolve) => {
      if (!socket.io.engine || socket.io.engine.readyState === "closed") resolve("closed");
      else socket.io.engine.once("close", resolve);
    });
    assert.ok(closed);
    assert.equal(socket.connected, false);
  }
  const me = await fetch(`${server.url}/api/v1/auth/me`);
  assert.equal(me.status, 401);
  assert.ok((await me.json()).detail);

  const failures = server.log.filter((line) => line.includes("sign-in failed"));
  assert.ok(failures.length >= 3 && failures.every((line) => line.includes("remote=127.0.0.1 ")), failures.join("\n"));
  assert.ok(!server.log.some((line) => line.includes("nonsense") || line.includes(other.slice(0, 20))));
});

test("the token, the cookie and the header all say who it is", async (t) => {
  const server = await serve(t, { env: { PARLOR_JWT_SECRET: secret } });
  const jwt = token("alice", "--name", "Alice");
  const chat = newChat();
  const ways = [
    { auth: { token: jwt } },
    { auth: { user_id: "testtest" }, extraHeaders: { Cookie: `access_token=${jwt}` } },
    { auth: {}, extraHeaders: { Authorization: `Bearer ${jwt}` } },
  ];
  for (const way of ways) {
    const socket = await connect(t, server, way);
    const room = await enter(socket, chat);
    const joined = await event(socket, `room_joined ${room}`);
    assert.deepEqual(joined.members, [{ user_id: "alice", name: "Alice", role: "owner" }]);
  }
  const me = await fetch(`${server.url}/api/v1/auth/me`, { headers: { Authorization: `Bearer ${jwt}` } });
  assert.deepEqual(await me.json(), { user_id: "alice", email: null, name: "Alice", picture: null });
});

test("someone else's chat does not open, by any door", async (t) => {
  const server = await serve(t, { env: { PARLOR_JWT_SECRET: secret } });
  const alice = await connect(t, server, { auth: { token: token("alice") } });
  const chat = newChat();
  const room = await enter(alice, chat);
  await ask(alice, "send_message", { room_id: room, message: "a secret" });

  const mallory = await connect(t, server, { auth: { token: token("mallory") } });
  const missing = room.replace(/.$/, (c) => (c === "a" ? "b" : "a"));
  const refused = async (event, body) => {
    const acks = [];
    for (const [r, c] of [[room, chat], [missing, newChat()]]) acks.push(await ask(mallory, event(r), body(r, c)));
    assert.equal(acks[0].error.code, "not_found", event(room));
    if (!body(room, chat).model_id) assert.deepEqual(acks[0], acks[1], `${event(room)}: a chat of others and none`);
  };
  await refused(() => "find_chat", (_, chat_id) => ({ chat_id }));
  await event(mallory, `room_not_found ${chat}`);
  await refused(() => "create_room", (_, chat_id) => ({ chat_id, model_api_source: "aisuite", model_id: "eliza" }));
  await refused(() => "join_room", (room_id) => ({ room_id }));
  await refused(() => "send_message", (room_id) => ({ room_id, message: "hi" }));
  await refused((r) => `stop ${r}`, () => ({}));
  await refused((r) => `regenerate ${r}`, () => ({ message_id: "m" }));
  await refused((r) => `edit ${r}`, () => ({ message_id: "m", content: "hi" }));
  await refused((r) => `configure ${r}`, () => ({ title: "mine" }));
  await refused(() => "history", (room_id) => ({ room_id }));
  await refused(() => "event", (room_id) => ({ room_id, event: { type: "sbaw.assistant.stop_processing", id: "1" } }));
  const headers = { Authorization: `Bearer ${token("mallory")}`, "Content-Type": "application/json" };
  for (const [path, method, body] of [["", "GET"], ["/messages", "GET"], ["", "DELETE"], ["", "PATCH", '{"title":"mine"}']]) {
    const answers = [];
    for (const c of [chat, newChat()]) {
      const response = await fetch(`${server.url}/api/v1/chat/${c}${path}`, { method, headers, body });
      answers.push([response.status, await response.text()]);
    }
    assert.equal(answers[0][0], 404);
    assert.deepEqual(answers[0], answers[1], `${method} ${path}`);
  }
  const seen = JSON.stringify(mallory.seen);
  assert.ok(!seen.includes("a secret"));
  assert.equal((await messages(server, chat, { headers: { Authorization: `Bearer ${token("alice")}` } })).length > 0, true);
});

test("without a secret the server refuses to be reachable from outside", async (t) => {
  await assert.rejects(serve(t, { listen: "0.0.0.0:0", dir: folder() }), /exited with [1-9]/);
});

test("a connection ends with its token, and a new one keeps it with all that is on it", async (t) => {
  const server = await serve(t, { env: { PARLOR_JWT_SECRET: secret, PARLOR_JWT_LEEWAY: "0s" } });
  const headers = { Authorization: `Bearer ${token("alice")}` };
  const short = () => token("alice", "--ttl", "3s");
  let offered = 0;
  const left = await connect(t, server, { auth: (give) => give({ token: offered++ ? token("alice") : short() }) });
  const kept = await connect(t, server, { auth: { token: short() } });
  const writer = await connect(t, server, { auth: { token: token("alice") } });
  const chat = newChat();
  const room = await enter(left, chat);
  await enter(kept, chat);
  await enter(writer, chat);
  const why = new Promise((resolve) => left.once("disconnect", resolve));
  const back = new Promise((resolve) => left.once("disconnect", () => left.once("connect", resolve)));
  const { id } = kept;
  const lost = [];
  kept.on("disconnect", (reason) => lost.push(reason));

  const foreign = await ask(kept, "auth", { token: token("mallory") });
  assert.equal(foreign.error.code, "forbidden");
  const renewed = await ask(kept, "auth", { token: token("alice", "--ttl", "1h") });
  assert.ok(renewed.ok && Date.parse(renewed.expires_at) > Date.now() + 3_000_000, JSON.stringify(renewed));
  assert.equal(await why, "transport close", "not a DISCONNECT, which would keep the client away");
  await ask(writer, "send_message", { room_id: room, message: "said when one was away" });
  await back;
  assert.ok(left.recovered);
  for (const socket of [left, kept]) await event(socket, `message ${room}`, ({ message }) => message.content === "said when one was away");
  assert.deepEqual([kept.id, lost], [id, []], "the one that was renewed");
  assert.equal((await fetch(`${server.url}/api/v1/auth/me`, { headers: { Authorization: `Bearer ${short()}x` } })).status, 401);
  assert.equal((await fetch(`${server.url}/api/v1/auth/me`, { headers })).status, 200);
});

/** A token as an identity provider with the same secret would make it. */
function signed(claims) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ exp: Math.floor(Date.now() / 1000) + 300, ...claims })}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

/** The cookies of a browser, for one server. */
class Browser {
  jar = {};
  constructor(server) {
    this.server = server;
  }
  get cookie() {
    return Object.entries(this.jar).map(([name, value]) => `${name}=${value}`).join("; ");
  }
  async fetch(path, options = {}) {
    const response = await fetch(`${this.server.url}/api/v1${path}`, { redirect: "manual", ...options, headers: { Cookie: this.cookie, ...options.headers } });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      if (/Max-Age=0/.test(line)) delete this.jar[name];
      else this.jar[name] = value;
    }
    return response;
  }
}

test("the SPA's cookies: handed over, refreshed, enough for a socket, and gone with all sockets at logout", async (t) => {
  const server = await serve(t, { env: { PARLOR_JWT_SECRET: secret }, args: ["--access-ttl", "2s"] });
  const browser = new Browser(server);
  const temp = signed({ sub: "alice", name: "Alice", token_type: "temp" });
  assert.equal((await browser.fetch(`/auth/validate-token?temp_token=${temp}`)).status, 200);
  assert.deepEqual(Object.keys(browser.jar).sort(), ["access_token", "refresh_token", "session_id"]);
  assert.equal((await browser.fetch(`/auth/validate-token?temp_token=${temp}`)).status, 401, "it is good once");
  const spa = () => connect(t, server, { auth: { user_id: "testtest" }, extraHeaders: { Cookie: browser.cookie } });
  const first = await spa();
  const room = await enter(first, newChat());

  await sleep(2200);
  assert.equal((await browser.fetch("/auth/me")).status, 401, "the access token has expired");
  delete browser.jar.access_token; // as a browser does
  const second = await spa(); // which does not refresh before
  await ask(second, "join_room", { room_id: room });
  assert.equal((await browser.fetch("/auth/refresh", { method: "POST" })).status, 200);
  assert.equal((await (await browser.fetch("/auth/me")).json()).user_id, "alice");
  assert.ok(first.connected, "a socket lives as long as its session");

  const gone = [first, second].map((s) => new Promise((resolve) => s.once("disconnect", resolve)));
  const stolen = browser.cookie;
  const begun = Date.now();
  assert.equal((await browser.fetch("/auth/logout", { method: "POST" })).status, 200);
  assert.deepEqual(await Promise.all(gone), ["transport close", "transport close"]);
  assert.ok(Date.now() - begun < 1000, `${Date.now() - begun} ms`);
  assert.deepEqual(browser.jar, {});
  assert.equal((await fetch(`${server.url}/api/v1/auth/me`, { headers: { Cookie: stolen } })).status, 401);
  const refused = client(t, server, { auth: {}, extraHeaders: { Cookie: stolen }, reconnection: false });
  assert.equal((await once(refused, "connect_error"))[0].data.code, "unauthenticated");
});

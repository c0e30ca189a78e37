// parlor as an MCP server, with the official client of the Model Context Protocol.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { command, connect, enter, event, events, folder, newChat, serve, sleep, until } from "./lib/parlor.mjs";
import { longOnly } from "./lib/random.mjs";

const secret = "an-e2e-secret-of-thirty-two-bytes!";
const env = { PARLOR_JWT_SECRET: secret };

/** An agent with a token or a key, which calls tools of a server. */
async function agent(t, server, credential, { path = "/mcp", headers = {} } = {}) {
  const client = new Client({ name: "e2e", version: "1.0.0" });
  const transport = new StreamableHTTPClientTransport(new URL(server.url + path), {
    requestInit: { headers: { ...(credential && { Authorization: `Bearer ${credential}` }), ...headers } },
  });
  await client.connect(transport);
  t.after(() => client.close());
  /** Returns the result of a tool. The text has to say the same as the structure. */
  const call = async (name, args, options) => {
    const result = await client.callTool({ name, arguments: args }, undefined, options);
    const [{ type, text }] = result.content;
    assert.equal(type, "text");
    if (result.isError) return { error: text };
    assert.deepEqual(JSON.parse(text), result.structuredContent);
    return result.structuredContent;
  };
  return { client, call };
}

const parlor = async (server, ...args) => {
  const { stdout, stderr, status } = await command(args, { dir: server.dir, env });
  assert.equal(status, 0, stderr);
  return stdout.trim();
};
const token = (server, user) => parlor(server, "token", "--user", user, "--name", user.toUpperCase());

/** Calls room_wait until the room has said something. */
async function answer(call, room, cursor) {
  for (let calls = 1; ; calls++) {
    const waited = await call("room_wait", { room, cursor, seconds: 5 });
    assert.equal(waited.error, undefined);
    if (waited.messages.length) return waited;
    assert.ok(calls < 20, JSON.stringify(waited));
    cursor = waited.cursor;
  }
}

test("an agent lists, reads, searches and posts, and waits for an answer", async (t) => {
  const server = await serve(t, { env, args: ["--base-path", "/app"] });
  const jwt = await token(server, "alice");
  const page = await connect(t, server, { auth: { token: jwt } });
  const chat = newChat();
  const room = await enter(page, chat, { dialect: "documented" });
  const { client, call } = await agent(t, server, jwt, { path: "/app/mcp" });
  assert.equal(client.getServerVersion().name, "parlor");
  const { tools } = await client.listTools();
  assert.deepEqual(tools.map((tool) => tool.name).sort(), ["room_post", "room_read", "room_search", "room_wait", "rooms_list"]);
  for (const { inputSchema, annotations } of tools) {
    assert.equal(inputSchema.type, "object");
    for (const property of Object.values(inputSchema.properties)) assert.match(property.type, /^(string|integer|boolean)$/, "flat, and one type");
    assert.deepEqual(Object.keys(annotations).sort(), ["destructiveHint", "idempotentHint", "openWorldHint", "readOnlyHint", "title"]);
  }

  const { rooms } = await call("rooms_list", {});
  assert.deepEqual(rooms.map((r) => [r.room, r.your_role, r.assistant]), [[chat, "owner", "eliza"]]);
  const post = { room: chat, text: "I feel like a teapot", client_id: "once" };
  const posted = await call("room_post", post);
  assert.deepEqual([posted.repeated, posted.answers], [false, 1]);
  const again = await call("room_post", post);
  assert.deepEqual(again, { ...posted, repeated: true });
  assert.match((await call("room_post", { ...post, text: "something else" })).error, /^conflict: /);

  const waited = await answer(call, chat, posted.cursor);
  assert.deepEqual(waited.messages.map((m) => [m.role, m.answers]), [["assistant", posted.message_id]]);
  const read = await call("room_read", { room: chat });
  assert.deepEqual(read.messages.map((m) => [m.role, m.from, m.text]), [["user", "ALICE", "I feel like a teapot"], ["assistant", "eliza", waited.messages[0].text]]);
  assert.equal(read.older, undefined);
  assert.equal(events(page, `message ${room}`).filter((e) => e.message.role === "user").length, 1, "others see it once, as a message of the user");
  const { results } = await call("room_search", { query: "teapot" });
  const said = results.find((r) => r.message_id === posted.message_id);
  assert.equal(said.room, chat);
  assert.deepEqual((await call("room_read", { room: chat, cursor: said.read })).messages.map((m) => m.message_id), [posted.message_id]);
});

test("who an agent is holds as over HTTP", longOnly, async (t) => {
  const server = await serve(t, { env });
  const [alice, bob, eve] = [await token(server, "alice"), await token(server, "bob"), await token(server, "eve")];
  const page = await connect(t, server, { auth: { token: alice } });
  const chat = newChat();
  const room = await enter(page, chat, { dialect: "documented" });
  const api = (jwt, method, path, body) => fetch(`${server.url}/api/v1${path}`, { method, headers: { Authorization: `Bearer ${jwt}`, "Content-Type": "application/json" }, body: body && JSON.stringify(body) });
  await api(alice, "PUT", `/chat/${chat}/members/bob`, { role: "viewer" });
  const owner = await agent(t, server, alice);
  const viewer = await agent(t, server, bob);
  const stranger = await agent(t, server, eve);
  await owner.call("room_post", { room: chat, text: "a secret word", answer: false });

  assert.equal((await viewer.call("room_read", { room: chat })).messages.length, 1);
  assert.match((await viewer.call("room_post", { room: chat, text: "hi" })).error, /^forbidden: /);
  assert.deepEqual([(await stranger.call("rooms_list", {})).rooms, (await stranger.call("room_search", { query: "secret" })).results], [[], []]);
  for (const [tool, args] of [["room_read", {}], ["room_post", { text: "hi" }], ["room_wait", {}]]) {
    const none = await stranger.call(tool, { room: "there-is-none", ...args });
    assert.match(none.error, /^not_found: /);
    assert.deepEqual(await stranger.call(tool, { room: chat, ...args }), none, `${tool}: as of a room that is not there`);
  }

  const [key] = /pk_\S+/.exec(await parlor(server, "key", "add", "--user", "bob", "--name", "agent", "--scope", "read"));
  const reader = await agent(t, server, key);
  assert.equal((await reader.call("room_read", { room: chat })).messages.length, 1);
  assert.equal((await reader.call("room_post", { room: chat, text: "hi" })).error, "forbidden: this API key may only read");
  const waiting = reader.call("room_wait", { room: chat, seconds: 50 });
  await event(page, `presence ${room}`, (b) => JSON.stringify(b).includes("bob"));
  const [id] = (await parlor(server, "key", "list")).split("\n").find((line) => line.includes("agent")).trim().split(/\s+/);
  await parlor(server, "key", "revoke", id);
  assert.match((await waiting).error, /^unauthenticated: /, "a wait ends with the key");
  await assert.rejects(reader.call("rooms_list", {}), (e) => e.code === 401);
  await assert.rejects(agent(t, server), (e) => e.code === 401, "no token");
});

test("a wait goes on over a restart, and ends with the server and the membership", longOnly, async (t) => {
  const dir = folder();
  const args = ["--eliza-word-delay", "600ms"];
  let server = await serve(t, { dir, env, args });
  const listen = new URL(server.url).host;
  const [alice, bob] = [await token(server, "alice"), await token(server, "bob")];
  const page = await connect(t, server, { auth: { token: alice } });
  const chat = newChat();
  const room = await enter(page, chat, { dialect: "documented" });
  const api = async (method, path, body) => {
    const response = await fetch(`${server.url}/api/v1/chat/${chat}${path}`, { method, headers: { Authorization: `Bearer ${alice}`, "Content-Type": "application/json" }, body: body && JSON.stringify(body) });
    assert.ok(response.ok, path);
    return response.json();
  };
  await api("PUT", "/members/bob", { role: "member" });
  const { call } = await agent(t, server, bob);
  const posted = await call("room_post", { room: chat, text: "tell me a long story", client_id: "once" });
  const early = await until(() => call("room_wait", { room: chat, cursor: posted.cursor, seconds: 1 }), (w) => w.so_far || w.messages.length);
  assert.deepEqual([early.messages, early.answering, early.approvals], [[], true, undefined]);

  await server.kill();
  server = await serve(t, { dir, listen, env, args });
  assert.equal((await call("room_post", { room: chat, text: "tell me a long story", client_id: "once" })).repeated, true);
  const { messages: [answered], cursor } = await answer(call, chat, early.cursor);
  assert.equal(answered.answers, posted.message_id);
  assert.equal(answered.state, undefined, "complete");

  /** A call that has begun to wait. Nobody is told so, since its user has waited just before. */
  const waiting = async () => {
    const result = call("room_wait", { room: chat, cursor, seconds: 50 });
    await sleep(1_000);
    return { result };
  };
  const { result: stopped } = await waiting();
  await server.kill("SIGTERM");
  assert.match((await stopped).error, /^busy: the server is stopping/);

  server = await serve(t, { dir, listen, env, args });
  const { result: removed } = await waiting();
  await api("DELETE", "/members/bob");
  assert.match((await removed).error, /^not_found: you are no longer a member/);
});

test("a conversation with branches is read along one of them", longOnly, async (t) => {
  const server = await serve(t, { env });
  const jwt = await token(server, "alice");
  const page = await connect(t, server, { auth: { token: jwt } });
  const chat = newChat();
  await enter(page, chat, { dialect: "documented" });
  const { call } = await agent(t, server, jwt);
  const posted = await call("room_post", { room: chat, text: "first words" });
  const { messages: [first] } = await answer(call, chat, posted.cursor);
  const edit = await fetch(`${server.url}/api/v1/chat/${chat}/messages/${posted.message_id}`, {
    method: "PATCH", headers: { Authorization: `Bearer ${jwt}`, "Content-Type": "application/json" }, body: JSON.stringify({ content: "second words", answer: false }),
  });
  assert.equal(edit.status, 201);
  const read = async (args) => (await call("room_read", { room: chat, ...args })).messages.map((m) => [m.text, m.versions]);
  assert.deepEqual(await read({}), [["second words", 2]]);
  assert.deepEqual(await read({ branch: posted.message_id }), [["first words", 2], [first.text, undefined]]);
  assert.match((await call("room_read", { room: chat, branch: "none" })).error, /^not_found: /);
  const long = "word ".repeat(12_000);
  await call("room_post", { room: chat, text: long, answer: false });
  let text = "";
  for (let cursor; ;) {
    const { messages } = await call("room_read", { room: chat, cursor });
    text += messages.at(-1).text;
    cursor = messages.at(-1).rest;
    if (!cursor) break;
  }
  assert.equal(text, long, "in pieces");
});

test("HTTP", longOnly, async (t) => {
  const page = "https://app.example";
  const server = await serve(t, { env, args: ["--cors-origins", page] });
  const jwt = await token(server, "alice");
  const initialize = { jsonrpc: "2.0", id: 1, method: "initialize", params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "raw", version: "1" } } };
  const send = (headers, body = initialize, method = "POST") => fetch(`${server.url}/mcp`, {
    method, headers: { "Content-Type": "application/json", Accept: "application/json, text/event-stream", Authorization: `Bearer ${jwt}`, ...headers },
    body: method === "POST" ? (typeof body === "string" ? body : JSON.stringify(body)) : undefined,
  });
  assert.equal((await send({})).status, 200);
  const refused = await send({ Authorization: "Bearer nonsense" });
  assert.deepEqual([refused.status, refused.headers.get("www-authenticate")], [401, "Bearer"]);
  assert.equal((await send({ Origin: "https://evil.example" })).status, 403);
  assert.equal((await send({ Origin: server.url })).status, 200);
  assert.equal((await send({}, [initialize, initialize])).status, 400, "a batch");
  assert.equal((await send({}, " ".repeat(2 << 20))).status, 413);
  for (const method of ["GET", "DELETE"]) assert.equal((await send({}, "", method)).status, 405);
  for (const path of ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-authorization-server", "/register"]) {
    assert.equal((await fetch(server.url + path)).status, 404, "no OAuth is advertised");
  }
  const preflight = async (origin) => {
    const { status, headers } = await fetch(`${server.url}/mcp`, {
      method: "OPTIONS", headers: { Origin: origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type,mcp-protocol-version" },
    });
    assert.equal(status, 204);
    return headers.get("access-control-allow-origin");
  };
  assert.deepEqual([await preflight(page), await preflight("https://evil.example")], [page, null], "without a token, as browsers ask");
  assert.equal((await send({ Origin: page })).status, 200);
});

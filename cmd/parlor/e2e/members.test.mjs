// Several people in one chat: invitations, roles, and what becomes of one who is removed.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { ask, connect, enter, event, events, folder, newChat, serve, story, until } from "./lib/parlor.mjs";

const secret = "an-e2e-secret-of-thirty-two-bytes!";
const env = { PARLOR_JWT_SECRET: secret };
const binary = process.env.PARLOR ?? new URL("../../../bin/parlor", import.meta.url).pathname;
const token = (user) => execFileSync(binary, ["token", "--user", user, "--name", user.toUpperCase()], { env: { ...env, PATH: process.env.PATH } }).toString().trim();

/** Somebody with a token: a socket, and the HTTP API. */
async function person(t, server, user) {
  const jwt = token(user);
  const socket = await connect(t, server, { auth: { token: jwt } });
  const http = async (method, path, body) => {
    const response = await fetch(`${server.url}/api/v1${path}`, {
      method, headers: { Authorization: `Bearer ${jwt}`, "Content-Type": "application/json" }, body: body && JSON.stringify(body),
    });
    return { status: response.status, body: await response.json() };
  };
  const openai = (method, path, body, headers) => fetch(`${server.url}/v1${path}`, {
    method, headers: { Authorization: `Bearer ${jwt}`, ...headers }, body: body && JSON.stringify(body),
  });
  return { user, socket, http, openai, jwt };
}

test("two people with tokens share a chat by a link, until one is removed", async (t) => {
  const dir = folder();
  const args = ["--eliza-word-delay", "30ms"];
  let server = await serve(t, { dir, env, args });
  const listen = new URL(server.url).host;
  const alice = await person(t, server, "alice");
  const bob = await person(t, server, "bob");
  const chat = newChat();
  const room = await enter(alice.socket, chat, { dialect: "documented" });
  await ask(alice.socket, "send_message", { room_id: room, message: "a word in advance" });
  await event(alice.socket, `stream_end ${room}`);

  assert.equal((await bob.http("GET", `/chat/${chat}`)).status, 404);
  const { body: invite } = await alice.http("POST", `/chat/${chat}/invites`, { role: "member", expires_in: 3600, uses: 1 });
  assert.match(invite.url, new RegExp(`/#i=${invite.token}$`));
  await server.kill();
  assert.equal(server.log.join().includes(invite.token), false, "a token is in no log");
  server = await serve(t, { dir, listen, env, args });
  await until(() => alice.socket.connected && bob.socket.connected, Boolean);

  assert.deepEqual((await bob.http("POST", `/invites/${invite.token}`)).body, { chat_id: chat, role: "member" });
  assert.equal((await (await person(t, server, "eve")).http("POST", `/invites/${invite.token}`)).status, 404, "it was for one");
  assert.deepEqual((await bob.http("GET", "/chat")).body.chats.map((c) => [c.chat_id, c.role]), [[chat, "member"]]);
  const found = await ask(bob.socket, "find_chat", { chat_id: chat });
  const joined = await ask(bob.socket, "join_room", { room_id: found.room_id, dialect: "documented" });
  assert.deepEqual(joined.members.map((m) => m.role).sort(), ["member", "owner"]);
  assert.deepEqual((await ask(bob.socket, "members", { room_id: room })).members,
    [{ user_id: "alice", name: "ALICE", role: "owner" }, { user_id: "bob", name: "BOB", role: "member" }]);
  assert.equal((await ask(bob.socket, "history", { room_id: room })).messages.length, 2);

  await ask(alice.socket, "send_message", { room_id: room, message: story(54) });
  await event(bob.socket, `stream_chunk ${room}`);
  await ask(bob.socket, `stop ${room}`, {});
  const end = await event(alice.socket, `stream_end ${room}`, (b) => b.state === "stopped");
  assert.deepEqual(await event(bob.socket, `stream_end ${room}`, (b) => b.seq === end.seq), end);

  await alice.http("DELETE", `/chat/${chat}/members/bob`);
  assert.match((await event(bob.socket, `error ${room}`)).error, /no longer a member/);
  const seen = bob.socket.seen.length;
  await ask(alice.socket, "send_message", { room_id: room, message: "in private" });
  await until(() => events(alice.socket, `stream_end ${room}`).length, (n) => n >= 3);
  assert.deepEqual(bob.socket.seen.slice(seen), []);
  for (const [event, body] of [["join_room", {}], ["history", {}], ["send_message", { message: "hi" }], ["members", {}]]) {
    assert.equal((await ask(bob.socket, event, { room_id: room, ...body })).error.code, "not_found", event);
  }
  for (const path of ["", "/messages", "/members"]) assert.equal((await bob.http("GET", `/chat/${chat}${path}`)).status, 404, path);
  assert.equal((await bob.http("GET", "/chat")).body.total, 0);
});

// Each role may do the same in every way. A stranger cannot tell the chat from none.
test("paths, roles and actions", async (t) => {
  const server = await serve(t, { env });
  const people = {};
  for (const user of ["owner", "member", "viewer", "stranger"]) people[user] = await person(t, server, user);
  const world = async () => {
    const chat = newChat();
    const room = await enter(people.owner.socket, chat, { dialect: "documented" });
    const { message_id: own } = await ask(people.owner.socket, "send_message", { room_id: room, message: "hello" });
    const { message } = await event(people.owner.socket, `message ${room}`, (b) => b.message.role === "assistant");
    for (const role of ["member", "viewer"]) {
      assert.equal((await people.owner.http("PUT", `/chat/${chat}/members/${role}`, { role })).status, 200);
    }
    return { chat, room, own, answer: message.message_id };
  };
  const { chat, room, answer } = await world();
  const reads = { owner: "ok", member: "ok", viewer: "ok", stranger: "not_found" };
  const talks = { owner: "ok", member: "ok", viewer: "forbidden", stranger: "not_found" };
  const manages = { owner: "ok", member: "forbidden", viewer: "forbidden", stranger: "not_found" };
  const socket = (event, body) => async (p) => {
    const ack = await ask(p.socket, event, { room_id: room, ...body });
    return ack.ok ? "ok" : ack.error.code;
  };
  const http = (method, path, body, of = chat) => async (p) => {
    const { status, body: answer } = await p.http(method, `/chat/${of}${path}`, body);
    return status < 300 ? "ok" : answer.code;
  };
  const listen = (path) => async (p) => {
    const hangUp = new AbortController();
    const response = await fetch(`${server.url}/api/v1${path}`, { headers: { Authorization: `Bearer ${p.jwt}` }, signal: hangUp.signal });
    const outcome = response.ok ? "ok" : (await response.json()).code;
    hangUp.abort();
    return outcome;
  };
  const ui = (method, path, body) => async (p) => {
    const response = await fetch(`${server.url}/api/v1/ui/chat${path}`, {
      method, headers: { Authorization: `Bearer ${p.jwt}`, "Content-Type": "application/json" }, body: body && JSON.stringify({ id: chat, ...body(p) }),
    });
    const text = await response.text();
    if (response.status === 200) return "ok";
    return response.status === 204 ? "nothing" : JSON.parse(text).code;
  };
  const hello = (p) => ({ message: { id: `from-${p.user}`, role: "user", parts: [{ type: "text", text: "hi" }] } });
  const webui = (method, path, body) => async (p) => {
    const response = await fetch(`${server.url}/api${path}`, {
      method, headers: { Authorization: `Bearer ${p.jwt}`, "Content-Type": "application/json" }, body: body && JSON.stringify(body(p)),
    });
    return response.ok ? "ok" : (await response.json()).code;
  };
  const pages = {};
  for (const user of Object.keys(people)) pages[user] = await connect(t, server, { auth: { token: people[user].jwt }, namespace: "/", path: "/ws/socket.io" });
  const page = (event, body) => async (p) => {
    const ack = await ask(pages[p.user], event, body);
    return ack.ok ? "ok" : ack.error.code;
  };
  const typing = { ...talks, stranger: "invalid" }; // who has not joined the room
  const v1 = (method, path, body, headers) => async (p) => {
    const response = await p.openai(method, path, body, headers);
    await response.text();
    return { 200: "ok", 403: "forbidden", 404: "not_found" }[response.status] ?? response.status;
  };
  const mcp = (tool, args) => async (p) => {
    const response = await fetch(`${server.url}/mcp`, {
      method: "POST", headers: { Authorization: `Bearer ${p.jwt}`, "Content-Type": "application/json", Accept: "application/json, text/event-stream" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: tool, arguments: { room: chat, ...args } } }),
    });
    const { result } = JSON.parse((await response.text()).match(/^data: (.*)$/m)[1]);
    return result.isError ? result.content[0].text.split(":")[0] : result.structuredContent;
  };
  const tool = (name, args) => async (p) => {
    const answer = await mcp(name, args)(p);
    return typeof answer === "string" ? answer : "ok";
  };
  const listed = async (p) => ((await mcp("rooms_list", { room: undefined })(p)).rooms.some((r) => r.room === chat) ? "ok" : "not_found");
  const beginning = (await mcp("room_read", {})(people.owner)).cursor.replace(/\d+$/, "0");
  const conversation = `conv_${chat}`;
  const asked = await (await people.owner.openai("POST", "/responses", { conversation, input: "hi", background: true })).json();
  const other = await world();
  const edited = await world();
  const form = (content) => {
    const body = new FormData();
    body.append("files", new Blob([content]), "a.txt");
    return body;
  };
  const raw = (p, method, path, body) => fetch(`${server.url}/api/v1/chat/${chat}${path}`, { method, headers: { Authorization: `Bearer ${p.jwt}` }, body });
  const upload = async (p) => {
    const response = await raw(p, "POST", "/upload", form("a file"));
    return response.status === 200 ? "ok" : (await response.json()).code;
  };
  const [{ fileid }] = await (await raw(people.owner, "POST", "/upload", form("the owner's"))).json();
  const file = async (p) => {
    const response = await raw(p, "GET", `/files/${fileid}`);
    return response.status === 200 ? "ok" : (await response.json()).code;
  };
  const backend = (path) => async (p) => {
    const { status, body } = await p.http("POST", path, { to: { room }, event: "x" });
    return status === 200 ? "ok" : body.code;
  };
  const inside = (method, path, body) => async (p) => {
    const { status, body: answer } = await p.http(method, `/admin/runtime${path}`, body);
    return status === 200 ? "ok" : answer.code;
  };
  const nobody = { owner: "forbidden", member: "forbidden", viewer: "forbidden", stranger: "forbidden" };
  for (const [name, act, allowed] of [
    ["POST emit", backend("/emit"), nobody],
    ["POST call", backend("/call"), nobody],
    ["GET admin/runtime", inside("GET", ""), nobody],
    ["GET admin/runtime/rooms", inside("GET", `/rooms/${room}`), nobody],
    ["GET admin/runtime/rooms/events", inside("GET", `/rooms/${room}/events`), nobody],
    ["POST admin/runtime/actions", inside("POST", "/actions", { action: "restart_room", room_id: room }), nobody],
    ["GET admin/runtime/users/export", inside("GET", "/users/alice/export"), nobody],
    ["POST admin/runtime/actions, delete_user", inside("POST", "/actions", { action: "delete_user", user_id: "alice" }), nobody],
    ["/ join-channels", page("join-channels", { chat_id: chat }), reads],
    ["/ channel-events", page("channel-events", { channel_id: chat, data: { type: "typing" } }), typing],
    ["/ events:chat", page("events:chat", { chat_id: chat, data: { type: "last_read_at" } }), reads],
    ["POST /api/chat/completions", webui("POST", "/chat/completions", (p) => ({
      chat_id: chat, id: `by-${p.user}`, session_id: "x", model: "eliza", messages: [{ role: "user", content: "hi" }],
    })), talks],
    ["GET /api/tasks/chat", webui("GET", `/tasks/chat/${chat}`), reads],
    ["POST /api/tasks/chat/stop", webui("POST", `/tasks/chat/${chat}/stop`), talks],
    ["find_chat", socket("find_chat", { chat_id: chat }), reads],
    ["create_room", socket("create_room", { chat_id: chat, model_id: "eliza" }), reads],
    ["join_room", socket("join_room", {}), reads],
    ["history", socket("history", {}), reads],
    ["members", socket("members", {}), reads],
    ["send_message", socket("send_message", { message: "hi" }), talks],
    ["stop", socket("stop", {}), talks],
    ["approve", socket("approve", { call_id: "none", decision: "deny" }), { ...talks, owner: "not_found", member: "not_found" }],
    ["function_result", socket("function_result", { call_id: "none", result: 1 }), { ...talks, owner: "not_found", member: "not_found" }],
    ["function_error", socket("function_error", { call_id: "none", error: "no" }), { ...talks, owner: "not_found", member: "not_found" }],
    ["join_room with tools", socket("join_room", { tools: [{ name: "a" }] }), reads],
    ["regenerate", socket("regenerate", { message_id: answer }), talks],
    ["withdraw", socket("withdraw", { message_id: "none" }), { ...talks, owner: "not_found", member: "not_found" }],
    ["move", socket("move", { turn_id: "none" }), { ...talks, owner: "not_found", member: "not_found" }],
    ["typing", socket("typing", { typing: false }), talks],
    ["presence", socket("presence", {}), reads],
    ["read", socket("read", { seq: 1 }), reads],
    ["usage", socket("usage", {}), { ...reads, stranger: "ok" }], // of one's own turns
    ["select", socket("select", { message_id: answer }), talks],
    ["history of a branch", socket("history", { branch: answer }), reads],
    ["GET messages of a branch", http("GET", `/messages?branch=${answer}`), reads],
    ["configure", socket("configure", { title: "a title" }), talks],
    ["configure read_only", socket("configure", { read_only: false }), manages],
    ["GET chat", http("GET", ""), reads],
    ["GET messages", http("GET", "/messages"), reads],
    ["GET members", http("GET", "/members"), reads],
    ["POST upload", upload, talks],
    ["GET files", http("GET", "/files"), reads],
    ["GET file", file, reads],
    ["send_message with a file", socket("send_message", { message: { content: "hi", files: [fileid] } }), talks],
    ["DELETE file of the owner", http("DELETE", `/files/${fileid}`), manages],
    ["GET search", async (p) => ((await p.http("GET", "/search?q=hello")).body.results.some((r) => r.chat_id === chat) ? "ok" : "not_found"), reads],
    ["PATCH chat", http("PATCH", "", { title: "another" }), talks],
    ["PATCH mark", http("PATCH", "/mark", { pinned: true, folder: "Ours" }), reads],
    ["POST /v1/responses", v1("POST", "/responses", { conversation, input: "hi", background: true }), talks],
    ["GET /v1/responses", v1("GET", `/responses/${asked.id}`), reads],
    ["GET /v1/responses stream", v1("GET", `/responses/${asked.id}?stream=true`), reads],
    ["GET /v1/responses input_items", v1("GET", `/responses/${asked.id}/input_items`), reads],
    ["POST /v1/responses cancel", v1("POST", `/responses/${asked.id}/cancel`), talks],
    ["POST /v1/chat/completions", v1("POST", "/chat/completions", { model: "eliza", messages: [{ role: "user", content: "hi" }] }, { "X-Parlor-Chat": chat }), talks],
    ["GET /v1/conversations", v1("GET", `/conversations/${conversation}`), reads],
    ["POST /v1/conversations", v1("POST", `/conversations/${conversation}`, { metadata: { title: "third" } }), talks],
    ["GET /v1/conversations items", v1("GET", `/conversations/${conversation}/items`), reads],
    ["GET /v1/conversations item", v1("GET", `/conversations/${conversation}/items/msg_${answer}`), reads],
    ["POST /v1/conversations items", v1("POST", `/conversations/${conversation}/items`, { items: [{ role: "user", content: "hi" }] }), talks],
    ["DELETE /v1/conversations", v1("DELETE", `/conversations/conv_${other.chat}`), manages],
    ["GET events", listen(`/chat/${chat}/events`), reads],
    ["POST messages", http("POST", "/messages", { content: "hi" }), talks],
    ["POST calls", http("POST", "/calls/none", { decision: "deny" }), { ...talks, owner: "not_found", member: "not_found" }],
    ["POST stop", http("POST", "/stop"), talks],
    ["POST regenerate", http("POST", `/messages/${answer}/regenerate`), talks],
    ["PATCH message", http("PATCH", `/messages/${edited.own}`, { content: "ho" }, edited.chat), { ...talks, member: "forbidden" }],
    ["GET invites", http("GET", "/invites"), manages],
    ["POST invites", http("POST", "/invites", { role: "viewer" }), manages],
    ["PUT member", http("PUT", "/members/somebody", { role: "viewer" }), manages],
    ["DELETE member", http("DELETE", "/members/somebody"), manages],
    ["MCP rooms_list", listed, reads],
    ["MCP room_read", tool("room_read", {}), reads],
    ["MCP room_wait", tool("room_wait", { cursor: beginning }), reads],
    ["MCP room_post", tool("room_post", { text: "hi" }), talks],
    ["POST ui", ui("POST", "", hello), talks],
    ["POST ui, edit", ui("POST", "", (p) => ({ ...hello(p), messageId: `from-${p.user}` })), { ...talks, viewer: "conflict" }],
    ["POST ui, regenerate", ui("POST", "", () => ({ trigger: "regenerate-message", messageId: answer })), reads], // there is a newer answer, which is told
    ["POST ui stop", ui("POST", `/${chat}/stop`, () => ({ turn_id: "none" })), { ...talks, owner: "not_found", member: "not_found" }],
    ["GET ui", ui("GET", `/${chat}`), reads],
    ["GET ui stream", ui("GET", `/${chat}/stream`), { ...reads, stranger: "nothing" }],
    ["DELETE chat", http("DELETE", ""), manages],
  ]) {
    for (const [role, want] of Object.entries(allowed).reverse()) assert.equal(await act(people[role]), want, `${name} by ${role}`);
  }
  for (const p of Object.values(people)) assert.deepEqual((await p.http("GET", "/folders")).body.folders, [], "marks go with the chat");
});

// A guest may do in one chat what the role allows, and nothing anywhere else, for as long as the invitation is good.
test("guests come by a link without an account, to one chat", async (t) => {
  const off = await serve(t, { env });
  const accept = async (server, token, body, headers = {}) => {
    const response = await fetch(`${server.url}/api/v1/invites/${token}`, { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: body && JSON.stringify(body) });
    return { status: response.status, body: await response.json(), cookies: response.headers.getSetCookie().map((c) => c.split(";")[0]).join("; ") };
  };
  const host = await person(t, off, "alice");
  const closed = newChat();
  await enter(host.socket, closed);
  const without = (await host.http("POST", `/chat/${closed}/invites`, { role: "member" })).body;
  assert.equal(without.guests, undefined);
  assert.equal((await host.http("POST", `/chat/${closed}/invites`, { role: "member", guests: true })).body.code, "invalid");
  assert.equal((await accept(off, without.token, { name: "Gast" })).status, 401, "guests are off");

  const server = await serve(t, { env, args: ["--guests", "on", "--eliza-word-delay", "20ms"] });
  const alice = await person(t, server, "alice");
  const [chat, other] = [newChat(), newChat()];
  const room = await enter(alice.socket, chat, { dialect: "documented" });
  await enter(alice.socket, other);
  const invite = async (of, body) => (await alice.http("POST", `/chat/${of}/invites`, body)).body;
  const members = await invite(chat, { role: "member", guests: false });
  const look = async (of, token) => {
    const response = await fetch(`${of.url}/api/v1/invites/${token}`);
    return response.ok ? response.json() : response.status;
  };
  assert.equal(await look(off, without.token), 401, "guests are off: nobody unknown is told of the chat");
  assert.equal(await look(server, members.token), 404, "nor of one that guests may not come to");
  assert.equal((await accept(server, members.token, { name: "Gast" })).status, 404, "an invitation for members only");
  const elsewhere = await invite(other, { role: "member" });
  const link = await invite(chat, { role: "member", expires_in: 3600 });
  assert.equal(link.guests, true);
  assert.deepEqual(await look(server, link.token), { title: "", by: { user_id: "alice", name: "ALICE" }, role: "member", expires_at: link.expires_at, people: 1, model: "ELIZA" });
  assert.equal((await accept(server, link.token)).status, 401, "no credential and no name");
  assert.equal((await accept(server, link.token, { name: "Gast" }, { Authorization: "Bearer nonsense" })).status, 401, "a bad credential is not taken for none");
  assert.equal((await accept(server, link.token, { name: " " })).body.code, "invalid");
  assert.equal((await accept(server, link.token, { name: "Gast" }, { Origin: "https://evil.example" })).status, 403, "a page of another origin signs nobody in");
  const came = await accept(server, link.token, { name: "Gast" });
  assert.deepEqual([came.status, came.body.chat_id, came.body.role, /^guest:[a-z2-7]{16}$/.test(came.body.user_id)], [200, chat, "member", true]);

  const headers = { Cookie: came.cookies };
  const socket = await connect(t, server, { auth: { user_id: "testtest" }, extraHeaders: headers, reconnection: false });
  const http = async (method, path, body, base = "/api/v1") => {
    const response = await fetch(server.url + base + path, { method, headers: { ...headers, "Content-Type": "application/json" }, body: body && JSON.stringify(body) });
    const text = await response.text();
    const answer = text.startsWith("{") || text.startsWith("[") ? JSON.parse(text) : text;
    return { status: response.status, body: answer, code: response.ok ? "ok" : answer.code ?? answer.error?.code ?? response.status };
  };
  const found = await ask(socket, "find_chat", { chat_id: chat });
  assert.equal((await ask(socket, "join_room", { room_id: found.room_id, dialect: "documented" })).ok, true);
  assert.equal((await ask(socket, "send_message", { room_id: room, message: "hello, I am a guest" })).ok, true);
  const guest = { user_id: came.body.user_id, name: "Gast", role: "member" };
  for (const { members } of [await ask(socket, "members", { room_id: room }), (await http("GET", `/chat/${chat}/members`)).body]) assert.deepEqual(members[1], guest);
  const { by, seq, ...told } = (await events(alice.socket, `members ${room}`))[0];
  assert.deepEqual(told, guest, "nobody is told by which invitation");
  const { message: theirs } = await event(alice.socket, `message ${room}`, (b) => b.message.role === "user");
  assert.deepEqual(theirs.author, { user_id: came.body.user_id, name: "Gast" });
  await event(socket, `stream_end ${room}`);
  assert.deepEqual((await http("GET", "/auth/me")).body.user_id, came.body.user_id);
  assert.deepEqual((await http("GET", "/model")).body.models.map((m) => m.model_id), ["eliza"]);
  assert.deepEqual((await http("GET", "/chat")).body.chats.map((c) => c.chat_id), [chat]);
  for (const [method, path, want, body, base] of [
    ["GET", `/chat/${chat}`, "ok"], ["GET", `/chat/${chat}/messages`, "ok"], ["GET", `/chat/${chat}/members`, "ok"], ["GET", `/chat/${chat}/files`, "ok"], ["POST", `/chat/${chat}/messages`, "ok", { content: "hi" }],
    ["POST", `/chat/${chat}/messages`, "forbidden", { content: "hi", model_id: "openai:gpt-4o" }], ["POST", "/chat", "forbidden", { model_id: "eliza" }], ["DELETE", `/chat/${chat}`, "forbidden"],
    ["POST", `/chat/${chat}/invites`, "forbidden", { role: "member" }], ["GET", `/chat/${chat}/invites`, "forbidden"], ["PUT", `/chat/${chat}/members/eve`, "forbidden", { role: "member" }],
    ["GET", `/chat/${other}`, "not_found"], ["GET", `/chat/${other}/messages`, "not_found"], ["GET", `/chat/${other}/files`, "not_found"], ["POST", `/invites/${elsewhere.token}`, "not_found", {}],
    ["POST", "/emit", "forbidden", { to: { all: true }, event: "x" }], ["GET", "/folders", "forbidden"], ["DELETE", "/auth/sessions", "forbidden"], ["POST", "/ui/chat", "forbidden", { id: chat, messages: [] }],
    ["POST", "/mcp", "forbidden", {}, ""],
  ]) {
    assert.equal((await http(method, path, body, base)).code, want, `${method} ${path}`);
  }
  for (const [method, path, body] of [["GET", "/models"], ["POST", "/chat/completions", { model: "eliza", messages: [{ role: "user", content: "hi" }] }], ["POST", "/responses", { model: "eliza", input: "hi" }]]) {
    assert.equal((await http(method, path, body, "/v1")).status, 403, path);
  }
  for (const [name, body, want] of [["create_room", { chat_id: newChat(), model_id: "eliza" }, "forbidden"], ["find_chat", { chat_id: other }, "not_found"], ["configure", { room_id: room, title: "Ours" }, "ok"]]) {
    const ack = await ask(socket, name, body);
    assert.equal(ack.ok ? "ok" : ack.error.code, want, name);
  }
  const gone = new Promise((resolve) => socket.once("disconnect", resolve));
  const since = Date.now();
  assert.equal((await alice.http("DELETE", `/chat/${chat}/invites/${link.invite_id}`)).status, 200);
  await gone;
  assert.ok(Date.now() - since < 5_000, "at once");
  await until(() => http("GET", "/auth/me"), (r) => r.status === 401);
  assert.deepEqual((await alice.http("GET", `/chat/${chat}/members`)).body.members.map((m) => m.user_id), ["alice"]);
});

test("people talk among themselves until they name an assistant", async (t) => {
  const server = await serve(t, { env });
  const [alice, bob] = [await person(t, server, "alice"), await person(t, server, "bob")];
  const chat = newChat();
  const room = await enter(alice.socket, chat, { dialect: "documented" });
  await alice.http("PUT", `/chat/${chat}/members/bob`, { role: "member" });
  await enter(bob.socket, chat, {}); // both dialects, as a page that chose none
  await ask(alice.socket, `configure ${room}`, { answers: "mentioned" });
  const say = (p, message, more) => ask(p.socket, "send_message", { room_id: room, message, ...more });
  await say(alice, "@bob, what do you think?");
  const { message } = await event(bob.socket, `message ${room}`, (b) => b.message.content.startsWith("@bob"));
  assert.deepEqual([message.mentions, message.unasked], [["bob"], true]);
  bob.socket.emit("send_message", { room_id: room, message: { type: "sbaw.incoming.text_message.user", id: "7", data: { item: { id: "7", content: "I am not sure" } } } });
  const freed = await event(bob.socket, `receive_message ${room}`, (b) => b.type === "sbaw.text_message.assistant");
  assert.match(freed.data.content, /No assistant was asked/, "the page's spinner ends");
  assert.equal(events(alice.socket, `stream_start ${room}`).length, 0);
  await say(alice, "What would an assistant say?", { answer: true });
  await event(alice.socket, `stream_end ${room}`);
  assert.equal(events(alice.socket, `stream_start ${room}`).length, 1);
});

// Webhooks: what is recorded is delivered, signed, in order and at least once.
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { Webhook } from "standardwebhooks";
import { withBody } from "./lib/body.mjs";
import { calls } from "./lib/model.mjs";
import { ask, command, connect, enter, events, folder, newChat, serve, until } from "./lib/parlor.mjs";
import { longOnly } from "./lib/random.mjs";
import { world } from "./lib/tools.mjs";

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const next = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/** An endpoint that verifies what it gets, and answers as answer says. */
async function endpoint(t, { secrets = [secret], answer = () => 204 } = {}) {
  const got = [];
  const tried = [];
  const faults = [];
  const server = createServer(withBody(async (request, response, body) => {
    let message;
    try {
      for (const s of secrets) message = new Webhook(s).verify(body, request.headers);
    } catch (e) {
      faults.push(e);
    }
    tried.push({ id: request.headers["webhook-id"], message, signature: request.headers["webhook-signature"] });
    const status = await answer(message, tried.length);
    if (status >= 200 && status < 300) got.push({ id: request.headers["webhook-id"], ...message });
    response.writeHead(status, status === 302 ? { Location: "/elsewhere" } : {}).end();
  }));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => { server.closeAllConnections(); server.close(); });
  return { url: `http://127.0.0.1:${server.address().port}/hook`, got, tried, faults };
}

/** A server with one webhook. */
function withHook(t, url, { dir = folder(), hook = {}, args = [], targets = "127.0.0.0/8", secrets = secret, ...more } = {}) {
  const hooks = JSON.stringify([{ name: "crm", url, secret_var: "CRM_SECRET", events: ["message"], ...hook }]);
  writeFileSync(join(dir, "parlor.yaml"), `webhooks: ${hooks}\n`);
  return serve(t, { dir, args: ["--private-targets", targets, "--webhook-retry-delay", "50ms", ...args], env: { CRM_SECRET: secrets }, ...more });
}

async function say(socket, room, message) {
  const before = socket.seen.length;
  await ask(socket, "send_message", { room_id: room, message });
  await until(() => socket.seen.slice(before).some((e) => e.name === `stream_end ${room}`), Boolean);
}

const contents = (got) => got.map((m) => `${m.data.message.role} ${m.data.message.content}`);

test("records reach an endpoint in order, signed, and again with the same id after kill -9", async (t) => {
  let hang = false;
  const hook = await endpoint(t, { answer: () => (hang ? new Promise(() => {}) : 204) });
  const dir = folder();
  let server = await withHook(t, hook.url, { dir });
  const alice = await connect(t, server);
  const chat = newChat();
  const room = await enter(alice, chat, { dialect: "documented" });
  await say(alice, room, "hello");
  await until(() => hook.got.length, (n) => n === 2);
  assert.deepEqual(hook.got.map((m) => [m.type, m.chat_id, m.room_id, m.data.message.role]), [["message", chat, room, "user"], ["message", chat, room, "assistant"]]);
  assert.deepEqual(hook.got[1].data, events(alice, `message ${room}`).at(-1));
  assert.deepEqual(hook.faults, []);

  hang = true; // it has the event, and parlor does not know
  await say(alice, room, "and again");
  await until(() => hook.tried.length, (n) => n === 3);
  await server.kill();
  hang = false;
  server = await withHook(t, hook.url, { dir });
  await until(() => hook.got.length, (n) => n === 4);
  assert.equal(hook.tried[3].id, hook.tried[2].id, "it comes again with the same id");
  assert.deepEqual(contents(hook.got).filter((c) => c.startsWith("user")), ["user hello", "user and again"]);
  assert.equal(new Set(hook.got.map((m) => m.id)).size, 4);
  const { stdout } = await command(["webhook", "list"], { dir });
  assert.match(stdout, /crm .* 2 +0 +0/);
});

test("what fails is sent again in order, given up, seen and replayed", longOnly, async (t) => {
  let bad = true;
  const hook = await endpoint(t, { answer: (m, n) => (bad && m.data.message?.content === "bad" ? 500 : n % 3 === 0 ? 302 : 200) });
  const server = await withHook(t, hook.url, { args: ["--webhook-retry-for", "500ms"] });
  const alice = await connect(t, server);
  const room = await enter(alice, newChat(), { dialect: "documented" });
  for (const text of ["one", "bad", "two"]) await say(alice, room, text);
  await until(() => hook.got.length, (n) => n === 5, { timeout: 60_000 });
  const seqs = hook.got.map((m) => m.seq);
  assert.deepEqual(seqs, [...seqs].sort((a, b) => a - b));
  const dead = await command(["webhook", "dead", "crm"], { dir: server.dir });
  const id = /^(msg_\w+) +crm +message/m.exec(dead.stdout)[1];
  const failed = await command(["webhook", "replay", "crm", id], { dir: server.dir });
  assert.equal(failed.status, 1);
  assert.match(failed.stderr, /500/);
  bad = false;
  await until(async () => (await command(["webhook", "replay", "crm"], { dir: server.dir })).stdout, (s) => s.includes("delivered 1"));
  assert.equal(hook.got.at(-1).data.message.content, "bad");
  assert.equal(hook.got.at(-1).id, id);
  assert.doesNotMatch((await command(["webhook", "dead"], { dir: server.dir })).stdout, /msg_/);
});

test("two secrets sign while one is changed for the other", longOnly, async (t) => {
  const hook = await endpoint(t, { secrets: [secret, next] });
  const server = await withHook(t, hook.url, { secrets: `${next} ${secret}` });
  const alice = await connect(t, server);
  const room = await enter(alice, newChat(), { dialect: "documented" });
  await say(alice, room, "hello");
  await until(() => hook.got.length, (n) => n === 2);
  assert.deepEqual(hook.faults, []);
  assert.equal(hook.tried[0].signature.split(" ").length, 2);
});

test("private addresses are refused unless they are named", longOnly, async (t) => {
  const hook = await endpoint(t);
  const server = await withHook(t, hook.url.replace("127.0.0.1", "localhost"), { targets: "10.0.0.0/8", args: ["--webhook-retry-for", "0s"] });
  const alice = await connect(t, server);
  const room = await enter(alice, newChat(), { dialect: "documented" });
  await say(alice, room, "hello");
  await until(async () => (await command(["webhook", "dead"], { dir: server.dir })).stdout, (s) => /address is private/.test(s));
  assert.equal(hook.tried.length, 0);
});

test("filters, many chats and a restart in the middle: each event once or with the same id, in order", longOnly, async (t) => {
  const hook = await endpoint(t, { answer: (m, n) => (n % 7 === 0 ? 503 : 200) });
  const dir = folder();
  let server = await withHook(t, hook.url, { dir, hook: { events: ["message", "turn"], users: ["alice"] } });
  const listen = new URL(server.url).host;
  const alice = await connect(t, server);
  const bob = await connect(t, server, { user: "bob" });
  const other = await enter(bob, newChat(), { dialect: "documented" });
  await say(bob, other, "not for the hook");
  const rooms = [];
  for (let i = 0; i < 10; i++) rooms.push(await enter(alice, newChat(), { dialect: "documented" }));
  await Promise.all(rooms.map((room) => ask(alice, "send_message", { room_id: room, message: "x" })));
  await server.kill();
  server = await withHook(t, hook.url, { dir, listen, hook: { events: ["message", "turn"], users: ["alice"] } });
  const ended = () => new Set(hook.got.filter((m) => m.type === "turn" && m.data.state === "completed").map((m) => m.room_id)).size;
  await until(ended, (n) => n === rooms.length, { timeout: 60_000 });
  for (const room of rooms) {
    const seen = new Set();
    const first = hook.got.filter((m) => m.room_id === room && !seen.has(m.id) && seen.add(m.id));
    assert.deepEqual(first.map((m) => m.seq), first.map((m) => m.seq).sort((a, b) => a - b), room);
    assert.deepEqual(first.filter((m) => m.type === "message").map((m) => m.data.message.role), ["user", "assistant"]);
  }
  assert.equal(hook.got.some((m) => m.room_id === other), false);
});

test("a hook is told that a call waits for approval while nobody is there, and what was decided", longOnly, async (t) => {
  const hook = await endpoint(t);
  const webhooks = [{ name: "crm", url: hook.url, secret_var: "CRM_SECRET", events: ["function_call", "approval", "turn"] }];
  const { start, pay } = await world(t, {
    approval: "ask", answers: { go: calls(["pay", { sum: 1 }]), paid: [{ content: "Done." }, "stop"] }, env: { CRM_SECRET: secret },
    args: ["--private-targets", "127.0.0.0/8", "--webhooks", JSON.stringify(webhooks)],
  });
  const server = await start();
  const chat = newChat();
  const post = (path, body) => fetch(`${server.url}/api/v1${path}`, { method: "POST", headers: { "X-Parlor-User": "alice" }, body: JSON.stringify(body) });
  await post("/ui/chat", { id: chat, message: { id: "m1", role: "user", parts: [{ type: "text", text: "go" }] } }).then((r) => r.text());
  const { data: call } = await until(() => hook.got.find((m) => m.type === "function_call"), Boolean);
  assert.deepEqual([call.function_name, call.needs_approval, call.arguments, pay.ran], ["pay", true, { sum: 1 }, []]);
  await until(() => hook.got.find((m) => m.type === "turn" && m.data.state === "waiting"), Boolean);
  assert.equal((await post(`/chat/${chat}/calls/${call.call_id}`, { decision: "approve" })).status, 200);
  const { data: told } = await until(() => hook.got.find((m) => m.type === "approval"), Boolean);
  assert.deepEqual([told.call_id, told.decision, told.by], [call.call_id, "approve", "alice"]);
  await until(() => pay.ran.length, (n) => n === 1);
  assert.deepEqual(hook.faults, []);
});

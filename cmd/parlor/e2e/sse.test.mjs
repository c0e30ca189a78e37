// Server-sent events: with curl, through nginx, and with EventSource, over cuts and kill -9.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { EventSource } from "eventsource";
import { ask, command, connect, enter, folder, newChat, serve, story, until } from "./lib/parlor.mjs";
import { proxy } from "./lib/proxy.mjs";
import { longOnly } from "./lib/random.mjs";
import { curl, view } from "./lib/sse.mjs";

const secret = "an-e2e-secret-of-thirty-two-bytes!";
const env = { PARLOR_JWT_SECRET: secret };
const tokenOf = async (dir, user) => (await command(["token", "--user", user], { dir, env })).stdout.trim();

/** nginx in front of a server, as docs/proxies.md has it, but with the buffering that it has by default. */
async function nginx(t, server) {
  const dir = folder();
  const probe = net.createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  await new Promise((done) => probe.close(done));
  writeFileSync(join(dir, "nginx.conf"), `
    daemon off; pid ${dir}/pid; error_log stderr; worker_processes 1; events { worker_connections 64; }
    http {
      access_log off;
      ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${dir}/${name};`).join(" ")}
      server {
        listen 127.0.0.1:${port};
        location / {
          proxy_pass ${server.url};
          proxy_http_version 1.1;
          proxy_set_header Host $http_host;
          proxy_set_header Connection "";
          proxy_read_timeout 90s;
        }
      }
    }`);
  const child = spawn("nginx", ["-p", dir, "-c", join(dir, "nginx.conf")], { stdio: "ignore" });
  const exited = once(child, "exit");
  t.after(() => { child.kill(); return exited; });
  const url = `http://127.0.0.1:${port}`;
  await until(() => fetch(`${url}/healthz`).then((r) => r.ok, () => false), Boolean);
  return { url };
}

const missing = ["nginx", "curl"].find((program) => spawnSync(program, ["-V"]).error);

test("curl follows a room through nginx with cuts, and sees what a socket sees", { skip: missing && `no ${missing}` }, async (t) => {
  const dir = folder();
  const server = await serve(t, { dir, env, args: ["--eliza-word-delay", "30ms"] });
  const token = await tokenOf(dir, "alice");
  const alice = await connect(t, server, { auth: { token } });
  const witness = await connect(t, server, { auth: { token } });
  const chat = newChat();
  const room = await enter(witness, chat, { dialect: "documented" });
  const network = await proxy(t, (await nginx(t, server)).url);
  const url = `${network.url}/api/v1/chat/${chat}/events`;

  const seen = [];
  const ended = () => witness.seen.filter((e) => e.name === `stream_end ${room}`).length;
  let stream = curl(t, `${url}?after=0`, { token });
  for (const [i, text] of [20, 21, 22].map(story).entries()) {
    await ask(alice, "send_message", { room_id: room, message: text });
    await until(() => stream.seen.some((e) => e.event === "stream_chunk"), Boolean); // in the middle of an answer
    network.limit(1200 + 100 * i); // the next connection ends in the middle of an event
    await network.cut();
    await stream.ended;
    const short = curl(t, url, { token, id: stream.id });
    await until(ended, (n) => n > i);
    short.stop();
    await short.ended;
    seen.push(...stream.seen, ...short.seen);
    stream = curl(t, url, { token, id: short.id });
  }
  await until(() => witness.seen.filter((e) => e.name === `turn ${room}` && e.body.state === "completed").length, (n) => n === 3);
  const wanted = view(witness.seen.filter((e) => e.name.endsWith(` ${room}`)).map((e) => ({ event: e.name.split(" ")[0], data: e.body })));
  await until(() => view([...seen, ...stream.seen]).records.length, (n) => n >= wanted.records.length);
  stream.stop();
  const got = view([...seen, ...stream.seen]);
  assert.deepEqual(got.records, wanted.records);
  for (const [id, text] of Object.entries(got.texts)) assert.ok(wanted.texts[id].startsWith(text), "what was streamed is no other text");
});

test("an EventSource comes back by itself after kill -9 in mid-answer, and a stream ends with the server", longOnly, async (t) => {
  const dir = folder();
  const args = ["--eliza-word-delay", "100ms"];
  let server = await serve(t, { dir, args });
  const listen = new URL(server.url).host;
  const api = (path, body) => fetch(`${server.url}/api/v1${path}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const { chat_id: chat } = await (await api("/chat", { model_id: "eliza" })).json();

  const source = new EventSource(`${server.url}/api/v1/chat/${chat}/events`);
  t.after(() => source.close());
  const seen = [];
  for (const name of ["room_joined", "message", "turn", "stream_start", "stream_chunk", "stream_end"]) {
    source.addEventListener(name, (e) => seen.push({ event: name, data: JSON.parse(e.data), id: e.lastEventId }));
  }
  await until(() => seen.length, Boolean);
  const say = { content: story(20), client_message_id: "once" };
  const first = await api(`/chat/${chat}/messages`, say);
  assert.equal(first.status, 201);
  await until(() => seen.filter((e) => e.event === "stream_chunk").length, (n) => n >= 2);
  await server.kill();
  server = await serve(t, { dir, args, listen });
  await until(() => seen.some((e) => e.event === "stream_end"), Boolean);
  const again = await api(`/chat/${chat}/messages`, say);
  assert.equal(again.status, 200);
  assert.deepEqual(await again.json(), await first.json());

  const { records, texts } = view(seen);
  const numbers = records.map(([name, data]) => data.seq ?? data.message.seq);
  assert.deepEqual(numbers, [...numbers].sort((a, b) => a - b), "in order");
  assert.deepEqual(new Set(numbers), new Set(Array.from({ length: numbers.at(-1) - 1 }, (_, i) => i + 2)), "without gaps");
  assert.equal(new Set(records.map((r) => JSON.stringify(r))).size, records.length, "nothing twice");
  const answer = records.find(([name, data]) => name === "message" && data.message.role === "assistant")[1].message;
  assert.ok(answer.content.startsWith(texts[answer.message_id]) && texts[answer.message_id].length > 0);

  const stream = curl(t, `${server.url}/api/v1/chat/${chat}/events?after=0`);
  await until(() => stream.seen.some((e) => e.event === "turn"), Boolean);
  const stopped = performance.now();
  await server.kill("SIGTERM");
  await stream.ended;
  assert.ok(performance.now() - stopped < 5_000, "the server does not wait for its streams");
  assert.deepEqual([stream.seen.at(-1).event, stream.seen.at(-1).data.code], ["error", "busy"]);
});

test("one feed of all chats, cut and resumed, says what the streams of the chats say", async (t) => {
  const dir = folder();
  let server = await serve(t, { dir, args: ["--eliza-word-delay", "20ms"] });
  const listen = new URL(server.url).host;
  const network = await proxy(t, server.url);
  const api = (path, body) => fetch(`${server.url}/api/v1${path}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const seen = [];
  let feed = curl(t, `${network.url}/api/v1/events`);
  await until(() => feed.id, Boolean);
  const chats = [];
  for (let i = 0; i < 3; i++) {
    const { chat_id: chat } = await (await api("/chat", { model_id: "eliza" })).json();
    chats.push(chat);
    for (const to of chats) assert.equal((await api(`/chat/${to}/messages`, { content: `I need ${i}` })).status, 201);
    await until(() => feed.seen.some((e) => e.event === "stream_chunk" && e.data.chat_id === chat), Boolean);
    if (i === 1) {
      await server.kill();
      server = await serve(t, { dir, args: ["--eliza-word-delay", "20ms"], listen });
    }
    await network.cut();
    await feed.ended;
    seen.push(...feed.seen);
    feed = curl(t, `${network.url}/api/v1/events`, { id: feed.id });
  }
  const got = () => view([...seen, ...feed.seen].filter((e) => e.id)); // of what is recorded
  for (const chat of chats) {
    const one = curl(t, `${server.url}/api/v1/chat/${chat}/events?after=0`);
    const wanted = () => view(one.seen).records.filter(([, data]) => data.seq !== 1);
    const turns = 3 - chats.indexOf(chat);
    await until(() => wanted().filter(([name]) => name === "stream_end").length, (n) => n === turns);
    const told = () => got().records.filter(([, data]) => data.chat_id === chat).map(([name, { chat_id, ...data }]) => [name, data]);
    await until(() => told().length, (n) => n >= wanted().length);
    assert.deepEqual(told(), wanted());
  }
  assert.equal((await fetch(`${server.url}/api/v1/chat/${chats[0]}`, { method: "DELETE" })).status, 200);
  const gone = await until(() => feed.seen.find((e) => e.event === "error"), Boolean);
  assert.deepEqual([gone.data.chat_id, gone.data.code], [chats[0], "not_found"]);
});

test("a stream ends when its key is revoked, its user is disabled, or its listener is removed", async (t) => {
  const dir = folder();
  const server = await serve(t, { dir, env });
  const run = (...args) => command([...args, "--data", join(dir, "parlor.db")], { dir, env });
  const alice = await connect(t, server, { auth: { token: await tokenOf(dir, "alice") } });
  const chat = newChat();
  await enter(alice, chat);
  const owner = { Authorization: `Bearer ${await tokenOf(dir, "alice")}`, "Content-Type": "application/json" };
  const member = (method) => fetch(`${server.url}/api/v1/chat/${chat}/members/bob`, { method, headers: owner, body: method === "PUT" ? `{"role":"viewer"}` : undefined });
  await member("PUT");
  const url = `${server.url}/api/v1/chat/${chat}/events`;
  const ends = async (token, code, end) => {
    const stream = curl(t, url, { token });
    await until(() => stream.seen.length, Boolean);
    await end();
    await stream.ended;
    assert.deepEqual([stream.seen.at(-1).event, stream.seen.at(-1).data.code], ["error", code]);
    };
  const key = /pk_\S+/.exec((await run("key", "add", "--user", "bob", "--scope", "read")).stdout)[0];
  await ends(key, "unauthenticated", async () => {
    const id = /\S+/.exec((await run("key", "list")).stdout.split("\n").find((line) => line.includes("bob")))[0];
    assert.equal((await run("key", "revoke", id)).status, 0);
  });
  assert.equal((await fetch(url, { headers: { Authorization: `Bearer ${key}` } })).status, 401);
  await ends(await tokenOf(dir, "bob"), "not_found", () => member("DELETE"));
  await member("PUT");
  await run("user", "add", "bob");
  await ends(await tokenOf(dir, "bob"), "unauthenticated", () => run("user", "disable", "bob"));
});

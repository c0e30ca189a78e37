// How a server starts, stops and is replaced: answers that run may end, nobody is refused, nothing is missed.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { certificate } from "./lib/certificate.mjs";
import { longOnly } from "./lib/random.mjs";
import { ask, binary, command, connect, enter, event, events, folder, messages, newChat, serve, sleep, story, until } from "./lib/parlor.mjs";

const say = (socket, room, content) => ask(socket, "send_message", { room_id: room, message: { content, client_message_id: crypto.randomUUID() } });

/** Answers of a path on connections that stay open. */
function kept(t, server) {
  const agent = new http.Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  return async (path) => {
    const [response] = await once(http.get(server.url + path, { agent }), "response");
    return { status: response.statusCode, body: JSON.parse((await response.setEncoding("utf8").toArray()).join("")) };
  };
}

test("a server that is stopped lets its answers end, and begins none", async (t) => {
  const dir = folder();
  const slow = ["--eliza-word-delay", "100ms", "--drain-timeout", "20s"];
  const server = await serve(t, { dir, args: slow });
  const [chat, other] = [newChat(), newChat()];
  const socket = await connect(t, server, { reconnection: false });
  const [room, second] = [await enter(socket, chat), await enter(socket, other)];
  const ready = kept(t, server);
  assert.deepEqual(await ready("/readyz"), { status: 200, body: { status: "ready" } });

  await say(socket, room, story(12));
  await event(socket, `stream_chunk ${room}`);
  process.kill(server.pid, "SIGTERM");
  await until(() => server.log.some((line) => line.includes("msg=stopping")), Boolean);
  assert.deepEqual(await ready("/readyz"), { status: 503, body: { status: "stopping" } });
  await assert.rejects(fetch(`${server.url}/healthz`), "a new connection is refused");
  const queued = await say(socket, second, "answer me later");
  assert.ok(queued.ok);

  await event(socket, `turn ${room}`, (turn) => turn.state === "completed");
  assert.equal(events(socket, `turn ${second}`).filter((turn) => turn.state === "running").length, 0);
  const [reason] = socket.connected ? await once(socket, "disconnect") : ["transport close"];
  assert.notEqual(reason, "io server disconnect");
  assert.deepEqual(await server.exited, [0, null]);

  const next = await serve(t, { dir });
  const answered = await until(() => messages(next, other), (all) => all.length === 2);
  assert.equal(answered[0].content, "answer me later");
  assert.equal((await messages(next, chat)).length, 2);
});

for (const transport of ["polling", "websocket"])
  test(`clients on ${transport} are told nothing that would keep them away, and come back to all they had`, longOnly, async (t) => {
    const dir = folder();
    const server = await serve(t, { dir });
    const packets = [];
    const sockets = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const socket = await connect(t, server, { transports: [transport], reconnectionDelay: 20, reconnectionDelayMax: 50 });
        await enter(socket, newChat());
        socket.io.engine.on("packet", ({ type, data }) => packets.push(`${type} ${data ?? ""}`));
        return socket;
      }),
    );
    const reasons = sockets.map((socket) => once(socket, "disconnect").then(([reason]) => reason));
    assert.deepEqual(await server.kill("SIGTERM"), [0, null]);
    assert.ok(!(await Promise.all(reasons)).includes("io server disconnect"));
    assert.ok(!packets.some((packet) => packet.startsWith("message 41")), packets.join()); // DISCONNECT
    await serve(t, { dir, listen: new URL(server.url).host });
    await until(() => sockets.every((socket) => socket.connected && socket.recovered), Boolean);
  });

test("an answer that does not end in drain-timeout begins again", async (t) => {
  const dir = folder();
  const server = await serve(t, { dir, args: ["--eliza-word-delay", "1m", "--drain-timeout", "300ms"] });
  const chat = newChat();
  const socket = await connect(t, server, { reconnection: false });
  const room = await enter(socket, chat);
  await say(socket, room, "Hello");
  await event(socket, `turn ${room}`, (turn) => turn.state === "running");
  process.kill(server.pid, "SIGTERM");
  await until(() => server.log.some((line) => line.includes("msg=stopping")), Boolean);
  const hangups = setInterval(() => process.kill(server.pid, "SIGHUP"), 5); // they neither end it nor reload anything
  const exited = await server.exited.finally(() => clearInterval(hangups));
  assert.deepEqual(exited, [0, null]);
  assert.ok(!server.log.some((line) => line.includes("reload:")), server.log.join("\n"));
  const next = await serve(t, { dir });
  await until(() => messages(next, chat), (all) => all.length === 2);
});

/** Runs a command again and again with a listening socket that it keeps, as systemd does, until it is killed. */
const keeper = `ulimit -Sn 256; while :; do
  sh -c 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"' "$0" "$@" & echo "pid $!"; trap "kill $!; wait; exit" TERM; wait $!
done`;

test("a socket that systemd keeps refuses nobody while the server starts again", async (t) => {
  const listener = net.createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const port = listener.address().port;
  const args = ["serve", "--listen", "systemd", "--data", join(folder(), "parlor.db")];
  const child = spawn("sh", ["-c", keeper, binary, ...args], {
    env: { PATH: process.env.PATH, GORACE: "atexit_sleep_ms=0", PARLOR_JWT_SECRET: "0123456789abcdef0123456789abcdef" },
    stdio: ["ignore", "pipe", "pipe", listener._handle.fd],
  });
  t.after(() => (child.kill("SIGTERM"), once(child, "exit")));
  listener.close(); // it is the keeper's alone from here on
  const log = [];
  for (const input of [child.stdout, child.stderr]) createInterface({ input }).on("line", (line) => log.push(line));
  const started = (n) => until(() => log.filter((line) => line.includes(`listening on http://127.0.0.1:${port}`)).length, (times) => times >= n);
  await started(1);
  assert.ok(!log.some((line) => line.includes("files=256 ")), "the limit of open files is not raised");

  let [stop, answers] = [false, 0];
  const askAlways = async () => {
    for (; !stop; answers++) {
      const [response] = await once(http.get({ port, path: "/healthz", agent: false }), "response"); // a refusal rejects
      assert.equal(response.statusCode, 200);
      response.resume();
      await sleep(5);
    }
  };
  const asked = Promise.all(Array.from({ length: 16 }, askAlways));
  for (let n = 2; n <= 4; n++) {
    process.kill(Number(log.findLast((line) => line.startsWith("pid ")).slice(4)), "SIGTERM");
    await started(n);
    const before = answers;
    await Promise.race([until(() => answers, (now) => now > before + 50), asked]);
  }
  stop = true;
  await asked;
});

test("TLS from files, with another certificate after a hangup; a Unix socket", async (t) => {
  const dir = folder();
  const [cert, key] = [join(dir, "cert.pem"), join(dir, "key.pem")];
  const write = (pair) => [writeFileSync(cert, pair.cert), writeFileSync(key, pair.key)];
  const pairs = [certificate(), certificate()];
  write(pairs[0]);
  const server = await serve(t, { dir, args: ["--tls-cert-file", cert, "--tls-key-file", key] });
  assert.match(server.url, /^https:/);
  const socket = await connect(t, server, { ca: pairs[0].cert });
  const room = await enter(socket, newChat());
  assert.ok((await say(socket, room, "Hello")).ok);

  write(pairs[1]);
  process.kill(server.pid, "SIGHUP");
  await until(() => server.log.some((line) => line.includes("another certificate")), Boolean);
  const [response] = await once(https.get(`${server.url}/healthz`, { ca: pairs[1].cert, agent: false }), "response");
  assert.equal(response.statusCode, 200);
  response.resume();

  const path = join(dir, "s");
  const local = await serve(t, { listen: `unix:${path}` });
  assert.equal(local.url, `unix:${path}`);
  const [answer] = await once(http.get({ socketPath: path, path: "/readyz", headers: { Host: "localhost" } }), "response");
  assert.equal(answer.statusCode, 200);
  answer.resume();
});

test("a hangup brings other models, budgets and keys", async (t) => {
  const dir = folder();
  const secrets = ["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"];
  const config = (secret, models, rest = "") =>
    writeFileSync(join(dir, "parlor.yaml"), `jwt-secret: ${secret}\ndiscover: off\nmodels: [${models.map((id) => `{model_id: ${id}, provider: eliza}`)}]\n${rest}`, { mode: 0o600 });
  const token = async (secret) => (await command(["token", "--user", "alice", "--jwt-secret", secret], { dir })).stdout.trim();
  config(secrets[0], ["first"]);
  const server = await serve(t, { dir });
  const [before, after] = [await token(secrets[0]), await token(secrets[1])];
  const get = (path, bearer) => fetch(server.url + path, { headers: { Authorization: `Bearer ${bearer}` } });
  const listed = async (bearer) => (await (await get("/api/v1/model", bearer)).json()).models.map((model) => model.model_id);
  assert.equal((await get("/api/v1/model", after)).status, 401);
  const socket = await connect(t, server, { auth: { token: before } });
  const room = await enter(socket, newChat(), { model: "first" });

  config(secrets[1], ["first", "second"], "budgets: [{user: '*', period: day, tokens: 1}]\nwindow: 9\n");
  process.kill(server.pid, "SIGHUP");
  await until(() => server.log.some((line) => line.includes("need a restart") && line.includes("window")), Boolean);
  assert.deepEqual((await listed(after)).slice(0, 2), ["first", "second"]);
  assert.equal((await get("/api/v1/model", before)).status, 401);
  const refused = await say(socket, room, "I feel sad today, and I say so at some length"); // it stays signed in
  assert.equal(refused.error?.code, "budget_exceeded", JSON.stringify(refused));

  writeFileSync(join(dir, "parlor.yaml"), "models: 7\n");
  process.kill(server.pid, "SIGHUP");
  await until(() => server.log.some((line) => line.includes("nothing was changed")), Boolean);
  assert.deepEqual((await listed(after)).slice(0, 2), ["first", "second"]);
});

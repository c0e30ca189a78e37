// Servers of the Model Context Protocol: those that others run, unmodified, and one that misbehaves.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { calls, modelServer } from "./lib/model.mjs";
import { ask, connect, enter, event, newChat, serve, sleep, until } from "./lib/parlor.mjs";
import { longOnly } from "./lib/random.mjs";

const script = (name) => new URL(`node_modules/@modelcontextprotocol/server-${name}/dist/index.js`, import.meta.url).pathname;
const npm = (name, ...args) => ({ command: process.execPath, args: [script(name), ...args], approval: "never" });

/** A server that misbehaves as its argument says. It has the tools pid and echo. */
const odd = (...how) => ({ command: process.execPath, args: [new URL("lib/oddmcp.mjs", import.meta.url).pathname, ...how], approval: "never" });

/**
 * Starts parlor with servers, and a chat with a model that may call all their tools. run has the model call one by
 * the name that it knows it by, and returns what it is told.
 */
async function world(t, servers, { env = {} } = {}) {
  const answers = new Proxy({}, { get: (_, words) => (words.startsWith("call ") ? calls(...JSON.parse(words.slice(5))) : undefined) });
  const model = await modelServer(t, answers);
  const server = await serve(t, {
    args: [
      "--models", JSON.stringify([{ model_id: "m", provider: "openai", tools: Object.keys(servers).map((name) => `${name}/*`) }]),
      "--mcp_servers", JSON.stringify(servers),
    ],
    env: { OPENAI_BASE_URL: model.url, HOME: process.env.HOME, ...env },
  });
  const alice = await connect(t, server);
  const room = await enter(alice, newChat(), { model: "m", dialect: "documented" });
  const start = async (...list) => {
    const before = alice.seen.length;
    await ask(alice, "send_message", { room_id: room, message: `call ${JSON.stringify(list)}` });
    return before;
  };
  const run = async (name, args = {}) => {
    const before = await start([name, args]);
    const ended = () => alice.seen.slice(before).find((e) => e.name === `turn ${room}` && e.body.state === "completed");
    await until(ended, Boolean);
    return alice.seen.slice(before).find((e) => e.name === `function_result ${room}`).body;
  };
  return { server, alice, room, start, run, logged: (pattern) => until(() => server.log.find((line) => pattern.test(line)), Boolean, { timeout: 60_000 }) };
}

/** Whether a process lives. */
const lives = (pid) => existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));

/** A port that was free a moment ago. */
async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}

/** Runs the server everything over streamable HTTP. */
async function everything(t, port) {
  const child = spawn(process.execPath, [script("everything"), "streamableHttp"], { env: { ...process.env, PORT: port }, stdio: ["ignore", "ignore", "pipe"] });
  const exited = once(child, "exit");
  t.after(() => child.kill("SIGKILL"));
  await new Promise((resolve) => child.stderr.on("data", (text) => /listening/.test(text) && resolve()));
  return { async kill() { child.kill("SIGKILL"); await exited; } };
}

test("the tools of a server on stdin and of one behind a URL are called, and survive their servers", async (t) => {
  const port = await freePort();
  const remote = await everything(t, port);
  const { run, logged, server } = await world(t, { odd: odd("stray"), web: { url: `http://127.0.0.1:${port}/mcp`, approval: "never" } });
  await logged(/MCP server connected.*server=odd.*tools=4/);
  await logged(/MCP server connected.*server=web.*tools=1\d/);
  assert.equal((await run("web_echo", { message: "hello" })).result, "Echo: hello");
  const wrong = await run("web_get-sum", { a: "x" });
  assert.deepEqual([wrong.state, /schema/.test(wrong.result)], ["failed", true], wrong.result);
  const pid = Number((await run("odd_pid")).result);
  process.kill(pid, "SIGKILL");
  await logged(/MCP server is not connected.*server=odd.*killed/);
  assert.match((await run("odd_pid")).result, /not run.*odd is not connected \(restarting\)|^\d+$/s);
  await remote.kill();
  assert.match((await run("web_echo", { message: "hello" })).result, /not run/);
  await everything(t, port);
  const again = await until(() => run("web_echo", { message: "again" }), (r) => r.state === "completed");
  assert.equal(again.result, "Echo: again");
  const fresh = Number((await until(() => run("odd_pid"), (r) => r.state === "completed")).result);
  assert.notEqual(fresh, pid);
  await server.kill();
  await until(() => lives(fresh), (alive) => !alive, { timeout: 5_000 });
});

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
import { ask, command, connect, enter, event, newChat, serve, sleep, until } from "./lib/parlor.mjs";
import { longOnly } from "./lib/random.mjs";

const script = (name) => new URL(`node_modules/@modelcontextprotocol/server-${name}/dist/index.js`, import.meta.url).pathname;
const npm = (name, ...args) => ({ command: process.execPath, args: [script(name), ...args], approval: "never" });

/** A server that misbehaves as its argument says. It has the tools pid and echo. */
const odd = (...how) => ({ command: process.execPath, args: [new URL("lib/oddmcp.mjs", import.meta.url).pathname, ...how], approval: "never" });

/**
 * Starts parlor with servers, and a chat with a model that may call all their tools. run has the model call one by
 * the name that it knows it by, and returns what it is told.
 */
async function world(t, servers, { env = {}, dir } = {}) {
  const answers = new Proxy({}, { get: (_, words) => (words.startsWith("call ") ? calls(...JSON.parse(words.slice(5))) : undefined) });
  const model = await modelServer(t, answers);
  const server = await serve(t, {
    dir,
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
  const { run, logged, server, alice, room } = await world(t, { odd: odd("stray"), web: { url: `http://127.0.0.1:${port}/mcp`, approval: "never" } });
  await logged(/MCP server connected.*server=odd.*tools=4/);
  await logged(/MCP server connected.*server=web.*tools=1\d/);
  const shown = await command(["tools", "--data", join(server.dir, "parlor.db")], { dir: server.dir });
  assert.match(shown.stdout, /^odd +connected +4 .*^web +connected .*^odd\/pid +never /ms, shown.stderr);
  assert.equal((await run("web_echo", { message: "hello" })).result, "Echo: hello");
  const before = alice.seen.length;
  await run("web_trigger-long-running-operation", { duration: 1.2, steps: 3 });
  const progress = alice.seen.slice(before).filter((e) => e.name === `function_progress ${room}`).map((e) => e.body);
  const steps = progress.map((p) => [p.function_name, p.progress, p.total]); // those that come at once are told as one
  assert.deepEqual(steps[0], ["web/trigger-long-running-operation", 1, 3]);
  const wrong = await run("web_get-sum", { a: "x" });
  assert.deepEqual([wrong.state, /schema/.test(wrong.result)], ["failed", true], wrong.result);
  const pid = Number((await run("odd_pid")).result);
  process.kill(pid, "SIGKILL");
  await logged(/MCP server is not connected.*server=odd.*killed/);
  assert.match((await run("odd_pid")).result, /not run.*odd is not connected \(restarting\)|^\d+$/s);
  await remote.kill();
  assert.equal((await run("web_echo", { message: "hello" })).state, "failed");
  await everything(t, port);
  const again = await until(() => run("web_echo", { message: "again" }), (r) => r.state === "completed");
  assert.equal(again.result, "Echo: again");
  const fresh = Number((await until(() => run("odd_pid"), (r) => r.state === "completed")).result);
  assert.notEqual(fresh, pid);
  await server.kill();
  await until(() => lives(fresh), (alive) => !alive, { timeout: 5_000 });
});

test("the servers of the project itself list, answer and refuse, and a call of one can be stopped", longOnly, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "parlor-mcp-"));
  writeFileSync(join(dir, "note.txt"), "milk and bread");
  const port = await freePort();
  await everything(t, port);
  const { run, start, logged, alice, room, server } = await world(t, {
    web: { url: `http://127.0.0.1:${port}/mcp`, approval: "never" },
    every: { ...npm("everything"), env: { GREETING: "${GREETING}" } }, files: npm("filesystem", dir),
    memory: { ...npm("memory"), env: { MEMORY_FILE_PATH: join(dir, "memory.json") } },
  }, { env: { GREETING: "hello", SECRET: "ours" } });
  for (const [name, n] of [["every", 15], ["web", 15], ["files", 14], ["memory", 11]]) await logged(new RegExp(`MCP server connected.*server=${name}.*tools=${n}`));

  assert.equal((await run("every_echo", { message: "hi" })).result, "Echo: hi");
  assert.match((await run("every_get-sum", { a: 2, b: 3 })).result, /5/);
  const env = (await run("every_get-env")).result;
  assert.match(env, /"GREETING": "hello"/);
  assert.doesNotMatch(env, /SECRET/);
  assert.match((await run("every_get-tiny-image")).result, /\[an image, image\/png, \d+ bytes/);
  const structured = (await run("every_get-structured-content", { location: "New York" })).result;
  assert.equal(structured.match(/temperature/g).length, 1, structured);
  assert.match((await run("every_get-resource-reference", { resourceType: "Blob", resourceId: 1 })).result, /which cannot be shown here/);
  assert.match((await run("every_trigger-long-running-operation", { duration: 1, steps: 5 })).result, /completed/);
  for (const name of ["every", "web"]) {
    assert.match((await run(`${name}_list_resources`)).result, /^template demo:\/\/resource\/dynamic\/text\/\{resourceId\}/m);
    assert.match((await run(`${name}_read_resource`, { uri: "demo://resource/dynamic/text/1" })).result, /^\[demo:\/\/resource\/dynamic\/text\/1\]\n.*plaintext/);
  }
  assert.equal((await run("every_read_resource", { uri: "demo://none" })).state, "failed");
  const prompts = async (body) => (await fetch(`${server.url}/api/v1/tools/prompts`, { ...(body && { method: "POST", body: JSON.stringify(body) }), headers: { "X-Parlor-User": "bob" } })).json();
  const { prompts: listed, missing } = await prompts();
  assert.deepEqual(missing, []);
  assert.deepEqual(listed.find((p) => p.name === "args-prompt").arguments.map((a) => [a.name, a.required]), [["city", true], ["state", false]]);
  assert.match((await prompts({ server: "every", name: "args-prompt", arguments: { city: "Oslo" } })).messages[0].content, /Oslo/);
  assert.equal((await prompts({ server: "every", name: "args-prompt" })).code, "provider_error");

  assert.match((await run("files_read_text_file", { path: join(dir, "note.txt") })).result, /milk and bread/);
  for (const path of ["/etc/passwd", join(dir, "none.txt")]) assert.equal((await run("files_read_text_file", { path })).state, "failed");
  assert.match((await run("files_read_text_file", {})).result, /path/);
  await run("files_write_file", { path: join(dir, "new.txt"), content: "butter" });
  assert.equal(readFileSync(join(dir, "new.txt"), "utf8"), "butter");

  await run("memory_create_entities", { entities: [{ name: "Ann", entityType: "person", observations: ["likes tea"] }] });
  assert.match((await run("memory_search_nodes", { query: "tea" })).result, /Ann/);
  assert.equal((await run("memory_create_entities", { entities: "Ann" })).state, "failed");

  for (const name of ["every", "web"]) {
    const before = await start([`${name}_trigger-long-running-operation`, { duration: 60, steps: 120 }]);
    await until(() => alice.seen.slice(before).some((e) => e.name === `function_progress ${room}`), Boolean);
    await ask(alice, "stop", { room_id: room });
    await until(() => alice.seen.slice(before).some((e) => e.name === `turn ${room}` && e.body.state === "stopped"), Boolean);
    assert.equal((await run(`${name}_echo`, { message: "still here" })).result, "Echo: still here");
  }
  assert.ok(!server.log.some((line) => /MCP server is not connected/.test(line)));
});

test("a server that floods, hangs, dies or is silent hurts no other", longOnly, async (t) => {
  const { run, logged, server } = await world(t, {
    flood: odd("flood", "noise"), silent: { ...odd("silent"), start_timeout: "2s" }, exit: odd("exit"), none: { command: "/no/such/program" },
    odd: { ...odd(), idle_timeout: "1s", total_timeout: "4s" },
  });
  await logged(/MCP server connected.*server=odd/);
  await logged(/server=silent.*did not answer within 2s/);
  await logged(/server=exit.*exit status 3.*ODD_KEY is missing/);
  await logged(/server=none.*no such file/);
  for (let i = 0; i < 5; i++) assert.equal((await run("flood_echo", { i })).result, JSON.stringify({ i }));
  assert.match((await run("odd_hang")).result, /no sign of life for 1s; nobody knows/);
  assert.equal((await run("odd_hang", { after: 2500, progress: true })).result, "at last");
  assert.match((await run("odd_hang", { progress: true })).result, /did not answer within 4s; nobody knows/);
  assert.match((await run("odd_big")).result, /at most 4194304 are read/);
  assert.match((await run("odd_big", { bytes: 1 << 20 })).result, /cut: this is the beginning of 1048576 bytes/);
  assert.match((await run("odd_hang", { die: true })).result, /exit status 7.*nobody knows/);
  const again = await until(() => run("odd_pid"), (r) => r.state === "completed");
  assert.match(again.result, /^\d+$/);
  await logged(/server=exit.*MCP server failed|MCP server failed.*server=exit/);
  assert.ok(server.log.filter((line) => /no message/.test(line)).length < 10);
});

test("no process is left after kill -9 of parlor, nor after its end", longOnly, async (t) => {
  for (const signal of ["SIGKILL", "SIGTERM"]) {
    const { run, start, server } = await world(t, { a: odd("stubborn", "child"), b: npm("everything"), c: odd("child") });
    await until(() => run("a_pid"), (r) => r.state === "completed");
    await until(() => run("c_pid"), (r) => r.state === "completed");
    await start(["b_trigger-long-running-operation", { duration: 60, steps: 60 }]);
    await sleep(1000);
    const all = descendants(server.pid);
    assert.ok(all.length >= 8, `${all.length} processes`);
    await server.kill(signal);
    await until(() => all.filter(lives), (left) => left.length === 0, { timeout: 10_000 });
  }
});

test("what is left when parlor and its guards are killed together is ended by the next start", longOnly, async (t) => {
  const servers = { a: odd("stubborn", "child") };
  const { run, server } = await world(t, servers);
  const pid = Number((await until(() => run("a_pid"), (r) => r.state === "completed")).result);
  const all = descendants(server.pid);
  for (const one of [server.pid, ...all.filter((p) => p !== pid)]) process.kill(one, "SIGKILL");
  await server.exited;
  assert.ok(lives(pid));
  const next = await world(t, servers, { dir: server.dir });
  assert.match(await next.logged(/left running/), /processes=1/);
  await until(() => lives(pid), (alive) => !alive, { timeout: 5_000 });
});

/** The processes that a process has started, and those that they have. */
function descendants(pid) {
  const parent = new Map();
  for (const entry of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      parent.set(Number(entry), Number(readFileSync(`/proc/${entry}/stat`, "utf8").split(") ").at(-1).split(" ")[1]));
    } catch {
      // it has ended meanwhile
    }
  }
  const below = [];
  for (const above of [pid]) collect(above);
  function collect(above) {
    for (const [child, of] of parent) {
      if (of !== above) continue;
      below.push(child);
      collect(child);
    }
  }
  return below;
}

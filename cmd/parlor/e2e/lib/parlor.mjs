// A parlor or parlor-echo process under test, and clients of it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { io } from "socket.io-client";

const built = (name) => new URL(`../../../../bin/${name}`, import.meta.url).pathname;
export const binary = process.env.PARLOR ?? built("parlor");
const echoBinary = process.env.PARLOR_ECHO ?? built("parlor-echo");

const folders = [];
process.on("exit", () => folders.forEach((dir) => rmSync(dir, { recursive: true, force: true })));

/** A folder for a database, removed at the end, when no server of any test is left to write to it. */
export function folder() {
  folders.push(mkdtempSync(join(tmpdir(), "parlor-e2e-")));
  return folders.at(-1);
}

/** Starts `parlor serve` on a free port and waits until it listens. */
export async function serve(t, { args = [], env = {}, dir = folder(), listen = "127.0.0.1:0" } = {}) {
  const all = ["serve", "--listen", listen, "--data", join(dir, "parlor.db"), "--eliza-word-delay", "1ms", "--titles", "off", "--drain-timeout", "0s", ...args];
  return { dir, ...(await start(t, binary, all, { cwd: dir, env })) };
}

/** Starts `parlor-echo` on a free port and waits until it listens. */
export const serveEcho = (t, ...args) => start(t, echoBinary, ["--listen", "127.0.0.1:0", ...args]);

/** Starts a server, and waits until it says that it listens. */
async function start(t, program, args, { cwd, env = {} } = {}) {
  const child = spawn(program, args, {
    cwd, env: { PATH: process.env.PATH, GORACE: "atexit_sleep_ms=0", ...env }, stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = once(child, "exit");
  const log = [];
  const url = new Promise((resolve, reject) => {
    const read = (line) => {
      log.push(line);
      const match = /listening on ((?:https?:\/\/|unix:)[\w./:[\]-]+)/.exec(line);
      if (match) resolve(match[1]);
    };
    for (const input of [child.stdout, child.stderr]) createInterface({ input }).on("line", read);
    exited.then(([code]) => reject(new Error(`${program} exited with ${code}:\n${log.join("\n")}`)));
  });
  const server = {
    pid: child.pid,
    log,
    exited,
    url: await url,
    async kill(signal = "SIGKILL") {
      child.kill(signal);
      return exited;
    },
  };
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) await server.kill("SIGTERM");
    const panics = log.filter((line) => /DATA RACE|panic:|actor failed/.test(line));
    if (panics.length === 0) return;
    console.error(log.join("\n")); // of a test that has failed already, the error that follows is not shown
    throw new Error(panics[0]);
  });
  return server;
}

/** Carries out another command of parlor. */
export async function command(args, { dir, input = "", env = {} } = {}) {
  const child = spawn(binary, args, { cwd: dir, env: { PATH: process.env.PATH, GORACE: "atexit_sleep_ms=0", ...env } });
  const text = (stream) => stream.setEncoding("utf8").toArray().then((parts) => parts.join(""));
  child.stdin.on("error", () => {}).end(input);
  const [stdout, stderr, [status]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
  return { status, stdout, stderr };
}

/** A connected official client in /assistant/realtime, which records every event. */
export async function connect(t, server, { user = "alice", auth = { user_id: user }, ...options } = {}) {
  const socket = client(t, server, { auth, ...options });
  await new Promise((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("connect_error", reject);
  });
  return socket;
}

/** The same, not waiting for the connection. */
export function client(t, server, { namespace = "/assistant/realtime", ...options } = {}) {
  const socket = io(`${server.url}${namespace}`, {
    transports: ["websocket"], forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 100, ...options,
  });
  socket.seen = [];
  socket.onAny((name, body) => socket.seen.push({ name, body }));
  t.after(() => socket.disconnect());
  return socket;
}

/** Returns an event of that name (for which test holds) that the client has seen, or waits for one. */
export async function event(socket, name, test = () => true, { timeout = 20_000 } = {}) {
  const deadline = Date.now() + timeout;
  for (;;) {
    const found = socket.seen.find((e) => e.name === name && test(e.body));
    if (found) return found.body;
    if (Date.now() > deadline) {
      throw new Error(`no event ${JSON.stringify(name)}; seen: ${JSON.stringify(socket.seen.slice(-20))}`);
    }
    await sleep(5);
  }
}

/** All that the client saw under a name, in order. */
export const events = (socket, name) => socket.seen.filter((e) => e.name === name).map((e) => e.body);

/** Emits and resolves with the acknowledgement. */
export const ask = (socket, name, ...args) => socket.timeout(20_000).emitWithAck(name, ...args);

let chats = 0;
/** An id that no chat has. */
export const newChat = () => `chat-${process.pid}-${Date.now()}-${chats++}`;

/** Creates a chat if need be and joins its room. */
export async function enter(socket, chat, { model = "eliza", ...join } = {}) {
  const created = await ask(socket, "create_room", { chat_id: chat, model_api_source: "aisuite", model_id: model });
  if (!created.ok) throw new Error(JSON.stringify(created));
  const joined = await ask(socket, "join_room", { room_id: created.room_id, ...join });
  if (!joined.ok) throw new Error(JSON.stringify(joined));
  return created.room_id;
}

/**
 * What to say to eliza so that her answer has a few more than that many words, of at most 54: an answer that a test stops
 * or cuts must not end by itself first, and most of hers have four to eleven.
 */
export const story = (words) => `I remember${" hill".repeat(words)}`;

/** The chat's messages over HTTP, oldest first. */
export async function messages(server, chat, { user = "alice", headers = { "X-Parlor-User": user } } = {}) {
  const response = await fetch(`${server.url}/api/v1/chat/${chat}/messages?limit=10000`, { headers });
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  return response.json();
}

/** Waits until test holds of what probe returns, and returns that. */
export async function until(probe, test, { timeout = 30_000 } = {}) {
  const deadline = Date.now() + timeout;
  for (;;) {
    const value = await probe();
    if (test(value)) return value;
    if (Date.now() > deadline) throw new Error(`never came to hold; last: ${JSON.stringify(value)?.slice(0, 2000)}`);
    await sleep(20);
  }
}

export { sleep };

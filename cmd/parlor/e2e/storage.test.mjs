// The data file under faults, and the commands that work on it.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ask, command, connect, enter, event, folder, messages, newChat, serve, sleep, until } from "./lib/parlor.mjs";

/** Serves, and has something said in some chats. */
async function talk(t, dir, chats, words = "I remember my father") {
  const server = await serve(t, { dir });
  const alice = await connect(t, server);
  for (const chat of chats) await say(alice, chat, words);
  return { server, alice };
}

async function say(socket, chat, words) {
  const room = await enter(socket, chat);
  const client_message_id = `${chat}-${words.length}`;
  const ack = await ask(socket, "send_message", { room_id: room, message: { content: words, client_message_id } });
  assert.ok(ack.ok, JSON.stringify(ack));
  await event(socket, `turn ${room}`, (b) => b.state === "completed");
  return room;
}

test("a backup of a server under load is whole, and serves", async (t) => {
  const dir = folder();
  const chats = [newChat(), newChat()];
  const { server, alice } = await talk(t, dir, chats);
  const data = join(dir, "parlor.db");
  const copy = join(dir, "copy.db");
  assert.equal(statSync(`${data}.ctl`).mode & 0o777, 0o600);

  const room = await enter(alice, chats[0]);
  const acked = [];
  let stop = false;
  const load = (async () => {
    for (let i = 0; !stop; i++) {
      const before = stop;
      const ack = await ask(alice, "send_message", { room_id: room, message: { content: `load ${i}`, client_message_id: `load-${i}` } });
      if (ack.ok && !before) acked.push(ack.seq);
      else await sleep(5);
    }
  })();
  await until(() => acked.length, (n) => n > 20);
  const before = acked.length;
  const backup = await command(["backup", "--data", data, copy], { dir });
  stop = true;
  await load;
  assert.equal(backup.status, 0, backup.stderr);
  assert.match(backup.stdout, /^\d+ bytes in /);
  const refused = await command(["backup", "--data", data, copy], { dir });
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /copy\.db.*exists.*choose another name/);

  const locked = await command(["check", "--data", data], { dir });
  assert.equal(locked.status, 1);
  assert.match(locked.stderr, /parlor\.db.*in use.*stop the server/);
  for (const args of [["compact"], ["import", copy]]) {
    const { status, stderr } = await command([...args, "--data", data], { dir });
    assert.equal(status, 1);
    assert.match(stderr, /parlor\.db.*stop the server/);
  }
  const checked = await command(["check", "--data", copy], { dir });
  assert.deepEqual([checked.status, checked.stderr], [0, ""], checked.stdout);
  assert.match(checked.stdout, /^2 chats, \d+ records/);

  await server.kill("SIGTERM");
  assert.ok(!existsSync(`${data}.ctl`), "the socket is gone");
  const other = await serve(t, { dir: folder(), args: ["--data", copy] });
  const history = await messages(other, chats[0]);
  for (const seq of acked.slice(0, before)) assert.ok(history.some((m) => m.seq === seq), `seq ${seq} was acknowledged before the backup`);
});

test("export and import: byte for byte the same, also of a server that runs", async (t) => {
  const dir = folder();
  const chats = [newChat(), newChat(), newChat()];
  const data = join(dir, "parlor.db");
  const { server } = await talk(t, dir, chats, "<b>&\u2028 \u0000 I am sad");
  const running = await command(["export", "--data", data], { dir });
  assert.deepEqual([running.status, running.stderr], [0, ""]);
  const one = await command(["export", "--data", data, "--chat", chats[1]], { dir });
  assert.equal(one.stdout.split("\n").filter((l) => l.startsWith('{"chat"')).length, 1);
  const none = await command(["export", "--data", data, "--chat", "nobody"], { dir });
  assert.equal(none.status, 1);
  assert.match(none.stderr, /no chat "nobody"/);
  await server.kill("SIGTERM");

  const file = join(dir, "chats.jsonl");
  const stopped = await command(["export", "--data", data, file], { dir });
  assert.deepEqual([stopped.status, stopped.stderr], [0, ""]);
  assert.equal(readFileSync(file, "utf8"), running.stdout);

  const other = join(dir, "other.db");
  const imported = await command(["import", "--data", other, file], { dir });
  assert.deepEqual([imported.status, imported.stdout], [0, "3 chats imported, 0 skipped\n"], imported.stderr);
  assert.equal((await command(["export", "--data", other], { dir })).stdout, running.stdout);
  const checked = await command(["check", "--data", other], { dir });
  assert.equal(checked.status, 0, checked.stdout + checked.stderr);

  const again = await command(["import", "--data", other, file], { dir });
  assert.equal(again.status, 1);
  for (const chat of chats) assert.match(again.stderr, new RegExp(chat));
  assert.equal((await command(["import", "--skip-existing", "--data", other, file], { dir })).stdout, "0 chats imported, 3 skipped\n");
  const piped = await command(["import", "--data", join(dir, "piped.db")], { dir, input: running.stdout });
  assert.equal(piped.stdout, "3 chats imported, 0 skipped\n", piped.stderr);

  // An imported chat goes on: the same key is not taken twice.
  const second = await serve(t, { dir, args: ["--data", other] });
  const bob = await connect(t, second);
  const room = await enter(bob, chats[0]);
  const content = "<b>&\u2028 \u0000 I am sad";
  const ack = await ask(bob, "send_message", { room_id: room, message: { content, client_message_id: `${chats[0]}-${content.length}` } });
  assert.equal(ack.seq, 2);
});

test("what was deleted is in no backup, and not in a compacted file", async (t) => {
  const dir = folder();
  const [kept, gone] = [newChat(), newChat()];
  const data = join(dir, "parlor.db");
  const secret = "the-secret-that-was-deleted";
  const { server, alice } = await talk(t, dir, [kept]);
  await say(alice, gone, secret);
  const response = await fetch(`${server.url}/api/v1/chat/${gone}`, { method: "DELETE", headers: { "X-Parlor-User": "alice" } });
  assert.equal(response.status, 200);
  await command(["backup", "--data", data, join(dir, "copy.db")], { dir });
  assert.ok(!readFileSync(join(dir, "copy.db")).includes(secret));
  await server.kill("SIGTERM");
  const compacted = await command(["compact", "--data", data], { dir });
  assert.equal(compacted.status, 0, compacted.stderr);
  const [, before, after] = /^(\d+) bytes before, (\d+) after/.exec(compacted.stdout);
  assert.ok(Number(after) < Number(before));
  assert.ok(!readFileSync(data).includes(secret));
  const checked = await command(["check", "--data", data], { dir });
  assert.match(checked.stdout, /^1 chats/, checked.stderr);
});

test("a damaged file: a clear error, or everything that is not damaged", async (t) => {
  const dir = folder();
  const chats = [newChat(), newChat()];
  const data = join(dir, "parlor.db");
  const words = "words that a bit will flip in";
  const { server, alice } = await talk(t, dir, [chats[0]]);
  await say(alice, chats[1], words);
  await server.kill("SIGTERM");
  const sound = readFileSync(data);

  // A flipped bit in what somebody said: that chat is told to be unreadable, the other one works.
  const flipped = Buffer.from(sound);
  for (let i = flipped.indexOf(words); i >= 0; i = flipped.indexOf(words, i + 1)) flipped[i] ^= 1;
  writeFileSync(data, flipped);
  const checked = await command(["check", "--data", data], { dir });
  assert.equal(checked.status, 1);
  assert.match(checked.stdout, /^room r\w+: record 2: .*checksum mismatch\n2 chats/);
  const second = await serve(t, { dir });
  const bob = await connect(t, second);
  assert.equal((await messages(second, chats[0])).length, 2);
  await assert.rejects(messages(second, chats[1]), /50\d/);
  await say(bob, chats[0], "still here");
  const exported = await command(["export", "--data", data], { dir });
  assert.equal(exported.status, 1);
  assert.match(exported.stderr, /left out: .*entry 2/);
  assert.match(exported.stdout, new RegExp(chats[0]));
  await second.kill("SIGTERM");

  // Pages that do not hang together, and a file that was cut.
  const pages = Buffer.from(sound);
  for (let i = 2 * 4096; i < pages.length; i += 4096) pages[i + 8] ^= 0x40;
  writeFileSync(data, pages);
  for (const size of [sound.length, 20000, 9000, 100]) {
    truncateSync(data, size);
    const { status, stderr } = await command(["check", "--data", data], { dir });
    assert.equal(status, 1);
    assert.match(stderr, /parlor\.db/);
    assert.doesNotMatch(stderr, /goroutine|SIG/);
    await assert.rejects(serve(t, { dir }), /exited with 1:\n.*parlor\.db.*/);
  }
  writeFileSync(data, Buffer.from("parlor"));
  await assert.rejects(serve(t, { dir }), /not a parlor database/);
});

/** Fills a file system, in ever smaller pieces. */
function fill(path) {
  for (const bs of ["64k", "1k", "1"]) spawnSync("dd", ["if=/dev/zero", `of=${path}`, `bs=${bs}`, "oflag=append", "conv=notrunc", "status=none"]);
}

/** Sends until it is refused, reads, lets go of the fault, and sends again; then all that was acknowledged is there. */
async function endure(t, dir, server, alice, chat, { on, meanwhile = async () => {}, off }) {
  const room = await enter(alice, chat);
  const acked = new Map();
  let n = 0;
  const send = async () => {
    const id = `send-${n++}`;
    const content = id + "x".repeat(40_000);
    const ack = await ask(alice, "send_message", { room_id: room, message: { content, client_message_id: id } });
    if (ack.ok) acked.set(ack.seq, content);
    return ack;
  };
  for (let round = 0; round < 2; round++) {
    on();
    const refused = await until(send, (ack) => !ack.ok && ack.error.code !== "busy");
    assert.equal(refused.error.code, "storage_unavailable");
    assert.ok((await messages(server, chat)).length > 1, "reads go on");
    await meanwhile();
    off();
    await until(send, (ack) => ack.ok);
  }
  await server.kill("SIGTERM");
  const checked = await command(["check", "--data", join(dir, "parlor.db")], { dir });
  assert.equal(checked.status, 0, checked.stdout + checked.stderr);
  const second = await serve(t, { dir });
  const history = new Map((await messages(second, chat)).map((m) => [m.seq, m.content]));
  for (const [seq, content] of acked) assert.ok(history.get(seq) === content, `seq ${seq} was acknowledged`);
  await second.kill("SIGTERM");
}

test("a full disk: sends are refused, reads go on, and service resumes by itself", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "parlor-e2e-full-"));
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=24m", "tmpfs", dir]).status === 0;
  t.after(() => {
    if (mounted) execFileSync("umount", ["-l", dir]);
    rmSync(dir, { recursive: true });
  });
  if (!mounted) return t.skip("cannot mount a file system");
  const chat = newChat();
  const { server, alice } = await talk(t, dir, [chat]);
  await endure(t, dir, server, alice, chat, {
    on: () => fill(join(dir, "ballast")),
    meanwhile: async () => {
      const backup = await command(["backup", "--data", join(dir, "parlor.db"), join(dir, "copy.db")], { dir });
      assert.equal(backup.status, 1);
      assert.match(backup.stderr, /no space left on device; nothing was left there/);
      assert.deepEqual(readdirSync(dir).filter((name) => name.includes("copy")), []);
    },
    off: () => rmSync(join(dir, "ballast")),
  });
});

test("a limit of the file's size is met like a full disk", async (t) => {
  const dir = folder();
  const chat = newChat();
  const { server, alice } = await talk(t, dir, [chat]);
  const limit = (bytes) => spawnSync("prlimit", ["--pid", server.pid, `--fsize=${bytes}:`]).status === 0;
  if (!limit("unlimited")) return t.skip("cannot set limits");
  await endure(t, dir, server, alice, chat, { on: () => limit(100_000), off: () => limit("unlimited") });
});

test("chats that are idle too long are deleted", async (t) => {
  const dir = folder();
  const chat = newChat();
  const { server } = await talk(t, dir, [chat]);
  await server.kill("SIGTERM");
  const second = await serve(t, { dir, args: ["--retain-for", "1ms"] });
  const get = async () => (await fetch(`${second.url}/api/v1/chat/${chat}`, { headers: { "X-Parlor-User": "alice" } })).status;
  await until(get, (status) => status === 404);
});

// The view of administrators into a running server, and their actions.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { ask, connect, enter, event, folder, newChat, serve, until } from "./lib/parlor.mjs";
import { noBrowser, browser } from "./lib/browser.mjs";
import { modelServer } from "./lib/model.mjs";
import { visit } from "./lib/page.mjs";
import { longOnly } from "./lib/random.mjs";

const binary = process.env.PARLOR ?? new URL("../../../bin/parlor", import.meta.url).pathname;
const secret = "an-e2e-secret-of-thirty-two-bytes!";
const env = { PARLOR_JWT_SECRET: secret };
const parlor = (...args) => execFileSync(binary, args, { env: { ...env, PATH: process.env.PATH } }).toString();

/** Requests below /admin/runtime of somebody with a token. */
const asking = (server, user) => {
  const headers = { Authorization: `Bearer ${parlor("token", "--user", user).trim()}`, "Content-Type": "application/json" };
  const request = async (method, path, body) => {
    const response = await fetch(`${server.url}/api/v1/admin/runtime${path}`, { method, headers, body: body && JSON.stringify(body) });
    return { status: response.status, ...(await response.json()) };
  };
  return { get: (path) => request("GET", path), act: (body) => request("POST", "/actions", body), headers };
};

/** The events of a room, as an administrator is told them. */
async function follow(t, server, { headers }, room) {
  const hangUp = new AbortController();
  t.after(() => hangUp.abort());
  const response = await fetch(`${server.url}/api/v1/admin/runtime/rooms/${room}/events`, { headers, signal: hangUp.signal });
  assert.equal(response.status, 200);
  const told = [];
  const end = (async () => {
    let text = "";
    for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
      text += piece;
      for (let at; (at = text.indexOf("\n\n")) >= 0; text = text.slice(at + 2)) {
        const data = text.slice(0, at).match(/^data: (.*)$/m);
        if (data) told.push(JSON.parse(data[1]));
      }
    }
  })();
  end.catch(() => {}); // the test has hung up
  return { told, end, text: () => JSON.stringify(told) };
}

test("an administrator sees a room, restarts it, follows it, and everything done is in the audit log", async (t) => {
  const dir = folder();
  const model = await modelServer(t, { "a word that nobody else may read": [{ content: "I am" }] }); // and no end
  const server = await serve(t, { dir, env: { ...env, OPENAI_BASE_URL: model.url, OPENAI_API_KEY: "none" }, args: ["--admins", "root"] });
  const root = asking(server, "root");
  const token = parlor("token", "--user", "alice").trim();
  const alice = await connect(t, server, { auth: { token } });
  const chat = newChat();
  const room = await enter(alice, chat, { model: "openai:m", dialect: "documented" });

  const stranger = asking(server, "alice");
  for (const path of ["", "/actors", "/find?q=a", `/rooms/${room}`, `/rooms/${room}/events`, "/audit"]) {
    const { status, code, ...rest } = await stranger.get(path);
    assert.deepEqual([status, code, Object.keys(rest).sort()], [403, "forbidden", ["detail", "title", "type"]], path);
  }
  assert.equal((await stranger.act({ action: "restart_room", room_id: room })).status, 403);

  const followed = await follow(t, server, root, room);
  await ask(alice, "send_message", { room_id: room, message: "a word that nobody else may read" });
  await until(() => followed.told.find((e) => e.event === "text"), Boolean);
  const seen = await root.get(`/rooms/${room}`);
  assert.equal(seen.actors[0].room.owner, "alice");
  assert.equal(seen.actors[0].state, "answering");
  assert.equal(seen.actors[0].room.listeners, 2, "a page, and who follows");
  assert.deepEqual(seen.actors.map((a) => a.kind), ["room", "turn"]);

  assert.equal((await root.act({ action: "restart_room", room_id: room, note: "it is stuck" })).outcome, "done");
  const again = await until(async () => (await root.get(`/rooms/${room}`)).actors[0], (a) => a.restarts === 1);
  assert.match(again.last_failure.reason, /killed by an operator: root/);
  await until(() => followed.told.find((e) => e.event === "turn_started" && e.attempt === 2), Boolean);
  const turn = again.room.running_turn?.turn_id ?? followed.told.find((e) => e.event === "turn_started").turn_id;
  assert.equal((await root.act({ action: "stop_turn", room_id: room, turn_id: turn })).outcome, "done");
  const end = await event(alice, `stream_end ${room}`);
  assert.equal(end.state, "stopped");
  assert.equal((await root.act({ action: "stop_turn", room_id: room })).status, 404, "there is none any more");

  const { users, rooms, connections } = await root.get("/find?q=alice");
  assert.deepEqual([users[0].user_id, rooms[0].room.room_id, connections.length], ["alice", room, 1]);
  const gone = new Promise((done) => alice.once("disconnect", done));
  assert.equal((await root.act({ action: "disconnect", connection: connections[0].id })).outcome, "done");
  await gone;
  await until(() => alice.connected, Boolean);
  assert.equal((await root.act({ action: "disconnect", connection: connections[0].id })).status, 404);
  assert.equal((await root.act({ action: "revoke_user", user_id: "root" })).status, 409, "oneself");
  assert.equal((await root.act({ action: "revoke_user", user_id: "alice" })).outcome, "done");
  await until(() => alice.connected, (connected) => !connected);
  assert.equal((await stranger.get("")).status, 401);
  assert.equal((await root.act({ action: "restore_user", user_id: "alice" })).outcome, "done");
  assert.equal(followed.text().includes("word"), false, "nobody's words");

  const top = JSON.parse(parlor("top", "--once", "--json", "--kind", "room", "--find", "alice", "--data", `${dir}/parlor.db`));
  assert.deepEqual([top.page.actors[0].room.room_id, top.page.actors[0].restarts, top.overview.totals.restarts], [room, 1, 1]);
  assert.match(parlor("top", "--once", "--data", `${dir}/parlor.db`), /1 restarts[^]*ACTOR[^]*killed by an operator: root/);

  parlor("release", room, "--data", `${dir}/parlor.db`);
  const { entries } = await root.get("/audit");
  assert.deepEqual(entries.map((e) => [e.what.action, e.by, e.outcome]).reverse(), [
    ["follow_room", "root", "done"], ["restart_room", "root", "done"], ["stop_turn", "root", "done"], ["stop_turn", "root", "failed"],
    ["disconnect", "root", "done"], ["disconnect", "root", "failed"], ["revoke_user", "root", "done"], ["restore_user", "root", "done"],
    ["release_room", "", "done"],
  ]);
  const page = await root.get(`/audit?limit=2&before=${entries[1].seq}`);
  assert.deepEqual([page.entries.map((e) => e.seq), page.has_more], [entries.slice(2, 4).map((e) => e.seq), true]);
});

test("who follows a room that is deleted is told so, and a kill leaves no action without its entry", longOnly, async (t) => {
  const dir = folder();
  let server = await serve(t, { dir, env, args: ["--admins", "root"] });
  const root = asking(server, "root");
  const token = parlor("token", "--user", "alice").trim();
  const alice = await connect(t, server, { auth: { token } });
  const chat = newChat();
  const room = await enter(alice, chat, { dialect: "documented" });
  const followed = await follow(t, server, root, room);
  await until(() => followed.told.length, Boolean);
  assert.equal((await fetch(`${server.url}/api/v1/chat/${chat}`, { method: "DELETE", headers: { Authorization: `Bearer ${token}` } })).status, 200);
  await followed.end;
  assert.equal(followed.told.at(-1).event, "deleted");
  assert.equal((await root.get(`/rooms/${room}/events`)).status, 404);
  assert.equal((await root.act({ action: "restart_room", room_id: room })).status, 409);

  const answered = [];
  const other = await enter(alice, newChat(), { dialect: "documented" });
  const acting = (async () => {
    for (;;) answered.push((await root.act({ action: "restart_room", room_id: other })).seq);
  })();
  acting.catch(() => {}); // the server ends
  await until(() => answered.length, (n) => n > 5);
  await server.kill();
  server = await serve(t, { dir, env, args: ["--admins", "root"] });
  const { entries } = await asking(server, "root").get("/audit?limit=200");
  const kept = new Map(entries.map((e) => [e.seq, e.outcome]));
  for (const seq of answered) if (seq) assert.ok(kept.has(seq), `entry ${seq}`);
  assert.ok([...kept.values()].every((outcome) => ["begun", "done", "failed"].includes(outcome)));
});

test("the page shows the runtime: a room is followed, killed and seen to restart", { skip: longOnly.skip || noBrowser }, async (t) => {
  const server = await serve(t, { args: ["--eliza-word-delay", "10ms"] }); // development mode: everybody is an administrator
  const b = await browser(t);
  const alice = await connect(t, server, { auth: { user_id: "alice" } });
  const room = await enter(alice, newChat(), { dialect: "documented" });
  const page = await visit(t, b, `${server.url}/settings/profile`, { user: "root" });
  await page.click('[data-testid="to-runtime"]');
  await page.waitForSelector('[data-plot="commits"] path');
  await page.fill('[data-testid="find"]', "alice");
  await page.keyboard.press("Enter");
  await page.click(`[data-testid="found"] a[href$="/runtime/${room}"]`);
  await page.click('[data-testid="follow"]');
  await page.waitForSelector('[data-testid="events"] [data-event="followed"]');
  await ask(alice, "send_message", { room_id: room, message: "hello" });
  await page.waitForSelector('[data-testid="events"] [data-event="turn_ended"]');
  await page.click('[data-testid="restart"]');
  await page.fill("#note", "to see it restart");
  await page.click('[data-testid="confirm-go"]');
  await page.waitForFunction(() => document.querySelector('[data-testid="actors"] tbody tr td:nth-child(4)')?.textContent === "1");
  await ask(alice, "send_message", { room_id: room, message: "hello again" });
  await page.waitForFunction(() => document.querySelectorAll('[data-testid="events"] [data-event="turn_ended"]').length === 2);
  await page.goto(`${server.url}/runtime`);
  await page.click('[data-tab="audit"]');
  await page.waitForSelector('[data-testid="audit"] tr:nth-child(2)');
  assert.match(await page.textContent('[data-testid="audit"]'), /restart_room[^]*to see it restart[^]*follow_room/);
});

test("a user is exported and deleted over HTTP, and is gone after the next start", longOnly, async (t) => {
  const dir = folder();
  let server = await serve(t, { dir, env, args: ["--admins", "root"] });
  let root = asking(server, "root");
  const token = parlor("token", "--user", "alice").trim();
  const sockets = [await connect(t, server, { auth: { token } })];
  const chat = newChat();
  const room = await enter(sockets[0], chat, { dialect: "documented" });
  await ask(sockets[0], "send_message", { room_id: room, message: "what alice thinks" });
  await event(sockets[0], `stream_end ${room}`);
  const exported = async () => (await fetch(`${server.url}/api/v1/admin/runtime/users/alice/export`, { headers: root.headers })).text();
  const lines = (await exported()).trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(Object.keys(lines.at(-1)), ["end"]);
  assert.ok(lines.some((l) => l.message?.content === "what alice thinks"));

  const gone = once(sockets[0], "disconnect");
  assert.equal((await root.act({ action: "delete_user", user_id: "root" })).status, 409);
  const done = await root.act({ action: "delete_user", user_id: "alice", note: "she has asked for it" });
  assert.match(done.detail, /at the next start/);
  await gone;
  assert.equal((await asking(server, "alice").get("")).status, 401);
  assert.equal((await root.act({ action: "restore_user", user_id: "alice" })).outcome, "done");
  await server.kill();
  server = await serve(t, { dir, env, args: ["--admins", "root"] });
  root = asking(server, "root");
  assert.match(await exported(), /what alice thinks/);

  assert.equal((await root.act({ action: "delete_user", user_id: "alice" })).outcome, "done");
  await server.kill();
  server = await serve(t, { dir, env, args: ["--admins", "root"] });
  root = asking(server, "root");
  assert.doesNotMatch(await exported(), /what alice thinks/);
  const { entries } = await root.get("/audit");
  assert.deepEqual(entries.map((e) => [e.what.action, e.outcome]).reverse(), [
    ["export_user", "done"], ["delete_user", "done"], ["restore_user", "done"], ["export_user", "done"], ["delete_user", "done"], ["user delete", "done"], ["export_user", "done"],
  ]);
});

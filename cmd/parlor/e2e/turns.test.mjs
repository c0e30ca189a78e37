// People talk while an assistant answers: WIRE-EVENTS, docs/events.md.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { ask, command, connect, enter, event, events, folder, messages, newChat, serve, sleep, story, until } from "./lib/parlor.mjs";
import { long, seeded } from "./lib/random.mjs";

const models = JSON.stringify(["ada", "bert"].map((name) => ({ model_id: name, provider: "eliza", name })));
const slow = ["--models", models, "--eliza-word-delay", "100ms"];

const send = (socket, room, content, more = {}) => ask(socket, "send_message", { room_id: room, message: content, ...more });
const ended = (socket, room, turn) => event(socket, `turn ${room}`, (b) => b.turn_id === turn && !["queued", "running"].includes(b.state));
const turns = (socket, room) => events(socket, `turn ${room}`).filter((b) => b.state === "queued").map((b) => b.turn_id);

/** A chat with two people in it, of whom the first has a running answer. */
async function during(t, args = []) {
  const server = await serve(t, { args: [...slow, ...args] });
  const [alice, bob] = [await connect(t, server), await connect(t, server, { user: "bob" })];
  const chat = newChat();
  const room = await enter(alice, chat, { model: "ada", dialect: "documented" });
  await enter(bob, chat, { model: "ada", dialect: "documented" });
  const asked = await send(alice, room, story(12));
  await event(bob, `stream_chunk ${room}`);
  return { server, alice, bob, chat, room, asked, turn: turns(alice, room)[0] };
}

test("interrupt: who has stopped it and why is told to everybody, and the new message is answered next", async (t) => {
  const { server, alice, bob, chat, room, turn } = await during(t);
  await send(alice, room, "this waits");
  assert.equal((await send(bob, room, "never mind", { policy: "interrupt" })).ok, true);
  for (const socket of [alice, bob]) {
    const { state, by, reason } = await ended(socket, room, turn);
    assert.deepEqual({ state, by, reason }, { state: "stopped", by: "bob", reason: "interrupted by a new message" });
  }
  const history = await until(() => messages(server, chat), (m) => m.length === 6);
  assert.deepEqual(history.map((m) => m.role), ["user", "user", "assistant", "user", "assistant", "assistant"]);
  assert.deepEqual([history[2].by, history[2].reason], ["bob", "interrupted by a new message"]);
  assert.equal(history[4].prompt, history[3].message_id);
  assert.equal(history[5].prompt, history[1].message_id, "what waited is answered behind it");
});

test("reject is the server's policy, and a message may say otherwise", async (t) => {
  const { alice, bob, room } = await during(t, ["--turn-policy", "reject"]);
  const refused = await send(bob, room, "me too");
  assert.deepEqual([refused.ok, refused.error.code], [false, "busy"]);
  assert.equal((await send(bob, room, "me too", { policy: "queue" })).ok, true);
  const [, waits] = await until(() => turns(alice, room), (q) => q.length === 2);
  assert.deepEqual(await ask(alice, `stop ${room}`, { turn_id: waits, reason: "not now" }), { ok: true, turn_id: waits });
  const { by, reason, state } = await ended(bob, room, waits);
  assert.deepEqual({ by, reason, state }, { by: "alice", reason: "not now", state: "stopped" });
});

test("steer: what a turn did not take in is answered next, also when it is stopped or the server killed", async (t) => {
  for (const end of long ? ["stop", "kill"] : ["kill"]) {
    const { server, alice, bob, chat, room, turn } = await during(t);
    await send(alice, room, "this waits");
    for (const text of ["I mean my father", "and my brother"]) assert.equal((await send(bob, room, text, { policy: "steer" })).ok, true);
    assert.equal(turns(alice, room).length, 2, "what steers has no turn of its own");
    let again = server;
    if (end === "kill") {
      await server.kill();
      again = await serve(t, { dir: server.dir, args: slow });
    } else {
      await ask(alice, `stop ${room}`);
    }
    const history = await until(() => messages(again, chat), (m) => m.filter((x) => x.role === "assistant").length === 3);
    const prompts = history.filter((m) => m.role === "assistant").map((m) => history.findIndex((x) => x.message_id === m.prompt));
    assert.deepEqual(prompts, [0, 3, 1], "the first, the last that steered, what waited");
    assert.equal(history[3].steers, turn);
  }
});

test("an edit takes out what followed, for all tabs, in every dialect and after a resume", async (t) => {
  const { server, alice, bob, chat, room, asked, turn } = await during(t);
  const page = await connect(t, server, { user: "carol" });
  await enter(page, chat, { model: "ada", dialect: "spa" });
  await send(bob, room, "and what of me?");
  const refused = await ask(bob, `edit ${room}`, { message_id: asked.message_id, content: "not mine" });
  assert.deepEqual([refused.ok, refused.error.code], [false, "forbidden"]);
  const edit = { message_id: asked.message_id, content: "I am happy", client_message_id: "e1" };
  const done = await ask(alice, `edit ${room}`, edit);
  assert.deepEqual(await ask(alice, `edit ${room}`, edit), done);
  assert.deepEqual((await ended(bob, room, turn)).reason, "the message was edited");
  const { message } = await event(bob, `message ${room}`, (b) => b.message.replaces);
  assert.deepEqual([message.replaces, message.replaces_seq, message.content], [asked.message_id, asked.seq, "I am happy"]);
  await event(page, `receive_message ${room}`, (b) => b.type === "sbaw.text_message.user" && b.data.content === "I am happy");

  const history = await until(() => messages(server, chat), (m) => m.length === 2);
  assert.deepEqual([history[0].content, history[1].prompt], ["I am happy", done.message_id]);
  const { messages: paged } = await ask(bob, "history", { room_id: room });
  assert.deepEqual(paged.map((m) => m.message_id), history.map((m) => m.message_id));
  const again = await ask(alice, "join_room", { room_id: room, after: 1_000_000, dialect: "documented" });
  assert.deepEqual(again.snapshot.messages.map((m) => m.message_id), history.map((m) => m.message_id));
});

test("assistants are addressed by name, and a chat's model is switched", async (t) => {
  const server = await serve(t, { args: ["--models", models] });
  const alice = await connect(t, server);
  const chat = newChat();
  const room = await enter(alice, chat, { model: "ada" });
  await send(alice, room, "@bert, @Ada: hello");
  await send(alice, room, "write to me@bert.example");
  await send(alice, room, "hello", { model_id: "bert" });
  const spa = (id, item, type = "conversation.item.create") => ({ type, id, data: { item } });
  await send(alice, room, spa("1", { id: "1l", content: [{ type: "input_text", text: "and in parts" }] }));
  await send(alice, room, spa("2", undefined, "response.create"));
  await send(alice, room, spa("3", { id: "3l", model_id: "ada", content: "and back" }, "sbaw.incoming.text_message.user"));
  const answers = await until(async () => (await messages(server, chat)).filter((m) => m.role === "assistant"), (m) => m.length === 6);
  assert.deepEqual(answers.map((m) => m.name), ["bert", "ada", "ada", "bert", "bert", "ada"]);
  assert.deepEqual(answers.map((m) => m.model_id), answers.map((m) => m.name));
  assert.deepEqual(events(alice, `stream_start ${room}`).map((b) => b.name), answers.map((m) => m.name));
  const { turn_id: turn } = await ask(alice, `regenerate ${room}`, { message_id: answers[0].message_id, model_id: "ada" });
  assert.equal((await ended(alice, room, turn)).state, "completed");
  const other = (await messages(server, chat)).at(-1);
  assert.deepEqual([other.prompt, other.model_id], [answers[0].prompt, "ada"]);
});

/** Returns the messages that a client shows: docs/events.md, Branches. */
class View {
  constructor(socket, room) {
    this.shown = [];
    this.usage = 0;
    this.socket = socket;
    socket.on(`message ${room}`, ({ message }) => this.show(message));
    socket.on(`turn ${room}`, ({ first, prompt_seq }) => {
      if (first) this.shown = this.shown.filter((m) => (m.prompt_seq ?? m.seq) <= prompt_seq);
    });
  }

  show(message) {
    if (message.replaces) this.shown = this.shown.filter((m) => (m.prompt_seq ?? m.seq) < message.replaces_seq);
    assert.ok(!this.shown.some((m) => m.message_id === message.message_id), "told once");
    this.usage += message.usage?.total_tokens ?? 0;
    const { role, prompt, first, content, version } = message;
    const versions = this.shown.filter((m) => first && [m.message_id, m.first].includes(first));
    const elsewhere = role === "assistant" && !this.shown.some((m) => m.message_id === prompt);
    if (elsewhere || (first && !content) || versions.some((m) => m.version > version)) return;
    this.shown = [...this.shown.filter((m) => !versions.includes(m)), message];
    this.shown.sort((a, b) => a.seq - b.seq);
  }
}

const many = long ? 500 : 50;

test(`${many} turns with stops, interrupts, steers and edits: history, usage and views agree`, { timeout: 240_000 }, async (t) => {
  const random = seeded(t);
  const pick = (n) => random.below(n);
  const server = await serve(t, { args: ["--models", models, "--eliza-word-delay", "8ms", "--queue-bytes", "16MiB"] });
  const chat = newChat();
  const sockets = [await connect(t, server), await connect(t, server), await connect(t, server, { user: "bob" })];
  let room;
  for (const socket of sockets) room = await enter(socket, chat, { model: "ada", dialect: "documented" });
  const views = sockets.map((socket) => new View(socket, room));
  const own = [[], [], []];
  const policies = [undefined, "steer", "steer", "interrupt", "reject"];

  const said = async (k, name, payload) => {
    const replaced = payload.message_id && views[k].shown.find((m) => m.message_id === payload.message_id);
    const ack = await ask(sockets[k], name, payload);
    if (!ack.ok) return assert.ok(["busy", "not_found"].includes(ack.error.code), JSON.stringify(ack));
    own[k].push({ message_id: ack.message_id, seq: ack.seq });
    const replaces = replaced ? { replaces: replaced.message_id, replaces_seq: replaced.seq } : {};
    return { message_id: ack.message_id, seq: ack.seq, ...replaces };
  };
  for (let i = 0; turns(sockets[0], room).length < many; i++) {
    const k = pick(3);
    switch (pick(10)) {
      case 0:
        await ask(sockets[k], `stop ${room}`, { reason: "enough" });
        break;
      case 1: {
        const mine = own[k].at(-1 - pick(2));
        if (mine && views[k].shown.some((m) => m.message_id === mine.message_id)) {
          const m = await said(k, `edit ${room}`, { message_id: mine.message_id, content: `again, ${i}` });
          if (m) views[k].show(m);
        }
        break;
      }
      case 2: {
        const answer = views[k].shown.findLast((m) => m.role === "assistant");
        if (answer) await ask(sockets[k], `regenerate ${room}`, { message_id: answer.message_id, model_id: "bert" });
        break;
      }
      default: {
        const m = await said(k, "send_message", { room_id: room, message: `${pick(4) ? "" : "@bert @ada "}I say ${i}`, policy: policies[pick(5)] });
        if (m) views[k].show(m);
      }
    }
    await sleep(pick(30));
  }
  await until(() => ask(sockets[0], "join_room", { room_id: room, dialect: "documented" }), (j) => !j.turn && j.queued.length === 0, { timeout: 120_000 });
  await sleep(200);

  const history = await messages(server, chat);
  const ids = (list) => list.map((m) => m.message_id);
  for (const view of views) assert.deepEqual(ids(view.shown), ids(history));
  assert.deepEqual([...new Set(views.map((v) => v.usage))].length, 1, "every tab was told of the same usage");
  const used = (list) => list.reduce((sum, m) => sum + (m.usage?.total_tokens ?? 0), 0);
  assert.ok(used(history) > 0);
  for (const view of views) assert.equal(used(view.shown), used(history));
  const response = await fetch(`${server.url}/api/v1/usage?chat_id=${chat}`, { headers: { "X-Parlor-User": "alice" } });
  assert.equal((await response.json()).total.total_tokens, views[0].usage, "the chat is charged what members were told, edited or not");
  const states = events(sockets[0], `turn ${room}`).filter((b) => b.state !== "queued" && b.state !== "running");
  assert.equal(new Set(states.map((b) => b.turn_id)).size, states.length, "each turn ends once");
  assert.deepEqual(new Set(states.map((b) => b.turn_id)), new Set(turns(sockets[0], room)), "each turn ends");
  for (const why of ["enough", "interrupted by a new message", "the message was edited"]) {
    assert.ok(states.some((b) => b.state === "stopped" && b.reason === why && b.by), why);
  }
  await server.kill("SIGTERM");
  const checked = await command(["check", "--data", join(server.dir, "parlor.db")], { dir: server.dir });
  assert.equal(checked.status, 0, checked.stdout + checked.stderr);
});

test("edits and further answers are branches, which anybody may select for all", async (t) => {
  const dir = folder();
  let server = await serve(t, { dir, args: ["--models", models] });
  let [alice, bob] = [await connect(t, server), await connect(t, server, { user: "bob" })];
  const chat = newChat();
  const room = await enter(alice, chat, { model: "ada", dialect: "documented" });
  await enter(bob, chat, { dialect: "documented" });
  const reads = async (branch) => (await ask(bob, "history", { room_id: room, branch })).messages;
  const ids = async (branch) => (await reads(branch)).map((m) => m.message_id);
  const answered = (n) => until(() => reads(), (m) => m.length === n && m.at(-1).role === "assistant");

  const one = await ask(alice, "send_message", { room_id: room, message: "one" });
  const [, first] = await answered(2);
  await ask(bob, "send_message", { room_id: room, message: "two" });
  const old = (await answered(4)).map((m) => m.message_id);
  const { turn_id } = await ask(bob, `regenerate ${room}`, { message_id: first.message_id });
  assert.equal((await event(alice, `turn ${room}`, (b) => b.turn_id === turn_id)).prompt, one.message_id);
  await ended(alice, room, turn_id);
  const [, again] = await reads();
  assert.equal((await reads()).length, 2);
  assert.deepEqual([again.first, again.siblings], [first.message_id, { ids: [first.message_id, again.message_id], place: 2, count: 2 }]);
  assert.deepEqual(await ids(first.message_id), old, "another branch is read without being selected");
  const http = await fetch(`${server.url}/api/v1/chat/${chat}/messages?branch=${first.message_id}`, { headers: { "X-Parlor-User": "bob" } });
  assert.deepEqual((await http.json()).map((m) => m.message_id), old);

  const edited = await ask(alice, `edit ${room}`, { message_id: one.message_id, content: "other" });
  await answered(2);
  const select = { message_id: first.message_id, client_message_id: "s" };
  const ack = await ask(bob, `select ${room}`, select);
  assert.deepEqual(ack, { ok: true, message_id: first.message_id });
  const told = await event(alice, `branch ${room}`);
  assert.deepEqual([told.message_id, told.by, told.from <= one.seq], [first.message_id, "bob", true]);
  assert.deepEqual(await ids(), old);
  await server.kill();
  server = await serve(t, { dir, args: ["--models", models] });
  [alice, bob] = [await connect(t, server), await connect(t, server, { user: "bob" })];
  const joined = await ask(alice, "join_room", { room_id: room, dialect: "documented" });
  assert.equal(joined.branch_seq, told.seq);
  assert.deepEqual(await ask(bob, `select ${room}`, select), ack);
  assert.deepEqual(await ids(), old);
  assert.deepEqual((await ids(edited.message_id))[0], edited.message_id);
  for (const [name, body] of [["select", { message_id: "none" }], ["history", { branch: "none" }]]) {
    assert.equal((await ask(bob, name, { room_id: room, ...body })).error.code, "not_found", name);
  }
});

// Several people say, edit, withdraw, move and stop at random, over connections that break and a
// server that is killed. What each client shows in the end is what the history says.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fold } from "./lib/client.mjs";
import { ask, connect, enter, events, folder, newChat, serve, sleep, until } from "./lib/parlor.mjs";
import { long, seeded } from "./lib/random.mjs";

// The page's own fold of the events.
const { apply, conversation, emptyRoom, finishReading, join, record, startReading } = await fold();

/** A client of the documented dialect, which folds what it is told as the page does. */
async function documented(t, server, user, chat) {
  const client = { user, state: emptyRoom, misfits: [], seq: 0 };
  client.socket = await connect(t, server, { user });
  client.room = await enter(client.socket, chat, { dialect: "documented" });
  client.socket.onAny((name, body) => {
    const [word, id] = name.split(" ");
    if (id !== client.room) return;
    client.seq = Math.max(client.seq, body.seq ?? body.message?.seq ?? 0);
    client.state = apply(client.state, word, body, Date.now());
    if (client.state.gap) client.misfits.push({ word, body });
    if (client.state.stale) client.read();
  });
  client.read = async () => {
    if (client.state.reading) return;
    do {
      client.state = startReading(client.state);
      const page = await ask(client.socket, "history", { room_id: client.room, limit: 500 }).catch(() => null);
      client.state = finishReading(client.state, page);
      if (!page) return;
    } while (client.state.stale);
  };
  client.state = join(client.state, await ask(client.socket, "join_room", { room_id: client.room, dialect: "documented" }), Date.now());
  client.messages = () => [...client.state.messages.values()].sort((a, b) => a.seq - b.seq);
  return client;
}

/** The assistant page, of which only the spinner is played. */
async function page(t, server, user, chat) {
  const client = { user, spins: false };
  client.socket = await connect(t, server, { user });
  client.room = await enter(client.socket, chat, { dialect: "spa" });
  client.socket.on(`receive_message ${client.room}`, ({ type }) => {
    if (type === "sbaw.text_message.assistant") client.spins = false;
  });
  client.say = (id) => {
    const message = { type: "sbaw.incoming.text_message.user", id, data: { item: { id, content: `from a page ${id}` } } };
    client.socket.once(`message_sent ${id}`, () => { client.spins = true; });
    client.socket.emit("send_message", { room_id: client.room, message });
  };
  return client;
}

/** Sends or edits. The sender knows its message from the acknowledgement, and before what follows that. */
const say = (client, event, body) => new Promise((resolve, reject) => {
  client.socket.timeout(20_000).emit(event, body, (lost, ack) => {
    if (ack?.ok) client.state = record(client.state, { ...ack, role: "user" });
    if (lost) reject(lost);
    else resolve(ack);
  });
});

test("what clients show is what the history says", async (t) => {
  const random = seeded(t);
  const dir = folder();
  const args = ["--eliza-word-delay", "5ms", "--max-queued-turns", "30", "--max-user-rate", "1000", "--max-event-rate", "1000"];
  let server = await serve(t, { dir, args });
  const listen = new URL(server.url).host;
  const chat = newChat();
  const people = [], pages = [];
  for (const user of ["alice", "bob", "carol"]) {
    people.push(await documented(t, server, user, chat));
    pages.push(await page(t, server, user, chat));
  }
  const { room, socket: anybody } = people[0];
  const connected = () => until(() => [...people, ...pages].every((p) => p.socket.connected), Boolean);

  let said = 0;
  const text = () => `${random.pick(["", "@eliza ", "@bob "])}this is number ${said++}${" and more".repeat(random.below(8))}`;
  const send = () => say(random.pick(people), "send_message", {
    room_id: room, message: { content: text(), client_message_id: `number-${said}` },
    policy: random.pick([undefined, "queue", "steer", "interrupt", "reject", "merge", "rollback"]), answer: random.pick([undefined, true, false]),
  });
  const known = []; // the messages that anybody was told of
  anybody.on(`message ${room}`, ({ message }) => known.push(message.message_id));
  const own = ({ messages, user }) => messages().slice(-8).filter((m) => m.author?.user_id === user || m.client_message_id);
  const steps = {
    send: () => Promise.all(random.list(3, send)),
    page: () => random.pick(pages).say(`${said++}`),
    withdraw: (p) => ask(p.socket, `withdraw ${room}`, { message_id: random.pick(own(p))?.message_id ?? "none" }),
    async move({ socket, state }) {
      const turns = conversation(state).waiting.map(({ turn }) => turn.turn_id);
      if (turns.length) await ask(socket, `move ${room}`, { turn_id: random.pick(turns), before_turn_id: random.pick([undefined, ...turns]) });
    },
    edit: (p) => random.below(3) || say(p, `edit ${room}`, { message_id: random.pick(own(p))?.message_id ?? "none", content: text() }),
    select: (p) => random.below(2) || ask(p.socket, `select ${room}`, { message_id: random.pick(known) ?? "none" }),
    regenerate: (p) => ask(p.socket, `regenerate ${room}`, { message_id: random.pick(p.messages().slice(-8))?.message_id ?? "none" }),
    stop: (p) => ask(p.socket, `stop ${room}`, {}),
    configure: (p) => ask(p.socket, `configure ${room}`, {
      turn_policy: random.pick(["", "merge", "rollback", "steer"]), answers: random.pick(["all", "all", "mentioned", "none"]),
    }),
    cut: () => random.pick([...people, ...pages]).socket.io.engine.close(),
    async kill() {
      if (random.below(long ? 8 : 20)) return;
      await server.kill();
      server = await serve(t, { dir, args, listen });
    },
  };
  let last; // record
  const atRest = async () => { // nothing runs, and what a page said a moment ago has come
    await sleep(100);
    const { seq, turn, queued } = await ask(anybody, "join_room", { room_id: room, dialect: "documented" });
    const rests = seq === last && !turn && queued.length === 0;
    last = seq;
    return rests;
  };
  const names = Object.keys(steps);
  for (let round = 0; round < (long ? 30 : 3); round++) {
    for (let i = 0; i < 25; i++) {
      await steps[random.pick(["send", "send", "page", "withdraw", ...names])](random.pick(people));
      await connected();
    }
    await until(atRest, Boolean);
    await until(() => people.every((p) => Math.max(p.seq, p.state.seq) >= last), Boolean);
    await Promise.all(people.filter((p) => p.state.stale).map((p) => p.read())); // a connection broke meanwhile
    await sleep(50); // the last event of a record may be on its way
    const { messages } = await ask(anybody, "history", { room_id: room, limit: 500 });
    for (const p of people) {
      const oldest = messages[0]?.seq;
      const shown = p.messages().filter((m) => m.seq >= oldest);
      assert.deepEqual(shown.map((m) => m.message_id), messages.map((m) => m.message_id), `${p.user} in round ${round}`);
      const { exchanges, waiting } = conversation(p.state);
      assert.deepEqual([p.state.running, waiting], [null, []], "nothing waits or runs");
      const inTalk = exchanges.flatMap((e) => [e.question, ...e.answers]).filter((m) => m?.seq >= oldest).map((m) => m.message_id);
      assert.deepEqual(inTalk.toSorted(), shown.map((m) => m.message_id).toSorted(), "each is in one exchange");
      assert.deepEqual(p.misfits, [], "each piece of an answer fits");
    }
    assert.deepEqual(pages.filter((p) => p.spins).map((p) => p.user), [], `round ${round}: no spinner is left`);
  }
  assert.ok(events(anybody, `turn ${room}`).length > 0);
});

// The official client sends a packet again when its acknowledgement is late (option retries). One command with an id of
// its own is carried out once.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { ask, command, connect, enter, events, folder, messages, newChat, serve, until } from "./lib/parlor.mjs";
import { proxy } from "./lib/proxy.mjs";
import { longOnly } from "./lib/random.mjs";

/** A client whose acknowledgements come 700 ms late and which waits 300 ms for them. */
async function impatient(t, server) {
  const network = await proxy(t, server.url);
  network.lag(700);
  return connect(t, network, { retries: 3, ackTimeout: 300 });
}

/** Sends one command and returns what its acknowledgement says, once every repetition has arrived. */
async function press(socket, event, body) {
  const ack = await new Promise((resolve) => socket.emit(event, body, (err, ack) => resolve(err ?? ack)));
  await new Promise((resolve) => setTimeout(resolve, 1000));
  return ack;
}

for (const named of [true, false]) {
  test(`one press of regenerate makes one answer, ${named ? "with" : "without"} an id`, named ? longOnly : {}, async (t) => {
    const server = await serve(t);
    const alice = await connect(t, server);
    const chat = newChat();
    const room = await enter(alice, chat);
    await ask(alice, "send_message", { room_id: room, message: "hello" });
    await until(() => messages(server, chat), (h) => h.length === 2);
    const [, answer] = await messages(server, chat);
    const id = named ? { client_message_id: "press" } : {};
    await press(await impatient(t, server), `regenerate ${room}`, { message_id: answer.message_id, ...id });
    const [, again] = await until(() => messages(server, chat), (h) => h[1].siblings);
    assert.deepEqual(again.siblings, { ids: [answer.message_id, again.message_id], place: 2, count: 2 });
    assert.equal(events(alice, `turn ${room}`).filter((e) => e.state === "queued").length, 2);
  });
}

test("a command that is repeated after a restart, and its id with other content", async (t) => {
  const dir = folder();
  let server = await serve(t, { dir });
  const chat = newChat();
  let alice = await connect(t, server);
  const room = await enter(alice, chat);
  const { message_id } = await ask(alice, "send_message", { room_id: room, message: { content: "hello", client_message_id: "a" } });
  await until(() => messages(server, chat), (h) => h.length === 2);
  const [, answer] = await messages(server, chat);
  const commands = {
    send_message: { message: { content: "hello", client_message_id: "a" } },
    regenerate: { message_id: answer.message_id, client_message_id: "b" },
    configure: { title: "a title", client_message_id: "c" },
    stop: { client_message_id: "d" },
  };
  const say = (event) => ask(alice, event, { room_id: room, ...commands[event] });
  const first = {};
  for (const event of Object.keys(commands)) first[event] = await say(event);
  await server.kill();
  server = await serve(t, { dir });
  alice = await connect(t, server);
  await enter(alice, chat);
  for (const event of ["send_message", "regenerate", "configure"]) assert.deepEqual(await say(event), first[event]);
  assert.equal(first.send_message.message_id, message_id);
  const want = await messages(server, chat);
  for (const [event, body] of Object.entries({
    send_message: { message: { content: "goodbye", client_message_id: "a" } },
    regenerate: { message_id: answer.message_id, client_message_id: "a" },
    configure: { title: "another title", client_message_id: "c" },
    edit: { message_id, content: "goodbye", client_message_id: "b" },
    stop: { client_message_id: "c" },
  })) {
    const ack = await ask(alice, event, { room_id: room, ...body });
    assert.deepEqual([ack.ok, ack.error?.code], [false, "conflict"], event);
  }
  assert.equal((await messages(server, chat)).length, want.length);
  await server.kill();
  const { status, stdout } = await command(["check", "--data", join(dir, "parlor.db")], { dir });
  assert.equal(status, 0, stdout);
});

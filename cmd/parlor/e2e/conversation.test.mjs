// Two people and an assistant in one room: WIRE-ASSISTANT §9 and WIRE-EVENTS.
import assert from "node:assert/strict";
import { test } from "node:test";
import WebSocket from "ws";
import { ask, connect, enter, event, events, messages, newChat, serve, until } from "./lib/parlor.mjs";
import { long } from "./lib/random.mjs";

/** The SPA's text message, WIRE-ASSISTANT §6. */
const spaText = (content, id = String(Date.now())) => ({
  type: "sbaw.incoming.text_message.user",
  id,
  data: { item: { id: `${id}-local`, type: "message", role: "user", model_id: "eliza", modality: "text", content } },
});

test("page load and first message (§9.1)", async (t) => {
  const server = await serve(t);
  const [alice, bob] = [await connect(t, server), await connect(t, server, { user: "bob" })];
  const chat = newChat();

  alice.emit("find_chat", { chat_id: chat });
  assert.deepEqual(await event(alice, `room_not_found ${chat}`), { room_id: null, chat_id: chat });
  alice.emit("create_room", { chat_id: chat, model_api_source: "aisuite", model_id: "eliza" });
  const { room_id: room } = await event(alice, `room_created ${chat}`);
  for (const socket of [alice, bob]) {
    socket.emit("join_room", { room_id: room });
    const joined = await event(socket, `room_joined ${room}`);
    assert.equal(joined.room_id, room);
    assert.equal(typeof joined.epoch, "string");
    assert.equal(joined.turn, null);
  }
  bob.emit("find_chat", { chat_id: chat });
  assert.deepEqual(await event(bob, `room_found ${chat}`), { room_id: room, chat_id: chat });

  alice.emit("send_message", { room_id: room, message: spaText("My mother worries about me", "1700000000000"), model_id: "eliza" });
  const answered = ({ type }) => type === "sbaw.text_message.assistant";
  const answer = await event(alice, `receive_message ${room}`, answered);
  await event(bob, `receive_message ${room}`, answered);

  const sent = alice.seen.findIndex((e) => e.name === "message_sent 1700000000000");
  const replied = alice.seen.findIndex((e) => e.name === `receive_message ${room}`);
  assert.ok(sent >= 0 && sent < replied, "message_sent comes before the reply");
  assert.deepEqual(alice.seen[sent].body, { success: true });
  const echo = ({ type }) => type === "sbaw.text_message.user";
  assert.equal(events(alice, `receive_message ${room}`).filter(echo).length, 0, "no echo for the sender");
  assert.equal(events(bob, `receive_message ${room}`).filter(echo).length, 1);
  assert.equal(events(bob, `receive_message ${room}`).find(echo).data.content, "My mother worries about me");
  assert.match(answer.data.created_timestamp, /Z$/);

  const history = await messages(server, chat);
  assert.deepEqual(history.map((m) => m.role), ["user", "assistant"]);
  assert.equal(history[1].content, answer.data.content);
});

test("a stream adds up to the message, with offsets (WIRE-EVENTS)", async (t) => {
  const server = await serve(t);
  const [alice, bob] = [await connect(t, server), await connect(t, server, { user: "bob" })];
  const chat = newChat();
  const room = await enter(alice, chat, { dialect: "documented" });
  await enter(bob, chat, { dialect: "documented" });

  const ack = await ask(alice, `send_message ${room}`, { message: { content: "I feel sad 😀 today", client_message_id: "m1" } });
  assert.equal(ack.ok, true);
  for (const socket of [alice, bob]) {
    const end = await event(socket, `stream_end ${room}`);
    const start = await event(socket, `stream_start ${room}`);
    assert.equal(end.state, "completed");
    assert.equal(start.attempt, 1);
    let text = "";
    for (const chunk of events(socket, `stream_chunk ${room}`)) {
      assert.equal(chunk.offset, text.length);
      assert.equal(chunk.message_id, end.message_id);
      text += chunk.content;
    }
    const { message } = await event(socket, `message ${room}`, (b) => b.message.role === "assistant");
    assert.equal(text, message.content);
    assert.equal(message.message_id, end.message_id);
    assert.equal(message.seq, end.seq);
    assert.ok(text.length > 0);
    assert.equal(events(socket, `receive_message ${room}`).length, 0, "one dialect was chosen");
  }
  assert.equal(events(alice, `message ${room}`).filter((b) => b.message.role === "user").length, 0);
  assert.equal(events(bob, `message ${room}`).filter((b) => b.message.role === "user").length, 1);
  const order = alice.seen.map((e) => e.name);
  assert.ok(order.indexOf(`message_sent ${room}`) < order.indexOf(`stream_start ${room}`));

  const repeat = (content) => ask(alice, "send_message", { room_id: room, message: { content, client_message_id: "m1" } });
  assert.deepEqual(await repeat("I feel sad 😀 today"), ack, "the same client_message_id gets the first acknowledgement");
  assert.equal((await repeat("again")).error?.code, "conflict", "and with other content a refusal");
  const page = await ask(alice, "history", { room_id: room, limit: 10 });
  assert.deepEqual(page.messages.map((m) => m.role), ["user", "assistant"]);
  assert.equal(page.has_more, false);
});

test("each frame is one packet: message_sent is alone in its own", async (t) => {
  const server = await serve(t);
  const room = await enter(await connect(t, server), newChat());
  const frames = [];
  const raw = new WebSocket(`${server.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
  t.after(() => raw.close());
  raw.onmessage = (m) => frames.push(m.data);
  await until(() => frames, (f) => f.length === 1);
  raw.send('40/assistant/realtime,{"user_id":"carol"}');
  raw.send(`42/assistant/realtime,["join_room",{"room_id":"${room}"}]`);
  raw.send(`42/assistant/realtime,["send_message",{"room_id":"${room}","message":${JSON.stringify(spaText("hello", "77"))}}]`);
  await until(() => frames, (f) => f.some((x) => x.includes("sbaw.text_message.assistant")));
  assert.equal(frames.filter((f) => /^42\/assistant\/realtime,\["message_sent 77",{"success":true},"[\w.-]+"\]$/.test(f)).length, 1, frames.join("\n"));
});

test("reconnect of the SPA heals (§9.2)", async (t) => {
  const server = await serve(t);
  const chat = newChat();
  const first = await connect(t, server);
  const room = await enter(first, chat);
  first.disconnect();

  const page = await connect(t, server);
  page.emit("find_chat", { chat_id: chat });
  await event(page, `room_found ${chat}`);
  page.emit("create_room", { chat_id: chat, model_api_source: "aisuite", model_id: "eliza" });
  assert.equal((await event(page, `room_created ${chat}`)).room_id, room);
  page.emit("join_room", {});
  await event(page, "room_joined undefined");
  assert.equal((await event(page, `room_joined ${room}`)).room_id, room);
  page.emit("send_message", { room_id: room, message: spaText("hello again", "5") });
  await event(page, "message_sent 5");
  await event(page, `receive_message ${room}`, ({ type }) => type === "sbaw.text_message.assistant");
});

test("both send formats work in one room (§9.6)", async (t) => {
  const server = await serve(t);
  const alice = await connect(t, server);
  const chat = newChat();
  const room = await enter(alice, chat);
  alice.emit("send_message", {
    room_id: room,
    message: { type: "conversation.item.create", id: "1", data: { item: { id: "i", type: "message", role: "user", content: [{ type: "input_text", text: "I am here" }] } } },
  });
  assert.deepEqual(await event(alice, "message_sent 1"), { success: true });
  alice.emit("send_message", { room_id: room, message: { type: "response.create", id: "2", data: { response: { modalities: ["text"] } } } });
  await event(alice, "message_sent 2");
  await event(alice, `receive_message ${room}`, ({ type }) => type === "sbaw.text_message.assistant");
  alice.emit("send_message", { room_id: room, message: spaText("and in the other format", "3") });
  await event(alice, "message_sent 3");
  const history = await until(() => messages(server, chat), (m) => m.length === 4);
  assert.deepEqual(history.map((m) => m.role), ["user", "assistant", "user", "assistant"]);
});

const times = long ? 50 : 10;

test(`two members send in the same millisecond, ${times} times`, async (t) => {
  const server = await serve(t);
  const chat = newChat();
  const members = [await connect(t, server), await connect(t, server, { user: "bob" })];
  let room;
  for (const m of members) room = await enter(m, chat, { dialect: "documented" });
  const acks = [];
  for (let i = 0; i < times; i++) {
    for (const [k, m] of members.entries()) acks.push(ask(m, "send_message", { room_id: room, message: `${k} says ${i}` }));
  }
  for (const ack of await Promise.all(acks)) assert.equal(ack.ok, true, JSON.stringify(ack));

  const history = await until(() => messages(server, chat), (h) => h.length === 4 * times, { timeout: 60_000 });
  assert.equal(history.filter((m) => m.role === "assistant" && m.state === "completed").length, 2 * times);
  await Promise.all(members.map((m) => until(() => events(m, `stream_end ${room}`).length, (n) => n === 2 * times)));
  for (const [k, m] of members.entries()) {
    const seen = events(m, `message ${room}`).map((b) => b.message).filter((x) => x.author?.user_id !== ["alice", "bob"][k]);
    const want = history.filter((x) => !(x.role === "user" && x.content.startsWith(`${k} says`)));
    assert.deepEqual(seen.map((x) => [x.seq, x.message_id]), want.map((x) => [x.seq, x.message_id]));
    const seqs = m.seen.flatMap((e) => [e.body?.seq, e.body?.message?.seq]).filter(Number.isInteger);
    const joined = events(m, `room_joined ${room}`)[0].seq;
    const distinct = [...new Set(seqs)].sort((a, b) => a - b).filter((s) => s > joined);
    assert.deepEqual(distinct, Array.from({ length: 8 * times }, (_, i) => joined + 1 + i), "no gap in what a member sees");
  }
});

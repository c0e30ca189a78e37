// The official client with the messages of the assistant page: what the page relies on (WIRE-ASSISTANT §6 to §10).
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { browser, noBrowser } from "./lib/browser.mjs";
import { client, enter, event, events, folder, messages, newChat, serve, sleep, until } from "./lib/parlor.mjs";
import { proxy } from "./lib/proxy.mjs";

/** A page with its chat open, as far as the socket goes. It chooses no dialect. */
async function page(t, server, { chat, model, ...options }) {
  const socket = client(t, server, { auth: { user_id: "alice" }, reconnectionDelay: 100, ...options });
  await once(socket, "connect");
  return Object.assign(socket, { room: await enter(socket, chat, { model }) });
}

let sent = 0;
/** Sends text as the page does, and returns the ids of the envelope and of the bubble. */
function say(socket, text, { model = "eliza" } = {}) {
  const [id, bubble] = [`17000000000${++sent}`, `16000000000${sent}`];
  const item = { id: bubble, type: "message", role: "user", model_id: model, modality: "text", content: text };
  const message = { type: "sbaw.incoming.text_message.user", data: { item }, id };
  socket.emit("send_message", { room_id: socket.room, message, model_id: model });
  return { id, bubble };
}

/** The data of what the page was shown, by type. */
const shown = (socket, type) => events(socket, `receive_message ${socket.room}`).filter((e) => e.type === type).map((e) => e.data);

test("an acknowledgement that the network lost is owed, and no echo", async (t) => {
  const server = await serve(t);
  const network = await proxy(t, server.url);
  const chat = newChat();
  const alice = await page(t, network, { chat });
  const tab = await page(t, server, { chat });
  network.mute();
  const { id } = say(alice, "hello");
  await until(() => messages(server, chat), (h) => h.length === 2);
  await network.cut();
  await event(alice, `message_sent ${id}`);
  await until(() => shown(alice, "sbaw.text_message.assistant"), (a) => a.length === 1);
  assert.ok(alice.recovered);
  assert.deepEqual(shown(alice, "sbaw.text_message.user"), []);
  assert.equal(events(alice, `message_sent ${id}`).length, 1);
  const order = alice.seen.map((e) => e.name);
  assert.ok(order.indexOf(`message_sent ${id}`) < order.lastIndexOf(`receive_message ${alice.room}`));
  assert.deepEqual(shown(tab, "sbaw.text_message.user").map((m) => m.content), ["hello"]);
});

test("a refused message frees the spinner, with words", async (t) => {
  const server = await serve(t);
  const chat = newChat();
  const alice = await page(t, server, { chat });
  const refused = async (text, options) => {
    const before = alice.seen.length;
    const { id, bubble } = say(alice, text, options);
    const [{ error, code }, closing] = [await event(alice, `message_error ${id}`), await until(() => shown(alice, "sbaw.text_message.assistant").at(-1), (m) => m?.content)];
    const marked = events(alice, "message_error").at(-1);
    assert.deepEqual([marked.error, marked.client_message_id, closing.content, closing.stop_reason], [error, bubble, error, "error"]);
    const order = alice.seen.slice(before).map((e) => e.name);
    const last = order.lastIndexOf(`receive_message ${alice.room}`);
    assert.ok(order.indexOf(`message_error ${id}`) < order.indexOf("message_error") && order.indexOf("message_error") < last, order.join());
    alice.seen.length = 0;
    return code;
  };
  assert.equal(await refused("x".repeat(100_000)), "too_large");
  assert.equal(await refused("hello", { model: "nobody" }), "not_found");
  assert.equal(await refused("  "), "invalid");
  const deleted = await fetch(`${server.url}/api/v1/chat/${chat}`, { method: "DELETE", headers: { "X-Parlor-User": "alice" } });
  assert.ok(deleted.ok);
  assert.equal(await refused("hello"), "not_found");
});

/** Does what the page does behind each connection after the first (§9.2): the answers go astray, and it names no room. */
async function rejoin(socket, chat) {
  const answered = (word, id) => new Promise((resolve) => socket.once(`${word} ${id}`, resolve));
  socket.emit("find_chat", { chat_id: chat });
  await answered("room_found", chat);
  socket.emit("create_room", { chat_id: chat, model_api_source: "aisuite", model_id: "eliza" });
  await answered("room_created", chat);
  socket.emit("join_room", {});
  await Promise.all([answered("room_joined", "undefined"), answered("room_joined", socket.room)]);
}

test("away longer than the recovery window, and while the server was killed: what followed is told", async (t) => {
  const dir = folder();
  const args = ["--recovery-window", "200ms"];
  let server = await serve(t, { dir, args });
  const listen = new URL(server.url).host;
  const network = await proxy(t, server.url);
  const chat = newChat();
  const alice = await page(t, network, { chat });
  const tab = await page(t, server, { chat });
  say(tab, "before");
  await until(() => shown(alice, "sbaw.text_message.assistant"), (a) => a.length === 1);
  network.mute();
  const { id } = say(alice, "mine");
  await until(() => messages(server, chat), (h) => h.length === 4);
  await network.cut({ refuse: true });
  say(tab, "after");
  await until(() => messages(server, chat), (h) => h.length === 6);
  await server.kill();
  server = await serve(t, { dir, args, listen });
  await sleep(1000);
  alice.seen.length = 0;
  const connected = once(alice, "connect");
  network.accept();
  await connected;
  assert.equal(alice.recovered, false);
  await rejoin(alice, chat);
  await until(() => shown(alice, "sbaw.text_message.assistant"), (a) => a.length === 2);
  assert.equal(events(alice, `message_sent ${id}`).length, 1);
  assert.deepEqual(shown(alice, "sbaw.text_message.user").map((m) => m.content), ["after"]);
  const { id: next } = say(alice, "again");
  await event(alice, `message_sent ${next}`);
  await until(() => shown(alice, "sbaw.text_message.assistant"), (a) => a.length === 3);
});

const clientScript = new URL("./node_modules/socket.io-client/dist/socket.io.min.js", import.meta.url).pathname;

/** A page in Chromium that turns its spinner on and off, and marks its bubbles, by the rules of the SPA. */
async function spinner(t, server, chat) {
  const page = await (await (await browser(t)).newContext({ bypassCSP: true })).newPage();
  await page.goto(`${server.url}/healthz`); // any page of this origin
  await page.addScriptTag({ path: clientScript });
  await page.evaluate(async (chat) => {
    const socket = io("/assistant/realtime", { transports: ["websocket"], auth: { user_id: "alice" }, forceNew: true, reconnectionDelay: 100 });
    const told = (name) => new Promise((resolve) => socket.once(name, resolve));
    const create = async () => {
      const created = told(`room_created ${chat}`);
      socket.emit("create_room", { chat_id: chat, model_api_source: "aisuite", model_id: "eliza" });
      return (await created).room_id;
    };
    await told("connect");
    const room = await create();
    const joined = told(`room_joined ${room}`);
    socket.emit("join_room", { room_id: room });
    await joined;
    socket.on("connect", async () => (await create(), socket.emit("join_room", {})));
    const shows = { processing: false, bubbles: [], toasts: [] };
    socket.on(`receive_message ${room}`, ({ type, data }) => {
      if (type === "sbaw.text_message.user") shows.bubbles.push(["other", data.content]);
      if (type !== "sbaw.text_message.assistant") return;
      shows.bubbles.push(["assistant", data.content]);
      shows.processing = false;
    });
    socket.on("message_error", ({ error, client_message_id }) => {
      const bubble = shows.bubbles.find((b) => b[3] === client_message_id);
      if (bubble) bubble[2] = "error";
      shows.toasts.push(error);
    });
    const say = async (content) => {
      const [local, id] = [String(Date.now()), String(Date.now() + 1)];
      const bubble = ["me", content, "sending", local];
      shows.bubbles.push(bubble);
      const item = { id: local, type: "message", role: "user", model_id: "eliza", modality: "text", content };
      const sent = new Promise((resolve, reject) => (socket.once(`message_sent ${id}`, resolve), socket.once(`message_error ${id}`, reject)));
      socket.emit("send_message", { room_id: room, model_id: "eliza", message: { type: "sbaw.incoming.text_message.user", id, data: { item } } });
      try {
        await sent;
        bubble[2] = "sent";
      } catch {
        bubble[2] = "error";
      }
      shows.processing = true;
    };
    globalThis.spa = { shows, say };
  }, chat);
  return {
    say: (content) => page.evaluate((content) => void spa.say(content), content),
    shows: () => page.evaluate(() => spa.shows),
  };
}

test("the page's spinner, in Chromium", { skip: noBrowser, timeout: 60_000 }, async (t) => {
  const server = await serve(t);
  const network = await proxy(t, server.url);
  const chat = newChat();
  const alice = await spinner(t, network, chat);
  const rest = (n) => until(alice.shows, ({ processing, bubbles }) => !processing && bubbles.length === n);
  await alice.say("hello");
  await rest(2);

  await alice.say("x".repeat(100_000)); // is refused
  const refused = await rest(4);
  assert.equal(refused.bubbles[2][2], "error");
  assert.deepEqual(refused.bubbles[3], ["assistant", refused.toasts[0]]);

  network.mute(); // the acknowledgement and the answer are lost
  await alice.say("and now?");
  await until(() => messages(server, chat), (h) => h.length === 4);
  await network.cut();
  const back = await rest(6);
  assert.deepEqual(back.bubbles[4].slice(0, 3), ["me", "and now?", "sent"]);
  assert.equal(back.bubbles[5][0], "assistant");
  await sleep(200);
  assert.deepEqual(await alice.shows(), back, "once, and for good");
});

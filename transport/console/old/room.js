// A room of the server: the connection to it, and what goes over that.
//
//   connect → prepare → find_chat | create_room → join_room → history → live events
//
// What is said here waits in the outbox, under an id that makes repeating it
// harmless, until the server has acknowledged it; the outbox outlives a lost
// connection and a reload. No DOM in this file.

import { io } from "./socket.io.esm.min.js";
import { Presence } from "./presence.js";
import { Transcript } from "./transcript.js";

const NAMESPACE = "/assistant/realtime";
const ACK_TIMEOUT = 10_000; // ms
const RETRY_DELAY = 3_000; // ms, before a room that could not be entered is tried again
const MAX_RECONNECT_DELAY = 4_000; // ms
const MAX_SENDS = 3; // of one message over connections that break: perhaps it breaks them
const TYPING_AGAIN = 3_000; // ms, until it is said again that somebody types
const PAGE = 50; // messages of history, at the start and on request
const GAP_PAGE = 200; // messages of history, to fetch what was missed

// Refusals that trying again does not change.
const FINAL = new Set(["unauthenticated", "forbidden", "not_found", "expired", "invalid", "too_large"]);

// newID works without crypto.randomUUID too, which http:// on another host lacks.
export function newID() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}

export class Room {
  phase = "connecting"; // or connected, reconnecting, refused
  problem = null; // {code, message}: why it is not connected, if there is more to say
  hasEarlier = false; // than the messages here
  role = ""; // of the one who is here
  presence = new Presence(); // who else is here

  #o;
  #socket;
  #me; // author of what is said here
  #id; // of the room
  #chat = new Transcript();
  #known = 0; // everything up to this seq was seen or fetched
  #outbox; // messages by client_message_id
  #resyncing = false;
  #timer; // of the next attempt to enter
  #typed = 0; // when it was said last that somebody types here

  // base: URL of the server. chat: id. auth: () → payload of CONNECT.
  // prepare: async () → {me, model}, before each entry; model is for a new chat.
  // outbox: {load, save}, of an array. changed(): there is something new to
  // show. said(message): somebody spoke just now.
  constructor(options) {
    this.#o = { ...options };
    this.#outbox = new Map(options.outbox.load().map((m) => [m.client_message_id, m]));
    this.#socket = io(new URL(NAMESPACE, options.base).href, {
      path: new URL("socket.io/", options.base).pathname,
      transports: ["websocket"],
      forceNew: true,
      reconnectionDelay: 500,
      reconnectionDelayMax: MAX_RECONNECT_DELAY,
      auth: (done) => done(options.auth()),
    });
    this.#socket.on("connect", () => this.#open());
    this.#socket.on("disconnect", () => this.#lost({ code: "closed", message: "the server closed the connection" }));
    this.#socket.on("connect_error", (e) => this.#lost({ code: e.data?.code, message: e.message }));
    this.#socket.onAny((event, body) => this.#event(event, body));
  }

  get running() {
    return this.#chat.running;
  }

  items() {
    const state = (m) => (m.error ? "unsent" : this.phase === "connected" ? "sending" : "held");
    return this.#chat.items([...this.#outbox.values()].map((m) => ({
      ...m, key: m.client_message_id, role: "user", mine: true, state: state(m),
    })));
  }

  // ---- what a person does

  say(content, model_id) {
    const id = newID();
    this.#typed = 0;
    this.#put({ client_message_id: id, content, model_id, timestamp: new Date().toISOString(), sends: 0, error: null });
    this.#post(id);
  }

  retry(id) {
    this.#put({ ...this.#outbox.get(id), error: null, sends: 0 });
    this.#post(id);
  }

  // take removes a message that was not sent, and returns its text.
  take(id) {
    const { content } = this.#outbox.get(id);
    this.#drop(id);
    return content;
  }

  // stop shows no answer: the end of the turn is an event.
  stop(turn_id) {
    this.#call(`stop ${this.#id}`, { room_id: this.#id, turn_id }).catch(() => {});
  }

  // select shows another version of a message, and the branch behind it, to everybody. Which
  // that is comes as an event.
  select(message_id) {
    this.#call(`select ${this.#id}`, { room_id: this.#id, message_id }).catch(() => {});
  }

  // version selects the version of a message that stands so many places away.
  version(key, step) {
    const { message_id, siblings: { ids } } = this.#chat.messages.get(key);
    const id = ids[ids.indexOf(message_id) + step];
    if (id) this.select(id);
  }

  // earlier shows no failure: the button is still there.
  async earlier() {
    const oldest = Math.min(...[...this.#chat.messages.values()].map((m) => m.seq));
    const page = await this.#history(oldest, PAGE).catch(() => ({ has_more: true }));
    this.hasEarlier = page.has_more;
    this.#o.changed();
  }

  // reconnect tries again what was refused.
  reconnect() {
    this.#show("connecting");
    this.#socket.connect();
  }

  close() {
    this.#o.changed = this.#o.said = () => {};
    clearTimeout(this.#timer);
    this.#socket.disconnect();
  }

  // typing tells the others that somebody types here.
  typing() {
    if (this.phase !== "connected" || Date.now() - this.#typed < TYPING_AGAIN) return;
    this.#typed = Date.now();
    this.#socket.volatile.emit(`typing ${this.#id}`, { typing: true });
  }

  // ---- entering

  async #open() {
    clearTimeout(this.#timer);
    try {
      const { me, model } = await this.#o.prepare();
      this.#me = me;
      this.#id = await this.#findOrCreate(model);
      const { seq } = await this.#join();
      await this.#catchUp();
      this.#known = seq;
    } catch (e) {
      return this.#notOpened(e);
    }
    this.#show("connected");
    for (const m of this.#outbox.values()) if (!m.error?.code) this.#post(m.client_message_id);
  }

  #notOpened(e) {
    if (!this.#socket.connected) return; // that is said already, and the next connection tries again
    if (FINAL.has(e.code)) return this.#refused(e);
    this.#show("reconnecting", e);
    this.#timer = setTimeout(() => this.#open(), RETRY_DELAY);
  }

  async #findOrCreate({ model_id, model_api_source }) {
    const chat_id = this.#o.chat;
    try {
      return (await this.#call("find_chat", { chat_id })).room_id;
    } catch (e) {
      if (e.code !== "not_found") throw e;
    }
    return (await this.#call("create_room", { chat_id, model_id, model_api_source })).room_id;
  }

  async #join() {
    const joined = await this.#call("join_room", { room_id: this.#id, dialect: "documented" });
    this.#chat.join(joined);
    this.role = joined.members.find((m) => m.user_id === this.#me?.user_id)?.role ?? "";
    if (this.#chat.messages.size === 0) this.#known = 0; // it may be another chat now
    if (this.#chat.stale) this.#reread();
    this.#o.changed();
    return joined;
  }

  // #catchUp fetches what was missed; the first time, the newest messages.
  async #catchUp() {
    const known = this.#known;
    let page, before;
    do {
      page = await this.#history(before, known ? GAP_PAGE : PAGE);
      before = page.messages[0]?.seq;
    } while (known && page.has_more && before > known);
    if (!known) this.hasEarlier = page.has_more;
  }

  // #reread takes the newest messages of the branch that is the current one now.
  async #reread() {
    await this.#chat.read(async () => {
      const page = await this.#call("history", { room_id: this.#id, limit: PAGE });
      this.hasEarlier = page.has_more;
      return page;
    }).catch(() => {}); // the next connection tries again
    this.#o.changed();
  }

  async #history(before, limit) {
    const page = await this.#call("history", { room_id: this.#id, before, limit });
    page.messages.forEach((m) => this.#record(m));
    return page;
  }

  // ---- leaving

  // #lost leaves it to the socket to come back, unless it does not: then the
  // server wants no connection, or this page has ended it and said why.
  #lost(problem) {
    clearTimeout(this.#timer);
    this.presence.clear();
    if (this.phase === "connected") this.#known = this.#chat.seq;
    if (this.#socket.active) this.#show("reconnecting");
    else if (this.phase !== "refused") this.#show("refused", problem);
  }

  #refused(problem) {
    this.#show("refused", problem);
    this.#socket.disconnect();
  }

  #show(phase, problem = null) {
    this.phase = phase;
    this.problem = problem && { code: problem.code, message: problem.message };
    this.#o.changed();
  }

  // ---- sending

  async #post(id) {
    if (this.phase !== "connected") return; // #open posts it
    const m = this.#outbox.get(id);
    this.#put({ ...m, error: null, sends: m.sends + 1 });
    try {
      const message = { content: m.content, client_message_id: id };
      this.#sent(id, await this.#call("send_message", { room_id: this.#id, model_id: m.model_id, message }));
    } catch (e) {
      this.#unsent(id, e);
    }
  }

  // #sent records the message from its acknowledgement: there is no echo.
  #sent(id, { message_id, seq }) {
    if (!this.#outbox.has(id)) return; // history had it
    const { content, model_id, timestamp } = this.#outbox.get(id);
    this.#record({
      message_id, seq, role: "user", author: this.#me, content, model_id, timestamp, state: "completed", client_message_id: id,
    });
    this.#o.changed();
  }

  // #unsent leaves what a broken connection cut off to the next one.
  #unsent(id, { code, message }) {
    const m = this.#outbox.get(id);
    if (!m) return;
    if (code || this.#socket.connected) this.#put({ ...m, error: { code, message } });
    else if (m.sends >= MAX_SENDS) this.#put({ ...m, error: { code: "lost", message: "the connection broke each time it was sent" } });
  }

  #put(m) {
    this.#outbox.set(m.client_message_id, m);
    this.#saveOutbox();
  }

  #drop(id) {
    if (this.#outbox.delete(id)) this.#saveOutbox();
  }

  #saveOutbox() {
    this.#o.outbox.save([...this.#outbox.values()]);
    this.#o.changed();
  }

  #record(m) {
    this.#drop(m.client_message_id);
    this.#chat.record(m);
  }

  // #call asks for an acknowledgement, and throws an Error if it says no; the
  // error has a code if the server gave one.
  async #call(event, body) {
    if (!this.#socket.connected) throw new Error("not connected");
    const ack = await this.#socket.timeout(ACK_TIMEOUT).emitWithAck(event, body).catch(() => {
      throw new Error("the server did not answer");
    });
    if (!ack.ok) throw Object.assign(new Error(ack.error.message), { code: ack.error.code });
    return ack;
  }

  // ---- receiving

  // #event takes the events that are named "<word> <room id>".
  #event(event, body) {
    const [word, id] = event.split(" ");
    if (id !== this.#id) return;
    if (word === "presence") this.presence.apply(body);
    if (word === "members") this.#changeRole(body);
    // A refusal names its event, and is in the acknowledgement too; the end of the chat does not.
    if (word === "error" && body.code === "not_found" && !body.event) return this.#deleted(body);
    if (!this.#chat.apply(word, body)) this.#resync();
    const { replaces, first } = body.message ?? {}; // whose versions are counted anew
    if (this.#chat.stale || replaces || first) this.#reread();
    if (word === "message") {
      this.#drop(body.message.client_message_id);
      this.#o.said(body.message);
    }
    this.#o.changed();
  }

  // #changeRole takes a change of somebody's role. A new owner takes the old one's place.
  #changeRole({ user_id, role }) {
    if (user_id === this.#me?.user_id) this.role = role;
    else if (role === "owner" && this.role === "owner") this.role = "member";
  }

  #deleted({ code, error }) {
    this.#chat.clear();
    this.#refused({ code, message: error });
  }

  // #resync takes the text so far from the server, since a piece is missing.
  async #resync() {
    if (this.#resyncing) return;
    this.#resyncing = true;
    await this.#join().catch(() => {}); // the next piece tries again
    this.#resyncing = false;
  }
}

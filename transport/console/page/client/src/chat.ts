// An open chat: its room, kept up to date, and what one does there.
//
//	enter → find_chat | create_room → join_room → history → live events
//
// After a lost connection the server tells what was missed: by itself if it knows this client still, else behind a
// join_room that says how far one is.
import { Refusal } from "./api.ts";
import type { Client } from "./client.ts";
import { apply, finishReading, fromHistory, join, record, startReading } from "./fold.ts";
import { Listeners } from "./listeners.ts";
import { Offered, type PageTool } from "./offered.ts";
import { newID, Outbox, type Entry, type Said, type Storage } from "./outbox.ts";
import { applyPeople } from "./people.ts";
import { emptyRoom, noPresence, roleOf, type RoomState } from "./state.ts";
import type { History, Member, Message, Policy, Problem, Role, RoomJoined, Settings } from "./wire.ts";

const PAGE = 50; // messages of history
const MAX_PAGES = 20; // of a branch, to find a message in
const RETRY_DELAY = 3_000; // ms, before a room that could not be entered is tried again
const MAX_SENDS = 3; // of one message over connections that break
const TYPING_AGAIN = 3_000; // ms, until it is said again that somebody types

/** The model of a chat that is made. */
export interface NewChat {
  model_id?: string;
  model_api_source?: string;
}

/** Whether the room was entered. */
export type Entering = "entering" | "entered" | "refused";

export class Chat {
  readonly chat_id: string;
  room_id?: string;
  state: RoomState = emptyRoom;
  phase: Entering = "entering";
  problem: Problem | null = null; // why it was refused
  onMessage?: (m: Message) => void; // somebody spoke just now
  onAudio?: (piece: { message_id: string; audio: string }) => void; // a spoken piece of an answer: PCM, for now only

  #client: Client;
  #outbox: Outbox;
  #create?: NewChat;
  #forget: () => void;
  #listeners = new Listeners();
  #offered = new Offered();
  #joined = false; // by this connection, or the one that it takes up
  #timer?: ReturnType<typeof setTimeout>;
  #typed = 0;
  #read = 0;
  #closed = false;

  constructor(client: Client, chat_id: string, storage: Storage | undefined, create: NewChat | undefined, forget: () => void) {
    this.chat_id = chat_id;
    this.#client = client;
    this.#create = create;
    this.#forget = forget;
    this.#outbox = new Outbox(`parlor outbox ${chat_id}`, storage);
  }

  /** Has a listener told when something has changed. Returns how to end that. */
  subscribe = (listener: () => void) => this.#listeners.add(listener);

  /** The messages that were sent here and are not recorded yet. */
  get outgoing(): readonly Entry[] {
    return this.#outbox.entries;
  }

  get role(): Role {
    return roleOf(this.state, this.#client.user.user_id);
  }

  get live(): boolean {
    return this.phase === "entered" && this.#client.connected;
  }

  /** Leaves the room. No listener is told anything more, whatever is still on its way. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#listeners.clear();
    clearTimeout(this.#timer);
    this.#offered.close();
    this.#forget();
    if (this.room_id && this.#client.connected) this.#client.say("leave_room", { room_id: this.room_id });
  }

  // ---- saying

  /** Says something: at once, or as soon as there is a connection. Returns the id under which it waits. */
  send(said: Said): string {
    const client_message_id = newID();
    this.#typed = 0;
    this.#put({ ...said, client_message_id, timestamp: new Date().toISOString(), sends: 0, error: null, state: "held" });
    this.#post(client_message_id);
    return client_message_id;
  }

  /** Sends again what was refused. */
  retry(id: string): void {
    const entry = this.#outbox.get(id);
    if (!entry) return;
    this.#put({ ...entry, error: null, sends: 0 });
    this.#post(id);
  }

  /** Takes back a message that was not sent, and returns it. */
  take(id: string): Entry | undefined {
    const entry = this.#outbox.get(id);
    if (this.#outbox.drop(id)) this.#listeners.tell();
    return entry;
  }

  /** Says a message of one's own anew, in a branch of its own. */
  edit(message_id: string, content: string, model_id?: string): Promise<unknown> {
    return this.#ask<Message>("edit", { message_id, content, model_id }, ({ message_id: id, seq, replaces, replaces_seq, client_message_id }) => {
      const files = this.state.messages.get(message_id)?.files;
      this.#set(record(this.state, this.#own({ message_id: id, seq, replaces, replaces_seq, client_message_id, content, model_id, files })));
      this.#reread(); // its versions are counted anew
    });
  }

  // ---- what answers

  stop = (turn_id?: string, reason?: string) => this.#ask("stop", { turn_id, reason });
  regenerate = (message_id: string, model_id?: string) => this.#ask("regenerate", { message_id, model_id });
  select = (message_id: string) => this.#ask("select", { message_id });
  withdraw = (message_id: string) => this.#ask("withdraw", { message_id });
  move = (turn_id: string, before_turn_id?: string) => this.#ask("move", { turn_id, before_turn_id });
  approve = (call_id: string, decision: "approve" | "deny", how: { arguments?: unknown; always?: boolean; reason?: string } = {}) =>
    this.#ask("approve", { call_id, decision, ...how });
  configure = (settings: Settings) => this.#ask("configure", settings);

  /** Selects the version of a message that stands so many places away. */
  version(m: Message, step: number): Promise<unknown> {
    const ids = m.siblings?.ids ?? [];
    const id = ids[ids.indexOf(m.message_id) + step];
    return id ? this.select(id) : Promise.resolve();
  }

  /** Offers models tools of this page, for answers that this user asks for; an empty list takes them back. */
  async offer(tools: readonly PageTool[]): Promise<void> {
    if (tools.length === 0 && !this.#offered.any) return;
    this.#offered.set(tools);
    if (this.live) await this.#join();
  }

  // ---- presence

  /** Tells the others that somebody types here; call it with each change of the text. */
  typing(): void {
    if (!this.live || Date.now() - this.#typed < TYPING_AGAIN) return;
    this.#typed = Date.now();
    this.#client.say(`typing ${this.room_id}`, { typing: true });
  }

  /** Tells the server up to where the user has read. */
  read(seq: number): void {
    if (seq <= this.#read || !this.live) return;
    this.#read = seq;
    this.#client.call(`read ${this.room_id}`, { room_id: this.room_id, seq }).catch(() => { this.#read = 0; });
  }

  /** Sends any other request for this room. */
  call<T = any>(event: string, body: object): Promise<T> {
    return this.#client.call<T>(`${event} ${this.room_id}`, { room_id: this.room_id, ...body });
  }

  // ---- history

  /** Reads older messages. */
  async earlier(): Promise<void> {
    if (!this.state.hasEarlier || this.#reading) return;
    const oldest = Math.min(...[...this.state.messages.values()].map((m) => m.seq));
    this.#reading = this.#history(oldest)
      .then((page) => this.#set(fromHistory(this.state, page)), () => {}) // one may try again
      .finally(() => { this.#reading = undefined; });
    return this.#reading;
  }

  #reading?: Promise<void>;

  #history = (before?: number, branch?: string): Promise<History> => this.#client.call("history", { room_id: this.room_id, before, branch, limit: PAGE });

  /** Reads a message of any branch, such as another version of one that is here. */
  async find(message_id: string): Promise<Message | undefined> {
    let before: number | undefined;
    for (let page = 0; page < MAX_PAGES; page++) {
      const { messages, has_more } = await this.#history(before, message_id);
      const found = messages.find((m) => m.message_id === message_id);
      if (found || !has_more) return found;
      before = messages[0]!.seq;
    }
    return undefined;
  }

  // #reread takes the newest messages of the branch that is the current one now.
  async #reread(): Promise<void> {
    if (this.state.reading) return;
    do {
      this.#set(startReading(this.state));
      const page = await this.#history().catch(() => null); // the next connection tries again
      this.#set(finishReading(this.state, page));
      if (!page) return;
    } while (this.state.stale);
  }

  // ---- entering

  /** Called by the client when there is a connection; recovered if the server remembers this client. */
  async enter(recovered: boolean): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#closed || this.phase === "refused") return;
    if (recovered && this.#joined) {
      this.#entered();
      if (this.#offered.any) this.#rejoin(); // they ended with the connection
      return;
    }
    this.#joined = false;
    try {
      this.room_id = await this.#findOrCreate();
      await this.#join();
      this.#entered();
    } catch (e) {
      this.#notEntered(e as Refusal);
    }
  }

  async #findOrCreate(): Promise<string> {
    const { chat_id } = this;
    try {
      return (await this.#client.call("find_chat", { chat_id })).room_id;
    } catch (e) {
      if ((e as Refusal).code !== "not_found" || !this.#create) throw e;
    }
    return (await this.#client.call("create_room", { chat_id, ...this.#create })).room_id;
  }

  async #join(): Promise<void> {
    const { seq, epoch } = this.state;
    const how = epoch === undefined ? {} : { after: seq, epoch };
    const body = { room_id: this.room_id, dialect: "documented", ...how, tools: this.#offered.list() };
    const first = epoch === undefined;
    await this.#client.call<RoomJoined>("join_room", body, (joined) => {
      this.#joined = true;
      this.#set(join(this.state, joined, Date.now()));
    });
    if (first || this.state.messages.size === 0) this.#set(fromHistory(this.state, await this.#history()));
    else if (this.state.stale) this.#reread();
    this.#look();
  }

  // #look reads what events do not tell: the settings, and all who have a role.
  #look(): void {
    this.#client.api.chat(this.chat_id).then(({ title, system_prompt, turn_policy, read_only, answers, retain_for, tools_off, current_model_id: model }) => {
      this.#set({ ...this.state, model, settings: { title, system_prompt, turn_policy, read_only, answers, retain_for, tools_off } });
    }).catch(() => {});
    this.#client.call<{ members: Member[] }>(`members ${this.room_id}`, { room_id: this.room_id })
      .then(({ members }) => this.#set(applyPeople.listed(this.state, members))).catch(() => {});
  }

  #entered(): void {
    this.phase = "entered";
    this.problem = null;
    this.#listeners.tell();
    for (const entry of this.outgoing) if (!entry.error?.code) this.#post(entry.client_message_id);
  }

  #notEntered(e: Refusal): void {
    if (!this.#client.connected || this.#closed) return; // the next connection tries again
    if (e.code === "not_found" || e.code === "forbidden" || e.code === "invalid") return this.#refuse({ code: e.code, message: e.message });
    this.#timer = setTimeout(() => this.enter(false), RETRY_DELAY);
  }

  #refuse(problem: Problem): void {
    this.phase = "refused";
    this.problem = problem;
    this.#listeners.tell();
  }

  /** Called by the client when the connection is lost. */
  lost(): void {
    clearTimeout(this.#timer);
    if (this.phase === "entered") this.phase = "entering";
    for (const e of this.outgoing) if (e.state === "sending") this.#outbox.put({ ...e, state: "held" });
    this.#set({ ...this.state, presence: noPresence });
  }

  /** Called by the client when all that was missed has come. */
  resumed(): void {
    if (this.state.stale) this.#reread();
  }

  // ---- sending

  async #post(id: string): Promise<void> {
    const entry = this.#outbox.get(id);
    if (!this.live || !entry || entry.state === "sending") return; // #entered posts it
    this.#put({ ...entry, error: null, sends: entry.sends + 1, state: "sending" });
    const { content, files, model_id, policy, answer } = entry;
    const body = { room_id: this.room_id, model_id, policy, answer, message: { content, files, client_message_id: id } };
    try {
      await this.#client.call(`send_message ${this.room_id}`, body, ({ message_id, seq, ...more }) => this.#sent(id, { message_id, seq, ...more }));
    } catch (e) {
      this.#unsent(id, e as Refusal);
    }
  }

  // #sent records the message from its acknowledgement: there is no echo.
  #sent(id: string, { message_id, seq, replaces, replaces_seq }: Pick<Message, "message_id" | "seq" | "replaces" | "replaces_seq">): void {
    const entry = this.#outbox.get(id);
    if (!entry) return; // an event had it
    const { content, model_id, timestamp } = entry;
    this.#outbox.drop(id);
    this.#set(record(this.state, this.#own({ message_id, seq, replaces, replaces_seq, content, model_id, timestamp, client_message_id: id })));
    // Only the history has the files with their names, and the versions of what was replaced.
    if (entry.files?.length || replaces_seq) this.#reread();
  }

  #own = (m: Pick<Message, "message_id" | "seq" | "content"> & Partial<Message>): Message => ({
    role: "user", state: "completed", author: this.#client.user, timestamp: new Date().toISOString(), ...m,
  });

  // #unsent leaves what a broken connection cut off to the next one.
  #unsent(id: string, { code, message, retry_after }: Refusal): void {
    const entry = this.#outbox.get(id);
    if (!entry) return;
    if (code === "rate_limited" && entry.sends < MAX_SENDS) {
      this.#put({ ...entry, state: "held" });
      setTimeout(() => this.#post(id), (retry_after ?? 1) * 1000);
    } else if (code || this.#client.connected) this.#put({ ...entry, state: "unsent", error: { code, message } });
    else if (entry.sends >= MAX_SENDS) this.#put({ ...entry, state: "unsent", error: { code: "lost", message: "the connection broke each time it was sent" } });
    else this.#put({ ...entry, state: "held" });
  }

  #put(entry: Entry): void {
    this.#outbox.put(entry);
    this.#listeners.tell();
  }

  // #ask sends a command. One that was not answered is repeated under the same id, which carries it out once.
  async #ask<T = any>(event: string, body: object, told?: (ack: T) => void): Promise<T> {
    const whole = { room_id: this.room_id, client_message_id: newID(), ...body };
    for (let tries = 1; ; tries++) {
      try {
        return await this.#client.call<T>(`${event} ${this.room_id}`, whole, told);
      } catch (e) {
        if ((e as Refusal).code || tries >= MAX_SENDS || !(await this.#back())) throw e;
      }
    }
  }

  // #back waits for the next connection, and reports whether there is one in time.
  #back(): Promise<boolean> {
    return new Promise((resolve) => {
      const done = (is: boolean) => { clearTimeout(timer); end(); resolve(is); };
      const timer = setTimeout(() => done(false), RETRY_DELAY * 3);
      const end = this.#listeners.add(() => { if (this.live) done(true); });
      if (this.live) done(true);
    });
  }

  // ---- hearing

  /** Called by the client with an event of this room. */
  hear(word: string, body: any): void {
    if (word === "room_joined" || word === "message_sent") return; // their acknowledgements have said it
    if (word === "audio") return this.onAudio?.(body);
    if (word === "function_run") return void this.#offered.run(body, (event, answer) => this.#ask(event, answer));
    if (word === "function_result") this.#offered.ended(body.call_id);
    const before = this.state;
    this.#set(apply(before, word, body, Date.now()));
    if (this.state.gone && !before.gone) return this.#refuse(this.state.gone);
    if (this.state.gap && !before.gap) this.#rejoin();
    const { replaces, first, client_message_id } = body.message ?? {};
    if (this.state.stale || replaces || first) this.#reread(); // versions are counted anew
    if (word === "message") {
      if (this.#outbox.drop(client_message_id)) this.#listeners.tell();
      this.onMessage?.(body.message);
    }
  }

  // #rejoin takes the text so far from the server, since a piece is missing.
  #rejoin(): void {
    this.#join().catch(() => this.#set({ ...this.state, gap: false })); // the next piece tries again
  }

  #set(state: RoomState): void {
    if (state === this.state) return;
    this.state = state;
    this.#listeners.tell();
  }
}

export type { Policy };

// A client of one server: the connection, and the chats that are open over it.
import { io, type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client";
import { Api, Refusal, type Credentials } from "./api.ts";
import { Chat, type NewChat } from "./chat.ts";
import { ChatList } from "./chatlist.ts";
import { Listeners } from "./listeners.ts";
import type { Storage } from "./outbox.ts";
import type { Problem, User } from "./wire.ts";

const NAMESPACE = "/assistant/realtime";
const ACK_TIMEOUT = 10_000; // ms
const PROBE_TIMEOUT = 4_000; // ms
const RETRY_DELAY = 3_000; // ms, after a refusal that does not say how long to wait

/** How the connection is. */
export type Connection =
  | { phase: "connecting"; since: number } // for the first time
  | { phase: "live"; since: number; missed: number | null } // missed: events that were caught up on; null the first time
  | { phase: "lost"; since: number; problem?: Problem } // it is tried again
  | { phase: "over"; since: number; problem: Problem }; // it is not: signed out, or refused

// Refusals that trying again does not change.
const FINAL = new Set(["unauthenticated", "forbidden", "not_found", "expired", "invalid", "too_large"]);

export interface ClientOptions {
  base: string | URL; // of the server, with its base path
  user: User; // who one is there: see Api.me
  credentials?: () => Credentials;
  storage?: Storage; // what waits to be sent is kept there, for example sessionStorage
  socket?: Partial<ManagerOptions & SocketOptions>;
}

export class Client {
  readonly api: Api;
  readonly user: User;
  readonly chats: ChatList;
  connection: Connection = { phase: "connecting", since: Date.now() };

  #options: ClientOptions;
  #socket: Socket;
  #open = new Set<Chat>();
  #listeners = new Listeners();
  #timer?: ReturnType<typeof setTimeout>;
  #closed = false;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.user = options.user;
    const credentials = options.credentials ?? (() => ({}));
    this.api = new Api(options.base, credentials);
    this.chats = new ChatList(this);
    this.#socket = io(new URL(NAMESPACE, this.api.base).href, {
      path: new URL("socket.io/", this.api.base).pathname,
      transports: ["websocket"],
      forceNew: true,
      reconnectionDelay: 500,
      reconnectionDelayMax: 4_000,
      ...options.socket,
      auth: (done: (data: object) => void) => done(credentials()),
    });
    this.#socket.on("connect", () => this.#connected());
    this.#socket.on("disconnect", () => this.#lost({ code: "closed", message: "the server closed the connection" }));
    this.#socket.on("connect_error", (e: Error & { data?: { code?: string; retry_after?: number } }) => this.#refused(e));
    this.#socket.onAny((event: string, body: any) => this.#event(event, body));
  }

  /** Has a listener told when the connection has changed. Returns how to end that. */
  subscribe = (listener: () => void) => this.#listeners.add(listener);

  /** Opens a chat. create is for one that there is not yet. */
  open(chat_id: string, { create }: { create?: NewChat } = {}): Chat {
    const chat = new Chat(this, chat_id, this.#options.storage, create, () => this.#open.delete(chat));
    this.#open.add(chat);
    if (this.#socket.connected) chat.enter(false);
    return chat;
  }

  get connected(): boolean {
    return this.#socket.connected;
  }

  /** Tries again after the connection was given up, for example when somebody has signed in again. */
  reconnect(): void {
    if (this.connection.phase === "over") this.#show({ phase: "lost", since: Date.now() });
    this.#socket.connect();
  }

  /** Closes the connection and all chats. No listener is told anything more. */
  /** Asks whether the server still answers: on another network a connection may be dead long before that is noticed. */
  probe(): void {
    const { id } = this.#socket;
    if (!this.#socket.connected) return;
    this.#socket.timeout(PROBE_TIMEOUT).emit("find_chat", { chat_id: "" }, (silent: Error | null) => {
      if (silent && id === this.#socket.id) this.#socket.io.engine.close();
    });
  }

  close(): void {
    this.#closed = true;
    this.#listeners.clear();
    clearTimeout(this.#timer);
    for (const chat of [...this.#open]) chat.close();
    this.#socket.disconnect();
  }

  /** Sends a request, and returns its acknowledgement. `told` hears that before any event that follows it. */
  call<T = any>(event: string, body: object, told?: (ack: T) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!this.#socket.connected) return reject(new Refusal("not connected"));
      this.#socket.timeout(ACK_TIMEOUT).emit(event, body, (lost: Error | null, ack: any) => {
        if (lost) return reject(new Refusal("the server did not answer"));
        if (!ack?.ok) return reject(new Refusal(ack?.error?.message ?? "refused", ack?.error));
        told?.(ack);
        resolve(ack);
      });
    });
  }

  /** Sends what may be lost. */
  say(event: string, body: object): void {
    this.#socket.volatile.emit(event, body);
  }

  // ---- coming and going

  #connected(): void {
    const first = this.connection.phase === "connecting";
    this.#show({ phase: "live", since: Date.now(), missed: first ? null : 0 });
    for (const chat of this.#open) chat.enter(this.#socket.recovered);
    this.chats.connected();
  }

  // #lost leaves it to the socket to come back, unless it does not: then the server wants no connection.
  #lost(problem: Problem): void {
    if (this.#closed) return;
    for (const chat of this.#open) chat.lost();
    if (this.#socket.active) this.#show({ phase: "lost", since: this.connection.phase === "lost" ? this.connection.since : Date.now() });
    else if (this.connection.phase !== "over") this.#show({ phase: "over", since: Date.now(), problem });
  }

  async #refused({ message, data }: Error & { data?: { code?: string; retry_after?: number } }): Promise<void> {
    if (this.#closed) return;
    const problem = { code: data?.code, message };
    if (this.#socket.active) return this.connection.phase === "connecting" ? undefined : this.#lost(problem);
    if (problem.code && !FINAL.has(problem.code)) return this.#later(problem, data?.retry_after);
    const token = this.#options.credentials?.().token;
    if (problem.code === "unauthenticated" && !token && (await this.api.refresh())) this.#socket.connect();
    else this.#lost(problem);
  }

  #later(problem: Problem, seconds?: number): void {
    this.#show({ phase: "lost", since: Date.now(), problem });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#socket.connect(), seconds ? seconds * 1000 : RETRY_DELAY);
  }

  #show(connection: Connection): void {
    this.connection = connection;
    this.#listeners.tell();
  }

  #event(event: string, body: any): void {
    if (event === "activity") return this.chats.hear(body);
    if (event === "resumed") return this.#resumed(body.rooms);
    const [word, room] = event.split(" ");
    for (const chat of this.#open) if (room !== undefined && chat.room_id === room) chat.hear(word!, body);
  }

  #resumed(rooms: { room_id: string; events: number }[]): void {
    for (const chat of this.#open) if (rooms.some((r) => r.room_id === chat.room_id)) chat.resumed();
    if (this.connection.phase !== "live" || this.connection.missed === null) return;
    const missed = rooms.reduce((sum, r) => sum + r.events, this.connection.missed);
    this.#show({ ...this.connection, missed });
  }
}

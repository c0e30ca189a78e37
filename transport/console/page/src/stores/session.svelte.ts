// The user that this page is signed in as, and the client that goes with that. A sign-in with a provider or a password holds for all tabs, by
// cookies; a token is its tab's own. A server in development mode believes everybody, so there one chooses a name:
// the server shows its mode by believing one that was made up.
import { Api, Client, newID, type Connection, type Credentials, type Model, type Refusal, type User } from "@parlor/client";
import { newer } from "../connection/newer.svelte.ts";
import { base } from "../lib/base.ts";
import { outboxStorage, tab } from "../lib/memory.ts";
import { guestName } from "../words/names.ts";

const RETRY_DELAY = 2_000; // ms, while the server cannot be reached

export type Phase = "starting" | "unreachable" | "signedOut" | "in";

class Session {
  phase = $state<Phase>("starting");
  user = $state.raw<User | null>(null);
  development = $state(false);
  client = $state.raw<Client | null>(null);
  connection = $state.raw<Connection>({ phase: "connecting", since: Date.now() });
  models = $state.raw<readonly Model[]>([]);
  problem = $state(""); // of the last sign-in

  #token = tab.get("token");
  #name = tab.get("name") ?? guestName();
  #others = new BroadcastChannel(`parlor ${base.pathname}`);
  #starts = 0;

  constructor() {
    tab.set("name", this.#name);
    this.#others.onmessage = () => { if (!this.#token) void this.start(); };
  }

  /** Whether the session has ended while a chat is open: what was written stays. */
  get expired(): boolean {
    return this.client !== null && this.connection.phase === "over" && this.connection.problem.code === "unauthenticated";
  }

  credentials = (): Credentials => ({
    token: this.#token ?? undefined, user_id: this.development && !this.#token ? this.#name : undefined,
  });

  api = new Api(base, this.credentials);

  modelName = (id?: string): string | undefined => this.models.find((m) => m.model_id === id)?.display_name ?? id;

  /** Asks the server who this is, and connects. */
  async start(): Promise<void> {
    const current = ++this.#starts;
    try {
      const user = await this.#identify();
      await this.readModels(); // a chat that is made needs one
      if (current === this.#starts) this.#enter(user);
    } catch (e) {
      if (current !== this.#starts) return;
      const { code, status, message } = e as Refusal;
      if (code === "unauthenticated" || status === 401) this.#signedOut(this.#token ? message : "");
      else this.#later();
    }
  }

  async #identify(): Promise<User> {
    const probe = `page-${newID()}`;
    const user = await new Api(base, () => ({ token: this.#token ?? undefined, user_id: probe })).me();
    this.development = user.user_id === probe;
    return this.development ? { user_id: this.#name, admin: user.admin } : user;
  }

  #enter(user: User): void {
    this.problem = "";
    if (this.client && this.user?.user_id === user.user_id) {
      this.user = user;
      this.phase = "in";
      this.client.reconnect();
      return;
    }
    this.client?.close();
    this.user = user;
    const client = new Client({ base, user, credentials: this.credentials, storage: outboxStorage() });
    client.subscribe(() => {
      const { phase } = this.connection;
      this.connection = client.connection;
      if (phase === "lost" && client.connection.phase === "live") void newer.look();
    });
    this.connection = client.connection;
    this.client = client;
    this.phase = "in";
  }

  async readModels(): Promise<void> {
    try {
      this.models = (await this.api.models()).models;
    } catch { /* a chat has its own model */ }
  }

  #signedOut(problem: string): void {
    this.problem = problem;
    if (this.expired) return; // the chat stays, with a form over it
    this.client?.close();
    [this.client, this.user, this.phase] = [null, null, "signedOut"];
  }

  #later(): void {
    if (this.phase !== "in") this.phase = "unreachable";
    const current = this.#starts;
    setTimeout(() => { if (current === this.#starts) void this.start(); }, RETRY_DELAY);
  }

  async signInWithToken(token: string): Promise<void> {
    this.#setToken(token.trim());
    await this.start();
  }

  async signInWithPassword(name: string, password: string): Promise<void> {
    try {
      this.#setToken(null);
      await this.api.login(name.trim(), password);
      this.#others.postMessage("in");
      await this.start();
    } catch (e) {
      this.problem = (e as Refusal).message;
    }
  }

  async signOut(): Promise<void> {
    if (!this.#token) await this.api.logout().catch(() => {});
    this.#setToken(null);
    this.#others.postMessage("out");
    this.client?.close();
    [this.client, this.user] = [null, null];
    await this.start();
  }

  /** In development mode: another name, and so another user. */
  rename(name: string): void {
    if (!name.trim() || name.trim() === this.#name) return;
    this.#name = name.trim();
    tab.set("name", this.#name);
    void this.start();
  }

  #setToken(token: string | null): void {
    this.#token = token;
    tab.set("token", token);
  }
}

export const session = new Session();

// The HTTP API: docs/events.md, section HTTP.
import type { Activity, ChatInfo, ExportedChat, FileInfo, Found, Invite, Member, Model, Role, Session, Settings, UsageReport, User, Welcome } from "./wire.ts";

/** How one is known to the server: cookies, a token, or in development mode a name that it believes. */
export interface Credentials {
  token?: string;
  user_id?: string;
}

/** A refusal of the server; code is one of those of docs/events.md. */
export class Refusal extends Error {
  readonly code?: string;
  readonly status?: number;
  readonly retry_after?: number;

  /** With request_id the server has failed: people can tell the operator what its log calls the request. */
  constructor(message: string, { code, status, retry_after, request_id }: { code?: string; status?: number; retry_after?: number; request_id?: string } = {}) {
    super(request_id ? `${message} (${request_id})` : message);
    this.name = "Refusal";
    this.code = code;
    this.status = status;
    this.retry_after = retry_after;
  }
}

type Query = Record<string, string | number | boolean | undefined>;

export class Api {
  readonly base: string; // ends with "/"
  #credentials: () => Credentials;

  constructor(base: string | URL, credentials: () => Credentials = () => ({})) {
    this.base = String(base).replace(/\/*$/, "/");
    this.#credentials = credentials;
  }

  /** The URL of a path below /api/v1. */
  url(path: string, query: Query = {}): URL {
    const url = new URL(`api/v1/${path}`, this.base);
    for (const [key, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(key, String(value));
    return url;
  }

  headers(): Record<string, string> {
    const { token, user_id } = this.#credentials();
    return { ...(token && { Authorization: `Bearer ${token}` }), ...(user_id && { "X-Parlor-User": user_id }) };
  }

  /** Asks the server. An expired session of cookies is refreshed once. */
  async ask<T>(method: string, path: string, { body, query, again = true }: { body?: unknown; query?: Query; again?: boolean } = {}): Promise<T> {
    const response = await fetch(this.url(path, query), {
      method,
      headers: { ...this.headers(), ...(body !== undefined && { "Content-Type": "application/json" }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    }).catch(() => { throw new Refusal("the server cannot be reached"); });
    const signsIn = this.#credentials().token || path === "auth/login";
    if (response.status === 401 && again && !signsIn && (await this.refresh())) return this.ask(method, path, { body, query, again: false });
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Refusal(answer.detail ?? response.statusText, { code: answer.code, status: response.status, retry_after: answer.retry_after, request_id: answer.request_id });
    return answer;
  }

  /** Whether the session of this browser has got new tokens. */
  refresh = async (): Promise<boolean> => (await fetch(this.url("auth/refresh"), { method: "POST" }).catch(() => null))?.ok ?? false;

  // ---- who

  me = () => this.ask<User>("GET", "auth/me");
  methods = () => this.ask<{ token: boolean; oidc: boolean; password: boolean; guests: boolean }>("GET", "auth/methods");
  login = (user_id: string, password: string) => this.ask<unknown>("POST", "auth/login", { body: { user_id, password } });
  logout = () => this.ask<unknown>("POST", "auth/logout", { again: false });
  sessions = () => this.ask<{ sessions: Session[] }>("GET", "auth/sessions");
  endSession = (id: string) => this.ask<unknown>("DELETE", `auth/sessions/${encodeURIComponent(id)}`);
  endOtherSessions = () => this.ask<unknown>("DELETE", "auth/sessions");
  usage = (query: Query = {}) => this.ask<UsageReport>("GET", "usage", { query });

  // ---- chats

  models = () => this.ask<{ models: Model[] }>("GET", "model");
  chats = (query: { limit?: number; offset?: number; archived?: boolean; folder?: string } = {}) =>
    this.ask<{ chats: ChatInfo[]; total: number; has_more: boolean }>("GET", "chat", { query });
  chat = (id: string) => this.ask<ChatInfo>("GET", chat(id));
  change = (id: string, settings: Settings) => this.ask<Settings>("PATCH", chat(id), { body: settings });
  rename = (id: string, title: string) => this.change(id, { title });
  /** One chat as a file, and a chat of one's own out of such a file. */
  export = (id: string) => this.ask<ExportedChat>("GET", `${chat(id)}/export`);
  import = (file: unknown) => this.ask<{ chat_id: string; title: string }>("POST", "import", { body: file });
  remove = (id: string) => this.ask<unknown>("DELETE", chat(id));
  mark = (id: string, mark: Partial<Pick<Activity, "pinned" | "archived" | "folder">>) =>
    this.ask<Pick<Activity, "pinned" | "archived" | "folder">>("PATCH", `${chat(id)}/mark`, { body: mark });
  folders = () => this.ask<{ folders: { folder: string; chats: number }[] }>("GET", "folders");
  search = (q: string, query: { limit?: number; cursor?: string; chat_id?: string } = {}) =>
    this.ask<{ results: Found[]; has_more: boolean; cursor: string }>("GET", "search", { query: { q, ...query } });

  // ---- people

  members = (id: string) => this.ask<{ members: Member[] }>("GET", `${chat(id)}/members`);
  setRole = (id: string, user: string, role: Role) => this.ask<unknown>("PUT", `${chat(id)}/members/${encodeURIComponent(user)}`, { body: { role } });
  removeMember = (id: string, user: string) => this.ask<unknown>("DELETE", `${chat(id)}/members/${encodeURIComponent(user)}`);
  invite = (id: string, how: { role: Role; expires_in?: number; uses?: number; guests?: boolean }) => this.ask<Invite>("POST", `${chat(id)}/invites`, { body: how });
  invites = (id: string) => this.ask<{ invites: Invite[] }>("GET", `${chat(id)}/invites`);
  revoke = (id: string, invite: string) => this.ask<unknown>("DELETE", `${chat(id)}/invites/${encodeURIComponent(invite)}`);
  /** The chat and the role that an invitation is for. */
  look = (token: string) => this.ask<Welcome>("GET", `invites/${encodeURIComponent(token)}`);
  /** Accepts an invitation; with a name, and without any credentials, as a guest. */
  accept = (token: string, name?: string) =>
    this.ask<{ chat_id: string; role: Role; user_id?: string }>("POST", `invites/${encodeURIComponent(token)}`, { body: name === undefined ? undefined : { name } });

  // ---- files

  files = (id: string) => this.ask<{ files: FileInfo[] }>("GET", `${chat(id)}/files`);
  fileURL = (id: string, file: string) => this.url(`${chat(id)}/files/${encodeURIComponent(file)}`);
  removeFile = (id: string, file: string) => this.ask<unknown>("DELETE", `${chat(id)}/files/${encodeURIComponent(file)}`);

  // ---- push

  pushKey = () => this.ask<{ public_key: string }>("GET", "push/key");
  subscribe = (subscription: unknown) => this.ask<unknown>("POST", "push/subscriptions", { body: subscription });
  unsubscribe = (subscription: unknown) => this.ask<unknown>("DELETE", "push/subscriptions", { body: subscription });
}

const chat = (id: string) => `chat/${encodeURIComponent(id)}`;

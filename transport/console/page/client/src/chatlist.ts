// The chats of the user: a list that is kept up to date by what happens in them.
import type { Client } from "./client.ts";
import { Listeners } from "./listeners.ts";
import type { Activity, ChatInfo } from "./wire.ts";

const PAGE = 100;

export class ChatList {
  chats: readonly ChatInfo[] = []; // those that are not archived: pinned first, then as something happened in them last
  archived: readonly ChatInfo[] = []; // in the same order, once they were asked for
  running: ReadonlySet<string> = new Set(); // chats in which an answer is being given or waits
  waiting: ReadonlySet<string> = new Set(); // those of them in which a call of a tool waits for a member to decide
  total = 0;
  loaded = false;
  hasMore = false;

  #client: Client;
  #listeners = new Listeners();
  #reloading?: Promise<void>;
  #again = false;
  #withArchived = false;
  #pages = 1;

  constructor(client: Client) {
    this.#client = client;
  }

  subscribe = (listener: () => void) => this.#listeners.add(listener);

  find = (chat_id: string): ChatInfo | undefined => [...this.chats, ...this.archived].find((c) => c.chat_id === chat_id);

  /** Called by the client: tells what happens from now on, and reads the list. */
  async connected(): Promise<void> {
    try {
      const { chats } = await this.#client.call<{ chats: Activity[] }>("watch", {});
      this.running = new Set(chats.filter((c) => c.state === "running").map((c) => c.chat_id));
      this.waiting = new Set(chats.filter((c) => c.waiting).map((c) => c.chat_id));
    } catch { /* not allowed, or lost: the next connection tries again */ }
    await this.reload();
  }

  /** Reads the chats again; several wishes at once are one. */
  reload(): Promise<void> {
    if (this.#reloading) this.#again = true;
    return (this.#reloading ??= this.#read().finally(() => {
      this.#reloading = undefined;
      if (this.#again) this.reload();
      this.#again = false;
    }));
  }

  async #read(): Promise<void> {
    try {
      const { api } = this.#client;
      const all: ChatInfo[] = [];
      for (let page = 0, more = true; page < this.#pages && more; page++) {
        const { chats, total, has_more } = await api.chats({ limit: PAGE, offset: page * PAGE });
        all.push(...chats);
        [this.total, more] = [total, has_more];
        this.hasMore = has_more;
      }
      if (this.#withArchived) this.archived = inOrder((await api.chats({ limit: PAGE, archived: true })).chats);
      this.#show(all);
    } catch { /* the next connection tries again */ }
  }

  /** Reads more, older ones. */
  more(): Promise<void> {
    this.#pages++;
    return this.reload();
  }

  /** Reads the archived ones too, from now on. */
  readArchived(): Promise<void> {
    this.#withArchived = true;
    return this.reload();
  }

  /** Takes a change that this client has made, or was told of. */
  change(chat_id: string, changes: Partial<ChatInfo>): void {
    const known = this.find(chat_id);
    if (!known) return;
    const now = { ...known, ...changes };
    const others = (list: readonly ChatInfo[]) => list.filter((c) => c.chat_id !== chat_id);
    this.archived = inOrder(now.archived ? [...others(this.archived), now] : others(this.archived));
    this.#show(now.archived ? others(this.chats) : [...others(this.chats), now]);
  }

  drop(chat_id: string): void {
    const others = (list: readonly ChatInfo[]) => list.filter((c) => c.chat_id !== chat_id);
    this.archived = others(this.archived);
    this.total--;
    this.#show(others(this.chats));
  }

  hear(a: Activity): void {
    this.running = withOrWithout(this.running, a.chat_id, a.state === "running");
    this.waiting = withOrWithout(this.waiting, a.chat_id, Boolean(a.waiting));
    const known = this.find(a.chat_id);
    if (a.state === "deleted") return known && this.drop(a.chat_id);
    if (known) {
      const { seq, unread, mentions, title = known.title, last_timestamp = known.last_timestamp, pinned = false, archived = false, folder = "" } = a;
      return this.change(a.chat_id, { last_seq: seq, unread, mentions, title, last_timestamp, pinned, archived, folder });
    }
    this.#listeners.tell();
    if (!a.archived || this.#withArchived) void this.#find(a.chat_id); // it is new, or so old that it was not read
  }

  async #find(chat_id: string): Promise<void> {
    await this.reload();
    if (this.find(chat_id)) return;
    const info = await this.#client.api.chat(chat_id).catch(() => null);
    if (info && !info.archived && !this.find(chat_id)) this.#show([...this.chats, { ...info, last_timestamp: new Date().toISOString(), last_seq: 0, unread: 0, mentions: 0 }]);
  }

  #show(chats: readonly ChatInfo[]): void {
    [this.chats, this.loaded] = [inOrder(chats), true];
    this.#listeners.tell();
  }
}

const timeOf = (c: ChatInfo): string => c.last_timestamp ?? c.created_timestamp ?? "";

/** Pinned ones first, then as something happened in them last. */
export function inOrder(chats: readonly ChatInfo[]): ChatInfo[] {
  return [...chats].sort((a, b) => Number(b.pinned) - Number(a.pinned) || (timeOf(a) < timeOf(b) ? 1 : timeOf(a) > timeOf(b) ? -1 : 0));
}

function withOrWithout(set: ReadonlySet<string>, id: string, is: boolean): ReadonlySet<string> {
  if (set.has(id) === is) return set;
  const changed = new Set(set);
  if (is) changed.add(id);
  else changed.delete(id);
  return changed;
}

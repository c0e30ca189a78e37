// The chats of the user: a list that is kept up to date by what happens in them.
import type { Client } from "./client.ts";
import { Listeners } from "./listeners.ts";
import type { Activity, ChatInfo } from "./wire.ts";

const PAGE = 50;

export class ChatList {
  chats: readonly ChatInfo[] = []; // pinned first, then as they were last talked in
  running: ReadonlySet<string> = new Set(); // chats in which an answer is being given or waits
  total = 0;
  loaded = false;
  hasMore = false;

  #client: Client;
  #listeners = new Listeners();
  #reloading?: Promise<void>;
  #again = false;

  constructor(client: Client) {
    this.#client = client;
  }

  subscribe = (listener: () => void) => this.#listeners.add(listener);

  find = (chat_id: string): ChatInfo | undefined => this.chats.find((c) => c.chat_id === chat_id);

  /** Called by the client: tells what happens from now on, and reads the list. */
  async connected(): Promise<void> {
    try {
      const { chats } = await this.#client.call<{ chats: Activity[] }>("watch", {});
      this.running = new Set(chats.filter((c) => c.state === "running").map((c) => c.chat_id));
    } catch { /* not allowed, or lost: the next connection tries again */ }
    await this.reload();
  }

  /** Reads the newest chats again; several wishes at once are one. */
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
      const page = await this.#client.api.chats({ limit: Math.max(PAGE, this.chats.length) });
      this.#show(page.chats, page.total, page.has_more);
    } catch { /* the next connection tries again */ }
  }

  /** Reads more, older ones. */
  async more(): Promise<void> {
    const page = await this.#client.api.chats({ limit: PAGE, offset: this.chats.length });
    const known = new Set(this.chats.map((c) => c.chat_id));
    this.#show([...this.chats, ...page.chats.filter((c) => !known.has(c.chat_id))], page.total, page.has_more);
  }

  /** Takes a change that this client has made, or was told of. */
  change(chat_id: string, changes: Partial<ChatInfo>): void {
    if (!this.find(chat_id)) return;
    this.#show(this.chats.map((c) => (c.chat_id === chat_id ? { ...c, ...changes } : c)), this.total, this.hasMore);
  }

  drop(chat_id: string): void {
    this.#show(this.chats.filter((c) => c.chat_id !== chat_id), this.total - 1, this.hasMore);
  }

  hear(a: Activity): void {
    const running = new Set(this.running);
    if (a.state === "running") running.add(a.chat_id);
    else running.delete(a.chat_id);
    this.running = running;
    if (a.state === "deleted") return this.find(a.chat_id) ? this.drop(a.chat_id) : undefined;
    const known = this.find(a.chat_id);
    const { chat_id, seq, unread, mentions, pinned = false, archived = false, folder = "" } = a;
    const asListed = known && known.title && known.pinned === pinned && known.archived === archived;
    const moved = this.chats.filter((c) => !c.pinned)[0]?.chat_id !== chat_id && !pinned && known && seq > known.last_seq;
    if (known) this.change(chat_id, { last_seq: seq, unread, mentions, pinned, archived, folder });
    else this.#listeners.tell();
    // It may have a title by now, or another place in the list.
    if (!asListed || moved) this.reload();
  }

  #show(chats: readonly ChatInfo[], total: number, hasMore: boolean): void {
    [this.chats, this.total, this.hasMore, this.loaded] = [chats, total, hasMore, true];
    this.#listeners.tell();
  }
}

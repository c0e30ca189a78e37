// The list of chats, as views see it.
import type { ChatInfo, ChatList } from "@parlor/client";
import { everyFrame } from "./frame.ts";

export class ChatsStore {
  readonly list: ChatList; // reads, and takes changes
  chats = $state.raw<readonly ChatInfo[]>([]);
  running = $state.raw<ReadonlySet<string>>(new Set());
  loaded = $state(false);
  hasMore = $state(false);
  readonly unread = $derived(this.chats.filter((c) => c.unread > 0).length);

  constructor(list: ChatList) {
    this.list = list;
    this.#take();
    list.subscribe(everyFrame(() => this.#take()));
  }

  #take(): void {
    const { chats, running, loaded, hasMore } = this.list;
    [this.chats, this.running, this.loaded, this.hasMore] = [chats, running, loaded, hasMore];
  }
}

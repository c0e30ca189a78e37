// The list of chats, as views see it, and what one does to a chat in it.
import type { Activity, Api, ChatInfo, ChatList } from "@parlor/client";
import { w } from "../words/index.ts";
import { grouped } from "../lib/days.ts";
import { everyFrame } from "./frame.ts";
import { notices } from "./notices.svelte.ts";
import { router } from "./router.svelte.ts";

type Marks = Partial<Pick<Activity, "pinned" | "archived" | "folder">>;

export class ChatsStore {
  readonly list: ChatList; // reads, and takes changes
  chats = $state.raw<readonly ChatInfo[]>([]);
  archived = $state.raw<readonly ChatInfo[]>([]);
  running = $state.raw<ReadonlySet<string>>(new Set());
  waiting = $state.raw<ReadonlySet<string>>(new Set());
  loaded = $state(false);
  hasMore = $state(false);
  filing = $state.raw<ChatInfo | null>(null); // the chat for which a folder is chosen
  readonly unread = $derived(this.chats.filter((c) => c.unread > 0).length);
  readonly groups = $derived(grouped(this.chats));

  #going = $state.raw<ReadonlySet<string>>(new Set()); // that are deleted or left as soon as that cannot be undone any more
  #api: Api;

  constructor(list: ChatList, api: Api) {
    this.list = list;
    this.#api = api;
    this.#take();
    list.subscribe(everyFrame(() => this.#take()));
  }

  async rename(c: ChatInfo, title: string): Promise<void> {
    const now = title.trim();
    const before = c.title ?? "";
    if (now === before || !(await this.#titled(c, now))) return;
    notices.offer({ words: w.sidebar.renamed(before || w.sidebar.untitled, now || w.sidebar.untitled), undo: () => void this.#titled(c, before) });
  }

  #titled(c: ChatInfo, title: string): Promise<boolean> {
    const before = c.title;
    this.list.change(c.chat_id, { title });
    return notices.attempt(this.#api.rename(c.chat_id, title), () => this.list.change(c.chat_id, { title: before }));
  }

  pin = (c: ChatInfo): void => void this.#mark(c, { pinned: !c.pinned });

  async archive(c: ChatInfo): Promise<void> {
    const archived = !c.archived;
    if (!(await this.#mark(c, { archived }))) return;
    this.#leave(c);
    notices.offer({ words: (archived ? w.sidebar.archivedNow : w.sidebar.restored)(c.title || w.sidebar.untitled), undo: () => void this.#mark(c, { archived: !archived }) });
  }

  async file(c: ChatInfo, folder: string): Promise<void> {
    const before = c.folder;
    if (folder === before || !(await this.#mark(c, { folder }))) return;
    notices.offer({ words: w.sidebar.filed(c.title || w.sidebar.untitled, folder), undo: () => void this.#mark(c, { folder: before }) });
  }

  #mark(c: ChatInfo, marks: Marks): Promise<boolean> {
    const { pinned, archived, folder } = c;
    this.list.change(c.chat_id, marks);
    return notices.attempt(this.#api.mark(c.chat_id, marks), () => this.list.change(c.chat_id, { pinned, archived, folder }));
  }

  /** Deletes a chat, or leaves one that is another's: when that can be undone no more. */
  remove(c: ChatInfo, me: string): void {
    const own = c.role === "owner" || c.user_id === me;
    this.#goes(c.chat_id, true);
    this.#leave(c);
    notices.offer({
      words: (own ? w.sidebar.deleted : w.sidebar.left)(c.title || w.sidebar.untitled),
      undo: () => this.#goes(c.chat_id, false),
      after: async () => {
        await (own ? this.#api.remove(c.chat_id) : this.#api.removeMember(c.chat_id, me));
        this.list.drop(c.chat_id);
        this.#goes(c.chat_id, false);
      },
    });
  }

  #leave(c: ChatInfo): void {
    if (router.place.name === "chat" && router.place.id === c.chat_id) router.go({ name: "new" });
  }

  #goes(id: string, is: boolean): void {
    const going = new Set(this.#going);
    if (is) going.add(id);
    else going.delete(id);
    this.#going = going;
    this.#take();
  }

  /** Goes to the chat that stands so many places below the open one in the list. */
  step(by: number): void {
    const all = this.groups.flatMap((g) => g.chats);
    const { place } = router;
    const at = place.name === "chat" ? all.findIndex((c) => c.chat_id === place.id) : -1;
    const next = at < 0 ? all[by > 0 ? 0 : all.length - 1] : all[at + by];
    if (next) router.openChat(next.chat_id);
  }

  #take(): void {
    const { chats, archived, running, waiting, loaded, hasMore } = this.list;
    const shown = (list: readonly ChatInfo[]) => list.filter((c) => !this.#going.has(c.chat_id));
    [this.chats, this.archived] = [shown(chats), shown(archived)];
    [this.running, this.waiting, this.loaded, this.hasMore] = [running, waiting, loaded, hasMore];
  }
}

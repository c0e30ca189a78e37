// The files for the message that is being written: those on their way, those that were refused, and in
// chat.attached those that have arrived.
import { newID, type FileInfo, type Refusal } from "@parlor/client";
import type { ChatStore } from "../stores/chat.svelte.ts";
import { session } from "../stores/session.svelte.ts";
import { w } from "../words/index.ts";
import { size } from "./sizes.ts";
import { upload, type Sending } from "./upload.ts";

const AT_ONCE = 3; // uploads; others wait

export interface Limits {
  max_file_bytes: number;
  max_image_bytes: number;
  max_files: number;
  max_message_bytes: number;
}

export interface Item {
  id: string; // also the key under which it is uploaded
  file: File;
  state: "waits" | "sending" | "failed";
  part: number; // that was sent, of 1
  problem: string;
  final: boolean; // to try again changes nothing
}

export class Uploads {
  items = $state<Item[]>([]);
  limits = $state.raw<Limits>();
  problem = $state("");

  #chat: ChatStore;
  #sending = new Map<string, Sending>();
  #files = new WeakMap<FileInfo, File>();
  #arrived = new Map<string, FileInfo>();

  constructor(chat: ChatStore) {
    this.#chat = chat;
  }

  /** Whether something is on its way, for which a message has to wait. */
  get busy(): boolean {
    return this.items.some((i) => i.state !== "failed");
  }

  /** The file as this browser has it, to show it. */
  file = (info: FileInfo): File | undefined => this.#files.get(info);

  /** Asks what the server takes. */
  async learn(): Promise<void> {
    try {
      this.limits = await session.api.ask<Limits>("GET", `chat/${encodeURIComponent(this.#chat.id)}/files`);
    } catch { /* the server says it when it refuses a file */ }
  }

  add(files: Iterable<File>): void {
    this.problem = "";
    for (const file of files) {
      const { max_file_bytes = Infinity, max_image_bytes = Infinity, max_files = Infinity } = this.limits ?? {};
      const most = file.type.startsWith("image/") ? Math.min(max_file_bytes, max_image_bytes) : max_file_bytes;
      if (this.items.length + this.#chat.attached.length >= max_files) {
        this.problem = w.files.tooMany(max_files);
        break;
      }
      const why = file.size > most ? w.files.tooLarge(size(file.size), size(most)) : "";
      this.items.push({ id: newID(), file, state: why ? "failed" : "waits", part: 0, problem: why, final: why !== "" });
    }
    this.#next();
  }

  retry(id: string): void {
    this.#change(id, { state: "waits", problem: "", part: 0 });
    this.#next();
  }

  /** Takes a file off: one on its way is not sent on. */
  remove(id: string): void {
    this.items = this.items.filter((i) => i.id !== id);
    this.#sending.get(id)?.cancel();
    this.#sending.delete(id);
    this.problem = "";
    this.#next();
  }

  /** Attaches the files of a message that was taken back. */
  restore(files: readonly string[] = []): void {
    this.#chat.attached = [...this.#chat.attached, ...files.map((fileid) => this.#arrived.get(fileid) ?? { fileid, filename: w.files.unknown })];
  }

  /** Takes a file off that has arrived, also from the server: no message has it yet. */
  detach(info: FileInfo): void {
    this.#chat.attached = this.#chat.attached.filter((f) => f !== info);
    this.problem = "";
    session.api.removeFile(this.#chat.id, info.fileid).catch(() => {});
  }

  #next(): void {
    for (const item of this.items) if (item.state === "waits" && this.#sending.size < AT_ONCE) void this.#send(item);
  }

  async #send({ id, file }: Item): Promise<void> {
    this.#change(id, { state: "sending" });
    const sending = upload(session.api.url(`chat/${encodeURIComponent(this.#chat.id)}/upload`), session.api.headers(), file, id, (part) => this.#change(id, { part }));
    this.#sending.set(id, sending);
    try {
      const info = await sending.done;
      this.#files.set(info, file);
      this.#arrived.set(info.fileid, info);
      this.items = this.items.filter((i) => i.id !== id);
      this.#chat.attached = [...this.#chat.attached, info];
    } catch (e) {
      const { message, code, status } = e as Refusal;
      const final = code !== undefined && ["too_large", "unsupported_type", "invalid", "forbidden"].includes(code);
      if (status === 401) void session.api.refresh(); // an expired session: the next try has a new one
      this.#change(id, { state: "failed", problem: message, final });
    }
    this.#sending.delete(id);
    this.#next();
  }

  #change(id: string, how: Partial<Item>): void {
    const item = this.items.find((i) => i.id === id);
    if (item) Object.assign(item, how);
  }
}

const all = new WeakMap<ChatStore, Uploads>();

/** The uploads of a chat that is open. */
export function uploadsOf(chat: ChatStore): Uploads {
  const known = all.get(chat);
  if (known) return known;
  const made = new Uploads(chat);
  all.set(chat, made);
  return made;
}

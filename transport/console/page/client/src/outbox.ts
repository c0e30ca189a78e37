// Keeps what was said here until it is recorded. It waits under an id that makes repeating it harmless, and outlives a
// lost connection and a reload.
import type { Policy, Problem } from "./wire.ts";

export interface Said {
  content: string;
  model_id?: string;
  policy?: Policy;
  answer?: boolean;
  files?: string[];
}

export interface Entry extends Said {
  client_message_id: string;
  timestamp: string;
  sends: number; // over connections that broke: perhaps it breaks them
  error: Problem | null; // it was refused, and waits for a person
  state: "held" | "sending" | "unsent";
}

/** Where entries are kept: sessionStorage has this form. */
export interface Storage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export class Outbox {
  #entries: ReadonlyMap<string, Entry>;
  #storage?: Storage;
  #key: string;

  constructor(key: string, storage?: Storage) {
    this.#key = key;
    this.#storage = storage;
    this.#entries = new Map(this.#load().map((e) => [e.client_message_id, e]));
  }

  get entries(): readonly Entry[] {
    return [...this.#entries.values()];
  }

  get(id: string): Entry | undefined {
    return this.#entries.get(id);
  }

  put(entry: Entry): void {
    this.#entries = new Map(this.#entries).set(entry.client_message_id, entry);
    this.#save();
  }

  drop(id?: string): boolean {
    if (id === undefined || !this.#entries.has(id)) return false;
    this.#entries = new Map([...this.#entries].filter(([key]) => key !== id));
    this.#save();
    return true;
  }

  // A browser may forbid storage, and then what waits is lost with the page.
  #load(): Entry[] {
    try {
      return JSON.parse(this.#storage?.getItem(this.#key) ?? "[]");
    } catch {
      return [];
    }
  }

  #save(): void {
    try {
      if (this.#entries.size > 0) this.#storage?.setItem(this.#key, JSON.stringify(this.entries));
      else this.#storage?.removeItem(this.#key);
    } catch { /* forgotten */ }
  }
}

/** An id that nobody else makes. crypto.randomUUID is missing where http:// comes from another host. */
export function newID(): string {
  if (crypto.randomUUID) return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}

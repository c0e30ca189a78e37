// Since when people are away, as this page has seen it. The server does not say when somebody left.
import { SvelteMap } from "svelte/reactivity";
import type { Present } from "@parlor/client";

export class Away {
  readonly since = new SvelteMap<string, number>(); // ms, by the user's id
  #there: ReadonlySet<string> = new Set();

  take(present: ReadonlyMap<string, Present>): void {
    if (present.size === 0) return; // this page is not connected
    for (const id of this.#there) if (!present.has(id)) this.since.set(id, Date.now());
    for (const id of present.keys()) this.since.delete(id);
    this.#there = new Set(present.keys());
  }
}

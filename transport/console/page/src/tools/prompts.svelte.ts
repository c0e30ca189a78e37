// Prompts that servers of tools have for people.
import type { Refusal } from "@parlor/client";
import { tab } from "../lib/memory.ts";
import { session } from "../stores/session.svelte.ts";

export interface Prompt {
  server: string;
  name: string;
  title: string;
  description: string;
  arguments: { name: string; description: string; required: boolean }[];
}

export interface Missing {
  server: string;
  reason: string;
}

class Prompts {
  list = $state.raw<readonly Prompt[]>([]);
  missing = $state.raw<readonly Missing[]>([]);
  readonly any = $derived(this.list.length > 0 || this.missing.length > 0);
  #read = false;

  /** Looks once whether there are any. A server without them is not asked again in this tab. */
  learn(): void {
    if (this.#read || tab.get("no prompts")) return;
    this.#read = true;
    void this.read();
  }

  async read(): Promise<void> {
    try {
      ({ prompts: this.list, missing: this.missing } = await session.api.ask<{ prompts: Prompt[]; missing: Missing[] }>("GET", "tools/prompts"));
    } catch (e) {
      if ((e as Refusal).status === 404 || (e as Refusal).status === 403) tab.set("no prompts", "yes");
    }
  }

  /** The prompt filled in, as text. */
  async fill({ server, name }: Prompt, values: Record<string, string>): Promise<string> {
    const { messages } = await session.api.ask<{ messages: { role: string; content: string }[] }>("POST", "tools/prompts", { body: { server, name, arguments: values } });
    return messages.map((m) => m.content).join("\n\n");
  }
}

export const prompts = new Prompts();

// A chat as a file that one keeps.
import type { Api, ChatInfo, Message } from "@parlor/client";
import { nameOf } from "./people.ts";
import { save } from "./save.ts";
import { full } from "./time.ts";
import { w } from "../words/index.ts";

const MAX_MESSAGES = 10_000; // as many as the server gives at once

/** Returns the current branch as Markdown, oldest message first. */
export function markdownOf(title: string, messages: readonly Message[]): string {
  const one = (m: Message) => {
    const who = m.role === "assistant" ? m.name || m.model_id || w.talk.assistant : nameOf(m.author);
    const time = m.timestamp ? ` · ${full(m.timestamp)}` : "";
    return `**${who}**${time}\n\n${m.content}\n`;
  };
  return [`# ${title}\n`, ...messages.map(one)].join("\n");
}

export async function saveMarkdown(api: Api, c: ChatInfo): Promise<void> {
  const title = c.title || w.sidebar.untitled;
  const rows = await api.ask<(Message & { created_timestamp: string })[]>("GET", `chat/${encodeURIComponent(c.chat_id)}/messages`, { query: { limit: MAX_MESSAGES } });
  const text = markdownOf(title, rows.map((m) => ({ ...m, timestamp: m.created_timestamp })));
  save(new Blob([text], { type: "text/markdown" }), `${fileName(title)}.md`);
}

/** As a file that can be imported again, here or at another server. */
export async function saveJSON(api: Api, c: ChatInfo): Promise<void> {
  const chat = await api.export(c.chat_id);
  save(new Blob([JSON.stringify(chat, null, 2)], { type: "application/json" }), `${fileName(c.title || w.sidebar.untitled)}.json`);
}

const fileName = (title: string) => title.replace(/[^\p{L}\p{N} ._-]+/gu, " ").trim().slice(0, 80) || "chat";

// All chats of a user, read page by page.
import type { Api, ChatInfo } from "@parlor/client";

const PAGE = 100; // chats
const MESSAGES = 1000;

/** A message, or a call of a tool in it, as GET /chat/{chat_id}/messages lists them. */
interface Row {
  seq: number;
  [field: string]: unknown;
}

export interface Exported {
  exported_at: string;
  chats: (ChatInfo & { messages: Row[] })[];
}

/** Every chat that the user can read, archived ones too. */
export async function listChats(api: Api): Promise<ChatInfo[]> {
  const all: ChatInfo[] = [];
  for (const archived of [false, true]) {
    for (let offset = 0, more = true; more; offset += PAGE) {
      const page = await api.chats({ limit: PAGE, offset, archived });
      all.push(...page.chats);
      more = page.has_more;
    }
  }
  return all;
}

async function messagesOf(api: Api, id: string): Promise<Row[]> {
  let all: Row[] = [];
  for (let before: number | undefined; ; before = Math.min(...all.map((m) => m.seq))) {
    const page = await api.ask<Row[]>("GET", `chat/${encodeURIComponent(id)}/messages`, { query: { limit: MESSAGES, before } });
    if (page.length === 0) return all;
    all = [...page, ...all];
  }
}

/** Reads all chats, and says after each how many it has read. */
export async function readAll(api: Api, read: (chats: number) => void): Promise<Exported> {
  const chats: Exported["chats"] = [];
  for (const chat of await listChats(api)) {
    chats.push({ ...chat, messages: await messagesOf(api, chat.chat_id) });
    read(chats.length);
  }
  return { exported_at: new Date().toISOString(), chats };
}

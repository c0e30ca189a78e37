// Chats in the groups in which a list shows them.
import type { ChatInfo } from "@parlor/client";

export type Group =
  | { kind: "pinned" | "today" | "week" | "earlier"; chats: ChatInfo[] }
  | { kind: "folder"; name: string; chats: ChatInfo[] };

const WEEK = 7; // days

/** The groups that have chats: pinned ones, folders by name, then by the day on which something happened in them last. */
export function grouped(chats: readonly ChatInfo[], now = new Date()): Group[] {
  const today = new Date(now.getFullYear(), now.getMonth(), now.getDate());
  const week = new Date(today);
  week.setDate(today.getDate() - WEEK + 1);
  const at = (c: ChatInfo) => new Date(c.last_timestamp ?? c.created_timestamp ?? 0);
  const named = [...new Set(chats.filter((c) => c.folder && !c.pinned).map((c) => c.folder))].sort((a, b) => a.localeCompare(b));
  const free = chats.filter((c) => !c.pinned && !c.folder);
  const groups: Group[] = [
    { kind: "pinned", chats: chats.filter((c) => c.pinned) },
    ...named.map((name): Group => ({ kind: "folder", name, chats: chats.filter((c) => c.folder === name && !c.pinned) })),
    { kind: "today", chats: free.filter((c) => at(c) >= today) },
    { kind: "week", chats: free.filter((c) => at(c) >= week && at(c) < today) },
    { kind: "earlier", chats: free.filter((c) => at(c) < week) },
  ];
  return groups.filter((g) => g.chats.length > 0);
}

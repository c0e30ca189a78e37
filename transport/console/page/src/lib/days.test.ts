import { expect, test } from "vitest";
import type { ChatInfo } from "@parlor/client";
import { inOrder } from "../../client/src/chatlist.ts";
import { grouped } from "./days.ts";

const now = new Date(2026, 10, 27, 9);
const chat = (chat_id: string, daysAgo: number, more: Partial<ChatInfo> = {}): ChatInfo => ({
  chat_id, user_id: "ann", role: "owner", pinned: false, archived: false, folder: "", last_seq: 1, unread: 0, mentions: 0,
  last_timestamp: new Date(now.getFullYear(), now.getMonth(), now.getDate() - daysAgo, 8).toISOString(), ...more,
});

test("chats are grouped by pin, folder and day, in this order", () => {
  const list = [chat("old", 7), chat("now", 0), chat("filed", 0, { folder: "Work" }), chat("week", 6), chat("pin", 30, { pinned: true, folder: "Work" }), chat("b", 90, { folder: "Art" })];
  const shown = grouped(list, now).map((g) => [g.kind === "folder" ? g.name : g.kind, ...g.chats.map((c) => c.chat_id)]);
  expect(shown).toEqual([["pinned", "pin"], ["Art", "b"], ["Work", "filed"], ["today", "now"], ["week", "week"], ["earlier", "old"]]);
});

test("what happened last comes first, behind what is pinned", () => {
  expect(inOrder([chat("a", 3), chat("b", 1), chat("c", 9, { pinned: true }), chat("d", 2, { last_timestamp: undefined })]).map((c) => c.chat_id)).toEqual(["c", "b", "a", "d"]);
});

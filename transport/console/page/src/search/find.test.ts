import { expect, test } from "vitest";
import type { ChatInfo } from "@parlor/client";
import { piecesOf, titled } from "./find.ts";

test("a snippet is cut where its hits are", () => {
  expect(piecesOf({ snippet: "the footer of", hits: [{ start: 4, end: 10 }] })).toEqual([{ text: "the ", hit: false }, { text: "footer", hit: true }, { text: " of", hit: false }]);
  expect(piecesOf({ snippet: "aa", hits: [{ start: 0, end: 1 }, { start: 1, end: 2 }] })).toEqual([{ text: "a", hit: true }, { text: "a", hit: true }]);
});

test("chats are found by parts of the words of their titles, whatever case and accents", () => {
  const chats = ["Zürich in spring", "Move the docs", ""].map((title, i) => ({ chat_id: String(i), title })) as ChatInfo[];
  expect(titled(chats, "zur SPR").map((c) => c.chat_id)).toEqual(["0"]);
  expect(titled(chats, " ").length).toBe(3);
});

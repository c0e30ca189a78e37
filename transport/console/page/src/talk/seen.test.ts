import type { Message } from "@parlor/client";
import { expect, test } from "vitest";
import { grewAtStart, unreadSince } from "./seen.ts";

const message = (seq: number): Message => ({ message_id: `m${seq}`, seq, role: "user", content: "", state: "completed", timestamp: new Date(seq * 1000).toISOString() });

test("what was seen last is before the unread ones", () => {
  const all = [message(3), message(7), message(9)];
  expect(unreadSince(all, 2)).toEqual({ seq: 6, at: 3000 });
  expect(unreadSince(all, 9)).toEqual({ seq: 2, at: 3000 });
  expect(unreadSince(all, 0)).toBeUndefined();
  expect(unreadSince([], 2)).toBeUndefined();
});

test("a list grows at its start only if its end stays", () => {
  expect(grewAtStart(["c", "d"], ["a", "b", "c", "d"])).toBe(true);
  expect(grewAtStart(["c", "d"], ["a", "b", "c2", "d"])).toBe(true);
  expect(grewAtStart(["c", "d"], ["c", "d", "e"])).toBe(false);
  expect(grewAtStart(["c", "d"], ["c", "d"])).toBe(false);
  expect(grewAtStart([], ["c", "d"])).toBe(false);
});

// Tells what is new in a talk from what one has seen of it.
import type { Exchange, Message } from "@parlor/client";

/** The message that was seen last, and when. */
export interface Mark {
  seq: number;
  at: number; // ms
}

/** The record with which an exchange begins; one that is not recorded yet is behind all. */
export const seqOf = (e: Exchange): number => e.question?.seq ?? e.answers[0]?.seq ?? Infinity;

/** Returns the message that was seen last, if so many messages of others were not. */
export function unreadSince(others: readonly Message[], unread: number): Mark | undefined {
  if (unread <= 0 || others.length === 0) return undefined;
  const sorted = [...others].sort((a, b) => a.seq - b.seq);
  const first = sorted.at(-unread) ?? sorted[0]!;
  const before = sorted[sorted.indexOf(first) - 1];
  return { seq: first.seq - 1, at: Date.parse(before?.timestamp ?? first.timestamp ?? "") || Date.now() };
}

/** Whether older ones were put before those that were there. The first of those may have got another key, as its question came. */
export function grewAtStart(before: readonly string[], now: readonly string[]): boolean {
  return before.length > 0 && now.length > before.length && now[0] !== before[0] && now.at(-1) === before.at(-1);
}

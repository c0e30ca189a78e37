// Keys in the talk. One message at a time can have the focus by them, and single letters do something with that one.

/** The things that a key can do with the message that has the focus. */
export type Act = "copy" | "again" | "quote" | "edit" | "link" | "previous" | "next";

const acts: Partial<Record<string, Act>> = { c: "copy", r: "again", q: "quote", e: "edit", l: "link", "[": "previous", "]": "next" };

/** How far a key moves among the messages. */
const steps: Partial<Record<string, number>> = { ArrowUp: -1, ArrowDown: 1 };

export type Meaning = { act: Act } | { step: number } | null;

/** Returns the meaning of a key on a message: none with a modifier, and none while an input method is at work. */
export function meaning(e: KeyboardEvent): Meaning {
  if (e.isComposing || e.keyCode === 229 || e.ctrlKey || e.metaKey || e.altKey) return null;
  const letter = e.key.toLowerCase();
  if (Object.hasOwn(acts, letter)) return { act: acts[letter]! };
  return Object.hasOwn(steps, e.key) && !e.shiftKey ? { step: steps[e.key]! } : null;
}

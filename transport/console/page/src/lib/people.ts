// How people look: a colour and initials that stay the same.
import { w } from "../words/index.ts";

const COLOURS = 8;

/** The class of a person's colour, by a hash (FNV-1a) of the id. */
export function colourOf(id: string): string {
  let hash = 0x811c9dc5;
  for (const char of id) hash = Math.imul(hash ^ char.codePointAt(0)!, 0x01000193);
  return `p${(hash >>> 0) % COLOURS}`;
}

const segments = new Intl.Segmenter();

export function initials(name: string): string {
  const letters = (text: string) => [...segments.segment(text)].map((s) => s.segment);
  const words = name.split(/[\s\-_.:]+/u).filter(Boolean);
  const found = words.length > 1 ? [letters(words[0]!)[0], letters(words[1]!)[0]] : letters(words[0] ?? "?").slice(0, 2);
  return found.join("").toLocaleUpperCase();
}

export const nameOf = (user?: { user_id: string; name?: string | null } | null): string => user?.name || user?.user_id || w.someone;

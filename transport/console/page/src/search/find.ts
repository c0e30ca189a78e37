// Finds what the search shows; Search.svelte draws it.
import type { ChatInfo, Found } from "@parlor/client";

const MAX_GO_TO = 6;

/** A piece of a snippet, and whether it is what was looked for. */
export interface Piece {
  text: string;
  hit: boolean;
}

export function piecesOf({ snippet, hits }: Pick<Found, "snippet" | "hits">): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  for (const { start, end } of hits) {
    pieces.push({ text: snippet.slice(at, start), hit: false }, { text: snippet.slice(start, end), hit: true });
    at = end;
  }
  return [...pieces, { text: snippet.slice(at), hit: false }].filter((p) => p.text);
}

const plain = (text: string) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLocaleLowerCase();

/** The chats whose titles have all words; without words the newest. */
export function titled(chats: readonly ChatInfo[], words: string): ChatInfo[] {
  const wanted = plain(words).split(/\s+/u).filter(Boolean);
  return chats.filter((c) => wanted.every((word) => plain(c.title ?? "").includes(word))).slice(0, MAX_GO_TO);
}

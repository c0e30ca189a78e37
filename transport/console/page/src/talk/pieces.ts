// The text of an answer, with the calls of tools where they were made.
import type { Call } from "@parlor/client";

export interface Piece {
  key: string;
  text: string;
  call?: Call;
  last: boolean; // the text that still grows
}

export function pieces(content: string, calls: readonly Call[]): Piece[] {
  const all: Piece[] = [];
  let from = 0;
  for (const call of [...calls].sort((a, b) => a.at - b.at)) {
    const to = Math.min(Math.max(call.at, from), content.length);
    if (content.slice(from, to).trim()) all.push({ key: `text ${from}`, text: content.slice(from, to), last: false });
    all.push({ key: `call ${call.call_id}`, text: "", call, last: false });
    from = to;
  }
  if (from < content.length) all.push({ key: `text ${from}`, text: content.slice(from), last: true });
  return all;
}

// How long a message may be.
import { size } from "../files/sizes.ts";
import { w } from "../words/index.ts";

const MOST_BYTES = 3; // of a UTF-16 code unit

const utf8 = new TextEncoder();

/** Says by how much a text is too long, counted as the server does: in UTF-8, without the space around it. */
export function tooLong(text: string, most = Infinity): string {
  if (text.length * MOST_BYTES <= most) return "";
  const has = utf8.encode(text.trim()).length;
  return has > most ? w.files.tooLarge(size(has), size(most)) : "";
}

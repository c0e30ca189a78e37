// Which addresses a message may lead to.

/** The address that remend gives to a link that is still being written. */
export const unfinishedLink = "streamdown:incomplete-link";

/** The address that remend gives to a picture that is still being written. */
export const unfinishedImage = "streamdown:incomplete-image";

/**
 * Says whether a message may link to address: a fragment of this page, a web page, or a mail address.
 *
 * An address with a user name before the host is refused, since it is read as a
 * link to another host than it leads to.
 */
export function isSafe(address: string): boolean {
  if (address === unfinishedLink || address === unfinishedImage) return true;
  if (/^#[^\s]*$/.test(address)) return true;
  if (/^mailto:[^\s]+$/i.test(address)) return true;
  if (!isWeb(address)) return false;
  try {
    const url = new URL(address);
    return url.username === "" && url.password === "";
  } catch {
    return false;
  }
}

/** Says whether address is one of a web server, which opens in a tab of its own. */
export function isWeb(address: string): boolean {
  return /^https?:\/\/[^\s]+$/i.test(address);
}

/** A piece of text, or an address in it that somebody has written without any mark. */
export type Piece = { text: string; href?: string };

/** Splits text at the web addresses in it. */
export function split(text: string): Piece[] {
  if (!text.includes("://")) return [{ text }];
  const pieces: Piece[] = [];
  let end = 0;
  for (const match of text.matchAll(/\bhttps?:\/\/[^\s<>"`\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gi)) {
    const href = trim(match[0]);
    if (!isSafe(href)) continue;
    if (match.index > end) pieces.push({ text: text.slice(end, match.index) });
    pieces.push({ text: href, href });
    end = match.index + href.length;
  }
  if (end < text.length) pieces.push({ text: text.slice(end) });
  return pieces;
}

/** Leaves out the punctuation behind an address, and a bracket that was opened before it. */
function trim(address: string): string {
  let end = address.length;
  let open = count(address, "(") - count(address, ")");
  for (; end > 0; end--) {
    const last = address[end - 1]!;
    if (last === ")" && open < 0) open++;
    else if (!".,;:!?'*_~]}|".includes(last)) break;
  }
  return address.slice(0, end);
}

function count(text: string, character: string): number {
  return text.split(character).length - 1;
}

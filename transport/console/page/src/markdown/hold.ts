// Finds how much of a growing text is shown: nothing that the next letters may turn into something else.
import remend from "remend";

/** Closes what is still open at the end of text, so that no mark is shown as a letter. */
export function heal(text: string): string {
  // The options that are off change text that is whole, or what parse.ts looks after.
  return remend(text, {
    comparisonOperators: false, htmlTags: false, katex: false, setextHeadings: false, singleTilde: false,
  });
}

const marks = String.raw`(?:[ \t]*(?:[-+*]|\d{1,9}[.)]|>))*[ \t]*`;

/** A line that so far may become a heading, a list, a rule, a fence, a formula or a ticked box. */
const undecided = new RegExp(
  `^${marks}(?:[-+*=#>|\`~_:$\\\\]{1,100}|\\\\[[[(]|\\d{1,9}[.)]?|\\[[ xX]?\\]?)?[ \\t]*$`,
);

/** The first line of a fence, whose language is still being written. */
const fence = new RegExp(`^${marks}(?:\`{3,}[^\`]*|~{3,}.*)$`);

/** A line that defines a link, which is not shown, as far as the paragraph goes. */
const definition = /(?:^|\n) {0,3}\[[^\]\n]*(?:\]:(?:.|\n(?!\n))*|\]?)$/;

/** Text is never held back for longer than this. */
const longest = 300;

/** Returns the length of the part of text that may be shown while it grows. */
export function settled(text: string): number {
  const start = text.lastIndexOf("\n") + 1;
  const line = text.slice(start);
  const header = startOfHeader(text, start, line);
  if (header !== undefined) return header;
  const from = Math.max(text.length - longest, 0);
  const found = definition.exec(text.slice(from));
  if (found) return from + found.index;
  if (line.length < longest && (undecided.test(line) || fence.test(line))) return start;
  return text.length - tail.exec(line.slice(-longest))![0].length;
}

/** Text in brackets may be followed by an address or a label, a picture begins with !, and \ says how to read the next letter. */
const tail = /(?:\\*\](?:\[[^\]]*)?|(?<=^|\s)!|\\)?$/;

/** A row that starts with | is the head of a table or text: the line below it says which. */
function startOfHeader(text: string, start: number, line: string): number | undefined {
  if (isRow(text, start)) {
    const above = lineBefore(text, start);
    if (above < 0 || !isRow(text, above)) return start;
  } else if (!/^[ \t:-]*$/.test(line)) {
    return undefined;
  }
  const head = lineBefore(text, start);
  if (head < 0 || !isRow(text, head)) return undefined;
  const above = lineBefore(text, head);
  return above < 0 || !isRow(text, above) ? head : undefined;
}

function isRow(text: string, start: number): boolean {
  return /^[ \t]{0,3}\|/.test(text.slice(start, start + 5));
}

/** Returns where the line before the one at start begins, or -1. */
function lineBefore(text: string, start: number): number {
  return start === 0 ? -1 : start === 1 ? 0 : text.lastIndexOf("\n", start - 2) + 1;
}

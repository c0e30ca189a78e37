// Markdown source → tokens, by markdown-it.
//
// Blocks and the text in them are parsed separately: to find where a block ends
// takes only the first, and a frozen block whose link is defined later needs only
// the second.
import MarkdownIt, { type StateBlock, type StateInline, type Token } from "markdown-it";
import { isSafe } from "./links";

/** The link definitions that were read, by their label. */
export type References = Record<string, { href: string; title: string }>;

/** A block at the top level, with the definitions of links that stand directly before it. */
export type Unit = { tokens: Token[]; firstLine: number; lastLine: number };

// No rule of "linkify" and "typographer" runs: both have had vulnerabilities, and
// the second changes what was written.
const md = new MarkdownIt({ html: false, linkify: false, typographer: false });
md.validateLink = isSafe;
md.block.ruler.before("fence", "math", mathBlock, { alt: ["paragraph", "reference", "blockquote", "list"] });
md.inline.ruler.before("escape", "math", mathInline);

/** Parses the blocks of source, and adds the definitions in it to references. */
export function blocks(source: string, references: References): Unit[] {
  const tokens: Token[] = [];
  md.block.parse(source, md, { references }, tokens);
  const units: Unit[] = [];
  let unit: Unit | undefined;
  let level = 0;
  for (const token of tokens) {
    if (level === 0 && token.map) {
      const [first, last] = token.map;
      if (unit && endsInDefinition(unit) && unit.lastLine === first) unit.lastLine = last;
      else units.push((unit = { tokens: [], firstLine: first, lastLine: last }));
    }
    unit!.tokens.push(token);
    level += token.nesting;
  }
  return units;
}

/** A definition may go on in the next line, so it stays together with the text that follows. */
function endsInDefinition(unit: Unit): boolean {
  return unit.tokens.at(-1)!.type === "reference_definition";
}

/** The labels that unit defines, also inside of lists and quotations. */
export function labels(unit: Unit): string[] {
  return unit.tokens.filter((t) => t.type === "reference_definition").map((t) => t.meta!.label as string);
}

/** Parses the text in a block. */
export function inline(content: string, references: References): Token[] {
  const tokens: Token[] = [];
  md.inline.parse(content, md, { references }, tokens);
  return tokens;
}

/**
 * A formula of its own: from a line that starts with $$ or \[ to one that ends
 * with $$ or \].
 *
 * The first line alone decides that it is one, since an answer that grows must not
 * change its mind about blocks that are drawn. So a blank line ends it too, and
 * then its source is shown.
 */
function mathBlock(state: StateBlock, startLine: number, endLine: number, silent: boolean): boolean {
  if (state.sCount[startLine]! - state.blkIndent >= 4) return false;
  const first = line(state, startLine);
  const close = first.startsWith("\\[") ? "\\]" : "$$";
  if (close === "$$" && !/^\$\$(?:\s*$|[^\s$])/.test(first)) return false;
  const end = first.indexOf(close, 2);
  if (end >= 0 && end !== first.length - 2) return false; // text follows
  if (silent) return true;

  let text = first.slice(2);
  let last = startLine;
  while (!text.endsWith(close) && last + 1 < endLine && !state.isEmpty(last + 1) && state.sCount[last + 1]! >= state.blkIndent) {
    text += "\n" + line(state, ++last);
  }
  const token = state.push("math_block", "", 0);
  const isWhole = text.endsWith(close);
  token.content = isWhole ? text.slice(0, -2).trim() : text;
  token.markup = first.slice(0, 2);
  token.meta = { isWhole, isLast: last + 1 >= endLine };
  token.map = [startLine, last + 1];
  state.line = last + 1;
  return true;
}

function line(state: StateBlock, n: number): string {
  return state.src.slice(state.bMarks[n]! + state.tShift[n]!, state.eMarks[n]).trimEnd();
}

/** A longer one is taken for text: a scan for the end has to be bounded. */
const longestInlineMath = 1000;

/**
 * A formula in the text: \(x\), \[x\], $$x$$ or $x$. As in pandoc, $ opens before
 * what is no space, and closes after what is no space and before what is no digit:
 * "$5 and $10" are prices.
 */
function mathInline(state: StateInline, silent: boolean): boolean {
  const { src, pos } = state;
  const open = ["\\(", "\\[", "$$", "$"].find((o) => src.startsWith(o, pos));
  if (!open) return false;
  const close = { "\\(": "\\)", "\\[": "\\]" }[open] ?? open;
  const start = pos + open.length;
  const window = src.slice(start, Math.min(state.posMax, start + longestInlineMath));
  const length = close === "$" ? endOfDollars(window) : window.indexOf(close);
  if (length <= 0 || !window.slice(0, length).trim()) return false;
  if (!silent) {
    const token = state.push("math_inline", "", 0);
    token.content = window.slice(0, length).trim();
    token.markup = open;
  }
  state.pos = start + length + close.length;
  return true;
}

function endOfDollars(text: string): number {
  if (/^[\s$]/.test(text)) return -1;
  return /(?<![\s\\])\$(?!\d)/.exec(text)?.index ?? -1;
}

// A message, drawn while it grows.
//
//	text → hold, heal → parse → tree → draw
//
// Only what stands behind the last cut is parsed. A cut is made where a block ends
// that is followed by another: all before it is frozen.
import type { Token } from "markdown-it";
import { forget, update } from "./draw";
import { heal, settled } from "./hold";
import { blocks, labels, type References, type Unit } from "./parse";
import { build, element, hasEnd, text as leaf, type Code, type Tree } from "./tree";

/** A block that is longer is drawn up to here, and its rest shown as it is, until it ends. */
export const longestOpen = 16 * 1024;

/** A block that takes longer to draw, in milliseconds, grows as plain text too. */
const longestTime = 50;

/** A frozen block. The tokens are kept if a link in it may be defined later. */
type Frozen = { trees: Tree[]; unit?: Unit; definitions: number };

/** A fence at the top level that is still open: where its code starts, and from where its end is looked for. */
type Fence = { code: Code; start: number; scanned: number; end: RegExp };

/** An Engine draws one text into one element. */
export class Engine {
  private source = "";
  private cut = 0;
  /** As far as this, blocks have been looked for. */
  private searched = 0;
  private frozen: Frozen[] = [];
  private growing: Tree[] = [];
  private references: References = Object.create(null);
  private definitions = 0;
  private fence: Fence | undefined;
  /** From here on the block that grows is shown as it is. */
  private plainFrom: number | undefined;
  private isOpen = true;

  constructor(private root: HTMLElement) {}

  /** Draws text. isOpen says that it still grows. */
  show(text: string, isOpen: boolean): void {
    const source = normalize(text, isOpen);
    if (!source.startsWith(this.source)) this.clear();
    if (source === this.source && isOpen === this.isOpen) return;
    this.source = source;
    this.isOpen = isOpen;
    if (!isOpen) return this.finish();
    if (this.appendToFence()) return;
    this.freeze();
    this.grow();
  }

  /** Takes away what was drawn. */
  clear(): void {
    for (const { trees } of this.frozen) forget(trees);
    forget(this.growing);
    this.root.replaceChildren();
    this.source = "";
    this.cut = this.searched = this.definitions = 0;
    this.frozen = [];
    this.growing = [];
    this.references = Object.create(null);
    this.fence = this.plainFrom = undefined;
  }

  /** Freezes the blocks that another one follows, as far as lines are whole. */
  private freeze(): void {
    const end = this.source.lastIndexOf("\n") + 1;
    if (end <= Math.max(this.cut, this.searched)) return;
    // Long lists and tables end at an empty line. To look for their end at each line would take too long.
    if (this.plainFrom !== undefined && !this.source.slice(this.searched - 1, end).includes("\n\n")) return;
    this.searched = end;
    const tail = this.source.slice(this.cut, end);
    const found: References = Object.create(this.references);
    const units = blocks(tail, found);
    const last = units.pop();
    if (!last || units.length === 0) return;
    this.keep(units, found);
    this.cut += startOf(tail, last.firstLine);
    this.plainFrom = undefined;
  }

  /** Draws units for good. */
  private keep(units: Unit[], found: References): void {
    const made = units.map((unit) => {
      for (const label of labels(unit)) this.define(label, found);
      const trees = build(unit.tokens, this.references, false);
      const mayLink = unit.tokens.some((t) => t.type === "inline" && t.content.includes("["));
      return { trees, unit: mayLink ? unit : undefined, definitions: this.definitions };
    });
    const trees = made.flatMap((f) => f.trees);
    update(this.root, this.growing.slice(0, trees.length), trees, this.growing[trees.length]?.node ?? null);
    this.growing = this.growing.slice(trees.length);
    this.frozen.push(...made);
  }

  private define(label: string, found: References): void {
    if (label in this.references) return;
    this.references[label] = found[label]!;
    this.definitions++;
  }

  /** Draws what is behind the cut, as if it ended here. */
  private grow(): void {
    const rest = this.source.slice(this.cut);
    const started = performance.now();
    if (this.plainFrom === undefined) {
      if (rest.length > longestOpen && !/^\s*(?:```|~~~)/.test(rest)) {
        this.plainFrom = rest.lastIndexOf("\n", longestOpen) + 1 || longestOpen;
      }
      const head = rest.slice(0, this.plainFrom);
      const shown = head.slice(0, settled(head));
      this.drawGrowing(shown);
      if (this.plainFrom === undefined && performance.now() - started > longestTime) this.plainFrom = shown.length;
    }
    if (this.plainFrom !== undefined) this.drawPlain(rest.slice(this.plainFrom));
  }

  private drawGrowing(shown: string): void {
    const references: References = Object.create(this.references);
    const units = blocks(shown, references);
    const last = units.pop();
    const trees = units.flatMap((unit) => build(unit.tokens, references, false));
    if (!last) return this.draw(trees);
    const start = startOf(shown, last.firstLine);
    const fence = openFence(last.tokens);
    const healed = fence ? [last] : blocks(heal(shown.slice(start)), references);
    this.draw([...trees, ...healed.flatMap((unit, i) => build(unit.tokens, references, i === healed.length - 1))]);
    if (fence && fence === last.tokens.at(-1)) this.followFence(fence, shown, start);
  }

  private drawPlain(rest: string): void {
    const drawn = this.growing.at(-1);
    const head = drawn?.kind === "element" && drawn.attributes.class === "plain" ? this.growing.slice(0, -1) : this.growing;
    this.draw([...head, element("p", [leaf(rest)], { class: "plain", dir: "auto" })]);
  }

  private draw(trees: Tree[]): void {
    update(this.root, this.growing, trees, null);
    this.growing = trees;
  }

  /** Remembers the fence that is open at the end, so that its code only has to be appended. */
  private followFence(token: Token, shown: string, start: number): void {
    const line = shown.indexOf(token.markup, start);
    if (line > 0 && shown[line - 1] !== "\n") return; // it is indented, and its lines may be too
    const first = this.cut + (shown.indexOf("\n", line) + 1 || shown.length);
    const end = new RegExp(`^ {0,3}${token.markup[0]}{${token.markup.length},}[ \\t]*$`, "m");
    this.fence = { code: this.growing.at(-1) as Code, start: first, scanned: first, end };
  }

  /** Appends to the code of the open fence. Returns false if there is none, or if it has ended. */
  private appendToFence(): boolean {
    const fence = this.fence;
    if (!fence) return false;
    const lines = Math.max(this.source.lastIndexOf("\n") + 1, fence.scanned);
    if (fence.end.test(this.source.slice(fence.scanned, lines))) {
      this.fence = undefined;
      return false;
    }
    fence.scanned = lines;
    const mayEnd = /^ {0,3}[`~]*$/.test(this.source.slice(lines));
    const content = this.source.slice(fence.start, mayEnd ? lines : undefined).replace(/\n$/, "");
    const code = fence.code.kids[0];
    if (content.length > code.text.length) {
      code.node!.appendData(content.slice(code.text.length));
      code.text = content;
    }
    return true;
  }

  /** Draws all, with the links that were defined below their use. */
  private finish(): void {
    this.fence = this.plainFrom = undefined;
    const found: References = Object.create(this.references);
    const units = blocks(this.source.slice(this.cut), found);
    this.resolve(found);
    this.draw(units.flatMap((unit) => build(unit.tokens, found, false)));
  }

  private resolve(found: References): void {
    const hasNew = Object.keys(found).length > 0;
    let end: Node | null = this.growing[0]?.node ?? null;
    for (const block of this.frozen.toReversed()) {
      if (block.unit && (hasNew || block.definitions < this.definitions)) {
        const trees = build(block.unit.tokens, found, false);
        update(this.root, block.trees, trees, end);
        block.trees = trees;
      }
      end = block.trees[0]?.node ?? end;
    }
  }
}

/** The fence without an end that is the last of tokens. */
function openFence(tokens: Token[]): Token | undefined {
  const last = tokens.findLast((t) => t.nesting >= 0);
  return last?.type === "fence" && !hasEnd(last) ? last : undefined;
}

/** Ends lines as one does, and holds a line end back that may still become one of two characters. */
function normalize(text: string, isOpen: boolean): string {
  const whole = isOpen && text.endsWith("\r") ? text.slice(0, -1) : text;
  return /[\r\0]/.test(whole) ? whole.replace(/\r\n?/g, "\n").replaceAll("\0", "\ufffd") : whole;
}

function startOf(text: string, line: number): number {
  let at = 0;
  for (let i = 0; i < line; i++) at = text.indexOf("\n", at) + 1 || text.length;
  return at;
}

// Tokens → the elements and texts that a message consists of.
//
// A tree is what the page is to look like; draw.ts makes it so. Only the tags and
// attributes listed there are ever made, and the text of a message is only ever
// the text of a node.
import type { Token } from "markdown-it";
import { isSafe, isWeb, split, unfinishedImage, unfinishedLink } from "./links";
import { inline, type References } from "./parse";
import { w } from "../words/index.ts";

/** A text, or an element. The node is there once it is drawn. */
export type Tree = Leaf | Branch | Code | Formula;
export type Leaf = { kind: "text"; text: string; node?: Text };
export type Branch = { kind: "element"; tag: string; attributes: Attributes; kids: Tree[]; node?: HTMLElement };
/** A box of code. isWhole says that no more of it comes. */
export type Code = { kind: "code"; language: string; isWhole: boolean; kids: [Leaf]; node?: HTMLElement };
export type Formula = { kind: "formula"; tex: string; isDisplay: boolean; isWhole: boolean; kids: []; node?: HTMLElement };
export type Attributes = Record<string, string>;

export function text(content: string): Leaf {
  return { kind: "text", text: content };
}

export function element(tag: string, kids: Tree[] = [], attributes: Attributes = {}): Branch {
  return { kind: "element", tag, attributes, kids };
}

/** Builds the trees of the tokens of blocks. isOpen says that the last of them still grows. */
export function build(tokens: Token[], references: References, isOpen: boolean): Tree[] {
  return new Builder(references, isOpen).blocks(tokens);
}

/**
 * What has a direction of its own: that of its first letter. It does not count
 * letters in elements that have one too, so a list has it and its items do not.
 */
const directed = new Set(["blockquote", "h3", "h4", "h5", "h6", "ol", "p", "td", "th", "ul"]);

/** Levels of headings start below those of the page. */
const headings: Record<string, string> = { h1: "h3", h2: "h4", h3: "h5", h4: "h6", h5: "h6", h6: "h6" };

class Builder {
  constructor(private references: References, private isOpen: boolean) {}

  blocks(tokens: Token[]): Tree[] {
    const stack: Branch[] = [element("div")];
    const last = tokens.findLastIndex((t) => t.nesting >= 0);
    tokens.forEach((token, i) => {
      const kids = stack.at(-1)!.kids;
      if (token.hidden) return;
      else if (token.nesting > 0) stack.push(this.open(token, stack.length === 1));
      else if (token.nesting < 0) stack.at(-2)!.kids.push(closed(stack.pop()!));
      else if (token.type === "inline") kids.push(...this.texts(token.content, stack, tokens[i - 1]));
      else kids.push(...this.leaf(token, i === last));
    });
    return stack[0]!.kids;
  }

  private open(token: Token, isTop: boolean): Branch {
    const tag = headings[token.tag] ?? token.tag;
    const attributes: Attributes = tag === token.tag ? {} : { class: token.tag };
    if ((isTop || tag === "td" || tag === "th") && directed.has(tag)) attributes.dir = "auto";
    const start = token.attrGet("start");
    if (token.tag === "ol" && start !== null) attributes.start = String(start);
    const align = /^text-align:(left|center|right)$/.exec(String(token.attrGet("style")));
    if (align) attributes.class = "to-" + align[1];
    return element(tag, [], attributes);
  }

  /** The text of a block: in a task, behind the box that is ticked or not. */
  private texts(content: string, stack: Branch[], before: Token | undefined): Tree[] {
    const item = stack.findLast((b) => b.tag === "li");
    const box = /^\[([ xX])\][ \t]+/.exec(content);
    const isFirst = before?.type === "paragraph_open" && item?.kids.length === 0 && stack.indexOf(item) >= stack.length - 2;
    if (!box || !isFirst) return new Inliner(inline(content, this.references)).trees;
    item.attributes.class = "task";
    const isDone = box[1] !== " ";
    const state: Attributes = { type: "checkbox", disabled: "", "aria-label": isDone ? w.markdown.done : w.markdown.notDone };
    if (isDone) state.checked = "";
    return [element("input", [], state), ...new Inliner(inline(content.slice(box[0].length), this.references)).trees];
  }

  private leaf(token: Token, isLast: boolean): Tree[] {
    switch (token.type) {
      case "fence":
        return [code(token.content, language(token.info), !(this.isOpen && isLast) || hasEnd(token))];
      case "code_block":
        return [code(token.content, "", true)];
      case "hr":
        return [element("hr")];
      case "math_block":
        return [this.formula(token)];
      default:
        return [];
    }
  }

  private formula(token: Token): Tree {
    const { isWhole, isLast } = token.meta as { isWhole: boolean; isLast: boolean };
    if (isWhole) return { kind: "formula", tex: token.content, isDisplay: true, isWhole, kids: [] };
    if (this.isOpen && isLast) return { kind: "formula", tex: "", isDisplay: true, isWhole, kids: [] };
    return element("p", [text(token.markup + token.content)], { dir: "auto", class: "formula" });
  }
}

/** Says whether a fence was closed, rather than ended by the end of what it stands in. */
export function hasEnd(token: Token): boolean {
  const lines = token.content.split("\n").length - (token.content.endsWith("\n") || token.content === "" ? 1 : 0);
  return token.map![1] - token.map![0] - lines === 2;
}

function code(content: string, language: string, isWhole: boolean): Code {
  return { kind: "code", language, isWhole, kids: [text(content.replace(/\n$/, ""))] };
}

/** The first word of the line that opens a fence. */
function language(info: string): string {
  return /^[^\s{,:]*/.exec(info.trim())![0].slice(0, 30);
}

/**
 * A table may be wider than the page, so it stands in a box that scrolls. A row
 * ends with its last cell that has something in it: a short text can ask for
 * 65,000 empty ones.
 */
function closed(branch: Branch): Branch {
  if (branch.tag === "tr") branch.kids = branch.kids.slice(0, branch.kids.findLastIndex((k) => k.kind === "element" && k.kids.length > 0) + 1);
  return branch.tag === "table" ? element("div", [branch], { class: "table" }) : branch;
}

/** Builds the trees of the tokens in one block. */
class Inliner {
  readonly trees: Tree[] = [];
  private stack: Tree[][] = [this.trees];
  private links = 0;

  constructor(tokens: Token[]) {
    for (const token of tokens) this.add(token);
  }

  private add(token: Token): void {
    const kids = this.stack.at(-1)!;
    if (token.nesting > 0) {
      const branch = token.type === "link_open" ? this.link(token) : element(token.tag);
      kids.push(branch);
      this.stack.push(branch.kids);
    } else if (token.nesting < 0) {
      if (token.type === "link_close") this.links--;
      this.stack.pop();
    } else {
      for (const tree of this.leaf(token)) append(kids, tree);
    }
  }

  private link(token: Token): Branch {
    this.links++;
    return anchor(String(token.attrGet("href")), [], token.attrGet("title"));
  }

  private leaf(token: Token): Tree[] {
    switch (token.type) {
      case "softbreak":
        return [text("\n")];
      case "hardbreak":
        return [element("br")];
      case "code_inline":
        return [element("code", [text(token.content)])];
      case "math_inline":
        return [{ kind: "formula", tex: token.content, isDisplay: token.markup === "$$" || token.markup === "\\[", isWhole: true, kids: [] }];
      case "image":
        return image(String(token.attrGet("src")), token.content, this.links > 0);
      default:
        return this.links > 0 ? [text(token.content)] : split(token.content).map((p) => (p.href ? anchor(p.href, [text(p.text)]) : text(p.text)));
    }
  }
}

/** Adds a tree; texts that touch become one. */
function append(kids: Tree[], tree: Tree): void {
  const last = kids.at(-1);
  if (tree.kind === "text" && last?.kind === "text") last.text += tree.text;
  else if (tree.kind !== "text" || tree.text !== "") kids.push(tree);
}

function anchor(href: string, kids: Tree[], title: string | number | null = null): Branch {
  const attributes: Attributes = {};
  if (href !== unfinishedLink && isSafe(href)) attributes.href = href;
  if (isWeb(href)) Object.assign(attributes, { target: "_blank", rel: "noopener noreferrer nofollow" });
  attributes.title = title ? `${title} · ${href}` : href;
  if (!attributes.href) delete attributes.title;
  return element("a", kids, attributes);
}

/**
 * A picture is a card with its address: to load it would tell its server that
 * somebody reads this. In a link it is its text alone.
 */
function image(address: string, alt: string, isInLink: boolean): Tree[] {
  if (address === unfinishedImage || !isSafe(address)) return [];
  if (isInLink) return [text(alt || address)];
  const link = anchor(address, [text(alt || address)]);
  return [element("span", [link, element("span", [text(address)], { class: "address" })], { class: "picture" })];
}

// Trees → nodes. This is the only place that makes nodes of a message.
import { box, type Box } from "./code";
import { drawFormula } from "./math";
import type { Attributes, Branch, Code, Formula, Leaf, Tree } from "./tree";
import { w } from "../words/index.ts";

/** The elements that a message may consist of, and their attributes. */
const allowed: Record<string, string[]> = {
  a: ["href", "title", "target", "rel"], blockquote: ["dir"], br: [], code: [], div: ["class"], em: [],
  h3: ["class", "dir"], h4: ["class", "dir"], h5: ["class", "dir"], h6: ["class", "dir"], hr: [],
  input: ["type", "checked", "disabled", "aria-label"], li: ["class"], ol: ["dir", "start"], p: ["class", "dir"], s: [],
  span: ["class"], strong: [], table: [], tbody: [], td: ["class", "dir"], th: ["class", "dir"], thead: [], tr: [], ul: ["dir"],
};

/** The boxes of code, by their element. */
const boxes = new WeakMap<Element, Box>();

/**
 * Makes the nodes of before, which stand in parent in front of the node end, those
 * of after. Nodes that stay the same are kept, and so is what is selected in them.
 */
export function update(parent: Node, before: Tree[], after: Tree[], end: Node | null): void {
  const common = Math.min(before.length, after.length);
  for (let i = 0; i < common; i++) change(parent, before[i]!, after[i]!);
  for (const tree of before.slice(common)) remove(tree);
  for (const tree of after.slice(common)) parent.insertBefore(create(tree), end);
}

/** Forgets what is kept for trees outside of their nodes: colours. */
export function forget(trees: Tree[]): void {
  for (const tree of trees) {
    if (tree.kind === "code") boxes.get(tree.node!)?.forget();
    else if (tree.kind === "element") forget(tree.kids);
  }
}

function remove(tree: Tree): void {
  forget([tree]);
  tree.node!.remove();
}

function change(parent: Node, before: Tree, after: Tree): void {
  if (before.kind === "text" && after.kind === "text") {
    after.node = before.node;
    setText(after);
  } else if (before.kind === "code" && after.kind === "code" && before.language === after.language) {
    changeCode(before, after);
  } else if (before.kind === "formula" && after.kind === "formula" && before.isDisplay === after.isDisplay) {
    after.node = before.node;
    if (before.tex !== after.tex || before.isWhole !== after.isWhole) drawFormula(after.node!, after);
  } else if (before.kind === "element" && after.kind === "element" && before.tag === after.tag) {
    after.node = before.node;
    setAttributes(after.node!, before.attributes, after.attributes);
    update(after.node!, before.kids, after.kids, null);
  } else {
    forget([before]);
    parent.replaceChild(create(after), before.node!);
  }
}

/** Sets the text from where it differs, since a selection ends where text is replaced. */
function setText(leaf: Leaf): void {
  const node = leaf.node!;
  const old = node.data;
  if (old === leaf.text) return;
  if (leaf.text.startsWith(old)) return node.appendData(leaf.text.slice(old.length));
  let same = 0;
  while (same < old.length && old[same] === leaf.text[same]) same++;
  node.replaceData(same, old.length - same, leaf.text.slice(same));
}

function changeCode(before: Code, after: Code): void {
  after.node = before.node;
  after.kids[0].node = before.kids[0].node;
  const isSame = before.kids[0].text === after.kids[0].text;
  if (!isSame) boxes.get(after.node!)!.forget();
  setText(after.kids[0]);
  if (after.isWhole && !(before.isWhole && isSame)) boxes.get(after.node!)!.colour();
}

function create(tree: Tree): Node {
  switch (tree.kind) {
    case "text":
      return (tree.node = document.createTextNode(tree.text));
    case "code":
      return createCode(tree);
    case "formula":
      return createFormula(tree);
    case "element":
      return createElement(tree);
  }
}

function createCode(tree: Code): Node {
  const made = box(tree.language, tree.kids[0].text);
  boxes.set(made.element, made);
  tree.kids[0].node = made.text;
  if (tree.isWhole) made.colour();
  return (tree.node = made.element);
}

function createFormula(tree: Formula): Node {
  tree.node = document.createElement("span");
  tree.node.className = tree.isDisplay ? "math display" : "math";
  if (tree.isDisplay) tree.node.tabIndex = 0; // it scrolls
  drawFormula(tree.node, tree);
  return tree.node;
}

function createElement(tree: Branch): Node {
  if (!(tree.tag in allowed)) throw new Error(`no <${tree.tag}> in a message`);
  const node = (tree.node = document.createElement(tree.tag));
  if (tree.attributes.class === "table") label(node);
  setAttributes(node, {}, tree.attributes);
  for (const kid of tree.kids) node.append(create(kid));
  return node;
}

/** A part that scrolls has to take the focus, so that keys can scroll it, and so needs a name. */
function label(node: HTMLElement): void {
  node.tabIndex = 0;
  node.setAttribute("role", "group");
  node.setAttribute("aria-label", w.markdown.table);
}

function setAttributes(node: Element, before: Attributes, after: Attributes): void {
  for (const name of Object.keys(before)) if (!(name in after)) node.removeAttribute(name);
  for (const [name, value] of Object.entries(after)) {
    if (!allowed[node.localName]!.includes(name)) throw new Error(`no ${name} of <${node.localName}> in a message`);
    if (before[name] !== value) node.setAttribute(name, value);
  }
}

// Colours code away from the page's thread: 10 KB take some 40 ms.
import { common, createLowlight } from "lowlight";
import { groups, type Ranges } from "./groups";

const lowlight = createLowlight(common);

/** The group of each class of highlight.js. */
const groupOf: Record<string, (typeof groups)[number]> = {
  addition: "string", attr: "name", attribute: "name", "built_in": "type", bullet: "number", char: "string", class: "type",
  comment: "note", deletion: "word", doctag: "note", function: "name", keyword: "word", link: "string", literal: "number",
  meta: "note", name: "type", number: "number", operator: "word", property: "name", quote: "note", regexp: "string",
  section: "name", "selector-class": "name", "selector-id": "name", "selector-tag": "word", string: "string",
  symbol: "number", tag: "type", "template-variable": "name", title: "name", type: "type", variable: "name",
};

type Node = { type: string; value?: string; properties?: { className?: unknown }; children?: Node[] };

self.onmessage = (event: MessageEvent<{ id: number; language: string; code: string }>) => {
  const { id, language, code } = event.data;
  const ranges: Ranges = [];
  const name = language.toLowerCase();
  if (lowlight.registered(name)) collect(lowlight.highlight(name, code) as Node, 0, -1, ranges);
  self.postMessage({ id, ranges });
};

/** Adds the ranges of node, which starts at offset in a part of a group, and returns where it ends. */
function collect(node: Node, offset: number, group: number, ranges: Ranges): number {
  if (node.type === "text") {
    const end = offset + (node.value?.length ?? 0);
    if (group >= 0) ranges.push(offset, end, group);
    return end;
  }
  const own = groupNumber(node);
  for (const child of node.children ?? []) offset = collect(child, offset, own < 0 ? group : own, ranges);
  return offset;
}

function groupNumber(node: Node): number {
  const classes = node.properties?.className;
  if (!Array.isArray(classes)) return -1;
  const group = groupOf[String(classes[0]).replace(/^hljs-/, "")];
  return group ? groups.indexOf(group) : -1;
}

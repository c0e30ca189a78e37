// The colours of code, from a worker.
//
// They are ranges of CSS's custom highlights: the text stays one node, so nothing
// moves, and what is selected stays selected. A browser without them shows code
// in one colour.
import { openHighlighter } from "../scripts";
import { groups, type Ranges } from "./groups";

/** Code that is longer stays in one colour. */
const longest = 200_000;

/** As many results are kept: a box that scrolls back into view has its colours at once. */
const kept = 200;

const known = new Map<string, Ranges>();
const waiting = new Map<number, { text: Text; code: string; key: string }>();
const drawn = new WeakMap<Text, Array<{ group: Highlight; range: AbstractRange }>>();
let worker: Worker | undefined;
let requests = 0;

/** Colours text, now or when the worker has answered. */
export function colour(text: Text, language: string): void {
  if (!language || !canHighlight() || text.length > longest) return;
  const code = text.data;
  const key = `${language}\n${code}`;
  const ranges = known.get(key);
  if (ranges) return paint(text, ranges);
  worker ??= start();
  if (!worker) return;
  waiting.set(++requests, { text, code, key });
  worker.postMessage({ id: requests, language, code });
}

/** Takes the colours of text away. */
export function forget(text: Text): void {
  for (const { group, range } of drawn.get(text) ?? []) group.delete(range);
  drawn.delete(text);
  for (const [id, request] of waiting) if (request.text === text) waiting.delete(id);
}

function canHighlight(): boolean {
  return typeof CSS !== "undefined" && "highlights" in CSS;
}

function start(): Worker | undefined {
  try {
    const started = openHighlighter();
    started.onmessage = (event: MessageEvent<{ id: number; ranges: Ranges }>) => receive(event.data.id, event.data.ranges);
    return started;
  } catch {
    return undefined; // code in one colour is code all the same
  }
}

function receive(id: number, ranges: Ranges): void {
  const request = waiting.get(id);
  if (!request) return;
  waiting.delete(id);
  if (known.size >= kept) known.delete(known.keys().next().value!);
  known.set(request.key, ranges);
  if (request.text.data === request.code) paint(request.text, ranges);
}

function paint(text: Text, ranges: Ranges): void {
  forget(text);
  const all = [];
  for (let i = 0; i < ranges.length; i += 3) {
    const range = new StaticRange({ startContainer: text, startOffset: ranges[i]!, endContainer: text, endOffset: ranges[i + 1]! });
    const group = highlight(groups[ranges[i + 2]!]!);
    group.add(range);
    all.push({ group, range });
  }
  drawn.set(text, all);
}

function highlight(name: string): Highlight {
  const all = CSS.highlights;
  if (!all.has(`code-${name}`)) all.set(`code-${name}`, new Highlight());
  return all.get(`code-${name}`)!;
}

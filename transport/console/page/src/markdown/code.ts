// A box of code: its language, buttons, and one text node that keeps its place.
import { colour, forget } from "./colours";
import { save } from "../lib/save";
import { w } from "../words/index.ts";

export type Box = {
  element: HTMLElement;
  text: Text;
  /** Asks for colours; call it when the text is whole. */
  colour(): void;
  /** Takes the colours away. */
  forget(): void;
};

/** Marks that change the order in which letters are shown, so that code reads as other than it runs. */
const reordering = /[\u202a-\u202e\u2066-\u2069]/;

export function box(language: string, content: string): Box {
  const text = document.createTextNode(content);
  const code = document.createElement("code");
  code.append(text);
  const pre = document.createElement("pre");
  pre.append(code);
  pre.dir = "ltr";
  pre.tabIndex = 0;
  pre.setAttribute("role", "group");
  pre.setAttribute("aria-label", w.markdown.code(language));
  const name = document.createElement("span");
  name.textContent = language || w.markdown.plainCode;
  const bar = document.createElement("figcaption");
  bar.append(name, button("wrap", w.markdown.wrap), button("download", w.markdown.download), button("copy", w.markdown.copy));
  bar.querySelector("button")!.setAttribute("aria-pressed", "false");
  const element = document.createElement("figure");
  element.className = "code";
  element.dataset.language = language;
  element.append(bar, pre);
  return { element, text, colour: () => finish(text, name, language), forget: () => forget(text) };
}

function finish(text: Text, name: HTMLElement, language: string): void {
  if (reordering.test(text.data)) name.append(` · ${w.markdown.hiddenMarks}`);
  colour(text, language);
}

function button(action: string, label: string): HTMLButtonElement {
  const made = document.createElement("button");
  made.type = "button";
  made.dataset.action = action;
  made.textContent = label;
  return made;
}

/** Does what a button of a box of code says, if event is a click on one. */
export function press(event: Event): void {
  const target = event.target instanceof Element ? event.target.closest<HTMLButtonElement>("figure.code button") : null;
  const figure = target?.closest("figure");
  if (!target || !figure) return;
  const code = figure.querySelector("code")!;
  switch (target.dataset.action) {
    case "wrap":
      target.setAttribute("aria-pressed", String(figure.classList.toggle("wrapped")));
      break;
    case "download":
      save(new Blob([code.textContent ?? ""], { type: "text/plain" }), "code." + extension(figure.dataset.language ?? ""));
      break;
    case "copy":
      void copy(code, target);
  }
}

async function copy(code: HTMLElement, pressed: HTMLButtonElement): Promise<void> {
  // There is no clipboard on a page that came without TLS from another computer.
  if (navigator.clipboard) await navigator.clipboard.writeText(code.textContent ?? "");
  else {
    getSelection()?.selectAllChildren(code);
    document.execCommand("copy");
  }
  pressed.textContent = w.markdown.copied;
  setTimeout(() => (pressed.textContent = w.markdown.copy), 2000);
}

const extensions: Record<string, string> = {
  bash: "sh", csharp: "cs", javascript: "js", kotlin: "kt", markdown: "md", perl: "pl", plaintext: "txt", python: "py",
  ruby: "rb", rust: "rs", shell: "sh", text: "txt", typescript: "ts", yaml: "yml",
};

function extension(language: string): string {
  const name = language.toLowerCase();
  return extensions[name] ?? (/^[a-z0-9]{1,10}$/.test(name) ? name : "txt");
}

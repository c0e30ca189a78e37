// Formulas, as MathML by Temml, which is loaded when the first one is seen.
import type { Formula } from "./tree";
import { w } from "../words/index.ts";

type Temml = typeof import("./temml").temml;

let temml: Temml | undefined;
let loading: Promise<unknown> | undefined;

/** The formula that each element is to show. */
const wanted = new WeakMap<Element, Formula>();

/** Shows formula in element, as its source until Temml is there. */
export function drawFormula(element: HTMLElement, formula: Formula): void {
  wanted.set(element, formula);
  if (temml) return show(element, formula);
  element.textContent = formula.tex;
  loading ??= import("./temml").then((m) => (temml = m.temml));
  void loading.then(() => {
    if (wanted.get(element) === formula) show(element, formula);
  });
}

function show(element: HTMLElement, formula: Formula): void {
  // The element has its height while the formula is written, and shows no half of it.
  element.classList.toggle("growing", !formula.isWhole);
  element.classList.remove("failed");
  element.removeAttribute("title");
  try {
    const drawing = document.createElement("span");
    temml!.render(formula.tex, drawing, { displayMode: formula.isDisplay, throwOnError: true, trust: false, maxExpand: 1000, maxSize: [20, 20] });
    check(drawing);
    element.replaceChildren(...drawing.childNodes);
  } catch (err) {
    element.textContent = formula.tex;
    element.classList.add("failed");
    element.title = w.markdown.noFormula(err instanceof Error ? err.message : String(err));
  }
}

/** A formula consists of MathML, and leads nowhere. */
function check(drawing: Element): void {
  for (const node of drawing.querySelectorAll("*")) {
    if (node.namespaceURI !== "http://www.w3.org/1998/Math/MathML") throw new Error(`<${node.localName}> is no formula`);
    for (const { name } of node.attributes) {
      if (/^(on.*|href|xlink:href|src)$/i.test(name)) throw new Error(`${name} is not for a formula`);
    }
  }
}

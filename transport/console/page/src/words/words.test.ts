// Each language has all words of the page, and no others.
import { expect, test } from "vitest";
import { de } from "./de.ts";
import { en } from "./en.ts";

/** The names of all words, and for a list how many it has. */
function names(part: unknown, path = ""): string[] {
  if (Array.isArray(part)) return part.flatMap((p, i) => names(p, `${path}[${i}]`));
  if (typeof part === "object" && part !== null) return Object.entries(part).flatMap(([name, p]) => names(p, path ? `${path}.${name}` : name));
  return [`${path}: ${typeof part}`];
}

test("German has the words of English", () => {
  expect(names(de).sort()).toEqual(names(en).sort());
});

test("nothing is empty in one language alone", () => {
  const empty = (words: object) => JSON.stringify(words, (_, v) => (typeof v === "string" ? v !== "" : v));
  expect(empty(de)).toBe(empty(en));
});

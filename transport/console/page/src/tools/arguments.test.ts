import { expect, test } from "vitest";
import { argumentsOf, edited, objectOf } from "./arguments.ts";

test("arguments are rows, whether they came as an object or as its text", () => {
  for (const written of [{ to: "Bo", sum: 1 }, '{"to":"Bo","sum":1}']) expect(argumentsOf(written)).toEqual([["to", "Bo"], ["sum", "1"]]);
  expect(argumentsOf("half {")).toEqual([["", "half {"]]);
});

test("only an object can be edited", () => {
  expect([objectOf('{"a":1}'), objectOf("[1]"), objectOf("null"), objectOf("half {")]).toEqual([{ a: 1 }, undefined, undefined, undefined]);
});

test("an edit keeps the kind of each argument, and names what is no JSON", () => {
  expect(edited({ to: "Bo", sum: 1, all: true }, { to: "12", sum: "2" })).toEqual({ value: { to: "12", sum: 2, all: true }, wrong: [] });
  expect(edited({ to: "Bo", sum: 1 }, { to: "", sum: "two" })).toEqual({ wrong: ["sum"] });
});

import { expect, test } from "vitest";
import type { Call } from "@parlor/client";
import { pieces } from "./pieces.ts";

const call = (call_id: string, at: number): Call => ({ call_id, function_name: "f", arguments: "", at });
const shape = (content: string, ...calls: Call[]) => pieces(content, calls).map((p) => p.call?.call_id ?? p.text);

test("calls stand where they were made", () => {
  expect(shape("Let me see. Done.", call("a", 12))).toEqual(["Let me see. ", "a", "Done."]);
  expect(shape("", call("a", 0), call("b", 0))).toEqual(["a", "b"]);
  expect(shape("text", call("b", 4), call("a", 2))).toEqual(["te", "a", "xt", "b"]);
});

test("a call that was made behind what is there yet stands at the end", () => {
  expect(shape("short", call("a", 99))).toEqual(["short", "a"]);
});

test("the keys of pieces stay while the text grows", () => {
  const keys = (text: string) => pieces(text, [call("a", 3)]).map((p) => p.key);
  expect(keys("abcdef").slice(0, 3)).toEqual(keys("abcdefgh"));
});

import { expect, test } from "vitest";
import { tooLong } from "./length.ts";

const most = 64 * 1024;

test("a text is counted in bytes of UTF-8", () => {
  expect(tooLong("x".repeat(most), most)).toBe("");
  expect(tooLong("x".repeat(most + 1), most)).toBe("64.1 KB; at most 64 KB");
  expect(tooLong("x".repeat(70 * 1024), most)).toBe("70 KB; at most 64 KB");
  expect(tooLong("é".repeat(most / 2), most)).toBe("");
  expect(tooLong("é".repeat(most / 2 + 1), most)).toBe("64.1 KB; at most 64 KB");
  expect(tooLong("😀".repeat(most / 4), most)).toBe("");
  expect(tooLong("日".repeat(most / 3 + 1), most)).toBe("64.1 KB; at most 64 KB");
});

test("space around a text does not count, and without a known limit there is none", () => {
  expect(tooLong(`\n\n${"x".repeat(most)}  `, most)).toBe("");
  expect(tooLong("x".repeat(10 * most))).toBe("");
});

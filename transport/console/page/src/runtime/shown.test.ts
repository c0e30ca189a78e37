import { expect, test } from "vitest";
import { line, rate, seconds, span } from "./shown.ts";

test("numbers", () => {
  expect([span(59_400), span(61_000), span(3_660_000), span(90_000_000), span(-5)]).toEqual(["59 s", "1 min 1 s", "1 h 1 min", "1 d 1 h", "0 s"]);
  expect([seconds(0.0023), seconds(0.25), seconds(12)]).toEqual(["2.3 ms", "250 ms", "12 s"]);
  expect([rate(0.25), rate(1234.5)]).toEqual(["0.3/s", "1235/s"]);
});

test("a line is as high as its largest value, and breaks where nothing is known", () => {
  expect(line([0, 5, 10], 100, 20)).toBe("M0.0 20.0L50.0 10.0L100.0 0.0");
  expect(line([null, 4, null, 2, 4], 40, 10)).toBe("M10.0 0.0h0.1M30.0 5.0L40.0 0.0");
  expect(line([], 10, 10)).toBe("");
});

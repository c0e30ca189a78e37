import { expect, test } from "vitest";
import { size } from "./sizes.ts";

test("what is larger than a limit reads so", () => {
  expect([0, 1023, 1024, 64 << 10, (64 << 10) + 1, 10 << 20, (10 << 20) + 1, 3 * 2 ** 30].map(size)).toEqual(
    ["0 bytes", "1023 bytes", "1 KB", "64 KB", "64.1 KB", "10 MB", "10.1 MB", "3 GB"]);
});

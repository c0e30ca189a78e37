// @vitest-environment jsdom
import { expect, test } from "vitest";
import { unfolded } from "./unfolded.ts";

test("details that were opened are open when their element is made again", () => {
  const open = new Set<string>();
  const made = () => {
    const details = document.createElement("details");
    unfolded(open, "m1 thought")(details);
    return details;
  };
  const turn = (details: HTMLDetailsElement, to: boolean) => {
    details.open = to;
    details.dispatchEvent(new Event("toggle"));
  };
  const first = made();
  expect(first.open).toBe(false);
  turn(first, true);
  const second = made();
  expect(second.open).toBe(true);
  turn(second, false);
  expect(made().open).toBe(false);
});

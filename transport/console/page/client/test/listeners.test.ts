import { expect, test } from "vitest";
import { Listeners } from "../src/listeners.ts";

test("a listener that was taken away while others were told is not told", () => {
  const listeners = new Listeners();
  const told: string[] = [];
  const end: (() => void)[] = [];
  listeners.add(() => { told.push("first"); end[0]?.(); });
  end.push(listeners.add(() => told.push("second")));
  listeners.add(() => { told.push("third"); listeners.clear(); });
  listeners.add(() => told.push("fourth"));
  listeners.tell();
  listeners.tell();
  expect(told).toEqual(["first", "third"]);
});

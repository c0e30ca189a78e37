// @vitest-environment jsdom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { paced } from "./pace";

let now = 0;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "requestAnimationFrame", "cancelAnimationFrame"] });
  vi.spyOn(performance, "now").mockImplementation(() => now);
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Asks at each millisecond of a second, and returns how often something that takes so long was drawn. */
function drawn(takes: number): number {
  let times = 0;
  const pace = paced(() => {
    times++;
    now += takes;
  });
  for (const end = now + 1000; now < end; ) {
    pace.ask();
    const before = now++;
    vi.advanceTimersByTime(now - before);
  }
  pace.cancel();
  return times;
}

test("it is drawn once a frame", () => {
  const times = drawn(0);
  expect(times).toBeGreaterThan(50);
  expect(times).toBeLessThan(70);
});

test("what is slow is drawn four times a second", () => {
  const times = drawn(20);
  expect(times).toBeGreaterThan(2);
  expect(times).toBeLessThan(7);
});

test("nothing is drawn after the end", () => {
  let times = 0;
  const pace = paced(() => times++);
  pace.ask();
  pace.cancel();
  vi.advanceTimersByTime(1000);
  expect(times).toBe(0);
});

import { expect, test } from "vitest";
import { Follow } from "./follow.svelte.ts";

const view = 500;
const at = (scrollTop: number, scrollHeight = 2000) => ({ scrollTop, scrollHeight, clientHeight: view });
const following = () => {
  const f = new Follow();
  f.hold(at(1500));
  return f;
};

test("a few pixels up let go, and only the way down takes hold again", () => {
  const f = following();
  f.scrolled(at(1490));
  expect(f.on).toBe(false);
  f.scrolled(at(1480));
  expect(f.on).toBe(false);
  f.scrolled(at(1485));
  expect(f.on).toBe(true);
});

test("far from the end nothing takes hold", () => {
  const f = following();
  f.release();
  f.scrolled(at(900));
  f.scrolled(at(1400));
  expect(f.on).toBe(false);
  f.scrolled(at(1460));
  expect(f.on).toBe(true);
});

test("a list that gets lower or higher by itself does not let go", () => {
  const f = following();
  f.scrolled(at(1400, 1950));
  expect(f.on).toBe(true);
  f.scrolled(at(1450, 1950));
  f.dragging = true;
  f.scrolled(at(1300, 2100));
  expect(f.on).toBe(false);
});

test("letting go is told once", () => {
  let told = 0;
  const f = new Follow(() => { told++; });
  f.release();
  f.release();
  expect(told).toBe(1);
});

import { expect, test } from "vitest";
import { meaning } from "./keys.ts";

const key = (name: string, how: Partial<KeyboardEvent> = {}) =>
  meaning({ key: name, keyCode: 0, isComposing: false, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...how } as KeyboardEvent);

test("letters do something with the message, and arrows move", () => {
  expect(["c", "R", "q", "E", "l", "[", "]"].map((k) => key(k))).toEqual(["copy", "again", "quote", "edit", "link", "previous", "next"].map((act) => ({ act })));
  expect([key("ArrowUp"), key("ArrowDown")]).toEqual([{ step: -1 }, { step: 1 }]);
});

test("other keys, keys with a modifier, and an input method mean nothing", () => {
  expect(["x", "Enter", "PageUp", "constructor"].map((k) => key(k))).toEqual([null, null, null, null]);
  expect([key("c", { ctrlKey: true }), key("r", { metaKey: true }), key("ArrowUp", { altKey: true }), key("ArrowUp", { shiftKey: true })]).toEqual([null, null, null, null]);
  expect([key("c", { isComposing: true }), key("c", { keyCode: 229 })]).toEqual([null, null]);
});

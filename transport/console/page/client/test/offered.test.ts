// Calls of tools of a page: run once, answered once, and cut where they are too long.
import { expect, test } from "vitest";
import { Offered } from "../src/offered.ts";

const call = (call_id: string, function_name = "look") => ({ call_id, function_name, arguments: { n: 1 } });

function offering(run: (args: any, call: { signal: AbortSignal }) => Promise<unknown>) {
  const offered = new Offered();
  offered.set([{ name: "look", description: "Looks.", run }]);
  const sent: [string, any][] = [];
  const send = async (event: string, body: object) => { sent.push([event, body]); };
  return { offered, sent, send };
}

test("a call is run once, however often it is told, and what it throws is told to the model", async () => {
  let ran = 0;
  const { offered, sent, send } = offering(async ({ n }) => { ran++; return { n }; });
  await Promise.all([offered.run(call("a"), send), offered.run(call("a"), send)]);
  expect([ran, sent]).toEqual([1, [["function_result", { call_id: "a", result: '{"n":1}' }]]]);
  await offered.run(call("b", "other"), send);
  expect(sent[1]).toEqual(["function_error", { call_id: "b", error: "this page does not offer that tool any more" }]);
});

test("an answer that a broken connection has cut is said again when the call is told again", async () => {
  const { offered, sent, send } = offering(async () => "yes");
  await offered.run(call("a"), async () => { throw new Error("not connected"); });
  await offered.run(call("a"), send);
  expect(sent).toEqual([["function_result", { call_id: "a", result: "yes" }]]);
});

test("a call that ended otherwise is aborted, and not answered", async () => {
  const { offered, sent, send } = offering((_, { signal }) => new Promise((_, no) => { signal.onabort = () => no(new Error("ended")); }));
  const run = offered.run(call("a"), send);
  offered.ended("a");
  await run;
  expect(sent).toEqual([]);
});

test("a result of 10 MB is cut to what reaches a model, and says so", async () => {
  const { offered, sent, send } = offering(async () => "ä".repeat(5 << 20));
  await offered.run(call("a"), send);
  const { result } = sent[0]![1];
  expect(new TextEncoder().encode(result).length).toBeLessThanOrEqual(64 << 10);
  expect(result).toMatch(/^ä+\n\(cut: this is the beginning of 10485760 bytes\)$/);
});

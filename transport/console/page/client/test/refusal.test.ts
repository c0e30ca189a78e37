import { expect, test, vi } from "vitest";
import { Api, Refusal } from "../src/index.ts";

test("where the server has failed, the words have the id of the request", async () => {
  const problem = { detail: "something went wrong in the server", code: "internal", request_id: "req_1" };
  vi.stubGlobal("fetch", async () => new Response(JSON.stringify(problem), { status: 500 }));
  await expect(new Api("http://server").ask("GET", "chat")).rejects.toThrow("something went wrong in the server (req_1)");
  vi.unstubAllGlobals();
  expect(new Refusal("no such chat", { code: "not_found" }).message).toBe("no such chat");
});

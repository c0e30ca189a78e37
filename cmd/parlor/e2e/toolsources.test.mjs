// Where tools come from, and what is asked before they run: documents, pages of the web, guides, and approvals that nobody gives.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { calls } from "./lib/model.mjs";
import { ask, connect, enter, event, folder, newChat } from "./lib/parlor.mjs";
import { world } from "./lib/tools.mjs";

const document = {
  openapi: "3.0.3", info: { title: "Shop", version: "1" }, servers: [{ url: "https://shop.invalid" }],
  paths: { "/orders/{id}": { put: {
    operationId: "putOrder", summary: "Changes an order.", responses: { 200: { description: "Done." } },
    parameters: [{ name: "id", in: "path", required: true, schema: { type: "string" } }],
    requestBody: { required: true, content: { "application/json": { schema: { type: "object", properties: { sum: { type: "integer" } } } } } },
  } } },
};

test("an operation of a document is a tool, a private page is not read, and an approval expires", async (t) => {
  const file = join(folder(), "shop.json");
  writeFileSync(file, JSON.stringify(document));
  const { start, pay, model } = await world(t, {
    answers: {
      go: calls(["shop_putOrder", { id: "7", body: { sum: 3 } }], ["fetch", { url: "http://127.0.0.1:80/admin" }], ["fetch", { url: "https://example.com/" }], ["pay", { sum: 1 }]),
    },
    tools: (url) => ({ shop: { openapi: file, url, approval: "never", secret_var: "PAY_SECRET" } }),
    settings: { guide: "Ask for the sum first." },
    args: ["--fetch-hosts", "127.0.0.1", "--approval-expiry", "1s"],
  });
  const server = await start();
  const socket = await connect(t, server);
  const room = await enter(socket, newChat(), { model: "m", dialect: "documented" });
  await ask(socket, "send_message", { room_id: room, message: "go" });
  const decided = await event(socket, `approval ${room}`);
  assert.deepEqual([decided.function_name, decided.decision, decided.by], ["pay", "deny", undefined]);
  const end = await event(socket, `stream_end ${room}`);
  assert.equal(end.state, "completed");
  const [order, inside, outside, paid] = model.asked[1].filter((m) => m.role === "tool").map((m) => m.content);
  assert.equal(order, "paid");
  assert.match(inside, /not fetched: the address of the host is private/);
  assert.match(outside, /"example.com" may not be read here/);
  assert.match(paid, /has not run: nobody has decided about it within 1s/);
  assert.deepEqual(pay.ran.map((r) => r.args), [{ sum: 3 }]);
  assert.match(model.asked[0][0].content, /How to use the tools:\n\npay: Ask for the sum first\./);
});

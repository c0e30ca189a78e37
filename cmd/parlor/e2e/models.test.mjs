// Which models people can pick, and a model that has fewer slots than people have rooms.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { withBody } from "./lib/body.mjs";
import { browser, noBrowser } from "./lib/browser.mjs";
import { connected, on, say } from "./lib/page.mjs";
import { ask, connect, enter, event, newChat, serve, until } from "./lib/parlor.mjs";

/** A server that speaks OpenAI's API, lists names, and answers with the model's name, slots prompts at once. */
async function provider(t, { names, slots = Infinity, takes = 0 }) {
  const asked = { lists: 0, refused: 0 };
  let taken = 0;
  const server = createServer(withBody(async (request, response, body) => {
    if (request.url === "/v1/models") {
      asked.lists++;
      return response.end(JSON.stringify({ object: "list", data: names.map((id) => ({ id, object: "model" })) }));
    }
    const { model } = JSON.parse(body);
    if (taken >= slots) {
      asked.refused++;
      return response.writeHead(429).end(JSON.stringify({ error: { message: "all slots are taken" } }));
    }
    taken++;
    setTimeout(() => {
      response.setHeader("content-type", "text/event-stream");
      const choice = { index: 0, delta: { content: model }, finish_reason: "stop" };
      response.end(`data: ${JSON.stringify({ choices: [choice] })}\n\ndata: [DONE]\n\n`);
      taken--;
    }, takes);
  }));
  await once(server.listen(0, "127.0.0.1"), "listening");
  t.after(() => { server.closeAllConnections(); server.close(); });
  return { asked, url: `http://127.0.0.1:${server.address().port}/v1` };
}

const list = async (server) => (await (await fetch(`${server.url}/api/v1/model`)).json()).models.map((m) => m.model_id);

test("a key alone fills the list; what is configured comes first, and any other model can be typed", async (t) => {
  const { url, asked } = await provider(t, { names: ["big", "text-embedding-3", "small"] });
  const env = { OPENAI_API_KEY: "sk-a-key-of-mine", OPENAI_BASE_URL: url };
  const server = await serve(t, { env });
  assert.deepEqual(await until(() => list(server), (ids) => ids.length > 1), ["openai:big", "openai:small", "eliza"]);
  await until(() => server.log, (log) => log.some((l) => /provider=openai key=found reachable=yes models=2/.test(l)));
  assert.ok(server.log.some((l) => /provider=groq key="GROQ_API_KEY is not set"/.test(l)));
  const alice = await connect(t, server);
  const room = await enter(alice, newChat(), { model: "openai:text-embedding-3" });
  await ask(alice, "send_message", { room_id: room, message: "hello" });
  await event(alice, `stream_chunk ${room}`, (c) => c.content === "text-embedding-3");
  assert.equal(asked.lists, 1, "whoever lists models has no other computer asked");

  const models = JSON.stringify([{ model_id: "best", provider: "openai", upstream_model: "big" }, { model_id: "eliza" }]);
  const ordered = await serve(t, { env, args: ["--models", models] });
  assert.deepEqual(await until(() => list(ordered), (ids) => ids.length > 2), ["best", "eliza", "openai:small"]);

  const only = await serve(t, { env, args: ["--models", models, "--models-only"] });
  await until(() => only.log, (log) => log.some((l) => /provider=openai/.test(l)));
  assert.deepEqual(await list(only), ["best", "eliza"]);
  const headers = { "content-type": "application/json" };
  const made = await fetch(`${only.url}/api/v1/chat`, { method: "POST", headers, body: JSON.stringify({ model_id: "openai:big" }) });
  assert.equal(made.status, 404);
});

test("twelve rooms get their answers from a model with eight slots", async (t) => {
  const { url, asked } = await provider(t, { names: ["m"], slots: 8, takes: 1000 });
  const server = await serve(t, { env: { OPENAI_BASE_URL: url }, args: ["--breaker-failures", "2"] });
  const alice = await connect(t, server);
  const rooms = await Promise.all(Array.from({ length: 12 }, () => enter(alice, newChat(), { model: "openai:m" })));
  for (const room of rooms) await ask(alice, "send_message", { room_id: room, message: "hello" });
  for (const room of rooms) {
    const end = await event(alice, `stream_end ${room}`);
    assert.equal(end.state, "completed", JSON.stringify(end));
  }
  assert.ok(asked.refused >= 1, "nobody had to wait");
  const { models } = await (await fetch(`${server.url}/api/v1/model`)).json();
  assert.equal(models.find((m) => m.model_id === "openai:m").state, "closed");
});

test("on the page a new chat takes the first model; another is picked, or typed", { skip: noBrowser }, async (t) => {
  const { url } = await provider(t, { names: ["big", "small"] });
  const server = await serve(t, { env: { OPENAI_BASE_URL: url } });
  await until(() => list(server), (ids) => ids.length > 1);
  const page = await (await browser(t)).newPage();
  await page.goto(server.url);
  await connected(page);
  const answers = async (text, model) => {
    await say(page, text);
    await page.locator(`${on.answers} .text`, { hasText: model }).last().waitFor();
  };
  await until(() => page.inputValue(on.model), (model) => model === "openai:big");
  await answers("first", "big");
  await page.selectOption(on.model, "openai:small");
  await answers("second", "small");
  const type = async (text) => {
    await page.selectOption(on.model, { label: "Another model…" });
    await page.keyboard.type(text);
    await page.keyboard.press("Enter");
  };
  await type(" openai:typed ");
  await until(() => page.inputValue(on.model), (model) => model === "openai:typed");
  await answers("third", "typed");
  await type("");
  assert.equal(await page.inputValue(on.model), "openai:typed", "nothing was typed");
});

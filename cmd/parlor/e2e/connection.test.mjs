// The words of the page for its connection, and for an answer that the end of the server has cut.
import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, noBrowser } from "./lib/browser.mjs";
import { modelServer } from "./lib/model.mjs";
import { address, connected, on, picture, say, shows, tab } from "./lib/page.mjs";
import { connect, enter, folder, newChat, serve, until } from "./lib/parlor.mjs";
import { longOnly } from "./lib/random.mjs";

const line = '[data-testid="connection"]';
const alert = '[data-testid="connection-alert"]';

/** A server whose model answers with what next returns, and a page that is in a chat there. */
async function world(t, next) {
  const model = await modelServer(t, new Proxy({}, { get: next }));
  const dir = folder();
  const start = (listen) => serve(t, { dir, listen, env: { OPENAI_BASE_URL: model.url } });
  const server = await start();
  const chat = newChat();
  await enter(await connect(t, server), chat, { model: "openai:m" });
  const page = await tab(t, await browser(t), address(server, chat), { user: "alice" });
  return { server, page, start: () => start(new URL(server.url).host) };
}

test("an answer that kill -9 has cut says that it began again, and keeps what it had said", { skip: noBrowser }, async (t) => {
  const attempts = [[{ content: "These are the first words of a long answer." }], [{ content: "Once more:" }]]; // neither ends by itself
  const { server, page, start } = await world(t, () => attempts.shift() ?? [{ content: "yes" }, "stop"]);
  await say(page, "write");
  await shows(page, "These are the first words");
  await server.kill();
  await page.locator(`${line}[data-phase="reconnecting"]`, { hasText: /Reconnecting, \d+ s · what you write waits here/ }).waitFor();
  await say(page, "one that waits");
  await say(page, "one that is taken back");
  await page.locator(line, { hasText: "2 messages wait" }).waitFor();
  await page.locator(alert, { hasText: "The connection is lost" }).waitFor();
  await picture(page, "reconnecting");
  const held = page.locator('[data-state="held"]', { hasText: "taken back" });
  await held.locator('[data-action="take"]').click();
  await held.waitFor({ state: "hidden" });

  await start();
  await page.locator(line, { hasText: /Connected · caught up on \d+ missed event/ }).waitFor();
  await shows(page, "Once more:");
  const again = page.locator('[data-testid="again"]');
  assert.match(await again.textContent(), /^The server restarted at .+; this answer began again\.$/);
  const earlier = page.getByText("These are the first words");
  assert.equal(await earlier.isVisible(), false);
  await page.getByText("What it had said before").click();
  await earlier.waitFor();
  await picture(page, "began again");

  await page.locator(on.stop).click();
  await page.locator(on.answer("stopped"), { hasText: "Once more:" }).waitFor();
  assert.equal(await earlier.isVisible(), true, "it stays, since less was said again");
  await shows(page, "yes");
  assert.deepEqual(await page.locator('[data-role="user"] .text').allTextContents(), ["write", "one that waits"]);
});

test("a page that the server has another one of by now says so", { skip: noBrowser || longOnly.skip }, async (t) => {
  const { server, page, start } = await world(t, () => [{ content: "yes" }, "stop"]);
  await page.route(`${server.url}/`, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: (await response.text()).replace(/(src="[^"]*\/)[^"/]+(\.js")/, "$1another$2") });
  });
  await server.kill();
  await page.locator(on.notConnected).waitFor();
  await start();
  await page.locator(line, { hasText: "A newer page is here" }).waitFor({ timeout: 20_000 });
  await picture(page, "newer");
  await page.fill(on.field, "half a thought");
  await page.locator('[data-testid="reload"]').click();
  await connected(page);
  await until(() => page.inputValue(on.field), (text) => text === "half a thought");
});

test("who is offline in the middle of an answer finds all of it afterwards", { skip: noBrowser || longOnly.skip }, async (t) => {
  const rest = Array.from({ length: 60 }, (_, i) => [{ content: `word${i} ` }, 100]).flat();
  const { page } = await world(t, () => [{ content: "It begins. " }, ...rest, "stop"]);
  await say(page, "write");
  await shows(page, "It begins.");
  await page.context().setOffline(true);
  await page.locator(`${line}[data-phase="offline"]`).waitFor();
  await say(page, "one that waits");
  await page.locator(line, { hasText: "Offline · 1 message waits" }).waitFor();
  await picture(page, "offline");
  await page.context().setOffline(false);
  await page.locator(line, { hasText: "caught up on" }).waitFor();
  await page.locator(on.answer("completed"), { hasText: "word59" }).first().waitFor();
  const text = await page.locator(on.answers).first().locator(".text").textContent();
  assert.equal(text.trim(), `It begins. ${Array.from({ length: 60 }, (_, i) => `word${i}`).join(" ")}`);
});

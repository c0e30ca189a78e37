// Messages in Markdown on the page: how they grow, and that nothing of them runs or leaves.
import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, noBrowser } from "./lib/browser.mjs";
import { modelServer } from "./lib/model.mjs";
import { address, connected, on, say } from "./lib/page.mjs";
import { ask, connect, enter, events, newChat, serve, until } from "./lib/parlor.mjs";
import { guard, quiet, texts, watch, watched } from "./lib/watch.mjs";

const { badAddresses, hostile, samples } = await texts();

/** The text as a model says it: a few letters at a time. */
const streamed = (text, letters = 4, pause = 2) => [...text.match(new RegExp(`[^]{1,${letters}}`, "g")).flatMap((content) => [{ content }, pause]), "stop"];

/** A server whose model gives those answers, and a page that is in a chat there. */
async function world(t, answers, { chat = newChat() } = {}) {
  const model = await modelServer(t, answers);
  const server = await serve(t, { env: { OPENAI_BASE_URL: model.url } });
  const alice = await connect(t, server);
  const room = await enter(alice, chat, { model: "openai:m" });
  const page = await (await (await browser(t)).newContext({ viewport: { width: 1000, height: 800 } })).newPage();
  const seen = await guard(page, server);
  await page.goto(address(server, encodeURIComponent(chat)));
  await connected(page);
  return { server, alice, room, chat, page, seen };
}

test("an answer in Markdown grows without a jump, keeps what is selected, and has code to copy", { skip: noBrowser }, async (t) => {
  const code = "let answer = 42; // " + "and so on ".repeat(20);
  const text = [samples["an answer"], samples["right to left"], samples["a table below text"], samples["formulas in blocks"], "```js\n" + code + "\n```"].join("\n\n");
  const { page, seen } = await world(t, { write: streamed(text) });
  await say(page, "write");
  const markdown = `${on.answers} .markdown`;
  const first = page.locator(`${markdown} > p`, { hasText: "Here is what I found" });
  await first.waitFor();
  await watch(page, markdown);
  await first.evaluate((p) => { getSelection().selectAllChildren(p); window.kept = p; });
  await page.locator(on.answer("completed")).waitFor();
  await page.locator(`${markdown} math`).first().waitFor();
  await until(() => page.evaluate(() => [...CSS.highlights.values()].reduce((n, h) => n + h.size, 0)), (n) => n > 5);

  const { shrinks, removed } = await watched(page);
  assert.deepEqual(shrinks, []);
  assert.ok(removed < text.length / 10, `${removed} nodes were taken out while ${text.length} letters came`);
  assert.equal(await page.evaluate(() => window.kept.isConnected && getSelection().toString()), "Here is what I found, in three parts:");
  const links = await page.locator(`${markdown} a[href]`).evaluateAll((all) => all.map((a) => [a.getAttribute("href"), a.rel]));
  assert.ok(links.some(([href]) => href === "https://d.example"), "a link that is defined at the end");
  for (const [, rel] of links) assert.match(rel, /noopener/);
  const direction = (text) => page.locator(`${markdown} > p`, { hasText: text }).evaluate((p) => getComputedStyle(p).direction);
  assert.deepEqual([await direction("Here is what"), await direction("שלום")], ["ltr", "rtl"]);

  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  const figure = page.locator(`${markdown} figure`).last();
  await figure.getByRole("button", { name: "Copy" }).click();
  await until(() => page.evaluate(() => navigator.clipboard.readText()), (copied) => copied === code);
  const scrolls = () => figure.locator("pre").evaluate((p) => p.scrollWidth > p.clientWidth);
  assert.equal(await scrolls(), true);
  await figure.getByRole("button", { name: "Wrap" }).click();
  assert.equal(await scrolls(), false);
  const [download] = await Promise.all([page.waitForEvent("download"), figure.getByRole("button", { name: "Download" }).click()]);
  assert.equal(download.suggestedFilename(), "code.js");
  assert.deepEqual(seen, quiet);
});

test("nothing of a hostile message runs, and no request leaves", { skip: noBrowser }, async (t) => {
  const names = Object.keys(hostile);
  const svg = hostile["svg as code"];
  const chat = `${newChat()}<img/src=x/onerror=alert(1)>`;
  const { server, alice, room, page, seen } = await world(t, Object.fromEntries(names.map((name) => [name, [{ content: hostile[name] }, "stop"]])), { chat });
  const mallory = await connect(t, server, { auth: { user_id: "<svg onload=alert(1)>", name: "\u202e<script>alert(1)</script>" } });
  await enter(mallory, chat);
  await ask(alice, `configure ${room}`, { title: svg.slice(0, 100) });
  for (const name of names) {
    const ends = events(alice, `stream_end ${room}`).length;
    await ask(mallory, "send_message", { room_id: room, message: name });
    await until(() => events(alice, `stream_end ${room}`).length, (n) => n > ends);
  }
  for (const text of [svg, badAddresses.map((a) => `[x](${a}) ![x](${a}) <${a}>`).join("\n")]) await say(page, text);
  await until(() => page.locator(on.answer("completed")).count(), (n) => n > 0);
  for (let at = 0; at < 1; at += 0.1) { // of the list, only what is seen is in the document
    const made = await page.locator(on.talk).evaluate((talk, at) => {
      talk.scrollTop = at * talk.scrollHeight;
      const bad = talk.querySelectorAll("script, img, iframe, object, embed, style, link, form, base, meta, [onload], [onerror], [onclick], [srcdoc], [style*=url]");
      const links = [...talk.querySelectorAll(".markdown a[href]")].map((a) => a.getAttribute("href"));
      return [...[...bad].map((e) => e.outerHTML), ...links.filter((href) => !/^(https?:\/\/[^@]*$|mailto:|#)/i.test(href))];
    }, at);
    assert.deepEqual(made, []);
    await page.waitForTimeout(30);
  }
  assert.deepEqual(seen, quiet);
});

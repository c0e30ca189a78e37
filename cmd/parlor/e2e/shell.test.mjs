// The page around the talk: the first minute without a model, the language, files of chats, budgets, and a start without the server.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { browser, noBrowser } from "./lib/browser.mjs";
import { longChat } from "./lib/longchat.mjs";
import { address, chatOf, connected, on, picture, say, shows, tab, visit } from "./lib/page.mjs";
import { command, connect, enter, folder, newChat, serve, until } from "./lib/parlor.mjs";
import { long, longOnly } from "./lib/random.mjs";

const by = (name) => `[data-testid="${name}"]`;

test("somebody who starts without a key is told what answers, and reads it in the language of the browser", { skip: noBrowser }, async (t) => {
  const server = await serve(t, { args: ["--discover=false"] });
  const b = await browser(t);
  const page = await tab(t, b, server.url, { locale: "de-AT" });
  await page.locator(by("first-run"), { hasText: "Noch ist kein Modell eingerichtet" }).waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.lang), "de");
  await picture(page, "first run, German");
  await page.goto(`${server.url}/settings/profile`);
  await page.getByRole("radio", { name: "English" }).check();
  await page.getByRole("heading", { name: "Settings" }).waitFor(); // without a reload
  assert.equal(await page.evaluate(() => document.documentElement.lang), "en");
  assert.equal(await page.evaluate(() => document.activeElement.value), "en", "the focus stays where it was");
  if (!long) return;
  await page.reload();
  await page.getByRole("heading", { name: "Settings" }).waitFor();
});

/** Notes what moves in a page without having been touched, as browsers measure it: the sum of the shifts of its layout. */
async function watchShifts(page) {
  await page.addInitScript(() => {
    window.shifts = [];
    const noted = ({ value, sources }) => ({ value, what: sources.map(({ node, previousRect: a, currentRect: b }) => `${node?.nodeName} ${node?.className} ${a.x},${a.y} to ${b.x},${b.y}`) });
    new PerformanceObserver((list) => window.shifts.push(...list.getEntries().map(noted))).observe({ type: "layout-shift", buffered: true });
  });
  return async (name) => {
    const shifts = await page.evaluate(() => window.shifts.splice(0));
    assert.ok(shifts.reduce((sum, { value }) => sum + value, 0) < 0.02, `${name}: ${JSON.stringify(shifts)}`);
  };
}

test("nothing moves while the page, a list of chats or a chat opens", { skip: noBrowser || longOnly.skip }, async (t) => {
  const server = await serve(t, { dir: await longChat(40) });
  const alice = await connect(t, server, { user: "alice" });
  for (let n = 0; n < 5; n++) await enter(alice, newChat());
  await enter(await connect(t, server, { user: "bob" }), "abc"); // so that people are beside the talk
  const b = await browser(t);
  for (const viewport of [{ width: 1280, height: 800 }, { width: 900, height: 700 }, { width: 390, height: 844 }]) {
    const page = await visit(t, b, `${server.url}/healthz`, { user: "alice", viewport });
    const still = await watchShifts(page);
    const isWide = viewport.width >= 840;
    const listed = async () => { if (isWide) await page.locator("nav [data-chat]").nth(5).waitFor(); };
    await page.goto(server.url);
    await connected(page);
    await listed();
    await page.waitForTimeout(300); // so that what would still move does
    await still(`the start, ${viewport.width} wide`);
    await page.goto(address(server, "abc"));
    await shows(page, "question 39");
    await listed();
    await page.waitForTimeout(300);
    await still(`a chat, ${viewport.width} wide`);
    if (!isWide) continue;
    await page.evaluate(() => { // a click would excuse what moves after it
      for (const a of document.querySelectorAll("nav [data-chat] a")) if (!a.ariaCurrent) return a.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
    });
    await page.locator('[data-testid="empty"]').waitFor();
    await page.waitForTimeout(300);
    await still(`another chat, ${viewport.width} wide`);
  }
});

test("arrow keys that come before a menu has the focus are counted", { skip: noBrowser || longOnly.skip }, async (t) => {
  const server = await serve(t);
  await enter(await connect(t, server, { user: "alice" }), newChat());
  const page = await tab(t, await browser(t), server.url, { user: "alice" });
  const button = page.locator("nav [data-chat] .menu-button");
  await button.waitFor({ state: "attached" });
  const pressed = (...keys) => button.evaluate((element, keys) => {
    element.focus();
    for (const key of keys) document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  }, keys);
  const item = (n) => page.locator('[role="menuitem"]').nth(n).and(page.locator(":focus")).waitFor();
  await pressed("ArrowDown", "ArrowDown");
  await item(1);
  await page.keyboard.press("Escape");
  await pressed("ArrowUp");
  await item(-1);
});

/** A server with passwords, and somebody who has signed in at a page of it. */
async function signedIn(t, { args = [], config } = {}) {
  const dir = folder();
  if (config) writeFileSync(join(dir, "parlor.yaml"), config);
  const server = await serve(t, { dir, args: ["--passwords", "on", ...args] });
  const b = await browser(t);
  const { stdout } = await command(["user", "add", "ann", "--name", "Ann", "--data", "parlor.db"], { dir });
  const page = await visit(t, b, server.url, { acceptDownloads: true });
  await page.fill(on.user, "ann");
  await page.fill(on.password, stdout.trim());
  await page.press(on.password, "Enter");
  await connected(page);
  return { server, page, b };
}

test("a chat is saved as a file and comes back as another, and a broken or hostile file does not", { skip: noBrowser || longOnly.skip }, async (t) => {
  const { server, page } = await signedIn(t);
  await say(page, "Say it \u202eright to left");
  await page.locator(on.answer("completed")).waitFor();
  const row = page.locator("nav [data-chat]").first();
  await row.hover();
  await row.getByRole("button", { name: /What to do/ }).click();
  const download = page.waitForEvent("download");
  await page.getByRole("menuitem", { name: "Save as JSON" }).click();
  const file = await (await download).path();
  const saved = JSON.parse(readFileSync(file, "utf8"));
  assert.deepEqual(saved.messages.map((m) => m.role), ["user", "assistant"]);

  await page.goto(`${server.url}/settings/data`);
  const bring = (content) => page.locator(by("import-file")).setInputFiles({ name: "chat.json", mimeType: "application/json", buffer: Buffer.from(content) });
  const refused = async (content, why) => {
    await bring(content);
    await page.getByRole("alert").filter({ hasText: why }).waitFor();
    assert.equal(await page.locator(by("imported")).count(), 0);
  };
  await refused("{", "is not a JSON file");
  await refused("[]", "not JSON of one chat");
  await refused('{"parlor_chat":2}', "parlor_chat is not 1");
  await refused(JSON.stringify({ ...saved, messages: [{ role: "system", content: "obey" }] }), "role must be user or assistant");
  await refused(JSON.stringify({ ...saved, messages: [{ role: "user", content: "x".repeat(70_000) }] }), "at most 65536");
  await refused(JSON.stringify({ ...saved, title: "y".repeat(17 << 20) }), "too large");
  await bring(JSON.stringify({ ...saved, title: "<img src=x onerror=alert(1)>\u202egnp", messages: [...saved.messages, { role: "user", author: "bo", author_name: "Bo", content: "I never said that" }] }));
  await page.locator(by("imported")).click();
  await shows(page, "I never said that");
  assert.equal(await page.locator("main img").count(), 0);
  assert.match(await page.locator('[data-role="user"]', { hasText: "I never said that" }).innerText(), /Bo/);
  await say(page, "and on it goes");
  const roles = () => page.evaluate(async (id) => (await (await fetch(`/api/v1/chat/${id}/messages`)).json()).map((m) => m.role), chatOf(page));
  await until(roles, (all) => all.length === 5 && all[4] === "assistant");
});

test("a member reads what is left of a budget, of a chat too, and what answers have cost", { skip: noBrowser || longOnly.skip }, async (t) => {
  const config = "currency: EUR\nbudgets:\n  - { user: \"*\", period: day, tokens: 5000 }\n  - { chat: \"*\", period: total, tokens: 4000 }\n";
  const { server, page } = await signedIn(t, { config });
  await say(page, "hello");
  await page.locator(on.answer("completed")).waitFor();
  await page.goto(`${server.url}/settings/usage`);
  await page.locator(`${by("budgets")} li`, { hasText: "Yours" }).waitFor();
  assert.equal(await page.locator(`${by("budgets")} li`).count(), 1);
  await page.locator(by("usage-chat")).selectOption({ index: 1 });
  await page.locator(`${by("budgets")} li`, { hasText: "This chat" }).waitFor();
  await picture(page, "usage");
});

test("the page starts without the server, and comes back by itself", { skip: noBrowser || longOnly.skip }, async (t) => {
  const server = await serve(t);
  const page = await tab(t, await browser(t), server.url);
  await say(page, "hello");
  await page.locator(on.answer("completed")).waitFor();
  const manifest = await page.evaluate(async () => (await fetch(document.querySelector('link[rel="manifest"]').href)).json());
  for (const { src } of manifest.icons) assert.equal(await page.evaluate(async (src) => (await fetch(src)).status, src), 200, src);
  await page.evaluate(async () => { await navigator.serviceWorker.ready; });
  const kept = () => page.evaluate(async () => (await (await caches.open("parlor page")).keys()).length);
  await until(kept, (n) => n > 2);
  const { port } = new URL(server.url);
  await server.kill();
  await page.reload();
  await page.getByText("The server cannot be reached").waitFor();
  await picture(page, "offline start");
  await serve(t, { dir: server.dir, listen: `127.0.0.1:${port}` });
  await page.locator(on.answer("completed")).waitFor();
});

// The talk in a real browser: what scrolls and what stays, versions, and edits.
import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, noBrowser } from "./lib/browser.mjs";
import { address, on, picture, say, shows, tab } from "./lib/page.mjs";
import { ask, connect, enter, event, events, newChat, serve, until } from "./lib/parlor.mjs";
import { longChat } from "./lib/longchat.mjs";
import { modelServer } from "./lib/model.mjs";
import { long, longOnly } from "./lib/random.mjs";

const open = (t, b, url, { user, ...viewport }) => tab(t, b, url, { user, viewport: { width: 1000, height: 700, ...viewport } });

/** How the talk is scrolled. */
const place = (page) => page.locator(on.talk).evaluate((e) => ({ top: e.scrollTop, left: e.scrollHeight - e.scrollTop - e.clientHeight, following: e.dataset.following }));
/** Where a text is, below the upper edge of the talk. */
const topOf = (page, text) => page.locator(on.texts, { hasText: text }).first().evaluate((e, talk) => e.getBoundingClientRect().top - document.querySelector(talk).getBoundingClientRect().top, on.talk);

/** Where a text was, in each frame until nothing is answered; runs in the page. */
async function watchMoves([talk, text]) {
  const tops = new Set();
  do {
    const item = [...document.querySelectorAll(`${talk} [data-role] .text`)].find((e) => e.textContent.includes(text));
    tops.add(item.getBoundingClientRect().top - document.querySelector(talk).getBoundingClientRect().top);
    await new Promise(requestAnimationFrame);
  } while (document.querySelector('[data-testid="stop"]'));
  return [...tops];
}

test("a question goes to the top, its answer grows below it, and who reads above is left alone", { skip: noBrowser }, async (t) => {
  const server = await serve(t, { dir: await longChat(40), args: ["--eliza-word-delay", "100ms"] });
  const page = await open(t, await browser(t), address(server, "abc"), { user: "alice" });
  await shows(page, "question 39");
  await until(() => place(page), (p) => p.left <= 1);

  await say(page, "I am curious about you");
  await page.locator(on.answer("running")).waitFor();
  const before = await until(() => topOf(page, "I am curious about you"), (top) => top > 0 && top < 80);
  const moves = page.evaluate(watchMoves, [on.talk, "I am curious about you"]);
  await page.locator(on.stop).waitFor({ state: "hidden" });
  const tops = [before, ...(await moves)];
  assert.ok(Math.max(...tops) - Math.min(...tops) < 1, `it has moved: ${tops}`);

  await page.mouse.move(500, 300);
  await page.mouse.wheel(0, -600);
  await until(() => place(page), (p) => p.following === "false");
  await page.waitForTimeout(300);
  const { top } = await place(page);
  const bob = await connect(t, server, { user: "bob" });
  const room = await enter(bob, "abc", { dialect: "documented" });
  await ask(bob, "send_message", { room_id: room, message: "And I am Bob" });
  await event(bob, `stream_end ${room}`);
  await page.locator('[data-testid="latest"]', { hasText: "2 new" }).waitFor();
  assert.equal((await place(page)).top, top, "nothing moves under a reader");
  await picture(page, "new ones");
  await page.locator('[data-testid="latest"]').click();
  await page.locator('[data-testid="new-since"]').waitFor();
  await until(() => place(page), (p) => p.left <= 1 && p.following === "true");
  await picture(page, "new since");
});

test("an answer that comes in large pieces stays in sight, and one can press what is in it while it grows", { skip: noBrowser }, async (t) => {
  const paragraphs = (n) => Array.from({ length: n }, (_, i) => `paragraph ${i}`).join("\n\n");
  const grows = Array.from({ length: 200 }, () => [{ content: "\n\nand more" }, 20]).flat();
  const model = await modelServer(t, { "all at once": [{ content: `${paragraphs(300)}\n\nthe last of it` }, 300, ...grows] }); // without an end
  const server = await serve(t, { env: { OPENAI_BASE_URL: model.url } });
  const b = await browser(t);
  for (const chat of long ? ["one", "two", "three"] : ["one"]) {
    await enter(await connect(t, server), chat, { model: "openai:m" });
    const page = await open(t, b, address(server, chat), { user: "bob" });
    await say(page, "all at once");
    await page.locator(on.answer("running"), { hasText: "the last of it" }).waitFor();
    await until(() => place(page), ({ top, left }) => top > 5000 && left <= 1);
    const pointer = await page.evaluate(async (answers) => {
      const seen = new Set();
      for (let frame = 0; frame < 30; frame++) {
        seen.add(getComputedStyle(document.querySelector(`${answers} .markdown > :last-child`) ?? document.body).pointerEvents);
        await new Promise(requestAnimationFrame);
      }
      return [...seen];
    }, on.answers);
    assert.deepEqual(pointer, ["auto"]);
    await page.context().close();
  }
});

test("older messages come above without a jump, up to the first", { skip: noBrowser || longOnly.skip }, async (t) => {
  const server = await serve(t, { dir: await longChat(120) });
  const page = await open(t, await browser(t), address(server, "abc"), { user: "alice" });
  await shows(page, "question 119");
  await until(() => place(page), (p) => p.left <= 1);
  await page.mouse.move(500, 300);
  // The messages in sight move as far as the wheel does, whether something was loaded or not.
  const seen = () => page.evaluate((talk) => {
    const box = document.querySelector(talk).getBoundingClientRect();
    const all = [...document.querySelectorAll(`${talk} [data-key]`)].map((e) => [e.dataset.key, e.getBoundingClientRect().top - box.top]);
    return Object.fromEntries(all.filter(([, top]) => top > 0 && top < box.height));
  }, on.talk);
  const jumps = [];
  const step = 400;
  for (let i = 0; i < 150 && !(await page.locator(on.texts, { hasText: /^question 0$/ }).count()); i++) {
    const before = await seen();
    const { top } = await place(page);
    await page.mouse.wheel(0, -step);
    await page.waitForTimeout(60);
    const after = await seen();
    const moved = Object.keys(before).filter((key) => key in after).map((key) => Math.round(after[key] - before[key]));
    if (moved.some((px) => Math.abs(px - step) > 1) && top > step) jumps.push({ i, top, moved });
  }
  await page.locator(on.texts, { hasText: /^question 0$/ }).waitFor();
  assert.deepEqual(jumps, []);
});

test("versions are compared side by side, and an edit says what it takes out", { skip: noBrowser }, async (t) => {
  const server = await serve(t);
  const chat = newChat();
  const alice = await connect(t, server, { user: "alice" });
  const bob = await connect(t, server, { user: "bob" });
  const room = await enter(alice, chat, { dialect: "documented" });
  await enter(bob, chat, { dialect: "documented" });
  const send = async (socket, text) => {
    const ends = events(alice, `stream_end ${room}`).length;
    await ask(socket, "send_message", { room_id: room, message: text });
    await until(() => events(alice, `stream_end ${room}`).length, (n) => n > ends);
  };
  await send(alice, "I am curious about you");
  await send(bob, "My father never listens to me");
  const page = await open(t, await browser(t), address(server, chat), { user: "alice", width: 1280 });
  await shows(page, "My father");

  const answer = page.locator(on.answers).last();
  await answer.locator('[data-action="again"]').click();
  await answer.locator(".version", { hasText: "2 / 2" }).waitFor();
  await until(() => page.locator(on.answers).count(), (n) => n === 2); // it takes the place of the other version
  await answer.locator('[data-action="compare"]').click();
  const versions = page.locator('[data-testid="compare"] [data-version]');
  await until(() => versions.count(), (n) => n === 2);
  await versions.first().locator(".markdown").waitFor();
  await picture(page, "compare");
  await versions.first().locator('[data-action="use"]').click();
  await answer.locator(".version", { hasText: "1 / 2" }).waitFor();

  await page.locator('[data-role="user"]', { hasText: "curious" }).locator('[data-action="edit"]').click();
  await page.locator('[data-testid="takes-out"]', { hasText: "Takes out 1 message by bob and 2 answers" }).waitFor();
  await picture(page, "edit");
  await page.locator(`${on.talk} textarea`).fill("I am glad to meet you");
  await page.locator(`${on.talk} textarea`).press("Enter");
  await shows(page, "glad to meet");
  await page.getByText("Earlier branch").click();
  await shows(page, "My father");
});

/** Which message has the focus. */
const focused = (page) => page.evaluate(() => document.activeElement?.closest("[data-key]") === document.activeElement ? document.activeElement.querySelector(".text")?.textContent : null);
/** Goes to the conversation by the key for that. */
async function toTalk(page) {
  for (let region = 0; region < 5 && (await focused(page)) === null; region++) await page.keyboard.press("F6");
}

test("keys alone reach every message, and do with it what its buttons do", { skip: noBrowser || longOnly.skip }, async (t) => {
  const server = await serve(t, { dir: await longChat(40) });
  const page = await open(t, await browser(t), address(server, "abc"), { user: "alice" });
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  const copied = () => page.evaluate(() => navigator.clipboard.readText());
  await shows(page, "question 39");
  await page.focus(on.field);
  await toTalk(page);
  const answer = await focused(page);
  await page.keyboard.press("ArrowUp");
  assert.equal(await focused(page), "question 39");
  await page.keyboard.press("c");
  await until(copied, (text) => text === "question 39");
  await page.keyboard.press("l");
  const link = await until(copied, (text) => /\/c\/abc#m\d+$/.test(text));
  await page.keyboard.press("q");
  await until(() => page.inputValue(on.field), (text) => text === "> question 39\n\n");
  await page.fill(on.field, "");
  await toTalk(page);
  await picture(page, "focus");

  if (await focused(page) === answer) await page.keyboard.press("ArrowUp");
  await page.keyboard.press("e");
  await page.locator(`${on.talk} textarea`).press("Escape");
  await until(() => focused(page), (text) => text === "question 39");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("r");
  const version = page.locator(".version").last();
  await version.getByText("2 / 2").waitFor();
  await page.locator(on.stop).waitFor({ state: "hidden" });
  await until(() => focused(page), (text) => text !== null);
  await page.keyboard.press("[");
  await version.getByText("1 / 2").waitFor();
  await until(() => focused(page), (text) => text === answer);

  await page.locator(on.texts, { hasText: "question 39" }).click();
  await page.keyboard.press("r"); // whoever has only clicked there means no command
  const twice = (key) => page.evaluate((key) => {
    for (let n = 0; n < 2; n++) document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  }, key);
  await twice("ArrowUp");
  await until(() => focused(page), (text) => text === "question 38");
  for (let n = 38; n >= 25; n--) {
    await page.keyboard.press("ArrowUp");
    await until(() => focused(page), (text) => text?.startsWith(`answer ${n - 1}.`));
    await page.keyboard.press("ArrowUp");
    await until(() => focused(page), (text) => text === `question ${n - 1}`);
  }
  assert.equal(await page.locator(on.texts, { hasText: "question 24" }).evaluate((e) => e.getBoundingClientRect().top > 0), true, "it is in sight");
  await page.keyboard.press("End");
  await until(() => place(page), (p) => p.left <= 1 && p.following === "true");
  assert.equal(await version.textContent(), "1 / 2");

  await page.goto(`${server.url}/settings/profile`);
  await page.goto(link);
  await until(() => focused(page), (text) => text === "question 39");
  assert.equal(await page.locator("[data-linked] .text").textContent(), "question 39");
  await picture(page, "linked");
  await page.goto(link.replace(/\d+$/, "99999"));
  await page.locator('[data-testid="missing"]').waitFor();
});

test("what one writes anew is not lost if the message is changed elsewhere, and a long message says its limit", { skip: noBrowser || longOnly.skip }, async (t) => {
  const server = await serve(t);
  const b = await browser(t);
  const one = await open(t, b, address(server, newChat()), { user: "alice" });
  await say(one, "first words");
  await one.locator(on.answer("completed")).waitFor();
  const two = await open(t, b, one.url(), { user: "alice" });
  await shows(two, "first words");
  const edit = async (page, text) => {
    await page.locator('[data-role="user"] [data-action="edit"]').click();
    await page.locator(`${on.talk} textarea`).fill(text);
  };
  await edit(one, "of the first tab");
  await edit(two, "of the second tab");
  await one.locator(`${on.talk} textarea`).press("Enter");
  await shows(one, "of the first tab");
  await shows(two, "of the first tab");
  await two.locator('[data-testid="missing"]', { hasText: "changed elsewhere" }).waitFor();
  assert.equal(await two.inputValue(on.field), "of the second tab");
  assert.equal(await one.inputValue(on.field), "", "who has saved it is asked nothing");
  assert.equal(await one.locator(`${on.talk} textarea`).count(), 0);

  await two.fill(on.field, "é".repeat(35 * 1024));
  await two.locator('[data-testid="too-long"]', { hasText: "70 KB; at most 64 KB" }).waitFor();
  await two.press(on.field, "Enter");
  assert.equal((await two.inputValue(on.field)).length, 35 * 1024, "it stays, to be made shorter");
  await two.getByRole("button", { name: "Attach it as a file" }).click();
  await two.locator('[data-testid="attached"]', { hasText: "pasted.txt" }).waitFor();
  assert.equal(await two.inputValue(on.field), "");
});

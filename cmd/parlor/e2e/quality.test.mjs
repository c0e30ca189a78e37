// Every view of the page as people meet it who need help with one: no serious finding of axe, in both
// themes, on a desktop and on a phone, nothing wider than the window, and nothing that moves for those who asked for stillness.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { browser, noBrowser } from "./lib/browser.mjs";
import { calls } from "./lib/model.mjs";
import { connected, on, shows } from "./lib/page.mjs";
import { ask, connect, enter, event, events, folder, newChat, serve, until } from "./lib/parlor.mjs";
import { long, longOnly } from "./lib/random.mjs";
import { world } from "./lib/tools.mjs";
import { guard, quiet, texts } from "./lib/watch.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const { samples } = await texts();

const devices = {
  desktop: { viewport: { width: 1280, height: 800 } },
  phone: { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true },
};

/** Returns the faults of a view: findings of axe, as rule and place, what moves where it must not, and what is wider than the window. */
async function findings(page) {
  await page.evaluate(axe);
  return page.evaluate(async () => {
    const { violations } = await window.axe.run({ resultTypes: ["violations"] });
    const grave = violations.filter((v) => v.impact === "serious" || v.impact === "critical");
    const all = grave.flatMap((v) => v.nodes.map((n) => `${v.id} at ${n.target.join(" ")}: ${n.any.concat(n.all, n.none).map((c) => c.message).join("; ")}`));
    const moves = (e) => [getComputedStyle(e).transitionDuration, getComputedStyle(e).animationDuration].some((d) => parseFloat(d) > 0);
    if (matchMedia("(prefers-reduced-motion)").matches) all.push(...[...document.querySelectorAll("*")].filter(moves).map((e) => `${e.className || e.localName} moves`));
    if (document.documentElement.scrollWidth > innerWidth) all.push(`the page is ${document.documentElement.scrollWidth} wide in a window of ${innerWidth}`);
    return all;
  });
}

/** Opens each view in both themes, on both devices or on those that it names, and looks for findings. */
async function look(t, server, views) {
  const b = await browser(t);
  const wrong = [];
  for (const [name, { path, open, on: only = Object.keys(devices) }] of Object.entries(views)) {
    for (const [device, colorScheme] of only.flatMap((d) => [[d, "light"], [d, "dark"]]).filter((_, i) => long || i === 0 || i === 3)) {
      const context = await b.newContext({ ...devices[device], colorScheme, reducedMotion: colorScheme === "dark" ? "reduce" : "no-preference" });
      const page = await context.newPage();
      await page.addInitScript(() => sessionStorage.setItem("parlor name", "alice"));
      const seen = await guard(page, server);
      await page.goto(`${server.url}${path}`);
      await open(page);
      wrong.push(...(await findings(page)).map((f) => `${name}, ${device}, ${colorScheme}: ${f}`));
      if (process.env.PICTURES) await page.screenshot({ path: `${process.env.PICTURES}/${name}-${device}-${colorScheme}.png` });
      assert.deepEqual(seen, quiet, name);
      await context.close();
    }
  }
  assert.deepEqual(wrong, []);
}

/** A chat with all that an answer can be, and a call that waits for approval, with a message behind it. */
async function fullChat(t) {
  const answers = {
    write: [{ reasoning_content: "What do they need? " }, { content: samples["an answer"] }, "stop"],
    cut: [{ content: "Once upon a" }, "length"],
    lost: [{ content: "Half an" }, 10, false],
    go: [{ content: "I look." }, ...calls(["pay", { sum: 1 }])],
  };
  const { start } = await world(t, { approval: "ask", answers, args: ["--retries", "0", "--breaker-failures", "0"] });
  const server = await start();
  const alice = await connect(t, server);
  const chat = newChat();
  const room = await enter(alice, chat, { model: "m", dialect: "documented" });
  const answered = async (name, body) => {
    const ends = events(alice, `stream_end ${room}`).length;
    await ask(alice, name, { room_id: room, ...body });
    await until(() => events(alice, `stream_end ${room}`).length, (n) => n > ends);
  };
  for (const message of ["cut", "lost", "write"]) await answered("send_message", { message });
  const { message_id } = events(alice, `stream_end ${room}`).at(-1);
  await answered("regenerate", { message_id });
  await ask(alice, "send_message", { room_id: room, message: "go" });
  await event(alice, `function_call ${room}`);
  await ask(alice, "send_message", { room_id: room, message: "and then?" });
  return { server, path: `/c/${chat}` };
}

const toTop = (page) => page.locator(on.talk).evaluate((talk) => { talk.scrollTop = 0; });
/** Opens the view of two versions. While the list finds its heights, a row may be made anew under a click. */
async function compare(page) {
  const view = page.locator('[data-testid="compare"]');
  await until(async () => {
    if (!(await view.isVisible())) await page.locator("[data-action=compare]").click();
    return view.isVisible();
  }, Boolean);
}

const button = (name) => (page) => page.getByRole("button", { name, exact: true }).first().click();

test("a chat has no serious finding of axe", { skip: noBrowser }, async (t) => {
  const { server, path } = await fullChat(t);
  const chat = async (page) => {
    await connected(page);
    await page.locator(on.waiting).first().waitFor();
    await page.locator("[data-call][data-state=waiting]").waitFor();
  };
  const views = { chat: { path, open: chat } };
  if (long) {
    Object.assign(views, {
      start: { path, open: async (page) => { await chat(page); await toTop(page); await shows(page, "Once upon a"); } },
      people: { path, open: async (page) => { await chat(page); await button("People")(page); await page.locator('[data-testid="people"]').waitFor(); } },
      chats: { path, on: ["phone"], open: async (page) => { await chat(page); await button("Open the list of chats")(page); await page.locator("dialog").waitFor(); } },
      versions: { path, open: async (page) => { await chat(page); await compare(page); } },
      search: { path, open: async (page) => { await chat(page); await page.keyboard.press("Control+k"); await page.locator("dialog[open]").waitFor(); } },
      keys: { path, on: ["desktop"], open: async (page) => { await chat(page); await page.locator(on.talk).press("?"); await page.locator('[data-testid="keys"]').waitFor(); } },
      long: { path, open: async (page) => { await chat(page); await page.fill(on.field, "é".repeat(40_000)); await page.locator('[data-testid="too-long"]').waitFor(); } },
      missing: { path: `${path}#m99999`, open: async (page) => { await chat(page); await page.locator('[data-testid="missing"]').waitFor(); } },
      edit: { path, open: async (page) => { await chat(page); await toTop(page); await button("Edit")(page); } },
      new: { path: "/", open: (page) => connected(page) },
      settings: { path: "/settings/profile", open: (page) => page.getByRole("heading", { name: "Settings" }).waitFor() },
    });
  }
  await look(t, server, views);
});

test("the first run and the settings have no serious finding of axe", { skip: noBrowser || longOnly.skip }, async (t) => {
  const config = 'budgets:\n  - { user: "*", period: day, tokens: 5000 }\n';
  const dir = folder();
  writeFileSync(join(dir, "parlor.yaml"), config);
  const server = await serve(t, { dir, args: ["--discover=false"] });
  const views = { first: { path: "/", open: (page) => page.locator('[data-testid="first-run"]').waitFor() } };
  for (const part of ["usage", "data", "models", "sessions", "tools"]) {
    views[part] = { path: `/settings/${part}`, open: async (page) => { await page.locator(`main[data-section="${part}"]`).waitFor(); await page.waitForLoadState("networkidle"); } };
  }
  await look(t, server, views);
});

test("those who are not signed in see no serious finding of axe either", { skip: noBrowser || longOnly.skip }, async (t) => {
  const server = await serve(t, { env: { PARLOR_JWT_SECRET: "an-e2e-secret-of-thirty-two-bytes!" } });
  await look(t, server, {
    signin: { path: "/", open: (page) => page.locator(on.withToken).waitFor() },
    join: { path: "/join/nobody", open: (page) => page.getByRole("heading").first().waitFor() },
  });
});

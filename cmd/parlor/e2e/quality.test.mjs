// Every view of the page as people meet it who need help with one: no serious finding of axe, in both
// themes, on a desktop and on a phone, nothing wider than the window, and nothing that moves for those who asked for stillness.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { browser, noBrowser } from "./lib/browser.mjs";
import { calls } from "./lib/model.mjs";
import { connected, on, shows, tab } from "./lib/page.mjs";
import { ask, command, connect, enter, event, events, folder, newChat, serve, until } from "./lib/parlor.mjs";
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
    if (matchMedia("(pointer: coarse)").matches) all.push(...tooSmall());
    if (document.documentElement.scrollWidth > innerWidth) all.push(`the page is ${document.documentElement.scrollWidth} wide in a window of ${innerWidth}`);
    return all;

    /** Returns the targets that a finger would miss: all that can be pressed and is smaller than 44 px. A link within text is as high as its line. */
    function tooSmall() {
      const LEAST = 44 - 0.5; // px; a zoomed page has fractions
      const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [role=button], [role=menuitem], [role=option], [role=switch]")];
      return all.filter((e) => e.checkVisibility({ visibilityProperty: true }) && !e.matches(":disabled") && !e.closest(".unseen, [inert]") && !(e.localName === "a" && getComputedStyle(e).display === "inline"))
        .map((e) => ({ e, boxes: [e, ...(e.labels ?? [])].map((part) => part.getBoundingClientRect()) }))
        .filter(({ boxes }) => boxes.some((box) => box.width > 1) && !boxes.some((box) => Math.min(box.width, box.height) >= LEAST))
        .map(({ e, boxes }) => `too small for a finger: ${e.localName} "${(e.ariaLabel || e.textContent || e.name).trim().slice(0, 30)}" ${boxes.map((box) => `${Math.round(box.width)}×${Math.round(box.height)}`)}`);
    }
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
      settingsOfChat: { path, open: async (page) => { await chat(page); await page.locator('[data-testid="chat-settings"]').click(); await page.getByRole("radio", { name: "All but these" }).check(); } },
      menu: { path, on: ["phone"], open: async (page) => { await chat(page); await button("Open the list of chats")(page); await page.locator("dialog .menu-button").first().click(); await page.locator("[role=menuitem]").first().waitFor(); } },
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

test("the runtime view has no serious finding of axe", { skip: noBrowser || longOnly.skip }, async (t) => {
  const { server } = await fullChat(t);
  const runtime = '[data-testid="runtime"]';
  const part = (name, shown) => ({ path: "/runtime", open: async (page) => { await page.locator(`[data-tab="${name}"]`).click(); await page.locator(shown).first().waitFor(); } });
  const room = async (page) => {
    await page.locator('[data-tab="actors"]').click();
    await page.locator(`${runtime} table a`).first().click();
    await page.locator('[data-testid="follow"]').click();
  };
  await look(t, server, {
    overview: part("overview", '[data-plot="commits"]'), actors: part("actors", `${runtime} table`), providers: part("providers", '[data-testid="providers"]'), audit: part("audit", `${runtime} .hint`),
    room: { path: "/runtime", open: room },
    restart: { path: "/runtime", open: async (page) => { await room(page); await page.locator('[data-testid="restart"]').click(); await page.locator('[data-testid="confirm"]').waitFor(); } },
  });
});

test("those who are not signed in see no serious finding of axe either", { skip: noBrowser || longOnly.skip }, async (t) => {
  const env = { PARLOR_JWT_SECRET: "an-e2e-secret-of-thirty-two-bytes!" };
  const server = await serve(t, { env, args: ["--guests", "on"] });
  const { stdout: token } = await command(["token", "--user", "ann"], { env });
  const ann = async (path, body) => {
    const response = await fetch(`${server.url}/api/v1${path}`, { method: "POST", headers: { Authorization: `Bearer ${token.trim()}`, "Content-Type": "application/json" }, body: JSON.stringify(body) });
    return response.json();
  };
  const { chat_id } = await ann("/chat", { model_id: "eliza" });
  const invite = await ann(`/chat/${chat_id}/invites`, { role: "member", expires_in: 3600, uses: 9 });
  await look(t, server, {
    signin: { path: "/", open: (page) => page.locator(on.withToken).waitFor() },
    join: { path: `/join/${invite.token}`, open: async (page) => { await page.locator(on.welcome).waitFor(); await page.locator('[data-testid="guest-name"]').waitFor(); } },
    noJoin: { path: "/join/nobody", open: (page) => page.getByRole("heading").first().waitFor() },
  });
});

/** Goes on by Tab until an element of the selector has the focus, which has to be seen. */
async function tabTo(page, selector) {
  for (let n = 0; n < 150; n++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate((selector) => {
      const e = document.activeElement;
      const seen = [e, e.closest("label, .box, .row")].filter(Boolean).some((part) => getComputedStyle(part).outlineStyle !== "none" || getComputedStyle(part).boxShadow !== "none");
      return { is: e.matches(selector), seen, what: e.outerHTML.slice(0, 200) };
    }, selector);
    if (at.is) return assert.ok(at.seen, `the focus is not seen: ${at.what}`);
  }
  assert.fail(`Tab does not come to ${selector}`);
}

test("keys alone go through the settings, the list of chats and the runtime view", { skip: noBrowser || longOnly.skip }, async (t) => {
  const server = await serve(t);
  const alice = await connect(t, server, { user: "alice" });
  await enter(alice, newChat());
  const page = await tab(t, await browser(t), server.url, { user: "alice" });
  const { keyboard } = page;
  await page.locator("nav [data-chat]").waitFor();

  await tabTo(page, "nav [data-chat] a");
  await keyboard.press("Enter");
  await page.locator('[data-testid="empty"]').waitFor();
  await tabTo(page, '[data-testid="chat-settings"]');
  await keyboard.press("Enter");
  await page.locator('[data-testid="chat-settings-dialog"]').waitFor(); // it is read when it is asked for
  await tabTo(page, '[data-testid="chat-instructions"]');
  await keyboard.type("Be brief.");
  await tabTo(page, 'input[type="radio"][value="all"]');
  await keyboard.press("ArrowUp"); // to the last one
  await tabTo(page, '[data-testid="tools-off"]');
  await keyboard.type("files/*");
  await tabTo(page, '[data-testid="retain-for"]');
  await keyboard.press("ArrowDown");
  await keyboard.press("ArrowDown");
  await tabTo(page, '[data-testid="save-settings"]');
  await keyboard.press("Enter");
  const chat = page.url().split("/c/")[1];
  const saved = async () => (await fetch(`${server.url}/api/v1/chat/${chat}`, { headers: { "X-Parlor-User": "alice" } })).json();
  const { tools_off, retain_for } = await until(saved, ({ system_prompt }) => system_prompt === "Be brief.");
  assert.deepEqual({ tools_off, retain_for }, { tools_off: ["files/*"], retain_for: 7 * 86_400 });
  await until(() => page.evaluate(() => document.activeElement.dataset.testid), (id) => id === "chat-settings");

  await tabTo(page, "nav .menu-button");
  await keyboard.press("Enter");
  await page.locator("[role=menuitem]:focus").waitFor();
  await keyboard.press("ArrowDown"); // Pin
  await keyboard.press("Enter");
  await page.locator('[data-group="pinned"] [data-chat]').waitFor();

  await tabTo(page, 'a[href$="/settings/profile"]');
  await keyboard.press("Enter");
  for (const part of ["sessions", "usage", "models", "tools", "data"]) {
    await tabTo(page, `main a[href$="/settings/${part}"]`);
    await keyboard.press("Enter");
    await page.locator(`main[data-section="${part}"]`).waitFor();
  }
  await tabTo(page, 'main a[href$="/settings/profile"]');
  await keyboard.press("Enter");
  await tabTo(page, 'main input[name="theme"]');
  await keyboard.press("ArrowDown");
  await until(() => page.evaluate(() => document.documentElement.dataset.theme), Boolean);

  await tabTo(page, '[data-testid="to-runtime"]');
  await keyboard.press("Enter");
  await tabTo(page, '[data-tab="actors"]');
  await keyboard.press("Enter");
  await tabTo(page, '[data-testid="runtime"] table a');
  await keyboard.press("Enter");
  await tabTo(page, '[data-testid="follow"]');
  await keyboard.press("Enter");
  await page.locator('[data-testid="events"] [data-event="followed"]').waitFor();
  await tabTo(page, '[data-testid="restart"]');
  await keyboard.press("Enter");
  await tabTo(page, "#note");
  await keyboard.type("by keys");
  await tabTo(page, '[data-testid="confirm-go"]');
  await keyboard.press("Enter");
  await page.getByText("The room is restarted.").waitFor();
});

// Calls of tools in the page: somebody decides, with other arguments if need be, and all see who it was.
import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, noBrowser } from "./lib/browser.mjs";
import { calls } from "./lib/model.mjs";
import { address, picture, say, shows, tab } from "./lib/page.mjs";
import { connect, enter, newChat, until } from "./lib/parlor.mjs";
import { world } from "./lib/tools.mjs";

const card = (page, state) => page.locator(`.tool[data-state="${state}"]`).last();

test("a call is allowed with other arguments from a phone, then always, and one that was cut is asked about", { skip: noBrowser }, async (t) => {
  const answers = { go: calls(["pay", { sum: 1 }]), more: calls(["pay", { sum: 2 }]), cut: calls(["pay", { sum: 3 }]), paid: [{ content: "Done." }, "stop"] };
  const { start, pay } = await world(t, { approval: "ask", wait: 1_500, answers });
  const server = await start();
  const chat = newChat();
  await enter(await connect(t, server), chat, { model: "m", dialect: "documented" });
  const b = await browser(t);
  const page = await tab(t, b, address(server, chat), { user: "alice" });
  const phone = await tab(t, b, address(server, chat), { user: "bob", viewport: { width: 390 } });

  await say(page, "go");
  await card(page, "waiting").locator("dd", { hasText: "1" }).waitFor();
  const asked = card(phone, "waiting");
  await asked.locator('[data-action="edit"]').click();
  const sum = asked.getByLabel("sum");
  await sum.fill("two");
  await asked.locator('.acts[data-armed="true"]').waitFor();
  await asked.locator('[data-action="allow"]').click();
  await asked.getByText("This is no JSON value: sum").waitFor();
  await sum.fill("7");
  await picture(phone, "tools-edit-phone");
  await picture(page, "page-tool");
  await asked.locator('[data-action="allow"]').click();
  await card(page, "completed").locator('[data-testid="decided"]', { hasText: "allowed by bob" }).waitFor();
  await card(page, "completed").locator('[data-testid="result"]', { hasText: "paid" }).waitFor();
  await shows(page, "Done.");
  assert.deepEqual(pay.ran.map((r) => r.args), [{ sum: 7 }]);

  await say(page, "more");
  await card(page, "waiting").locator('.acts[data-armed="true"]').waitFor();
  await card(page, "waiting").locator('[data-action="always"]').click();
  await page.locator('[data-testid="decided"]', { hasText: "allowed in this chat from now on, by you" }).waitFor();
  await until(() => page.locator('[data-role="assistant"][data-state="completed"]').count(), (n) => n === 2);
  await picture(page, "tools-done");

  await say(page, "cut");
  await until(() => pay.ran.length, (n) => n === 3);
  await server.kill();
  await start({ listen: new URL(server.url).host });
  const cut = card(page, "waiting");
  await cut.getByText("outcome unknown").waitFor();
  await cut.locator('.acts[data-armed="true"]').waitFor();
  await picture(page, "tools-unknown");
  await cut.getByRole("button", { name: "Leave it" }).click();
  await card(page, "unknown").locator('[data-testid="decided"]', { hasText: "not run again, by you" }).waitFor();
  assert.equal(pay.ran.length, 3, "it has not run again");
});

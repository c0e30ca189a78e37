// Tools of the page itself, and prompts of MCP servers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { grave } from "./lib/axe.mjs";
import { browser, noBrowser } from "./lib/browser.mjs";
import { calls } from "./lib/model.mjs";
import { address, connected, on, picture, say, shows, tab, visit } from "./lib/page.mjs";
import { connect, enter, newChat, until } from "./lib/parlor.mjs";
import { longOnly } from "./lib/random.mjs";
import { world } from "./lib/tools.mjs";

const options = { skip: noBrowser || longOnly.skip };
const request = (page, tool) => page.locator(`[data-testid="own-request"][data-tool="${tool}"]`);
const armed = (page, tool) => page.locator(`[data-testid="own-request"][data-tool="${tool}"][data-armed="true"]`);
const card = (page, state) => page.locator(`.tool[data-state="${state}"]`).last();
const everything = ["file", "clipboard", "location"];

const answers = { clip: calls(["page_clipboard", {}]), where: calls(["page_location", {}]), file: calls(["page_file", { why: "<img src=x onerror=alert(1)> \u202e" }]) };

/** The names of the tools that a request to the model offers. */
const offered = (model) => (model.requests.at(-1)?.tools ?? []).map((tool) => tool.function.name);

const switchOn = (page, tools = everything) => page.context().addInitScript((on) => localStorage.setItem("parlor own tools", on), tools.join(" "));

async function opened(t, b, server, chat, { tools = everything, ...how } = {}) {
  const page = await tab(t, b, address(server, chat), { user: "alice", permissions: ["clipboard-read", "clipboard-write", "geolocation"], geolocation: { latitude: 60.17, longitude: 24.94 }, ...how });
  await switchOn(page, tools);
  await page.reload();
  await connected(page);
  return page;
}

test("a model uses what the page does for it, which is off until it is switched on, and asks each time", options, async (t) => {
  const { start, model } = await world(t, { answers });
  const server = await start();
  const chat = newChat();
  await enter(await connect(t, server), chat, { model: "m", dialect: "documented" });
  const b = await browser(t);
  const page = await visit(t, b, `${server.url}/settings/tools`, { user: "alice", permissions: ["clipboard-read", "clipboard-write", "geolocation"], geolocation: { latitude: 60.17, longitude: 24.94 } });
  await page.locator('[data-testid="own-tools"]').waitFor();
  await picture(page, "own-settings");
  for (const theme of ["light", "dark"]) assert.deepEqual(await grave(page, theme), []);
  await page.goto(address(server, chat));
  await connected(page);
  await say(page, "hello");
  await shows(page, "yes");
  assert.ok(!offered(model).some((name) => name.startsWith("page_")), "nothing is offered unasked");

  await page.goto(`${server.url}/settings/tools`);
  for (const tool of everything) await page.locator(`[data-testid="own-tools"] [data-tool="${tool}"]`).check();
  await page.goto(address(server, chat));
  await connected(page);
  await page.evaluate(() => navigator.clipboard.writeText("from the clipboard"));
  await say(page, "clip");
  await armed(page, "clipboard").waitFor();
  assert.deepEqual(offered(model).filter((name) => name.startsWith("page_")).sort(), everything.map((tool) => `page_${tool}`).sort());
  await picture(page, "own-clipboard");
  await request(page, "clipboard").locator('[data-action="own-allow"]').click();
  await card(page, "completed").locator('[data-testid="result"]', { hasText: "from the clipboard" }).waitFor();

  await say(page, "where");
  await armed(page, "location").waitFor();
  await request(page, "location").locator('[data-action="own-allow"]').click();
  await card(page, "completed").locator('[data-testid="result"]', { hasText: '"latitude":60.17' }).waitFor();

  await say(page, "file");
  await armed(page, "file").waitFor();
  const choosing = page.waitForEvent("filechooser");
  await request(page, "file").locator('[data-action="own-allow"]').click();
  await (await choosing).setFiles([{ name: "notes.txt", mimeType: "text/plain", buffer: Buffer.alloc(10 << 20, "a line of it\n") }]);
  await card(page, "completed").locator('[data-testid="result"]', { hasText: "notes.txt" }).waitFor();
  await until(() => model.requests.at(-1).messages.at(-1), (m) => m.role === "tool" && m.content.length < 65 << 10 && /cut: the file has 10 MB/.test(m.content));

  await say(page, "clip");
  await armed(page, "clipboard").waitFor();
  await request(page, "clipboard").locator('[data-action="own-refuse"]').click();
  await card(page, "failed").locator('[data-testid="result"]', { hasText: "the user has refused" }).waitFor();
});

test("of two tabs one asks; when it closes the other does; one that never answers ends with the answer", options, async (t) => {
  const { start } = await world(t, { answers });
  const server = await start();
  const chat = newChat();
  await enter(await connect(t, server), chat, { model: "m", dialect: "documented" });
  const b = await browser(t);
  const first = await opened(t, b, server, chat);
  const second = await opened(t, b, server, chat, { viewport: { width: 390 } });
  await say(first, "clip");
  await request(first, "clipboard").waitFor();
  assert.equal(await request(second, "clipboard").count(), 0);
  await first.close();
  await armed(second, "clipboard").waitFor();
  await picture(second, "own-phone");
  for (const theme of ["light", "dark"]) assert.deepEqual(await grave(second, theme), []);
  await picture(second, "own-phone-dark");
  await server.kill();
  const again = await start({ listen: new URL(server.url).host });
  await armed(second, "clipboard").waitFor();
  await second.evaluate(() => navigator.clipboard.writeText("after the restart")).catch(() => {});
  await second.reload();
  await armed(second, "clipboard").waitFor();
  await second.locator(on.stop).click();
  await request(second, "clipboard").waitFor({ state: "detached" });
  await card(second, "stopped").waitFor();
  assert.ok(again.url);
});

test("a prompt is picked, filled in and put into the message, whatever its server calls it", options, async (t) => {
  const { start } = await world(t, { answers: {} });
  const server = await start();
  const chat = newChat();
  await enter(await connect(t, server), chat, { model: "m", dialect: "documented" });
  const b = await browser(t);
  const page = await tab(t, b, address(server, chat), { user: "alice" });
  await page.evaluate(() => sessionStorage.removeItem("parlor no prompts"));
  const hostile = '"><img src=x onerror=alert(1)>\u202e';
  const list = {
    prompts: [
      { server: "docs", name: "summary", title: "Summarise a page", description: "What a page says, in a few lines.", arguments: [{ name: "page", description: "Its address", required: true }, { name: "tone", description: "", required: false }] },
      { server: hostile, name: hostile, title: hostile.repeat(20), description: hostile.repeat(40), arguments: [] },
    ],
    missing: [{ server: "calendar", reason: "whoever asks has to sign in to calendar first" }],
  };
  let asked;
  await page.route("**/api/v1/tools/prompts", async (route) => {
    if (route.request().method() === "GET") return route.fulfill({ json: list });
    asked = route.request().postDataJSON();
    if (asked.arguments.page === "broken") return route.fulfill({ status: 502, json: { code: "provider_error", detail: "the server of tools has failed" } });
    return route.fulfill({ json: { messages: [{ role: "user", content: `Summarise ${asked.arguments.page} <b>now</b>` }] } });
  });
  await page.reload();
  await connected(page);
  await page.locator('[data-testid="prompts"]').click();
  const dialog = page.locator('[data-testid="prompt-dialog"]');
  await dialog.getByText("calendar shows none").waitFor();
  await picture(page, "prompts");
  await page.setViewportSize({ width: 390, height: 800 });
  await picture(page, "prompts-phone");
  for (const theme of ["light", "dark"]) assert.deepEqual(await grave(page, theme), []);
  await picture(page, "prompts-phone-dark");
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true);
  await dialog.getByText("Summarise a page").click();
  await dialog.getByLabel("page").fill("broken");
  await picture(page, "prompt-arguments");
  await dialog.getByRole("button", { name: "Put into the message" }).click();
  await dialog.getByRole("alert").getByText("the server of tools has failed").waitFor();
  await dialog.getByLabel("page").fill("https://example.com");
  await dialog.getByRole("button", { name: "Put into the message" }).click();
  await until(() => page.locator(on.field).inputValue(), (text) => text === "Summarise https://example.com <b>now</b>");
  assert.deepEqual(asked, { server: "docs", name: "summary", arguments: { page: "https://example.com" } });
  assert.equal(await dialog.count(), 0);
});

// The list of chats on the page: what it shows of each, and what one can do there.
import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, noBrowser } from "./lib/browser.mjs";
import { chatOf, on, tab } from "./lib/page.mjs";
import { ask, connect, enter, newChat, serve, until } from "./lib/parlor.mjs";

const rows = "nav [data-chat]";
const titles = (page, group) => page.locator(`nav [data-${group}] ${rows.slice(4)} b`).allTextContents();

/** A chat of a user, with a title and something said. */
async function chat(t, server, user, title, said = `about ${title}`) {
  const socket = await connect(t, server, { user });
  const id = newChat();
  const room = await enter(socket, id);
  await ask(socket, `configure ${room}`, { title });
  await ask(socket, `send_message ${room}`, { message: said, answer: false });
  return { id, room, socket };
}

async function act(page, title, item) {
  await page.locator(rows, { hasText: title }).getByTestId("chat-menu").click();
  await page.getByRole("menuitem", { name: item, exact: true }).click();
}

const row = (page, title) => page.locator(rows, { hasText: title });
const undo = (page) => page.getByTestId("notice").getByRole("button", { name: "Undo" }).click();

test("chats are renamed, pinned, filed, archived and deleted, with undo and on two devices", { skip: noBrowser }, async (t) => {
  const server = await serve(t);
  for (const title of ["Move the docs", "Import hangs", "Release 2.4"]) await chat(t, server, "ann", title);
  const b = await browser(t);
  const desk = await tab(t, b, server.url, { user: "ann" });
  const phone = await tab(t, b, server.url, { user: "ann" });
  await row(desk, "Import hangs").waitFor();
  assert.deepEqual(await titles(desk, 'group="today"'), ["Release 2.4", "Import hangs", "Move the docs"]);

  await act(desk, "Move the docs", "Pin");
  await phone.locator('[data-group="pinned"] [data-chat]', { hasText: "Move the docs" }).waitFor();

  await act(desk, "Import hangs", "Rename");
  await desk.getByTestId("rename").fill("Import works");
  await desk.keyboard.press("Enter");
  await row(phone, "Import works").waitFor();
  await undo(desk);
  await row(phone, "Import hangs").waitFor();

  await act(desk, "Import hangs", "Folder…");
  await desk.getByTestId("folders").getByLabel("New folder").fill("Work");
  await desk.keyboard.press("Enter");
  await phone.locator('[data-folder="Work"] [data-chat]', { hasText: "Import hangs" }).waitFor();

  await act(desk, "Release 2.4", "Archive");
  await row(phone, "Release 2.4").waitFor({ state: "detached" });
  await desk.getByTestId("archive").click();
  await row(desk, "Release 2.4").waitFor();
  await undo(desk);
  await row(phone, "Release 2.4").waitFor();
  await desk.getByRole("button", { name: "Back to the chats" }).click();

  await act(desk, "Release 2.4", "Delete");
  await row(desk, "Release 2.4").waitFor({ state: "detached" });
  assert.equal(await row(phone, "Release 2.4").count(), 1, "nothing is lost before it can be undone no more");
  await undo(desk);
  await row(desk, "Release 2.4").waitFor();
  await act(desk, "Release 2.4", "Delete");
  await desk.getByTestId("notice").getByRole("button", { name: "Now" }).click();
  await row(phone, "Release 2.4").waitFor({ state: "detached" });
});

test("what is unread and what is found, by keys alone", { skip: noBrowser }, async (t) => {
  const server = await serve(t);
  const docs = await chat(t, server, "ann", "Move the docs", "the footer of the start page");
  const other = await chat(t, server, "ann", "Import hangs");
  const page = await tab(t, await browser(t), server.url, { user: "ann" });
  await row(page, "Move the docs").waitFor();

  await page.keyboard.press("Alt+ArrowDown");
  await until(() => chatOf(page), (id) => id === other.id);
  await page.keyboard.press("Alt+ArrowDown");
  await until(() => chatOf(page), (id) => id === docs.id);
  const bo = await connect(t, server, { user: "bo" });
  const room = await enter(bo, other.id);
  await ask(bo, `send_message ${room}`, { message: "it still hangs", answer: false });
  await row(page, "Import hangs").locator(".unread").waitFor();
  await until(() => page.title(), (title) => title === "(1) Move the docs · parlor");

  await page.keyboard.press("Control+k");
  await page.keyboard.type("HANGS");
  const found = page.getByTestId("palette");
  await found.getByRole("option", { name: "bo it still hangs" }).waitFor();
  await found.getByTestId("here").check();
  await found.getByText("No message says that.").waitFor();
  await found.getByTestId("here").uncheck();
  await found.getByRole("combobox").focus();
  await found.getByRole("option", { name: "bo it still hangs" }).waitFor();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await until(() => page.url(), (url) => url.includes(`${other.id}#m`));
  await page.locator(on.talk).press("End");
  await until(() => page.title(), (title) => title === "Import hangs · parlor");

  await page.keyboard.press("Control+Shift+O");
  await page.locator('[data-testid="new"]').waitFor();
  await page.getByTestId("search").focus();
  await page.keyboard.press("?");
  await page.getByTestId("keys").getByText("Search and go").waitFor();
  await page.keyboard.press("Escape");
  await page.getByTestId("keys").waitFor({ state: "detached" });
  assert.equal(await page.locator(on.field).count(), 1);
});

test("a new chat has the instructions that it was begun with, and is saved as Markdown", { skip: noBrowser }, async (t) => {
  const server = await serve(t);
  const page = await tab(t, await browser(t), server.url, { user: "ann" });
  await page.getByText("ready", { exact: true }).waitFor();
  await page.getByText("Instructions", { exact: true }).click();
  await page.getByTestId("instructions").fill("Answer in rhymes.");
  await page.locator(on.field).fill("Hello there");
  await page.locator(on.field).press("Enter");
  await page.locator(on.answer("completed")).waitFor();
  const response = await fetch(`${server.url}/api/v1/chat/${chatOf(page)}`, { headers: { "X-Parlor-User": "ann" } });
  assert.equal((await response.json()).system_prompt, "Answer in rhymes.");

  const [file] = await Promise.all([page.waitForEvent("download"), act(page, "", "Save as Markdown")]);
  const chunks = await (await file.createReadStream()).toArray();
  const text = Buffer.concat(chunks).toString();
  assert.match(text, /^# .+\n\n\*\*ann\*\* · .+\n\nHello there\n\n\*\*.+\*\* · .+\n\n.+\n$/s);
});

// Files in the page: the limit is known before anything is sent, and what arrives is seen by the others.
import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, noBrowser } from "./lib/browser.mjs";
import { address, on, picture, tab } from "./lib/page.mjs";
import { newChat, serve, until } from "./lib/parlor.mjs";

const png = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");
const attached = (state) => `[data-testid="attached"] [data-state="${state}"]`;

/** Drops or pastes files into the page as a browser would. */
const bring = (page, target, kind, { name, text, type }) => page.locator(target).evaluate((e, [kind, name, text, type]) => {
  const data = new DataTransfer();
  if (name) data.items.add(new File([text], name, { type }));
  else data.setData("text/plain", text);
  const how = { bubbles: true, cancelable: true };
  e.dispatchEvent(kind === "paste" ? new ClipboardEvent("paste", { ...how, clipboardData: data }) : new DragEvent(kind, { ...how, dataTransfer: data }));
}, [kind, name, text, type]);

test("files are attached by button, drop and paste, the limit comes first, and the other one sees them", { skip: noBrowser }, async (t) => {
  const server = await serve(t, { args: ["--max-file-bytes", "64KiB", "--max-image-bytes", "64KiB"] });
  const chat = newChat();
  const b = await browser(t);
  const page = await tab(t, b, address(server, chat), { user: "alice" });
  const attach = page.locator('[data-testid="attach"]');
  await until(() => attach.getAttribute("aria-label"), (label) => label === "Attach files (10 files at most, each up to 64 KB, images up to 64 KB)");
  const uploads = [];
  page.on("request", (r) => { if (r.url().endsWith("/upload")) uploads.push(r); });

  const choosing = page.waitForEvent("filechooser");
  await attach.click();
  await (await choosing).setFiles([{ name: "big.txt", mimeType: "text/plain", buffer: Buffer.alloc(70 << 10, "a") }, { name: "dot.png", mimeType: "image/png", buffer: png }]);
  await page.locator(attached("failed"), { hasText: "70 KB; at most 64 KB" }).waitFor();
  await page.locator(attached("ready"), { hasText: "dot.png" }).locator("img").waitFor();
  assert.equal(uploads.length, 1, "what is too large is not sent");
  await page.getByRole("button", { name: "Remove big.txt" }).click();

  await bring(page, on.talk, "dragover", { name: "notes.md", text: "x", type: "" });
  await page.locator('[data-testid="drop"]', { hasText: "64 KB" }).waitFor();
  await picture(page, "files-drop");
  let cut = true; // the connection of the first try
  await page.route("**/upload", (route) => (cut ? route.abort() : route.continue()));
  await bring(page, on.talk, "drop", { name: "notes.md", text: "# Notes\n\nof a <b>meeting</b>", type: "text/markdown" });
  const dropped = page.locator(attached("failed"), { hasText: "cannot be reached" });
  await dropped.waitFor();
  await picture(page, "files-failed");
  cut = false;
  await dropped.getByRole("button", { name: "Retry" }).click();
  await page.locator(attached("ready"), { hasText: "notes.md" }).waitFor();

  await page.unroute("**/upload");
  let release;
  const held = new Promise((resolve) => { release = resolve; });
  await page.route("**/upload", async (route) => { await held; await route.continue().catch(() => {}); });
  await bring(page, on.field, "paste", { text: "long ".repeat(2_000) });
  await page.locator(attached("sending"), { hasText: "pasted.txt" }).waitFor();
  await page.fill(on.field, "what is this?");
  assert.equal(await page.locator('[data-testid="send"]').isDisabled(), true, "the message waits for its files");
  await picture(page, "files-sending");
  await page.getByRole("button", { name: "Do not send pasted.txt" }).click();
  release();
  await page.unroute("**/upload");
  await until(() => page.locator('[data-testid="attached"] li').count(), (n) => n === 2);

  await page.press(on.field, "Enter");
  await page.locator('[data-role="user"] [data-testid="files"] img').waitFor();
  await page.locator('[data-testid="attached"]').waitFor({ state: "detached" });
  const bob = await tab(t, b, address(server, chat), { user: "bob", viewport: { width: 390 } });
  const files = bob.locator('[data-role="user"] [data-testid="files"]');
  await files.locator("img").waitFor();
  await files.getByText("Show text").click();
  await files.locator("pre", { hasText: "of a <b>meeting</b>" }).waitFor();
  const saving = bob.waitForEvent("download");
  await files.getByRole("button", { name: "Save notes.md" }).click();
  assert.equal((await saving).suggestedFilename(), "notes.md");
  await picture(bob, "files-phone");
  await picture(page, "files-shown");
});

// People on the page: links with a role, guests, what an owner changes about members, leaving, and the
// sessions of one's own.
import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, noBrowser } from "./lib/browser.mjs";
import { connected, on, picture, say, shows, visit } from "./lib/page.mjs";
import { command, serve, until } from "./lib/parlor.mjs";
import { longOnly } from "./lib/random.mjs";

const person = (id) => `[data-testid="people"] [data-user="${id}"]`;
const by = (name) => `[data-testid="${name}"]`;

/** A server with passwords and guests, a way to add users, and one to open the page as one of them. */
async function house(t) {
  const server = await serve(t, { args: ["--passwords", "on", "--guests", "on"] });
  const b = await browser(t);
  const add = async (user, name) => {
    const { status, stdout, stderr } = await command(["user", "add", user, "--name", name, "--data", "parlor.db"], { dir: server.dir });
    assert.equal(status, 0, stderr);
    return stdout.trim();
  };
  const open = (url = server.url) => visit(t, b, url, { permissions: ["clipboard-read", "clipboard-write"] });
  const enterPassword = async (page, user, password) => {
    await page.fill(on.user, user);
    await page.fill(on.password, password);
    await page.press(on.password, "Enter");
  };
  const signIn = async (page, user, password) => {
    await enterPassword(page, user, password);
    await connected(page);
  };
  return { server, add, open, enterPassword, signIn };
}

/** Makes a link in the dialog, and returns it. */
async function invite(page, role) {
  await page.locator(on.invite).click();
  if (role) await page.locator(`input[name="role"][value="${role}"]`).check();
  await page.locator(on.makeInvite).click();
  const link = await page.locator(on.inviteLink).inputValue();
  await picture(page, "page-invite");
  await page.keyboard.press("Escape");
  return link;
}

test("an owner invites, changes what a guest may do, removes, takes it back, and hands the chat over", { skip: noBrowser || longOnly.skip }, async (t) => {
  const { add, open, enterPassword, signIn } = await house(t);
  const passwords = { alice: await add("alice", "Alice"), bo: await add("bo", "Bo") };
  const alice = await open();
  await signIn(alice, "alice", passwords.alice);
  await say(alice, "Who will come?");
  await alice.locator(on.answer("completed")).waitFor();

  const guest = await open(await invite(alice, "viewer"));
  await guest.fill(by("guest-name"), "Chidi");
  await guest.locator(by("join-now")).click();
  await connected(guest);
  await shows(guest, "Who will come?");
  assert.equal(await guest.locator(on.field).count(), 0, "who may read has no field to write in");

  const bo = await open(await invite(alice));
  await bo.locator("summary").click();
  await enterPassword(bo, "bo", passwords.bo);
  await bo.getByRole("button", { name: "Join as" }).click();
  await shows(bo, "Who will come?");

  if (!(await alice.locator(by("people")).isVisible())) await alice.getByRole("button", { name: "People", exact: true }).click();
  const chidi = alice.locator(`${by("people")} li`, { hasText: "Chidi" });
  await chidi.locator(by("person")).click();
  await chidi.locator(by("role")).selectOption("member");
  await say(guest, "Now I may talk");
  await shows(alice, "Now I may talk");

  await alice.locator(`${person("bo")} ${by("person")}`).click();
  await alice.locator(`${person("bo")} ${by("remove")}`).click();
  await bo.locator(on.problem, { hasText: "no longer a member" }).waitFor();
  await alice.locator(by("undo-remove")).click();
  await alice.locator(by("people-said"), { hasText: "Bo is a member again" }).waitFor();
  await bo.reload();
  await shows(bo, "Now I may talk");

  await alice.locator(`${person("bo")} ${by("person")}`).click();
  await alice.locator(`${person("bo")} ${by("offer")}`).click();
  if (!(await bo.locator(by("people")).isVisible())) await bo.getByRole("button", { name: "People", exact: true }).click();
  await bo.locator(by("take")).click();
  await bo.locator(on.invite).waitFor();

  await alice.locator(by("leave")).click();
  await alice.locator(by("leave-sure")).click();
  await alice.locator(by("chat")).waitFor({ state: "hidden" });
  await bo.locator(person("alice")).waitFor({ state: "hidden" });

  await bo.locator(on.invite).click();
  const links = bo.locator(`${by("invites")} li`);
  await links.nth(1).waitFor();
  await links.first().getByRole("button").click();
  await links.nth(1).waitFor({ state: "hidden" });
  await guest.getByRole("dialog", { name: "Your visit has ended" }).waitFor(); // it was the guest's link
});

test("who is signed in twice ends the other session, and there nothing that was written is lost", { skip: noBrowser || longOnly.skip }, async (t) => {
  const { add, open, signIn } = await house(t);
  const password = await add("alice", "Alice");
  const [one, two] = [await open(), await open()];
  for (const page of [one, two]) await signIn(page, "alice", password);
  await say(two, "hello");
  await two.locator(on.answer("completed")).waitFor();
  await two.fill(on.field, "half a thought");

  await one.getByRole("link", { name: "Settings" }).click();
  await one.getByRole("link", { name: "Sessions", exact: true }).click();
  await one.locator(by("end-session")).click();
  await two.getByRole("dialog", { name: "You were signed out" }).waitFor();
  await signIn(two, "alice", password);
  await until(() => two.inputValue(on.field), (text) => text === "half a thought");
  await shows(two, "hello");

  await one.getByRole("link", { name: "Usage", exact: true }).click();
  await one.locator(`${by("usage")} tbody tr`).first().waitFor();
  await one.getByRole("link", { name: "Data", exact: true }).click();
  const [file] = await Promise.all([one.waitForEvent("download"), one.locator(by("export-all")).click()]);
  const { chats } = JSON.parse((await (await file.createReadStream()).toArray()).join(""));
  assert.deepEqual(chats.map((c) => c.messages[0].content), ["hello"]);
  await one.locator(by("delete-all")).click();
  await one.fill(by("delete-sure"), "1");
  await one.locator(by("delete-now")).click();
  await two.locator(on.problem).waitFor();
});

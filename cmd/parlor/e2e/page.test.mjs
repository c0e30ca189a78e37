// The page, in a real browser: two tabs in one room, the stream, the stop
// button, and a server that goes away and comes back.
import assert from "node:assert/strict";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { browser, noBrowser } from "./lib/browser.mjs";
import { address, chatOf, connected, on, picture, say, shows, tab } from "./lib/page.mjs";
import { ask, command, connect, enter, events, folder, newChat, serve, story, until } from "./lib/parlor.mjs";
import { longOnly } from "./lib/random.mjs";

const narrow = { viewport: { width: 1000 } };

test("two tabs talk, see the stream and stop it, and outlive the server", { skip: noBrowser }, async (t) => {
  const dir = folder();
  const server = await serve(t, { dir, args: ["--eliza-word-delay", "200ms"] });
  const b = await browser(t);
  const alice = await tab(t, b, server.url, narrow);
  await say(alice, "Hello, I am curious about you");
  await shows(alice, "Hello, I am curious about you");
  await alice.locator(on.answer("completed")).waitFor();

  const bob = await tab(t, b, alice.url(), narrow);
  await shows(bob, "Hello, I am curious about you");
  await say(bob, story(54));
  await shows(alice, story(54));
  await alice.locator(on.answer("running")).waitFor();
  await picture(alice, "streaming");
  await alice.locator(on.stop).click();
  await bob.locator(on.answer("stopped")).waitFor();
  await alice.locator(on.answer("stopped")).waitFor();
  await picture(bob, "stopped");

  const listen = new URL(server.url).host;
  await server.kill();
  await alice.locator(on.notConnected).waitFor();
  await say(alice, "Are you still there?");
  await picture(alice, "disconnected");
  await serve(t, { dir, listen });
  for (const page of [alice, bob]) await connected(page, { timeout: 20_000 });
  await shows(bob, "Are you still there?");
  await bob.locator(on.answer("completed")).nth(1).waitFor();
  await alice.locator(on.answer("completed")).nth(1).waitFor();
  await picture(alice, "back");
  const texts = (page) => page.locator(on.texts).allTextContents();
  // An answer that has ended is drawn whole with the next frame of its page.
  const whole = await until(() => texts(bob), (all) => all.at(-1) !== "Are you still there?" && /still there[?.]$/.test(all.at(-1)));
  await until(() => texts(alice), (all) => isDeepStrictEqual(all, whole)); // both show the same, once, in the same order
  assert.equal(whole.filter((x) => x === "Are you still there?").length, 1);

  await alice.reload();
  await connected(alice);
  await shows(alice, "Are you still there?");
  await until(() => texts(alice), (all) => isDeepStrictEqual(all, whole)); // and so after a reload
});

test("who else is here and who types is said", { skip: noBrowser }, async (t) => {
  const server = await serve(t);
  const b = await browser(t);
  const alice = await tab(t, b, address(server, newChat()), { viewport: { width: 1300 } });
  const bob = await tab(t, b, alice.url(), narrow);
  const name = await bob.inputValue(on.name);
  const here = alice.locator(on.here, { hasText: name });
  await here.waitFor();
  await bob.locator(on.field).pressSequentially("he");
  await alice.locator(on.typing, { hasText: `${name} is typing…` }).waitFor();
  await say(bob, "hello");
  await alice.locator(on.typing).waitFor({ state: "hidden" });
  await bob.close();
  await here.waitFor({ state: "hidden" });
});

test("an edit takes back what followed, and its other version is selected", { skip: noBrowser }, async (t) => {
  const server = await serve(t);
  const chat = newChat();
  const alice = await connect(t, server);
  const room = await enter(alice, chat);
  const send = async (name, body) => {
    const answers = events(alice, `stream_end ${room}`).length;
    const { message_id } = await ask(alice, name, { room_id: room, ...body });
    await until(() => events(alice, `stream_end ${room}`).length, (n) => n > answers);
    return message_id;
  };
  const first = await send("send_message", { message: "one" });
  await send("send_message", { message: "two" });
  const page = await tab(t, await browser(t), `${server.url}/#c=${chat}`, narrow);
  await shows(page, "two");
  const texts = () => page.locator(on.texts).allTextContents();
  assert.equal((await texts()).length, 4);

  const edited = await send(`edit ${room}`, { message_id: first, content: "uno" });
  await shows(page, "uno");
  await page.locator(on.answer("completed")).waitFor();
  assert.deepEqual([(await texts()).length, (await texts())[0]], [2, "uno"]);

  await page.reload();
  await shows(page, "uno");
  assert.deepEqual([(await texts()).length, (await texts())[0]], [2, "uno"], "and so after a reload");

  await page.locator(".version", { hasText: "2 / 2" }).first().waitFor();
  await page.locator('button[data-action="previous"]:visible').click();
  await shows(page, "two");
  assert.deepEqual([(await texts()).length, (await texts())[0]], [4, "one"], "the branch that the edit left");
  await ask(alice, `select ${room}`, { message_id: edited });
  await until(texts, (t) => t.length === 2 && t[0] === "uno");
});

test("the page works below a base path", { skip: noBrowser }, async (t) => {
  const server = await serve(t, { args: ["--base-path", "/assistant"] });
  const page = await tab(t, await browser(t), `${server.url}/assistant/`, narrow);
  await say(page, "hello");
  await page.locator(on.answer("completed")).waitFor();
});

test("the page shows turns in the order in which they wait", { skip: noBrowser }, async (t) => {
  const server = await serve(t, { args: ["--eliza-word-delay", "1s"] });
  const page = await tab(t, await browser(t), server.url, narrow);
  for (const text of [story(54), "two", "three"]) await say(page, text);
  await page.locator(on.waiting).nth(1).waitFor();
  const order = () => page.locator(on.waiting).evaluateAll((all) => all.map((li) => li.dataset.turn));
  const [second, third] = await order();
  const user = await page.inputValue(on.name);
  const mine = await connect(t, server, { user });
  const room = await enter(mine, chatOf(page));
  assert.equal((await ask(mine, `move ${room}`, { turn_id: third, before_turn_id: second })).ok, true);
  await until(order, (turns) => turns[0] === third && turns[1] === second);
});

test("an invitation lets a second person in, until the owner removes them", { skip: noBrowser }, async (t) => {
  const env = { PARLOR_JWT_SECRET: "an-e2e-secret-of-thirty-two-bytes!" };
  const server = await serve(t, { env });
  const b = await browser(t);
  const signedIn = async (user, url) => {
    const context = await b.newContext({ viewport: { width: 1000, height: 800 }, permissions: ["clipboard-read", "clipboard-write"] });
    const page = await context.newPage();
    await page.goto(url);
    await page.fill(on.token, (await command(["token", "--user", user], { dir: server.dir, env })).stdout.trim());
    await page.press(on.token, "Enter");
    return page;
  };
  const alice = await signedIn("alice", server.url);
  await connected(alice);
  await say(alice, "Who will come?");
  await alice.locator(on.answer("completed")).waitFor();
  await alice.locator(on.invite).click();
  await alice.locator(on.makeInvite).click();
  await alice.locator(on.copyInvite, { hasText: "Copied" }).waitFor();
  await alice.keyboard.press("Escape");
  const link = await alice.evaluate(() => navigator.clipboard.readText());

  const bob = await signedIn("bob", link);
  await bob.getByRole("heading", { name: "invites you to talk" }).waitFor(); // what it is to is said before one comes
  await bob.locator(on.join).click();
  await connected(bob);
  await shows(bob, "Who will come?");
  assert.equal(bob.url(), alice.url(), "the address is the chat's, without the invitation");
  assert.equal(await bob.locator(on.invite).isVisible(), false, "a member invites nobody");
  await say(bob, "I have come");
  await shows(alice, "I have come");
  await picture(alice, "two people");

  const http = (page, method, path, body) => page.evaluate(async ([method, path, body]) => {
    const chat = location.pathname.split("/").at(-1);
    const headers = { Authorization: `Bearer ${sessionStorage.getItem("parlor token")}`, "Content-Type": "application/json" };
    const response = await fetch(`/api/v1/chat/${chat}/${path}`, { method, headers, body: body && JSON.stringify(body) });
    return response.status;
  }, [method, path, body]);
  for (const [from, to, user] of [[alice, bob, "bob"], [bob, alice, "alice"]]) {
    assert.equal(await http(to, "PUT", `members/${user}`, { role: "owner" }), 403, "nobody takes a chat that was not offered");
    for (const page of [from, to]) assert.equal(await http(page, "PUT", `members/${user}`, { role: "owner" }), 200);
    await to.locator(on.invite).waitFor();
    await from.locator(on.invite).waitFor({ state: "hidden" });
  }
  while (await http(alice, "POST", "invites", { role: "member" }) === 200);
  await alice.locator(on.invite).click();
  await alice.locator(on.makeInvite).click();
  await alice.locator(on.inviteProblem, { hasText: "50 open invitations" }).waitFor(); // whoever cannot invite is told why

  await http(alice, "DELETE", "members/bob");
  await bob.locator(on.problem, { hasText: "no longer a member" }).waitFor();
  await until(() => bob.locator(on.items).count(), (n) => n === 0); // nothing of the chat is left on the page
  await picture(bob, "removed");
  const late = await signedIn("eve", `${server.url}/#i=${"x".repeat(40)}`);
  await late.locator(on.problem, { hasText: "no such invitation" }).waitFor();
  await picture(late, "no such invitation");
});

test("people sign in with a password, in all tabs at once, and are out when they are disabled", { skip: noBrowser || longOnly.skip }, async (t) => {
  const server = await serve(t, { args: ["--passwords", "on"] });
  const run = async (...args) => {
    const { status, stdout, stderr } = await command([...args, "--data", "parlor.db"], { dir: server.dir });
    assert.equal(status, 0, stderr);
    return stdout.trim();
  };
  const password = await run("user", "add", "alice", "--name", "Alice"); // of the server that runs
  const context = await (await browser(t)).newContext();
  const [one, two] = [await context.newPage(), await context.newPage()];
  for (const page of [one, two]) {
    await page.goto(server.url);
    await page.locator(on.withPassword).waitFor();
    assert.equal(await page.locator(on.withToken).isVisible() || await page.locator(on.withProvider).isVisible(), false, "only what there is");
  }
  await one.fill(on.user, "alice");
  await one.fill(on.password, "wrong password");
  await one.press(on.password, "Enter");
  await one.locator(on.signInProblem, { hasText: "is wrong" }).waitFor();
  await one.fill(on.password, password);
  await one.press(on.password, "Enter");
  await connected(one);
  await connected(two);
  await two.locator(on.name, { hasText: "Alice" }).waitFor();
  await say(one, "signed in");
  await one.locator(on.answer("completed")).waitFor();
  await one.reload();
  await connected(one);
  await one.locator(on.signOut).click();
  for (const page of [one, two]) await page.locator(on.withPassword).waitFor();

  await two.fill(on.user, "alice");
  await two.fill(on.password, password);
  await two.press(on.password, "Enter");
  for (const page of [one, two]) await connected(page);
  const key = await run("key", "add", "--user", "alice", "--scope", "read");
  const asProgram = (method) => fetch(`${server.url}/api/v1/chat?limit=1`, { method, headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" }, body: method === "POST" ? '{"model_id":"eliza"}' : undefined });
  assert.deepEqual([(await asProgram("GET")).status, (await asProgram("POST")).status], [200, 403]);
  await run("user", "disable", "alice");
  for (const page of [one, two]) await page.locator(on.withPassword).waitFor();
  assert.equal((await asProgram("GET")).status, 401);
});

// The page, in a real browser: two tabs in one room, the stream, the stop
// button, and a server that goes away and comes back.
import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, noBrowser } from "./lib/browser.mjs";
import { ask, command, connect, enter, events, folder, newChat, serve, until } from "./lib/parlor.mjs";

/** A tab with storage of its own, so that it is another person. */
async function tab(t, b, url) {
  const context = await b.newContext({ viewport: { width: 1000, height: 800 } });
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (e) => errors.push(e.message));
  t.after(() => assert.deepEqual(errors, []));
  await page.goto(url);
  await page.locator('#connection[data-phase="connected"]').waitFor();
  return page;
}

const say = async (page, text) => {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
};
const shows = (page, text) => page.locator("#messages .text", { hasText: text }).first().waitFor();
const picture = async (page, name) => {
  if (process.env.PICTURES) await page.screenshot({ path: `${process.env.PICTURES}/${name}.png` });
};

test("two tabs talk, see the stream and stop it, and outlive the server", { skip: noBrowser }, async (t) => {
  const dir = folder();
  const server = await serve(t, { dir, args: ["--eliza-word-delay", "60ms"] });
  const b = await browser(t);
  const alice = await tab(t, b, server.url);
  await say(alice, "Hello, I am curious about you");
  await shows(alice, "Hello, I am curious about you");
  await alice.locator('li.assistant[data-state="completed"]').waitFor();

  const bob = await tab(t, b, alice.url());
  await shows(bob, "Hello, I am curious about you");
  await say(bob, "My father never listens to me");
  await shows(alice, "My father never listens to me");
  await alice.locator('li.assistant[data-state="running"]').waitFor();
  await picture(alice, "streaming");
  await alice.locator("#stop").click();
  await bob.locator('li.assistant[data-state="stopped"]').waitFor();
  await alice.locator('li.assistant[data-state="stopped"]').waitFor();
  await picture(bob, "stopped");

  const listen = new URL(server.url).host;
  await server.kill();
  await alice.locator('#connection:not([data-phase="connected"])').waitFor();
  await say(alice, "Are you still there?");
  await picture(alice, "disconnected");
  await serve(t, { dir, listen });
  for (const page of [alice, bob]) await page.locator('#connection[data-phase="connected"]').waitFor({ timeout: 20_000 });
  await shows(bob, "Are you still there?");
  await bob.locator('li.assistant[data-state="completed"] >> nth=1').waitFor();
  await alice.locator('li.assistant[data-state="completed"] >> nth=1').waitFor();
  await picture(alice, "back");
  const texts = (page) => page.locator("#messages li .text").allTextContents();
  assert.deepEqual(await texts(alice), await texts(bob), "both tabs show the same, once, in the same order");
  assert.equal((await texts(alice)).filter((x) => x === "Are you still there?").length, 1);

  await alice.reload();
  await alice.locator('#connection[data-phase="connected"]').waitFor();
  await shows(alice, "Are you still there?");
  assert.deepEqual(await texts(alice), await texts(bob), "and so after a reload");
});

test("who else is here and who types is said in a line", { skip: noBrowser }, async (t) => {
  const server = await serve(t);
  const b = await browser(t);
  const alice = await tab(t, b, server.url);
  const bob = await tab(t, b, alice.url());
  const name = await bob.inputValue("#name");
  const line = (text) => alice.locator("#here", { hasText: text }).waitFor();
  await line(`Here: ${name}`);
  await bob.locator("#text").pressSequentially("he");
  await line(`${name} is typing…`);
  await say(bob, "hello");
  await alice.locator("#here", { hasNotText: "typing" }).waitFor();
  await bob.close();
  await alice.locator("#here").waitFor({ state: "hidden" });
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
  const page = await tab(t, await browser(t), `${server.url}/#c=${chat}`);
  await shows(page, "two");
  const texts = () => page.locator("#messages li .text").allTextContents();
  assert.equal((await texts()).length, 4);

  const edited = await send(`edit ${room}`, { message_id: first, content: "uno" });
  await shows(page, "uno");
  await page.locator('li.assistant[data-state="completed"]').waitFor();
  assert.deepEqual([(await texts()).length, (await texts())[0]], [2, "uno"]);

  await page.reload();
  await shows(page, "uno");
  assert.deepEqual([(await texts()).length, (await texts())[0]], [2, "uno"], "and so after a reload");

  assert.equal(await page.locator("li .version").first().textContent(), "2 / 2");
  await page.locator('button[data-action="previous"]:visible').click();
  await shows(page, "two");
  assert.deepEqual([(await texts()).length, (await texts())[0]], [4, "one"], "the branch that the edit left");
  await ask(alice, `select ${room}`, { message_id: edited });
  await until(texts, (t) => t.length === 2 && t[0] === "uno");
});

test("the page works below a base path", { skip: noBrowser }, async (t) => {
  const server = await serve(t, { args: ["--base-path", "/assistant"] });
  const page = await tab(t, await browser(t), `${server.url}/assistant/`);
  await say(page, "hello");
  await page.locator('li.assistant[data-state="completed"]').waitFor();
});

test("the page shows turns in the order in which they wait", { skip: noBrowser }, async (t) => {
  const server = await serve(t, { args: ["--eliza-word-delay", "1s"] });
  const page = await tab(t, await browser(t), server.url);
  for (const text of ["one", "two", "three"]) await say(page, text);
  await page.locator('li[data-state="queued"] >> nth=1').waitFor();
  const order = () => page.locator('li[data-state="queued"]').evaluateAll((all) => all.map((li) => li.dataset.key));
  const [second, third] = await order();
  const user = await page.locator("#name").inputValue();
  const mine = await connect(t, server, { user });
  const room = await enter(mine, new URLSearchParams(new URL(page.url()).hash.slice(1)).get("c"));
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
    await page.fill("#token", (await command(["token", "--user", user], { dir: server.dir, env })).stdout.trim());
    await page.press("#token", "Enter");
    return page;
  };
  const connected = (page) => page.locator('#connection[data-phase="connected"]').waitFor();
  const alice = await signedIn("alice", server.url);
  await connected(alice);
  await say(alice, "Who will come?");
  await alice.locator('li.assistant[data-state="completed"]').waitFor();
  await alice.locator("#invite").click();
  await alice.locator("#invite", { hasText: "Copied" }).waitFor();
  const link = await alice.evaluate(() => navigator.clipboard.readText());

  const bob = await signedIn("bob", link);
  await connected(bob);
  await shows(bob, "Who will come?");
  assert.equal(new URL(bob.url()).hash, new URL(alice.url()).hash, "the address is the chat's, without the invitation");
  assert.equal(await bob.locator("#invite").isVisible(), false, "a member invites nobody");
  await say(bob, "I have come");
  await shows(alice, "I have come");
  await picture(alice, "two people");

  const http = (page, method, path, body) => page.evaluate(async ([method, path, body]) => {
    const chat = new URLSearchParams(location.hash.slice(1)).get("c");
    const headers = { Authorization: `Bearer ${sessionStorage.getItem("parlor token")}`, "Content-Type": "application/json" };
    const response = await fetch(`api/v1/chat/${chat}/${path}`, { method, headers, body: body && JSON.stringify(body) });
    return response.status;
  }, [method, path, body]);
  for (const [from, to, user] of [[alice, bob, "bob"], [bob, alice, "alice"]]) {
    assert.equal(await http(to, "PUT", `members/${user}`, { role: "owner" }), 403, "nobody takes a chat that was not offered");
    for (const page of [from, to]) assert.equal(await http(page, "PUT", `members/${user}`, { role: "owner" }), 200);
    await to.locator("#invite").waitFor();
    await from.locator("#invite").waitFor({ state: "hidden" });
  }
  while (await http(alice, "POST", "invites", { role: "member" }) === 200);
  const [dialog] = await Promise.all([
    alice.waitForEvent("dialog").then((d) => d.dismiss().then(() => d.message())), alice.locator("#invite").click(),
  ]);
  assert.match(dialog, /50 open invitations/, "whoever cannot invite is told why");

  await http(alice, "DELETE", "members/bob");
  await bob.locator("#problem", { hasText: "no longer a member" }).waitFor();
  assert.equal(await bob.locator("#messages li").count(), 0, "and nothing of the chat is left on the page");
  await picture(bob, "removed");
  const late = await signedIn("eve", `${server.url}/#i=${"x".repeat(40)}`);
  await late.locator("#problem", { hasText: "no such invitation" }).waitFor();
  await picture(late, "no such invitation");
});

test("people sign in with a password, in all tabs at once, and are out when they are disabled", { skip: noBrowser }, async (t) => {
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
    await page.locator("#with-password").waitFor();
    assert.equal(await page.locator("#with-token").isVisible() || await page.locator("#with-provider").isVisible(), false, "only what there is");
  }
  const connected = (page) => page.locator('#connection[data-phase="connected"]').waitFor();
  await one.fill("#user", "alice");
  await one.fill("#password", "wrong password");
  await one.press("#password", "Enter");
  await one.locator("#signin-error", { hasText: "is wrong" }).waitFor();
  await one.fill("#password", password);
  await one.press("#password", "Enter");
  await connected(one);
  await connected(two);
  assert.equal(await two.inputValue("#name"), "Alice");
  await say(one, "signed in");
  await one.locator('li.assistant[data-state="completed"]').waitFor();
  await one.reload();
  await connected(one);
  await one.locator("#signout").click();
  for (const page of [one, two]) await page.locator("#with-password").waitFor();

  await two.fill("#user", "alice");
  await two.fill("#password", password);
  await two.press("#password", "Enter");
  for (const page of [one, two]) await connected(page);
  const key = await run("key", "add", "--user", "alice", "--scope", "read");
  const asProgram = (method) => fetch(`${server.url}/api/v1/chat?limit=1`, { method, headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" }, body: method === "POST" ? '{"model_id":"eliza"}' : undefined });
  assert.deepEqual([(await asProgram("GET")).status, (await asProgram("POST")).status], [200, 403]);
  await run("user", "disable", "alice");
  for (const page of [one, two]) await page.locator("#with-password").waitFor();
  assert.equal((await asProgram("GET")).status, 401);
});

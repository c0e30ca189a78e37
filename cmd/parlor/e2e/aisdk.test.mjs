// The AI SDK's useChat, unmodified, in a browser (docs/aisdk.md).
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { noBrowser } from "./lib/browser.mjs";
import { calls } from "./lib/model.mjs";
import { ask, connect, enter, folder, messages, newChat, serve, sleep, story, until } from "./lib/parlor.mjs";
import { proxy } from "./lib/proxy.mjs";
import { longOnly } from "./lib/random.mjs";
import { world } from "./lib/tools.mjs";
import { apps, versions } from "./lib/usechat.mjs";

/** A parlor that answers slowly, for apps of the origin. */
const parlor = (t, app, { args = [], ...more } = {}) => serve(t, { ...more, args: ["--cors-origins", app.origin, "--eliza-word-delay", "60ms", ...args] });

const options = { skip: noBrowser };
const long = { skip: noBrowser || longOnly.skip };

/** Asserts that a tab shows what was recorded, with each message once. */
async function showsAll(server, chat, tab, count) {
  const shown = await tab.until("ready", count);
  const recorded = await messages(server, chat);
  assert.deepEqual(shown.texts, recorded.map((m) => m.content));
  assert.equal(shown.roles, recorded.map((m) => m.role).join(" "));
  assert.equal(new Set(shown.ids).size, shown.ids.length);
  assert.equal(shown.ids.length, count);
  return shown;
}

test("useChat survives kill -9", options, async (t) => {
  const app = await apps(t);
  const dir = folder();
  let server = await parlor(t, app, { dir });
  const listen = new URL(server.url).host;
  const chat = newChat();
  const alice = await app.open("6", server, chat, { user: "alice" });
  await alice.send("Hello");
  const first = await alice.until("ready", 2);
  assert.equal(first.roles, "user assistant");

  await alice.send(story(20));
  const cut = await alice.answering(5);
  await server.kill();
  await alice.until("error");
  server = await parlor(t, app, { dir, listen });
  await alice.reload();
  const back = await showsAll(server, chat, alice, 4);
  assert.equal(back.ids.at(-1), cut.ids.at(-1), "the answer keeps its id");
  assert.equal(back.metadata.at(-1).attempt, 2);
  assert.equal(back.ids[0], first.ids[0], "and the questions theirs");
});

/** A parlor whose model pays when it is told to go, and a tab of alice in which it waits for approval. */
async function paying(t, version) {
  const app = await apps(t);
  const { start, pay } = await world(t, { approval: "always", args: ["--cors-origins", app.origin], answers: {
    go: [{ content: "I look." }, ...calls(["pay", { sum: 1 }])], both: calls(["pay", { sum: 1 }], ["pay", { sum: 2 }]),
    paid: [{ content: "Done." }, "stop"], "a person has denied this call": [{ content: "Well." }, "stop"],
  } });
  const server = await start();
  const chat = newChat();
  const alice = await app.open(version, server, chat, { user: "alice" });
  await alice.ready();
  return { app, start, pay, server, chat, alice };
}

/** Asserts that a tab shows an answer that has called tools as a page does that loads the history. */
async function showsHistory(tab) {
  const shape = () => window.chat.messages.map((m) => [m.id, m.parts.map(({ type, text, state, input, output, errorText }) => ({ type, text, state, input, output, errorText }))]);
  const shown = await tab.page.evaluate(shape);
  await tab.reload();
  await tab.until("ready", shown.length);
  assert.deepEqual(await tab.page.evaluate(shape), shown);
}

/** A call is asked for on one device, the page reloaded, the server killed, and the call approved on another device. */
async function approvedElsewhere(t, version) {
  const { app, start, pay, server, chat, alice } = await paying(t, version);
  await alice.send("go", { body: { model_id: "m" } });
  const [asked] = await alice.calls("approval-requested");
  assert.deepEqual(asked.input, { sum: 1 });
  const { ids: [, id] } = await alice.until("ready", 2);
  await alice.reload();
  assert.deepEqual(await alice.calls("approval-requested"), [asked]);
  await server.kill();
  const again = await start({ listen: new URL(server.url).host });
  const phone = await app.open(version, again, chat, { user: "alice" });
  assert.deepEqual(await phone.calls("approval-requested"), [asked]);
  await phone.until("ready", 2);
  assert.equal(pay.ran.length, 0);
  await phone.call("addToolApprovalResponse", { id: asked.approval, approved: true });
  const [done] = await phone.calls("output-available");
  assert.deepEqual([done.output, pay.ran.map((r) => r.args)], ["paid", [{ sum: 1 }]]);
  const ended = await until(() => phone.state(), (s) => s.status === "ready" && s.texts.at(-1).endsWith("Done."));
  assert.deepEqual([ended.ids.length, ended.ids[1], ended.texts[1]], [2, id, "I look.\n\nDone."]);
  return { alice, phone, asked, pay, server: again, chat, app };
}

test("useChat: an approval outlives the page and the server, and is given on another device", options, async (t) => {
  await approvedElsewhere(t, "6");
});

for (const version of ["6", "7"]) {
  test(`useChat ${version}: approvals in two tabs, denied, and given by somebody else`, long, async (t) => {
    const { alice, phone, asked, pay, server, chat, app } = await approvedElsewhere(t, version);
    await showsHistory(phone);
    await alice.call("addToolApprovalResponse", { id: asked.approval, approved: false }); // it is too late, and harmless
    assert.equal((await alice.calls("output-available"))[0].output, "paid");
    await until(() => alice.state(), (s) => s.status === "ready" && s.texts.at(-1).endsWith("Done."));
    assert.equal(pay.ran.length, 1);

    await alice.send("both");
    const both = await alice.calls("approval-requested");
    await alice.until("ready", 4);
    await alice.call("addToolApprovalResponse", { id: both[0].approval, approved: false, reason: "too much" });
    await alice.call("addToolApprovalResponse", { id: both[1].approval, approved: true });
    await alice.calls("output-denied", "output-available");
    await until(() => alice.state(), (s) => s.status === "ready" && s.texts.at(-1) === "Done.");
    assert.deepEqual(pay.ran.map((r) => r.args), [{ sum: 1 }, { sum: 2 }]);
    await showsHistory(alice);

    await alice.send("go");
    const [third] = await alice.calls("approval-requested");
    await alice.until("ready", 6);
    const decided = await fetch(`${server.url}/api/v1/chat/${chat}/calls/${third.approval}`, { method: "POST", headers: { "X-Parlor-User": "bob" }, body: JSON.stringify({ decision: "approve", arguments: { sum: 3 } }) });
    assert.equal(decided.status, 200);
    await until(() => messages(server, chat), (all) => all.filter((m) => m.type === "message").length === 6);
    await alice.reload();
    const [shown] = await alice.calls("output-available");
    assert.deepEqual([shown.input, shown.output], [{ sum: 3 }, "paid"]);
    const late = await app.open(version, server, chat, { user: "alice" });
    await late.until("ready", 6);
    assert.deepEqual((await late.state()).texts, (await alice.state()).texts);
  });
}

test("useChat 5 shows calls, and approves them beside the SDK", long, async (t) => {
  const { server, chat, alice } = await paying(t, "5");
  await alice.send("go", { body: { model_id: "m" } });
  await alice.calls("input-available");
  await until(() => alice.seen(), (seen) => seen.some((s) => s.data?.data.state === "waiting"));
  await alice.reload();
  await alice.calls("input-available");
  const call = await alice.page.evaluate(() => window.chat.messages.at(-1).parts.find((p) => p.toolCallId).toolCallId);
  const decided = await fetch(`${server.url}/api/v1/chat/${chat}/calls/${call}`, { method: "POST", headers: { "X-Parlor-User": "alice" }, body: JSON.stringify({ decision: "deny" }) });
  assert.equal(decided.status, 200);
  assert.equal((await alice.calls("output-error"))[0].output, "a person has denied this call");
  await until(() => alice.state(), (s) => s.status === "ready" && s.texts.at(-1).endsWith("Well."));
  await showsHistory(alice);
});

for (const version of versions) {
  test(`useChat ${version}: kill -9, reload, two tabs`, long, async (t) => {
    const app = await apps(t);
    const dir = folder();
    let server = await parlor(t, app, { dir });
    const listen = new URL(server.url).host;
    const chat = newChat();
    const alice = await app.open(version, server, chat, { user: "alice" });
    assert.deepEqual((await alice.until("ready")).error, undefined, "a page of a chat that nobody has made has nothing to resume");
    await alice.send("Hello");
    const streamed = await alice.answering(1);
    assert.equal(streamed.status, "streaming");
    await showsAll(server, chat, alice, 2);
    assert.deepEqual((await alice.seen()).filter((s) => s.error), []);

    await alice.reload(); // the answer is told once more, and shown once
    await showsAll(server, chat, alice, 2);

    await alice.send(story(20));
    const begun = await alice.answering(3);
    await alice.reload();
    const other = await app.open(version, server, chat, { user: "alice" });
    for (const tab of [alice, other]) {
      const shown = await showsAll(server, chat, tab, 4);
      assert.equal(shown.ids.at(-1), begun.ids.at(-1));
    }

    await alice.send(story(20));
    await alice.answering(5);
    await server.kill();
    await alice.until("error");
    server = await parlor(t, app, { dir, listen });
    await alice.reload();
    await showsAll(server, chat, alice, 6);
    assert.equal((await alice.state()).metadata.at(-1).attempt, 2);
    await other.reload();
    await showsAll(server, chat, other, 6);

    await alice.send(story(20));
    await alice.answering(5);
    await server.kill("SIGTERM");
    await alice.until("error"); // no clean end of the stream
    server = await parlor(t, app, { dir, listen });
    await alice.reload();
    await showsAll(server, chat, alice, 8);
  });

  test(`useChat ${version}: edits, other answers, stops and refusals`, long, async (t) => {
    const app = await apps(t);
    const server = await parlor(t, app);
    const chat = newChat();
    const alice = await app.open(version, server, chat, { user: "alice" });
    await alice.send("Hello");
    const [mine] = (await alice.until("ready", 2)).ids;
    await alice.send("I dream of machines");
    await showsAll(server, chat, alice, 4);

    const [, , second] = (await alice.state()).ids;
    for (const text of ["I dream of computers", "I dream of machines", "I dream of computers"]) {
      await alice.send(text, { messageId: second });
      await alice.until("streaming");
      const edited = await showsAll(server, chat, alice, 4);
      assert.deepEqual([edited.ids[2], edited.texts[2]], [second, text], "an edited message keeps its id");
    }
    await alice.reload();
    assert.deepEqual((await showsAll(server, chat, alice, 4)).ids.slice(0, 3).filter((id) => id === mine || id === second), [mine, second], "after a reload too");

    await alice.call("regenerate");
    await alice.until("streaming");
    await alice.until("ready", 4);
    const recorded = await messages(server, chat);
    assert.equal(recorded.at(-1).prompt, recorded.at(2).message_id);
    assert.equal((await alice.state()).texts.at(-1), recorded.at(-1).content);

    await alice.call("regenerate", { messageId: mine }); // of an earlier one: what followed is gone
    await alice.until("streaming");
    const short = await showsAll(server, chat, alice, 2);
    assert.equal(short.ids[0], mine);

    await alice.send(story(54));
    await alice.answering(3);
    await alice.call("stop"); // which is a lost connection, to the server
    await alice.until("ready");
    assert.equal((await messages(server, chat)).length, 3, "the answer goes on");
    const { turn_id } = await alice.page.evaluate(() => window.stopOnServer());
    assert.ok(turn_id);
    const stopped = await until(() => messages(server, chat), (all) => all.length === 4);
    assert.equal(stopped.at(-1).state, "stopped");
    await alice.reload();
    await showsAll(server, chat, alice, 4);

    const notes = { type: "file", mediaType: "text/plain", filename: "notes.txt", url: `data:text/plain;base64,${btoa("The sky was blue.")}` };
    await alice.send("What do my notes say?", { files: [notes] });
    await alice.until("streaming");
    await alice.until("ready", 6);
    await alice.reload();
    await showsAll(server, chat, alice, 6);
    const [kept] = await alice.page.evaluate(() => window.chat.messages.at(-2).parts);
    assert.deepEqual([kept.type, kept.mediaType, kept.filename], ["file", "text/plain", "notes.txt"]);
    assert.equal(await (await fetch(kept.url, { headers: { "X-Parlor-User": "alice" } })).text(), "The sky was blue.");

    await alice.page.evaluate(() => window.chat.sendMessage({ text: "hi" }, { body: { policy: "shout" } }));
    const refused = await alice.until("error");
    assert.deepEqual([JSON.parse(refused.error).code, JSON.parse(refused.error).detail.includes("policy must be")], ["invalid", true]);
  });

  test(`useChat ${version}: a stop by somebody else ends the stream, and what is said twice is recorded once`, long, async (t) => {
    const app = await apps(t);
    const server = await parlor(t, app);
    const chat = newChat();
    const alice = await app.open(version, server, chat, { user: "alice" });
    const bob = await connect(t, server, { user: "bob" });
    const room_id = await enter(bob, chat);
    await alice.send(story(54));
    const { ids: [id] } = await alice.answering(3);
    await ask(bob, `stop ${room_id}`, { reason: "enough" });
    const stopped = await showsAll(server, chat, alice, 2);
    assert.deepEqual([stopped.metadata.at(-1).state, stopped.metadata.at(-1).by], ["stopped", "bob"]);

    const post = (id, text, more) => fetch(`${server.url}/api/v1/ui/chat`, {
      method: "POST", headers: { "X-Parlor-User": "alice" },
      body: JSON.stringify({ id: chat, messages: [{ id, role: "user", parts: [{ type: "text", text }] }], ...more }),
    }).then((r) => r.text());
    const twice = await Promise.all([post("m1", "Hello"), post("m1", "Hello")]);
    twice.push(await post("m1", "Hello"));
    const deltas = (body) => [...body.matchAll(/"delta":("[^"]*")/g)].map((m) => JSON.parse(m[1])).join("");
    const all = await messages(server, chat);
    assert.deepEqual(all.map((m) => m.role).join(" "), "user assistant user assistant");
    assert.deepEqual(twice.map(deltas), Array(3).fill(all.at(-1).content));
    const edits = await Promise.all([post("m1", "Good morning", { messageId: "m1" }), post("m1", "Good morning", { messageId: "m1" })]);
    edits.push(await post("m1", "Good morning", { messageId: "m1" }));
    const edited = await messages(server, chat);
    assert.deepEqual(edited.map((m) => m.content), [all[0].content, all[1].content, "Good morning", edited[3].content]);
    assert.deepEqual(edits.map(deltas), Array(3).fill(edited[3].content));
    assert.match(await post("m1", "Something else"), /"code":"conflict"/);
    const file = { type: "file", mediaType: "text/plain", filename: "notes.txt", url: `data:text/plain;base64,${btoa("The sky was blue.")}` };
    const brings = { messages: undefined, message: { id: "m2", role: "user", parts: [file, { type: "text", text: "Look" }] } };
    const looks = [await post("", "", brings), await post("", "", brings)];
    assert.equal(deltas(looks[0]), deltas(looks[1]));
    assert.equal((await messages(server, chat)).filter((m) => m.content === "Look").length, 1);
    assert.equal(id, stopped.ids[0]);
  });

  test(`useChat ${version}: a POST that Chromium sends again is said once`, long, async (t) => {
    const app = await apps(t);
    const server = await parlor(t, app);
    const network = await proxy(t, server.url);
    const chat = newChat();
    const alice = await app.open(version, network, chat, { user: "alice" });
    await alice.send("Hello");
    await alice.until("ready", 2);
    network.mute(); // the connection is kept alive, and breaks before there is an answer
    await alice.send("My father never listens to me");
    await until(() => messages(server, chat), (all) => all.length >= 3);
    await network.cut();
    const shown = await showsAll(server, chat, alice, 4);
    assert.deepEqual(shown.texts.filter((text) => text.startsWith("My father")).length, 1);
  });
}

test("useChat 7: a cut is mended in the page when it is looked at again", long, async (t) => {
  const app = await apps(t);
  const dir = folder();
  let server = await parlor(t, app, { dir });
  const listen = new URL(server.url).host;
  const network = await proxy(t, server.url);
  const chat = newChat();
  const alice = await app.open("7", network, chat, { user: "alice" });
  await alice.send(story(20));
  const cut = await alice.answering(5);
  await server.kill();
  await alice.until("error");
  server = await parlor(t, app, { dir, listen });
  await alice.page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await alice.until("streaming");
  const back = await showsAll(server, chat, alice, 2);
  assert.equal(back.ids[1], cut.ids[1]);

  // The end of an answer that was missed is told too.
  await alice.send(story(20));
  await alice.answering(3);
  await network.cut({ refuse: true });
  await alice.until("error");
  await until(() => messages(server, chat), (all) => all.length === 4);
  network.accept();
  await alice.page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await showsAll(server, chat, alice, 4);
});

test("useChat 7 over its WebSocket: stop ends the turn, and a lost socket does not", long, async (t) => {
  const secret = "an-e2e-secret-of-thirty-two-bytes!";
  const env = { PARLOR_JWT_SECRET: secret };
  const app = await apps(t);
  const server = await parlor(t, app, { env });
  const network = await proxy(t, server.url);
  const binary = process.env.PARLOR ?? new URL("../../../bin/parlor", import.meta.url).pathname;
  const token = execFileSync(binary, ["token", "--user", "alice"], { env: { ...env, PATH: process.env.PATH } }).toString().trim();
  const cookies = [{ name: "access_token", value: token, url: server.url }];
  const recorded = () => messages(server, chat, { headers: { Authorization: `Bearer ${token}` } });
  const chat = newChat();
  const alice = await app.open("7", network, chat, { ws: "yes", cookies });
  await alice.send("Hello");
  await alice.until("ready", 2);
  await alice.send(story(54));
  await alice.answering(3);
  await alice.call("stop");
  const stopped = await until(recorded, (all) => all.length === 4);
  assert.equal(stopped.at(-1).state, "stopped");
  await alice.until("ready");

  await alice.send(story(20));
  const cut = await alice.answering(3);
  await network.cut();
  await alice.until("error");
  await alice.call("resumeStream");
  const back = await alice.until("ready", 6);
  const all = await recorded();
  assert.deepEqual([back.ids.length, back.ids.at(-1), back.texts.at(-1), all.at(-1).state], [6, cut.ids.at(-1), all.at(-1).content, "completed"]);

  const stranger = await app.open("7", server, chat, { ws: "yes", idle: "yes" });
  await sleep(100);
  assert.equal(await stranger.page.evaluate(() => Boolean(window.chat)), false, "nobody gets in without a token");
});

test("a stream ends with its token, and with the role of its user", { skip: longOnly.skip }, async (t) => {
  const env = { PARLOR_JWT_SECRET: "an-e2e-secret-of-thirty-two-bytes!" };
  const server = await serve(t, { env, args: ["--eliza-word-delay", "1s", "--jwt-leeway", "0s"] });
  const binary = process.env.PARLOR ?? new URL("../../../bin/parlor", import.meta.url).pathname;
  const chat = newChat();
  const person = (user, ttl) => {
    const token = execFileSync(binary, ["token", "--user", user, "--ttl", ttl], { env: { ...env, PATH: process.env.PATH } }).toString().trim();
    return (method, path, body) => fetch(`${server.url}/api/v1${path}`, { method, headers: { Authorization: `Bearer ${token}` }, body: body && JSON.stringify(body) });
  };
  const [alice, bob, brief] = [person("alice", "1h"), person("bob", "1h"), person("bob", "4s")];
  const message = { id: "m1", role: "user", parts: [{ type: "text", text: "I am unhappy because nobody listens to what I say" }] };
  const answer = await alice("POST", "/ui/chat", { id: chat, message });
  await alice("PUT", `/chat/${chat}/members/bob`, { role: "viewer" });
  const short = brief("GET", `/ui/chat/${chat}/stream`).then((r) => r.text());
  const removed = bob("GET", `/ui/chat/${chat}/stream`).then((r) => r.text());
  assert.match(await short, /"errorText":"your token has expired or was revoked \(unauthenticated\)"\}\n\ndata: \[DONE\]\n\n$/);
  await alice("DELETE", `/chat/${chat}/members/bob`);
  assert.match(await removed, /"errorText":"[^"]*\(not_found\)"\}\n\ndata: \[DONE\]\n\n$/);
  assert.equal((await bob("GET", `/ui/chat/${chat}/stream`)).status, 204);
  await alice("POST", `/ui/chat/${chat}/stop`);
  assert.match(await answer.text(), /"type":"abort"\}\n\n.*"finishReason":"other".*\n\ndata: \[DONE\]\n\n$/);
});

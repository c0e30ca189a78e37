// How answers end, and what they were thought from: on the wire, in history, and on the page.
import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, noBrowser } from "./lib/browser.mjs";
import { address, connected, on, shows } from "./lib/page.mjs";
import { modelServer } from "./lib/model.mjs";
import { ask, connect, enter, event, events, messages, newChat, serve, until } from "./lib/parlor.mjs";

const answers = {
  think: [{ reasoning_content: "Two and " }, { reasoning_content: "two." }, { content: "Four." }, "stop"],
  tag: [{ content: "<thi" }, { content: "nk>Two and two.</th" }, { content: "ink>Four." }, "stop"],
  cut: [{ content: "Once upon a" }, "length"],
  filter: [{ content: "Well, " }, "content_filter"],
  lost: [{ content: "Half an" }, 100, false],
  empty: ["stop"],
  overthink: [{ reasoning_content: "Hm. Hm. Hm." }, "length"],
  wait: [30_000, "stop"],
};

async function world(t) {
  const model = await modelServer(t, answers);
  const server = await serve(t, { args: ["--retries", "0", "--breaker-failures", "0"], env: { OPENAI_BASE_URL: model.url } });
  const alice = await connect(t, server);
  const chat = newChat();
  const room = await enter(alice, chat, { model: "openai:m", dialect: "documented" });
  let n = 0;
  const say = async (message) => {
    await ask(alice, "send_message", { room_id: room, message });
    await until(() => events(alice, `stream_end ${room}`).length, (ends) => ends > n);
    return events(alice, `stream_end ${room}`)[n++];
  };
  return { model, server, alice, chat, room, say };
}

test("thought and the reason of the end reach clients and history", async (t) => {
  const { server, alice, chat, room, say } = await world(t);
  for (const [question, state, finish, content, thought] of [
    ["think", "completed", "stop", "Four.", "Two and two."],
    ["tag", "completed", "stop", "Four.", "Two and two."],
    ["cut", "completed", "length", "Once upon a"],
    ["filter", "completed", "content_filter", "Well, "],
    ["lost", "failed", undefined, "Half an"],
    ["empty", "failed", "stop", ""],
    ["overthink", "failed", "length", "", "Hm. Hm. Hm."],
  ]) {
    const end = await say(question);
    assert.deepEqual([end.state, end.finish], [state, finish], question);
    const { message } = await event(alice, `message ${room}`, (b) => b.message.seq === end.seq);
    const stored = (await messages(server, chat)).at(-1);
    for (const m of [message, stored]) assert.deepEqual([m.finish, m.thought], [finish, thought], question);
    assert.equal(message.content, content, question);
    if (thought) {
      const pieces = events(alice, `stream_thought ${room}`).filter((p) => p.message_id === end.message_id);
      assert.equal(pieces.map((p) => p.content).join(""), thought);
    }
    if (content === "") assert.match(message.error.message, /no answer/, "never an empty bubble");
  }
});

// A chat goes on whatever became of an answer, with a server that insists on alternating roles.
test("a chat goes on after an answer that failed, was empty, or was stopped before its first word", async (t) => {
  const { model, alice, room, say } = await world(t);
  assert.equal((await say("lost")).state, "failed");
  assert.equal((await say("empty")).state, "failed");
  await ask(alice, "send_message", { room_id: room, message: "wait" });
  await event(alice, `stream_start ${room}`, () => events(alice, `stream_start ${room}`).length === 3);
  await until(() => model.asked.length, (n) => n === 3);
  await ask(alice, `stop ${room}`, {});
  await until(() => events(alice, `stream_end ${room}`).length, (n) => n === 3);
  await ask(alice, "send_message", { room_id: room, message: "and now?" });
  await until(() => events(alice, `stream_end ${room}`).length, (n) => n === 4);
  assert.equal(events(alice, `stream_end ${room}`)[3].state, "completed", JSON.stringify(alice.seen.slice(-6)));
  const talk = model.asked.at(-1).filter((m) => m.role !== "system").map((m) => [m.role, m.content]);
  assert.deepEqual(talk.map(([role]) => role), ["user", "assistant", "user"]);
  assert.deepEqual(talk[1], ["assistant", "Half an"]);
});

test("the page says how an answer ended, and hides what was thought", { skip: noBrowser }, async (t) => {
  const { server, chat, say } = await world(t);
  for (const question of ["think", "filter", "lost", "overthink", "cut"]) await say(question);
  const page = await (await (await browser(t)).newContext({ viewport: { width: 900, height: 1000 } })).newPage();
  await page.goto(address(server, chat));
  await connected(page);
  const item = (text) => page.locator(on.answers, { hasText: text });
  await item("Four.").locator("summary").waitFor();
  assert.equal(await page.getByText("Two and two.").isVisible(), false, "thought is collapsed");
  await item("Four.").locator("summary").press("Enter"); // a click may go astray while a page that opens still finds its place
  await page.getByText("Two and two.").waitFor();
  await item("Well, ").getByText("the provider's filter cut this answer").waitFor();
  await item("Half an").getByText("the answer was cut off").waitFor();
  await page.locator(on.answers).getByText("it thought until it reached its limit of tokens").waitFor();
  await item("Once upon a").getByText("the answer reached its limit of tokens").waitFor();
  if (process.env.PICTURES) await page.screenshot({ path: `${process.env.PICTURES}/ends.png` });
  await item("Once upon a").getByRole("button", { name: "Continue" }).press("Enter");
  await shows(page, "yes");
});

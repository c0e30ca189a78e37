// The AI SDK's useChat, unmodified, in a browser (docs/aisdk.md).
import assert from "node:assert/strict";
import { test } from "node:test";
import { noBrowser } from "./lib/browser.mjs";
import { folder, messages, newChat, serve } from "./lib/parlor.mjs";
import { apps } from "./lib/usechat.mjs";

/** A parlor that answers slowly, for apps of the origin. */
const parlor = (t, app, { args = [], ...more } = {}) => serve(t, { ...more, args: ["--cors-origins", app.origin, "--eliza-word-delay", "40ms", ...args] });

test("useChat survives kill -9", { skip: noBrowser }, async (t) => {
  const app = await apps(t);
  const dir = folder();
  let server = await parlor(t, app, { dir });
  const listen = new URL(server.url).host;
  const chat = newChat();
  const alice = await app.open("6", server, chat, { user: "alice" });
  await alice.send("Hello");
  const first = await alice.until("ready", 2);
  assert.equal(first.roles, "user assistant");

  await alice.send("My father never listens to me");
  const cut = await alice.answering(5);
  await server.kill();
  await alice.until("error");
  server = await parlor(t, app, { dir, listen });
  await alice.reload();
  const back = await alice.until("ready", 4);
  const recorded = await messages(server, chat);
  assert.deepEqual(back.texts, recorded.map((m) => m.content));
  assert.equal(back.ids.at(-1), cut.ids.at(-1), "the answer keeps its id");
  assert.equal(back.metadata.at(-1).attempt, 2);
  assert.equal(back.ids[0], first.ids[0], "and the questions theirs");
});

// Talking in the page with a model that listens: a browser whose microphone is a file, and a scripted Realtime server.
import assert from "node:assert/strict";
import { test } from "node:test";
import { browser, noBrowser } from "./lib/browser.mjs";
import { address, on, picture, shows, tab } from "./lib/page.mjs";
import { connect, enter, newChat, serve, until } from "./lib/parlor.mjs";
import { realtime } from "./lib/realtime.mjs";
import { microphone, peak, sound } from "./lib/sound.mjs";
import { long } from "./lib/random.mjs";

const model = "ear";
const models = [{ model_id: model, name: "ear", display_name: "Ear", model_api_source: "openai_realtime", provider: "openai", upstream_model: "gpt-realtime" }];
const options = { permissions: ["microphone"] };
const panel = '[data-testid="voice-panel"]';
const status = '[data-testid="voice-status"]';
const hold = '[data-testid="hold"]';

/** A server whose model gives answers, in a chat with that model. */
async function world(t, answers, { args = [], more = [], chatModel = model } = {}) {
  const provider = await realtime(t, answers);
  const env = { OPENAI_API_KEY: "sk-test", OPENAI_BASE_URL: provider.url };
  const all = ["--models", JSON.stringify([...models, ...more]), ...args];
  const server = await serve(t, { args: all, env });
  const chat = newChat();
  await enter(await connect(t, server, { user: "alice" }), chat, { model: chatModel, dialect: "documented" });
  const again = () => serve(t, { args: all, env, dir: server.dir, listen: new URL(server.url).host });
  return { provider, server, chat, again };
}

/** Has a model speak for half a minute, and not end. */
function speaks(link, words) {
  const piece = sound(0.5);
  for (let i = 0; i < 60; i++) link.speak(piece, i === 0 ? words : "");
}

/** Notes what a page plays: the seconds of each piece. */
const played = (page) => page.addInitScript(() => {
  window.played = [];
  const { start } = AudioBufferSourceNode.prototype;
  AudioBufferSourceNode.prototype.start = function (...how) {
    window.played.push(this.buffer.duration);
    return start.apply(this, how);
  };
});

/** Opens a chat, and talking in it. */
async function talking(t, b, { server, chat }, { user = "alice", manner, ...how } = {}) {
  const page = await tab(t, b, address(server, chat), { user, ...options, ...how });
  await played(page);
  if (manner) await page.evaluate((m) => localStorage.setItem("parlor voice", m), manner);
  await page.reload();
  await page.locator(on.connected).waitFor();
  await page.locator('[data-testid="voice"]').click();
  return page;
}

/** Holds the button until so much was heard of what is said, in seconds. */
async function speak(page, link, seconds) {
  await page.locator(hold).hover();
  await page.mouse.down();
  const before = link()?.audio?.length ?? 0;
  await until(() => (link()?.audio?.length ?? 0) - before, (n) => n > seconds * 64_000);
}

test("one holds a button and talks, hears the answer, and talks into it", { skip: noBrowser }, async (t) => {
  const w = await world(t, [(p) => speaks(p, "It is noon, and")]);
  const b = await browser(t, { args: microphone(1) });
  const page = await talking(t, b, w);
  await page.locator(`${panel}[data-phase="open"]`).waitFor();
  await until(() => page.locator('[data-testid="level"] i').evaluate((e) => Number(/[\d.]+/.exec(e.style.transform)[0])), (level) => level > 0.2);
  await speak(page, () => w.provider.links[0], 0.3);
  await picture(page, "voice-speaking");
  w.provider.links[0].transcript = "What time is it?";
  await page.mouse.up();
  await shows(page, "What time is it?");
  await page.locator(on.answer("running"), { hasText: "It is noon, and" }).waitFor();
  await page.locator(status, { hasText: "Ear speaks" }).waitFor();
  await picture(page, "voice-answer");
  await until(() => page.evaluate(() => window.played.length), (n) => n > 1);
  const [said] = w.provider.links[0].heard;
  assert.ok(peak(said) > 0.05, `${peak(said)}`);
  w.provider.links[0].transcript = "and where?";
  w.provider.answers.push((p) => (p.speak(sound(0.1), "Here."), p.done()));
  await speak(page, () => w.provider.links[0], 0.3);
  await page.locator(on.answer("stopped"), { hasText: "It is noon, and" }).waitFor();
  await page.mouse.up();
  await shows(page, "and where?");
  await page.locator(on.answer("completed"), { hasText: "Here." }).waitFor();
  assert.equal(w.provider.links[0].cancelled, 1);
  assert.equal(await page.locator(panel).getByRole("alert").count(), 0);
});

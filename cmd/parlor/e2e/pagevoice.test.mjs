// Talking in the page with a model that listens: a browser whose microphone is a file, and a scripted Realtime server.
import assert from "node:assert/strict";
import { test } from "node:test";
import { grave } from "./lib/axe.mjs";
import { browser, noBrowser } from "./lib/browser.mjs";
import { address, on, picture, shows, tab } from "./lib/page.mjs";
import { connect, enter, newChat, serve, until } from "./lib/parlor.mjs";
import { longOnly } from "./lib/random.mjs";
import { realtime } from "./lib/realtime.mjs";
import { microphone, peak, sound } from "./lib/sound.mjs";

const model = "ear";
const models = [{ model_id: model, name: "ear", display_name: "Ear", model_api_source: "openai_realtime", provider: "openai", upstream_model: "gpt-realtime" }];
const granted = { permissions: ["microphone"] };
const longTest = { skip: noBrowser || longOnly.skip };
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

/** Notes what a page plays, the seconds of each piece, and the microphones that it opens. */
const played = (page) => page.evaluate(() => {
  window.played = [];
  const { start } = AudioBufferSourceNode.prototype;
  window.tracks = [];
  window.contexts = [];
  window.AudioContext = class extends AudioContext {
    constructor(...how) {
      super(...how);
      window.contexts.push(this);
    }
  };
  const { getUserMedia } = MediaDevices.prototype;
  MediaDevices.prototype.getUserMedia = async function (how) {
    const stream = await getUserMedia.call(this, how);
    window.tracks.push(...stream.getTracks());
    return stream;
  };
  AudioBufferSourceNode.prototype.start = function (...how) {
    window.played.push(this.buffer.duration);
    return start.apply(this, how);
  };
});

/** Opens a chat, and talking in it. */
async function talking(t, b, { server, chat }, { user = "alice", manner, ...how } = {}) {
  const page = await tab(t, b, address(server, chat), { user, ...granted, ...how });
  await played(page);
  if (manner) await page.evaluate((m) => localStorage.setItem("parlor voice", m), manner);
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

test("hands-free: speech is told from silence, and one barges in", longTest, async (t) => {
  const w = await world(t, [(p) => speaks(p, "First"), (p) => (p.speak(sound(0.1), "Second"), p.done())]);
  const page = await talking(t, await browser(t, { args: microphone(-1, 1, -2.5) }), w, { manner: "live" });
  await until(() => w.provider.links[0]?.heard.length, (n) => n === 1);
  await page.locator(status, { hasText: "Ear speaks" }).or(page.locator(on.answer("stopped"))).first().waitFor();
  await picture(page, "voice-live");
  await page.locator(on.answer("stopped"), { hasText: "First" }).waitFor(); // the microphone speaks again
  await page.locator(on.answer("completed"), { hasText: "Second" }).waitFor();
  const seconds = w.provider.links[0].heard.map((said) => (said.length * 3) / 4 / 48_000);
  assert.ok(seconds.every((s) => s > 0.5 && s < 3.5), `${seconds}`);
  await page.locator('[data-testid="mute"]').click();
  await page.locator(status, { hasText: "muted" }).waitFor();
});

test("the microphone and the loudspeaker that were chosen are used, then and the next time", longTest, async (t) => {
  const w = await world(t, []);
  const page = await talking(t, await browser(t, { args: ["--use-fake-device-for-media-stream"] }), w);
  const choice = (name) => page.locator(`[data-testid="${name}"]`);
  const choose = async (name) => {
    const other = await choice(name).locator("option").last().getAttribute("value");
    assert.notEqual(await choice(name).inputValue(), other);
    await choice(name).selectOption(other);
    return other;
  };
  await page.locator(`${panel}[data-phase="open"]`).waitFor();
  await choice("loudspeaker").waitFor();
  const listener = await choose("loudspeaker");
  const used = () => page.evaluate(() => ({ microphone: window.tracks.at(-1)?.getSettings().deviceId, state: window.tracks.at(-1)?.readyState, loudspeaker: window.contexts.filter((c) => c.state !== "closed").map((c) => c.sinkId).find(Boolean) }));
  await until(async () => (await used()).loudspeaker, (id) => id === listener);
  const first = (await used()).microphone;
  const mouth = await choose("microphone");
  await until(used, ({ microphone, state }) => microphone === mouth && state === "live");
  assert.notEqual(first, mouth);
  assert.equal(await page.evaluate(() => window.tracks[0].readyState), "ended", "the other one is let go");

  await page.getByRole("button", { name: "End talking" }).click();
  await page.locator('[data-testid="voice"]').click();
  await until(used, (now) => now.microphone === mouth && now.state === "live" && now.loudspeaker === listener);
});

test("each failure has words: no permission, none allowed any more, no microphone, a model that does not listen, a page that closes", longTest, async (t) => {
  const w = await world(t, [(p) => (p.say("heard"), p.done())], { more: [{ model_id: "reader", name: "reader", display_name: "Reader", provider: "openai" }], chatModel: "reader" });
  const b = await browser(t, { args: microphone(1) });
  const page = await talking(t, b, w, { permissions: [] });
  await page.locator(panel).getByText("Reader reads and writes; it does not listen.").waitFor();
  await picture(page, "voice-deaf");
  await page.locator(panel).getByRole("button", { name: "Talk to Ear" }).click();
  await page.locator(panel).getByRole("alert").getByText("may not use the microphone").waitFor();
  await picture(page, "voice-denied");
  assert.deepEqual(await grave(page, "dark"), []);
  await page.context().grantPermissions(["microphone"]);
  await page.locator('[data-testid="voice-retry"]').click();
  await page.locator(`${panel}[data-phase="open"]`).waitFor();

  await speak(page, () => w.provider.links[0], 0.2); // pulled out, or forbidden, in the middle
  await page.evaluate(() => window.tracks.at(-1).dispatchEvent(new Event("ended")));
  await page.locator(panel).getByText("The microphone is gone.").waitFor();
  await page.locator(panel).getByText("What you were saying was not sent.").waitFor();
  await picture(page, "voice-gone");
  await page.mouse.up();
  await page.locator('[data-testid="voice-retry"]').click();
  await page.locator(`${panel}[data-phase="open"]`).waitFor();

  await speak(page, () => w.provider.links[0], 0.2);
  await page.close(); // and what it said is not among what the next one says
  const phone = await talking(t, b, w, { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await phone.locator(panel).getByRole("button", { name: "Talk to Ear" }).click();
  await phone.locator(`${panel}[data-phase="open"]`).waitFor();
  await phone.locator(hold).focus();
  await phone.keyboard.down(" ");
  await until(() => w.provider.links[0].audio?.length, (n) => n > 32_000);
  await picture(phone, "voice-phone");
  for (const theme of ["light", "dark"]) assert.deepEqual(await grave(phone, theme), []);
  await picture(phone, "voice-phone-dark");
  await phone.keyboard.up(" ");
  await shows(phone, "heard");
  assert.equal(w.provider.links[0].heard.length, 1);

  const nothing = await talking(t, await browser(t, { args: ["--use-fake-ui-for-media-stream"] }), w, { user: "bob" });
  await nothing.locator(panel).getByRole("alert").getByText("There is no microphone.").waitFor();
});

test("kill -9 of the server in the middle of what one says: it is said that it was lost, and one says it again", longTest, async (t) => {
  const w = await world(t, [(p) => (p.say("heard"), p.done())]);
  const page = await talking(t, await browser(t, { args: microphone(1) }), w);
  await page.locator(`${panel}[data-phase="open"]`).waitFor();
  await speak(page, () => w.provider.links[0], 0.3);
  await w.server.kill();
  await page.locator(panel).getByRole("alert").getByText("The connection was lost while you spoke").waitFor();
  await page.mouse.up();
  await page.locator(status, { hasText: "Waits for the connection" }).waitFor();
  await picture(page, "voice-lost");
  await w.again();
  await page.locator(on.connected).waitFor();
  await page.locator(status, { hasText: "Ready" }).waitFor();
  await speak(page, () => w.provider.links[1], 0.3);
  await page.mouse.up();
  await page.locator(on.answer("completed"), { hasText: "heard" }).waitFor();
  assert.equal(w.provider.links[0].heard.length, 0);
});

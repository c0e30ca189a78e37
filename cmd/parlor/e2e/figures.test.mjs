// Measures the page: its size, how soon it answers, how smoothly an answer grows in it, and a very long chat.
//
// The times are printed, for a person to judge: how long a frame takes says as much about what else a machine does.
// Counts are asserted, and with a wide margin comparisons of two things that one machine did in one run.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { browser, noBrowser } from "./lib/browser.mjs";
import { modelServer } from "./lib/model.mjs";
import { address, connected, on, say } from "./lib/page.mjs";
import { ask, command, connect, enter, events, folder, newChat, serve, until } from "./lib/parlor.mjs";
import { longOnly } from "./lib/random.mjs";
import { texts, watch, watched } from "./lib/watch.mjs";

const { samples } = await texts();
const options = { skip: noBrowser || longOnly.skip, timeout: 600_000 };
const mock = readFileSync(new URL("lib/mock.html", import.meta.url), "utf8");
const TOKENS = 5000;
const MOCK_TOKENS = 500;
const PAUSE = 20; // ms: 50 tokens a second
const LETTERS = 4; // of a token

const desktop = { viewport: { width: 1280, height: 800 } };
const tab = async (b) => (await b.newContext(desktop)).newPage();
const say5 = (tokens) => samples["an answer"].repeat(Math.ceil((tokens * LETTERS) / samples["an answer"].length)).slice(0, tokens * LETTERS);
const pieces = (text) => text.match(new RegExp(`[^]{1,${LETTERS}}`, "g"));

test("the size of the first load, and the time to the first answer", options, async (t) => {
  const server = await serve(t);
  const page = await tab(await browser(t));
  const started = performance.now();
  await page.goto(server.url);
  await page.locator(on.field).waitFor();
  const ready = performance.now() - started;
  await say(page, "Hello");
  await page.locator(on.answer("completed")).waitFor();
  const answered = performance.now() - started;
  const loaded = await page.evaluate(() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
    .filter((e) => /\/(assets\/.*)?$|\.(js|css|svg)$/.test(new URL(e.name).pathname)).map((e) => e.encodedBodySize).reduce((a, b) => a + b, 0));
  t.diagnostic(`first load ${Math.round(loaded / 1000)} KB compressed, ready after ${Math.round(ready)} ms, first answer after ${Math.round(answered)} ms`);
  assert.ok(loaded < 180_000, `${loaded} bytes`);
});

test("an answer of 5,000 tokens is as smooth as text in the mock-up", options, async (t) => {
  const model = await modelServer(t, { write: [...pieces(say5(TOKENS)).flatMap((content) => [{ content }, PAUSE]), "stop"] });
  const server = await serve(t, { env: { OPENAI_BASE_URL: model.url } });
  const alice = await connect(t, server);
  const chat = newChat();
  await enter(alice, chat, { model: "openai:m" });
  const b = await browser(t);

  const drawing = await tab(b);
  await drawing.setContent(mock);
  await watch(drawing, ".md");
  await drawing.evaluate(async ([all, pause]) => {
    const text = document.querySelector(".md p").appendChild(document.createTextNode(""));
    for (const piece of all) {
      text.appendData(piece);
      await new Promise((done) => setTimeout(done, pause));
    }
  }, [pieces(say5(MOCK_TOKENS)), PAUSE]);
  const bare = await watched(drawing);
  await drawing.close();

  const page = await tab(b);
  await page.goto(address(server, chat));
  await connected(page);
  await say(page, "write");
  const markdown = `${on.answers} .markdown`;
  await page.locator(markdown).waitFor();
  await watch(page, markdown);
  await page.locator(on.answer("completed")).waitFor({ timeout: 300_000 });
  const drawn = await watched(page);

  const line = (name, tokens, { frames, p99, worst, longTasks }) => t.diagnostic(
    `${name}: ${tokens} tokens at ${1000 / PAUSE}/s, ${frames} frames, p99 ${p99} ms, worst ${worst} ms, ${longTasks.length} long tasks${longTasks.length ? ` of at most ${Math.max(...longTasks)} ms` : ""}`);
  line("mock-up, plain text", MOCK_TOKENS, bare);
  line("page, Markdown", TOKENS, drawn);
  const per = (n) => (n / TOKENS).toFixed(2);
  t.diagnostic(`for each token ${per(drawn.draws)} times drawn, ${per(drawn.touched)} nodes touched, ${per(drawn.removed)} removed; shrinks ${drawn.shrinks.length}`);
  assert.deepEqual(drawn.shrinks, []);
  assert.ok(drawn.removed < (TOKENS * LETTERS) / 20, `${drawn.removed} nodes were taken out`);
  assert.ok(drawn.draws <= 1.2 * TOKENS, `a token is drawn once, with others or alone: ${drawn.draws} times for ${TOKENS}`);
  assert.ok(drawn.touched <= 5 * TOKENS, `a token touches the end of the text only: ${drawn.touched} nodes`);
  // An answer that is parsed or laid out as a whole for each token has a long task for each of the later ones.
  const perThousand = (n, tokens) => (n * 1000) / tokens;
  const allowed = 50 + 10 * perThousand(bare.longTasks.length, MOCK_TOKENS);
  assert.ok(perThousand(drawn.longTasks.length, TOKENS) <= allowed, `${drawn.longTasks.length} long tasks: ${drawn.longTasks}`);
});

test("a token has the end of a long answer styled anew, and not all of it", options, async (t) => {
  const text = say5(TOKENS);
  const model = await modelServer(t, { write: [{ content: text }, 300, ...pieces(text).slice(0, 200).flatMap((content) => [{ content }, PAUSE]), "stop"] });
  const server = await serve(t, { env: { OPENAI_BASE_URL: model.url } });
  const chat = newChat();
  await enter(await connect(t, server), chat, { model: "openai:m" });
  const page = await tab(await browser(t));
  await page.goto(address(server, chat));
  await connected(page);
  await say(page, "write");
  await page.waitForFunction(([answers, length]) => document.querySelector(answers)?.textContent.length > length, [on.answers, TOKENS]);
  const passes = await styled(page, () => page.waitForTimeout(2000));
  const all = await page.locator(`${on.talk} *`).count();
  const mean = passes.reduce((sum, n) => sum + n, 0) / passes.length;
  t.diagnostic(`${passes.length} times something was styled: ${mean.toFixed(1)} elements of ${all} on average`);
  assert.ok(mean < all / 20, `${mean} of ${all}`);
});

/** How many elements were styled anew, each time, while something was done. */
async function styled(page, act) {
  const session = await page.context().newCDPSession(page);
  const events = [];
  session.on("Tracing.dataCollected", ({ value }) => events.push(...value));
  await session.send("Tracing.start", { transferMode: "ReportEvents", traceConfig: { includedCategories: ["devtools.timeline"] } });
  await act();
  const complete = new Promise((done) => session.once("Tracing.tracingComplete", done));
  await session.send("Tracing.end");
  await complete;
  return events.filter((e) => e.name === "UpdateLayoutTree" && e.args.elementCount > 0).map((e) => e.args.elementCount);
}

/** A data folder with a chat of so many messages for each of sizes, made from one that was really had. */
async function chats(t, sizes) {
  const server = await serve(t);
  const alice = await connect(t, server);
  const chat = newChat();
  const room = await enter(alice, chat);
  await ask(alice, "send_message", { room_id: room, message: "My father never listens to me" });
  await until(() => events(alice, `stream_end ${room}`).length, (n) => n === 1);
  const data = join(server.dir, "parlor.db");
  const exported = [];
  const dir = folder();
  for (const [name, size] of Object.entries(sizes)) {
    const made = await connect(t, server);
    await enter(made, name);
  }
  const { stdout } = await command(["export", "--data", data], { dir: server.dir });
  const lines = stdout.trim().split("\n").map((l) => JSON.parse(l));
  const at = lines.findIndex((l) => l.chat?.chat_id === chat);
  const exchange = lines.slice(at + 2, at + 1 + lines[at].records);
  exported.push(JSON.stringify(lines[0]));
  let records = 0;
  lines.forEach((l, i) => {
    const size = sizes[l.chat?.chat_id];
    if (!size) return;
    const all = [lines[i + 1].record, ...Array.from({ length: size / 2 }, (_, n) => again(exchange, n)).flat()];
    exported.push(JSON.stringify({ ...l, records: all.length }), ...all.map((record, k) => JSON.stringify({ seq: k + 1, record })));
    records += all.length;
  });
  exported.push(JSON.stringify({ end: { chats: Object.keys(sizes).length, records } }));
  const file = join(dir, "chats.jsonl");
  writeFileSync(file, exported.join("\n") + "\n");
  const imported = await command(["import", "--data", join(dir, "parlor.db"), file], { dir });
  assert.equal(imported.status, 0, imported.stderr);
  return dir;
}

/** The records of an exchange once more, with other ids, behind n others. */
function again(exchange, n) {
  const hex = n.toString(16).padStart(8, "0");
  return exchange.map(({ record }) => {
    const text = JSON.stringify(record).replace(/"[0-9a-f]{8}(-[0-9a-f-]{27}")/g, `"${hex}$1`).replaceAll("My father", `${n}: my father`);
    const copy = JSON.parse(text);
    if (copy.data.prompt_seq) copy.data.prompt_seq = 2 + n * exchange.length;
    return copy;
  });
}

test("a chat of 20,000 messages opens as fast as one of 20, and scrolls", options, async (t) => {
  const sizes = { short: 20, long: 20_000 };
  const dir = await chats(t, sizes);
  const server = await serve(t, { dir });
  const b = await browser(t);
  const times = { short: [], long: [] };
  let page;
  for (let round = 0; round < 4; round++) {
    for (const name of Object.keys(sizes)) {
      await page?.context().close();
      page = await tab(b);
      await page.addInitScript(() => sessionStorage.setItem("parlor name", "alice"));
      const started = performance.now();
      await page.goto(address(server, name));
      await page.locator(on.texts, { hasText: `${sizes[name] / 2 - 1}: my father` }).waitFor();
      if (round > 0) times[name].push(performance.now() - started); // the first time the server reads the chat, too
    }
  }
  const median = (list) => Math.round(list.sort((a, b) => a - b)[Math.floor(list.length / 2)]);
  t.diagnostic(`20 messages open in ${median(times.short)} ms, 20,000 in ${median(times.long)} ms`);
  assert.ok(median(times.long) < 5 * median(times.short)); // if all were drawn it would be hundreds

  await watch(page, on.talk);
  const { x, y, width, height } = await page.locator(on.talk).boundingBox();
  await page.mouse.move(x + width / 2, y + height / 2);
  const STEPS = 200;
  let most = 0;
  let blank = 0;
  for (let step = 0; step < STEPS; step++) {
    await page.mouse.wheel(0, -600);
    const [nodes, seen] = await page.evaluate(async () => {
      for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
      const talk = document.querySelector('[data-testid="talk"]').getBoundingClientRect();
      const inSight = [...document.querySelectorAll('[data-testid="exchange"]')].filter((e) => e.getBoundingClientRect().bottom > talk.top && e.getBoundingClientRect().top < talk.bottom);
      return [document.querySelectorAll("*").length, inSight.length];
    });
    most = Math.max(most, nodes);
    if (seen === 0) blank++;
  }
  const first = Number(/^(\d+)/.exec(await page.locator(on.texts, { hasText: "my father" }).first().innerText())[1]);
  const { frames, p99, longTasks } = await watched(page);
  t.diagnostic(`${STEPS} turns of the wheel: ${sizes.long / 2 - first} exchanges back, ${frames} frames, p99 ${p99} ms, ${longTasks.length} long tasks, at most ${most} elements, ${blank} times nothing in sight`);
  assert.ok(first < sizes.long / 2 - 100, `it goes back to older messages, and came to ${first}`);
  assert.ok(most < 3000, `${most} elements`);
  assert.ok(blank < STEPS / 20, `${blank} times nothing was in sight`);
});

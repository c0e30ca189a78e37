// Watches a page for things that are not in its text: frames, jumps, requests, reports.
import { buildSync } from "esbuild";

const samples = new URL("../../../../transport/console/page/src/markdown/samples.ts", import.meta.url).pathname;

/** The texts with which the page's own tests of Markdown work: hostile ones, and ones as models write them. */
export async function texts() {
  const [{ text }] = buildSync({ entryPoints: [samples], format: "esm", write: false }).outputFiles;
  return import(`data:text/javascript,${encodeURIComponent(text)}`);
}

/** Notes what a page asks of other servers, what its policy reports, what it throws, and the dialogs that it opens. */
export async function guard(page, server) {
  const seen = { elsewhere: [], reports: [], errors: [], dialogs: [] };
  page.on("request", (r) => { if (!/^(blob|data):/.test(r.url()) && !r.url().startsWith(server.url)) seen.elsewhere.push(r.url()); });
  page.on("pageerror", (e) => seen.errors.push(e.message));
  page.on("dialog", (d) => { seen.dialogs.push(d.message()); void d.dismiss(); });
  await page.exposeFunction("report", (text) => seen.reports.push(text));
  await page.addInitScript(() => document.addEventListener("securitypolicyviolation", (e) => window.report(`${e.effectiveDirective} ${e.blockedURI} ${e.sample}`)));
  return seen;
}

/** Nothing of what guard notes. */
export const quiet = { elsewhere: [], reports: [], errors: [], dialogs: [] };

/** Begins to note frames, long tasks, and how the element of a selector grows: how often it is drawn, and what of it is touched. */
export const watch = (page, selector) => page.evaluate((selector) => {
  const noted = { frames: [], longTasks: [], shrinks: [], removed: 0, draws: 0, touched: 0 };
  const element = document.querySelector(selector);
  new PerformanceObserver((list) => noted.longTasks.push(...list.getEntries().map((e) => Math.round(e.duration)))).observe({ type: "longtask" });
  const nodes = new MutationObserver((records) => {
    noted.draws++;
    noted.touched += records.length;
    for (const { removedNodes } of records) noted.removed += removedNodes.length;
  });
  nodes.observe(element, { childList: true, characterData: true, attributes: true, subtree: true });
  let height = 0;
  new ResizeObserver(() => { // after the layout that there is anyway
    if (element.offsetHeight < height) noted.shrinks.push(`${height} to ${element.offsetHeight} after ${element.innerText.slice(-60)}`);
    height = element.offsetHeight;
  }).observe(element);
  let last = performance.now();
  const frame = () => {
    const now = performance.now();
    noted.frames.push(now - last);
    last = now;
    window.watching = requestAnimationFrame(frame);
  };
  window.watching = requestAnimationFrame(frame);
  window.watched = noted;
}, selector);

/** Ends that, and returns what was noted. */
export async function watched(page) {
  const { frames, ...noted } = await page.evaluate(() => (cancelAnimationFrame(window.watching), window.watched));
  frames.sort((a, b) => a - b);
  return { ...noted, frames: frames.length, p99: Math.round(frames[Math.floor(frames.length * 0.99)]), worst: Math.round(frames.at(-1)) };
}

// The browser that the tests of pages run in.
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const browserPath = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
  .find((path) => path && existsSync(path));

/** Why there is no browser, or false. */
export const noBrowser = !browserPath && "no Chromium";

/** A Chromium, closed after the test. */
export async function browser(t, { args = [] } = {}) {
  const b = await chromium.launch({
    executablePath: browserPath,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", ...args],
  });
  t.after(() => b.close());
  return b;
}

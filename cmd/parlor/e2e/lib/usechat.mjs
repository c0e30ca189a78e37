// The AI SDK's useChat, unmodified, in Chromium: three versions of one app.
import { build } from "esbuild";
import { once } from "node:events";
import { createServer } from "node:http";
import { browser } from "./browser.mjs";
import { until } from "./parlor.mjs";

/** The versions of the SDK. */
export const versions = ["5", "6", "7"];

const bundles = new Map();

/** The app with one version of the SDK, as one script. */
async function bundle(version) {
  if (!bundles.has(version)) {
    bundles.set(version, build({
      entryPoints: [new URL("usechat.app.mjs", import.meta.url).pathname], bundle: true, write: false, format: "iife", logLevel: "error",
      alias: { ai: `ai${version}`, "@ai-sdk/react": `react-ai${version}` },
      define: { "process.env.NODE_ENV": '"production"' },
    }).then((result) => result.outputFiles[0].text));
  }
  return bundles.get(version);
}

/** A server of the app, on an origin of its own, and a browser. Pass its origin to parlor as cors-origins. */
export async function apps(t) {
  const files = createServer(async (request, response) => {
    const script = /^\/(\d)\.js/.exec(request.url);
    response.setHeader("content-type", script ? "text/javascript" : "text/html");
    const version = new URL(request.url, "http://x").searchParams.get("version");
    response.end(script ? await bundle(script[1]) : `<!doctype html><meta charset="utf-8"><body><script src="/${version}.js"></script>`);
  });
  files.listen(0, "127.0.0.1");
  await once(files, "listening");
  t.after(() => {
    files.closeAllConnections();
    files.close();
  });
  const origin = `http://127.0.0.1:${files.address().port}`;
  const chromium = await browser(t);
  return {
    origin,
    /** Opens the app in a tab of its own. Further parameters are those of usechat.app.mjs. */
    async open(version, server, chat, { cookies = [], ...more } = {}) {
      const context = await chromium.newContext();
      await context.addCookies(cookies);
      const page = await context.newPage();
      t.after(() => context.close().catch(() => {}));
      const asks = !more.ws && !more.idle;
      const resumed = asks && page.waitForResponse((r) => new URL(r.url()).pathname.endsWith("/stream"));
      await page.goto(`${origin}/?${new URLSearchParams({ version, chat, server: server.url, ...more })}`);
      // A message before the answer to the resume is there has the status that follows from that: so it is in the SDK.
      if (asks) await resumed.then(() => page.waitForTimeout(50));
      return new App(page);
    },
  };
}

/** One tab. */
class App {
  constructor(page) {
    this.page = page;
  }
  ready() {
    return this.page.waitForFunction(() => window.chat, null, { timeout: 20_000 });
  }
  async reload() {
    await this.page.reload();
    await this.ready();
  }
  /** Calls a method of the hook, and does not wait for what comes of it. */
  async call(method, ...args) {
    await this.ready();
    await this.page.evaluate(([method, args]) => void window.chat[method](...args), [method, args]);
  }
  send(text, more) {
    return this.call("sendMessage", { text, ...more });
  }
  /** The state of the hook. */
  async state() {
    await this.ready();
    return this.page.evaluate(() => ({
      status: window.chat.status, error: window.chat.error?.message,
      ids: window.chat.messages.map((m) => m.id),
      roles: window.chat.messages.map((m) => m.role).join(" "),
      texts: window.chat.messages.map((_, i) => window.chat.text(i)),
      metadata: window.chat.messages.map((m) => m.metadata),
    }));
  }
  /** The calls of tools of the last message, and waits until all of them have one of the states. */
  async calls(...states) {
    const calls = () => window.chat?.messages.at(-1)?.parts.filter((p) => p.toolCallId).map((p) => ({ state: p.state, input: p.input, output: p.output ?? p.errorText, approval: p.approval?.id })) ?? [];
    await until(() => this.page.evaluate(calls), (all) => all.length > 0 && all.every((c) => states.includes(c.state)), { timeout: 30_000 })
      .catch(async (e) => { throw new Error(`${e.message}\n${JSON.stringify(await this.page.evaluate(calls))}\n${JSON.stringify(await this.state())}`); });
    return this.page.evaluate(calls);
  }
  /** Waits until the hook has a status, and at least so many messages. */
  async until(status, messages = 0) {
    await this.page.waitForFunction(
      ([status, messages]) => window.chat?.status === status && window.chat.messages.length >= messages && (status !== "error" || window.chat.error), [status, messages], { timeout: 30_000, polling: 10 },
    ).catch(async (e) => { throw new Error(`${e.message}\n${JSON.stringify(await this.state())}\n${JSON.stringify(await this.seen())}`); });
    return this.state();
  }
  /** Waits until the last message is an answer that has begun. */
  async answering(length = 10) {
    await this.page.waitForFunction(
      (length) => window.chat?.messages.at(-1)?.role === "assistant" && window.chat.text(-1).length >= length, length, { timeout: 30_000, polling: 5 },
    ).catch(async (e) => { throw new Error(`${e.message}\n${JSON.stringify(await this.state())}\n${JSON.stringify(await this.seen())}`); });
    return this.state();
  }
  seen() {
    return this.page.evaluate(() => window.seen);
  }
}

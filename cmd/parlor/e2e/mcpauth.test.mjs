// Servers of tools that want a sign-in, with a real authorization server: each member's, and the operator's.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { Provider } from "oidc-provider";
import { grave } from "./lib/axe.mjs";
import { browser, noBrowser } from "./lib/browser.mjs";
import { calls, modelServer } from "./lib/model.mjs";
import { address, picture, say, tab } from "./lib/page.mjs";
import { ask, command, connect, enter, newChat, serve, until } from "./lib/parlor.mjs";
import { longOnly } from "./lib/random.mjs";

/** A server of tools at /mcp and its authorization server. The tool whoami says whose token it was asked with. */
async function guarded(t) {
  const self = { who: "nobody", seen: new Set() };
  let handle;
  const http = createServer(async (request, response) => {
    const path = new URL(request.url, "http://x").pathname;
    if (path.startsWith("/interaction/")) {
      return self.idp.interactionFinished(request, response, { login: { accountId: self.who }, consent: {} }, { mergeWithLastSubmission: false });
    }
    if (path !== "/mcp" && path !== "/meta") return handle(request, response);
    const say = (body, status = 200, headers = {}) => response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(body));
    if (path === "/meta") return say({ resource: `${self.url}/mcp`, authorization_servers: [self.url], scopes_supported: ["read"] });
    const token = await self.idp.AccessToken.find(request.headers.authorization?.replace("Bearer ", ""));
    if (!token || token.aud !== `${self.url}/mcp`) return say({}, 401, { "WWW-Authenticate": `Bearer resource_metadata="${self.url}/meta"` });
    self.seen.add(token.accountId);
    if (request.method !== "POST") return say({}, 405);
    const { id, method } = JSON.parse((await request.toArray()).join(""));
    if (id === undefined) return response.writeHead(202).end();
    const result = {
      initialize: { protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo: { name: "guarded", version: "1" } },
      "tools/list": { tools: [{ name: "whoami", inputSchema: { type: "object" }, annotations: { readOnlyHint: true } }] },
      "tools/call": { content: [{ type: "text", text: `you are ${token.accountId}` }] },
    }[method];
    say(result ? { jsonrpc: "2.0", id, result } : { jsonrpc: "2.0", id, error: { code: -32601, message: "no such method" } });
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  t.after(() => { http.closeAllConnections(); http.close(); });
  self.url = `http://127.0.0.1:${http.address().port}`;
  const resource = { getResourceServerInfo: () => ({ scope: "read", audience: `${self.url}/mcp`, accessTokenFormat: "opaque", accessTokenTTL: 3600 }) };
  self.idp = new Provider(self.url, {
    jwks: { keys: [{ ...generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256" }] },
    cookies: { keys: ["for tests"] },
    scopes: ["openid", "offline_access", "read"],
    clientAuthMethods: ["none", "client_secret_basic", "client_secret_post"],
    features: {
      devInteractions: { enabled: false }, registration: { enabled: true }, revocation: { enabled: true },
      resourceIndicators: { enabled: true, useGrantedResource: () => true, defaultResource: () => `${self.url}/mcp`, ...resource },
    },
    issueRefreshToken: () => true,
    interactions: { url: (_, { uid }) => `/interaction/${uid}` },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    async loadExistingGrant({ oidc }) {
      const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
      grant.addOIDCScope("openid offline_access read");
      grant.addResourceScope(`${self.url}/mcp`, "read");
      await grant.save();
      return grant;
    },
  });
  handle = self.idp.callback();
  return self;
}

/** Follows redirects as a browser does, with cookies of each origin, and returns the last answer. */
async function browse(url, headers = {}) {
  const jars = {};
  for (let hops = 0; hops < 15; hops++) {
    const jar = (jars[new URL(url).origin] ??= {});
    const Cookie = Object.entries(jar).map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(url, { redirect: "manual", headers: { ...headers, Cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      jar[name] = value;
    }
    if (response.status < 300 || response.status > 399) return response;
    url = new URL(response.headers.get("location"), url).href;
  }
  assert.fail("too many redirects");
}

async function world(t, server, auth) {
  const answers = new Proxy({}, { get: (_, words) => (/who am I$/.test(words) ? calls([auth === "member" ? "own_whoami" : "all_whoami", {}]) : undefined) });
  const model = await modelServer(t, answers);
  const name = auth === "member" ? "own" : "all";
  const parlor = await serve(t, {
    args: [
      "--models", JSON.stringify([{ model_id: "m", provider: "openai", tools: [`${name}/*`] }]),
      "--mcp_servers", JSON.stringify({ [name]: { url: `${server.url}/mcp`, auth } }),
    ],
    env: { OPENAI_BASE_URL: model.url },
  });
  const chat = newChat();
  const asks = async (user) => {
    const socket = await connect(t, parlor, { user });
    const room = await enter(socket, chat, { model: "m", dialect: "documented" });
    await ask(socket, "send_message", { room_id: room, message: "who am I" });
    const { body } = await until(() => socket.seen.find((e) => e.name === `function_result ${room}`), Boolean);
    await until(() => socket.seen.some((e) => e.name === `turn ${room}` && e.body.state === "completed"), Boolean);
    socket.disconnect();
    return body;
  };
  return { parlor, chat, asks, api: `${parlor.url}/api/v1/tools` };
}

test("members sign in to a server of tools, each for themselves, in one room", async (t) => {
  const server = await guarded(t);
  const { parlor, asks, api } = await world(t, server, "member");
  const as = (user) => ({ "X-Parlor-User": user });
  const login = async (user) => {
    server.who = `${user} of the server`;
    const back = await browse(`${api}/accounts/own/login`, as(user));
    assert.equal(back.status, 200, await back.clone().text());
    assert.match(await back.text(), /You are signed in to own/);
  };
  await login("alice");
  await until(() => parlor.log.some((line) => /MCP server connected.*server=own/.test(line)), Boolean);
  assert.equal((await asks("alice")).result, "you are alice of the server");
  const bob = await asks("bob");
  assert.equal(bob.state, "failed");
  assert.match(bob.result, /whoever asks has to sign in to own first, at the address \/api\/v1\/tools\/accounts\/own\/login/);
  await login("bob");
  assert.equal((await asks("bob")).result, "you are bob of the server");
  assert.equal((await asks("alice")).result, "you are alice of the server");

  const list = async (user) => (await (await fetch(`${api}/accounts`, { headers: as(user) })).json()).accounts;
  assert.deepEqual((await list("alice")).map((a) => [a.server, a.signed_in]), [["own", true]]);
  assert.deepEqual((await list("carol")).map((a) => [a.server, a.signed_in]), [["own", false]]);
  assert.equal((await fetch(`${api}/accounts/own`, { method: "DELETE", headers: as("alice") })).status, 200);
  assert.match((await asks("alice")).result, /has to sign in/);
  assert.equal((await asks("bob")).result, "you are bob of the server");
  assert.ok(!parlor.log.some((line) => /access_token|refresh_token/.test(line)));
});

test("a call that needs a sign-in leads to it from its card, and settings end it", { skip: noBrowser || longOnly.skip }, async (t) => {
  const server = await guarded(t);
  server.who = "alice of the server";
  const { parlor, chat, asks, api } = await world(t, server, "member");
  assert.equal((await browse(`${api}/accounts/own/login`, { "X-Parlor-User": "bob" })).status, 200); // models are offered the tools once a member is there
  await until(() => parlor.log.some((line) => /MCP server connected.*server=own/.test(line)), Boolean);
  await asks("bob");
  const page = await tab(t, await browser(t), address(parlor, chat), { user: "alice", extraHTTPHeaders: { "X-Parlor-User": "alice" } });
  await say(page, "who am I");
  const card = page.locator('[data-testid="card-signin"]').last();
  await card.getByRole("button", { name: "Sign in to own" }).waitFor();
  assert.deepEqual(await grave(page), []);
  await picture(page, "card-signin");
  const opening = page.context().waitForEvent("page");
  await card.getByRole("button", { name: "Sign in to own" }).click();
  const opened = await opening;
  await opened.getByText("You are signed in to own").waitFor();
  await opened.close();
  await page.evaluate(() => dispatchEvent(new Event("focus")));
  await card.getByText("You are signed in to own.").waitFor();
  await say(page, "now, who am I");
  await page.locator('[data-testid="result"]', { hasText: "you are alice of the server" }).waitFor();
  await page.goto(`${parlor.url}/settings/tools`);
  const own = page.locator('[data-testid="accounts"] [data-server="own"]');
  await own.locator("small", { hasText: "signed in since" }).waitFor();
  await picture(page, "accounts-in");
  await own.getByRole("button", { name: "Sign out of own" }).click();
  await page.locator('[data-testid="accounts"] [data-server="own"][data-signed-in="false"]').waitFor();
  assert.deepEqual(await grave(page, "dark"), []);
});

test("an operator signs in to a server of tools for all", longOnly, async (t) => {
  const server = await guarded(t);
  const { parlor, asks } = await world(t, server);
  const data = ["--data", join(parlor.dir, "parlor.db")];
  await until(async () => (await command(["tools", ...data], { dir: parlor.dir })).stdout, (text) => /all +sign_in .*parlor tools login all/.test(text));
  const login = spawn(process.env.PARLOR, ["tools", "login", "all", ...data], { cwd: parlor.dir, env: { PATH: process.env.PATH }, stdio: ["pipe", "pipe", "inherit"] });
  let said = "";
  login.stdout.on("data", (text) => (said += text));
  await until(() => /http:\S+\/auth\?\S+/.exec(said), Boolean);
  server.who = "the operator";
  const back = await browse(/http:\S+\/auth\?\S+/.exec(said)[0]);
  assert.equal(back.status, 200, await back.text());
  const [status] = await once(login, "exit");
  assert.equal(status, 0);
  assert.match(said, /signed in to all/);
  assert.equal((await until(() => asks("bob"), (r) => r.state === "completed")).result, "you are the operator");
  assert.equal((await command(["tools", "logout", "all", ...data], { dir: parlor.dir })).stdout, "revoked\n");
  assert.match((await until(() => asks("bob"), (r) => r.state === "failed")).result, /not run: the MCP server all wants a sign-in/);
});

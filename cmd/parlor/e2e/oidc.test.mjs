// Sign-in with a real OpenID Connect provider: there and back, its keys, and the end of a session on either side.
import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { Provider } from "oidc-provider";
import { browser, noBrowser } from "./lib/browser.mjs";
import { address, connected, on } from "./lib/page.mjs";
import { command, connect, enter, folder, newChat, serve, until } from "./lib/parlor.mjs";

const people = {
  "user-1": { email: "ann@example.com", email_verified: true, name: "Ann" },
  "user-2": { email: "mallory@evil.example", email_verified: true, name: "Mallory" },
  "user-3": { email: "eve@example.com", email_verified: false, name: "Eve" },
  "user-4": { email: "trudy@example.com", name: "Trudy" },
};

/** A provider at a free port. Those who come to sign in are `who`. */
async function provider(t) {
  let handle;
  const self = { who: "user-1" };
  const http = createServer((request, response) => {
    if (!request.url.startsWith("/interaction/")) return handle(request, response);
    self.current.interactionFinished(request, response, { login: { accountId: self.who } }, { mergeWithLastSubmission: false });
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  t.after(() => {
    http.closeAllConnections();
    http.close();
  });
  self.issuer = `http://127.0.0.1:${http.address().port}`;
  /** Begins with, or changes to, a new key. */
  self.rotate = (parlor, kid) => {
    const key = { ...generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" }), kid, use: "sig", alg: "RS256" };
    self.current = new Provider(self.issuer, {
      clients: [{
        client_id: "parlor", client_secret: "a secret of the client", redirect_uris: [`${parlor}/api/v1/auth/google/callback`, `${parlor}/api/v1/auth/oidc/callback`],
        backchannel_logout_uri: `${parlor}/api/v1/auth/oidc/logout`,
      }],
      jwks: { keys: [key] },
      cookies: { keys: ["for tests"] },
      claims: { profile: ["name"], email: ["email", "email_verified"] },
      features: { devInteractions: { enabled: false }, backchannelLogout: { enabled: true } },
      fetch: (url, options) => fetch(url, { ...options, dispatcher: undefined }), // its own refuses to reach this computer
      interactions: { url: (_, { uid }) => `/interaction/${uid}` },
      findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
      async loadExistingGrant({ oidc }) {
        const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
        grant.addOIDCScope("openid profile email");
        await grant.save();
        return grant;
      },
    });
    handle = self.current.callback();
  };
  return self;
}

/** A browser with cookies of each origin, which follows redirects. */
class Browser {
  jars = {};
  cookies(url) {
    return (this.jars[new URL(url).origin] ??= {});
  }
  async fetch(url, options = {}) {
    for (let hops = 0; hops < 15; hops++) {
      const jar = this.cookies(url);
      const Cookie = Object.entries(jar).map(([name, value]) => `${name}=${value}`).join("; ");
      const response = await fetch(url, { redirect: "manual", ...options, headers: { ...options.headers, Cookie } });
      for (const line of response.headers.getSetCookie()) {
        const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
        if (value === "" || /Max-Age=0/i.test(line)) delete jar[name];
        else jar[name] = value;
      }
      this.last = url;
      if (response.status < 300 || response.status > 399) return response;
      url = new URL(response.headers.get("location"), url).href;
      options = {};
      if (this.stopAt?.(url)) return { status: 0, url };
    }
    assert.fail("too many redirects");
  }
}

async function both(t, args = [], { dir, env, linked = false } = {}) {
  const idp = await provider(t);
  const trust = linked ? ["--link-issuers", idp.issuer] : [];
  const server = await serve(t, {
    args: ["--oidc-issuer", idp.issuer, "--oidc-client-id", "parlor", ...args, ...trust], env: { PARLOR_OIDC_CLIENT_SECRET: "a secret of the client", ...env }, dir,
  });
  idp.rotate(server.url, "first");
  return { idp, server, api: `${server.url}/api/v1` };
}

test("people sign in with a provider, also after it has changed its key, and are signed out with it", async (t) => {
  const { idp, server, api } = await both(t);
  const browser = new Browser();
  assert.deepEqual(await (await browser.fetch(`${api}/auth/methods`)).json(), { token: false, oidc: true, password: false, guests: false });
  assert.equal((await browser.fetch(`${api}/auth/me`)).status, 401);
  const page = await browser.fetch(`${api}/auth/oidc/login`);
  assert.equal(page.status, 200);
  assert.equal(browser.last, `${server.url}/`, "back at the page");
  assert.deepEqual(Object.keys(browser.cookies(server.url)).sort(), ["access_token", "refresh_token", "session_id"]);
  const me = await (await browser.fetch(`${api}/auth/me`)).json();
  assert.deepEqual(me, { user_id: "user-1", email: "ann@example.com", name: "Ann", picture: null });

  idp.rotate(server.url, "second");
  const other = new Browser();
  assert.equal((await other.fetch(`${api}/auth/google/login`)).status, 200);
  assert.equal((await other.fetch(`${api}/auth/me`)).status, 200, "with the new key");

  const header = (b) => ({ Cookie: Object.entries(b.cookies(server.url)).map(([name, value]) => `${name}=${value}`).join("; ") });
  const sockets = [];
  for (const b of [browser, other]) {
    const socket = await connect(t, server, { auth: { user_id: "testtest" }, extraHeaders: header(b), reconnection: false });
    await enter(socket, newChat());
    sockets.push(socket);
  }
  // Signed out at the provider, who tells this server.
  const gone = new Promise((resolve) => sockets[1].once("disconnect", resolve));
  const form = await (await other.fetch(`${idp.issuer}/session/end`)).text();
  const xsrf = form.match(/name="xsrf" value="([^"]+)"/)[1];
  await other.fetch(`${idp.issuer}/session/end/confirm`, {
    method: "POST", body: new URLSearchParams({ xsrf, logout: "yes" }), headers: { "Content-Type": "application/x-www-form-urlencoded" },
  });
  assert.equal(await gone, "transport close");
  assert.equal((await other.fetch(`${api}/auth/me`)).status, 401);
});

test("one person by a token and by the provider: linked by a verified address, or by an administrator", async (t) => {
  const dir = folder();
  const issuer = "https://tokens.example.com";
  const env = { PARLOR_JWT_SECRET: "an-e2e-secret-of-thirty-two-bytes!", PARLOR_JWT_ISSUER: issuer };
  const { idp, server, api } = await both(t, ["--link-issuers", issuer], { dir, env, linked: true });
  const sign = (claims) => {
    const parts = [{ alg: "HS256", typ: "JWT" }, { iss: issuer, exp: Date.now() / 1000 + 600, ...claims }].map((p) => Buffer.from(JSON.stringify(p)).toString("base64url"));
    return `${parts.join(".")}.${createHmac("sha256", env.PARLOR_JWT_SECRET).update(parts.join(".")).digest("base64url")}`;
  };
  const as = async (claims, path = "/auth/me") => (await fetch(api + path, { headers: { Authorization: `Bearer ${sign(claims)}` } })).json();
  assert.equal((await as({ sub: "ann", email: "Ann@example.com", email_verified: true })).user_id, "ann");
  assert.equal((await as({ sub: "eve", email: "eve@example.com", email_verified: true })).user_id, "eve");
  for (const [who, user] of [["user-1", "ann"], ["user-3", "user-3"], ["user-4", "user-4"]]) {
    const browser = new Browser();
    idp.who = who;
    await browser.fetch(`${api}/auth/oidc/login`);
    assert.equal((await (await browser.fetch(`${api}/auth/me`)).json()).user_id, user, who);
  }
  const old = await connect(t, server, { auth: { token: sign({ sub: "trudy" }) } });
  const chat = newChat();
  await enter(old, chat);
  const cut = new Promise((resolve) => old.once("disconnect", resolve));
  const linked = await command(["user", "link", "trudy", "--to", "user-4", "--data", "parlor.db"], { dir });
  assert.equal(linked.status, 0, linked.stderr);
  assert.equal(await cut, "transport close");
  const mine = await until(() => as({ sub: "user-4" }, "/chat"), (list) => list.total === 1);
  assert.deepEqual([mine.chats[0].chat_id, mine.chats[0].role], [chat, "owner"]);
  assert.equal((await as({ sub: "trudy" })).user_id, "user-4");
  const member = async (method, id, body) => {
    const headers = { Authorization: `Bearer ${sign({ sub: "eve" })}`, "Content-Type": "application/json" };
    return (await fetch(`${api}/chat/${theirs}/members/${id}`, { method, headers, body: body && JSON.stringify(body) })).json();
  };
  const theirs = newChat();
  await enter(await connect(t, server, { auth: { token: sign({ sub: "eve" }) } }), theirs);
  assert.deepEqual((await member("PUT", "trudy", { role: "member" })).members.map((m) => m.user_id), ["eve", "user-4"]);
  assert.deepEqual(await member("DELETE", "trudy"), { message: "Member removed" }, "by the same id");
  assert.match((await command(["user", "links", "--data", "parlor.db"], { dir })).stdout, /trudy +user-4 +admin/);
});

test("a sign-in that was not begun here, or that the provider does not confirm, is refused", async (t) => {
  const { idp, server, api } = await both(t, ["--oidc-allow", "@example.com"]);
  const stranger = new Browser();
  assert.equal((await stranger.fetch(`${api}/auth/oidc/callback?code=x&state=y`)).status, 401);
  assert.equal((await stranger.fetch(`${api}/auth/oidc/logout`, { method: "POST", body: new URLSearchParams({ logout_token: "x.y.z" }) })).status, 400);

  const victim = new Browser();
  victim.stopAt = (url) => url.includes("/callback?");
  const attacker = new Browser();
  attacker.stopAt = victim.stopAt;
  const { url } = await attacker.fetch(`${api}/auth/oidc/login`);
  await victim.fetch(`${api}/auth/oidc/login`);
  assert.equal((await victim.fetch(url)).status, 401, "the attacker's code in another browser");
  const state = new URL(url).searchParams.get("state");
  assert.equal((await attacker.fetch(`${api}/auth/oidc/callback?code=made-up&state=${state}`)).status, 401);
  assert.equal((await attacker.fetch(`${api}/auth/oidc/callback?error=access_denied&state=${state}`)).status, 401);
  assert.equal((await attacker.fetch(url.replace("state=", "state=x"))).status, 401);

  for (const who of ["user-2", "user-3", "user-4"]) {
    idp.who = who;
    const outsider = new Browser();
    const refused = await outsider.fetch(`${api}/auth/oidc/login`);
    assert.equal(refused.status, 401, who);
    assert.match((await refused.json()).detail, /no verified address/);
    assert.deepEqual(outsider.cookies(server.url).session_id, undefined);
  }
});

test("the SPA elsewhere is handed a token that is good once", async (t) => {
  const { api } = await both(t, ["--oidc-return-url", "https://app.example.com/login-success"]);
  const browser = new Browser();
  browser.stopAt = (url) => url.startsWith("https://app.example.com/");
  const { url } = await browser.fetch(`${api}/auth/google/login`);
  const temp = new URL(url).searchParams.get("temp_token");
  assert.equal((await browser.fetch(`${api}/auth/me`)).status, 401, "nobody is signed in yet");
  const other = new Browser();
  assert.equal((await other.fetch(`${api}/auth/validate-token?temp_token=${temp}`)).status, 200);
  assert.equal((await (await other.fetch(`${api}/auth/me`)).json()).name, "Ann");
  assert.equal((await browser.fetch(`${api}/auth/validate-token?temp_token=${temp}`)).status, 401);
});

test("the page leads to the provider and back into the chat", { skip: noBrowser }, async (t) => {
  const { server } = await both(t);
  const context = await (await browser(t)).newContext();
  const [page, other] = [await context.newPage(), await context.newPage()];
  const chat = newChat();
  await page.goto(`${server.url}/#c=${chat}`);
  await page.locator(on.withProvider).click();
  await connected(page);
  assert.equal(page.url(), address(server, chat));
  await page.locator(on.name, { hasText: "Ann" }).waitFor();
  await other.goto(server.url);
  await connected(other);
  await other.locator(on.signOut).click();
  await page.locator(on.withProvider).waitFor();
});

// Web Push: who has left is told when a long answer ends, by a push service of ours.
import assert from "node:assert/strict";
import crypto from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:https";
import { join } from "node:path";
import { test } from "node:test";
import ece from "http_ece";
import { withBody } from "./lib/body.mjs";
import { browser, noBrowser } from "./lib/browser.mjs";
import { on } from "./lib/page.mjs";
import { certificate } from "./lib/certificate.mjs";
import { ask, command, connect, enter, event, folder, newChat, serve, story, until } from "./lib/parlor.mjs";
import { longOnly } from "./lib/random.mjs";

const secret = "an-e2e-secret-of-thirty-two-bytes!";

/** A push service with a certificate of its own, and browsers that have subscribed there. */
async function pushService(t) {
  const { key, cert } = certificate();
  const authorities = join(folder(), "cert.pem");
  writeFileSync(authorities, cert);
  const got = [];
  const status = {};
  const server = createServer({ key, cert }, withBody(async (request, response, body) => {
    got.push({ path: request.url, headers: request.headers, body });
    response.writeHead(status[request.url] ?? 201).end();
  }));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => { server.closeAllConnections(); server.close(); });
  const origin = `https://127.0.0.1:${server.address().port}`;
  const subscribe = (name) => {
    const ecdh = crypto.createECDH("prime256v1");
    const p256dh = ecdh.generateKeys("base64url");
    const auth = crypto.randomBytes(16).toString("base64url");
    return { ecdh, auth, path: `/${name}`, subscription: { endpoint: `${origin}/${name}`, expirationTime: null, keys: { p256dh, auth } } };
  };
  return { authorities, origin, got, status, subscribe };
}

/** Returns the message of a push once its signature is verified, as a browser does. */
function open(push, service, b, publicKey) {
  const { t: token, k } = /^vapid t=(?<t>[^,]+), k=(?<k>.+)$/.exec(push.headers.authorization).groups;
  assert.equal(k, publicKey);
  const raw = Buffer.from(k, "base64url");
  const key = crypto.createPublicKey({ format: "jwk", key: { kty: "EC", crv: "P-256", x: raw.subarray(1, 33).toString("base64url"), y: raw.subarray(33).toString("base64url") } });
  const [head, claims, signature] = token.split(".");
  assert.ok(crypto.verify("sha256", Buffer.from(`${head}.${claims}`), { key, dsaEncoding: "ieee-p1363" }, Buffer.from(signature, "base64url")));
  const { aud, exp, sub } = JSON.parse(Buffer.from(claims, "base64url"));
  assert.deepEqual([aud, sub], [service.origin, "mailto:ops@example.com"]);
  assert.ok(exp > Date.now() / 1000 && exp <= Date.now() / 1000 + 24 * 3600);
  return JSON.parse(ece.decrypt(push.body, { version: "aes128gcm", privateKey: b.ecdh, authSecret: b.auth }));
}

/** A server that pushes, and somebody who is signed in. */
async function world(t, args = []) {
  const service = await pushService(t);
  const env = { PARLOR_JWT_SECRET: secret, SSL_CERT_FILE: service.authorities };
  const server = await serve(t, { env, args: ["--push-contact", "mailto:ops@example.com", "--push-after", "50ms", "--private-targets", "127.0.0.1", "--eliza-word-delay", "30ms", ...args] });
  const person = async (user) => {
    const token = (await command(["token", "--user", user], { dir: server.dir, env })).stdout.trim();
    const http = async (method, path, body) => {
      const response = await fetch(`${server.url}/api/v1/${path}`, {
        method, headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" }, body: body && JSON.stringify(body),
      });
      return { status: response.status, body: await response.json() };
    };
    return { token, http, connect: () => connect(t, server, { auth: { token } }) };
  };
  return { service, server, person };
}

/** Asks a question, and returns when the answer has begun. */
async function question(socket, room) {
  await ask(socket, "send_message", { room_id: room, message: story(20) });
  await event(socket, `stream_chunk ${room}`);
}

test("who has left is told when a long answer ends, encrypted and signed", async (t) => {
  const { service, person } = await world(t);
  const alice = await person("alice");
  const { public_key } = (await alice.http("GET", "push/key")).body;
  const b = service.subscribe("alice");
  assert.equal((await alice.http("POST", "push/subscriptions", b.subscription)).status, 200);
  assert.equal((await alice.http("POST", "push/subscriptions", { ...b.subscription, endpoint: "http://127.0.0.1/x" })).status, 400);

  const chat = newChat();
  const [leaves, stays] = [await alice.connect(), await alice.connect()];
  const room = await enter(leaves, chat, { dialect: "documented" });
  await enter(stays, chat, { dialect: "documented" });
  await question(leaves, room);
  leaves.disconnect();
  await event(stays, `stream_end ${room}`); // she is there with another device
  stays.seen.length = 0;
  await question(stays, room);
  stays.disconnect();
  await until(() => service.got.length, (n) => n === 1);
  assert.deepEqual(open(service.got[0], service, b, public_key), { type: "answer", chat_id: chat, state: "completed" });
  assert.ok(service.got[0].headers.ttl > 0);
});

test("subscriptions end, and a push may hold what was said", longOnly, async (t) => {
  const { service, person } = await world(t, ["--push-content", "on"]);
  const alice = await person("alice");
  const { public_key } = (await alice.http("GET", "push/key")).body;
  const [gone, kept] = [service.subscribe("gone"), service.subscribe("kept")];
  for (const b of [gone, kept]) await alice.http("POST", "push/subscriptions", b.subscription);
  service.status[gone.path] = 410;
  const away = async () => {
    const socket = await alice.connect();
    const room = await enter(socket, newChat(), { dialect: "documented" });
    await question(socket, room);
    socket.disconnect();
  };
  const at = (b) => service.got.filter((p) => p.path === b.path);
  await away();
  await until(() => at(kept).length, (n) => n === 1);
  assert.ok(open(at(kept)[0], service, kept, public_key).body.length > 0);
  await until(() => at(gone).length, (n) => n === 1);
  await away();
  await until(() => at(kept).length, (n) => n === 2);
  assert.equal(at(gone).length, 1);
  assert.equal((await (await person("eve")).http("DELETE", "push/subscriptions", { endpoint: kept.subscription.endpoint })).status, 404);
  assert.equal((await alice.http("DELETE", "push/subscriptions", { endpoint: kept.subscription.endpoint })).status, 200);
});

/**
 * Delivers pushes to the service worker of a page, and tells which notifications it has shown. The worker itself is asked:
 * getNotifications() makes Chromium forget a notification that it has stored and not yet shown.
 */
async function pushes(context, page, url) {
  await page.evaluate(async () => {
    const { active } = await navigator.serviceWorker.ready;
    if (active.state !== "activated") await new Promise((resolve) => active.addEventListener("statechange", () => active.state === "activated" && resolve()));
  });
  const worker = context.serviceWorkers()[0] ?? await context.waitForEvent("serviceworker");
  await worker.evaluate(() => {
    self.shown = [];
    const show = self.registration.showNotification.bind(self.registration);
    self.registration.showNotification = async (title, { body, tag, ...rest }) => {
      await show(title, { body, tag, ...rest });
      self.shown.push({ title, body, tag });
    };
  });
  const devtools = await context.newCDPSession(page);
  const registered = new Promise((resolve) => devtools.on("ServiceWorker.workerRegistrationUpdated", ({ registrations }) => {
    const live = registrations.find((r) => r.scopeURL.startsWith(url) && !r.isDeleted);
    if (live) resolve(live.registrationId);
  }));
  await devtools.send("ServiceWorker.enable");
  const registrationId = await registered;
  return {
    deliver: (data) => devtools.send("ServiceWorker.deliverPushMessage", { origin: url, registrationId, data: JSON.stringify(data) }),
    shown: () => worker.evaluate(() => self.shown),
  };
}

test("a push through DevTools shows a notification of its chat", { skip: noBrowser || longOnly.skip }, async (t) => {
  const { server, person } = await world(t);
  const { token } = await person("alice");
  const b = await browser(t);
  const context = await b.newContext();
  await context.grantPermissions(["notifications"], { origin: server.url });
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (e) => errors.push(e.message));
  await page.goto(`${server.url}/settings/profile`);
  await page.fill(on.token, token);
  await page.press(on.token, "Enter");
  await page.locator(on.notify).click(); // its worker is there, if there is no push service in this browser too
  const { deliver, shown } = await pushes(context, page, server.url);
  await deliver({ type: "answer", chat_id: "a chat", state: "completed" });
  assert.deepEqual(await until(shown, (all) => all.length === 1), [{ title: "parlor", body: "The answer is there.", tag: "a chat" }]);
  await deliver({ type: "answer", chat_id: "a chat", state: "failed", title: "A title", body: "<b>text</b>" });
  assert.deepEqual(await until(shown, (all) => all.length === 2).then((all) => all[1]), { title: "A title", body: "<b>text</b>", tag: "a chat" });
  assert.deepEqual(errors, []);
});

// parlor-echo, which is our Socket.IO server and nothing else, with the official
// client on every transport, in Node and in Chromium.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { io } from "socket.io-client";
import { browser, noBrowser } from "./lib/browser.mjs";
import { event, events, serveEcho, sleep, until } from "./lib/parlor.mjs";
import { proxy } from "./lib/proxy.mjs";

const ways = {
  "polling only": { transports: ["polling"] },
  "websocket only": { transports: ["websocket"] },
  "polling, then upgrade": { transports: ["polling", "websocket"] },
};

/** 900 KB; by polling, base64 makes them 1.2 MB. */
const large = () => randomBytes(900_000);
const roomy = ["--max-payload", "2000000"];

/** A client that is connected, and has upgraded if it will; seen has the arguments of what it gets. */
async function connect(t, url, { transports }, namespace = "/") {
  const socket = io(url + namespace, { transports, forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 50 });
  socket.seen = [];
  socket.onAny((name, ...args) => socket.seen.push({ name, body: args[0], args }));
  t.after(() => socket.disconnect());
  await once(socket, "connect");
  await settled(socket, transports);
  return socket;
}

const settled = (socket, transports) =>
  until(() => socket.connected && socket.io.engine.transport.name, (name) => name === transports.at(-1));

const received = (socket, name) => socket.seen.filter((e) => e.name === name).map((e) => e.args);

for (const [name, way] of Object.entries(ways)) {
  test(`${name}: events, acknowledgements and large binary both ways, in order`, async (t) => {
    const server = await serveEcho(t, ...roomy);
    const socket = await connect(t, server.url, way);
    assert.deepEqual(received(socket, "auth"), [[{}]]);

    const [a, b] = [large(), large()];
    const back = await socket.emitWithAck("message-with-ack", 1, { deep: [a, null] }, "ü");
    assert.deepEqual(back, 1, "the client resolves with the first argument");
    assert.deepEqual(await socket.emitWithAck("echo", { deep: [a, null] }), { deep: [a, null] });
    socket.emit("message", b, "text", [b.subarray(0, 10)]);
    await event(socket, "message-back");
    assert.deepEqual(received(socket, "message-back"), [[b, "text", [b.subarray(0, 10)]]]);

    socket.seen.length = 0;
    const acks = [];
    for (let i = 0; i < 300; i++) {
      socket.emit("message", i, i % 3 ? "text" : Buffer.from([i % 256]));
      acks.push(socket.emitWithAck("echo", i));
    }
    assert.deepEqual(await Promise.all(acks), Array.from({ length: 300 }, (_, i) => i));
    assert.deepEqual(received(socket, "message-back").map(([i]) => i), Array.from({ length: 300 }, (_, i) => i));
  });

  test(`${name}: comes back by itself when the network does`, async (t) => {
    const server = await serveEcho(t);
    const network = await proxy(t, server.url);
    const socket = await connect(t, network.url, way);
    const { id } = socket;
    for (let i = 0; i < 3; i++) {
      await network.cut({ refuse: true });
      await until(() => socket.connected, (connected) => !connected);
      const late = socket.emitWithAck("echo", i);
      await sleep(100);
      network.accept();
      assert.equal(await late, i);
      await settled(socket, way.transports);
    }
    assert.notEqual(socket.id, id);
    assert.ok(!socket.recovered);
  });

  test(`${name}: with --recovery it misses nothing`, async (t) => {
    const server = await serveEcho(t, "--recovery");
    const network = await proxy(t, server.url);
    const near = await connect(t, server.url, way, "/assistant/realtime");
    const far = await connect(t, network.url, way, "/assistant/realtime");
    const { id } = far;
    for (const room_id of ["r1", "r2"]) {
      for (const socket of [near, far]) {
        socket.emit("join_room", { room_id });
        await event(socket, `room_joined ${room_id}`);
      }
    }
    let sent = 0;
    const send = () => near.emit("send_message", { room_id: `r${1 + (sent % 2)}`, message: { id: sent, data: Buffer.from([sent++]) } });
    for (let round = 1; round <= 3; round++) {
      for (let i = 0; i < 5; i++) send();
      await until(() => sent, (n) => far.seen.filter((e) => e.name.startsWith("receive_message")).length === n);
      await network.cut({ refuse: true });
      await until(() => far.connected, (connected) => !connected);
      for (let i = 0; i < 10; i++) send();
      await event(near, `message_sent ${sent - 1}`);
      network.accept();
      await settled(far, way.transports);
      assert.equal(far.recovered, true);
      assert.equal(far.id, id);
    }
    send();
    await event(far, `receive_message r${1 + ((sent - 1) % 2)}`, ({ id }) => id === sent - 1);
    const got = far.seen.filter((e) => e.name.startsWith("receive_message")).map(({ body }) => [body.id, ...body.data]);
    assert.deepEqual(got, Array.from({ length: sent }, (_, i) => [i, i]), "each once and in order");
  });
}

test("acknowledgements have timeouts on both sides", async (t) => {
  const server = await serveEcho(t);
  const socket = await connect(t, server.url, ways["websocket only"]);
  await assert.rejects(socket.timeout(50).emitWithAck("never acknowledged"), /timed out/);

  const ask = (...args) => new Promise((resolve) => socket.emit("ask", ...args, (...answer) => resolve(answer)));
  let late;
  socket.on("question", (text, answer) => {
    if (text === "now") answer("yes", Buffer.from([1, 2]));
    else late = answer;
  });
  assert.deepEqual(await ask(10_000, "now"), [null, "yes", Buffer.from([1, 2])]);
  const [error] = await ask(50, "later");
  assert.match(error, /did not acknowledge in time/);
  late("too late");
  assert.deepEqual(await ask(10_000, "now"), [null, "yes", Buffer.from([1, 2])]);
});

test("volatile events are whole or lost, and no others are", async (t) => {
  const server = await serveEcho(t);
  const socket = await connect(t, server.url, ways["websocket only"]);
  await until(() => { // the answer is volatile too: lost while what was sent before is still being written
    socket.emit("message-volatile", "first", Buffer.from([1]));
    return events(socket, "message-back");
  }, (all) => all.includes("first"));
  for (let i = 0; i < 50; i++) socket.emit("message-volatile", "volatile", Buffer.alloc(100_000, i), Buffer.from([i]));
  socket.emit("message", "last");
  await event(socket, "message-back", (text) => text === "last");
  let previous = -1;
  for (const [text, big, small] of received(socket, "message-back")) {
    if (text !== "volatile") continue;
    assert.ok(small[0] > previous && big.equals(Buffer.alloc(100_000, small[0])));
    [previous] = small;
  }
});

test("namespaces share a connection", async (t) => {
  const server = await serveEcho(t);
  const main = await connect(t, server.url, ways["websocket only"]);
  const custom = main.io.socket("/custom", { auth: { token: "abc" } });
  const seen = once(custom, "auth");
  custom.connect();
  assert.deepEqual(await seen, [{ token: "abc" }]);
  const unknown = main.io.socket("/unknown").connect();
  const [error] = await once(unknown, "connect_error");
  assert.equal(error.message, "Invalid namespace");
  assert.notEqual(custom.id, main.id);
  custom.disconnect();
  assert.equal(await main.emitWithAck("echo", "still here"), "still here");
});

test("stops cleanly on SIGTERM", async (t) => {
  const server = await serveEcho(t);
  const sockets = await Promise.all(Object.values(ways).map((way) => connect(t, server.url, way)));
  const reasons = sockets.map((socket) => once(socket, "disconnect"));
  assert.deepEqual(await server.kill("SIGTERM"), [0, null]);
  for (const reason of reasons) assert.match((await reason)[0], /^transport (close|error)$/);
});

const script = fileURLToPath(new URL("./node_modules/socket.io-client/dist/socket.io.js", import.meta.url));

/** A page of another origin. */
async function blankPage(t) {
  const site = createServer((_, response) => response.setHeader("Content-Type", "text/html").end("<title>empty</title>"));
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  const page = await (await browser(t)).newPage();
  t.after(() => site.close());
  await page.goto(`http://127.0.0.1:${site.address().port}/`);
  await page.addScriptTag({ path: script });
  return page;
}

/** Runs in the page: sends 900 KB and compares what comes back. */
async function echoInPage({ url, transports }) {
  const socket = window.io(url, { transports, forceNew: true });
  const bytes = new Uint8Array(900_000).map((_, i) => (i * 31 + (i >> 8)) % 256);
  const same = (b) => b instanceof ArrayBuffer && b.byteLength === bytes.length && new Uint8Array(b).every((x, i) => x === bytes[i]);
  const message = new Promise((resolve) => socket.on("message-back", (...args) => resolve(args)));
  await new Promise((resolve, reject) => socket.on("connect", resolve).on("connect_error", reject));
  if (socket.io.engine.transport.name !== transports.at(-1)) {
    await new Promise((resolve) => socket.io.engine.on("upgrade", resolve));
  }
  const acknowledged = await socket.emitWithAck("echo", bytes);
  socket.emit("message", "ü", { bytes });
  const [text, { bytes: back }] = await message;
  const by = socket.io.engine.transport.name;
  socket.disconnect();
  return [by, same(acknowledged), text, same(back)];
}

test("Chromium, from a page of another origin", { skip: noBrowser }, async (t) => {
  const server = await serveEcho(t, ...roomy);
  const page = await blankPage(t);
  for (const { transports } of Object.values(ways)) {
    assert.deepEqual(await page.evaluate(echoInPage, { url: server.url, transports }), [transports.at(-1), true, "ü", true]);
  }
});

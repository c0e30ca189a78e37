// Hostile input, as raw bytes: each costs its sender its connection at most.
// The rows of SOCKETIO.md §3 that can concern this server carry their numbers.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { ask, connect, enter, event, events, newChat, serve, sleep, until } from "./lib/parlor.mjs";
import { longOnly } from "./lib/random.mjs";
import { Raw, binary, frame, frameHead, handshake, path, polling, request, reset, text, websocket } from "./lib/raw.mjs";

const executable = process.env.PARLOR ?? new URL("../../../bin/parlor", import.meta.url).pathname;
const secret = "0123456789abcdef0123456789abcdef";
const token = (user) => execFileSync(executable, ["token", "--user", user], { env: { GORACE: "atexit_sleep_ms=0", PARLOR_JWT_SECRET: secret } }).toString().trim();
const namespace = "/assistant/realtime,";
const limits = ["--ping-interval", "1s", "--ping-timeout", "2s", "--connect-timeout", "2s", "--log-level", "debug"];

/** Returns the use of a process: megabytes, threads and open files. */
function usage(pid) {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const number = (name) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)[1]);
  return { megabytes: number("VmRSS") / 1024, threads: number("Threads"), files: readdirSync(`/proc/${pid}/fd`).length };
}

// How much more the process may take in the end: Go gives memory back at its
// leisure, and the race detector none.
const slack = { megabytes: 256, threads: 32, files: 4 };

/** Everything the attacks need: a server, a room in it, and somebody who minds. */
async function site(t, ...more) {
  const server = await serve(t, { env: { PARLOR_JWT_SECRET: secret }, args: [...limits, ...more] });
  const jwt = token("alice");
  const bystander = await connect(t, server, { auth: { token: jwt }, reconnection: false });
  const room = await enter(bystander, newChat(), { dialect: "documented" });
  let asked = 0;
  const s = {
    server,
    room,
    jwt,
    /** The bystander is heard and answered. */
    async served() {
      const ack = await ask(bystander, `send_message ${room}`, { message: `still here ${++asked}` });
      assert.equal(ack.ok, true, JSON.stringify(ack));
      await event(bystander, `stream_end ${room}`, () => events(bystander, `stream_end ${room}`).length === asked);
      assert.ok(bystander.connected);
    },
    /** A WebSocket that is a member of the room, and on which bytes follow. */
    async member(t, ...bytes) {
      const raw = await websocket(t, server);
      raw.write(text(`40${namespace}${JSON.stringify({ token: jwt })}`));
      await raw.text(`40${namespace}`);
      raw.write(text(`42${namespace}1["join_room",{"room_id":"${room}","dialect":"documented"}]`));
      await raw.text(`43${namespace}1[{"ok":true`);
      return raw.write(...bytes);
    },
    /** How many connections have ended for a reason. */
    ended: (reason) => server.log.filter((line) => line.includes("connection closed") && line.includes(reason)).length,
    /** After it all the process is the same, takes no more than before, and stops. */
    async unharmed(t) {
      const within = (now) => Object.keys(slack).every((name) => now[name] <= before[name] + slack[name]);
      const after = await until(() => usage(server.pid), within);
      t.diagnostic(`before ${JSON.stringify(before)}, after ${JSON.stringify(after)}`);
      bystander.disconnect();
      assert.deepEqual(await server.kill("SIGTERM"), [0, null]);
    },
  };
  for (let i = 0; i < 5; i++) await s.served();
  const before = usage(server.pid);
  return s;
}

/** Subtests of hostile input, after each of which the bystander is served. */
function attacks(t, s, options = {}) {
  return (name, attack) =>
    t.test(name, options, async (t) => {
      await attack(t);
      await s.served();
    });
}

const deep = "[".repeat(300_000) + "]".repeat(300_000);
const long = "9".repeat(999_000);

// Texts of a member, each the end of its connection.
const violations = {
  "no attachments, then binary (CVE-2026-69185)": [text(`450-${namespace}["e"]`), binary("x")],
  "a billion attachments (CVE-2026-33151)": [text(`459999999-${namespace}["e",{"_placeholder":true,"num":0}]`), binary("x")],
  "an event name that is an object (CVE-2023-32695)": [text(`42${namespace}[{"toString":"foo"}]`)],
  "a placeholder that is a method (CVE-2022-2421)": [text(`451-${namespace}["e",{"_placeholder":true,"num":"splice"}]`), binary("x")],
  "a placeholder out of range (CVE-2022-2421)": [text(`451-${namespace}["e",{"_placeholder":true,"num":10}]`), binary("x")],
  "an id of a million digits (CVE-2020-36049)": [text(`42${long}`)],
  "a namespace of a million bytes (CVE-2020-36049)": [text(`42/${long}`)],
  "a million digits of attachments (CVE-2020-36049)": [text(`45${long}`)],
  "an id beyond 2^53": [text(`42${namespace}9007199254740993["join_room",{}]`)],
  "300,000 nested brackets": [text(`42${namespace}["e",${deep}]`)],
  "300,000 nested brackets that nobody closes": [text(`42${namespace}["e",${deep.slice(0, 300_000)}`)],
  "nested brackets as credentials": [text(`40/other,{"token":${deep.slice(0, 10_000)}}`)],
  "text while attachments are due": [text(`451-${namespace}["e",{"_placeholder":true,"num":0}]`), text(`42${namespace}["e"]`)],
  "an attachment of nothing": [binary("x")],
  "a reserved event": [text(`42${namespace}["disconnect"]`)],
  "an object for an event": [text(`42${namespace}{}`)],
  "a number for an acknowledgement": [text(`43${namespace}1{}`)],
  "broken JSON": [text(`42${namespace}["e",`)],
  "packet type 9": [text(`49${namespace}`)],
  "no packet type": [text(`4`)],
  "an event of a namespace never joined": [text(`42/other,["e"]`)],
  "a second CONNECT": [text(`40${namespace}{}`)],
  "a CONNECT_ERROR": [text(`44${namespace}{"message":"x"}`)],
  "a payload for a DISCONNECT": [text(`41${namespace}{}`)],
  "credentials that are no object": [text(`40/other,"x"`)],
};

// Bytes on a WebSocket, and the code with which it is closed.
const frames = {
  "garbage": ["test", 1002],
  "an unmasked frame": [frame(0x81, "4x", { mask: false }), 1002],
  "RSV1": [frame(0xc1, "4x"), 1002],
  "RSV2": [frame(0xa1, "4x"), 1002],
  "RSV3": [frame(0x91, "4x"), 1002],
  "reserved opcode 3": [frame(0x83, "4x"), 1002],
  "reserved opcode 11": [frame(0x8b, "x"), 1002],
  "a continuation of nothing": [frame(0x80, "4x"), 1002],
  "a message inside a message": [Buffer.concat([frame(0x01, "4x"), text("4x")]), 1002],
  "a fragmented ping": [frame(0x09, "x"), 1002],
  "a ping of 126 bytes": [frame(0x89, "x".repeat(126)), 1002],
  "a close of one byte": [frame(0x88, "\x03"), 1006],
  "a close with code 1005": [frame(0x88, Buffer.from([3, 0xed])), 1002],
  "a close whose reason is no UTF-8": [frame(0x88, Buffer.from([3, 0xe8, 0xff])), 1002],
  "invalid UTF-8": [frame(0x81, Buffer.from([0x34, 0xff])), 1007],
  "invalid base64": [text("b?"), 1007],
  "2^62 bytes announced": [frameHead(0x81, 2n ** 62n), 1009],
  "2^63 bytes announced": [frameHead(0x81, 2n ** 63n), 1009],
  "256 MB announced (CVE-2016-10542)": [frameHead(0x82, 256 << 20), 1009],
  "a message over the limit": [text("4" + "x".repeat(1_000_000)), 1009],
  "a message over the limit, in parts": [Buffer.concat([frame(0x01, "4" + "x".repeat(600_000)), frame(0x80, "x".repeat(600_000))]), 1009],
  "no packet": [text("abc"), 1002],
  "a ping of the client's": [text("2"), 1002],
  "a probe of nothing": [text("2probe"), 1002],
};

// Handshakes, and the status they are answered with.
const handshakes = {
  "transport __proto__ (CVE-2023-31125)": [request("GET", "/socket.io/?EIO=4&transport=__proto__", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 400],
  "transport webtransport (GHSA-gr94-w7qr-f4j3)": [request("GET", path("webtransport")), 400],
  "sid __proto__ (GHSA-gr94-w7qr-f4j3)": [request("GET", path("polling", "&sid=__proto__")), 400],
  "sid __proto__ for a WebSocket": [handshake("&sid=__proto__"), 400],
  "protocol 3": [request("GET", "/socket.io/?EIO=3&transport=polling"), 400],
  "a page of another origin, WebSocket (CVE-2019-13611)": [handshake("", "Origin: http://evil.example\r\n"), 400],
  "a page of another origin, polling (CVE-2020-28481)": [request("GET", path("polling"), "Origin: http://evil.example\r\n"), 403],
  "a page of no origin": [handshake("", "Origin: null\r\n"), 400],
  "an origin with control characters": [handshake("", "Origin: http://a\x01b\r\n"), 400],
  "a POST without sid": [request("POST", path("polling"), "Content-Length: 0\r\n"), 400],
  "extensions that are properties (GHSA-5v72-xg48-5rpm)": [handshake("", `Sec-WebSocket-Extensions: constructor, permessage-deflate; a=";\r\n`), 101],
  "a protocol of 30,000 spaces (CVE-2021-32640)": [handshake("", `Sec-WebSocket-Protocol: a,${" ".repeat(30_000)}b\r\n`), 101],
  "2,500 headers (CVE-2024-37890)": [handshake("", "X-A: b\r\n".repeat(2500)), 101],
  "100,000 headers": [handshake("", "X-A: b\r\n".repeat(100_000)), 431],
  "a header of a megabyte": [handshake("", `Cookie: ${"a".repeat(1 << 20)}\r\n`), 431],
  "a path of a megabyte": [request("GET", path("polling", "&a=" + "a".repeat(1 << 20))), 431],
  "no WebSocket key": [handshake().replace(/Sec-WebSocket-Key.*\r\n/, ""), 400],
  "a WebSocket key that is none": [handshake().replace(/Key: .*\r\n/, "Key: x\r\n"), 400],
  "WebSocket version 12": [handshake().replace("Version: 13", "Version: 12"), 400],
  "an upgrade that is none": [handshake().replace("Upgrade: websocket", "Upgrade: h2c"), 400],
  "a WebSocket by POST": [handshake().replace("GET", "POST"), 400],
  "two lengths of a body": [request("POST", path("polling", "&sid=x"), "Content-Length: 5\r\nContent-Length: 6\r\n", "4hello"), 400],
  "a negative length of a body": [request("POST", path("polling", "&sid=x"), "Content-Length: -1\r\n"), 400],
  "garbage for a request": ["\x16\x03\x01\x00\xa5\x01\r\n\r\n", 400],
};

test("packets that are none", async (t) => {
  const s = await site(t);
  const [attack, slowAttack] = [attacks(t, s), attacks(t, s, longOnly)];
  for (const [name, bytes] of Object.entries(violations)) {
    await attack(name, async (t) => {
      const before = s.ended("parse error");
      assert.equal(await (await s.member(t, ...bytes)).closeCode(), 1000);
      await until(() => s.ended("parse error"), (n) => n === before + 1);
    });
  }
  await attack("300,000 nested brackets as credentials", async (t) => {
    const raw = await websocket(t, s.server);
    raw.write(text(`40${namespace}{"token":${deep.slice(0, 50_000)}}`)); // is not parsed
    await raw.text(`44${namespace}{"message":"auth must not be longer than 16384 bytes"}`);
    raw.write(text(`40${namespace}{"token":${deep}}`));
    assert.equal(await raw.closeCode(), 1009);
  });
  await attack("credentials without end", async (t) => {
    const raw = await websocket(t, s.server);
    raw.write(...Array.from({ length: 100 }, (_, i) => text(`40${namespace}{"token":"${i}"}`)));
    assert.equal(await raw.closeCode(), 1000);
    assert.equal(raw.texts().filter((x) => x.startsWith("44")).length, 5);
  });
  await attack("attachments of somebody who has not signed in", async (t) => {
    const raw = await websocket(t, s.server, { bytes: text(`451-${namespace}["e",{"_placeholder":true,"num":0}]`) });
    assert.equal(await raw.closeCode(), 1000);
  });
  await attack("the event error (CVE-2024-38355)", async (t) => {
    const raw = await s.member(t, text(`42${namespace}["error"]`));
    await raw.text(`42${namespace}["error`);
  });
  await attack("acknowledgements of nothing", async (t) => {
    const raw = await s.member(t, ...Array.from({ length: 1000 }, (_, i) => text(`43${namespace}${i}[]`)));
    raw.write(text(`42${namespace}7["join_room",{"room_id":"__proto__"}]`));
    await raw.text(`43${namespace}7[{"ok":false`);
  });
  await attack("1000 CONNECTs to unknown namespaces", async (t) => {
    const raw = await s.member(t, ...Array.from({ length: 1000 }, (_, i) => text(`40/n${i},`)));
    await raw.text("44/n999,");
    assert.equal(raw.texts().filter((x) => x.startsWith("44/n")).length, 1000);
  });
  await attack("attachments that never come", async (t) => {
    for (let i = 0; i < 50; i++) {
      await s.member(t, text(`459-${namespace}["e"${',{"_placeholder":true,"num":0}'.repeat(9)}]`), binary("x".repeat(100_000)));
    }
  });
  await slowAttack("connections that never CONNECT", async (t) => {
    const all = await Promise.all(Array.from({ length: 100 }, () => websocket(t, s.server)));
    await Promise.all(all.map((raw) => raw.closed({ timeout: 20_000 }).catch(() => raw.closeCode())));
  });
  await s.unharmed(t);
});

test("bytes that are no WebSocket", longOnly, async (t) => {
  const s = await site(t);
  const [attack, slowAttack] = [attacks(t, s), attacks(t, s, longOnly)];
  for (const [name, [bytes, code]] of Object.entries(frames)) {
    await attack(name, async (t) => assert.equal(await (await websocket(t, s.server, { bytes })).closeCode(), code));
  }
  for (const [name, [bytes, status]] of Object.entries(handshakes)) {
    await attack(name, async (t) => assert.equal(await new Raw(t, s.server, bytes).status(), status));
  }
  await attack("bytes right behind the handshake (CVE-2022-21676)", async (t) => {
    const { more } = await polling(t, s.server);
    for (const where of ["", more]) await new Raw(t, s.server, handshake(where) + "test").closed();
  });
  await attack("resets right behind the handshake (CVE-2022-41940)", async (t) => {
    for (let i = 0; i < 100; i++) {
      const { more } = i % 2 === 0 ? { more: "" } : await polling(t, s.server);
      const raw = new Raw(t, s.server, handshake(more));
      if (i % 5 !== 0) await raw.status();
      if (i % 3 !== 0) raw.write(text("2probe"), frame(0x01, "4"));
      reset(raw.socket);
    }
  });
  await attack("a storm of pings and pongs (CVE-2026-48802)", async (t) => {
    const storm = Buffer.concat(Array.from({ length: 10_000 }, () => Buffer.concat([text("3"), frame(0x8a, "x"), frame(0x89, "x")])));
    const raw = await s.member(t, ...Array(10).fill(storm));
    raw.write(text(`42${namespace}7["history",{"room_id":"${s.room}"}]`));
    await raw.text(`43${namespace}7[`);
  });
  for (const [name, fragment] of [["one byte each (CVE-2026-48779)", "x"], ["empty", ""]]) {
    await slowAttack(`fragments without end, ${name}`, async (t) => {
      const raw = await websocket(t, s.server, { bytes: frame(0x01, "4") });
      await raw.flood(Buffer.concat(Array(1000).fill(frame(0x00, fragment)))); // ends
    });
    await slowAttack(`fragments without end, slowly, ${name}`, async (t) => {
      const raw = await websocket(t, s.server, { bytes: frame(0x01, "4") });
      for (; !raw.ended; await sleep(20)) raw.write(frame(0x00, fragment));
    });
  }
  await s.unharmed(t);
});

test("polling that is none", longOnly, async (t) => {
  const s = await site(t, "--max-stranger-payload", "1000000");
  const [attack, slowAttack] = [attacks(t, s), attacks(t, s, longOnly)];
  /** The session is over; where nobody polled, the next poll is told so. */
  const gone = async (session) => {
    const last = await session.get();
    assert.ok(last.status === 400 || (await last.text()).endsWith("1"));
    assert.equal((await session.get()).status, 400);
  };

  await attack("octet-stream, as protocol 3 had it (CVE-2026-59725)", async (t) => {
    for (let i = 0; i < 20; i++) {
      const session = await polling(t, s.server);
      assert.equal((await session.post("x", { "Content-Type": "application/octet-stream" })).status, 400);
      await gone(session);
    }
  });
  for (const [name, body] of Object.entries({
    "half a million packets in one body (CVE-2020-36048)": "3\x1e".repeat(499_999) + "3",
    "packets of protocol 3 (CVE-2020-36048)": "2:4a".repeat(200_000),
    "a packet that lies about its length (CVE-2020-36048)": "900000000:4aaa",
    "nothing but separators": "\x1e".repeat(999_999),
    "nothing": "",
    "a ping of the client's": "2",
  })) {
    await attack(name, async (t) => {
      const session = await polling(t, s.server);
      assert.equal((await session.post(body)).status, 400);
      await gone(session);
    });
  }
  await attack("a gigabyte announced, and sent slowly", async (t) => {
    const session = await polling(t, s.server);
    const raw = session.raw("POST", "Content-Length: 1000000000\r\n", "4");
    assert.equal(await raw.status(), 413);
    await raw.closed();
  });
  await slowAttack("a body that never ends", async (t) => {
    const session = await polling(t, s.server);
    await session.post(`40${namespace}${JSON.stringify({ token: s.jwt })}`);
    const before = s.ended("ping timeout");
    const raw = session.raw("POST", "Content-Length: 900000\r\n", "4");
    for (; !raw.ended; await sleep(20)) raw.write("x");
    assert.ok(s.ended("ping timeout") > before);
    await gone(session);
  });
  await slowAttack("chunks past the limit", async (t) => {
    const session = await polling(t, s.server);
    const raw = session.raw("POST", "Transfer-Encoding: chunked\r\n", "4");
    await raw.write("").status().catch(() => {});
    const other = (await polling(t, s.server)).raw("POST", "Transfer-Encoding: chunked\r\n", "");
    for (let i = 0; i < 20; i++) other.write("20000\r\n", "x".repeat(0x20000), "\r\n");
    assert.equal(await other.status(), 413);
    await other.closed();
  });
  await attack("chunks that are none", async (t) => {
    for (const chunk of ["ffffffffffffffffff\r\n", "-1\r\n", "5;\x00=" + "a".repeat(100_000) + "\r\n", "zz\r\n"]) {
      const session = await polling(t, s.server);
      assert.equal(await session.raw("POST", "Transfer-Encoding: chunked\r\n", chunk).status(), 400);
      await gone(session);
    }
  });
  await attack("a length and chunks", async (t) => {
    const session = await polling(t, s.server);
    const raw = session.raw("POST", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "2\r\n3\x1e\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    await raw.closed();
  });
  await attack("two polls at once", async (t) => {
    const session = await polling(t, s.server);
    const first = session.get();
    await sleep(50);
    await gone(session);
    assert.equal(await (await first).text(), "1");
  });
  await attack("two POSTs at once", async (t) => {
    const session = await polling(t, s.server);
    session.raw("POST", "Content-Length: 100\r\n", "4");
    await sleep(50);
    assert.equal((await session.post("3")).status, 400);
    await gone(session);
  });
  await slowAttack("300 sessions abandoned", async (t) => {
    const sessions = await Promise.all(Array.from({ length: 300 }, () => polling(t, s.server)));
    await until(() => usage(s.server.pid).files, (n) => n < 100);
    await sleep(3500); // what would have been the ping timeout of any
    for (const session of sessions) await gone(session);
  });
  await attack("no session is like another (CVE-2017-16031)", async (t) => {
    const ids = await Promise.all(Array.from({ length: 100 }, async () => (await polling(t, s.server)).sid));
    assert.equal(new Set(ids.map((id) => id.slice(0, 8))).size, 100);
  });
  await s.unharmed(t);
});

test("upgrades that are none", async (t) => {
  const s = await site(t);
  const attack = attacks(t, s);
  /** The session goes on by polling: it is asked for what there is not. */
  const polls = async (session) => {
    assert.equal(await (await session.post("40/nowhere,")).text(), "ok");
    const packets = await until(async () => (await session.get()).text(), (body) => body.includes("44/nowhere"));
    assert.ok(packets);
  };
  /** Another WebSocket of the session is opened, and closed at once. */
  const turnedAway = async (t, session) => {
    const raw = await (await websocket(t, s.server, { more: session.more })).closed();
    assert.deepEqual(raw.frames().map(({ opcode, data }) => [opcode, data.length]), [[8, 0]]);
  };
  for (const [name, bytes] of Object.entries({
    "without a probe": text("5"),
    "with a message for a probe": text("4hello"),
    "with garbage for a probe": "test",
    "with an endless probe": text("2probe" + "x".repeat(100_000)),
    "with half a probe": frame(0x01, "2pro"),
    "with a binary probe": binary("2probe"),
  })) {
    await attack(name, async (t) => {
      const session = await polling(t, s.server);
      const raw = await websocket(t, s.server, { more: session.more, bytes });
      await polls(session);
      raw.socket.destroy();
    });
  }
  await attack("two probes", async (t) => {
    const session = await polling(t, s.server);
    const first = await websocket(t, s.server, { more: session.more, bytes: text("2probe") });
    await first.text("3probe");
    await turnedAway(t, session);
    await polls(session);
  });
  await attack("the probe twice", async (t) => {
    const session = await polling(t, s.server);
    const raw = await websocket(t, s.server, { more: session.more, bytes: text("2probe") });
    await raw.text("3probe");
    raw.write(text("2probe"));
    assert.equal(await raw.closeCode(), 1002);
    await polls(session);
  });
  await attack("of a WebSocket", async (t) => {
    const session = await polling(t, s.server);
    const raw = await websocket(t, s.server, { more: session.more, bytes: text("2probe") });
    await raw.text("3probe");
    raw.write(text("5"), text("40/nowhere,"));
    await raw.text("44/nowhere,");
    await turnedAway(t, session);
    assert.equal((await session.get()).status, 400);
    assert.equal((await session.post("1")).status, 400);
    raw.write(text("40/still-here,"));
    await raw.text("44/still-here,");
  });
  await s.unharmed(t);
});

test("one address cannot take all connections", async (t) => {
  const server = await serve(t, { env: { PARLOR_JWT_SECRET: secret }, args: [...limits, "--max-connections", "8", "--trusted-proxies", "127.0.0.1"] });
  const from = (address) => new Raw(t, server, handshake("", `X-Forwarded-For: ${address}\r\n`)).status();
  for (const status of [101, 101, 429, 429]) assert.equal(await from("192.0.2.7"), status);
  assert.equal(await from("192.0.2.8"), 101);
  assert.equal(await from("192.0.2.7"), 429);
  assert.equal(server.log.filter((line) => line.includes("level=WARN") && line.includes("max-connections-per-address")).length, 1);
  assert.deepEqual(await server.kill("SIGTERM"), [0, null]);
});

test("what never comes, and what is never read", longOnly, async (t) => {
  const s = await site(t, "--ping-timeout", "60s"); // which is not what is to end them
  const attack = attacks(t, s);
  await attack("100 sockets that say nothing, or never come to an end", async (t) => {
    const all = Array.from({ length: 100 }, (_, i) => new Raw(t, s.server, i % 2 === 0 ? "" : "GET / HTTP/1.1\r\n"));
    for (; all.some((raw) => !raw.ended); await sleep(100)) all.forEach((raw, i) => i % 2 === 0 || raw.write("X-A: b\r\n"));
  });
  await attack("many large answers, read late (engine.io issue 420)", async (t) => {
    const glutton = await connect(t, s.server, { auth: { token: s.jwt } });
    const room = await enter(glutton, newChat(), { dialect: "spa" });
    for (let i = 0; i < 20; i++) assert.equal((await ask(glutton, "send_message", { room_id: room, message: "x".repeat(60_000) })).ok, true);
    const all = await Promise.all(Array.from({ length: 3 }, () => s.member(t)));
    const pages = 100; // of 128 KiB, of which a connection may hold eight
    for (const raw of all) {
      raw.socket.pause();
      for (let i = 0; i < pages; i++) raw.write(text(`42${namespace}${i}["history",{"room_id":"${room}","limit":500}]`));
    }
    await sleep(3000); // the next page is read when the client has taken the one before
    for (const raw of all) {
      raw.socket.resume();
      await raw.text(`43${namespace}${pages - 1}[{"ok":true`);
      const numbers = raw.texts().filter((frame) => frame.startsWith(`43${namespace}`)).map((frame) => parseInt(frame.slice(`43${namespace}`.length)));
      assert.deepEqual(numbers.slice(-pages), Array.from({ length: pages }, (_, i) => i));
    }
  });
  await attack("a gigabyte, and deep JSON, for the API", async (t) => {
    const headers = `Authorization: Bearer ${s.jwt}\r\nContent-Type: application/json\r\n`;
    const big = new Raw(t, s.server, request("POST", "/api/v1/chat", headers + "Content-Length: 1000000000\r\n", "{"));
    await big.flood("x".repeat(1 << 16)); // ends
    assert.ok([400, 413].includes(await big.status()));
    const nested = new Raw(t, s.server, request("POST", "/api/v1/chat", `${headers}Content-Length: ${deep.length}\r\n`, deep));
    assert.ok([400, 413, 422].includes(await nested.status()));
  });
  await s.unharmed(t);
});

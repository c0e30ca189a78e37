// Our codecs against the official ones, engine.io-parser and socket.io-parser:
// the same bytes have to mean the same, but for the differences that are
// listed here by name. Another SEED tries another corpus.
import assert from "node:assert/strict";
import { test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { decodePacket, decodePayload, encodePacket, encodePayload } from "engine.io-parser";
import { Decoder, Encoder } from "socket.io-parser";
import { codec, fuzzCorpus } from "./lib/codec.mjs";
import { bytes, cases, engineCases, mutate, packet } from "./lib/corpus.mjs";
import { long, seeded } from "./lib/random.mjs";

const base64 = (data) => Buffer.from(data).toString("base64");
const unbase64 = (data) => Buffer.from(data ?? "", "base64");
const types = ["open", "close", "ping", "pong", "message", "upgrade", "noop"];
const BINARY_EVENT = 5;
const size = long ? 20_000 : 2_000; // of a corpus

/**
 * Compares what the two made of each case. A difference must be explained by
 * one of the known ones, and each of those must have explained something.
 */
function compare(inputs, theirs, ours, differences) {
  const seen = new Set();
  const unexplained = [];
  inputs.forEach((input, i) => {
    if (isDeepStrictEqual(theirs[i], ours[i])) return;
    const known = differences.find((d) => d.explains(input, theirs[i], ours[i]));
    if (known) seen.add(known.name);
    else unexplained.push({ input, theirs: theirs[i], ours: ours[i] });
  });
  assert.deepEqual(unexplained.slice(0, 5), [], `${unexplained.length} of ${inputs.length} differ`);
  const stale = differences.map((d) => d.name).filter((name) => !seen.has(name));
  assert.deepEqual(stale, [], "differences that do not exist any more");
}

/** ours is stricter: it refuses at that point, and agreed before. */
const refused = (theirs, ours) => ours.error && isDeepStrictEqual(ours.packets, theirs.packets.slice(0, ours.packets.length));

// Engine.IO

const engineDifferences = [
  {
    name: "base64 is base64",
    why: "Node takes whatever is in it and leaves the rest out; a client that sends such a thing is broken, and what it meant unknown",
    explains: (text, theirs, ours) => refused(theirs, ours) && text.split("\u001e")[ours.packets.length].startsWith("b"),
  },
];

/** Their packet as ours describe one. */
const enginePacket = ({ type, data }) => ({ type: types.indexOf(type), data: base64(data ?? ""), binary: Buffer.isBuffer(data) });

function theirPackets(packets) {
  const end = packets.findIndex((p) => p.type === "error");
  return { packets: packets.slice(0, end < 0 ? undefined : end).map(enginePacket), error: end >= 0 };
}

const ourPackets = (answer) => ({ packets: (answer.engine ?? []).map((p) => ({ ...p, data: p.data ?? "" })), error: answer.error !== undefined });

test("Engine.IO packets and payloads", async (t) => {
  const ask = await codec(t);
  const random = seeded(t);
  const texts = [...engineCases, ...wellFormed(await fuzzCorpus(ask))];
  for (let i = 0; i < size; i++) texts.push(mutate(random, random.pick(engineCases), engineCases));

  const question = (op) => texts.map((text) => ({ op, messages: [{ data: base64(text) }] }));
  compare(texts, texts.map((text) => theirPackets([decodePacket(text)])), (await ask(question("engine decode"))).map(ourPackets), engineDifferences);
  compare(texts, texts.map((text) => theirPackets(decodePayload(text))), (await ask(question("payload decode"))).map(ourPackets), engineDifferences);
});

test("Engine.IO encodings", async (t) => {
  const ask = await codec(t);
  const random = seeded(t);
  const payloads = Array.from({ length: size }, () => [0, ...random.list(4, () => 0)].map(() => enginePacketToSend(random)));
  const answers = await ask(payloads.map((packets) => ({ op: "payload encode", engine: packets.map(enginePacket) })));
  payloads.forEach((packets, i) => {
    encodePayload(packets, (theirs) => assert.equal(unbase64(answers[i].bytes).toString(), theirs));
    if (packets.length === 1) encodePacket(packets[0], false, (theirs) => assert.equal(unbase64(answers[i].bytes).toString(), theirs));
  });
});

function enginePacketToSend(random) {
  const type = random.pick(types);
  if (type !== "message") return { type, data: random.pick(["", "probe", '{"sid":"x"}']) };
  return { type, data: random.pick([bytes(random), "", "hello", "héllo 🙂", "b", "\u0000"]) };
}

// Socket.IO

/** The part of a packet between its type and its JSON. */
const header = /^(?:[0-4]|[56][^-]*-)(?:\/[^,]*(?:,|$))?/;

const decodeDifferences = [
  {
    name: "white space is no number",
    why: "Number(' ') is 0 in JavaScript: as a type, within an acknowledgement id or before it. Nobody sends it",
    explains: ({ text }, theirs, ours) => refused(theirs, ours) && (/^(\s|$)/.test(text) || /^\d*\s/.test(text.replace(header, ""))),
  },
  {
    name: "attachments are counted in plain digits",
    why: "'1e0', '0x1', '01', ' 1' and '+1' are numbers to JavaScript; no encoder writes them",
    explains: ({ text }, theirs, ours) => refused(theirs, ours) && /^[56][^-]*-/.test(text) && !/^[56][1-9]\d*-/.test(text),
  },
  {
    name: "acknowledgement ids end at 2^53 - 1",
    why: "beyond it JavaScript would acknowledge with another id than it was sent",
    explains: ({ text }, theirs, ours) => refused(theirs, ours) && Number(/^\d*/.exec(text.replace(header, ""))[0]) > Number.MAX_SAFE_INTEGER,
  },
  {
    name: "JSON is nested at most 10,000 deep",
    why: "encoding/json's own limit, and a stack that a client must not choose",
    explains: ({ text }, theirs, ours) => refused(theirs, ours) && /invalid payload|illegal payload/.test(ours.why) && text.split(/[[{]/).length > 10_000,
  },
  {
    name: "at most 1024 arguments",
    why: "socketio.MaxArgs: splitting them off costs more memory than receiving them",
    explains: (_, theirs, ours) => refused(theirs, ours) && theirs.packets[0]?.data.length > 1024,
  },
  {
    name: "placeholders are checked with the text",
    why: "what cannot be put together is refused before its attachments, theirs at the last of them or, if that never comes, not at all",
    explains: ({ text }, theirs, ours) => refused(theirs, ours) && theirs.packets.length === 0 && marked(text, (p) => !(typeof p.num === "number" && p.num >= 0 && p.num < count(text))),
  },
  {
    name: "placeholders are numbered in plain digits",
    why: "theirs takes 0.5 for a place in a list and hands the application undefined; 0.0 and -0 are written by no encoder",
    explains: ({ text }, theirs, ours) => refused(theirs, ours) && marked(text, () => true) && /:\s*(-0|\d+[.eE])/.test(text),
  },
  {
    name: "no placeholder inside a placeholder",
    why: "theirs does not look at the rest of one; ours checks them all",
    explains: ({ text }, theirs, ours) => refused(theirs, ours) && marked(text, (p) => Object.values(p).some((v) => find(v, () => true))),
  },
  {
    name: "events named by a number keep how it was written",
    why: "the client wrote 1.0 or 1e999; a handler that is looked up by name has none of either",
    explains: (_, theirs, ours) => same(theirs, ours, (p) => typeof p.data[0] === "number"),
  },
  {
    name: "lone surrogates in event names",
    why: "Go has no string for them: the name has U+FFFD in their place",
    explains: (_, theirs, ours) => same(theirs, ours, (p) => typeof p.data[0] === "string" && !p.data[0].isWellFormed()),
  },
];

/** Whether all but the name of the events for which test holds is the same. */
function same(theirs, ours, test) {
  const rename = (o) => ({ ...o, packets: o.packets.map((p) => (p.name !== undefined && test(p) ? { ...p, name: "" } : p)) });
  return isDeepStrictEqual(rename(theirs), rename(ours));
}

const count = (text) => Number(/^[56](\d*)-/.exec(text)?.[1]);

/** The first placeholder in value for which test holds. */
function find(value, test) {
  if (value === null || typeof value !== "object") return undefined;
  if (!Array.isArray(value) && value._placeholder === true && test(value)) return value;
  for (const v of Object.values(value)) {
    const found = find(v, test);
    if (found) return found;
  }
  return undefined;
}

/** Whether text is of a binary packet, with a placeholder for which test holds. */
function marked(text, test) {
  if (!/^[56][1-9]\d*-/.test(text)) return false;
  try {
    return find(JSON.parse(text.replace(header, "").replace(/^\d*/, "")), test) !== undefined;
  } catch {
    return false;
  }
}

/** Our own way to put attachments in the place of their placeholders. */
function fill(value, attachments) {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map((v) => fill(v, attachments));
  if (value._placeholder === true) return attachments[value.num];
  const filled = {};
  for (const [key, v] of Object.entries(value)) Object.defineProperty(filled, key, { value: fill(v, attachments), writable: true, enumerable: true, configurable: true });
  return filled;
}

/** The reverse. */
function empty(value, attachments) {
  if (value === null || typeof value !== "object") return value;
  if (Buffer.isBuffer(value)) return { _placeholder: true, num: attachments.push(value) - 1 };
  if (Array.isArray(value)) return value.map((v) => empty(v, attachments));
  return Object.fromEntries(Object.entries(value).map(([key, v]) => [key, empty(v, attachments)]));
}

/** A packet in the form in which both are compared. */
function describe({ type, nsp, id, data }) {
  const p = { type, nsp, id, data };
  if (type === 2 && data !== undefined) Object.assign(p, { name: String(data[0]), args: data.slice(1) });
  if (type === 3 && data !== undefined) p.args = data;
  return p;
}

function theirDecode(messages) {
  const decoder = new Decoder();
  const packets = [];
  decoder.on("decoded", (p) => packets.push(describe(p)));
  try {
    for (const m of messages) decoder.add(m);
  } catch {
    return { packets, error: true };
  }
  return { packets, error: false };
}

function ourDecode(answer) {
  const packets = (answer.packets ?? []).map((p) => {
    const binary = p.type >= BINARY_EVENT;
    const attachments = (p.attachments ?? []).map(unbase64);
    const parse = (data) => (binary ? fill(JSON.parse(unbase64(data)), attachments) : JSON.parse(unbase64(data)));
    const described = { type: binary ? p.type - 3 : p.type, nsp: p.namespace, id: p.id, data: p.data && parse(p.data) };
    if (described.data === undefined) return described;
    if (described.type === 2) described.name = p.name ?? "";
    if (described.type === 2 || described.type === 3) described.args = (p.args ?? []).map(parse);
    return described;
  });
  const decoded = { packets, error: answer.error !== undefined };
  // Only to explain with: not compared.
  Object.defineProperty(decoded, "why", { value: answer.error, enumerable: false });
  return decoded;
}

const question = (messages) => ({
  op: "decode",
  messages: messages.map((m) => ({ data: base64(m), binary: typeof m !== "string" })),
});

const wellFormed = (corpus) => corpus.map((data) => data.toString()).filter((text) => !text.includes("\ufffd"));

test("Socket.IO packets, decoded", async (t) => {
  const ask = await codec(t);
  const random = seeded(t);
  const valid = Array.from({ length: size }, () => new Encoder().encode(packet(random)));
  const texts = [...cases, ...valid.map(([text]) => text), ...wellFormed(await fuzzCorpus(ask))];
  const short = texts.filter((text) => text.length < 300);
  for (let i = 0; i < 5 * size; i++) texts.push(mutate(random, random.pick(short), short));
  // With no attachments, with those that were announced, and with one more.
  const inputs = texts.flatMap((text) => {
    const due = count(text) || 0;
    const attachments = Array.from({ length: Math.min(due, 11) + 1 }, () => bytes(random));
    return [[text], ...(due > 0 ? [[text, ...attachments.slice(1)]] : []), [text, ...attachments]].map((messages) => ({ text, messages }));
  });
  inputs.push(...[[Buffer.of(1)], ['52-["e"]', Buffer.of(1), '2["e"]'], ['2["a"]', '2["b"]'], ['51-["e"]', Buffer.of(1), '2["b"]', "1"]].map((messages) => ({ text: "", messages })));
  const ours = (await ask(inputs.map(({ messages }) => question(messages)))).map(ourDecode);
  compare(inputs, inputs.map(({ messages }) => theirDecode(messages)), ours, decodeDifferences);
});

test("Socket.IO packets, encoded", async (t) => {
  const ask = await codec(t);
  const random = seeded(t);
  const packets = Array.from({ length: size }, () => packet(random));
  const answers = await ask(packets.map(({ type, nsp, id, data }) => {
    const attachments = [];
    const json = data === undefined ? undefined : base64(JSON.stringify(empty(data, attachments)));
    return { op: "encode", packet: { type, namespace: nsp, id, data: json, attachments: attachments.map(base64) } };
  }));
  const encoded = packets.map((p) => new Encoder().encode({ ...p }));
  packets.forEach((p, i) => {
    for (const frames of answers[i].frames) {
      const messages = frames.map((f) => (f.binary ? unbase64(f.data) : unbase64(f.data).toString()));
      assert.deepEqual(messages, [`4${encoded[i][0]}`, ...encoded[i].slice(1)]);
      const attachments = encoded[i].length - 1;
      if (attachments > 10) continue; // maxAttachments of both
      assert.deepEqual(theirDecode([messages[0].slice(1), ...messages.slice(1)]), { packets: [describe(p)], error: false });
    }
  });
  const ours = (await ask(encoded.map(question))).map(ourDecode);
  packets.forEach((p, i) => {
    const want = encoded[i].length - 1 > 10 ? { packets: [], error: true } : { packets: [describe(p)], error: false };
    assert.deepEqual(ours[i], want, encoded[i][0]);
  });
});

test("text that is not UTF-8 is refused", async (t) => {
  // Theirs never sees it: ws closes the connection, and a poll's body is read with U+FFFD in its place.
  const ask = await codec(t);
  const [packet, payload] = await ask([
    { op: "engine decode", messages: [{ data: base64(Buffer.from([0x34, 0xff])) }] },
    { op: "payload decode", messages: [{ data: base64(Buffer.from([0x34, 0xc3])) }] },
  ]);
  assert.match(packet.error, /encoding/);
  assert.match(payload.error, /encoding/);
});

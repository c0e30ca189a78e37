// Sound to and from the wire, and speech told from silence.
import { expect, test } from "vitest";
import { Ear } from "../src/ear.ts";
import { fromBase64, loudness, RATE, Resampler, toBase64, toPCM } from "../src/pcm.ts";
import { Voice } from "../src/voice.ts";

const tone = (seconds: number, loud: number, rate = RATE) => Float32Array.from({ length: Math.round(seconds * rate) }, (_, i) => loud * Math.sin((2 * Math.PI * 440 * i) / rate));
const pieces = (seconds: number, loud: number) => Array.from({ length: Math.round(seconds * 50) }, () => toPCM(tone(0.02, loud)));

test("samples survive the way over the wire, and what is too loud is cut", () => {
  const samples = Float32Array.from([0, 0.5, -0.5, 1, -1, 2, -2]);
  expect([...toPCM(samples)]).toEqual([0, 16384, -16384, 32767, -32768, 32767, -32768]);
  expect([...fromBase64(toBase64(toPCM(samples)))].map((s) => Math.round(s * 100) / 100)).toEqual([0, 0.5, -0.5, 1, -1, 1, -1]);
  const long = toPCM(tone(3, 0.3));
  expect(fromBase64(toBase64(long)).length).toBe(long.length);
  expect(fromBase64("no base64!").length).toBe(0);
});

test("any rate becomes the one of the wire, as loud as it was, over the seams of pieces", () => {
  for (const rate of [8_000, 16_000, 24_000, 44_100, 48_000, 96_000]) {
    const resampler = new Resampler(rate);
    const input = tone(1, 0.5, rate);
    const output: number[] = [];
    for (let at = 0; at < input.length; at += 128) output.push(...resampler.push(input.subarray(at, at + 128)));
    expect(Math.abs(output.length - RATE)).toBeLessThanOrEqual(3);
    expect(loudness(toPCM(Float32Array.from(output)))).toBeCloseTo(0.5 / Math.SQRT2, 1);
  }
});

test("speech begins with what came just before it, goes on over short pauses, and ends in silence", () => {
  const ear = new Ear();
  const kinds = (all: Int16Array[]) => all.map((p) => ear.hear(p)).filter((h) => h && h.kind !== "more");
  expect(kinds(pieces(1, 0.001))).toEqual([]);
  expect(kinds(pieces(0.04, 0.3))).toEqual([]); // a click
  expect(kinds(pieces(0.5, 0.001))).toEqual([]);
  const [begin, ...others] = kinds(pieces(1, 0.2));
  expect(begin).toMatchObject({ kind: "begin" });
  expect(begin!.kind === "begin" && begin!.pcm.length).toBeGreaterThan(10);
  expect(others).toEqual([]);
  expect(kinds(pieces(0.4, 0.001))).toEqual([]);
  expect(kinds(pieces(0.4, 0.2))).toEqual([]);
  expect(kinds(pieces(2, 0.001))).toEqual([{ kind: "end" }]);
});

test("the noise of a room is no speech, and speech above it is", () => {
  const ear = new Ear();
  const begins = (all: Int16Array[]) => all.filter((p) => ear.hear(p)?.kind === "begin").length;
  begins(pieces(0.5, 0.005));
  for (const loud of [0.01, 0.02, 0.03]) begins(pieces(3, loud)); // a fan that grows louder
  ear.reset();
  expect(begins(pieces(2, 0.03))).toBe(0);
  expect(begins(pieces(1, 0.3))).toBe(1);
});

/** A chat that notes what it is told, and refuses what refuse names. */
function scripted(refuse = "") {
  const told: string[] = [];
  const chat = {
    live: true,
    async call(_: string, { message: { type } }: { message: { type: string } }) {
      told.push(type.replace("input_audio_buffer.", ""));
      if (type.endsWith(refuse) && refuse) throw Object.assign(new Error("no"), { code: "busy" });
      return type.endsWith("commit") ? { message_id: "m1" } : {};
    },
  };
  const lost: string[] = [];
  const voice = new Voice(chat as never);
  voice.onLost = (why) => lost.push(why.code ?? "");
  return { voice, told, lost, chat };
}

test("what is said goes up in pieces of a tenth of a second, then an answer is asked for", async () => {
  const { voice, told } = scripted();
  voice.begin();
  for (const piece of pieces(0.25, 0.2)) voice.append(piece);
  expect(await voice.end()).toBe("m1");
  expect(told).toEqual(["clear", "append", "append", "append", "commit", "response.create"]);
});

test("what is refused or cut is told once, and nothing is answered for it", async () => {
  const { voice, told, lost } = scripted("append");
  voice.begin();
  for (let i = 0; i < 20; i++) {
    voice.append(pieces(0.02, 0.2)[0]!);
    await Promise.resolve();
  }
  expect(await voice.end()).toBe(undefined);
  expect(lost).toEqual(["busy"]);
  expect(told).not.toContain("commit");
  const cut = scripted("commit");
  cut.voice.begin();
  for (const piece of pieces(0.3, 0.2)) cut.voice.append(piece);
  expect(await cut.voice.end()).toBe(undefined);
  expect([cut.lost, cut.told.includes("response.create")]).toEqual([["busy"], false]);
});

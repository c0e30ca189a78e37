// Sound for a browser whose microphone is a file, and for models that speak.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { folder } from "./parlor.mjs";

const RATE = 24_000;

/** Samples that sound like syllables: noise suppression takes out a tone that stays the same. */
function syllables(seconds, loud) {
  let noise = 1;
  return Array.from({ length: Math.round(seconds * RATE) }, (_, i) => {
    const time = i / RATE;
    const pitch = 140 + 30 * Math.sin(2 * Math.PI * 1.3 * time);
    noise = (noise * 16807) % 2147483647;
    const voiced = [1, 2, 3, 5, 8].reduce((sum, n) => sum + Math.sin(2 * Math.PI * pitch * n * time) / n, 0) / 2;
    return loud * Math.abs(Math.sin(2 * Math.PI * 3 * time)) * (voiced + (noise / 2147483647 - 0.5) * 0.2);
  });
}

const pcm = (samples) => Buffer.from(Int16Array.from(samples, (s) => Math.max(-1, Math.min(1, s)) * 32_767).buffer);

/** The flags of a browser with a microphone that plays parts again and again: numbers are seconds of speech, those below 0 of silence. No parts: without a microphone. */
export function microphone(...parts) {
  if (parts.length === 0) return [];
  const data = pcm(parts.flatMap((s) => (s > 0 ? syllables(s, 0.7) : Array(Math.round(-s * RATE)).fill(0))));
  const head = Buffer.alloc(44);
  head.write("RIFF", 0);
  head.writeUInt32LE(36 + data.length, 4);
  head.write("WAVEfmt ", 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(RATE, 24);
  head.writeUInt32LE(RATE * 2, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write("data", 36);
  head.writeUInt32LE(data.length, 40);
  const file = join(folder(), "microphone.wav");
  writeFileSync(file, Buffer.concat([head, data]));
  return ["--use-fake-device-for-media-stream", `--use-file-for-fake-audio-capture=${file}`];
}

/** Seconds of sound as the wire has it. */
export const sound = (seconds) => pcm(syllables(seconds, 0.3)).toString("base64");

/** How loud the sound of a link of lib/realtime.mjs is at its loudest, from 0 to 1. */
export function peak(base64) {
  const bytes = Buffer.from(base64, "base64");
  let most = 0;
  for (let i = 0; i + 1 < bytes.length; i += 2) most = Math.max(most, Math.abs(bytes.readInt16LE(i)));
  return most / 32_768;
}

// Sound as the wire has it: PCM of 16 bits, mono, 24 kHz, little-endian, in base64.

export const RATE = 24_000; // samples a second

const FULL = 0x8000;
const CHUNK = 0x2000; // bytes for one call of String.fromCharCode

/** Samples from -1 to 1 as PCM. What is louder is cut. */
export function toPCM(samples: Float32Array): Int16Array {
  const pcm = new Int16Array(samples.length);
  for (let i = 0; i < samples.length; i++) pcm[i] = Math.max(-FULL, Math.min(FULL - 1, Math.round(samples[i]! * FULL)));
  return pcm;
}

export function toBase64(pcm: Int16Array): string {
  const bytes = new Uint8Array(pcm.buffer, pcm.byteOffset, pcm.byteLength); // every machine with a browser is little-endian
  let text = "";
  for (let at = 0; at < bytes.length; at += CHUNK) text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  return btoa(text);
}

/** The samples of a piece of speech. What is no PCM has none. */
export function fromBase64(base64: string): Float32Array<ArrayBuffer> {
  let text = "";
  try {
    text = atob(base64);
  } catch { /* none */ }
  const samples = new Float32Array(text.length >> 1);
  for (let i = 0; i < samples.length; i++) {
    const word = text.charCodeAt(2 * i) | (text.charCodeAt(2 * i + 1) << 8);
    samples[i] = (word >= FULL ? word - 2 * FULL : word) / FULL;
  }
  return samples;
}

/** How loud samples are: the root of their mean square, from 0 to 1. */
export function loudness(pcm: Int16Array): number {
  let sum = 0;
  for (const sample of pcm) sum += sample * sample;
  return pcm.length === 0 ? 0 : Math.sqrt(sum / pcm.length) / FULL;
}

/** Brings sound of any rate to RATE, piece by piece: each sample is the mean of the time that it stands for. */
export class Resampler {
  #step: number; // input samples for one of the output
  #sum = 0;
  #weight = 0;

  constructor(rate: number) {
    this.#step = rate / RATE;
  }

  push(input: Float32Array): Float32Array {
    const output: number[] = [];
    for (const sample of input) {
      let left = 1; // of the time of this sample
      while (this.#weight + left >= this.#step) {
        const part = this.#step - this.#weight;
        output.push((this.#sum + sample * part) / this.#step);
        left -= part;
        this.#sum = this.#weight = 0;
      }
      this.#sum += sample * left;
      this.#weight += left;
    }
    return Float32Array.from(output);
  }
}

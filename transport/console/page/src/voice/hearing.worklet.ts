// Takes the sound of a microphone, in a thread of its own, and hands it on in pieces of the rate that the wire has.
import { RATE, Resampler, toPCM } from "../../client/src/pcm.ts";

declare const sampleRate: number;
declare function registerProcessor(name: string, processor: unknown): void;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}

const PIECE = RATE / 50; // samples

class Hearing extends AudioWorkletProcessor {
  #resampler = new Resampler(sampleRate);
  #piece = new Float32Array(PIECE);
  #filled = 0;

  process([channels]: Float32Array[][]): boolean {
    const [mono] = channels ?? [];
    if (!mono) return true; // the microphone gives nothing now
    for (const sample of this.#resampler.push(mono)) {
      this.#piece[this.#filled++] = sample;
      if (this.#filled < PIECE) continue;
      const pcm = toPCM(this.#piece);
      this.port.postMessage(pcm, [pcm.buffer]);
      this.#filled = 0;
    }
    return true;
  }
}

registerProcessor("parlor-hearing", Hearing);

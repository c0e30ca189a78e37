// Tells speech from silence by its loudness above that of the room.
import { loudness, RATE } from "./pcm.ts";

const QUIETEST = 0.006; // loudness, below which nothing is speech
const ABOVE = 3; // times the noise of the room: speech
const NOISE_RISES = 0.02; // of the difference, with each piece; it falls at once
const BEGINS = 0.06; // s of speech, until it counts: a click is shorter
const ENDS = 0.8; // s of silence, after which the speaker has ended
const BEFORE = 0.3; // s, told from before the beginning: the first sound of a word is soft

export type Heard = { kind: "begin"; pcm: Int16Array[] } | { kind: "more"; pcm: Int16Array } | { kind: "end" } | null;

export class Ear {
  speaking = false;

  #noise = QUIETEST;
  #loud = 0; // s
  #quiet = 0; // s
  #before: Int16Array[] = [];

  /** Takes a piece of sound, some hundredths of a second long, and says what it means. */
  hear(pcm: Int16Array): Heard {
    const seconds = pcm.length / RATE;
    const level = loudness(pcm);
    const loud = level > Math.max(QUIETEST, this.#noise * ABOVE);
    if (!loud) this.#noise = Math.min(level, this.#noise) + Math.max(0, level - this.#noise) * NOISE_RISES;
    return this.speaking ? this.#goesOn(pcm, loud, seconds) : this.#waits(pcm, loud, seconds);
  }

  /** Forgets what was heard. */
  reset(): void {
    this.speaking = false;
    this.#loud = this.#quiet = 0;
    this.#before = [];
  }

  #waits(pcm: Int16Array, loud: boolean, seconds: number): Heard {
    this.#loud = loud ? this.#loud + seconds : 0;
    this.#before.push(pcm);
    if (this.#loud < BEGINS) {
      while (this.#before.length > 1 && this.#held() > BEFORE) this.#before.shift();
      return null;
    }
    const begin = this.#before;
    this.reset();
    this.speaking = true;
    return { kind: "begin", pcm: begin };
  }

  #goesOn(pcm: Int16Array, loud: boolean, seconds: number): Heard {
    this.#quiet = loud ? 0 : this.#quiet + seconds;
    if (this.#quiet < ENDS) return { kind: "more", pcm };
    this.reset();
    return { kind: "end" };
  }

  #held = (): number => this.#before.reduce((sum, piece) => sum + piece.length, 0) / RATE;
}

// Chance that can be repeated, and how much of it a run takes.

/** Whether this is `make test-long`, which takes what is slow and more of what is random. */
export const long = Boolean(process.env.LONG);

/** The options of a test that only `make test-long` runs. */
export const longOnly = { skip: long ? false : "for make test-long" };

const seed = Number(process.env.SEED ?? Date.now() % 1e9);

/** The numbers of a test; it says with which SEED they come again. */
export function seeded(t) {
  t.diagnostic(`SEED=${seed}`);
  return new Random(seed);
}

/** A generator of numbers (mulberry32), the same for the same seed. */
export class Random {
  constructor(seed) {
    this.state = seed >>> 0;
  }
  /** A number from 0 to n - 1. */
  below(n) {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let x = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) % n;
  }
  pick(list) {
    return list[this.below(list.length)];
  }
  list(max, make) {
    return Array.from({ length: this.below(max + 1) }, make);
  }
}

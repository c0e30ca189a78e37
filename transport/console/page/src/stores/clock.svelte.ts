// The time, for what says how long something has lasted. It runs only while somebody looks.
import { createSubscriber } from "svelte/reactivity";

class Clock {
  #subscribe = createSubscriber((update) => {
    const timer = setInterval(update, 1000);
    return () => clearInterval(timer);
  });

  get now(): number {
    this.#subscribe();
    return Date.now();
  }

  /** Whole seconds since a time. */
  seconds = (since: number): number => Math.max(0, Math.round((this.now - since) / 1000));
}

export const clock = new Clock();

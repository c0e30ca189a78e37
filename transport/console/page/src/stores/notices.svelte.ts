// The changes to chats that one has just made, and can undo for a while. A change that the server could not take back is made only when that time is over.
import type { Refusal } from "@parlor/client";

const LASTS = 10_000; // ms

export interface Notice {
  words: string;
  undo?: () => void;
  after?: () => Promise<unknown>; // is done when it can be undone no more
}

class Notices {
  shown = $state.raw<Notice | null>(null);
  problem = $state("");
  lists = $state(0); // of chats that are on the page, and show it
  #timer?: ReturnType<typeof setTimeout>;

  offer(notice: Notice): void {
    this.settle();
    this.problem = "";
    this.shown = notice;
    this.resume();
  }

  /** The time stands still while the pointer or the focus is in the notice. */
  pause = (): void => clearTimeout(this.#timer);

  resume = (): void => {
    clearTimeout(this.#timer);
    if (this.shown) this.#timer = setTimeout(this.settle, LASTS);
  };

  undo = (): void => {
    const { shown } = this;
    this.#close();
    shown?.undo?.();
  };

  settle = (): void => {
    const { shown } = this;
    this.#close();
    if (shown?.after) void this.attempt(shown.after(), shown.undo);
  };

  /** Says why something has failed, and takes it back. */
  async attempt(act: Promise<unknown>, back?: () => void): Promise<boolean> {
    try {
      await act;
      return true;
    } catch (e) {
      this.problem = (e as Refusal).message;
      back?.();
      return false;
    }
  }

  #close(): void {
    clearTimeout(this.#timer);
    this.shown = null;
  }
}

export const notices = new Notices();

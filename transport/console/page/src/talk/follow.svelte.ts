// Whether the end of the talk is followed. It is as long as one is there; what one does above lets go of it at once,
// and only arriving at the end takes hold again.

const NEAR_END = 48; // px

/** How a scrolling element stands. */
export type Place = Pick<HTMLElement, "scrollTop" | "scrollHeight" | "clientHeight">;

export class Follow {
  on = $state(true);
  dragging = false; // the scrollbar
  #last: Place = { scrollTop: 0, scrollHeight: 0, clientHeight: 0 };
  #released: () => void;

  constructor(released: () => void = () => {}) {
    this.#released = released;
  }

  release(): void {
    if (this.on) this.#released();
    this.on = false;
  }

  /** Takes note that the end was gone to. */
  hold(now: Place): void {
    this.on = true;
    this.#last = placeOf(now);
  }

  /** Takes note of a scroll. A list that measures itself scrolls too: it is no reader's wish if heights have changed. */
  scrolled(now: Place): void {
    const last = this.#last;
    this.#last = placeOf(now);
    const left = now.scrollHeight - now.scrollTop - now.clientHeight;
    const up = now.scrollTop < last.scrollTop;
    const same = now.scrollHeight === last.scrollHeight && now.clientHeight === last.clientHeight;
    if (left <= 1 || (left < NEAR_END && now.scrollTop > last.scrollTop)) this.on = true;
    else if (up && (same || this.dragging)) this.release();
  }
}

const placeOf = ({ scrollTop, scrollHeight, clientHeight }: Place): Place => ({ scrollTop, scrollHeight, clientHeight });

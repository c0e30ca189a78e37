// How often a message that grows is drawn.

/** A drawing that takes longer, in milliseconds, makes the next ones wait. */
const slow = 6;

/** How long one waits after one slow drawing, and after several. */
const waits = [100, 250];

/** Returns a function that asks for draw: once a frame, and less often while draw is slow. */
export function paced(draw: () => void): { ask(): void; cancel(): void } {
  let frame = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let slowOnes = 0;
  let next = 0;

  const run = () => {
    frame = 0;
    const started = performance.now();
    draw();
    const ended = performance.now();
    slowOnes = ended - started > slow ? slowOnes + 1 : 0;
    next = slowOnes === 0 ? 0 : ended + waits[Math.min(slowOnes, waits.length) - 1]!;
  };
  const soon = () => {
    timer = undefined;
    frame = requestAnimationFrame(run);
  };
  return {
    ask() {
      if (frame || timer !== undefined) return;
      const wait = next - performance.now();
      if (wait > 0) timer = setTimeout(soon, wait);
      else soon();
    },
    cancel() {
      cancelAnimationFrame(frame);
      clearTimeout(timer);
      frame = 0;
      timer = undefined;
    },
  };
}

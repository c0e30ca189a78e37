/** Has something done at most once a frame; a hidden page has no frames, and is done with later. */
export function everyFrame(act: () => void): () => void {
  let waits = false;
  const run = () => { waits = false; act(); };
  return () => {
    if (waits) return;
    waits = true;
    if (document.hidden) setTimeout(run, 100);
    else requestAnimationFrame(run);
  };
}

// Details that somebody has opened stay open when their element is made again: a long chat draws only what is in sight.

/** Keeps in `open` whether the details of a key are open. To be attached to their element. */
export const unfolded = (open: Set<string>, key: string) => (details: HTMLDetailsElement) => {
  if (open.has(key)) details.open = true;
  const note = () => { if (details.open) open.add(key); else open.delete(key); };
  details.addEventListener("toggle", note);
  return () => details.removeEventListener("toggle", note);
};

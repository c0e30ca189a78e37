/** Those who want to know when something has changed. */
export class Listeners {
  #all = new Set<() => void>();

  add(listener: () => void): () => void {
    this.#all.add(listener);
    return () => this.#all.delete(listener);
  }

  /** Tells all, but those whom a listener before them has taken away. */
  tell(): void {
    for (const listener of [...this.#all]) if (this.#all.has(listener)) listener();
  }

  clear(): void {
    this.#all.clear();
  }
}

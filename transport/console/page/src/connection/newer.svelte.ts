// Whether the server has another page by now than the one that is open. Files are named by what is in them, so the
// start of the page of now names others. A server that changes its page drops all connections, so it is asked then.
import { base } from "../lib/base.ts";

class Newer {
  is = $state(false);

  /** Asks the server. Without an answer nothing is known. */
  async look(): Promise<void> {
    const mine = [...document.querySelectorAll<HTMLScriptElement>("script[src]")].map((s) => new URL(s.src).pathname.split("/").at(-1)!);
    const page = await fetch(base, { cache: "no-store" }).then((r) => (r.ok ? r.text() : null), () => null);
    if (page !== null) this.is = mine.length > 0 && !mine.every((name) => page.includes(name));
  }
}

export const newer = new Newer();

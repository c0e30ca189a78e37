// Which message has the focus, and how it goes from one to the next. Only those in sight are in the document.
import { tick } from "svelte";
import type { VirtualizerHandle } from "virtua/svelte";
import type { ChatStore } from "../stores/chat.svelte.ts";
import { keysOf } from "./answers.ts";
import { meaning, type Act } from "./keys.ts";

const MAX_FRAMES = 60; // until a message is in the document, and the talk is shown

export class TalkFocus {
  /** The place in the list of the exchange that has the focus: it has to stay in the document. */
  kept = $state.raw<readonly number[]>([]);

  #chat: ChatStore;
  #scroller: () => HTMLElement | undefined;
  #list: () => VirtualizerHandle | undefined;
  #pointed = false; // the focus came by a pointer: then letters are no commands
  #at?: string; // the message that has the focus
  #aim?: string; // the one that arrow keys have gone to already, while it is on its way into the document
  #moves = 0;

  constructor(chat: ChatStore, scroller: () => HTMLElement | undefined, list: () => VirtualizerHandle | undefined) {
    this.#chat = chat;
    this.#scroller = scroller;
    this.#list = list;
  }

  pointer = (): void => { this.#pointed = true; };

  /** Takes note of where the focus is. */
  focused(target: Element): void {
    const key = target.closest("[data-key]")?.getAttribute("data-key") ?? undefined;
    if (key !== this.#at) this.#unlink();
    this.#at = key;
    this.#keep(key);
  }

  left = (): void => { // when what has the focus goes, nothing else gets it
    if (document.activeElement !== document.body) [this.#at, this.kept] = [undefined, []];
  };

  /** Does what a key means on the message that has the focus, and reports whether it meant something. */
  key(e: KeyboardEvent): boolean {
    const target = e.target as HTMLElement;
    const means = target.dataset.key === undefined ? null : meaning(e);
    if (!means) return false;
    if ("step" in means) {
      this.#pointed = false;
      void this.#step(target.dataset.key!, means.step);
    } else if (!this.#pointed) press(target, means.act);
    return true;
  }

  /** Gives the focus to a message, wherever it stands. linked marks it, until another one has the focus. */
  async to(key: string, { linked = false } = {}): Promise<void> {
    const move = ++this.#moves;
    const element = await this.shown(key);
    const scroller = this.#scroller();
    if (!element || !scroller) return;
    for (let frame = 0; frame < MAX_FRAMES && document.activeElement !== element; frame++) {
      if (frame > 0) await new Promise(requestAnimationFrame); // the list shows an element when it knows how high it is
      if (move !== this.#moves) return;
      element.focus({ preventScroll: true });
    }
    const fits = element.offsetHeight <= scroller.clientHeight;
    if (fits && key === this.#order().at(-1)?.keys.at(-1)) scroller.scrollTop = scroller.scrollHeight;
    else element.scrollIntoView({ block: fits ? "nearest" : "start" });
    if (linked) element.dataset.linked = "";
  }

  /** Gives the focus, if its message has gone, to the one that is there in its place. */
  async mend(): Promise<void> {
    await tick();
    if (this.#at === undefined || document.activeElement !== document.body || this.#chat.running?.message_id === "") return;
    const at = this.#at;
    const all = this.#order();
    const keys = (all.find((e) => e.keys.includes(at)) ?? all[this.kept[0] ?? -1])?.keys ?? [];
    const key = keys.includes(at) ? at : keys.at(-1);
    if (key !== undefined) await this.to(key);
  }

  #order = (): { index: number; keys: string[] }[] => this.#chat.conversation.exchanges.map((e, index) => ({ index, keys: keysOf(e, this.#chat.running) }));

  #keep(key?: string): void {
    const found = key === undefined ? undefined : this.#order().find(({ keys }) => keys.includes(key));
    this.kept = found ? [found.index] : [];
  }

  async #step(from: string, by: number): Promise<void> {
    const all = this.#order().flatMap(({ keys }) => keys);
    const at = all.indexOf(this.#aim ?? from);
    const next = all[at + by];
    if (next === undefined || at < 0) return;
    this.#aim = next;
    await this.to(next);
    if (this.#aim === next) this.#aim = undefined;
  }

  /** Brings a message into the document and into sight, and returns its element. */
  async shown(key: string): Promise<HTMLElement | null> {
    const find = () => this.#scroller()?.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`) ?? null;
    if (find()) return find();
    const found = this.#order().find(({ keys }) => keys.includes(key));
    if (!found) return null;
    this.#list()?.scrollToIndex(found.index, { align: "nearest" });
    for (let frame = 0; frame < MAX_FRAMES && !find(); frame++) await new Promise(requestAnimationFrame);
    return find();
  }

  #unlink(): void {
    for (const e of this.#scroller()?.querySelectorAll<HTMLElement>("[data-linked]") ?? []) delete e.dataset.linked;
  }
}

/** Presses the button of a message that does so. */
const press = (message: HTMLElement, act: Act): void => message.querySelector<HTMLElement>(`:is(.acts, .versions, .note) [data-action="${act}"]`)?.click();

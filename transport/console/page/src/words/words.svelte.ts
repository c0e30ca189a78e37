// The language of the page: the one that was chosen here, or else the first of the browser's for which there are words.
// Views read w, and show other words as soon as those of another language are there.
import { browser } from "../lib/memory.ts";
import { en } from "./en.ts";

export type Words = typeof en;

export const languages = { en: "English", de: "Deutsch" };
export type Language = keyof typeof languages;

const read: Record<Language, () => Promise<Words>> = {
  en: async () => en,
  de: async () => (await import("./de.ts")).de,
};

const known = (name: string | null): name is Language => name !== null && name in languages;

/** The language that the browser asks for. */
export const ofBrowser = (): Language => (globalThis.navigator?.languages ?? []).map((l) => l.split("-")[0]!).find(known) ?? "en";

class LanguageStore {
  choice = $state.raw<Language | "browser">(chosen());
  words = $state.raw<Words>(en);

  async choose(language: Language | "browser"): Promise<void> {
    this.choice = language;
    browser.set("language", language === "browser" ? null : language);
    await this.apply();
  }

  /** Shows the words of the language; English, if those cannot be read. */
  async apply(): Promise<void> {
    const language = this.choice === "browser" ? ofBrowser() : this.choice;
    const words = await read[language]().catch(() => null);
    this.words = words ?? en;
    document.documentElement.lang = words ? language : "en";
  }
}

function chosen(): Language | "browser" {
  const name = browser.get("language");
  return known(name) ? name : "browser";
}

export const language = new LanguageStore();

type Part = keyof Words;
const part = (name: string): PropertyDescriptor => ({ get: () => language.words[name as Part], enumerable: true });

/** All words, in the language of the page. */
export const w = Object.defineProperties({}, Object.fromEntries(Object.keys(en).map((name) => [name, part(name)]))) as Words;

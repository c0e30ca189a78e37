// The unsent text of each chat. It outlives a reload, a sign-in, and the tab.
import { browser } from "../lib/memory.ts";

export const drafts = {
  get: (chat: string): string => browser.get(`draft ${chat}`) ?? "",
  set: (chat: string, text: string): void => browser.set(`draft ${chat}`, text),
};

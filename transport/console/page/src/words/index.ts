// All words of the page, in the language of the browser if there are such.
import { en } from "./en.ts";

export const w = en;

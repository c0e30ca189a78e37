// All words of the page. Each language has a file with the same names; English is in the first load, others are not.
export { w } from "./words.svelte.ts";

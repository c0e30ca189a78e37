/** The groups of parts of code that have a colour; markdown.css has a ::highlight(code-…) for each. */
export const groups = ["word", "string", "note", "number", "name", "type"] as const;

/** Start, end and number of group of each part. */
export type Ranges = number[];

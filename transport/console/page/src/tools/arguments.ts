/** The arguments of a call as rows; they are an object, or text that may hold one. */
export function argumentsOf(written: unknown): [string, string][] {
  const value = valueOf(written);
  if (value === undefined || value === null || value === "") return [];
  if (typeof value !== "object") return [["", String(value)]];
  return Object.entries(value).map(([name, v]) => [name, typeof v === "string" ? v : JSON.stringify(v)]);
}

/** The object that the arguments are, if they are one: then each of them can be edited. */
export function objectOf(written: unknown): Record<string, unknown> | undefined {
  const value = valueOf(written);
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
}

/** The arguments with the texts of those that were edited. What was a text stays one; anything else has to be JSON, and what is not is named. */
export function edited(written: Record<string, unknown>, texts: Record<string, string>): { value?: Record<string, unknown>; wrong: string[] } {
  const value = { ...written };
  const wrong: string[] = [];
  for (const [name, text] of Object.entries(texts)) {
    if (typeof written[name] === "string") value[name] = text;
    else {
      try {
        value[name] = JSON.parse(text);
      } catch {
        wrong.push(name);
      }
    }
  }
  return wrong.length > 0 ? { wrong } : { value, wrong };
}

function valueOf(written: unknown): unknown {
  if (typeof written !== "string") return written;
  try {
    return JSON.parse(written);
  } catch {
    return written;
  }
}

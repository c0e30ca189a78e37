/** The arguments of a call as rows; they are an object, or text that may hold one. */
export function argumentsOf(written: unknown): [string, string][] {
  const value = typeof written === "string" ? parsed(written) : written;
  if (value === undefined || value === null || value === "") return [];
  if (typeof value !== "object") return [["", String(value)]];
  return Object.entries(value).map(([name, v]) => [name, typeof v === "string" ? v : JSON.stringify(v)]);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

// The official client of OpenAI, unmodified, in two versions.
import { OpenAI as OpenAI6 } from "openai6";
import { OpenAI as OpenAI7 } from "openai7";

export const versions = { 6: OpenAI6, 7: OpenAI7 };

/** A client of a server, or of what stands at its url, which repeats nothing by itself. */
export const client = (Client, { url }, { user = "alice", ...more } = {}) =>
  new Client({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0, defaultHeaders: { "X-Parlor-User": user }, ...more });

/** The events of a stream, up to its end or a cut; each is shown to see. */
export async function collect(stream, see = () => {}) {
  const events = [];
  try {
    for await (const e of stream) {
      events.push(e);
      see(events);
    }
  } catch (error) {
    if (!/terminated|ECONNRESET|other side closed|Premature/.test(`${error} ${error.cause}`)) throw error;
    events.cut = true;
  }
  return events;
}

export const deltas = (events) => events.filter((e) => e.type === "response.output_text.delta");
export const joined = (events) => deltas(events).map((e) => e.delta).join("");

/** Whether no number comes twice. */
export const rises = (events) => events.every((e, i) => i === 0 || e.sequence_number > events[i - 1].sequence_number);

export const chatOf = (response) => response.conversation.id.slice("conv_".length);

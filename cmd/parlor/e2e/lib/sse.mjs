// Server-sent events, as curl and EventSource get them.
import { spawn } from "node:child_process";

/** Follows a URL with curl, until its connection ends. Each event is {event, data, id}, data decoded. */
export function curl(t, url, { token, user, id, args = [] } = {}) {
  const headers = { ...(token && { Authorization: `Bearer ${token}` }), ...(user && { "X-Parlor-User": user }), ...(id && { "Last-Event-ID": id }) };
  const child = spawn("curl", ["-sN", "--max-time", "60", ...args, ...Object.entries(headers).flatMap(([k, v]) => ["-H", `${k}: ${v}`]), url]);
  t.after(() => child.kill());
  const stream = { seen: [], id, ended: new Promise((resolve) => child.once("close", resolve)), stop: () => child.kill() };
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (more) => {
    const blocks = (text + more).split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]));
      stream.id = fields.id ?? stream.id; // as browsers do, also of an event without data
      if (fields.data) stream.seen.push({ event: fields.event, data: JSON.parse(fields.data), id: fields.id });
    }
  });
  return stream;
}

/** Returns what a client is left with: the events of records, in order, and the text of each answer as it was streamed. */
export function view(all) {
  const texts = {};
  const records = [];
  for (const { event, data } of all) {
    if (event === "stream_start") texts[data.message_id] ??= "";
    if (event === "stream_chunk" && !data.done) texts[data.message_id] = data.offset === 0 ? data.content : texts[data.message_id] + data.content;
    if (["message", "turn", "stream_start", "stream_end", "room_updated", "members"].includes(event)) records.push([event, data]);
  }
  return { records, texts };
}

// A server of OpenAI's Responses API whose answers go on while nobody reads them.
import { once } from "node:events";
import { createServer } from "node:http";
import { withBody } from "./body.mjs";
import { sleep } from "./parlor.mjs";

/**
 * Starts a server that answers each question in the background with the pieces, of which it gives as many as release() has
 * said last: none at first. requests holds what was asked, as "POST", "GET 7" (behind event 7) or "cancel". After lose() it has no
 * answer any more.
 */
export async function responsesServer(t, pieces) {
  let released = 0;
  const runs = new Map();
  const requests = [];
  const begin = async (run) => {
    const tell = (type, more) => run.events.push({ type, sequence_number: run.events.length, ...more });
    tell("response.created", { response: { id: run.id, object: "response", status: "queued", background: true, output: [], error: null } });
    for (const [i, delta] of pieces.entries()) {
      do await sleep(2);
      while (i >= released && !run.cancelled);
      if (run.cancelled) return;
      tell("response.output_text.delta", { item_id: "msg_1", output_index: 0, content_index: 0, delta });
    }
    const usage = { input_tokens: 10, output_tokens: pieces.length, total_tokens: 10 + pieces.length };
    tell("response.completed", { response: { id: run.id, status: "completed", error: null, output: [], usage } });
    run.ended = true;
  };
  const server = createServer(withBody(async (request, response, body) => {
    const url = new URL(request.url, "http://server");
    const [, id, cancel] = /^\/v1\/responses(?:\/([^/]+))?(\/cancel)?$/.exec(url.pathname) ?? [];
    let run = runs.get(id);
    if (request.method === "POST" && !id) {
      const { background, stream } = JSON.parse(body);
      run = { id: `resp_${runs.size + 1}`, events: [] };
      runs.set(run.id, run);
      requests.push(background && stream ? "POST" : "POST of another kind");
      begin(run);
    } else if (cancel) {
      requests.push("cancel");
      run.cancelled = true;
      return response.end(JSON.stringify({ id, status: "cancelled" }));
    } else {
      requests.push(`GET ${url.searchParams.get("starting_after")}`);
      if (!run) return response.writeHead(404, { "Content-Type": "application/json" }).end(JSON.stringify({ error: { message: "no such response" } }));
    }
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    let next = Number(url.searchParams.get("starting_after") ?? -1) + 1;
    while (!response.destroyed && !run.cancelled && !(run.ended && next === run.events.length)) {
      for (; next < run.events.length; next++) response.write(`event: ${run.events[next].type}\ndata: ${JSON.stringify(run.events[next])}\n\n`);
      await sleep(5);
    }
    response.end();
  })).listen(0, "127.0.0.1");
  await once(server, "listening");
  const lose = () => {
    for (const run of runs.values()) run.cancelled = true;
    runs.clear();
  };
  t.after(() => { lose(); server.closeAllConnections(); server.close(); });
  return { url: `http://127.0.0.1:${server.address().port}/v1`, requests, lose, release: (n) => { released = n; } };
}

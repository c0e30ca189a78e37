// A model server that says what a test writes down, and insists on what some servers insist on.
import { once } from "node:events";
import { createServer } from "node:http";
import { withBody } from "./body.mjs";

/**
 * Starts a server of OpenAI's chat completions. answers maps the last words of a user, or of a tool, to
 * what is said: a list of deltas ({content}, {reasoning_content}, {tool_calls}), a string for the finish_reason, or a
 * number of milliseconds to pause; false cuts the connection. A list that does not end with a string
 * does not end. asked holds the messages of each request, and requests all of it.
 */
export async function modelServer(t, answers) {
  const asked = [];
  const requests = [];
  const server = createServer(withBody(async (request, response, body) => {
    if (!request.url.endsWith("/chat/completions")) return response.writeHead(404).end();
    requests.push(JSON.parse(body));
    const { messages } = requests.at(-1);
    asked.push(messages);
    const talk = messages.filter((m) => m.role !== "system" && m.role !== "tool" && !m.tool_calls);
    const alternates = talk.every((m, i) => m.role === (i % 2 ? "assistant" : "user") && m.content !== "");
    if (!alternates) {
      response.writeHead(400, { "Content-Type": "application/json" });
      return response.end(JSON.stringify({ error: { message: "Conversation roles must alternate user/assistant", type: "invalid_request_error" } }));
    }
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    const { content } = messages.at(-1); // text, or parts with images among them
    const last = typeof content === "string" ? content.split("\n").at(-1) : "";
    await stream(response, answers[last] ?? [{ content: "yes" }, "stop"]);
  })).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => { server.closeAllConnections(); server.close(); });
  return { url: `http://127.0.0.1:${server.address().port}/v1`, asked, requests };
}

async function stream(response, steps) {
  const send = (choice) => response.write(`data: ${JSON.stringify({ choices: [{ index: 0, ...choice }] })}\n\n`);
  for (const step of steps) {
    if (step === false) return response.destroy();
    if (typeof step === "number") await new Promise((done) => setTimeout(done, step));
    else if (typeof step === "string") {
      send({ delta: {}, finish_reason: step });
      response.end("data: [DONE]\n\n");
    } else send({ delta: step });
  }
}

/** The deltas and the finish with which a model calls tools, each [name, arguments]. */
export const calls = (...list) => [
  { tool_calls: list.map(([name, args], index) => ({ index, id: `call_${index}`, type: "function", function: { name, arguments: JSON.stringify(args) } })) },
  "tool_calls",
];

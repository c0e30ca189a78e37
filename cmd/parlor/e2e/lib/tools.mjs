// A tool that pays, for tests of what models call.
import { once } from "node:events";
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";
import { withBody } from "./body.mjs";
import { modelServer } from "./model.mjs";
import { folder, serve, sleep } from "./parlor.mjs";

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/** Starts a tool that has a visible effect: it notes the key of each run. It takes signed requests only. */
async function tool(t, wait = 0, hold = false) {
  const ran = [];
  let release;
  const held = hold && new Promise((done) => { release = done; }); // a test that holds a run ends it by release
  const server = createServer(withBody(async (request, response, body) => {
    const key = request.headers["idempotency-key"];
    try {
      new Webhook(secret).verify(body, request.headers);
    } catch (e) {
      return response.writeHead(401).end(e.message);
    }
    if (request.headers["webhook-id"] !== key) return response.writeHead(400).end("the ids differ");
    ran.push({ key, args: JSON.parse(body) });
    await sleep(wait);
    await held;
    response.end("paid");
  })).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => { server.closeAllConnections(); server.close(); });
  return { url: `http://127.0.0.1:${server.address().port}`, ran, release };
}

/** A parlor, which start starts, with the tool "pay" and those that tools makes of its URL, and a model that says what answers say. */
export async function world(t, { answers, approval, wait, hold, idempotent = false, tools = () => ({}), settings, args: more = [], env = {} }) {
  const pay = await tool(t, wait, hold);
  const model = await modelServer(t, answers);
  const dir = folder();
  const args = [
    "--models", JSON.stringify([{ model_id: "m", provider: "openai", tools: ["*"] }]),
    "--tools", JSON.stringify({ pay: { url: pay.url, description: "Pays.", approval, secret_var: "PAY_SECRET", parameters: { type: "object", properties: { sum: { type: "integer" } }, required: ["sum"] } }, ...tools(pay.url) }),
    "--tool_settings", JSON.stringify({ pay: { idempotent, ...settings } }), ...more,
  ];
  const start = (how) => serve(t, { dir, args, ...how, env: { OPENAI_BASE_URL: model.url, PAY_SECRET: secret, ...env } });
  return { start, pay, model };
}

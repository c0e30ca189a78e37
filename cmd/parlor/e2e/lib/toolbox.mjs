// Tools behind URLs that add, wait, fail and answer too much, for tests of what models call.
import { once } from "node:events";
import { createServer } from "node:http";
import { withBody } from "./body.mjs";
import { sleep } from "./parlor.mjs";

const integers = (...names) => ({ type: "object", properties: Object.fromEntries(names.map((name) => [name, { type: "integer" }])), required: names });

const tools = {
  add: { schema: integers("a", "b"), run: ({ a, b }) => `${a + b}` },
  wait: { schema: integers("ms"), run: async ({ ms }) => (await sleep(ms), `waited ${ms}`) },
  fail: { schema: integers(), run: () => { throw new Error("out of order"); } },
  large: { schema: integers("bytes"), run: ({ bytes }) => `begins ${"x".repeat(bytes)} ends` },
};

/** Starts the tools. ran holds the name and the arguments of each run, in order; config is for the setting tools. */
export async function toolbox(t) {
  const ran = [];
  const server = createServer(withBody(async (request, response, body) => {
    const [name, args] = [request.url.slice(1), JSON.parse(body)];
    ran.push([name, args]);
    try {
      response.end(await tools[name].run(args));
    } catch (error) {
      response.writeHead(500).end(error.message);
    }
  })).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => { server.closeAllConnections(); server.close(); });
  const url = `http://127.0.0.1:${server.address().port}`;
  const config = Object.fromEntries(Object.entries(tools).map(([name, { schema }]) => [name, { url: `${url}/${name}`, description: name, parameters: schema, approval: "never" }]));
  return { ran, config };
}

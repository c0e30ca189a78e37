// The bytes of an answer on the wire.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import { test } from "node:test";
import { withBody } from "./lib/body.mjs";
import { ask, connect, enter, event, events, newChat, serve } from "./lib/parlor.mjs";

/** A provider that answers with as many tokens as it is asked for. */
async function tokens(t) {
  const provider = createServer(withBody(async (request, response, body) => {
    if (request.method === "GET") return response.writeHead(404).end(); // it lists no models
    const { messages } = JSON.parse(body);
    response.setHeader("content-type", "text/event-stream");
    const count = Number(messages.at(-1).content);
    for (let i = 0; i < count; i++) {
      const written = response.write(`data: {"choices":[{"index":0,"delta":{"content":"token "}}]}\n\n`);
      if (!written) await once(response, "drain");
      if (i % 5 === 0) await new Promise(setImmediate); // not all in one piece
    }
    response.end(`data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n`);
  }));
  provider.listen(0, "127.0.0.1");
  await once(provider, "listening");
  t.after(() => provider.close());
  return `http://127.0.0.1:${provider.address().port}/v1`;
}

for (const dialect of ["documented", "spa"]) {
  test(`an answer costs bytes in proportion to its length: ${dialect}`, async (t) => {
    const url = await tokens(t);
    const server = await serve(t, { env: { OPENAI_BASE_URL: url } });
    const cost = async (count) => {
      const model = "aisuite.openai:tokens";
      const alice = await connect(t, server);
      const room = await enter(alice, newChat(), { model, dialect });
      const wire = alice.io.engine.transport.ws._socket;
      const before = wire.bytesRead;
      await ask(alice, "send_message", { room_id: room, message: String(count) });
      if (dialect === "spa") {
        const { data } = await event(alice, `receive_message ${room}`, (b) => b.type === "sbaw.text_message.assistant");
        assert.equal(data.content, "token ".repeat(count));
      } else {
        await event(alice, `stream_end ${room}`, (b) => b.state === "completed");
        assert.equal(events(alice, `stream_chunk ${room}`).map((c) => c.content).join(""), "token ".repeat(count));
      }
      return (wire.bytesRead - before) / count;
    };
    const [short, long] = [await cost(1_000), await cost(10_000)];
    t.diagnostic(`${short.toFixed(1)} bytes a token at 1,000 tokens, ${long.toFixed(1)} at 10,000`);
    // How many tokens travel together depends on the moment. Were the text so far
    // in every event, the long answer would cost ten times as much a token.
    assert.ok(long < 2 * short, `${long} bytes a token at 10,000 tokens, ${short} at 1,000`);
  });
}

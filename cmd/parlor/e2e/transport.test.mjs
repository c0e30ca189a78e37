// The official client on every transport, through a whole conversation.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { ask, connect, enter, event, events, newChat, serve } from "./lib/parlor.mjs";

const ways = {
  "polling only": { transports: ["polling"] },
  "websocket only": { transports: ["websocket"] },
  "polling, then upgrade": { transports: ["polling", "websocket"] },
};

for (const [name, options] of Object.entries(ways)) {
  test(name, async (t) => {
    const server = await serve(t, { args: ["--ping-interval", "300ms", "--ping-timeout", "2s"] });
    const alice = await connect(t, server, options);
    const room = await enter(alice, newChat(), { dialect: "documented" });
    const { engine } = alice.io;
    if (options.transports.length === 2 && engine.transport.name === "polling") await once(engine, "upgrade");
    assert.equal(engine.transport.name, options.transports.at(-1));
    for (let i = 0; i < 20; i++) {
      assert.equal((await ask(alice, "send_message", { room_id: room, message: `message ${i} ${"ü".repeat(i * 100)}` })).ok, true);
    }
    await event(alice, `turn ${room}`, () => events(alice, `stream_end ${room}`).length === 20);
    let text = "";
    for (const { name: event, body } of alice.seen) {
      if (event.startsWith("stream_start")) text = "";
      if (event.startsWith("stream_chunk")) {
        assert.equal(body.offset, text.length);
        text += body.content;
      }
    }
    assert.ok(alice.connected);
  });
}

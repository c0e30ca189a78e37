// One room on four wires at once: a Socket.IO client, server-sent events, the AI SDK and OpenAI's Responses, each with its
// official client. Whoever asks, and although the server is killed in the middle of each answer, all of them have the same
// in the end.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { DefaultChatTransport, readUIMessageStream } from "ai7";
import { client, collect, deltas, joined, rises, versions } from "./lib/openai.mjs";
import { ask, connect, enter, folder, messages, newChat, serve, sleep, story, until } from "./lib/parlor.mjs";
import { longOnly } from "./lib/random.mjs";
import { curl, view } from "./lib/sse.mjs";

const headers = { "X-Parlor-User": "alice" };

/** Follows a room by server-sent events, and comes back when the connection has ended. */
function sse(t, url) {
  const all = { seen: [], ended: false };
  t.after(() => { all.ended = true; });
  (async () => {
    for (let id; !all.ended;) {
      const stream = curl(t, id ? url : `${url}?after=0`, { user: "alice", id });
      const before = all.seen;
      all.more = () => [...before, ...stream.seen];
      await stream.ended;
      all.seen = all.more();
      id = stream.id;
      await sleep(50);
    }
  })();
  return () => all.more();
}

/** Reads an answer as the AI SDK tells it, and resumes until it is whole. */
async function sdk(transport, chatId, answer, stream) {
  for (;;) {
    try {
      stream ??= await transport.reconnectToStream({ chatId });
      let finished = false;
      const watched = stream?.pipeThrough(new TransformStream({ transform(part, to) { finished ||= part.type === "finish"; to.enqueue(part); } }));
      for await (const message of watched ? readUIMessageStream({ stream: watched, terminateOnError: true }) : []) answer.message = message;
      if (finished) return;
    } catch (error) {
      if (!/terminated|fetch failed|network/.test(`${error}`)) throw error;
    }
    stream = undefined;
    await sleep(50);
  }
}

/** Reads a response, and resumes until it is whole. */
async function response(ai, id, events) {
  while (!/completed|failed|incomplete/.test(events.at(-1)?.type)) {
    try {
      const stream = await ai.responses.retrieve(id, { stream: true, starting_after: events.at(-1)?.sequence_number });
      await collect(stream, (now) => events.push(now.at(-1)));
    } catch (error) {
      if (error.status !== undefined) throw error;
      await sleep(50); // nobody listens yet
    }
  }
}

const textOf = (message) => (message?.parts ?? []).filter((p) => p.type === "text").map((p) => p.text).join("");

test("four views of a room are equal over kill -9 in the middle of each answer", longOnly, async (t) => {
  const dir = folder();
  const args = ["--eliza-word-delay", "100ms"];
  let server = await serve(t, { dir, args });
  const listen = new URL(server.url).host;
  const chat = newChat();
  const socket = await connect(t, server);
  const room = await enter(socket, chat, { dialect: "documented" });
  const heard = () => socket.seen.filter((e) => e.name.endsWith(` ${room}`)).map((e) => ({ event: e.name.split(" ")[0], data: e.body }));
  const speaker = await connect(t, server); // which is not told what it has said
  const followed = sse(t, `${server.url}/api/v1/chat/${chat}/events`);
  const transport = new DefaultChatTransport({ api: `${server.url}/api/v1/ui/chat`, headers });
  const ai = client(versions[7], server);
  const api = (path, body) => fetch(`${server.url}/api/v1/chat/${chat}${path}`, { method: "POST", headers, body: JSON.stringify(body) });

  const asks = [
    async (text) => { await ai.responses.create({ conversation: `conv_${chat}`, input: text, background: true }); },
    async (text) => { await ask(speaker, "send_message", { room_id: room, message: text }); },
    async (text) => { assert.equal((await api("/messages", { content: text })).status, 201); },
    (text) => transport.sendMessages({ chatId: chat, trigger: "submit-message", messages: [{ id: randomUUID(), role: "user", parts: [{ type: "text", text }] }] }),
  ];
  for (const [i, say] of asks.entries()) {
    const stream = await say(story(20 + i));
    const queued = (e) => e.event === "turn" && e.data.state === "queued";
    const { data: { turn_id, seq } } = await until(() => followed().filter(queued)[i], Boolean);
    const answer = {};
    const events = [];
    const whole = Promise.all([sdk(transport, chat, answer, stream), response(ai, `resp_${seq}_${turn_id}_${chat}`, events)]);
    const { data: { message_id } } = await until(() => followed().find((e) => e.event === "stream_start" && e.data.turn_id === turn_id), Boolean);
    const streams = (seen) => seen().some((e) => e.event === "stream_chunk" && e.data.message_id === message_id);
    await until(() => streams(heard) && streams(followed) && textOf(answer.message) && deltas(events).length > 0, Boolean);
    await server.kill();
    server = await serve(t, { dir, args, listen });
    await whole;
    const ended = (e) => e.event === "turn" && e.data.state === "completed" && e.data.turn_id === turn_id;
    for (const seen of [heard, followed]) await until(() => seen().some(ended), Boolean);

    const recorded = await messages(server, chat);
    const { content } = recorded.at(-1);
    assert.deepEqual([recorded.length, recorded.at(-1).message_id], [2 * i + 2, message_id]);
    assert.ok(rises(events), "no number comes twice");
    const { response: last } = events.at(-1);
    assert.deepEqual([last.status, last.output.at(-1).content[0].text], ["completed", content]);
    assert.equal(joined(events.filter((e) => e.item_id === last.output.at(-1).id)), content, "as it was streamed");
    assert.deepEqual([answer.message.id, textOf(answer.message)], [message_id, content]);
    const [onSocket, bySSE] = [heard, followed].map((seen) => view(seen()));
    for (const { texts } of [onSocket, bySSE]) assert.equal(texts[message_id], content);
    const own = (records) => records.filter(([, data]) => (data.seq ?? data.message?.seq) > 1);
    assert.deepEqual(own(bySSE.records), own(onSocket.records));
  }

  const recorded = (await messages(server, chat)).map((m) => [m.role, m.content]);
  for (const seen of [heard, followed]) {
    assert.deepEqual(seen().filter((e) => e.event === "message").map((e) => [e.data.message.role, e.data.message.content]), recorded);
  }
  const loaded = await (await fetch(`${server.url}/api/v1/ui/chat/${chat}`, { headers })).json();
  assert.deepEqual(loaded.map((m) => [m.role, textOf(m)]), recorded);
  const items = [];
  for await (const item of ai.conversations.items.list(`conv_${chat}`, { order: "asc" })) items.push([item.role, item.content[0].text]);
  assert.deepEqual(items, recorded);
});

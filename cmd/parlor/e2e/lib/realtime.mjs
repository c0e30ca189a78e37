// The provider's side of OpenAI's Realtime protocol, generally available, as
// far as aimock has none: audio, transcripts, cancelling.
import { once } from "node:events";
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

/**
 * Listens until the end of the test. answers are functions that give one answer each, in the order in which they are
 * asked for: they are called with a link, whose methods say something. Connections are kept in links, in order.
 */
export async function realtime(t, answers) {
  const http = createServer((_, res) => res.writeHead(404).end());
  const sockets = new WebSocketServer({ server: http, path: "/v1/realtime" });
  const provider = { links: [], requests: [], answers };
  sockets.on("connection", (socket, request) => {
    provider.requests.push({ url: request.url, headers: request.headers });
    provider.links.push(link(provider, socket));
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  t.after(() => {
    for (const socket of sockets.clients) socket.terminate();
    http.close();
  });
  provider.url = `http://127.0.0.1:${http.address().port}/v1`;
  return provider;
}

let responses = 0;

function link(provider, socket) {
  const send = (event) => socket.readyState === socket.OPEN && socket.send(JSON.stringify(event));
  const self = {
    items: [], // {id, role, text}
    events: [], // of the client, without audio
    heard: [], // audio that was committed
    cancelled: 0,
    transcript: "", // of what will be committed next; null leaves it out
    cut: () => socket.terminate(),
    send,
    say(text) {
      self.items.at(-1).text += text;
      send({ type: "response.output_text.delta", response_id: self.response, delta: text });
    },
    speak(audio, transcript) {
      self.items.at(-1).text += transcript;
      send({ type: "response.output_audio_transcript.delta", response_id: self.response, delta: transcript });
      send({ type: "response.output_audio.delta", response_id: self.response, delta: audio });
    },
    call(name, args) {
      const [id, call_id] = [`${self.response}_call`, `call_${self.response}`];
      const item = { id, type: "function_call", call_id, name, arguments: "" };
      self.items.push({ id, role: "function_call", text: args });
      send({ type: "response.output_item.added", response_id: self.response, item });
      send({ type: "response.function_call_arguments.done", response_id: self.response, item_id: id, call_id, arguments: args });
      send({ type: "conversation.item.done", item: { ...item, arguments: args } });
    },
    done(status = "completed", rest = {}) {
      if (!self.response) return;
      const usage = { input_tokens: 7, output_tokens: 5, total_tokens: 12 };
      send({ type: "response.done", response: { id: self.response, status, output: [], usage, ...rest } });
      self.response = null;
    },
  };
  const handlers = {
    "conversation.item.create"({ item, previous_item_id }) {
      const after = self.items.findIndex(({ id }) => id === previous_item_id);
      const at = previous_item_id === "root" ? 0 : previous_item_id ? after + 1 : self.items.length;
      self.items.splice(at, 0, { id: item.id, role: item.role ?? item.type, text: item.output ?? item.arguments ?? item.content[0].text });
    },
    "conversation.item.delete"({ item_id }) {
      self.items = self.items.filter(({ id }) => id !== item_id);
    },
    "input_audio_buffer.append"({ audio }) {
      self.audio = (self.audio ?? "") + audio;
    },
    "input_audio_buffer.clear"() {
      self.audio = "";
    },
    "input_audio_buffer.commit"() {
      const id = `item_${self.items.length}_${Date.now()}`;
      self.items.push({ id, role: "user", text: self.audio });
      self.heard.push(self.audio);
      self.audio = "";
      send({ type: "input_audio_buffer.committed", item_id: id });
      if (self.transcript === null) return;
      send({ type: "conversation.item.input_audio_transcription.completed", item_id: id, transcript: self.transcript });
    },
    "response.create"() {
      if (self.response) {
        send({ type: "error", error: { type: "invalid_request_error", code: "conversation_already_has_active_response", message: "one at a time" } });
        return;
      }
      self.response = `resp_${++responses}`;
      const id = `${self.response}_item`;
      send({ type: "response.created", response: { id: self.response, status: "in_progress" } });
      send({ type: "response.output_item.added", response_id: self.response, item: { id, type: "message" } });
      const asked = self.items.map(({ role, text }) => [role, text]);
      self.items.push({ id, role: "assistant", text: "" });
      provider.answers.shift()?.(self, asked);
    },
    "response.cancel"({ response_id }) {
      if (response_id !== self.response) return;
      self.cancelled++;
      self.done("cancelled");
    },
  };
  socket.on("message", (data) => {
    const event = JSON.parse(data);
    if (event.type !== "input_audio_buffer.append") self.events.push(event);
    handlers[event.type]?.(event);
  });
  send({ type: "session.created", session: { type: "realtime" } });
  return self;
}

// Clients that write bytes where others write packets.
import { connect } from "node:net";

const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const upgrade = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n`;

/** The path of a request; more is appended to the query. */
export const path = (transport, more = "") => `/socket.io/?EIO=4&transport=${transport}${more}`;

/** A request's text. Headers are given as lines. */
export const request = (method, target, headers = "", body = "") =>
  `${method} ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\n${headers}\r\n${body}`;

/** A WebSocket's handshake. */
export const handshake = (more = "", headers = "") => request("GET", path("websocket", more), upgrade + key + headers);

/** A frame whose first byte is head; masked with zeros, which change nothing. */
export function frame(head, payload = "", { mask = true } = {}) {
  const data = Buffer.from(payload);
  return Buffer.concat([frameHead(head, data.length, { mask }), data]);
}

/** The head of a frame that announces size bytes. */
export function frameHead(head, size, { mask = true } = {}) {
  const bit = mask ? 0x80 : 0;
  const masking = Buffer.alloc(mask ? 4 : 0);
  if (size < 126) return Buffer.concat([Buffer.from([head, bit | size]), masking]);
  if (size < 65536) return Buffer.concat([Buffer.from([head, bit | 126, size >> 8, size & 255]), masking]);
  const long = Buffer.alloc(8);
  long.writeBigUInt64BE(BigInt(size));
  return Buffer.concat([Buffer.from([head, bit | 127]), long, masking]);
}

export const text = (payload) => frame(0x81, payload);
export const binary = (payload) => frame(0x82, payload);

/** A TCP connection, on which bytes were written. */
export class Raw {
  constructor(t, server, bytes = "") {
    const { hostname, port } = new URL(server.url);
    this.seen = Buffer.alloc(0);
    this.ended = false;
    this.wakers = [];
    this.socket = connect(Number(port), hostname);
    this.socket.on("data", (data) => this.#wake((this.seen = Buffer.concat([this.seen, data]))));
    this.socket.on("error", () => {}); // resets are what some of this is about
    this.socket.on("drain", () => this.#wake());
    this.socket.on("close", () => this.#wake((this.ended = true)));
    t.after(() => this.socket.destroy());
    this.write(bytes);
  }

  #wake() {
    for (const wake of this.wakers.splice(0)) wake();
  }

  write(...all) {
    for (const bytes of all) if (bytes.length > 0 && !this.ended) this.socket.write(bytes);
    return this;
  }

  /** Writes without end, as fast as the server reads, until the connection ends. */
  async flood(bytes) {
    while (!this.ended) {
      const sent = this.socket.write(bytes);
      while (!sent && !this.ended && this.socket.writableNeedDrain) await new Promise((resolve) => this.wakers.push(resolve));
    }
  }

  /** Waits until found returns something of what was received, and returns that. */
  async until(found, { timeout = 20_000, what = "it" } = {}) {
    const deadline = Date.now() + timeout;
    for (;;) {
      const value = found(this);
      if (value) return value;
      if (this.ended || Date.now() > deadline) {
        throw new Error(`${what} never came (${this.ended ? "ended" : "open"}): ${this.seen.toString("latin1").slice(0, 500)}`);
      }
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, Math.max(deadline - Date.now(), 1));
        this.wakers.push(() => (clearTimeout(timer), resolve()));
      });
    }
  }

  /** Waits until the server has closed the connection. */
  async closed(options) {
    if (!this.ended) await this.until((r) => r.ended, { what: "the end", ...options });
    return this;
  }

  /** The status of the HTTP answer, once it is there. */
  async status() {
    const line = await this.until((r) => /^HTTP\/1\.1 (\d+) .*\r\n/.exec(r.seen.toString("latin1")), { what: "an answer" });
    return Number(line[1]);
  }

  /** The body of the first HTTP answer with a Content-Length. */
  async body() {
    return this.until((r) => {
      const seen = r.seen.toString();
      const length = /content-length: (\d+)/i.exec(seen);
      const start = seen.indexOf("\r\n\r\n") + 4;
      return length && r.seen.length >= start + Number(length[1]) && (seen.slice(start) || " ");
    }, { what: "a body" });
  }

  /** The frames after the answer to the upgrade, as {opcode, data}. */
  frames() {
    const frames = [];
    let at = this.seen.indexOf("\r\n\r\n") + 4;
    while (at >= 4 && at + 2 <= this.seen.length) {
      const short = this.seen[at + 1] & 127;
      const extended = { 126: 2, 127: 8 }[short] ?? 0;
      const start = at + 2 + extended;
      if (start > this.seen.length) break;
      const size = extended === 0 ? short : extended === 2 ? this.seen.readUInt16BE(at + 2) : Number(this.seen.readBigUInt64BE(at + 2));
      if (start + size > this.seen.length) break;
      frames.push({ opcode: this.seen[at] & 15, data: this.seen.subarray(start, start + size) });
      at = start + size;
    }
    return frames;
  }

  /** The texts that were received. */
  texts() {
    return this.frames().filter((f) => f.opcode === 1).map((f) => f.data.toString());
  }

  /** Waits for a text that begins so. */
  async text(prefix) {
    return this.until((r) => r.texts().find((s) => s.startsWith(prefix)), { what: prefix });
  }

  /** The code of the close frame that ended the WebSocket: 1006 if there was none. */
  async closeCode() {
    // A client has to answer the close frame, or the server waits for that.
    await this.until((r) => r.ended || r.frames().some((f) => f.opcode === 8), { what: "a close frame" });
    const close = this.frames().find((f) => f.opcode === 8);
    this.socket.end();
    await this.closed();
    return close && close.data.length >= 2 ? close.data.readUInt16BE(0) : 1006;
  }
}

/**
 * Resets a connection. resetAndDestroy() ends it first; if that has not happened when anything else destroys the socket,
 * the reset fails, Node never closes the socket, and the process spins at its end.
 */
export function reset(socket) {
  if (socket.connecting) return socket.once("connect", () => reset(socket));
  socket.resetAndClosing = !socket.writableEnded;
  socket.destroy();
}

/** A WebSocket on which nothing has been sent but bytes, behind the handshake. */
export async function websocket(t, server, { more = "", bytes = "" } = {}) {
  const raw = new Raw(t, server, handshake(more));
  const status = await raw.status();
  if (status !== 101) throw new Error(`got status ${status}`);
  if (more === "") await raw.text('0{"sid"');
  return raw.write(bytes);
}

/** A polling session. */
export async function polling(t, server) {
  const open = await (await fetch(server.url + path("polling"))).text();
  const { sid } = JSON.parse(open.slice(1));
  const url = server.url + path("polling", `&sid=${sid}`);
  return {
    sid,
    url,
    more: `&sid=${sid}`,
    get: () => fetch(url),
    post: (body, headers = { "Content-Type": "text/plain;charset=UTF-8" }) => fetch(url, { method: "POST", body, headers }),
    raw: (method, headers, body) => new Raw(t, server, request(method, path("polling", `&sid=${sid}`), headers, body)),
  };
}

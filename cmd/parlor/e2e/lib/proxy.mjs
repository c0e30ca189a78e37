// A network that can fail: a TCP proxy in front of a server.
import { once } from "node:events";
import net from "node:net";
import { reset } from "./raw.mjs";

/**
 * Forwards to the server behind url until the end of the test.
 *
 * cut() ends all connections without a word (refuse: and those that come, until accept()); stall() keeps them open and
 * forwards nothing more in either direction, which neither end can tell from a slow network; mute() does so for what the
 * server says. limit(n) cuts the next
 * connection off once it has brought n bytes. lag(ms) brings clients what the server says so much later, on connections
 * that begin from now on.
 */
export async function proxy(t, url) {
  const { hostname, port } = new URL(url);
  const links = new Set();
  let refusing = false;
  let limit = Infinity;
  let lag = 0;

  const server = net.createServer((client) => {
    if (refusing) {
      client.destroy();
      return;
    }
    const upstream = net.connect(Number(port), hostname);
    const link = { client, upstream };
    links.add(link);
    for (const socket of [client, upstream]) {
      socket.setNoDelay(true);
      socket.on("error", () => {});
      socket.on("close", () => {
        links.delete(link);
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(upstream);
    if (lag > 0) {
      const late = lag;
      upstream.on("data", (data) => setTimeout(() => client.write(data), late));
      return;
    }
    if (limit === Infinity) {
      upstream.pipe(client);
      return;
    }
    let left = limit;
    limit = Infinity;
    upstream.on("data", (data) => {
      client.write(data.subarray(0, left));
      left -= data.length;
      if (left <= 0) client.end(() => upstream.destroy());
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  const network = {
    url: `http://127.0.0.1:${server.address().port}`,
    async cut({ refuse = false } = {}) {
      refusing = refuse;
      const gone = [...links].map(({ client }) => client.closed || new Promise((gone) => client.once("close", gone)));
      for (const { client, upstream } of links) {
        reset(client);
        reset(upstream);
      }
      await Promise.all(gone);
    },
    accept() {
      refusing = false;
    },
    limit(bytes) {
      limit = bytes;
    },
    lag(ms) {
      lag = ms;
    },
    mute() {
      for (const { client, upstream } of links) upstream.unpipe(client).resume();
    },
    stall() {
      for (const { client, upstream } of links) {
        client.unpipe(upstream).pause();
        upstream.unpipe(client).pause();
      }
    },
  };
  t.after(async () => {
    await network.cut({ refuse: true });
    server.close();
  });
  return network;
}

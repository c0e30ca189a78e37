// Clients of Open WebUI's real-time layer: sockets in the namespace /, and HTTP below /api.
import { createHmac } from "node:crypto";
import { connect, events } from "./parlor.mjs";

const secret = "an-e2e-secret-of-thirty-two-bytes!";

/** The environment of a server that wants tokens, and a token of a user for it. */
export const env = { PARLOR_JWT_SECRET: secret };
export const token = (user) => {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: user, name: user.toUpperCase(), exp: Math.floor(Date.now() / 1000) + 3600 })}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
};

/** A socket in the namespace /, as the page of Open WebUI opens it. */
export const page = (t, server, options) => connect(t, server, { namespace: "/", path: "/ws/socket.io", ...options });

/** HTTP of a user, below /api. In development mode the user has no token. */
export const http = (server, jwt, user = "alice") => async (method, path, body) => {
  const response = await fetch(`${server.url}/api${path}`, {
    method, headers: { ...(jwt ? { Authorization: `Bearer ${jwt}` } : { "X-Parlor-User": user }), "Content-Type": "application/json" }, body: body && JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, body: /json/.test(response.headers.get("content-type")) ? JSON.parse(text) : text };
};

/** Returns the chat-events of an answer, in order. */
export const completions = (socket, name, message) => events(socket, name).filter((e) => e.message_id === message && e.data.type === "chat:completion").map((e) => e.data.data);

/** The text of an answer, as the deltas of chat-events make it. */
export const textOf = (socket, name, message) => completions(socket, name, message).map((d) => d.choices?.[0].delta.content ?? "").join("");

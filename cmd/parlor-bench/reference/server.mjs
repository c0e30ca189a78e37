// The Node reference server, doing what parlor does for an idle client: one
// namespace whose middleware verifies an HS256 token.
//
//   PARLOR_JWT_SECRET=… node server.mjs [--recovery]
//
// It says "listening on http://ADDR" on stderr when it is ready, like parlor.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { Server } from "socket.io";

const secret = process.env.PARLOR_JWT_SECRET;
const recovery = process.argv.includes("--recovery");

/** The claims of a token, if it is valid now. */
function verify(token) {
  const [header, payload, signature] = String(token).split(".");
  const wanted = createHmac("sha256", secret).update(`${header}.${payload}`).digest();
  const given = Buffer.from(signature ?? "", "base64url");
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) throw new Error("wrong signature");
  if (JSON.parse(Buffer.from(header, "base64url")).alg !== "HS256") throw new Error("wrong algorithm");
  const claims = JSON.parse(Buffer.from(payload, "base64url"));
  if (!(claims.exp > Date.now() / 1000)) throw new Error("expired");
  return claims;
}

const http = createServer();
const io = new Server(http, recovery ? { connectionStateRecovery: { maxDisconnectionDuration: 120_000 } } : {});
io.of("/assistant/realtime").use((socket, next) => {
  try {
    socket.data.user = verify(socket.handshake.auth.token).sub;
    next();
  } catch (error) {
    next(error);
  }
});
http.listen(0, "127.0.0.1", () => console.error(`listening on http://127.0.0.1:${http.address().port}`));
process.on("SIGTERM", () => process.exit(0));

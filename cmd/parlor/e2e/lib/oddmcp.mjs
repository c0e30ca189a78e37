// A server of the Model Context Protocol on stdin and stdout that misbehaves as its arguments say.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

const how = new Set(process.argv.slice(2));
const say = (m) => process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", ...m })}\n`);
const text = (words) => ({ content: [{ type: "text", text: words }] });
const tool = (name, more = {}) => ({ name, description: name, inputSchema: { type: "object" }, ...more });
const listed = [tool("pid"), tool("echo"), tool("hang"), tool("big"), tool(""), tool("pid"), tool("bad", { inputSchema: { type: "string" } })];

if (how.has("stray")) console.log("Welcome to the odd server!\n{\"level\":30,\"msg\":\"a line of a log\"}\n{\"half\": ");
if (how.has("exit")) {
  console.error("ODD_KEY is missing");
  process.exit(3);
}
if (how.has("stubborn")) for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => {});
if (how.has("child")) spawn(process.execPath, ["-e", "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)"], { stdio: "inherit" });
if (how.has("flood")) {
  const flood = () => process.stderr.write("x".repeat(64 << 10), () => setImmediate(flood));
  flood();
}
if (how.has("noise")) setInterval(() => console.log("noise"), 1);
if (how.has("stubborn") || how.has("child") || how.has("silent")) setInterval(() => {}, 1000);

const answers = {
  initialize: ({ protocolVersion }) => ({ protocolVersion, capabilities: { tools: {} }, serverInfo: { name: "odd", version: "1" } }),
  "tools/list": () => ({ tools: listed }),
  "tools/call": ({ name, arguments: args, _meta }) => {
    if (how.has("stray")) console.log("a line in mid-call");
    if (name === "pid") return text(String(process.pid));
    if (name === "echo") return text(JSON.stringify(args));
    if (name === "big") return text("x".repeat(args.bytes ?? 8 << 20));
    if (args.progress) setInterval(() => say({ method: "notifications/progress", params: { progressToken: _meta.progressToken, progress: Date.now() } }), 100);
    if (args.die) setTimeout(() => process.exit(7), 100);
    if (args.after) return new Promise((resolve) => setTimeout(resolve, args.after, text("at last")));
    return new Promise(() => {});
  },
  ping: () => ({}),
};

if (!how.has("silent")) {
  createInterface({ input: process.stdin }).on("line", async (line) => {
    const { id, method, params } = JSON.parse(line);
    if (id === undefined) return;
    const answer = answers[method];
    say(answer ? { id, result: await answer(params) } : { id, error: { code: -32601, message: `no ${method}` } });
  });
}

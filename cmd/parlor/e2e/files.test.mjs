// Files: what is uploaded reaches the model, and stays what it was over backups and the end of a chat.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { withBody } from "./lib/body.mjs";
import { ask, command, connect, enter, event, folder, newChat, serve, until } from "./lib/parlor.mjs";
import { longOnly } from "./lib/random.mjs";

const png = Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), Buffer.alloc(300, 7)]);

/** An OpenAI-compatible provider that keeps what it was asked. */
async function provider(t) {
  const asked = [];
  const server = createServer(withBody(async (request, response, body) => {
    if (request.method === "GET") return response.writeHead(404).end();
    asked.push(JSON.parse(body));
    response.setHeader("content-type", "text/event-stream");
    response.end(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: "seen" }, finish_reason: "stop" }] })}\n\ndata: [DONE]\n\n`);
  }));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return { asked, url: `http://127.0.0.1:${server.address().port}/v1` };
}

const headers = { "X-Parlor-User": "alice" };
async function upload(server, chat, files, more = {}) {
  const form = new FormData();
  for (const [name, content] of files) form.append("files", new Blob([content]), name);
  const response = await fetch(`${server.url}/api/v1/chat/${chat}/upload`, { method: "POST", headers: { ...headers, ...more }, body: form });
  return { status: response.status, body: await response.json() };
}
const get = (server, path, options) => fetch(`${server.url}${path}`, { headers, ...options });

/** A PDF whose pages have these texts. PDFium finds its objects without their table. */
function pdf(...pages) {
  const objects = ["<</Type/Catalog/Pages 2 0 R>>", `<</Type/Pages/Kids[${pages.map((_, i) => `${4 + 2 * i} 0 R`).join(" ")}]/Count ${pages.length}>>`, "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"];
  for (const [i, text] of pages.entries()) {
    const content = `BT /F1 12 Tf 72 700 Td (${text}) Tj ET`;
    objects.push(`<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents ${5 + 2 * i} 0 R/Resources<</Font<</F1 3 0 R>>>>>>`, `<</Length ${content.length}>>stream\n${content}\nendstream`);
  }
  return `%PDF-1.4\n${objects.map((o, i) => `${i + 1} 0 obj\n${o}\nendobj\n`).join("")}trailer<</Size ${objects.length + 1}/Root 1 0 R>>\nstartxref\n0\n%%EOF\n`;
}

test("the text of a PDF reaches the model page by page, and people get the file", { ...longOnly, timeout: 240_000 }, async (t) => {
  const llm = await provider(t);
  const dir = folder();
  const server = await serve(t, { dir, env: { OPENAI_BASE_URL: llm.url, XDG_CACHE_HOME: tmpdir() } });
  const chat = newChat();
  const socket = await connect(t, server);
  const room = await enter(socket, chat, { model: "openai:gpt-4o", dialect: "documented" });
  const paper = pdf("The answer is 42", "", "Thanks");
  const { status, body } = await upload(server, chat, [["paper.pdf", paper]]);
  assert.deepEqual([status, body[0]?.content_type, body[0]?.size, body[0]?.metadata.pages], [200, "application/pdf", paper.length, 3], JSON.stringify(body));
  for (const content of [pdf(""), "%PDF-1.7", paper.slice(0, 50)]) {
    const refused = await upload(server, chat, [["bad.pdf", content]]);
    assert.deepEqual([refused.status, refused.body.code], [415, "unsupported_type"]);
  }
  await ask(socket, "send_message", { room_id: room, message: { content: "what is it?", files: [body[0].fileid] } });
  await until(() => llm.asked.length, Boolean);
  assert.match(llm.asked[0].messages.at(-1).content, /<file name="paper.pdf" type="application\/pdf">\n\[page 1\]\nThe answer is 42\n\[page 2\]\n\n\[page 3\]\nThanks\n<\/file>/);
  const file = await get(server, `/api/v1/chat/${chat}/files/${body[0].fileid}`);
  assert.deepEqual([file.headers.get("content-type"), file.headers.get("content-disposition"), await file.text()], ["application/pdf", "attachment; filename=paper.pdf", paper]);
  const off = await serve(t, { args: ["--pdf-timeout", "0s"] });
  await enter(await connect(t, off), chat);
  assert.equal((await upload(off, chat, [["paper.pdf", paper]])).body.code, "unsupported_type");
});

test("files reach the model, are the same after kill -9 and in a backup, and go with their chat", async (t) => {
  const llm = await provider(t);
  const dir = folder();
  const env = { OPENAI_BASE_URL: llm.url };
  const args = ["--context-window", "4000", "--file-share", "25", "--max-file-bytes", "512KiB"];
  let server = await serve(t, { dir, args, env });
  const listen = new URL(server.url).host;
  const chat = newChat();
  const model = "openai:gpt-4o";
  const socket = await connect(t, server);
  const room = await enter(socket, chat, { model, dialect: "documented" });
  const long = Array.from({ length: 20_000 }, (_, i) => `row ${i}\n`).join("");
  const { status, body: [notes, table, cat] } = await upload(server, chat, [["notes.md", "# The answer is 42\n"], ["table.csv", long], ["cat.png", png]], { "Idempotency-Key": "first" });
  assert.equal(status, 200);
  assert.deepEqual(Object.keys(notes), ["fileid", "filename", "uploaded_at", "userid", "content_type", "size", "object_key", "metadata"]);
  assert.deepEqual([notes.content_type, table.size, table.metadata.lines, cat.content_type], ["text/markdown", long.length, 20_000, "image/png"]);
  const again = await upload(server, chat, [["notes.md", "# The answer is 42\n"]], { "Idempotency-Key": "first" });
  assert.equal(again.body[0].fileid, notes.fileid, "kept once");
  assert.equal((await upload(server, chat, [["notes.md", "# other\n"]], { "Idempotency-Key": "first" })).body.code, "conflict");
  assert.deepEqual((await upload(server, chat, [["a.exe", "MZ\0\0"]])).body.code, "unsupported_type");
  assert.deepEqual((await upload(server, chat, [["a.txt", "x".repeat(600_000)]])).body.code, "too_large");

  const files = [notes, table, cat].map((f) => f.fileid);
  await ask(socket, "send_message", { room_id: room, message: { content: "what do you see?", files } });
  const { message: answer } = await event(socket, `message ${room}`, (b) => b.message.role === "assistant");
  assert.deepEqual(answer.cut_files.map((c) => c.filename), ["table.csv", "cat.png"], "people are told what was cut");
  const [question] = (await ask(socket, "history", { room_id: room })).messages;
  assert.deepEqual(question.files.map((f) => f.filename), ["notes.md", "table.csv", "cat.png"]);
  const said = llm.asked.at(-1).messages.at(-1).content;
  assert.match(said, /what do you see\?[^]*<file name="notes.md" type="text\/markdown">\n# The answer is 42\n<\/file>[^]*lines 1 to \d+ of 20000[^]*"cat.png" is not shown/);
  assert.ok(said.length < 4 * 1200, `${said.length} bytes for a quarter of 4000 tokens`);
  await ask(socket, "send_message", { room_id: room, message: { content: "and here?", files: [cat.fileid] }, model_id: "openai:gpt-4-turbo" });
  await until(() => llm.asked.length, (n) => n === 2);

  await server.kill();
  server = await serve(t, { dir, listen, args: ["--max-file-bytes", "512KiB"], env });
  await until(() => socket.connected, Boolean);
  const last = await ask(socket, "send_message", { room_id: room, message: "once more, all of it" });
  assert.ok(last.ok, JSON.stringify(last));
  await until(() => llm.asked.length, (n) => n === 3);
  const parts = llm.asked[2].messages.filter((m) => Array.isArray(m.content)).flatMap((m) => m.content);
  assert.equal(parts.find((p) => p.type === "image_url").image_url.url, `data:image/png;base64,${png.toString("base64")}`, "a model that sees is shown it");

  const path = `/chat/${chat}/files/${table.fileid}`;
  for (const prefix of ["/api/v1", ""]) { // the assistant page leaves the prefix out
    const file = await get(server, prefix + path);
    assert.equal(file.headers.get("content-disposition"), "attachment; filename=table.csv");
    assert.equal(file.headers.get("content-security-policy"), "default-src 'none'; sandbox");
    assert.equal(await file.text(), long);
  }
  const history = await (await get(server, `/api/v1/chat/${chat}/messages`)).json();
  assert.deepEqual(history[0].files, files);
  assert.equal(history[0].file_contents[cat.fileid].filename, "cat.png");
  assert.equal((await (await get(server, `/api/v1/chat/${chat}`)).json()).files.length, 3);

  // An upload that is cut leaves nothing.
  const cut = request(`${server.url}/api/v1/chat/${chat}/upload`, { method: "POST", headers: { ...headers, "Content-Type": "multipart/form-data; boundary=b", "Content-Length": 1_000_000 } });
  cut.on("error", () => {});
  cut.write(`--b\r\nContent-Disposition: form-data; name="files"; filename="cut.txt"\r\n\r\n${"x".repeat(200_000)}`);
  await new Promise((resolve) => setTimeout(resolve, 200));
  cut.destroy();
  const backup = join(dir, "copy.db");
  for (const [args, says] of [[["backup", backup], ""], [["check", "--data", backup], "1 chat"]]) {
    const { status, stdout, stderr } = await command([...args, ...(args[0] === "backup" ? ["--data", "parlor.db"] : [])], { dir });
    assert.equal(status, 0, stderr);
    assert.ok(stdout.includes(says), stdout);
  }
  assert.equal((await (await get(server, `/api/v1/chat/${chat}/files`)).json()).files.length, 3);
  for (let i = 0; i < 2; i++) assert.equal((await get(server, `/api/v1/chat/${chat}/files/${notes.fileid}`, { method: "DELETE" })).status, 200);
  await get(server, `/api/v1/chat/${chat}`, { method: "DELETE" });
  assert.equal((await get(server, `/api/v1${path}`)).status, 404);
  await server.kill("SIGTERM");
  const { status: sound, stdout } = await command(["check", "--data", "parlor.db"], { dir });
  assert.equal(sound, 0, stdout);
});

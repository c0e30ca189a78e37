// The data file under a key: nothing that people have said is in its bytes.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ask, command, connect, enter, event, folder, newChat, serve, until } from "./lib/parlor.mjs";
import { calls, modelServer } from "./lib/model.mjs";

/** A word of its own for each place where words are kept. */
const canary = (place) => `canary-of-the-${place}`;
const places = ["message", "answer", "thought", "argument", "title", "prompt", "file", "bytes", "folder", "account", "address"];
const found = (file) => {
  const bytes = readFileSync(file);
  return places.filter((place) => forms(canary(place)).some((form) => bytes.includes(form)));
};
/** The word as it is, and as base64 has it, wherever it begins: the rows of files are kept so. */
const forms = (word) => [word, ...["", "x", "xx"].map((before) => Buffer.from(before + word).toString("base64").slice(4, -4))];

test("no word is in the file or its backup, and all are there once encryption is off", async (t) => {
  const dir = folder();
  const data = join(dir, "parlor.db");
  const keys = join(dir, "keys");
  const keygen = async (id) => (await command(["encryption", "keygen", id], { dir })).stdout;
  writeFileSync(keys, await keygen("first"), { mode: 0o600 });
  const parlor = async (...args) => {
    const { status, stdout, stderr } = await command([...args, "--data", data, "--encryption-key-file", keys], { dir });
    assert.equal(status, 0, stderr);
    return stdout;
  };
  const model = await modelServer(t, {
    [canary("message")]: [{ reasoning_content: canary("thought") }, { content: canary("answer") }, ...calls(["current_time", { timezone: canary("argument") }])],
  });
  writeFileSync(join(dir, "parlor.yaml"), `webhooks: ${JSON.stringify([{ name: "crm", url: model.url, secret_var: "CRM_SECRET", events: ["message"] }])}\n`);
  const env = { OPENAI_BASE_URL: model.url, OPENAI_API_KEY: "none", CRM_SECRET: "whsec_bm90IGEgc2VjcmV0IG9mIHNvbWVib2R5" };
  const server = await serve(t, { dir, env, args: ["--encryption-key-file", keys, "--webhook-retry-for", "0s"] }); // and no private-targets, so that the webhook fails

  await parlor("user", "add", "bob", "--name", canary("account"), "--email", `${canary("address")}@example.com`);
  const alice = await connect(t, server);
  const chat = newChat();
  const room = await enter(alice, chat, { model: "openai:m", dialect: "documented" });
  const headers = { "X-Parlor-User": "alice" };
  const form = new FormData();
  form.append("files", new Blob([`${canary("bytes")}\n`]), `${canary("file")}.txt`);
  assert.equal((await fetch(`${server.url}/api/v1/chat/${chat}/upload`, { method: "POST", headers, body: form })).status, 200);
  const mark = { method: "PATCH", headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify({ folder: canary("folder") }) };
  assert.equal((await fetch(`${server.url}/api/v1/chat/${chat}/mark`, mark)).status, 200);
  await ask(alice, `configure ${room}`, { title: canary("title"), system_prompt: canary("prompt") });
  await ask(alice, "send_message", { room_id: room, message: canary("message") });
  await event(alice, `stream_end ${room}`);
  await until(async () => (await command(["webhook", "dead"], { dir })).stdout, (s) => /address is private/.test(s));

  writeFileSync(keys, (await keygen("second")) + readFileSync(keys));
  assert.match(await parlor("encryption", "rotate"), /with the key "second"/);
  await parlor("backup", join(dir, "copy.db"));
  await server.kill("SIGTERM");
  for (const file of [data, join(dir, "copy.db")]) assert.deepEqual(found(file), [], file);
  assert.ok(!server.log.some((line) => line.includes("canary")), server.log.join("\n"));

  assert.match(await parlor("encryption", "off"), /^not encrypted/);
  assert.deepEqual(found(data), places);
});

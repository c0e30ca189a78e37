// The HTTP half: what the assistant SPA and curl use (WIRE-ASSISTANT §4).
import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, connect, enter, event, serve, until } from "./lib/parlor.mjs";

test("chats are created, listed, read and deleted over HTTP", async (t) => {
  const server = await serve(t, { args: ["--base-path", "/assistant"] });
  const call = async (method, path, body, base = "/api/v1") => {
    const response = await fetch(server.url + base + path, {
      method, headers: { "X-Parlor-User": "alice", "Content-Type": "application/json" }, body: body && JSON.stringify(body),
    });
    return { status: response.status, body: await response.json() };
  };
  assert.deepEqual((await call("GET", "", undefined, "/healthz")).body, { status: "ok" });
  assert.equal((await call("GET", "/auth/me")).body.user_id, "alice");
  assert.equal((await call("POST", "/chat", {})).status, 400);

  const { models } = (await call("GET", "/model", undefined, "/assistant/api/v1")).body;
  assert.equal(models.at(-1).model_id, "eliza");
  const ids = [];
  for (let i = 0; i < 3; i++) {
    const created = await call("POST", "/chat", { model_id: models[0].model_id, model_api_source: models[0].model_api_source });
    assert.equal(created.status, 200);
    ids.unshift(created.body.chat_id);
  }
  const list = (await call("GET", "/chat?limit=2&offset=0")).body;
  assert.deepEqual([list.total, list.has_more, list.chats.map((c) => c.chat_id)], [3, true, ids.slice(0, 2)]);
  const chat = (await call("GET", `/chat/${ids[0]}`)).body;
  assert.equal(chat.user_id, "alice");
  assert.match(chat.created_timestamp, /^\d{4}-.*Z$/);

  const socket = await connect(t, server);
  const room = await enter(socket, ids[0]);
  await ask(socket, "send_message", { room_id: room, message: "over the socket" });
  const history = await until(() => call("GET", `/chat/${ids[0]}/messages`), ({ body }) => body.length === 2);
  assert.deepEqual(history.body.map((m) => [m.role, m.type, m.chat_id]), [["user", "message", ids[0]], ["assistant", "message", ids[0]]]);

  const found = (await call("GET", "/search?q=SOCKET%20over")).body;
  assert.deepEqual(found.results.map((r) => [r.chat_id, r.role, r.snippet.slice(r.hits[0].start, r.hits[0].end)]).at(-1), [ids[0], "user", "over"]);
  assert.deepEqual((await call("PATCH", `/chat/${ids[2]}/mark`, { pinned: true, folder: "Work" })).body, { pinned: true, archived: false, folder: "Work" });
  await call("PATCH", `/chat/${ids[1]}/mark`, { archived: true });
  assert.deepEqual((await call("GET", "/chat")).body.chats.map((c) => c.chat_id), [ids[2], ids[0]]);
  assert.deepEqual((await call("GET", "/chat?archived=true")).body.chats.map((c) => c.chat_id), [ids[1]]);
  assert.deepEqual((await call("GET", "/folders")).body, { folders: [{ folder: "Work", chats: 1 }] });
  await call("PATCH", `/chat/${ids[1]}/mark`, { archived: false });

  assert.equal((await call("DELETE", `/chat/${ids[0]}`)).status, 200);
  assert.equal((await event(socket, `error ${room}`)).code, "not_found");
  assert.equal((await call("GET", `/chat/${ids[0]}`)).status, 404);
  assert.equal((await call("GET", `/chat/${ids[0]}/messages`)).status, 404);
  assert.equal((await call("GET", "/nothing")).status, 404);
  assert.equal((await ask(socket, "send_message", { room_id: room, message: "gone" })).error.code, "not_found");
  assert.equal((await call("GET", "/chat")).body.total, 2);
});

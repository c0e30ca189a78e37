// A chat in which much was said.
import assert from "node:assert/strict";
import { join } from "node:path";
import { command, folder } from "./parlor.mjs";

/** A data file with the chat "abc" of so many questions and answers; its room follows from its name. */
export async function longChat(exchanges) {
  const at = "2026-01-01T00:00:00Z";
  const chat = { chat_id: "abc", room_id: "rxj4bnp4pahh6uqkbidpf3lrc", user_id: "alice", current_model_id: "eliza", current_model_api_source: "aisuite", epoch: "e", created_timestamp: at };
  const records = [{ type: "created", at, data: { chat } }];
  for (let i = 0; i < exchanges; i++) {
    const [message_id, prompt_seq] = [`q${i}`, records.length + 1];
    const answer = { turn_id: `t${i}`, message_id: `a${i}`, model_id: "eliza", name: "eliza" };
    records.push({ type: "message_added", at, data: { message_id, author: { user_id: "alice" }, content: `question ${i}`, model_id: "eliza" } });
    records.push({ type: "turn_queued", at, data: { turn_id: `t${i}`, prompt: message_id, prompt_seq, model_id: "eliza", by: "alice" } });
    records.push({ type: "turn_started", at, data: { ...answer, attempt: 1 } });
    records.push({ type: "turn_ended", at, data: { ...answer, prompt: message_id, prompt_seq, state: "completed", finish: "stop", content: `answer ${i}. ${"It has some **words** more. ".repeat(1 + (i % 7) * 6)}` } });
  }
  const lines = [{ parlor_export: 1 }, { chat, records: records.length }, ...records.map((record, i) => ({ seq: i + 1, record })), { end: { chats: 1, records: records.length } }];
  const dir = folder();
  const input = `${lines.map((line) => JSON.stringify(line)).join("\n")}\n`;
  const { status, stderr } = await command(["import", "--data", join(dir, "parlor.db")], { dir, input });
  assert.equal(status, 0, stderr);
  return dir;
}

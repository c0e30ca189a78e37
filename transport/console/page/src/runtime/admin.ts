// The answers of /api/v1/admin/runtime: see docs/operations.md, and openapi.json for each field.
import { Refusal } from "@parlor/client";
import { session } from "../stores/session.svelte.ts";

export interface Turn { turn_id: string; model_id: string; by: string; attempt: number; since: string }
export interface Actor {
  id: string; kind: string; state: string; queue: number; restarts: number; since: string;
  last_failure?: { at: string; reason: string };
  room?: { room_id: string; chat_id?: string; owner?: string; listeners: number; open_turns: number; approvals_waiting: number; running_turn?: Turn };
  client?: { user_id?: string; remote: string; under_way: number; request?: string };
}
export interface Page { actors: Actor[]; total: number; taken_at: string }
export interface User { user_id: string; name?: string; known: boolean; revoked: boolean; admin: boolean; connections: number }
export interface Found { users: User[]; rooms: Actor[]; connections: Actor[] }
export interface Provider { name: string; state: string; retry_at?: string; in_flight: number; requests: Record<string, number>; retries: number }
export interface Point {
  at: string; connections: number; sessions: number; rooms: number; answering: number; goroutines: number; heap_bytes: number; storage_bytes: number; cpu: number;
  turns_per_second: number; failed_turns_per_second: number; tokens_per_second: number; commits_per_second: number; changes_per_second: number;
  commit_p50_seconds: number | null; commit_p99_seconds: number | null; first_token_p50_seconds: number | null; first_token_p99_seconds: number | null;
  delivery_p50_seconds: number | null; delivery_p99_seconds: number | null;
}
export interface Overview {
  version: string; started: string; development: boolean; ready: string; now: Point; series: Point[];
  totals: { turns: Record<string, number>; tokens: number; restarts: number; slow_consumers: number; resumes_complete: number; resumes_anew: number; commit_failures: number };
  counts: Record<string, number>; users: number; providers: Provider[]; attention: Actor[]; cost: { looks: number; seconds: number };
}
export interface Action { action: string; room_id?: string; turn_id?: string; connection?: string; user_id?: string; note?: string }
export interface Entry { seq: number; at: string; by: string; from?: string; what: Action; outcome: string; detail?: string }
export interface RoomEvent { event: string; seq?: number; at?: string; turn_id?: string; by?: string; model_id?: string; state?: string; code?: string; attempt?: number; bytes?: number; tool?: string; missed?: number }

const get = <T>(path: string, query?: Record<string, string | number | undefined>) => session.api.ask<T>("GET", `admin/runtime${path}`, { query });

export const overview = () => get<Overview>("");
export const actors = (query: Record<string, string | number | undefined>) => get<Page>("/actors", query);
export const find = (q: string) => get<Found>("/find", { q });
export const room = (id: string) => get<Page>(`/rooms/${encodeURIComponent(id)}`);
export const audit = (before?: number) => get<{ entries: Entry[]; has_more: boolean }>("/audit", { before, limit: 50 });
export const act = (action: Action) => session.api.ask<Entry>("POST", "admin/runtime/actions", { body: action });

/** Tells what happens in a room until the signal. It resolves when the chat is gone, and rejects when the connection is. */
export async function follow(id: string, tell: (event: RoomEvent) => void, signal: AbortSignal): Promise<void> {
  const response = await fetch(session.api.url(`admin/runtime/rooms/${encodeURIComponent(id)}/events`), { headers: session.api.headers(), signal });
  if (!response.ok) {
    const { detail, request_id } = await response.json();
    throw new Refusal(detail, { status: response.status, request_id });
  }
  let text = "";
  let last = "";
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    text += value;
    for (let at; (at = text.indexOf("\n\n")) >= 0; text = text.slice(at + 2)) {
      const data = /^data: (.*)$/m.exec(text.slice(0, at))?.[1];
      if (!data) continue; // a comment
      const event = JSON.parse(data) as RoomEvent;
      last = event.event;
      tell(event);
    }
  }
  if (last !== "deleted") throw new Refusal("");
}

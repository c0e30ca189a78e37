// The state of a room as the client knows it. Every value is replaced and never changed, so a view can compare by ===.
import type { Again, AssistantState, Call, Member, Message, Present, Problem, Role, Settings, TurnState } from "./wire.ts";

/** A turn that waits, or one that ended before it began and so has no message. */
export interface Turn {
  turn_id: string;
  seq: number;
  state: TurnState;
  by?: string;
  stopped_by?: string;
  reason?: string;
  prompt?: string; // the message that it answers
  prompt_seq?: number;
  model_id?: string;
  first?: string; // of an answer that is to be given anew: its first version
}

/** The answer that is being given. */
export interface Running {
  message_id: string;
  turn_id: string;
  model_id?: string;
  name?: string;
  attempt: number;
  content: string;
  thought: string;
  calls: readonly Call[];
  state: "running" | "waiting"; // waiting: for a member, who has to decide about a call
  prompt?: string;
  by?: string; // who asked
  since: number; // ms: when this client heard of it
  first?: string;
  error?: Problem; // the last try has failed, and the model is asked again
  again?: Again;
  thoughtUntil?: number; // ms: when the thought ended
}

export interface Presence {
  members: ReadonlyMap<string, Present>;
  count: number;
  devices: number;
  assistant: AssistantState;
}

export interface Snapshot {
  reason: string;
  messages: number;
}

export interface RoomState {
  epoch?: string;
  seq: number; // the highest seen
  branch: number; // the last record that has changed the current branch
  messages: ReadonlyMap<string, Message>; // those of the current branch that are here, by id
  hasEarlier: boolean; // than those
  turns: ReadonlyMap<string, Turn>; // in the order in which they will run
  running: Running | null;
  members: ReadonlyMap<string, Member>; // with a role, or in the room
  presence: Presence;
  offer?: { user_id: string; by: string }; // to whom the owner offers the chat
  settings: Settings;
  model?: string; // of the chat: what answers if a message names none
  provider?: { provider: string; state: string; retry_at?: string | null }; // of the running turn, if it has trouble
  snapshot: Snapshot | null; // too much was missed: the newest messages took the place of what was here
  stale: boolean; // the history has to be read: another branch was selected, or may have been
  reading: boolean; // the history
  gap: boolean; // a piece of the running answer is missing: join again
  gone: Problem | null; // the chat was deleted, or one is no member any more
}

export const noPresence: Presence = { members: new Map(), count: 0, devices: 0, assistant: { state: "idle" } };

export const emptyRoom: RoomState = {
  seq: 0, branch: 0, messages: new Map(), hasEarlier: false, turns: new Map(), running: null, members: new Map(),
  presence: noPresence, settings: {}, snapshot: null, stale: false, reading: false, gap: false, gone: null,
};

/** The role of a user in the room. */
export function roleOf(state: RoomState, user?: string): Role {
  return (user !== undefined && state.members.get(user)?.role) || "";
}

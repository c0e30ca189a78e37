// Calls of tools of the running answer.
import type { RoomState } from "./state.ts";
import type { Call, RoomJoined } from "./wire.ts";

type Body = Record<string, any>;

function change(state: RoomState, call_id: string, how: (c: Call) => Call): RoomState {
  const r = state.running;
  if (!r?.calls.some((c) => c.call_id === call_id)) return state;
  return { ...state, running: { ...r, calls: r.calls.map((c) => (c.call_id === call_id ? how(c) : c)) } };
}

export const applyCall = {
  called(state: RoomState, b: Body, now: number): RoomState {
    const r = state.running;
    if (!r || r.message_id !== b.message_id) return state;
    const { call_id, function_name, arguments: args, where, needs_approval } = b;
    const call: Call = { call_id, function_name, arguments: args, where, needs_approval, at: r.content.length, since: now };
    const others = r.calls.filter((c) => c.call_id !== call_id);
    return { ...state, running: { ...r, calls: [...others, call] } };
  },

  progress: (state: RoomState, { call_id, progress, total, message }: Body) =>
    change(state, call_id, (c) => ({ ...c, progress: { progress, total, message } })),

  ended: (state: RoomState, { call_id, state: how, result, by }: Body) =>
    change(state, call_id, (c) => ({ ...c, state: how, result, by: by ?? c.by, needs_approval: false, progress: undefined })),

  decided: (state: RoomState, { call_id, decision, arguments: args, always, by, reason }: Body, now: number) =>
    change(state, call_id, (c) =>
      decision === "unknown"
        ? { ...c, needs_approval: true, unknown: true }
        : { ...c, needs_approval: false, unknown: false, decision, by, reason, always, arguments: args ?? c.arguments, since: now }),

  /** The calls of a turn that one has joined; those that wait are told apart. */
  pending(calls: readonly Call[], waiting: RoomJoined["pending"], at: number): Call[] {
    const known = new Map(calls.map((c) => [c.call_id, c]));
    for (const p of waiting) known.set(p.call_id, { at, ...known.get(p.call_id), ...p });
    return [...known.values()];
  },
};

// events → state: a pure fold of what the server tells of a room, in the documented dialect.
import { applyCall } from "./calls.ts";
import { applyPeople } from "./people.ts";
import { emptyRoom, type RoomState, type Running, type Turn } from "./state.ts";
import type { Again, Call, History, Message, RoomJoined } from "./wire.ts";

type Body = Record<string, any>;
type Handler = (state: RoomState, body: any, now: number) => RoomState;

/** Applies an event of the room, named without the room's id. Events that it does not know change nothing. */
export function apply(state: RoomState, event: string, body: Body, now: number): RoomState {
  const handler = handlers[event];
  if (!handler) return state;
  const seq = Math.max(state.seq, body.seq ?? body.message?.seq ?? 0);
  return handler(seq === state.seq ? state : { ...state, seq }, body, now);
}

const handlers: Record<string, Handler> = {
  message: (state, { message }) => hear(state, message),
  branch: (state, { from, seq }) => ({ ...leave(state, from, seq), stale: true }),
  turn: applyTurn,
  withdrawn: (state, { message_id }) => ({ ...without(state, (m) => m.message_id === message_id), stale: state.stale || state.reading }),
  stream_start: begin,
  stream_chunk: (state, body, now) => append(state, "content", body, now),
  stream_thought: (state, body, now) => append(state, "thought", body, now),
  stream_error: fail,
  stream_end: end,
  assistant: (state, body) => ({ ...state, provider: body.state === "closed" ? undefined : (body as RoomState["provider"]) }),
  function_call: applyCall.called,
  function_progress: applyCall.progress,
  function_result: applyCall.ended,
  approval: applyCall.decided,
  members: applyPeople.member,
  offer: (state, { user_id, by }) => ({ ...state, offer: { user_id, by } }),
  presence: applyPeople.presence,
  room_updated: (state, { seq: _seq, by: _by, ...settings }) => ({ ...state, settings }),
  error: (state, { error, code, event }) =>
    // A refusal names its event, and is in the acknowledgement too; the end of the chat does not.
    code === "not_found" && !event ? { ...emptyRoom, gone: { code, message: error } } : state,
};

/** Takes the answer to join_room. If it said how far one is, what was missed follows as events. */
export function join(state: RoomState, joined: RoomJoined, now: number): RoomState {
  const same = joined.epoch === state.epoch;
  const kept = same ? state : { ...emptyRoom, settings: state.settings };
  const branch = joined.branch_seq ?? 0;
  const next: RoomState = {
    ...kept,
    epoch: joined.epoch, seq: same ? state.seq : joined.seq, branch, gap: false, gone: null,
    stale: kept.stale || (branch > kept.branch && kept.messages.size > 0),
    turns: new Map(joined.queued.map((t) => [t.turn_id, { ...t, seq: 0, state: "queued" }])),
    running: joined.turn && running(kept, joined, now),
    members: applyPeople.joined(kept.members, joined.members),
    snapshot: null,
  };
  return joined.snapshot ? snapshot(next, joined.snapshot) : next;
}

function running(state: RoomState, { turn, pending }: RoomJoined, now: number): Running {
  const { turn_id, message_id, model_id, name, attempt, content, thought = "", prompt, by, state: how } = turn!;
  const known = state.running?.turn_id === turn_id ? state.running : null;
  return {
    turn_id, message_id, model_id, name: name ?? known?.name, attempt, content, thought, thoughtUntil: known?.thoughtUntil, first: known?.first,
    again: known ? againOf(known, attempt, content, now) : attempt > 1 ? {} : undefined,
    prompt: prompt ?? known?.prompt, by: by ?? known?.by, since: known?.since ?? now,
    state: how === "waiting" ? "waiting" : "running",
    calls: applyCall.pending((turn!.calls ?? []) as Call[], pending, content.length),
  };
}

// againOf keeps what an answer had said, if another attempt has begun since. More than that is not taken back.
function againOf({ attempt: before, content: said, again }: Running, attempt: number, content: string, now: number): Again | undefined {
  if (before === 0 || attempt <= before) return left(again, content);
  const longest = said.length > (again?.text?.length ?? 0) ? said : again?.text;
  return left({ at: now, text: longest || undefined }, content);
}

// left forgets the earlier text as soon as as much is said again.
function left(again: Again | undefined, content: string): Again | undefined {
  return again?.text !== undefined && content.length >= again.text.length ? { at: again.at } : again;
}

function snapshot(state: RoomState, { reason, messages, has_more }: NonNullable<RoomJoined["snapshot"]>): RoomState {
  const read = fromHistory({ ...state, messages: new Map() }, { messages, has_more });
  return { ...read, stale: false, snapshot: { reason, messages: messages.length } };
}

/** Adds messages of the history: older ones, or the newest ones when none are here. */
export function fromHistory(state: RoomState, { messages, has_more }: History): RoomState {
  const all = new Map(state.messages);
  for (const m of messages) all.set(m.message_id, m);
  return settle({ ...state, messages: all, hasEarlier: has_more }, messages.at(-1));
}

// seen is what only this client knows of an answer, since it saw it being given.
function seen(m?: Message): Partial<Message> {
  if (!m?.turn_id) return {};
  const { turn_id, attempt, again } = m;
  return { turn_id, attempt, again };
}

/** Says that the history is about to be read anew, whole. */
export const startReading = (state: RoomState): RoomState => ({ ...state, reading: true, stale: false });

/** Takes the newest messages in place of all that were here, unless what came meanwhile may be of another branch. */
export function finishReading(state: RoomState, page: History | null): RoomState {
  const done = { ...state, reading: false };
  if (!page) return { ...done, stale: true };
  if (done.stale) return done;
  const all = page.messages.map((m) => ({ ...seen(state.messages.get(m.message_id)), ...m }));
  return fromHistory({ ...done, messages: new Map() }, { ...page, messages: all });
}

/** Records what is certain to be part of the conversation, such as a message that was acknowledged. */
export function record(state: RoomState, m: Message): RoomState {
  let next = m.replaces_seq ? takeBack(state, m) : state;
  if (state.reading) next = { ...next, stale: true }; // it may be of another branch than what is read
  return settle({ ...next, messages: new Map(next.messages).set(m.message_id, m) }, m);
}

// settle ends the running answer if its message has come.
function settle(state: RoomState, m?: Message): RoomState {
  if (!m) return state;
  const ended = state.running?.message_id === m.message_id;
  return { ...state, seq: Math.max(state.seq, m.seq), running: ended ? null : state.running, provider: ended ? undefined : state.provider };
}

// hear takes a message that was said just now. An answer to what is not shown is of another branch.
// One that was given anew takes the place of the other versions, if it has a text. If another branch
// was selected since it was wanted, it may belong to that.
function hear(state: RoomState, m: Message): RoomState {
  if (m.role !== "assistant") return record(state, m);
  const versions = [...state.messages.values()].filter((old) => m.first && [old.message_id, old.first].includes(m.first));
  const elsewhere = m.prompt !== undefined && !state.messages.has(m.prompt);
  const stale = state.stale || Boolean(m.first && m.content && (m.version ?? 0) < state.branch);
  const superseded = versions.some((old) => (old.version ?? 0) > (m.version ?? 0));
  if (elsewhere || stale || (m.first && !m.content) || superseded) return settle({ ...state, stale: stale || state.reading }, m);
  const running = state.running?.message_id === m.message_id ? state.running : undefined;
  const known = running && { turn_id: running.turn_id, attempt: running.attempt, again: left(running.again, m.content) };
  return record(without(state, (old) => versions.includes(old)), { ...m, ...known });
}

function without(state: RoomState, drops: (m: Message) => boolean): RoomState {
  const messages = new Map([...state.messages].filter(([, m]) => !drops(m)));
  return messages.size === state.messages.size ? state : { ...state, messages };
}

const place = (m: Message) => m.prompt_seq ?? m.seq;

// leave drops the messages from one on, with their answers.
function leave(state: RoomState, from: number, seq: number): RoomState {
  const left = without(state, (m) => place(m) >= from);
  return { ...left, branch: Math.max(left.branch, seq), stale: left.stale || left.reading };
}

// takeBack drops what an edit is said instead of: the message, what followed it, and their answers.
function takeBack(state: RoomState, { seq, replaces_seq }: Message): RoomState {
  const kept = without(state, (m) => m.seq < seq && place(m) >= replaces_seq!);
  return { ...kept, branch: Math.max(kept.branch, seq) };
}

function applyTurn(before: RoomState, t: Body): RoomState {
  // An answer is to be given anew: what is behind its question is of another branch.
  const state = t.first ? leave(before, t.prompt_seq + 1, t.seq) : before;
  const { turn_id } = t;
  const known = state.turns.get(turn_id);
  switch (t.state) {
    case "queued":
      return queue(state, { by: t.by, ...known, turn_id, seq: t.seq, state: "queued", ...pick(t) }, t.before);
    case "running":
      return resume({ ...state, turns: dropped(state, turn_id) }, turn_id, known);
    case "waiting":
      return state.running?.turn_id === turn_id ? { ...state, running: { ...state.running!, state: "waiting" } } : state;
  }
  // The message of a turn that had begun has come by now, unless the room is out of service.
  if (!known) return state.running?.turn_id === turn_id ? { ...state, running: null } : state;
  const ended: Turn = { ...known, seq: t.seq, state: t.state, stopped_by: t.by, reason: t.reason };
  return { ...state, turns: new Map(state.turns).set(turn_id, ended) };
}

function pick({ prompt, prompt_seq, model_id, first }: Body): Partial<Turn> {
  return Object.fromEntries(Object.entries({ prompt, prompt_seq, model_id, first }).filter(([, value]) => value !== undefined));
}

function dropped(state: RoomState, turn_id: string): RoomState["turns"] {
  return state.turns.has(turn_id) ? new Map([...state.turns].filter(([id]) => id !== turn_id)) : state.turns;
}

// resume shows a turn as running: one that began now, or one that has waited for a member. What it
// answers is known from when it was queued.
function resume(state: RoomState, turn_id: string, known?: Turn): RoomState {
  if (state.running?.turn_id === turn_id) return { ...state, running: { ...state.running, state: "running" } };
  return known ? { ...state, running: { ...starting(known) } } : state;
}

function starting({ turn_id, prompt, by, model_id, first }: Turn): Running {
  return { turn_id, message_id: "", prompt, by, model_id, first, attempt: 0, content: "", thought: "", calls: [], state: "running", since: 0 };
}

// queue has a turn wait before another one, or last. It may have waited elsewhere.
function queue(state: RoomState, turn: Turn, before?: string): RoomState {
  const others = [...state.turns.values()].filter((t) => t.turn_id !== turn.turn_id);
  const at = others.findIndex((t) => t.turn_id === before);
  others.splice(at < 0 ? others.length : at, 0, turn);
  return { ...state, turns: new Map(others.map((t) => [t.turn_id, t])) };
}

function begin(state: RoomState, s: Body, now: number): RoomState {
  const known = state.running?.turn_id === s.turn_id ? state.running : null;
  const { message_id, turn_id, model_id, name, attempt } = s;
  return {
    ...state,
    running: {
      message_id, turn_id, model_id, name, attempt, content: "", thought: "", calls: known?.calls ?? [], state: "running", // a call is not made again
      prompt: known?.prompt, by: known?.by, first: known?.first, since: known?.since || now,
      again: known ? againOf(known, attempt, "", now) : undefined,
    },
  };
}

// append adds a piece of the answer, or of the thought before it, if it is the one that comes next:
// offset counts UTF-16 code units, as length does. One at 0 replaces what is there: the model was
// asked again, or the connection was lost.
function append(state: RoomState, part: "content" | "thought", { message_id, content, offset, done }: Body, now: number): RoomState {
  if (done || state.messages.has(message_id)) return state;
  const r = state.running;
  if (!r || r.message_id !== message_id || (offset > 0 && r[part].length !== offset)) return { ...state, gap: true };
  const text = r[part].slice(0, offset) + content;
  const next: Running = { ...r, [part]: text, error: undefined };
  if (part === "content") {
    if (r.thought && !r.thoughtUntil) next.thoughtUntil = now;
    next.again = left(r.again, text);
  }
  return { ...state, running: next };
}

function fail(state: RoomState, { message_id, error, code, model_id }: Body): RoomState {
  const r = state.running;
  if (!r || r.message_id !== message_id) return state;
  return { ...state, running: { ...r, model_id: model_id ?? r.model_id, error: { code, message: error } } };
}

function end(state: RoomState, { message_id, seq, state: how, finish, usage }: Body, now: number): RoomState {
  const r = state.running;
  if (!r || r.message_id !== message_id) return state; // its message has come, as it should
  const { turn_id, model_id, name, content, thought, calls, prompt, attempt, error, again } = r;
  return record(state, {
    message_id, seq, role: "assistant", state: how, finish, usage, turn_id, model_id, name, content, thought, prompt, attempt, error, again,
    calls: [...calls], timestamp: new Date(now).toISOString(),
  });
}

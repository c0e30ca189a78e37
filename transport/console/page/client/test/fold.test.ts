import { expect, test } from "vitest";
import { apply, conversation, emptyRoom, finishReading, fromHistory, join, record, startReading, type Message, type RoomJoined, type RoomState } from "../src/index.ts";

const joined = (more: Partial<RoomJoined> = {}): RoomJoined => ({
  room_id: "r", seq: 1, epoch: "e", members: [{ user_id: "ann", role: "owner" }], turn: null, queued: [], pending: [], ...more,
});
const question = (message_id: string, seq: number, more: Partial<Message> = {}): Message => ({
  message_id, seq, role: "user", content: message_id, author: { user_id: "ann" }, state: "completed", ...more,
});
const answer = (message_id: string, seq: number, prompt: string, prompt_seq: number, more: Partial<Message> = {}): Message => ({
  message_id, seq, role: "assistant", content: `to ${prompt}`, prompt, prompt_seq, state: "completed", ...more,
});

type Event = [string, Record<string, unknown>];
const fold = (state: RoomState, ...events: Event[]) => events.reduce((s, [name, body], i) => apply(s, name, body, 1000 + i), state);
const start = join(emptyRoom, joined(), 0);
const message = (m: Message): Event => ["message", { message: m }];
const chunk = (content: string, offset: number): Event => ["stream_chunk", { message_id: "a", content, offset, done: false }];
const asked: Event[] = [
  message(question("q", 2)),
  ["turn", { turn_id: "t", state: "queued", seq: 2, by: "ann", prompt: "q", prompt_seq: 2, model_id: "m" }],
];
const begun: Event[] = [
  ...asked,
  ["turn", { turn_id: "t", state: "running", seq: 3 }],
  ["stream_start", { message_id: "a", turn_id: "t", attempt: 1, model_id: "m", name: "Em", seq: 3 }],
];
const shape = (state: RoomState) => {
  const { exchanges, waiting } = conversation(state);
  return {
    talk: exchanges.map((e) => [e.question?.message_id, ...e.answers.map((m) => m.message_id), ...(e.running ? ["…"] : [])]),
    line: waiting.map((w) => w.question?.message_id ?? w.turn.turn_id),
  };
};

test("an answer belongs to its question from its first piece to its end", () => {
  let state = fold(start, ...begun, chunk("Hel", 0), chunk("lo", 3));
  expect(state.running).toMatchObject({ content: "Hello", prompt: "q", by: "ann", name: "Em", since: 1003 });
  expect(shape(state)).toEqual({ talk: [["q", "…"]], line: [] });
  state = fold(state, message(answer("a", 4, "q", 2)), ["stream_end", { message_id: "a", seq: 4, state: "completed" }]);
  expect(state.running).toBeNull();
  expect(shape(state)).toEqual({ talk: [["q", "a"]], line: [] });
  expect(state.messages.get("a")).toMatchObject({ turn_id: "t", attempt: 1 });
});

test("a piece that does not fit is a gap, and one at 0 replaces the text", () => {
  const state = fold(start, ...begun, chunk("Hello", 0));
  expect(fold(state, chunk("!", 7)).gap).toBe(true);
  expect(fold(state, chunk("!", 7)).running?.content).toBe("Hello");
  expect(fold(state, chunk("Hello, you", 0)).running?.content).toBe("Hello, you");
  expect(fold(start, chunk("x", 3)).gap, "of an answer that nobody has told of").toBe(true);
});

test("a later attempt keeps what the one before had said until it has said more", () => {
  let state = fold(start, ...begun, chunk("Hello there", 0), ["stream_start", { message_id: "a", turn_id: "t", attempt: 2, model_id: "m", seq: 5 }]);
  expect(state.running).toMatchObject({ attempt: 2, content: "", again: { at: 1005, text: "Hello there" }, prompt: "q" });
  state = fold(state, chunk("Hello again,", 0));
  expect(state.running?.again).toEqual({ at: 1005 });
  state = fold(state, message(answer("a", 6, "q", 2, { content: "Hello again, you" })));
  expect(state.messages.get("a")?.again).toEqual({ at: 1005 });
});

test("an attempt that began while one was away keeps what the one before had said, until it ends", () => {
  const before = fold(start, ...begun, chunk("Hello there", 0));
  const turn = { turn_id: "t", message_id: "a", attempt: 2, content: "He", by: "ann" };
  let state = join(before, joined({ turn, seq: 3 }), 50);
  expect(state.running).toMatchObject({ content: "He", again: { at: 50, text: "Hello there" } });
  // The missed events follow, from the first attempt on.
  state = fold(state, ["stream_start", { message_id: "a", turn_id: "t", attempt: 2, model_id: "m", seq: 5 }], chunk("Hey", 0));
  expect(state.running).toMatchObject({ content: "Hey", again: { at: 50, text: "Hello there" } });
  state = fold(state, message(answer("a", 6, "q", 2, { content: "Hey!" })));
  expect(state.messages.get("a")?.again).toEqual({ at: 50, text: "Hello there" });
  state = finishReading(startReading(state), { messages: [question("q", 2), answer("a", 6, "q", 2, { content: "Hey!" })], has_more: false });
  expect(state.messages.get("a")?.again, "also if the history is read anew").toEqual({ at: 50, text: "Hello there" });
});

test("who comes while an answer is given for the second time is told that it is", () => {
  const turn = { turn_id: "t", message_id: "a", attempt: 2, content: "He", by: "ann" };
  expect(join(emptyRoom, joined({ turn }), 50).running?.again).toEqual({});
  expect(join(emptyRoom, joined({ turn: { ...turn, attempt: 1 } }), 50).running?.again).toBeUndefined();
});

test("a question that waits stands in line, and comes behind the answer before it", () => {
  const waits: Event[] = [
    message(question("q2", 4)),
    ["turn", { turn_id: "t2", state: "queued", seq: 4, by: "bo", prompt: "q2", prompt_seq: 4 }],
    message(question("chatter", 5, { unasked: true })),
  ];
  let state = fold(start, ...begun, ...waits);
  expect(shape(state)).toEqual({ talk: [["q", "…"], ["chatter"]], line: ["q2"] });
  state = fold(state, message(answer("a", 6, "q", 2)), ["turn", { turn_id: "t2", state: "running", seq: 7 }],
    ["stream_start", { message_id: "a2", turn_id: "t2", attempt: 1, model_id: "m", seq: 7 }]);
  const talk = [["q", "a"], ["chatter"], ["q2", "…"]];
  expect(shape(state)).toEqual({ talk, line: [] });
  state = fold(state, message(answer("a2", 8, "q2", 4)));
  expect(shape(state).talk, "and stays there").toEqual([["q", "a"], ["chatter"], ["q2", "a2"]]);
  const reread = fromHistory(join(emptyRoom, joined(), 0), { messages: [...state.messages.values()], has_more: false });
  expect(shape(reread), "also after a reload").toEqual(shape(state));
});

test("turns wait in the order of the server", () => {
  const line = (...ids: string[]): Event[] => ids.flatMap((id, i) => [
    message(question(`q${id}`, i + 2)), ["turn", { turn_id: id, state: "queued", seq: i + 2, by: "ann", prompt: `q${id}`, prompt_seq: i + 2 }],
  ] as Event[]);
  const state = fold(start, ...line("1", "2", "3"), ["turn", { turn_id: "3", state: "queued", before: "1", seq: 9 }]);
  expect(shape(state).line).toEqual(["q3", "q1", "q2"]);
  const stopped = fold(state, ["turn", { turn_id: "1", state: "stopped", by: "bo", seq: 10 }]);
  expect(shape(stopped)).toEqual({ talk: [["q1"]], line: ["q3", "q2"] });
  expect(conversation(stopped).exchanges[0]?.ended).toMatchObject([{ state: "stopped", stopped_by: "bo", by: "ann" }]);
});

test("an edit takes back what followed, and another branch makes the history stale", () => {
  const said = fold(start, message(question("q", 2)), message(answer("a", 3, "q", 2)), message(question("q2", 4)), message(answer("a2", 5, "q2", 4)));
  const edited = fold(said, message(question("q'", 6, { replaces: "q2", replaces_seq: 4 })));
  expect(shape(edited).talk).toEqual([["q", "a"], ["q'"]]);
  const left = fold(said, ["branch", { message_id: "q'", from: 4, seq: 7 }]);
  expect([left.stale, shape(left).talk]).toEqual([true, [["q", "a"]]]);
  const interrupted = fold(startReading(left), message(question("late", 8)));
  expect(finishReading(interrupted, { messages: [], has_more: false }).stale, "what came meanwhile may be of another branch").toBe(true);
  expect(finishReading(startReading(left), null).stale, "what was dropped is still missing").toBe(true);
});

test("an answer given anew takes the place of the other versions if it has a text", () => {
  const said = fold(start, ...asked, message(answer("a", 3, "q", 2)));
  const again: Event = ["turn", { turn_id: "t2", state: "queued", first: "a", prompt: "q", prompt_seq: 2, seq: 4, by: "ann" }];
  const newer = (more: Partial<Message>) => fold(said, again, message(answer("b", 6, "q", 2, { first: "a", version: 4, ...more })));
  expect(shape(newer({})).talk).toEqual([["q", "b"]]);
  expect(shape(newer({ content: "" })).talk[0]).toEqual(["q", "a"]);
});

test("a call stays when the answer begins again after the end of the server, and is asked about", () => {
  const called: Event = ["function_call", { message_id: "a", call_id: "c", function_name: "f", arguments: {}, where: "server", needs_approval: false, seq: 4 }];
  const state = fold(start, ...begun, called, ["stream_start", { message_id: "a", turn_id: "t", attempt: 2, model_id: "m", seq: 5, recovering: true }], ["approval", { call_id: "c", decision: "unknown", seq: 6 }]);
  expect(state.running).toMatchObject({ attempt: 2, calls: [{ call_id: "c", needs_approval: true, unknown: true }] });
});

test("calls of tools: arguments, progress, who decided, and the result", () => {
  let state = fold(start, ...begun, chunk("Let me see", 0),
    ["function_call", { call_id: "c", function_name: "look", arguments: { at: "x" }, message_id: "a", where: "server", needs_approval: true, seq: 4 }],
    ["turn", { turn_id: "t", state: "waiting", seq: 4 }]);
  expect(state.running).toMatchObject({ state: "waiting", calls: [{ call_id: "c", at: 10, needs_approval: true }] });
  state = fold(state, ["approval", { call_id: "c", decision: "approve", by: "bo", arguments: { at: "y" }, seq: 5 }], ["turn", { turn_id: "t", state: "running", seq: 5 }]);
  expect(state.running).toMatchObject({ state: "running", calls: [{ needs_approval: false, decision: "approve", by: "bo", arguments: { at: "y" } }] });
  state = fold(state, ["function_progress", { call_id: "c", progress: 1, total: 2, message: "half" }]);
  expect(state.running?.calls[0]?.progress).toEqual({ progress: 1, total: 2, message: "half" });
  state = fold(state, ["function_result", { call_id: "c", function_name: "look", state: "completed", result: "seen", seq: 6 }]);
  expect(state.running?.calls[0]).toMatchObject({ state: "completed", result: "seen", by: "bo" });
  const cut = fold(state, ["approval", { call_id: "c", decision: "unknown", seq: 7 }]);
  expect(cut.running?.calls[0]).toMatchObject({ needs_approval: true, unknown: true });
});

test("who joins in the middle knows the text so far, what waits, and what waits for a member", () => {
  const state = join(emptyRoom, joined({
    turn: { turn_id: "t", message_id: "a", model_id: "m", attempt: 1, content: "so far", thought: "hm", prompt: "q", by: "bo", state: "waiting", calls: [{ call_id: "old", function_name: "f", arguments: "{}", at: 2, state: "completed", result: "1" }] },
    queued: [{ turn_id: "t2", by: "ann", prompt: "q2", prompt_seq: 4 }],
    pending: [{ call_id: "c", function_name: "g", arguments: {}, where: "server", needs_approval: true }],
  }), 5);
  expect(state.running).toMatchObject({ content: "so far", thought: "hm", prompt: "q", by: "bo", state: "waiting" });
  expect(state.running?.calls.map((c) => [c.call_id, c.at, c.needs_approval])).toEqual([["old", 2, undefined], ["c", 6, true]]);
  expect(conversation(state).waiting[0]?.turn).toMatchObject({ turn_id: "t2", prompt: "q2" });
});

test("another chat under the same id replaces everything, and a snapshot what was here", () => {
  const said = fold(start, message(question("q", 2)));
  expect(join(said, joined({ epoch: "other" }), 0).messages.size).toBe(0);
  const newest = { reason: "too_far", messages: [question("q9", 90)], has_more: true };
  const state = join(said, joined({ seq: 90, snapshot: newest }), 0);
  expect([[...state.messages.keys()], state.hasEarlier, state.snapshot]).toEqual([["q9"], true, { reason: "too_far", messages: 1 }]);
});

test("members, roles and presence", () => {
  let state = fold(start, ["members", { user_id: "bo", name: "Bo", role: "member", seq: 3 }], ["members", { user_id: "bo", role: "owner", seq: 4 }]);
  expect([...state.members.values()].map((m) => [m.user_id, m.role])).toEqual([["ann", "member"], ["bo", "owner"]]);
  const assistant = { state: "idle" };
  state = fold(state, ["presence", { members: [{ user_id: "ann", devices: 1, typing: false }], count: 1, devices: 1, assistant }]);
  state = fold(state, ["presence", { joins: [{ user_id: "bo", devices: 1, typing: true }], leaves: ["ann"], count: 1, devices: 1, assistant }]);
  expect([...state.presence.members.values()]).toEqual([{ user_id: "bo", devices: 1, typing: true }]);
  expect(fold(state, ["error", { error: "no longer a member", code: "not_found" }]).gone?.code).toBe("not_found");
  expect(fold(state, ["error", { error: "no such message", code: "not_found", event: "select" }]).gone).toBeNull();
});

test("an event that changes nothing keeps the state, and a piece of text keeps the messages", () => {
  const state = fold(start, ...begun);
  expect(apply(state, "unheard_of", {}, 0)).toBe(state);
  expect(apply(state, ...chunk("x", 0), 0).messages).toBe(state.messages);
  expect(record(state, question("own", 9)).seq).toBe(9);
});

test("a chat that is offered is so until somebody has taken it", () => {
  const state = fold(start, ["members", { user_id: "bo", name: "Bo", role: "member", by: "ann", seq: 2 }], ["offer", { user_id: "bo", by: "ann", seq: 3 }]);
  expect(state.offer).toEqual({ user_id: "bo", by: "ann" });
  const taken = fold(state, ["members", { user_id: "bo", role: "owner", by: "bo", seq: 4 }]);
  expect(taken.offer).toBeUndefined();
  expect([...taken.members.values()].map((m) => m.role)).toEqual(["member", "owner"]);
});

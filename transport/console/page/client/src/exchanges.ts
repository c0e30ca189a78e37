// How a conversation is shown: a question and its answers are one exchange, wherever the records lie.
import type { Entry } from "./outbox.ts";
import type { RoomState, Turn } from "./state.ts";
import type { Message } from "./wire.ts";

export interface Exchange {
  key: string; // the same before and after the server has taken the question
  question?: Message; // missing if it is older than what is here
  outgoing?: Entry; // a message that the server has not taken yet
  answers: readonly Message[];
  ended: readonly Turn[]; // turns for this question that ended before they began
  running: boolean; // the running answer is to this question
}

/** A message that waits for its answer, or an answer that is to be given anew. */
export interface Waiting {
  turn: Turn;
  question?: Message;
}

export interface Conversation {
  exchanges: readonly Exchange[];
  waiting: readonly Waiting[]; // next in line
}

type Draft = Exchange & { answers: Message[]; ended: Turn[]; at: number };

/**
 * Groups what is known of a room. A question that waits stands in line; it enters the conversation when its turn
 * starts, behind the answer before it. What asks nothing enters at once.
 */
export function conversation(state: Pick<RoomState, "messages" | "turns" | "running">, outgoing: readonly Entry[] = [], me = ""): Conversation {
  const all = [...state.messages.values()].sort((a, b) => a.seq - b.seq);
  const exchanges = new Map<string, Draft>();
  const open = (key: string, at: number, question?: Message): Draft => {
    const found = exchanges.get(key);
    if (found) return found;
    const made: Draft = { key, question, answers: [], ended: [], running: false, at };
    exchanges.set(key, made);
    return made;
  };
  for (const m of all) if (m.role !== "assistant") open(m.message_id, m.seq, m);
  let freed = 0; // the record that ended the answer before: turns run one at a time
  for (const m of all) {
    if (m.role !== "assistant") continue;
    const exchange = open(m.prompt ?? m.message_id, m.seq);
    if (exchange.answers.length === 0) exchange.at = Math.max(exchange.question?.seq ?? m.prompt_seq ?? m.seq, freed);
    exchange.answers.push(m);
    freed = m.seq;
  }
  if (state.running) {
    const { prompt, turn_id } = state.running;
    const exchange = open(prompt ?? turn_id, Infinity);
    if (exchange.answers.length === 0) exchange.at = Math.max(exchange.at, freed);
    exchange.running = true;
  }
  const waiting = placeTurns(state, exchanges, open);
  for (const e of exchanges.values()) if (e.question?.client_message_id) e.key = keyOf(e.question.author?.user_id, e.question.client_message_id);
  const shown = [...exchanges.values()].sort((a, b) => a.at - b.at || (a.question?.seq ?? 0) - (b.question?.seq ?? 0));
  return { exchanges: [...shown, ...outgoing.map((entry) => unsent(entry, me))], waiting };
}

// placeTurns takes the questions out that only wait, and shows turns that ended before they began where they were asked.
function placeTurns({ turns, messages }: Pick<RoomState, "turns" | "messages">, exchanges: Map<string, Draft>, open: (key: string, at: number) => Draft): Waiting[] {
  const waiting: Waiting[] = [];
  for (const turn of turns.values()) {
    const exchange = exchanges.get(turn.prompt ?? "");
    if (turn.state !== "queued") {
      (exchange ?? open(turn.turn_id, turn.seq)).ended.push(turn);
      continue;
    }
    waiting.push({ turn, question: messages.get(turn.prompt ?? "") });
    if (exchange && exchange.answers.length === 0 && !exchange.running && !turn.first) exchanges.delete(exchange.key);
  }
  return waiting;
}

/** The key of the exchange that a message begins, known before the message is recorded. An id of a client is one of its user. */
export const keyOf = (user = "", client_message_id: string) => `${user}/${client_message_id}`;

const unsent = (outgoing: Entry, me: string): Exchange => ({ key: keyOf(me, outgoing.client_message_id), outgoing, answers: [], ended: [], running: false });

// The answers of an exchange that are shown.
import type { Exchange, Message, Running } from "@parlor/client";

/** The answers that have ended. One that is given anew takes the place of its other version at once. */
export function ended({ answers, running }: Exchange, now: Running | null): Message[] {
  const first = running ? now?.first : undefined;
  return answers.filter((m) => !first || (m.message_id !== first && m.first !== first));
}

/** The keys of the messages of an exchange, in the order in which they stand. */
export function keysOf(e: Exchange, now: Running | null): string[] {
  const all = [e.question?.message_id, e.outgoing?.client_message_id, ...ended(e, now).map((m) => m.message_id), e.running ? now?.message_id : undefined];
  return all.filter((key) => key !== undefined && key !== "") as string[];
}

// The events of the server and their answers: docs/events.md, "documented" dialect.

export type Role = "owner" | "member" | "viewer" | "";

export interface User {
  user_id: string;
  name?: string | null;
  email?: string | null;
  picture?: string | null;
  admin?: boolean; // absent: no administrator
}

export interface Problem {
  code?: string;
  message: string;
}

export type TurnState = "queued" | "running" | "waiting" | "completed" | "stopped" | "failed" | "interrupted";

export type Finish = "stop" | "length" | "content_filter" | "refusal" | "tool_calls" | "context_full" | "pause";

export type Policy = "queue" | "steer" | "interrupt" | "reject" | "merge" | "rollback";

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens?: number;
  estimated?: boolean;
}

/** Other versions of a message; each has a branch of its own. */
export interface Siblings {
  ids: string[];
  place: number;
  count: number;
}

export interface FileInfo {
  fileid: string;
  filename: string;
  content_type?: string;
  size?: number;
}

export interface CutFile {
  fileid: string;
  filename: string;
  given_tokens: number;
  tokens: number;
  reason: string;
}

/** A call of a tool, as it is kept with an answer or known of one that is being given. */
export interface Call {
  call_id: string;
  function_name: string;
  arguments: unknown; // a JSON string where the server keeps it so, an object while it runs
  state?: "completed" | "failed" | "denied" | "stopped" | "unknown";
  result?: string;
  by?: string;
  at: number; // so many UTF-16 code units of the answer come before it
  cut?: boolean;
  where?: string;
  needs_approval?: boolean; // it waits for a member
  unknown?: boolean; // the end of the server has cut it, so it may have had its effect
  decision?: string;
  reason?: string;
  always?: boolean;
  progress?: { progress?: number; total?: number; message?: string };
  since?: number; // when this client heard of it
}

/** An answer that began again, since the server was restarted: the next attempt took the place of the one before. */
export interface Again {
  at?: number; // ms: when this client heard of it; missing if it came later
  text?: string; // what was said before, until as much is said again
}

export interface Message {
  message_id: string;
  seq: number;
  role: "user" | "assistant" | "system";
  content: string;
  author?: User;
  model_id?: string;
  name?: string;
  prompt?: string;
  prompt_seq?: number;
  state: TurnState;
  finish?: Finish;
  thought?: string;
  usage?: Usage | null;
  error?: Problem;
  by?: string;
  reason?: string;
  client_message_id?: string;
  timestamp?: string;
  modality?: string;
  steers?: string;
  mentions?: string[];
  unasked?: boolean;
  replaces?: string;
  replaces_seq?: number;
  files?: FileInfo[];
  cut_files?: CutFile[];
  calls?: Call[];
  first?: string;
  version?: number;
  siblings?: Siblings;
  turn_id?: string; // if this client saw the answer being given
  attempt?: number; // the same
  again?: Again; // the same
}

export interface RoomJoined {
  room_id: string;
  seq: number;
  epoch: string;
  members: Member[];
  turn: (Partial<Message> & { turn_id: string; message_id: string; attempt: number; content: string; by?: string }) | null;
  queued: { turn_id: string; by: string; prompt?: string; prompt_seq?: number; model_id?: string }[];
  pending: (Omit<Call, "at"> & { message_id?: string })[];
  branch_seq?: number;
  snapshot?: { reason: string; messages: Message[]; has_more: boolean };
}

export interface Member {
  user_id: string;
  name?: string;
  role?: Role;
}

export interface Present {
  user_id: string;
  name?: string;
  devices: number;
  typing: boolean;
}

export interface AssistantState {
  state: "idle" | "thinking" | "answering" | "tool" | "waiting";
  tool?: string;
  for?: string;
}

export interface Settings {
  title?: string;
  system_prompt?: string;
  turn_policy?: string;
  read_only?: boolean;
  answers?: string;
  retain_for?: number; // seconds without a word, after which the chat is deleted; 0: as the server is configured
  tools_off?: readonly string[]; // tools of the model that are not offered here: NAME, SERVER/* or *
}

export interface Activity {
  chat_id: string;
  room_id: string;
  seq: number;
  state: "running" | "idle" | "deleted";
  unread: number;
  mentions: number;
  title?: string;
  last_timestamp?: string;
  waiting?: boolean; // a call of a tool waits for a member to decide
  pinned?: boolean;
  archived?: boolean;
  folder?: string;
}

export interface History {
  messages: Message[];
  has_more: boolean;
}

/** A chat as GET /chat lists it. */
export interface ChatInfo extends Settings {
  chat_id: string;
  user_id: string;
  role: Role;
  current_model_id?: string;
  created_timestamp?: string;
  pinned: boolean;
  archived: boolean;
  folder: string;
  last_seq: number;
  unread: number;
  mentions: number;
  last_timestamp?: string; // when something was recorded last
  people?: User[]; // the owner first, five at most
}

export interface Model {
  model_id: string;
  model_api_source: string;
  provider: string;
  display_name: string;
  full_name?: string;
  description?: string;
  name?: string;
  vision?: boolean;
  state?: string;
  [more: string]: unknown;
}

export interface Invite {
  invite_id: string;
  token?: string;
  url?: string;
  role: Role;
  expires_at?: string | null;
  uses?: number | null;
  by: string;
  guests?: boolean; // people without an account may accept it
}

export interface Found {
  chat_id: string;
  title: string;
  message_id?: string;
  seq?: number;
  role?: string;
  author?: User;
  timestamp?: string;
  snippet: string;
  hits: { start: number; end: number }[];
}

export interface Session {
  session_id: string;
  created_at: string;
  last_seen_at: string;
  expires_at: string;
  address: string;
  user_agent: string;
  current: boolean;
}

/** The usage of turns: of a day, a chat, a model, or in all. */
export interface UsageRow {
  day?: string;
  chat_id?: string; // missing: of chats that were deleted
  model_id?: string;
  user_id?: string;
  turns: number;
  estimated_turns: number;
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  cost?: number;
  unpriced_turns?: number; // whose models have no price
}

/** A budget that limits the user: of what it names, or of the whole server. */
export interface BudgetLeft {
  user_id?: string;
  chat_id?: string;
  model_id?: string;
  provider?: string;
  each?: boolean; // every model or provider has as much
  period: "hour" | "day" | "month" | "total";
  tokens: number;
  left: number;
  ends_at: string | null;
}

export interface UsageReport {
  by: string;
  total: UsageRow;
  rows: UsageRow[];
  has_more: boolean;
  currency?: string;
  budgets: BudgetLeft[];
}

/** A preview of an invitation. */
export interface Welcome {
  title: string;
  by: { user_id: string; name?: string };
  role: Role;
  expires_at: string | null;
  people: number;
  model: string;
  chat_id?: string; // for a member
  has?: Role; // one's role already
}

/** One chat as a file: docs/export.md. */
export interface ExportedChat {
  parlor_chat: 1;
  title: string;
  system_prompt?: string;
  model_id?: string;
  created_timestamp: string;
  messages: { role: "user" | "assistant"; author?: string; author_name?: string; model_id?: string; content: string; created_timestamp?: string }[];
}

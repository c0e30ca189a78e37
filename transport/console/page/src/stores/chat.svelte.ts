// The chat that is open, as views see it: a copy of the client's state, at most once a frame.
import { conversation, type Chat, type Client, type Conversation, type Entering, type Entry, type FileInfo, type Message, type NewChat, type Problem, type Role } from "@parlor/client";
import { everyFrame } from "./frame.ts";
import { RoomView } from "./room.svelte.ts";

export class ChatStore {
  readonly chat: Chat; // has all commands
  readonly me: string;
  readonly state = new RoomView();
  outgoing = $state.raw<readonly Entry[]>([]);
  conversation = $state.raw<Conversation>({ exchanges: [], waiting: [] });
  phase = $state<Entering>("entering");
  problem = $state.raw<Problem | null>(null);
  role = $state<Role>("");
  model = $state<string>(); // that was picked here for what one says next
  editing = $state<string>(); // the message of one's own that is said anew
  readonly edits = new Map<string, string>(); // what was begun to write anew, by message: its row may leave the document
  quoted = $state.raw<{ text: string }>(); // to be put into the composer
  attached = $state.raw<readonly FileInfo[]>([]); // files that go with what one says next
  readonly running = $derived(this.state.running);
  readonly unfolded = new Set<string>(); // what is shown of answers besides their text, see unfolded.ts

  // Each piece of an answer makes a new running, and must not have all messages looked through.
  readonly #runningModel = $derived(this.state.running?.model_id);
  readonly #lastModel = $derived([...this.state.messages.values()].reduce<Message | undefined>((last, m) => (m.model_id && m.seq > (last?.seq ?? -1) ? m : last), undefined)?.model_id);

  #end: () => void;

  constructor(client: Client, id: string, create?: NewChat) {
    this.me = client.user.user_id;
    this.chat = client.open(id, { create });
    this.#take();
    this.#end = this.chat.subscribe(everyFrame(() => this.#take()));
  }

  get id(): string {
    return this.chat.chat_id;
  }

  get mayWrite(): boolean {
    return this.role !== "viewer" && !(this.state.settings.read_only && this.role !== "owner");
  }

  /** Whether a message, or what stands for it, is by the one who is here. */
  isMine = (m: { author?: { user_id: string } }): boolean => m.author?.user_id === this.me;

  /** The messages that an edit of one's own message takes out: all that follow it, and the answers to it. */
  behind(m: Message): { messages: readonly Message[]; answers: number } {
    const others = [...this.state.messages.values()].filter((o) => o.message_id !== m.message_id && (o.prompt_seq ?? o.seq) >= m.seq);
    const messages = others.filter((o) => o.role !== "assistant");
    return { messages, answers: others.length - messages.length };
  }

  /** The model that is asked if one says something now. */
  get nextModel(): string | undefined {
    return this.model ?? this.#runningModel ?? this.#lastModel ?? this.state.model;
  }

  close(): void {
    this.#end();
    this.chat.close();
  }

  #take(): void {
    const { state, outgoing, phase, problem, role } = this.chat;
    const before = this.state;
    const same = before.messages === state.messages && before.turns === state.turns &&
      before.running?.turn_id === state.running?.turn_id && before.running?.prompt === state.running?.prompt && outgoing.length === 0 && this.outgoing.length === 0;
    this.state.take(state);
    if (!same) {
      this.outgoing = outgoing;
      this.conversation = conversation(state, outgoing, this.me);
    }
    [this.phase, this.problem, this.role] = [phase, problem, role];
  }
}

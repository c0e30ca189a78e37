// Speaking to a model that listens: sound goes up in pieces while it is spoken, and what was said becomes a message
// when the server has it in words.
//
//	begin → append … → end → (message_id) → the message, and the answer to it
import { Refusal } from "./api.ts";
import type { Chat } from "./chat.ts";
import { RATE, toBase64 } from "./pcm.ts";

const PIECE = RATE / 10; // samples that are sent at once
const LONGEST = 120 * RATE; // samples of one message

export class Voice {
  speaking = false;
  /** Called when something was refused, or cut by the end of the connection, and so was not heard. */
  onLost?: (why: Refusal) => void;

  #chat: Chat;
  #model?: string;
  #pieces: Int16Array[] = [];
  #length = 0; // of pieces
  #said = 0; // samples of this message
  #failed = false;
  #number = 0; // of this message

  constructor(chat: Chat) {
    this.#chat = chat;
  }

  /** Begins to say something, to the model that is named or to that of the chat. An answer that is being spoken ends with the first sound. */
  begin(model_id?: string): void {
    this.cancel();
    this.#number++;
    [this.speaking, this.#model, this.#said, this.#failed] = [true, model_id, 0, false];
    this.#send("clear"); // what a page has left behind that closed while it spoke
  }

  append(pcm: Int16Array): void {
    if (!this.speaking || this.#said >= LONGEST) return;
    this.#pieces.push(pcm);
    this.#length += pcm.length;
    this.#said += pcm.length;
    if (this.#length >= PIECE) this.#flush();
  }

  /** Seconds that were said of this message. */
  get seconds(): number {
    return this.#said / RATE;
  }

  get full(): boolean {
    return this.#said >= LONGEST;
  }

  /** Ends what is said, and asks for an answer. Returns the id of the message that it becomes, or undefined if it was not heard: onLost has said why. */
  async end(): Promise<string | undefined> {
    if (!this.speaking) return undefined;
    this.#flush();
    this.speaking = false;
    if (this.#failed) return undefined;
    const message_id = (await this.#send("commit"))?.message_id;
    if (message_id === undefined) return undefined;
    try {
      await this.#call("response.create");
    } catch (e) {
      this.onLost?.(e as Refusal);
    }
    return message_id;
  }

  /** Ends what is said, and has it forgotten. */
  cancel(): void {
    if (!this.speaking) return;
    this.speaking = false;
    [this.#pieces, this.#length] = [[], 0];
    if (!this.#failed && this.#chat.live) this.#send("clear");
  }

  #flush(): void {
    if (this.#length === 0) return;
    const all = new Int16Array(this.#length);
    let at = 0;
    for (const piece of this.#pieces) {
      all.set(piece, at);
      at += piece.length;
    }
    [this.#pieces, this.#length] = [[], 0];
    for (let i = 0; i < all.length; i += PIECE * 4) this.#send("append", { audio: toBase64(all.slice(i, i + PIECE * 4)) });
  }

  // #send sends a part of this message, unless one before it was refused: then the rest is of no use.
  async #send(what: "append" | "clear" | "commit", data?: object): Promise<{ message_id?: string } | undefined> {
    const number = this.#number;
    if (this.#failed) return undefined;
    try {
      return await this.#call(`input_audio_buffer.${what}`, data);
    } catch (e) {
      if (number !== this.#number || this.#failed) return undefined;
      this.#failed = true;
      this.onLost?.(e as Refusal);
      return undefined;
    }
  }

  #call = (type: string, data?: object): Promise<{ message_id?: string }> =>
    this.#chat.live ? this.#chat.call("send_message", { model_id: this.#model, message: { type, data } }) : Promise.reject(new Refusal("not connected"));
}

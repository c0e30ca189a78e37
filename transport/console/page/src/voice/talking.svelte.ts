// Speech in the open chat: the microphone, the loudspeaker, and what is on its way between them and
// the model.
import { Ear, loudness, Voice, type Refusal } from "@parlor/client";
import { browser } from "../lib/memory.ts";
import type { ChatStore } from "../stores/chat.svelte.ts";
import { w } from "../words/index.ts";
import { Microphone, microphones, type MicrophoneError, type Trouble } from "./microphone.ts";
import { loudspeakers, Speaker } from "./speaker.ts";

export type Manner = "hold" | "live"; // the button is held, or one just speaks
export type Phase = "opening" | "open" | "failed";

const SHORTEST = 0.2; // s; what is shorter was not meant
const LOUD = 0.25; // loudness, at which the level is full

export class Talking {
  phase = $state<Phase>("opening");
  manner = $state<Manner>(browser.get("voice") === "live" ? "live" : "hold");
  trouble = $state<Trouble>();
  problem = $state(""); // with what was said last
  level = $state(0); // of 1
  speaking = $state(false);
  muted = $state(false);
  playing = $state<string>(); // the answer that is heard
  devices = $state.raw<readonly MediaDeviceInfo[]>([]);
  device = $state("");
  speakers = $state.raw<readonly MediaDeviceInfo[]>([]);
  speaker = $state(browser.get("loudspeaker") ?? ""); // "" is the usual one
  sent = $state.raw<readonly string[]>([]); // messages that are not there in words yet

  #chat: ChatStore;
  #model: () => string | undefined;
  #voice: Voice;
  #ear = new Ear();
  #speaker = new Speaker();
  #microphone?: Microphone;
  #closed = false;

  constructor(chat: ChatStore, model: () => string | undefined) {
    this.#chat = chat;
    this.#model = model;
    this.#voice = new Voice(chat.chat);
    this.#voice.onLost = (why) => this.#lost(why);
    this.#speaker.onChange = (id) => { this.playing = id; };
    this.#speaker.open(this.speaker);
    chat.chat.onAudio = (piece) => { if (!this.speaking) this.#speaker.play(piece); };
    navigator.mediaDevices?.addEventListener("devicechange", this.#look);
    void this.open();
  }

  /** Asks for the microphone, again if it was refused. */
  async open(device = browser.get("microphone")): Promise<void> {
    this.#microphone?.close();
    this.#microphone = undefined;
    [this.phase, this.trouble, this.level] = ["opening", undefined, 0];
    try {
      const opened = await Microphone.open(device, (pcm) => this.#hear(pcm), (why) => this.#without(why));
      if (this.#closed) return opened.close();
      this.#microphone = opened;
      [this.phase, this.device] = ["open", opened.device];
    } catch (e) {
      this.#without((e as MicrophoneError).trouble);
    }
    await this.#look();
  }

  choose(device: string): void {
    browser.set("microphone", device);
    this.#drop();
    void this.open(device);
  }

  async hearAt(device: string): Promise<void> {
    this.speaker = await this.#speaker.use(device);
    browser.set("loudspeaker", this.speaker || null);
  }

  as(manner: Manner): void {
    this.#drop();
    this.manner = manner;
    browser.set("voice", manner === "live" ? "live" : null);
    this.muted = false;
  }

  mute(is: boolean): void {
    this.muted = is;
    if (is) this.#drop();
  }

  /** Begins to say something: the button goes down. */
  begin(): void {
    if (this.speaking || this.phase !== "open") return;
    if (!this.#chat.chat.live) {
      this.problem = w.voice.noConnection;
      return;
    }
    this.problem = "";
    this.speaking = true;
    this.#speaker.silence();
    this.#voice.begin(this.#model());
  }

  async end(): Promise<void> {
    if (!this.speaking) return;
    this.speaking = false;
    if (this.#voice.seconds < SHORTEST) {
      this.#voice.cancel();
      this.problem = w.voice.tooShort;
      return;
    }
    const id = await this.#voice.end();
    if (id !== undefined) this.sent = [...this.sent, id];
  }

  /** Takes the messages out that have come in words. */
  arrived(has: (id: string) => boolean): void {
    if (this.sent.some(has)) this.sent = this.sent.filter((id) => !has(id));
  }

  /** Speech is lost when the connection ends in the middle of it, and so may be speech that the server had not put into words. */
  disconnected(): void {
    if (this.speaking) {
      this.#drop();
      this.problem = w.voice.lost;
    } else if (this.sent.length > 0) this.problem = w.voice.doubtful;
    this.sent = [];
    this.#speaker.silence();
  }

  close(): void {
    this.#closed = true;
    this.#drop();
    this.#microphone?.close();
    this.#speaker.close();
    this.#chat.chat.onAudio = undefined;
    navigator.mediaDevices?.removeEventListener("devicechange", this.#look);
  }

  #hear(pcm: Int16Array): void {
    if (this.#closed) return;
    this.level = this.muted ? 0 : Math.min(1, Math.sqrt(loudness(pcm) / LOUD));
    if (this.manner === "live") this.#listen(pcm);
    else if (this.speaking) this.#say(pcm);
  }

  #listen(pcm: Int16Array): void {
    if (this.muted || (!this.speaking && !this.#chat.chat.live)) return this.#ear.reset();
    const heard = this.#ear.hear(pcm);
    if (heard?.kind === "begin") {
      this.begin();
      for (const piece of heard.pcm) this.#say(piece);
    } else if (heard?.kind === "more") this.#say(pcm);
    else if (heard?.kind === "end") void this.end();
  }

  #say(pcm: Int16Array): void {
    this.#voice.append(pcm);
    if (this.#voice.full) void this.end();
  }

  #drop(): void {
    this.#ear.reset();
    this.#voice.cancel();
    this.speaking = false;
  }

  #lost(why: Refusal): void {
    this.#ear.reset();
    this.speaking = false;
    this.problem = why.code ? w.voice.refused(why.code, why.message) : w.voice.lost;
  }

  #without(why: Trouble): void {
    const spoke = this.speaking;
    this.#drop();
    this.#microphone?.close();
    this.#microphone = undefined;
    [this.phase, this.trouble, this.level] = ["failed", why, 0];
    if (spoke) this.problem = w.voice.cut;
  }

  #look = async (): Promise<void> => {
    [this.devices, this.speakers] = await Promise.all([microphones(), loudspeakers()]);
  };
}

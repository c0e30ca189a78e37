// Plays the pieces of a spoken answer one behind the other.
import { fromBase64, RATE } from "@parlor/client";

const LEAD = 0.08; // s, before the first piece: the next ones come in the meantime

/** Not all browsers let one choose. */
type Sink = AudioContext & { setSinkId?: (device: string) => Promise<void> };

/** The loudspeakers that one may choose from, once the microphone is allowed; none where the browser has no choice. */
export async function loudspeakers(): Promise<readonly MediaDeviceInfo[]> {
  if (!("AudioContext" in globalThis) || !("setSinkId" in AudioContext.prototype)) return [];
  const all = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
  return all.filter((d) => d.kind === "audiooutput" && d.deviceId && d.deviceId !== "default" && d.label);
}

export class Speaker {
  onChange?: (playing: string | undefined) => void;

  #context?: AudioContext;
  #sources = new Set<AudioBufferSourceNode>();
  #until = 0; // on the clock of the context
  #playing?: string; // the answer
  #silenced?: string; // an answer of which no more is played

  /** Opens the loudspeaker: at a click, else browsers forbid it. */
  open(device = ""): void {
    this.#context ??= new AudioContext();
    void this.#context.resume();
    if (device) void this.use(device);
  }

  /** Plays at another loudspeaker, "" for the usual one. Returns which it is: one that was chosen once may be gone. */
  async use(device: string): Promise<string> {
    try {
      await (this.#context as Sink | undefined)?.setSinkId?.(device);
      return device;
    } catch {
      return "";
    }
  }

  play({ message_id, audio }: { message_id: string; audio: string }): void {
    const context = this.#context;
    const samples = fromBase64(audio);
    if (!context || message_id === this.#silenced || samples.length === 0) return;
    if (message_id !== this.#playing) this.#begin(message_id);
    const buffer = context.createBuffer(1, samples.length, RATE);
    buffer.copyToChannel(samples, 0);
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(context.destination);
    source.onended = () => this.#ended(source);
    this.#sources.add(source);
    this.#until = Math.max(this.#until, context.currentTime + (this.#sources.size === 1 ? LEAD : 0));
    source.start(this.#until);
    this.#until += buffer.duration;
  }

  /** Ends what is played, and plays no more of that answer. */
  silence(): void {
    this.#silenced = this.#playing ?? this.#silenced;
    this.#stop();
    this.#show(undefined);
  }

  close(): void {
    this.silence();
    void this.#context?.close().catch(() => {});
    this.#context = undefined;
  }

  #begin(message_id: string): void {
    this.#stop();
    this.#show(message_id);
  }

  #stop(): void {
    for (const source of this.#sources) {
      source.onended = null;
      source.stop();
      source.disconnect();
    }
    this.#sources.clear();
    this.#until = 0;
  }

  #ended(source: AudioBufferSourceNode): void {
    this.#sources.delete(source);
    if (this.#sources.size === 0) this.#show(undefined);
  }

  #show(message_id: string | undefined): void {
    if (this.#playing === message_id) return;
    this.#playing = message_id;
    this.onChange?.(message_id);
  }
}

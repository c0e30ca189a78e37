// A microphone that is open, and why one cannot be.
import { addHearing } from "../scripts.ts";

/** Why there is no sound: no permission, no microphone, one that another program holds, a page that is not secure, or one that went away. */
export type Trouble = "denied" | "none" | "held" | "insecure" | "gone" | "broken";

export class MicrophoneError extends Error {
  readonly trouble: Trouble;

  constructor(trouble: Trouble, message = "") {
    super(message);
    this.trouble = trouble;
  }
}

const troubles: Record<string, Trouble> = { NotAllowedError: "denied", SecurityError: "denied", NotFoundError: "none", OverconstrainedError: "none", NotReadableError: "held", AbortError: "held" };

export class Microphone {
  readonly device: string; // its id
  readonly name: string;
  #context: AudioContext;
  #stream: MediaStream;

  private constructor(context: AudioContext, stream: MediaStream) {
    const [track] = stream.getAudioTracks();
    this.device = track?.getSettings().deviceId ?? "";
    this.name = track?.label ?? "";
    [this.#context, this.#stream] = [context, stream];
  }

  /** Opens a microphone: the one that is named, or if that is gone the usual one. hear gets its sound, lost why there is no more of it. */
  static async open(device: string | null, hear: (pcm: Int16Array) => void, lost: (why: Trouble) => void): Promise<Microphone> {
    if (!navigator.mediaDevices?.getUserMedia) throw new MicrophoneError("insecure");
    const stream = await ask(device);
    const context = new AudioContext();
    try {
      await addHearing(context);
      const hearing = new AudioWorkletNode(context, "parlor-hearing", { numberOfInputs: 1, numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
      hearing.port.onmessage = (e: MessageEvent<Int16Array>) => hear(e.data);
      context.createMediaStreamSource(stream).connect(hearing);
      await context.resume();
    } catch (e) {
      release(context, stream);
      throw new MicrophoneError("broken", (e as Error).message);
    }
    for (const track of stream.getAudioTracks()) track.onended = () => lost("gone"); // pulled out, or the permission was taken back
    return new Microphone(context, stream);
  }

  close(): void {
    release(this.#context, this.#stream);
  }
}

function release(context: AudioContext, stream: MediaStream): void {
  for (const track of stream.getTracks()) {
    track.onended = null;
    track.stop();
  }
  void context.close().catch(() => {});
}

async function ask(device: string | null): Promise<MediaStream> {
  const how = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: { ...how, ...(device && { deviceId: { exact: device } }) } });
  } catch (e) {
    const { name, message } = e as DOMException;
    if (device && (name === "OverconstrainedError" || name === "NotFoundError")) return ask(null);
    throw new MicrophoneError(troubles[name] ?? "broken", message);
  }
}

/** The microphones that there are; without permission they have no names, and are left out. */
export async function microphones(): Promise<readonly MediaDeviceInfo[]> {
  const all = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
  return all.filter((d) => d.kind === "audioinput" && d.deviceId && d.label);
}

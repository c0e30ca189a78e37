// The tools that the page itself offers to models, as an example: each has to be switched on, and asks before it runs.
import type { Chat, PageTool } from "@parlor/client";
import { browser } from "../lib/memory.ts";
import { size } from "../files/sizes.ts";

export const names = ["file", "clipboard", "location"] as const;
export type OwnTool = (typeof names)[number];

/** A call that waits for the one who is here, or runs since they have allowed it. */
export interface Request {
  call_id: string;
  tool: OwnTool;
  runs: boolean;
  allow: () => void;
  refuse: () => void;
}

const MOST_OF_A_FILE = 48 << 10; // bytes that are read of a file
const LOCATION_TIMEOUT = 30_000; // ms

// Their descriptions are for models and not shown to people, so they are no part of the words.
const told: Record<OwnTool, string> = {
  file: "Asks the user to pick a text file on their device, and returns its name and text.",
  clipboard: "Returns the text on the user's clipboard.",
  location: "Returns where the user's device is: latitude, longitude and accuracy in metres.",
};

class OwnTools {
  on = $state.raw<ReadonlySet<OwnTool>>(read());
  requests = $state.raw<readonly Request[]>([]);

  constructor() {
    addEventListener("storage", () => { this.on = read(); }); // of another tab
  }

  switch(tool: OwnTool, is: boolean): void {
    this.on = new Set(names.filter((n) => (n === tool ? is : this.on.has(n))));
    browser.set("own tools", [...this.on].join(" "));
  }

  /** Offers those that are on. */
  offer = (chat: Chat): Promise<void> => chat.offer([...this.on].map((tool) => this.#tool(tool)));

  #tool = (tool: OwnTool): PageTool => ({ name: `page_${tool}`, description: told[tool], run: (_, { call_id, signal }) => this.#ask(tool, call_id, signal) });

  #ask(tool: OwnTool, call_id: string, signal: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const drop = () => { this.requests = this.requests.filter((r) => r.call_id !== call_id); };
      const end = (act: () => void) => { drop(); act(); };
      const allow = () => { // at the click: browsers want one for these
        this.requests = this.requests.map((r) => (r.call_id === call_id ? { ...r, runs: true } : r));
        acts[tool]().then((result) => end(() => resolve(result)), (e: Error) => end(() => reject(e)));
      };
      signal.addEventListener("abort", () => end(() => reject(new Error("nobody waits for it any more"))));
      this.requests = [...this.requests, { call_id, tool, runs: false, allow, refuse: () => end(() => reject(new Error("the user has refused"))) }];
    });
  }
}

function read(): ReadonlySet<OwnTool> {
  const kept = (browser.get("own tools") ?? "").split(" ");
  return new Set(names.filter((n) => kept.includes(n)));
}

const acts: Record<OwnTool, () => Promise<unknown>> = { file: pickFile, clipboard: readClipboard, location: locate };

function pickFile(): Promise<string> {
  return new Promise((resolve, reject) => {
    const input = document.createElement("input");
    input.type = "file";
    input.onchange = () => { textOf(input.files![0]!).then(resolve, reject); };
    input.oncancel = () => reject(new Error("the user has picked no file"));
    input.click();
  });
}

async function textOf(file: File): Promise<string> {
  const bytes = new Uint8Array(await file.slice(0, MOST_OF_A_FILE).arrayBuffer());
  if (bytes.includes(0)) throw new Error(`the user has picked ${file.name}, which is no text`);
  const text = new TextDecoder().decode(bytes, { stream: true });
  const rest = file.size > MOST_OF_A_FILE ? `\n(cut: the file has ${size(file.size)})` : "";
  return `${file.name}\n\n${text}${rest}`;
}

async function readClipboard(): Promise<string> {
  if (!navigator.clipboard?.readText) throw new Error("this browser does not let the page read the clipboard");
  const text = await navigator.clipboard.readText().catch(() => { throw new Error("the browser does not let the page read the clipboard"); });
  return text || "(there is no text on the clipboard)";
}

function locate(): Promise<object> {
  return new Promise((resolve, reject) => {
    if (!navigator.geolocation) return reject(new Error("this device does not say where it is"));
    navigator.geolocation.getCurrentPosition(
      ({ coords: { latitude, longitude, accuracy } }) => resolve({ latitude, longitude, accuracy_m: Math.round(accuracy) }),
      (e) => reject(new Error(e.code === e.PERMISSION_DENIED ? "the browser does not let the page know where the device is" : "the device does not know where it is")),
      { timeout: LOCATION_TIMEOUT },
    );
  });
}

export const ownTools = new OwnTools();

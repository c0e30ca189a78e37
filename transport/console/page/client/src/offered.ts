// Tools of a page that models may call: they are offered when a room is joined, and run when this page is told to.
export interface PageTool {
  name: string;
  description: string;
  parameters?: object; // a JSON Schema
  /** Runs a call. What it throws is told to the model; signal ends when nobody waits for it any more. */
  run: (args: any, call: { call_id: string; signal: AbortSignal }) => Promise<unknown>;
}

/** Sends the answer of a call: function_result or function_error. */
type Send = (event: string, body: object) => Promise<unknown>;

const MAX_RESULT = 64 << 10; // bytes: more does not reach a model, and much more would end the connection

interface Call {
  abort: AbortController;
  answer?: [event: string, body: object];
}

export class Offered {
  #tools: readonly PageTool[] = [];
  #calls = new Map<string, Call>();

  get any(): boolean {
    return this.#tools.length > 0;
  }

  set(tools: readonly PageTool[]): void {
    this.#tools = tools;
  }

  /** The tools as join_room takes them. */
  list = (): object[] => this.#tools.map(({ name, description, parameters }) => ({ name, description, parameters: parameters ?? { type: "object", properties: {} } }));

  /** Runs a call that this page is told to run. One that is told again goes on, or is answered again. */
  async run({ call_id, function_name, arguments: args }: { call_id: string; function_name: string; arguments: unknown }, send: Send): Promise<void> {
    const begun = this.#calls.get(call_id);
    if (begun) return begun.answer && this.#say(call_id, begun.answer, send);
    const call: Call = { abort: new AbortController() };
    this.#calls.set(call_id, call);
    const tool = this.#tools.find((t) => t.name === function_name);
    try {
      if (!tool) throw new Error("this page does not offer that tool any more");
      const result = await tool.run(args, { call_id, signal: call.abort.signal });
      call.answer = ["function_result", { call_id, result: cut(typeof result === "string" ? result : (JSON.stringify(result) ?? "")) }];
    } catch (e) {
      call.answer = ["function_error", { call_id, error: cut((e as Error).message || "it failed") }];
    }
    if (this.#calls.has(call_id)) await this.#say(call_id, call.answer, send);
  }

  /** Ends a call for which nobody waits: it was stopped, took too long, or was answered. */
  ended(call_id: string): void {
    this.#calls.get(call_id)?.abort.abort();
    this.#calls.delete(call_id);
  }

  close(): void {
    for (const id of [...this.#calls.keys()]) this.ended(id);
  }

  // An answer that was refused is not wanted any more; one that was cut off is said again when the call is told again.
  async #say(call_id: string, [event, body]: [string, object], send: Send): Promise<void> {
    await send(event, body).then(() => this.ended(call_id), (e: { code?: string }) => { if (e.code) this.ended(call_id); });
  }
}

/** The beginning of a text that is too long, which says that it is one. */
function cut(text: string): string {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= MAX_RESULT) return text;
  const note = `\n(cut: this is the beginning of ${bytes.length} bytes)`;
  return new TextDecoder().decode(bytes.subarray(0, MAX_RESULT - note.length), { stream: true }) + note;
}

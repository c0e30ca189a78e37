// Our codecs, asked through the program in codec/, and what fuzzing has left.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

const top = new URL("../../../..", import.meta.url).pathname;

/** Returns a function that asks our codecs a list of questions and resolves with the list of answers. */
export async function codec(t) {
  const child = spawn("go", ["run", "./cmd/parlor/e2e/codec"], { cwd: top, stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.on("error", () => {}); // its end is noticed by who waits for answers
  const started = once(child, "spawn");
  const exited = once(child, "exit");
  t.after(async () => {
    child.stdin.end();
    await exited;
  });
  await started;
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return async (questions) => {
    for (const q of questions) child.stdin.write(`${JSON.stringify(q)}\n`);
    const answers = [];
    for (const q of questions) {
      const { value, done } = await lines.next();
      if (done) throw new Error(`the codec ended at ${JSON.stringify(q)}`);
      answers.push(JSON.parse(value));
    }
    return answers;
  };
}

/**
 * The inputs of Go's fuzz targets: those below protocol/ and transport/ and
 * actors/ that are kept, and those in FUZZ_CORPUS, for example
 * $(go env GOCACHE)/fuzz/parlor/protocol.
 */
export async function fuzzCorpus(ask) {
  const folders = ["protocol", "transport", "actors"].map((dir) => join(top, dir));
  if (process.env.FUZZ_CORPUS) folders.push(process.env.FUZZ_CORPUS);
  const literals = [];
  for (const folder of folders) {
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath ?? entry.path, entry.name);
      if (!entry.isFile() || !/\/Fuzz\w+\/[\w-]+$/.test(path)) continue;
      for (const [, literal] of readFileSync(path, "utf8").matchAll(/^(?:\[\]byte|string)\((".*")\)$/gm)) literals.push(literal);
    }
  }
  const answers = await ask(literals.map((literal) => ({ op: "unquote", literal })));
  return answers.map((a) => Buffer.from(a.bytes ?? "", "base64"));
}

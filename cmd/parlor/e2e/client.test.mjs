// The client module of the page, packed and laid where npm would install it, runs the example of its README. It is not
// installed by npm, which would ask the registry for what it depends on.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { folder, serve } from "./lib/parlor.mjs";
import { long } from "./lib/random.mjs";

const run = promisify(execFile);
const source = new URL("../../../transport/console/page/client/", import.meta.url).pathname;

test("the packed client is installed and runs its example", { skip: !long && "slow" }, async (t) => {
  const dir = folder();
  const { stdout } = await run("npm", ["pack", "--silent", "--pack-destination", dir], { cwd: source });
  await run("tar", ["-xzf", join(dir, stdout.trim().split("\n").at(-1)), "-C", dir]);
  const { name, dependencies } = JSON.parse(readFileSync(join(dir, "package/package.json"), "utf8"));
  assert.deepEqual(Object.keys(dependencies), ["socket.io-client"]);
  mkdirSync(join(dir, "node_modules", dirname(name)), { recursive: true });
  renameSync(join(dir, "package"), join(dir, "node_modules", name));
  symlinkSync(dirname(fileURLToPath(import.meta.resolve("socket.io-client/package.json"))), join(dir, "node_modules/socket.io-client"));
  const server = await serve(t);
  const [, example] = /```js\n([^]*?)```/.exec(readFileSync(join(source, "README.md"), "utf8"));
  writeFileSync(join(dir, "example.mjs"), example.replaceAll("http://127.0.0.1:8080", server.url));
  const { stdout: said } = await run("node", ["example.mjs"], { cwd: dir, timeout: 60_000 });
  assert.match(said, /^alice: I am curious\neliza: .+\n$/);
});

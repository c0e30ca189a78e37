// The client module of the page, packed and installed as others would install it, runs the example of its README.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { folder, serve } from "./lib/parlor.mjs";
import { long } from "./lib/random.mjs";

const run = promisify(execFile);
const source = new URL("../../../transport/console/page/client/", import.meta.url).pathname;

test("the packed client is installed and runs its example", { skip: !long && "slow" }, async (t) => {
  const dir = folder();
  const { stdout } = await run("npm", ["pack", "--silent", "--pack-destination", dir], { cwd: source });
  writeFileSync(join(dir, "package.json"), '{ "type": "module" }');
  await run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", join(dir, stdout.trim().split("\n").at(-1))], { cwd: dir });
  const server = await serve(t);
  const [, example] = /```js\n([^]*?)```/.exec(readFileSync(join(source, "README.md"), "utf8"));
  writeFileSync(join(dir, "example.mjs"), example.replaceAll("http://127.0.0.1:8080", server.url));
  const { stdout: said } = await run("node", ["example.mjs"], { cwd: dir, timeout: 60_000 });
  assert.match(said, /^alice: I am curious\neliza: .+\n$/);
});

// Adds to the files that Vite writes: a second index.html for addresses one folder down, such
// as /c/…, and a .br and a .gz beside each file that gets shorter by it.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const MIN_BYTES = 256; // of a file that is worth compressing

export function packed() {
  let out;
  return {
    name: "parlor-packed",
    apply: "build",
    configResolved: (config) => { out = resolve(config.root, config.build.outDir); },
    closeBundle() {
      const index = readFileSync(join(out, "index.html"), "utf8");
      writeFileSync(join(out, "index.deep.html"), index.replaceAll('"./', '"../'));
      for (const file of filesBelow(out)) compress(file);
    },
  };
}

function filesBelow(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

function compress(file) {
  const text = readFileSync(file);
  if (text.length < MIN_BYTES) return;
  const br = brotliCompressSync(text, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: text.length } });
  for (const [ending, bytes] of [[".br", br], [".gz", gzipSync(text, { level: 9 })]]) {
    if (bytes.length < text.length) writeFileSync(file + ending, bytes);
  }
}

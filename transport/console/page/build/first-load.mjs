// Adds up the files that a browser loads before the page shows anything: the build fails if they have grown too large, and the service worker
// keeps it.
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { brotliCompressSync } from "node:zlib";

const MAX_BYTES = 180_000; // compressed

export function firstLoad() {
  return {
    name: "parlor-first-load",
    apply: "build",
    generateBundle(_, bundle) {
      const sizes = [...namesOf(bundle)].map((name) => [name, sizeOf(bundle[name])]);
      const sum = sizes.reduce((all, [, size]) => all + size, 0);
      const list = sizes.map(([name, size]) => `  ${name}: ${size}`).join("\n");
      if (sum > MAX_BYTES) this.error(`the first load is ${sum} bytes, at most ${MAX_BYTES} are allowed:\n${list}`);
      if (process.env.SIZES) this.info(`the first load is ${sum} bytes of ${MAX_BYTES}\n${list}`);
    },
  };
}

/** Writes into the service worker which files the page needs to start. */
export function shell() {
  let out, names;
  return {
    name: "parlor-shell",
    apply: "build",
    configResolved: (config) => { out = resolve(config.root, config.build.outDir); },
    generateBundle(_, bundle) { names = [...namesOf(bundle)].sort(); },
    closeBundle() {
      const file = join(out, "sw.js");
      const text = readFileSync(file, "utf8");
      const filled = text.replace("const FILES = [];", `const FILES = ${JSON.stringify(names.map((name) => `./${name}`))};`);
      if (filled === text) this.error("sw.js has no place for the files of the page");
      writeFileSync(file, filled);
    },
  };
}

/** The entry, what it imports, and their style sheets. */
function namesOf(bundle) {
  const names = new Set();
  const add = (name) => {
    if (names.has(name) || !bundle[name]) return;
    names.add(name);
    for (const other of bundle[name].imports ?? []) add(other);
    for (const style of bundle[name].viteMetadata?.importedCss ?? []) add(style);
  };
  for (const file of Object.values(bundle)) if (file.isEntry) add(file.fileName);
  return names;
}

const sizeOf = ({ code, source }) => brotliCompressSync(code ?? source).length;

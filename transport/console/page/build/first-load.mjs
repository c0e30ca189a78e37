// Fails the build if what a browser loads before the page shows anything has grown too large.
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

// Builds the page once more, elsewhere, and compares the bytes with those in dist. What is
// compressed is compared after decompression: versions of zlib differ.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { build } from "vite";

const contents = (folder) => new Map(
  readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((file) => [relative(folder, file), unpacked(file, readFileSync(file))]),
);

function unpacked(file, bytes) {
  if (file.endsWith(".br")) return brotliDecompressSync(bytes);
  return file.endsWith(".gz") ? gunzipSync(bytes) : bytes;
}

const again = mkdtempSync(join(tmpdir(), "parlor-page-"));
try {
  await build({ logLevel: "warn", build: { outDir: again, emptyOutDir: true } });
  const [kept, built] = [contents("dist"), contents(again)];
  const differ = [...new Set([...kept.keys(), ...built.keys()])]
    .filter((name) => !kept.has(name) || !built.has(name) || !kept.get(name).equals(built.get(name)));
  if (differ.length > 0) {
    console.error(`dist is not what the sources make: run make page, and commit it.\n  ${differ.sort().join("\n  ")}`);
    process.exitCode = 1;
  }
} finally {
  rmSync(again, { recursive: true });
}

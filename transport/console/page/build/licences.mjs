// Adds a text with the licences of all packages that are in the page. They are found by the
// modules that Vite puts into chunks, and so are those of the workers.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const inPackage = /^(?:\0|.*\0)?(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//;
const folders = new Set();

/** Notes the packages of a build; of that of a worker too. */
export const noted = () => ({
  name: "parlor-licences-noted",
  generateBundle(_, bundle) {
    for (const chunk of Object.values(bundle)) for (const id of chunk.moduleIds ?? []) if (inPackage.test(id)) folders.add(inPackage.exec(id)[1]);
  },
});

/** Writes the licences of the packages that were noted. */
export const licences = () => ({
  name: "parlor-licences",
  apply: "build",
  generateBundle() {
    const texts = [...folders].map(licenceOf).sort();
    this.emitFile({ type: "asset", fileName: "licences.txt", source: `${[...new Set(texts)].join(`\n\n${"-".repeat(80)}\n\n`)}\n` });
  },
});

function licenceOf(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((f) => /^licen[cs]e(\.|$)/i.test(f));
  const text = file ? readFileSync(join(folder, file), "utf8").trim() : `It is under the licence ${license}.`;
  return `${name} ${version}\n\n${text}`;
}

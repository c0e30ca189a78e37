import { fileURLToPath } from "node:url";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";
import { firstLoad, shell } from "./build/first-load.mjs";
import { formulas } from "./build/formulas.mjs";
import { licences, noted } from "./build/licences.mjs";
import { packed } from "./build/packed.mjs";

export default defineConfig({
  // All addresses are relative, so the page works below any path, and behind a proxy that strips one.
  base: "./",
  plugins: [svelte(), formulas(), noted(), licences(), firstLoad(), shell(), packed()],
  resolve: {
    conditions: ["browser"],
    alias: { "@parlor/client": fileURLToPath(new URL("client/src/index.ts", import.meta.url)) },
  },
  build: {
    target: "es2022",
    modulePreload: { polyfill: false },
    // Nothing is put into the page as a data: URL: the policy forbids it.
    assetsInlineLimit: 0,
  },
  worker: { format: "es", plugins: () => [noted()] },
  test: { include: ["client/**/*.test.ts", "src/**/*.test.ts"], environment: "node" },
});

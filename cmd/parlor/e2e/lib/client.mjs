// The client of the page, of which the tests of the wire use the fold.
import { build } from "esbuild";

const source = new URL("../../../../transport/console/page/client/src", import.meta.url).pathname;

/** The pure part of the client: events become a state. */
export async function fold() {
  const stdin = { contents: ["fold", "exchanges", "state"].map((name) => `export * from "./${name}.ts";`).join(""), resolveDir: source };
  const { outputFiles } = await build({ stdin, bundle: true, format: "esm", write: false });
  return import(`data:text/javascript,${encodeURIComponent(outputFiles[0].text)}`);
}

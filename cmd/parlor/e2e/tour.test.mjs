// The tour of the README: two tabs with the same address, a stop from either, a server that is killed and started again.
// With PICTURES=DIR it takes the pictures of the README.
import { test } from "node:test";
import { browser, noBrowser } from "./lib/browser.mjs";
import { modelServer } from "./lib/model.mjs";
import { connected, on, picture, say, shows, tab } from "./lib/page.mjs";
import { folder, serve } from "./lib/parlor.mjs";
import { longOnly } from "./lib/random.mjs";

const report = "Three pages still do: `/start`, `/install` and the **footer** of each page, which takes its address from one constant:\n\n```go\n// Where every page's footer points.\nconst docs = \"https://docs.example.org/v1/\"\n```\n\n| page | links |\n|---|---|\n| start | 2 |\n| install | 1 |\n";

test("the tour of the README", { skip: noBrowser || longOnly.skip }, async (t) => {
  const answers = {
    "Which pages point at the old docs?": [{ content: report }, "stop"],
    "Change the footer, and open a pull request.": [{ reasoning_content: "One constant is enough." }, { content: "The footer takes its address from one constant, so I only touch that" }], // without an end
    "And the sitemap?": [{ content: "The sitemap" }], // without an end, until the server is another one
  };
  // With two people in the room the model is told who says what.
  const model = await modelServer(t, new Proxy(answers, { get: (all, said) => all[String(said).replace(/^\[?(Ann|Bo)\]?: /, "")] }));
  const dir = folder();
  const args = ["--models", JSON.stringify([{ model_id: "sonnet-large", provider: "openai", display_name: "sonnet-large" }])];
  const env = { OPENAI_BASE_URL: model.url };
  const server = await serve(t, { dir, args, env });
  const b = await browser(t);
  const ann = await tab(t, b, server.url, { user: "Ann", locale: "en-GB" });
  await say(ann, "Which pages point at the old docs?");
  await ann.locator(on.answer("completed")).waitFor();
  const bo = await tab(t, b, ann.url(), { user: "Bo", viewport: { width: 390, height: 844 }, colorScheme: "dark", locale: "en-GB" });
  await shows(bo, "Three pages still do");

  await say(bo, "Change the footer, and open a pull request.");
  await shows(ann, "so I only touch that");
  await picture(ann, "page");
  await ann.locator(on.stop).click();
  for (const page of [ann, bo]) await page.locator("main", { hasText: "Stopped by" }).waitFor();
  await picture(bo, "page-phone");

  await ann.keyboard.press("Control+k");
  await ann.keyboard.type("footer");
  await ann.locator("dialog[open] [role=option], dialog[open] li", { hasText: "footer" }).first().waitFor();
  await picture(ann, "page-search");
  await ann.keyboard.press("Escape");

  await say(ann, "And the sitemap?");
  await shows(bo, "The sitemap");
  answers["And the sitemap?"] = [{ content: "The sitemap has its own address, and stays." }, "stop"];
  await server.kill();
  await serve(t, { dir, args, env, listen: `127.0.0.1:${new URL(server.url).port}` });
  for (const page of [ann, bo]) {
    await connected(page);
    await shows(page, "has its own address, and stays.");
  }
});

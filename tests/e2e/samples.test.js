// The samples that the unit tests render (src/http/pages/gallery): names without end, from right to left or missing, a thousand
// accounts, overdue endings, and whatever else a demo does not come to in a minute. The same must hold of them as of every page.
//
//   CURFEW_PAGES_DIR=DIR cargo test --lib every_page_renders     leaves the samples in DIR
//   CURFEW_PAGES_DIR=DIR node --test samples.test.js             looks at them

import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { test } from "node:test";

import { assertQuiet, open, startBrowser } from "./support/browser.js";
import { assertGood } from "./support/checks.js";
import { CHECKOUT } from "./support/demo.js";

const folder = process.env.CURFEW_PAGES_DIR;
const samples = folder ? (await readdir(folder)).filter((name) => name.endsWith(".html")) : [];
const browser = folder && await startBrowser();

const page = folder && await open(browser, null, { baseURL: "http://curfew.test" });
await page?.route("**/*", (route) => {
  const name = new URL(route.request().url()).pathname.slice(1);
  if (samples.includes(name)) return route.fulfill({ path: join(folder, name) });
  if (["app.css", "app.js"].includes(name)) return route.fulfill({ path: join(CHECKOUT, "static", name) });
  return route.fulfill({ status: 204 }); // nobody is there to follow the changes of
});

test("there are samples", { skip: !folder && "CURFEW_PAGES_DIR says where they are, and is not set" }, () => {
  assert.ok(samples.length > 20, `${folder} has ${samples.length}`);
});

for (const sample of samples) {
  test(`the sample ${basename(sample, ".html")} is accessible, fits and goes by keyboard`, async () => {
    await page.goto(`/${sample}`);
    await assertGood(page);
    assertQuiet(page);
  });
}

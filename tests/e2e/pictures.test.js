// Pictures of the main pages, for people to judge: on a phone and wide, in light and dark, always in the same sizes.
//
// They go into a temporary folder whose name is printed. CURFEW_PICTURES=docs/pictures also renews those that the README shows. The
// times in them differ with each run, so nothing compares them.

import assert from "node:assert/strict";
import { copyFile, mkdtemp, readFile, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "node:test";

import { PHONE, WIDE, enter, startBrowser } from "./support/browser.js";
import { CHECKOUT, startDemo } from "./support/demo.js";
import { PLACES, goTo } from "./support/places.js";
import { setScene } from "./support/scene.js";

const MOST_BYTES = 150_000;

/** What is worth a picture; the names are those of PLACES. */
const PICTURES = {
  "sign-in": "sign-in",
  home: "home, with live access",
  new: "new request, with the list of accounts",
  request: "request, active",
  approvals: "approvals, full",
  requests: "requests, full",
  audit: "audit, filtered",
  policy: "policy, answered yes",
  operations: "operations",
  sessions: "sessions",
  "not-found": "404, signed in",
};

const browser = await startBrowser();
const demo = await startDemo();
const ids = await setScene(demo);
const folder = await mkdtemp(join(tmpdir(), "curfew-pictures-"));
const readme = await readFile(join(CHECKOUT, "README.md"), "utf8");

test("the main pages are pictured", async (t) => {
  for (const [name, placeName] of Object.entries(PICTURES)) {
    const place = PLACES.find((place) => place.name === placeName);
    const page = await enter(t, browser, demo, { as: place.as && await demo.person(place.as), viewport: PHONE });
    await goTo(page, place, ids, demo);
    await page.mouse.move(0, 0);
    for (const [size, viewport] of Object.entries({ phone: PHONE, wide: WIDE })) {
      await page.setViewportSize(viewport);
      for (const colorScheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme });
        const path = join(folder, `${name}-${size}-${colorScheme}.png`);
        await page.screenshot({ path, caret: "hide" });
        const { size: bytes } = await stat(path);
        assert.ok(bytes < MOST_BYTES, `${path} has ${bytes} bytes`);
      }
    }
  }
  t.diagnostic(`the pictures are in ${folder}`);
});

test("the README shows pictures that this makes", async (t) => {
  const shown = [...readme.matchAll(/docs\/pictures\/([\w-]+\.png)/g)].map(([, name]) => name);
  assert.ok(shown.length > 0, "it shows some");
  for (const name of shown) await stat(join(folder, name));
  if (!process.env.CURFEW_PICTURES) return;
  for (const name of shown) await copyFile(join(folder, name), resolve(CHECKOUT, process.env.CURFEW_PICTURES, name));
  t.diagnostic(`renewed: ${shown.join(", ")}`);
});

// Every page, in every state: see support/places.js for which, and support/checks.js for what must hold.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { PHONE, assertQuiet, enter, open, startBrowser } from "./support/browser.js";
import { assertAccessible, assertGood } from "./support/checks.js";
import { CHECKOUT, startDemo } from "./support/demo.js";
import { PLACES, goTo } from "./support/places.js";
import { setScene } from "./support/scene.js";

const browser = await startBrowser();
const demo = await startDemo();
const ids = await setScene(demo);

/** Routes that no person looks at, and why. */
const NO_PAGES = {
  "/requests/{id}/live": "a stream that a page listens to",
  "/login/start": "sends people on to where they prove who they are",
  "/auth/callback": "where a provider sends people back to; a demo has none",
  "/audit/export": "a file to download",
  "/api/v1/requests": "JSON",
  "/api/v1/requests/{id}": "JSON",
  "/api/v1/audit": "JSON",
  "/api/v1/operations/recovery": "JSON",
  "/api/v1/openapi.json": "JSON",
  "/static/app.css": "part of every page",
  "/static/app.js": "part of every page",
  "/healthz": "for load balancers",
  "/readyz": "for load balancers",
  "/metrics": "for Prometheus",
};

test("no page of the router is left out", async () => {
  const table = await readFile(join(CHECKOUT, "src/http/routes.rs"), "utf8");
  const shown = [...table.matchAll(/^\s*get\("([^"]+)"/gm)].map(([, path]) => path);
  assert.ok(shown.includes("/") && shown.includes("/login/demo"), `the routes were understood: ${shown}`);
  const visited = new Set(PLACES.map((place) => place.route));
  assert.deepEqual(shown.filter((path) => !visited.has(path) && !(path in NO_PAGES)), [], "a page that nobody looks at here: add it to PLACES");
  assert.deepEqual(Object.keys(NO_PAGES).filter((path) => !shown.includes(path)), [], "an exception without a route");
});

/** One tab for each person, as people have; in it the browser need not compile axe-core anew for every page. */
const tabs = new Map();
const tabOf = async (name) => {
  if (!tabs.has(name)) tabs.set(name, await open(browser, demo, { as: name && await demo.person(name) }));
  return tabs.get(name);
};

for (const place of PLACES) {
  test(`${place.name}: accessible in light and dark, fits 320 px, and goes by keyboard`, async () => {
    const page = await tabOf(place.as);
    await goTo(page, place, ids, demo);
    const path = new URL(page.url()).pathname.replace(/[0-9a-f-]{36}/, "{id}");
    if (place.route !== "*") assert.equal(path, place.route, "the page is the route's");
    await assertGood(page);
    assertQuiet(page);
  });
}

test("the menu of a phone: opened by a tap, accessible in light and dark, closed by Escape", async (t) => {
  const page = await enter(t, browser, demo, { as: await demo.person("admin"), viewport: PHONE, hasTouch: true });
  await page.goto("/");
  const link = page.getByRole("link", { name: "Operations" });
  assert.equal(await link.isVisible(), false, "it is folded away");
  await page.getByRole("button", { name: "Menu" }).tap();
  await link.waitFor();
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await assertAccessible(page, `${colorScheme}, with the menu open`);
  }
  await page.keyboard.press("Escape");
  assert.equal(await link.isVisible(), false, "Escape closes it");
  await page.getByRole("button", { name: "Menu" }).tap();
  await link.tap();
  await page.getByRole("heading", { name: "Operations" }).waitFor();
});

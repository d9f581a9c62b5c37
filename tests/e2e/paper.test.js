// What an approver or auditor prints: everything that was written, and nothing that is only for the screen.

import assert from "node:assert/strict";
import { test } from "node:test";

import { enter, startBrowser } from "./support/browser.js";
import { startDemo } from "./support/demo.js";
import { REASON, setScene } from "./support/scene.js";

const browser = await startBrowser();
const demo = await startDemo();
const ids = await setScene(demo);

/** That page as paper sees it: its text, and how many sheets it fills. */
const print = async (t, path) => {
  const page = await enter(t, browser, demo, { as: await demo.person("auditor") });
  await page.goto(path);
  await page.emulateMedia({ media: "print" });
  for (const role of ["navigation", "button", "textbox"]) {
    assert.equal(await page.getByRole(role).filter({ visible: true }).count(), 0, `there is no ${role} on paper`);
  }
  const { scrollWidth, clientWidth } = await page.evaluate(() => document.documentElement);
  assert.equal(scrollWidth, clientWidth, "nothing is cut off at the side");
  const pdf = await page.pdf({ format: "A4", preferCSSPageSize: true });
  assert.equal(pdf.subarray(0, 5).toString(), "%PDF-");
  return { page, text: await page.locator("main").innerText(), sheets: pdf.toString("latin1").match(/\/Type\s*\/Page\b/g)?.length };
};

test("a printed request says what was asked, who decided and what came of it", async (t) => {
  const { page, text, sheets } = await print(t, `/requests/${ids.active}`);
  for (const words of [...REASON.split("\n"), "Go ahead. I am on the call.", "INC-4711", "production-admin", "Printed from"]) {
    assert.ok(text.includes(words), `${words} is on it:\n${text}`);
  }
  assert.ok(await page.getByRole("heading", { name: "Timeline" }).isVisible(), "the timeline is on it");
  const technical = page.locator(".technical .words").first();
  assert.ok(await technical.evaluate((step) => step.getBoundingClientRect().height > 0 && step.checkVisibility()), "the folded steps are on it");
  assert.ok(sheets >= 1 && sheets <= 4, `${sheets} sheets`);
});

test("a printed audit log is a table with its time and its filter", async (t) => {
  const { page, text, sheets } = await print(t, "/audit?account=payments-prod");
  for (const words of ["Printed from", "Only events with", "payments-prod", "grant.activated", "engineer@example.com"]) {
    assert.ok(text.includes(words), `${words} is on it:\n${text}`);
  }
  assert.equal(await page.locator("table").evaluate((table) => getComputedStyle(table).display), "table");
  assert.ok(await page.getByRole("columnheader", { name: "What happened" }).isVisible(), "its columns are named");
  assert.ok(sheets >= 1 && sheets <= 4, `${sheets} sheets`);
});

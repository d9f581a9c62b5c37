// The main job with JavaScript off: the browser's own forms, and pages that are loaded again by themselves.

import assert from "node:assert/strict";
import { test } from "node:test";

import { enter, startBrowser } from "./support/browser.js";
import { DATA_PROD, startDemo, until } from "./support/demo.js";
import { download, verify } from "./support/download.js";

const REASON = "Look for the row that the nightly job trips over";

const browser = await startBrowser();
const demo = await startDemo();

/** Somebody whose browser runs no script, signed in by the list of people. */
const enterPlainly = async (t, name) => {
  const page = await enter(t, browser, demo, { javaScriptEnabled: false });
  await page.goto("/");
  await page.getByRole("button", { name: `${name}@example.com` }).click();
  await page.getByRole("heading", { name: "Your access" }).waitFor();
  return page;
};

test("the same job is done without JavaScript, a part of the account's name being enough", async (t) => {
  const engineer = await enterPlainly(t, "engineer");
  await engineer.getByRole("link", { name: "New request" }).click();
  await engineer.getByLabel("What you need").selectOption("production-admin");
  await engineer.getByLabel("Account").fill("prod");
  await engineer.getByLabel("Minutes").fill("15");
  await engineer.getByLabel("Reason").fill(REASON);
  await engineer.getByRole("button", { name: "Ask for access" }).click();

  await engineer.getByRole("heading", { name: "Not sent" }).waitFor();
  assert.match(await engineer.title(), /^Not sent/);
  await engineer.getByRole("group", { name: "Which account?" }).getByLabel(`data-prod ${DATA_PROD}`).check();
  assert.equal(await engineer.getByLabel("Reason").inputValue(), REASON, "what was typed is still there");
  await engineer.getByRole("button", { name: "Ask for access" }).click();
  await engineer.getByRole("heading", { name: `production-admin in data-prod ${DATA_PROD}` }).waitFor();
  const state = engineer.locator("[data-part=state]");
  await state.getByText(/^\S pending$/).waitFor();
  assert.match(await engineer.getByText(/^As of/).innerText(), /This page refreshes every \d+ seconds\./);

  const approver = await enterPlainly(t, "approver");
  await approver.getByRole("link", { name: /^Approvals/ }).click();
  const card = approver.getByRole("listitem").filter({ hasText: REASON });
  await card.getByText("Add a comment").click();
  await card.getByLabel("Comment").fill("Read only, please");
  await card.getByRole("button", { name: "Approve" }).click();
  await approver.getByText("Read only, please").first().waitFor();

  await state.getByText(/^\S active$/).waitFor({ timeout: 30_000 }); // by the page's own refresh
  assert.equal((await demo.whoHas("production-admin", DATA_PROD)).length, 1, "active is said of access that is there");
  await engineer.getByRole("link", { name: "Open the AWS console" }).waitFor();
  await engineer.getByText("With the AWS CLI").click();
  await engineer.getByText(`sso_account_id = ${DATA_PROD}`).waitFor();

  await engineer.getByRole("button", { name: "End access now" }).click();
  await until("the page to say that it ended", async () => {
    const isSaid = await state.getByText(/^\S ended$/).isVisible();
    if (isSaid) assert.deepEqual(await demo.whoHas("production-admin", DATA_PROD), [], "ended is said of access that is gone");
    return isSaid;
  });

  const auditor = await enterPlainly(t, "auditor");
  await auditor.getByRole("link", { name: "Audit", exact: true }).click();
  await auditor.getByLabel("What happened").selectOption("grant.ended");
  await auditor.getByLabel("Account").fill(DATA_PROD);
  await auditor.getByRole("button", { name: "Search" }).click();
  assert.equal(await auditor.getByRole("row").count(), 2, "the headings, and one event");
  verify(await download(auditor, () => auditor.getByRole("link", { name: "JSON Lines" }).click()), "--events-only");
});

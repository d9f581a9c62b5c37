// The main job by mouse: ask, agree, use, end, and find it all in the log.

import assert from "node:assert/strict";
import { test } from "node:test";

import { enter, startBrowser } from "./support/browser.js";
import { PAYMENTS_PROD, startDemo, until } from "./support/demo.js";
import { download, verify } from "./support/download.js";

const REASON = "Roll back the release that broke refunds";

const browser = await startBrowser();
const demo = await startDemo();

/** Signs in by the list of people. */
const signIn = async (page, email) => {
  await page.goto("/");
  await page.getByRole("button", { name: `${email}@example.com` }).click();
  await page.getByRole("heading", { name: "Your access" }).waitFor();
};

test("an engineer asks, an approver agrees, access goes live and ends before the engineer's eyes, and an auditor finds it", async (t) => {
  const engineer = await enter(t, browser, demo, { permissions: ["clipboard-read", "clipboard-write"] });
  await signIn(engineer, "engineer");
  await engineer.getByRole("link", { name: "New request" }).click();
  await engineer.getByLabel("What you need").selectOption({ label: "production-admin (up to 60 minutes)" });
  const account = engineer.getByRole("combobox", { name: "Account" });
  await account.pressSequentially("payments");
  await engineer.getByText("1 of 2 accounts.").waitFor();
  await engineer.getByRole("option", { name: `payments-prod ${PAYMENTS_PROD}` }).click();
  assert.equal(await account.inputValue(), `payments-prod (${PAYMENTS_PROD})`);
  await engineer.getByRole("button", { name: "30 min" }).click();
  assert.equal(await engineer.getByLabel("Minutes", { exact: true }).inputValue(), "30");
  await engineer.getByLabel("Reason").fill(REASON);
  await engineer.getByRole("button", { name: "Ask for access" }).click();
  await engineer.getByRole("heading", { name: `production-admin in payments-prod ${PAYMENTS_PROD}` }).waitFor();
  const state = engineer.locator("[data-part=state]");
  assert.match(await state.innerText(), /pending/);
  await engineer.getByText("Live: it changes by itself.").waitFor();
  let loads = 0;
  engineer.on("framenavigated", () => { loads += 1; });

  const approver = await enter(t, browser, demo);
  await signIn(approver, "approver");
  await approver.getByRole("navigation").getByRole("link", { name: "Approvals 1 waiting for you" }).click();
  const card = approver.getByRole("listitem").filter({ hasText: REASON });
  assert.match(await card.innerText(), new RegExp(`payments-prod ${PAYMENTS_PROD}`));
  await card.getByRole("button", { name: "Approve" }).click();
  await approver.getByRole("heading", { name: "production-admin in payments-prod" }).waitFor();

  await state.getByText(/^\S active$/).waitFor();
  assert.equal((await demo.whoHas("production-admin", PAYMENTS_PROD)).length, 1, "active is said of access that is there");
  const countdown = state.locator("[data-until] strong");
  const left = await countdown.innerText();
  assert.match(left, /^\d+ min( \d+ s)?$/);
  await until("the countdown to move", async () => (await countdown.innerText()) !== left, 5);
  const wayIn = await engineer.getByRole("link", { name: "Open the AWS console" }).getAttribute("href");
  assert.match(wayIn, new RegExp(`account_id=${PAYMENTS_PROD}.*role_name=production-admin`));
  await engineer.getByText("With the AWS CLI").click();
  await engineer.getByRole("button", { name: "Copy the profile" }).click();
  await engineer.getByRole("button", { name: "Copied" }).waitFor();
  const profile = await engineer.evaluate(() => navigator.clipboard.readText());
  assert.match(profile, new RegExp(`sso_account_id *= *${PAYMENTS_PROD}\n[^]*sso_role_name *= *production-admin`));
  assert.equal(loads, 0, "all of this without loading the page again");

  await engineer.getByRole("button", { name: "End access now" }).click();
  await until("the page to say that it ended", async () => {
    const isSaid = await state.getByText(/^\S ended$/).isVisible();
    if (isSaid) assert.deepEqual(await demo.whoHas("production-admin", PAYMENTS_PROD), [], "ended is said of access that is gone");
    return isSaid;
  });
  assert.equal(loads, 1, "the button loaded the page, and nothing did after it");
  const id = new URL(engineer.url()).pathname.split("/").pop();

  const auditor = await enter(t, browser, demo);
  await signIn(auditor, "auditor");
  await auditor.getByRole("link", { name: "Audit", exact: true }).click();
  await auditor.getByLabel("Person").fill("engineer@example.com");
  await auditor.getByLabel("Account").fill("payments-prod");
  await auditor.getByRole("button", { name: "Search" }).click();
  await auditor.getByRole("link", { name: "Take off the filter Person" }).waitFor();
  const found = await auditor.getByRole("table").innerText();
  for (const type of ["request.created", "request.approved", "grant.activated", "grant.ended"]) assert.ok(found.includes(type), type);

  const filtered = await download(auditor, () => auditor.getByRole("link", { name: "JSON Lines" }).click());
  verify(filtered, "--events-only");
  const ending = filtered.text.split("\n").find((line) => line.includes("grant.ended"));
  assert.equal(JSON.parse(ending).request_id, id);
  const table = await download(auditor, () => auditor.getByRole("link", { name: "CSV" }).click());
  assert.match(table.text, new RegExp(`grant\\.ended.*${id}`));
  await auditor.getByRole("link", { name: "Audit", exact: true }).click();
  verify(await download(auditor, () => auditor.getByRole("link", { name: "JSON Lines" }).click()));
});

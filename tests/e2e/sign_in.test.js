// `curfew serve` with a provider that nobody here wrote: people sign in there in a browser, are sent back to prove more, find what
// they typed, and are signed out when the provider says so.

import assert from "node:assert/strict";
import { test } from "node:test";

import { enter, startBrowser } from "./support/browser.js";
import { PAYMENTS_PROD } from "./support/demo.js";
import { startService } from "./support/service.js";

const REASON = "The payment workers hang since 02:51";

const browser = await startBrowser();
const service = await startService();

/** At the provider's page: says who one is and proves it. */
const prove = async (page, name, way) => {
  await page.getByRole("heading", { name: "The company's sign-in" }).waitFor();
  await page.getByLabel("Name").fill(name);
  await page.getByRole("button", { name: `With a ${way}` }).click();
};

const signIn = async (page, name, way) => {
  await page.goto("/");
  await page.getByRole("link", { name: "Sign in with your company account" }).click();
  await prove(page, name, way);
  await page.getByRole("heading", { name: "Your access" }).waitFor();
};

test("an engineer and an approver are sent to prove more, come back to what they typed, and access goes live", async (t) => {
  const engineer = await enter(t, browser, service);
  await signIn(engineer, "engineer", "password");
  await engineer.goto("/requests/new");
  await engineer.getByLabel("What you need").selectOption({ label: "production-admin (up to 60 minutes)" });
  await engineer.getByRole("combobox", { name: "Account" }).fill(PAYMENTS_PROD);
  await engineer.getByLabel("Minutes", { exact: true }).fill("30");
  await engineer.getByLabel("Reason").fill(REASON);
  await engineer.getByRole("button", { name: "Ask for access" }).click();
  await engineer.getByRole("link", { name: "Prove it and come back" }).click();
  await prove(engineer, "engineer", "passkey");
  await engineer.getByRole("heading", { name: "Ask for access" }).waitFor();
  assert.equal(await engineer.getByLabel("Reason").inputValue(), REASON);
  assert.equal(await engineer.getByLabel("Minutes", { exact: true }).inputValue(), "30");
  await engineer.getByRole("button", { name: "Ask for access" }).click();
  await engineer.getByRole("heading", { name: "production-admin in payments-prod" }).waitFor();

  const approver = await enter(t, browser, service);
  await signIn(approver, "approver", "code");
  await approver.goto(new URL(engineer.url()).pathname);
  await approver.getByText("Add a comment").click();
  await approver.getByLabel("Comment").first().fill("I am on the call.");
  await approver.getByRole("button", { name: "Approve" }).click();
  await approver.getByRole("link", { name: "Prove it and come back" }).click();
  await prove(approver, "approver", "passkey");
  await approver.getByRole("heading", { name: "production-admin in payments-prod" }).waitFor();
  assert.equal(await approver.getByLabel("Comment").first().inputValue(), "I am on the call.");
  await approver.getByRole("button", { name: "Approve" }).click();

  const state = engineer.locator("[data-part=state]");
  await state.getByText(/^\S active$/).waitFor({ timeout: 30_000 });
});

test("who proves more as somebody else does not become them", async (t) => {
  const page = await enter(t, browser, service);
  await signIn(page, "engineer2", "password");
  await page.goto("/login/start?assurance=phishing_resistant&next=%2F");
  await prove(page, "approver", "passkey");
  // This provider ends the first one's session at once, and says so to Curfew: nothing is left to come back to.
  await page.getByRole("heading", { name: "Start the sign-in again" }).waitFor();
  await page.goto("/");
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
});

test("whom the directory does not know is told what to do", async (t) => {
  const page = await enter(t, browser, service);
  await page.goto("/");
  await page.getByRole("link", { name: "Sign in with your company account" }).click();
  await prove(page, "stranger", "passkey");
  await page.getByText(/directory/).first().waitFor();
  await page.getByRole("link", { name: "Start again" }).waitFor();
});

test("people sign in with keys that are new, and a sign-out at the provider ends the session here", async (t) => {
  service.provider.rotateKeys();
  const page = await enter(t, browser, service);
  await signIn(page, "auditor", "code");
  await page.goto(`${service.provider.issuer}/session/end`);
  await page.getByRole("button", { name: "Sign out everywhere" }).click();
  await page.getByRole("heading", { name: "You are signed out everywhere" }).waitFor();
  await page.goto("/audit");
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
});

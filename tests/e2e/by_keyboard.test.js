// The main job by keyboard only. See support/keyboard.js for what that means here.

import assert from "node:assert/strict";
import { test } from "node:test";

import { enter, startBrowser } from "./support/browser.js";
import { PAYMENTS_PROD, startDemo, until } from "./support/demo.js";
import { download, verify } from "./support/download.js";
import { Keyboard } from "./support/keyboard.js";

const browser = await startBrowser();
const demo = await startDemo();

/** Somebody who has put the mouse away, signed in by the list of people. */
const enterByKeyboard = async (t, name) => {
  const page = await enter(t, browser, demo);
  await page.goto("/");
  const person = new Keyboard(page);
  await person.enter("button", `${name}@example.com`);
  await person.sees("heading", "Your access");
  return person;
};

const valueOfFocused = (person) => person.page.evaluate(() => document.activeElement.value);

test("the same job is done by keyboard alone", async (t) => {
  const engineer = await enterByKeyboard(t, "engineer");
  await engineer.enter("link", "New request");
  await engineer.sees("heading", "Ask for access");
  await engineer.tabTo("combobox", "What you need");
  await engineer.type("prod");
  assert.equal(await valueOfFocused(engineer), "production-admin");

  await engineer.tabTo("combobox", "Account");
  await engineer.press("ArrowDown");
  await engineer.sees("option", "payments-prod");
  await engineer.press("Escape");
  assert.equal(await engineer.page.getByRole("option", { name: "payments-prod" }).count(), 0, "Escape closes the list");
  await engineer.type("payments-p");
  await engineer.press("ArrowDown", "Enter");
  assert.equal(await valueOfFocused(engineer), `payments-prod (${PAYMENTS_PROD})`);

  await engineer.tabTo("spinbutton", "Minutes");
  await engineer.press("ArrowUp", "ArrowDown");
  await engineer.tabTo("button", "15 min");
  await engineer.press("Space");
  await engineer.tabTo("spinbutton", "Minutes", { backwards: true });
  assert.equal(await valueOfFocused(engineer), "15", "Shift+Tab leads back, and the button did its work");
  await engineer.tabTo("textbox", "Reason");
  await engineer.type("Restart the payment workers, they hang since 02:51");
  await engineer.enter("button", "Ask for access");
  await engineer.sees("heading", `production-admin in payments-prod ${PAYMENTS_PROD}`);

  const approver = await enterByKeyboard(t, "approver");
  await approver.enter("link", /^Approvals/);
  await approver.sees("heading", "Waiting for your decision");
  await approver.tabToSummary("Add a comment");
  await approver.press("Enter");
  await approver.tabTo("textbox", /^Comment/);
  await approver.type("Go ahead");
  await approver.enter("button", /^Approve/);
  await approver.page.getByText("Go ahead").first().waitFor();

  // The page changes under the engineer's hands: the focus stays, and the new part is reached by Tab.
  const state = engineer.page.locator("[data-part=state]");
  await state.getByText(/^\S active$/).waitFor();
  await engineer.tabTo("link", "Open the AWS console");
  await engineer.enter("button", "End access now");
  await until("the page to say that it ended", () => state.getByText(/^\S ended$/).isVisible());
  assert.deepEqual(await demo.whoHas("production-admin", PAYMENTS_PROD), []);
  await engineer.tabTo("link", "Request again");

  const auditor = await enterByKeyboard(t, "auditor");
  await auditor.enter("link", /^Audit$/);
  await auditor.sees("heading", "Audit log");
  await auditor.tabTo("textbox", "Person");
  await auditor.type("engineer@example.com");
  await auditor.press("Enter");
  await auditor.sees("heading", "Only events with");
  await auditor.tabTo("link", "Take off the filter Person");
  await auditor.tabTo("link", "JSON Lines");
  verify(await download(auditor.page, () => auditor.press("Enter")), "--events-only");
});

test("the first Tab offers to skip the navigation, and goes on behind it", async (t) => {
  const page = await enter(t, browser, demo, { as: await demo.person("engineer2") });
  await page.goto("/");
  const engineer = new Keyboard(page);
  await engineer.press("Tab");
  assert.ok(await page.getByRole("link", { name: "Skip to the content" }).and(page.locator(":focus")).isVisible(), "it is the first stop");
  await engineer.press("Enter", "Tab");
  const isInContent = await page.evaluate(() => document.querySelector("main").contains(document.activeElement));
  assert.ok(isInContent, "the next stop is in the content");
});

// A person without a mouse. Nothing is focused, filled or pressed by its selector: only keys reach the page, and what they do
// depends on where the focus is. Wherever Tab leads, the focus must be seen, or the test fails.

import assert from "node:assert/strict";

const MOST_STOPS = 150;

/** What has the focus, what is wrong with how it looks, and which of `window.stops` it is, where a check has listed them. */
const focused = (page) => page.evaluate(() => {
  const element = document.activeElement;
  if (!element || element === document.body) return { what: "nothing", wrong: [], stop: -1 };
  const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  const wrong = [];
  if (outlineStyle === "none" || parseFloat(outlineWidth) < 2 || /, 0\)$/.test(outlineColor)) wrong.push("has no outline");
  if (box.width < 2 || box.height < 2) wrong.push("has no size");
  if (box.bottom <= 0 || box.right <= 0 || box.top >= innerHeight || box.left >= innerWidth) wrong.push("is out of sight");
  const middle = document.elementFromPoint(
    Math.min(Math.max((box.left + box.right) / 2, 0), innerWidth - 1), Math.min(Math.max((box.top + box.bottom) / 2, 0), innerHeight - 1));
  if (middle && !element.contains(middle) && !middle.contains(element)) wrong.push(`is covered by ${middle.outerHTML.slice(0, 80)}`);
  return { what: element.outerHTML.replace(/\s+/g, " ").slice(0, 120), wrong, stop: window.stops?.indexOf(element) };
});

/** Fails if somebody could not see where they are. */
export const assertFocusIsSeen = async (page) => {
  const there = await focused(page);
  assert.deepEqual(there.wrong, [], `the focus is seen on ${there.what}`);
  return there;
};

/** Keys, and nothing but keys. */
export class Keyboard {
  constructor(page) {
    this.page = page;
  }

  async press(...keys) {
    for (const key of keys) await this.page.keyboard.press(key);
  }

  async type(text) {
    await this.page.keyboard.type(text);
  }

  /** Presses Tab (or Shift+Tab) until what has this role and name has the focus. */
  tabTo(role, name, { backwards = false } = {}) {
    return this.#tabTo(this.page.getByRole(role, { name }), `the ${role} ${name}`, backwards ? "Shift+Tab" : "Tab");
  }

  /** The same for what unfolds, which has no role that all browsers agree on. */
  tabToSummary(text) {
    return this.#tabTo(this.page.locator("summary", { hasText: text }), `the summary ${text}`, "Tab");
  }

  async #tabTo(where, what, key) {
    const wanted = where.and(this.page.locator(":focus"));
    const passed = [];
    while (passed.length < MOST_STOPS) {
      await this.press(key);
      passed.push((await assertFocusIsSeen(this.page)).what);
      if (await wanted.count()) return;
    }
    assert.fail(`${key} never leads to ${what}; it leads to:\n${passed.slice(0, 40).join("\n")}`);
  }

  /** Goes there by Tab, and presses Enter, as for a link or a button. */
  async enter(role, name) {
    await this.tabTo(role, name);
    await this.press("Enter");
  }

  async sees(role, name) {
    await this.page.getByRole(role, { name }).first().waitFor();
  }
}

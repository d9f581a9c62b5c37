// What must hold of every page, whatever it shows: no rule of axe-core broken in light or dark, wide or narrow; nothing to scroll
// sideways on the smallest phone; targets that a thumb hits; every control reached by Tab, in order, with a focus that is seen.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

import { NARROW, WIDE } from "./browser.js";
import { assertFocusIsSeen } from "./keyboard.js";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Every check, for the page as it stands. */
export const assertGood = async (page) => {
  await page.emulateMedia({ forcedColors: null });
  for (const size of [WIDE, NARROW]) {
    await page.setViewportSize(size);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      await assertAccessible(page, `${colorScheme}, ${size.width} px wide`);
    }
  }
  await assertFits(page, NARROW.width);
  await assertTargets(page);
  await assertNothingMoves(page);
  await page.emulateMedia({ forcedColors: "active" });
  await assertEveryStop(page);
};

/** No rule of axe-core is broken: all that are on by default, best practices among them, and the size of targets. */
export const assertAccessible = async (page, when) => {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(AXE);
  const violations = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ["violations"], rules: { "target-size": { enabled: true } } });
    return violations.flatMap(({ id, help, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${help}\n${html}\n${failureSummary}`));
  });
  assert.deepEqual(violations, [], `axe-core finds nothing (${when})`);
};

/** Nothing is wider than the screen. */
const assertFits = async (page, width) => {
  const { needed, widest } = await page.evaluate((width) => ({
    needed: document.documentElement.scrollWidth,
    widest: [...document.querySelectorAll("body *")].filter((element) => element.getBoundingClientRect().right > width + 0.5)
      .map((element) => element.outerHTML.slice(0, 120)).slice(0, 5),
  }), width);
  assert.ok(needed <= width, `the page fits into ${width} px, but needs ${needed}: ${widest.join("\n")}`);
};

/** Whatever is pressed is at least 24 px in both directions (WCAG 2.2 AA), and buttons are as high as a thumb is wide. */
const assertTargets = async (page) => {
  const small = await page.evaluate(() => {
    // A box that is ticked or chosen counts with its label, which is pressed just as well.
    const target = (element) => (element.matches("[type=radio], [type=checkbox]") && element.closest("label")) || element;
    const least = (element) => (element.matches("button, .button, nav a, input, select, textarea") ? 44 : 24);
    return [...document.querySelectorAll("button, .button, summary, input, select, textarea, nav a, header a:not(.skip)")]
      .filter((element) => element.checkVisibility({ visibilityProperty: true }) && element.type !== "hidden")
      .map((element) => ({ element, box: target(element).getBoundingClientRect() }))
      .filter(({ element, box }) => box.width < 24 || box.height < least(element) - 0.5)
      .map(({ element, box }) => `${Math.round(box.width)}×${Math.round(box.height)} px: ${element.outerHTML.slice(0, 120)}`);
  });
  assert.deepEqual(small, [], "targets are large enough");
};

/** Somebody who asked for less motion sees none. */
const assertNothingMoves = async (page) => {
  const moving = await page.evaluate(() => document.getAnimations().length);
  assert.equal(moving, 0, "nothing moves");
};

/** Tab leads through everything that can be used, in the order of the page, and Shift+Tab leads back: nobody is caught. */
const assertEveryStop = async (page) => {
  const stops = await page.evaluate(() => {
    const usable = "a[href], button, input, select, textarea, summary, [tabindex]";
    // Of radio buttons with one name, Tab stops at one.
    const isFurtherChoice = (element) =>
      element.type === "radio" && element !== document.querySelector(`[type=radio][name="${element.name}"]`);
    window.stops = [...document.querySelectorAll(usable)].filter((element) =>
      element.tabIndex >= 0 && !element.disabled && element.checkVisibility({ visibilityProperty: true }) && !isFurtherChoice(element));
    window.stops[0].focus();
    return window.stops.length;
  });
  const walk = async (key, first, last) => {
    const by = Math.sign(last - first);
    let [here, from, stayed] = [first, "the end of the page", 0];
    while (here !== last) {
      await page.keyboard.press(key);
      const { what, stop } = await assertFocusIsSeen(page);
      stayed = stop === here ? stayed + 1 : 0; // a field for a time has stops inside
      assert.ok(stop === here + by || (stayed > 0 && stayed < 12), `${key} leads from ${from} to its neighbour, and not to ${what}`);
      [here, from] = [stop, what];
    }
  };
  await walk("Tab", 0, stops - 1);
  await walk("Shift+Tab", stops - 1, 0);
};

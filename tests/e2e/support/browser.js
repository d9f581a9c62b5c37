// Debian's Chromium, and people who sit at it. Whatever goes wrong in a page behind their backs (an error in the console, an
// exception, something that the content security policy forbids) fails the test in which it happened.

import assert from "node:assert/strict";
import { after } from "node:test";
import { chromium } from "playwright-core";

export const WIDE = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };
export const NARROW = { width: 320, height: 640 };

/** Starts the browser; the end of the test file closes it. */
export const startBrowser = async () => {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    // Containers and root have no user namespaces for its sandbox, and all it opens is our own demo.
    args: ["--no-sandbox"],
  });
  after(() => browser.close());
  return browser;
};

const problemsOf = new WeakMap();

/** A person at a browser of their own; signed in already if they come `as` somebody. Whoever opens it asks if it is quiet. */
export const open = async (browser, demo, { as = null, ...options } = {}) => {
  const context = await browser.newContext({ baseURL: demo?.url, viewport: WIDE, reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(15_000);
  if (as) await context.addCookies([as.cookie]);
  const page = await context.newPage();
  problemsOf.set(page, watch(page));
  return page;
};

/** The same until the test `t` ends, which fails if it was not quiet. */
export const enter = async (t, ...who) => {
  const page = await open(...who);
  t.after(async () => {
    await page.context().close();
    assertQuiet(page);
  });
  return page;
};

/** Fails if something went wrong behind the page since it was last asked. */
export const assertQuiet = (page) => assert.deepEqual(problemsOf.get(page)(), [], "nothing goes wrong behind the page");

/** Collects what goes wrong in a page. */
const watch = (page) => {
  const problems = [];
  const refused = new Set();
  const violation = "a violation of the content security policy:";
  page.addInitScript((words) => {
    document.addEventListener("securitypolicyviolation", (event) => {
      console.error(words, event.violatedDirective, event.blockedURI, event.sourceFile, event.lineNumber);
    });
  }, violation);
  page.on("pageerror", (error) => problems.push({ text: `${error.stack ?? error}`, at: page.url() }));
  page.on("crash", () => problems.push({ text: "the page crashed", at: page.url() }));
  page.on("response", (answer) => {
    if (answer.request().isNavigationRequest() && answer.status() >= 400) refused.add(answer.url());
  });
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") problems.push({ text: message.text(), at: message.location().url });
  });
  // Chromium complains of every page that is an error page; those were opened on purpose.
  const isErrorPage = ({ text, at }) => text.startsWith("Failed to load resource: the server responded with") && refused.has(at);
  return () => problems.splice(0).filter((problem) => !isErrorPage(problem)).map(({ text, at }) => `${text} (${at})`);
};

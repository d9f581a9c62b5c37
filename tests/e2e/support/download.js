// What people take along from the audit log, checked as an auditor would: with the script in docs/, which shares no code with Curfew.

import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { CHECKOUT } from "./demo.js";

/** The file that this act brings: its text, and where it lies. */
export const download = async (page, act) => {
  const [file] = await Promise.all([page.waitForEvent("download"), act()]);
  const path = await file.path();
  return { path, text: await readFile(path, "utf8") };
};

/** Fails if the export is not sound. */
export const verify = ({ path }, ...options) => {
  execFileSync("python3", [join(CHECKOUT, "docs/verify.py"), ...options, path], { stdio: "pipe", encoding: "utf8" });
};

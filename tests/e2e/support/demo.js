// The real `curfew demo`, started for one file of tests: free ports, a folder of its own, and its people over HTTP.
// Knows nothing of the browser, and never reads Curfew's database.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export const CHECKOUT = resolve(fileURLToPath(import.meta.url), "../../../..");
export const PAYMENTS_PROD = "111111111111";
export const PAYMENTS_STAGING = "222222222222";
export const DATA_PROD = "333333333333";

export const BINARY = resolve(CHECKOUT, process.env.CURFEW_BINARY || "target/debug/curfew");
const READY_WITHIN = 90_000;
const STOP_WITHIN = 20_000;

/** The first true answer, or a failure that says what was waited for. */
export const until = async (what, probe, seconds = 30) => {
  const deadline = Date.now() + seconds * 1000;
  let seen;
  while (Date.now() < deadline) {
    seen = await probe();
    if (seen) return seen;
    await sleep(150);
  }
  assert.fail(`waited ${seconds} s for ${what}; last seen: ${JSON.stringify(seen)}`);
};

/**
 * Starts a demo; the end of the test file stops it, and fails unless it stops in order. Start the browser first, so that it is
 * closed even then. A granted minute lasts `minute` seconds.
 */
export const startDemo = async ({ minute = 20 } = {}) => {
  const folder = await mkdtemp(join(tmpdir(), "curfew-e2e-"));
  await chmod(folder, 0o755); // started by root, the demo's Postgres runs as somebody else and must get through
  const [port, sandboxPort] = [await freePort(), await freePort()];
  const curfew = spawn(
    BINARY,
    ["demo", "--listen", `127.0.0.1:${port}`, "--sandbox-listen", `127.0.0.1:${sandboxPort}`,
      "--data-dir", join(folder, "demo"), "--minute", String(minute)],
    { cwd: folder, env: environment(), stdio: ["ignore", "pipe", "pipe"] },
  );
  let [said, log] = ["", ""];
  curfew.stdout.on("data", (text) => { said += text; });
  curfew.stderr.on("data", (text) => { log = (log + text).slice(-20_000); });
  const exited = new Promise((done, failed) => {
    curfew.on("exit", (status, signal) => done(status ?? signal));
    curfew.on("error", (error) => failed(new Error(`${BINARY} can't be started (cargo build makes it): ${error.message}`)));
  });
  // However the tests end, the demo is asked to stop; by itself it stops everything that it started.
  const ask = () => curfew.kill("SIGTERM");
  process.once("exit", ask);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(1));
  after(async () => {
    ask();
    const stopped = await Promise.race([exited, sleep(STOP_WITHIN, "still running", { ref: false })]);
    assert.equal(stopped, 0, `curfew demo stops with exit status 0 after SIGTERM; the end of its log:\n${log}`);
    await rm(folder, { recursive: true, force: true });
  });

  const ready = () => /^Curfew is ready at (http:\/\/\S+?)\/?$/m.exec(said)?.[1];
  const end = exited.then((status) => { throw new Error(`curfew demo exited with ${status} before it was ready:\n${log}`); });
  end.catch(() => {});
  const url = await Promise.race([until("the line `Curfew is ready at`", ready, READY_WITHIN / 1000), end]);
  return new Demo(url, `http://127.0.0.1:${sandboxPort}`);
};

/** Ours, without anything that would turn the demo elsewhere. */
export const environment = () => {
  const unwanted = /^(AWS_|CURFEW__|DATABASE_URL|MIGRATE_DATABASE_URL|PG|XDG_|NODE_TEST)|_proxy$/i;
  return { ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !unwanted.test(name))), NO_PROXY: "*" };
};

export const freePort = () => new Promise((done, failed) => {
  const server = createServer();
  server.on("error", failed);
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => done(port));
  });
});

class Demo {
  constructor(url, sandbox) {
    this.url = url;
    this.sandbox = sandbox;
    this.people = new Map();
  }

  /** That person with a session, by HTTP alone. */
  async person(name) {
    if (!this.people.has(name)) this.people.set(name, await this.signIn(name));
    return this.people.get(name);
  }

  /** A further session of that person. */
  signIn(name) {
    return Person.signIn(this, name);
  }

  /** Who has this permission set in this account, according to Identity Center and not to Curfew. */
  async whoHas(permissionSet, account) {
    const { Instances: [{ InstanceArn }] } = await this.#aws("ListInstances", {});
    const { PermissionSets } = await this.#aws("ListPermissionSets", { InstanceArn });
    for (const PermissionSetArn of PermissionSets) {
      const { PermissionSet } = await this.#aws("DescribePermissionSet", { InstanceArn, PermissionSetArn });
      if (PermissionSet.Name !== permissionSet) continue;
      const listed = await this.#aws("ListAccountAssignments", { InstanceArn, PermissionSetArn, AccountId: account });
      assert.equal(listed.NextToken, undefined, "one page has all of them");
      return listed.AccountAssignments.map((assignment) => assignment.PrincipalId);
    }
    return assert.fail(`there is no permission set ${permissionSet}`);
  }

  async #aws(operation, body) {
    const headers = {
      "Content-Type": "application/x-amz-json-1.1",
      "X-Amz-Target": `SWBExternalService.${operation}`,
      "X-Amz-Date": new Date().toISOString().replace(/[-:]|\.\d+/g, ""),
      Authorization: "AWS4-HMAC-SHA256 Credential=witness", // the sandbox reads a signature's date alone
    };
    const answer = await fetch(this.sandbox, { method: "POST", headers, body: JSON.stringify(body) });
    const text = await answer.text();
    assert.equal(answer.status, 200, `${operation}: ${text}`);
    return JSON.parse(text);
  }
}

/** Somebody without a browser: sends the pages' forms, so that a browser has something to see, and reads the JSON API. */
class Person {
  constructor(demo, cookie) {
    this.demo = demo;
    this.cookie = cookie;
  }

  static async signIn(demo, name) {
    const answer = await new Person(demo).post("/login/demo", { email: `${name}@example.com` });
    const [, cookie, value] = /^([^=]+)=([^;]+)/.exec(answer.headers.get("set-cookie"));
    return new Person(demo, { name: cookie, value, url: demo.url });
  }

  /** Sends a form; anything but the redirect after success fails. */
  async post(path, fields) {
    const answer = await fetch(`${this.demo.url}${path}`, {
      method: "POST",
      headers: { ...this.#headers(), Origin: this.demo.url },
      body: new URLSearchParams(fields),
      redirect: "manual",
    });
    assert.equal(answer.status, 303, `POST ${path}: ${await answer.text()}`);
    return answer;
  }

  /** Asks, and returns the request's id. */
  async ask(rule, account, minutes, reason, ticket = "") {
    const answer = await this.post("/requests", { rule, account, minutes, reason, ticket });
    return answer.headers.get("location").split("/").pop();
  }

  act(act, id, comment = "") {
    return this.post(`/requests/${id}/${act}`, { comment });
  }

  /** Waits until this request's access is what the word says. */
  sees(id, word) {
    return until(`access to be ${word}`, async () => {
      const answer = await fetch(`${this.demo.url}/api/v1/requests/${id}`, { headers: this.#headers() });
      return (await answer.json()).grant?.status === word;
    });
  }

  #headers() {
    const cookie = this.cookie && { Cookie: `${this.cookie.name}=${this.cookie.value}` };
    return { ...cookie, "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36" };
  }
}

// The real `curfew serve`, as an operator runs it: a Postgres of its own with the two roles, the sandbox as AWS, and an OpenID
// provider. Knows nothing of the browser.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { chmod, chown, copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { BINARY, CHECKOUT, environment, freePort, until } from "./demo.js";
import { CLIENT_ID, CLIENT_SECRET, startProvider } from "./provider.js";

const STOP_WITHIN = 20_000;

/** Starts all of it; the end of the test file stops it. */
export const startService = async () => {
  const folder = await mkdtemp(join(tmpdir(), "curfew-e2e-"));
  await chmod(folder, 0o755);
  after(() => rm(folder, { recursive: true, force: true }));
  const [port, sandboxPort] = [await freePort(), await freePort()];
  const url = `http://localhost:${port}`;
  const provider = await startProvider(url);
  const socket = await startPostgres(folder);
  const curfew = (...words) => start(folder, words, {
    DATABASE_URL: `postgres://curfew@localhost/curfew?host=${socket}`,
    MIGRATE_DATABASE_URL: `postgres://curfew_owner@localhost/curfew?host=${socket}`,
    AWS_ENDPOINT_URL: `http://127.0.0.1:${sandboxPort}`, AWS_REGION: "eu-central-1",
    AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test", AWS_EC2_METADATA_DISABLED: "true",
  });
  await copyFile(join(CHECKOUT, "src/cli/demo_policy.toml"), join(folder, "policy.toml"));
  await writeFile(join(folder, "client_secret"), CLIENT_SECRET, { mode: 0o600 });
  await writeFile(join(folder, "curfew.toml"), `
public_url = "${url}"
listen = "127.0.0.1:${port}"
state_dir = "state"
[roles]
auditor_groups = ["auditors"]
administrator_groups = ["curfew-admins"]
[engine]
settle_seconds = 900
confirm_gap_seconds = 1
standing_gap_seconds = 1
[oidc]
issuer = "${provider.issuer}"
client_id = "${CLIENT_ID}"
client_secret_file = "client_secret"
external_id_issuer = "https://scim.aws.com/906712345678"
`);
  curfew("sandbox", "--listen", `127.0.0.1:${sandboxPort}`);
  await until("the sandbox to listen", () => answers(`http://127.0.0.1:${sandboxPort}/`));
  assert.equal(await curfew("migrate").exited, 0, "curfew migrate");
  const serving = curfew("serve");
  await until("curfew serve to be ready", async () => {
    assert.ok(!serving.isOver(), `curfew serve stopped:\n${serving.log()}`);
    return answers(`${url}/readyz`, 200);
  }, 60);
  return { url, provider };
};

const answers = async (url, status) => {
  const answer = await fetch(url).catch(() => null);
  return answer !== null && (status === undefined || answer.status === status);
};

/** Starts a program; the end of the test file asks it to stop. */
const start = (folder, words, more) => {
  const child = spawn(BINARY, words, { cwd: folder, env: { ...environment(), ...more }, stdio: ["ignore", "ignore", "pipe"] });
  let [log, over] = ["", false];
  child.stderr.on("data", (text) => { log = (log + text).slice(-20_000); });
  const exited = new Promise((done) => { child.on("exit", (status, signal) => { over = true; done(status ?? signal); }); });
  const stop = () => child.kill("SIGTERM");
  process.once("exit", stop);
  after(async () => {
    stop();
    await Promise.race([exited, sleep(STOP_WITHIN, null, { ref: false })]);
  });
  return { exited, isOver: () => over, log: () => log };
};

/** A Postgres on a Unix socket, with the database and the roles that `deploy/database.sql` makes; gives the socket's folder. */
const startPostgres = async (folder) => {
  const programs = readdirSync("/usr/lib/postgresql").sort().at(-1);
  const program = (name) => join("/usr/lib/postgresql", programs, "bin", name);
  const [home, data] = [join(folder, "postgres"), join(folder, "postgres", "data")];
  await mkdir(home);
  // It refuses to run as root.
  const id = (what) => Number(execFileSync("id", [what, "postgres"], { encoding: "utf8" }));
  const as = process.getuid() === 0 ? { uid: id("-u"), gid: id("-g") } : {};
  if (as.uid) await chown(home, as.uid, as.gid);
  const run = (name, ...words) => execFileSync(program(name), words, { ...as, cwd: home, env: environment(), stdio: ["ignore", "pipe", "pipe"] });
  run("initdb", "--pgdata", data, "--username=postgres", "--auth=trust", "--no-sync");
  const server = spawn(program("postgres"), ["-D", data, "-k", home, "-c", "listen_addresses=", "-c", "fsync=off"], { ...as, cwd: home, env: environment(), stdio: "ignore" });
  const stop = () => server.kill("SIGQUIT");
  process.once("exit", stop);
  after(stop);
  const psql = (...words) => run("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", `--host=${home}`, "--username=postgres", ...words);
  await until("Postgres to answer", () => { try { psql("--command=select 1"); return true; } catch { return false; } });
  psql(`--file=${join(CHECKOUT, "deploy/database.sql")}`);
  return home;
};

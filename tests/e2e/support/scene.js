// What has happened in a demo before pages are looked at: one request in each state that stays, and somebody for
// whom nothing has.
//
// `both` asks for what waits, so that for `both` nothing waits: nobody decides on their own request. `engineer2` asks for nothing.

import { DATA_PROD, PAYMENTS_PROD, PAYMENTS_STAGING } from "./demo.js";

export const REASON = "Restart the payment workers, they hang since 02:51.\nRunbook: workers, step 4.";

/** The ids of the requests. */
export const setScene = async (demo) => {
  const [engineer, both, approver, approver2] = await Promise.all(["engineer", "both", "approver", "approver2"].map((name) => demo.person(name)));
  await demo.signIn("engineer"); // so that there are two sessions
  const ended = await engineer.ask("staging-admin", PAYMENTS_STAGING, 30, "Try the new migration before the release");
  const denied = await engineer.ask("production-admin", DATA_PROD, 60, "Have a look around in the warehouse", "CHG-1207");
  await approver2.act("deny", denied, "Read-only is enough for looking around.");
  const active = await engineer.ask("production-admin", PAYMENTS_PROD, 60, REASON, "INC-4711");
  await approver.act("approve", active, "Go ahead. I am on the call.");
  const pending = await both.ask("production-admin", DATA_PROD, 45, "Move last night's load to the new bucket, it was cut off in the middle");
  await engineer.sees(ended, "active");
  await engineer.act("end", ended);
  await engineer.sees(active, "active");
  await engineer.sees(ended, "ended");
  return { active, denied, ended, pending };
};

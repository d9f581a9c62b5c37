// Every page that a person can get to, in every state that makes it look different: one table.
//
// `route` is the router's; a test compares. `as` is who looks (nobody, if it is missing), `at` is the address, and `then` is what they
// do there. `says` is what the page must say, so that it is surely the state that is meant.

import { PAYMENTS_STAGING } from "./demo.js";

/** Posts a form of ours, as a page would that was loaded before things changed. */
const post = (path, fields = {}) => async (page, ids) => {
  const loaded = page.waitForEvent("load");
  await page.evaluate(([action, fields]) => {
    const form = Object.assign(document.createElement("form"), { method: "post", action });
    for (const [name, value] of Object.entries(fields)) form.append(Object.assign(document.createElement("textarea"), { name, value }));
    document.body.append(form);
    form.submit();
  }, [typeof path === "function" ? path(ids) : path, fields]);
  await loaded;
};

/** Somebody else's end is caught in the act: the page holds still, so that there is time to look. */
const catchEnding = async (page, ids, demo) => {
  const engineer = await demo.person("engineer");
  const id = await engineer.ask("staging-admin", PAYMENTS_STAGING, 30, "Try the new migration once more");
  await engineer.sees(id, "active");
  await engineer.act("end", id);
  await page.goto(`/requests/${id}?live=off`);
};

export const PLACES = [
  { name: "sign-in", route: "/login", at: "/", says: "Choose who you want to be." },
  { name: "sign-in, refused", route: "/login/demo", at: "/login", then: post("/login/demo", { email: "nobody@example.com" }), says: "Nobody here has that e-mail address." },
  { name: "prove more", route: "/login", as: "engineer", at: "/login/start?assurance=phishing_resistant&max_age_minutes=15&next=%2Fpolicy", says: "proved within the last 15 minutes" },

  { name: "home, empty", route: "/", as: "engineer2", at: "/", says: "You have no access through Curfew at the moment." },
  { name: "home, with live access", route: "/", as: "engineer", at: "/", says: "Use it" },
  { name: "home, with something to decide", route: "/", as: "approver", at: "/", says: "Review and decide" },

  { name: "new request", route: "/requests/new", as: "engineer2", at: "/requests/new", says: "What you need" },
  { name: "new request, asked lately", route: "/requests/new", as: "engineer", at: "/requests/new", says: "Asked for lately" },
  { name: "new request, with the list of accounts", route: "/requests/new", as: "engineer2", at: "/requests/new", then: (page) => page.getByRole("combobox", { name: "Account" }).click(), says: "3 of 3 accounts." },
  { name: "new request, nothing to ask for", route: "/requests/new", as: "auditor", at: "/requests/new", says: "There is nothing that you may ask for" },
  { name: "new request, with errors", route: "/requests", as: "engineer2", at: "/requests/new", then: post("/requests", { rule: "production-admin", account: "nowhere", minutes: "900", reason: "short", ticket: "x" }), says: "Not sent" },
  { name: "new request, with choices", route: "/requests", as: "engineer2", at: "/requests/new", then: post("/requests", { rule: "production-admin", account: "prod", minutes: "15", reason: "Look for the row that the job trips over" }), says: "data-prod" },

  { name: "request, pending, to its requester", route: "/requests/{id}", as: "both", at: "/requests/{pending}", says: "Cancel the request" },
  { name: "request, pending, to an approver", route: "/requests/{id}", as: "approver", at: "/requests/{pending}", says: "One no denies the request for good." },
  { name: "request, active", route: "/requests/{id}", as: "engineer", at: "/requests/{active}", then: (page) => page.getByText("With the AWS CLI").click(), says: "End access now" },
  { name: "request, active, to an administrator", route: "/requests/{id}", as: "admin", at: "/requests/{active}", says: "End access now" },
  { name: "request, ending", route: "/requests/{id}", as: "engineer", at: "/", then: catchEnding, says: "ending" },
  { name: "request, ended, unfolded", route: "/requests/{id}", as: "auditor", at: "/requests/{ended}", then: (page) => page.getByText("technical step").first().click(), says: "These events in the audit log" },
  { name: "request, denied", route: "/requests/{id}", as: "engineer", at: "/requests/{denied}", says: "Read-only is enough for looking around." },

  { name: "approvals, empty", route: "/approvals", as: "both", at: "/approvals", says: "Nothing waits for your decision." },
  { name: "approvals, to nobody's approver", route: "/approvals", as: "engineer", at: "/approvals", says: "You are not among the approvers of any rule." },
  { name: "approvals, full", route: "/approvals", as: "approver", at: "/approvals", then: (page) => page.getByText("Add a comment").click(), says: "Oldest first." },

  { name: "requests, empty", route: "/requests", as: "engineer2", at: "/requests", says: "You have not asked for anything yet." },
  { name: "requests, full", route: "/requests", as: "auditor", at: "/requests?mine=false", says: "denied" },
  { name: "requests, filtered", route: "/requests", as: "engineer", at: "/requests?mine=true&status=denied&account=data", says: "Clear all" },
  { name: "requests, no match", route: "/requests", as: "engineer", at: "/requests?rule=no-such-rule", says: "No request matches." },

  { name: "audit, full", route: "/audit", as: "auditor", at: "/audit", then: (page) => page.getByText(/^JSON of event/).first().click(), says: "Download the log" },
  { name: "audit, filtered", route: "/audit", as: "auditor", at: "/audit?person=engineer%40example.com&account=payments-prod", says: "Download what matches" },
  { name: "audit, no match", route: "/audit", as: "auditor", at: "/audit?rule=no-such-rule", says: "No event matches all of this" },

  { name: "policy", route: "/policy", as: "engineer", at: "/policy", says: "You may ask under this rule" },
  { name: "policy, answered yes", route: "/policy", as: "engineer", at: "/policy?what=permission-set%2Fstaging-admin&account=payments-staging", says: "You could get" },
  { name: "policy, answered no about somebody", route: "/policy", as: "admin", at: "/policy?person=approver%40example.com&what=rule%2Fproduction-admin&account=payments-prod", says: "couldn't get" },
  { name: "policy, a question that can't be answered", route: "/policy", as: "admin", at: "/policy?person=x&what=rule%2Fproduction-admin&account=nowhere", says: "Nobody" },

  { name: "operations", route: "/operations", as: "admin", at: "/operations", says: "How it stands" },
  { name: "recovery", route: "/operations/recovery", as: "admin", at: "/operations/recovery", says: "nothing to recover" },
  { name: "422: resumed without a reason", route: "/operations/resume", as: "admin", at: "/operations", then: post("/operations/resume", { comment: "" }), says: "Say why" },
  { name: "end everything", route: "/operations/end-everything", as: "admin", at: "/operations/end-everything", says: "End everything?" },
  { name: "end everything, without a reason", route: "/operations/end-everything", as: "admin", at: "/operations/end-everything", then: post("/operations/end-everything"), says: "Say why" },
  { name: "sessions", route: "/sessions", as: "engineer", at: "/sessions", says: "Sign out all others" },
  { name: "sessions, one", route: "/sessions", as: "engineer2", at: "/sessions", says: "You are signed in nowhere else." },

  { name: "403: the log, for an engineer", route: "/audit", as: "engineer", at: "/audit", says: "403" },
  { name: "403: one's own approver", route: "/requests/{id}/approve", as: "both", at: "/", then: post(({ pending }) => `/requests/${pending}/approve`), says: "403" },
  { name: "404, signed in", route: "*", as: "engineer", at: "/no-such-page", says: "404" },
  { name: "404, signed out", route: "*", at: "/no-such-page", says: "404" },
  { name: "404: somebody else's request", route: "/requests/{id}", as: "engineer2", at: "/requests/{active}", says: "404" },
  { name: "405: an act by its address", route: "/requests/{id}/end", as: "engineer", at: "/requests/{active}/end", says: "405" },
  { name: "409: cancelled too late", route: "/requests/{id}/cancel", as: "engineer", at: "/", then: post(({ denied }) => `/requests/${denied}/cancel`), says: "409" },
  { name: "signed out while writing", route: "/requests", at: "/login", then: post("/requests", { rule: "production-admin", account: "payments-prod", minutes: "15", reason: "Written before the session ended" }), says: "You are signed out" },
];

/** Goes there. Fails unless it is the page, in the state, that is meant. */
export const goTo = async (page, place, ids, demo) => {
  await page.goto(place.at.replace(/\{(\w+)\}/, (_, state) => ids[state]));
  await place.then?.(page, ids, demo);
  await page.getByRole("main").getByText(place.says).filter({ visible: true }).first().waitFor();
};

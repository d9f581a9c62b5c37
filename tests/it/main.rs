//! Stories through the real router, the real engine, a real Postgres and the sandbox over the wire.
//!
//! One binary. Tests move the clock and drive the loops by hand; none sleeps. Every story ends with
//! `finish`, which checks what must hold whatever happened.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the message")]

mod support;

mod approvals;
mod asking;
mod audit_log;
mod audit_search;
mod bad_input;
mod by_hand;
mod clocks;
mod crash;
mod crowd;
mod demo;
mod ending;
mod error_pages;
mod gone_targets;
mod guarantees;
mod hanging;
mod history;
mod hostile_idp;
mod identity;
mod layering;
mod live;
mod lost_and_late;
mod openapi;
mod overdue;
mod policy;
mod policy_page;
mod postgres_faults;
mod races;
mod random_worlds;
mod recovery;
mod replicas;
mod request_to_end;
mod rules;
mod security;
mod serve;
mod sessions;
mod sign_in;
mod step_up;
mod switches;
mod three_replicas;
mod upgrade;

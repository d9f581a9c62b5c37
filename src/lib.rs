//! Curfew: just-in-time access to AWS accounts through IAM Identity Center.
//!
//! Where things are: `access`, `policy` and `audit` say what may happen (pure); `broker` is what
//! people do, `engine` what time does, and `ledger` the transitions that both end in; `directory`
//! is who people are; `postgres`, `aws`, `oidc` and `http` are the edges; `app` puts a service together and
//! `cli` is the commands, `config` what they are told. `sandbox` is a pretend AWS that uses nothing of ours, and
//! `private_postgres` runs a database for the demo and the tests.

pub mod access;
pub mod app;
pub mod audit;
pub mod aws;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
pub mod directory;
pub mod engine;
pub mod http;
pub mod ledger;
pub mod live_grants;
pub mod metrics;
pub mod oidc;
pub mod policy;
pub mod postgres;
pub mod preflight;
pub mod private_postgres;
pub mod retry;
pub mod sandbox;
pub mod settings;
pub mod state_dir;
pub mod telemetry;

//! The audit log: what an event is, how events are chained so that anyone can verify them, and how
//! they leave as an export.
//!
//! `event` and `chain` are pure. Writing happens in `postgres::change`, in the transaction of the
//! change itself.

pub mod chain;
pub mod event;
pub mod export;

//! The audit log: what an event is, how events are chained so that anyone can verify them, how they
//! are searched, and how they leave as an export.
//!
//! `event`, `chain`, `filter` and `csv` are pure. Writing happens in `postgres::change`, in the
//! transaction of the change itself.

pub mod chain;
pub mod csv;
pub mod event;
pub mod export;
pub mod filter;
pub mod search;

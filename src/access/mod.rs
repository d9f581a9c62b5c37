//! What access is: people, targets, requests, decisions, grants, and the ledger row that they share.
//!
//! Pure: no I/O, no clock, no SQL, no framework. A transition takes the time as a value and says
//! either what follows or why not; storing it is somebody else's work (`ledger`, `postgres`).

pub mod assignment;
pub mod decision;
pub mod grant;
pub mod id;
pub mod identity;
pub mod person;
pub mod portal;
pub mod recovery;
pub mod request;
pub mod target;
pub mod text;

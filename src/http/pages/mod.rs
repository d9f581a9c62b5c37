//! The pages: form struct, page struct and handlers of each noun. A handler parses, calls one act,
//! and renders or redirects; a bad form comes back with its input and 422.
//!
//! What a page says is worked out by pure functions (`words`, `events`, and the page structs), so that
//! the words are tested without a database. Templates escape everything; none says `safe`.

mod accounts;
pub(super) mod acts;
pub(super) mod approvals;
pub(super) mod audit;
pub(super) mod auth;
mod browser;
mod events;
mod explain;
#[cfg(test)]
mod gallery;
pub(super) mod home;
pub(super) mod login;
pub(super) mod new_request;
mod offers;
pub(super) mod operations;
pub(super) mod policy;
pub(super) mod recovery;
pub(super) mod request;
pub(super) mod requests;
#[cfg(test)]
mod samples;
pub(super) mod sessions;
mod summary;
pub(super) mod switches;
mod words;

//! The pages: form struct, page struct and handlers of each noun. A handler parses, calls one act,
//! and renders or redirects; a bad form comes back with its input and 422.

pub(super) mod login;

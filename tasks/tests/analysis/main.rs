//! The model's side of the document tasks against a server on this machine that says what each test wants.

#![allow(clippy::unwrap_used, clippy::panic, reason = "in tests a failed unwrap is a failed test")]

mod fake;
mod page;
mod summary;

//! `process`.
pub(crate) mod output;
pub(crate) mod progress;
pub(crate) mod sources;

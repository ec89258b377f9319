//! The life of a delivery: as a model of which every interleaving is looked at, and as workers that are killed at each of their operations.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod broken;
mod checker;
mod deaths;
mod document;
mod fate;
mod life;
mod sound;
mod steps;
mod table;

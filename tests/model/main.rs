//! The life of a delivery: as a model of which every interleaving is looked at, and as workers that are killed at each of their operations.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests, outside of test functions too"
)]
#![allow(unreachable_pub, reason = "support is shared by path")]

mod broken;
mod checker;
mod deaths;
mod document;
mod fate;
mod life;
mod proxy;
#[path = "../support/redis_server.rs"]
mod redis_server;
mod renewal;
mod simulated;
mod sound;
mod steps;
mod table;

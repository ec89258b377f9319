//! Hostile bytes: whatever comes from a broker or a backend, nothing panics, overflows, allocates without bound or is lost.
//!
//! `targets/` says what must hold; here it is tried on mutations of everything that was recorded, bounded, the same in every run.
//! `scripts/fuzz` tries the same on what libFuzzer thinks of, for as long as it is let.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "fuzz/ takes targets in by path")]

mod bounded;
mod corpus;
mod large;
mod mutate;
#[path = "../support/redis_server.rs"]
mod redis_server;
mod seeds;
mod targets;
mod worker;

// Where src/broker/envelope.rs, which targets/ takes in by path, finds the names of its headers.
use celeriac::protocol;

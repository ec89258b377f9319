//! The worker on the memory broker, under paused time: what a task's author and a caller are promised.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod aliases;
mod bounds;
mod calls;
mod canvas;
mod control;
mod dead_letters;
mod errbacks;
mod failures;
mod house;
mod lifecycle;
mod metrics;
mod rates;
mod replacing;
mod results;
mod retries;
mod short_cuts;
mod shutdown;
mod signed;
mod starved;
mod time;
mod unique;
mod window;

//! Periodic tasks: schedules as Celery has them, and the scheduler on the memory broker.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests, outside of test functions too")]

mod scheduler;
mod schedules;

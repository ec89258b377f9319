//! One suite for every broker and every backend: each sentence of their contracts, on memory and on a private redis-server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests, outside of test functions too"
)]
#![allow(unreachable_pub, reason = "support is shared by path")]

mod backend;
mod broker;
mod chord;
mod dead_letters;
mod exchanges;
mod failover;
mod faults;
mod ground;
mod keys;
#[path = "../support/redis_server.rs"]
mod redis_server;
#[path = "../support/sentinels.rs"]
mod sentinels;
mod servers;
mod settle;
mod timetable;
mod tls;
mod unique;
mod wire;

/// Each named test on both grounds: memory under a paused clock, Redis in real time.
macro_rules! contracts {
    ($($name:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test(start_paused = true)]
            async fn $name() {
                super::$name($crate::ground::Ground::memory()).await;
            })+
        }
        mod redis {
            $(#[tokio::test]
            async fn $name() {
                if let Some(ground) = $crate::ground::Ground::redis() {
                    super::$name(ground).await;
                }
            })+
        }
    };
}
pub(crate) use contracts;

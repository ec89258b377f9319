//! One suite for every shelf the ledger can stand on: memory, and a private redis-server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests, outside of test functions too"
)]
#![allow(unreachable_pub, reason = "support is shared by path")]

mod chores;
mod events;
mod find;
mod ground;
mod life;
#[path = "../../../tests/support/redis_server.rs"]
mod redis_server;
mod together;

/// Each named test on both grounds.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::ground::Ground::memory()).await;
            })+
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(ground) = $crate::ground::Ground::redis() {
                    super::$name(ground).await;
                }
            })+
        }
    };
}
pub(crate) use on_both;

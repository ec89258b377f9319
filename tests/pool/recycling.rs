//! Children are replaced after a number of calls or above a size, and their number can be changed.

use std::collections::BTreeSet;
use std::io::Write;

use celeriac::pool::{CallOptions, ChildPool};
use libtest_mimic::Trial;

use crate::functions::{HOARD, PID, WAIT};
use crate::support::{Beacon, exists, options, pid};
use crate::trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("recycling::a_child_is_replaced_after_its_calls", by_runs),
        trial("recycling::a_child_is_replaced_above_its_memory", by_memory),
        trial("recycling::a_pool_grows_and_shrinks", resized),
        trial("recycling::a_restart_replaces_the_idle_child_now_and_the_busy_one_after_its_call", restarted),
    ]
}

async fn by_runs() {
    let mut options = options(1);
    options.max_tasks_per_child = Some(3);
    let pool = ChildPool::new(options);
    let mut served = Vec::new();
    for _ in 0..7 {
        served.push(pid(&pool).await);
    }
    let [a, b, c, d, e, f, g] = served[..] else { panic!("seven calls") };
    assert_eq!([a, a, d, d], [b, c, e, f]);
    assert_eq!(BTreeSet::from([a, d, g]).len(), 3);
    pool.close(std::time::Duration::from_secs(10)).await;
    assert!(!exists(a) && !exists(d) && !exists(g), "a recycled child was not reaped");
}

async fn by_memory() {
    let mut options = options(1);
    options.max_memory_per_child = Some(80 << 10);
    let pool = ChildPool::new(options);
    let mut served = BTreeSet::new();
    for _ in 0..4 {
        served.insert(pool.call(&HOARD, 30 << 20, CallOptions::default()).await.unwrap());
    }
    assert_eq!(served.len(), 2, "30 and 60 MiB fit, 90 do not: the third call is the last of its child");
}

async fn resized() {
    let pool = ChildPool::new(options(1));
    let served = async |key: &str| pool.call(&PID, (), CallOptions::default().affinity(key)).await.unwrap();
    assert_eq!(served("a").await, served("b").await);
    pool.resize(2);
    let (a, b) = (served("c").await, served("b").await);
    assert_ne!(a, b);
    assert_eq!(pool.children().await.len(), 2);
    pool.resize(1);
    assert_eq!(pool.children().await.iter().map(|child| child.pid).collect::<Vec<_>>(), [b], "the longest idle one goes");
}

async fn restarted() {
    let beacon = Beacon::new();
    let mut options = options(1);
    options.settings = beacon.settings("wait");
    let pool = ChildPool::new(options);
    let call = pool.call(&WAIT, (), CallOptions::default());
    let restart = async {
        let (busy, mut connection) = beacon.begun().await;
        pool.restart();
        connection.write_all(&[1]).unwrap();
        busy
    };
    let (waited, busy) = tokio::join!(call, restart);
    waited.unwrap();
    let idle = pid(&pool).await;
    pool.restart();
    let last = pid(&pool).await;
    assert_eq!(BTreeSet::from([busy, idle, last]).len(), 3);
    assert_eq!(pool.children().await.len(), 1);
}

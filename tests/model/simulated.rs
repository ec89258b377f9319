//! Two workers under random faults, by a seed: calls that are late, fail, or whose answers are lost, and workers that die, where tasks are
//! acked late. Then it is quiet, and everything must end well.

use std::sync::Arc;
use std::time::Duration;

use celeriac::broker::{Broker, memory};

use crate::deaths::{Runs, Stores, app_that_acks, canvases, results, work};
use crate::fate::{Fate, mortal};

/// How many seeds, from 0; `CELERIAC_SEEDS` says otherwise.
const SEEDS: u64 = 200;
/// How often a worker dies at most.
const DEATHS: usize = 4;
/// How long there is trouble.
const TROUBLE: Duration = Duration::from_secs(60);

async fn simulate(seed: u64, late: bool) {
    fastrand::seed(seed);
    let (broker, backend) = memory::pair();
    let stores = || -> Stores { (Arc::new(broker.clone()), Arc::new(backend.clone())) };
    let runs = Runs::default();
    let client = app_that_acks(late, &runs, stores(), 12.0);
    let mut sent = Vec::new();
    for (call, expected) in canvases().calls {
        sent.push((client.send(call).await.unwrap().id().to_owned(), expected));
    }
    let quiet = tokio::time::Instant::now() + TROUBLE;
    let life = |name: &'static str, seed: u64| {
        let (runs, client) = (Arc::clone(&runs), client.clone());
        let stores = stores();
        async move {
            for life in 0..DEATHS {
                let fate = Fate::random(seed + life as u64, quiet, late);
                let (_shutdown, mut worker) = work(app_that_acks(late, &runs, mortal(stores.clone(), &fate), 12.0), name);
                tokio::select! {
                    () = fate.dead.cancelled() => {}
                    // One that cannot start ends by itself.
                    _ = &mut worker => continue,
                    () = tokio::time::sleep_until(quiet) => {}
                }
                worker.abort();
                let _gone = worker.await;
            }
            drop(client);
        }
    };
    tokio::join!(life("celery@a", seed * 100), life("celery@b", seed * 100 + 50));

    let (shutdown, last) = work(client.clone(), "celery@last");
    results(&client, &sent).await;
    // What was fetched unheard comes back, is settled anew and changes nothing.
    while broker.leased_len() + broker.depth("celery").await.unwrap().total() > 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    shutdown.warm();
    last.await.unwrap().unwrap();
    assert_eq!(broker.dead_letters_len(), 0, "dead letters");
}

#[test]
fn everything_ends_well_whatever_goes_wrong() {
    simulate_all(true);
}

#[test]
fn what_is_acked_early_ends_well_while_its_worker_lives() {
    simulate_all(false);
}

#[allow(clippy::disallowed_methods, reason = "how many seeds is said from outside")]
fn simulate_all(late: bool) {
    let seeds = std::env::var("CELERIAC_SEEDS").ok().map_or(0..SEEDS, |text| match text.split_once("..") {
        Some((first, end)) => first.parse().unwrap()..end.parse().unwrap(),
        None => 0..text.parse().unwrap(),
    });
    for seed in seeds {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let run = std::panic::AssertUnwindSafe(|| {
            runtime.block_on(async { tokio::time::timeout(Duration::from_secs(3600), simulate(seed, late)).await })
        });
        match std::panic::catch_unwind(run) {
            Ok(Ok(())) => {}
            ended => panic!("seed {seed} (CELERIAC_SEEDS={seed}..{}): {ended:?}", seed + 1),
        }
    }
}

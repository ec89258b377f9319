//! A worker of whose renewals one is swallowed by the network keeps what it runs.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use celeriac::broker::memory;
use celeriac::protocol::signature::Signature;
use celeriac::task::{Context, TaskError};
use tokio::sync::Notify;

use crate::deaths::{Runs, Stores, app_of, work};
use crate::fate::{Fate, Side, mortal};

const LEASE: f64 = 12.0;

#[tokio::test(start_paused = true)]
async fn one_renewal_that_gets_no_answer_costs_no_lease() {
    let (broker, backend) = memory::pair();
    let stores = || -> Stores { (Arc::new(broker.clone()), Arc::new(backend.clone())) };
    let begun = Arc::new(Notify::new());
    let app = |stores: Stores| {
        app_of(true, &Runs::default(), stores, LEASE, |app| {
            let told = Arc::clone(&begun);
            app.task("d.long", move |_: Context, (): ()| {
                let told = Arc::clone(&told);
                async move {
                    told.notify_one();
                    tokio::time::sleep(Duration::from_secs(30)).await;
                    Ok::<_, TaskError>(1)
                }
            });
        })
    };
    let fate = Fate::new(usize::MAX, Side::Before);
    let client = app(stores());
    let long = client.send(Signature::new("d.long")).await.unwrap();
    let (shutdown, first) = work(app(mortal(stores(), &fate)), "celery@first");
    begun.notified().await;
    fate.swallows.store(true, Ordering::SeqCst);
    let (other, second) = work(app(stores()), "celery@second");

    assert!(long.get_value(Duration::from_secs(120)).await.is_ok());
    assert!(tokio::time::timeout(Duration::from_secs(60), begun.notified()).await.is_err(), "it ran once");
    shutdown.warm();
    other.warm();
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
}

//! A task that computes and never awaits holds up its own runtime, and neither remote control nor heartbeats nor leases.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use celeriac::broker::Broker;
use celeriac::config::{Seconds, Settings};
use celeriac::protocol::{Envelope, Signature, State, Value, json};
use celeriac::task::{Context, TaskError};

use super::control::Client;
use super::house::House;

/// Lets the task end, whatever becomes of the test: a runtime waits for what it cannot stop.
struct Release(Arc<AtomicBool>);

impl Drop for Release {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_worker_all_whose_threads_compute_answers_beats_and_keeps_its_leases() {
    const LEASE: Duration = Duration::from_secs(2);
    let mut settings = Settings::default();
    settings.task_acks_late = true;
    settings.celeriac.lease = Seconds::new(LEASE.as_secs_f64());
    settings.celeriac.heartbeat_interval = Seconds::new(0.5);
    let (begun, release) = (Arc::new(tokio::sync::Notify::new()), Release(Arc::default()));
    let (told, released) = (Arc::clone(&begun), Arc::clone(&release.0));
    let house = House::furnished(settings, move |app| {
        app.task("t.computes", move |_: Context, (): ()| {
            let (told, released) = (Arc::clone(&told), Arc::clone(&released));
            async move {
                told.notify_one();
                while !released.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
                Ok::<_, TaskError>(1)
            }
        });
    });
    let worker = house.worker(1);
    let mut client = Client::new(&house).await;
    let id = house.send(Signature::new("t.computes")).await;
    begun.notified().await;

    // From here on no timer of this runtime fires: its only thread computes.
    assert_eq!(client.says("ping", Value::map()).await, "pong");
    assert_eq!(client.call("active", Value::map()).await.as_list().map(<[Value]>::len), Some(1));
    let mut heard = house.broker.listen("celeryev", "worker.heartbeat").await.unwrap();
    for _ in 0..8 {
        let beat = Envelope::parse(&heard.next().await.unwrap().unwrap()).unwrap();
        let beat = json::parse(&beat.body_bytes().unwrap()).unwrap();
        assert_eq!(beat.get("active"), Some(&1.into()));
    }
    assert_eq!(house.broker.restore_orphans(LEASE).await.unwrap(), 0, "twice the lease has passed");

    drop(release);
    assert_eq!(house.ended(&id).await.status, State::Success);
    worker.stop().await;
}

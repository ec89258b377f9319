//! How much a worker takes on: what it holds, and what it leaves to others.

use celeriac::broker::Broker;
use celeriac::protocol::signature::Signature;

use super::house::House;

#[tokio::test(start_paused = true)]
async fn a_message_that_waits_behind_a_long_task_goes_to_an_idle_neighbour() {
    let house = House::new();
    let busy = house.worker(1);
    // Short tasks: from now on it holds messages beside the one that runs.
    for _ in 0..20 {
        let id = house.send(Signature::new("t.add").arg(1).arg(1)).await;
        house.ended(&id).await;
    }
    let mut ids = vec![house.send(Signature::new("t.blocks")).await];
    for n in 0..3 {
        ids.push(house.send(Signature::new("t.echo").arg(n)).await);
    }
    // Time stands still while somebody has something to do: nobody has lost patience yet.
    while house.broker.leased_len() < 4 {
        tokio::task::yield_now().await;
    }

    let idle = house.worker(1);
    let mut done = Vec::new();
    for id in &ids[1..] {
        done.push(house.ended(id).await.date_done.unwrap().moment());
    }
    assert!(done.is_sorted(), "they came back in their order: {done:?}");
    assert_eq!(house.broker.leased_len(), 1);
    house.traces.release.notify_one();
    house.ended(&ids[0]).await;
    busy.stop().await;
    idle.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_of_long_tasks_takes_only_what_it_can_run() {
    let house = House::new();
    let worker = house.worker(2);
    for _ in 0..5 {
        house.send(Signature::new("t.blocks")).await;
    }
    house.traces.begun.notified().await;
    house.traces.begun.notified().await;
    assert_eq!((house.broker.leased_len(), house.broker.queue_len("celery").await.unwrap()), (2, 3));
    (0..2).for_each(|_| house.traces.release.notify_one());
    worker.shutdown.cold();
    worker.ended().await;
}

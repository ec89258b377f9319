//! ETA, countdown and expiry. The wall clock is not paused: what a test needs of it are moments far away or just past.

use celeriac::protocol::signature::Signature;
use celeriac::protocol::state::State;
use celeriac::protocol::value::Value;

use super::house::House;

#[tokio::test]
async fn a_far_eta_is_parked_and_holds_nobody_up() {
    let house = House::new();
    let worker = house.worker(1);
    house.send(Signature::new("t.add").arg(1).arg(1).countdown(3600.0)).await;
    assert_eq!(house.call(Signature::new("t.add").arg(2).arg(2)).await.result, Value::Int(4));
    worker.stop().await;
    assert_eq!((house.broker.parked_len(), house.broker.leased_len()), (1, 0));
}

#[tokio::test]
async fn a_near_eta_runs_when_it_is_due() {
    let house = House::new();
    let worker = house.worker(1);
    let before = std::time::Instant::now();
    assert_eq!(house.call(Signature::new("t.add").arg(2).arg(2).countdown(0.3)).await.result, Value::Int(4));
    assert!(before.elapsed().as_millis() >= 290, "{:?}", before.elapsed());
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_expired_task_is_revoked_and_does_not_run() {
    let house = House::new();
    let id = house.send(Signature::new("t.blocks").expires(chrono::Utc::now() - chrono::TimeDelta::seconds(1))).await;
    let worker = house.worker(1);
    let meta = house.ended(&id).await;
    assert_eq!(meta.status, State::Revoked);
    assert_eq!(meta.exception().unwrap().exc_message, [Value::from("expired")]);
    worker.stop().await;
    assert_eq!(house.traces.runs(), 0);
}

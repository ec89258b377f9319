//! Remote control, events and revocation, as a client on the same broker sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use celeriac::broker::{Broker, Consumer, Listener};
use celeriac::canvas::chain;
use celeriac::config::{Seconds, Settings};
use celeriac::protocol::{Envelope, Exception, Map, Signature, State, Value, json};
use celeriac::settlement::Settlement;
use celeriac::task::{Context, TaskError};
use celeriac::worker::StopReason;
use chrono::Utc;
use tokio::sync::Notify;

use super::house::{House, Traces};

const NODE: &str = "celery@test";

/// Sends requests and reads replies, as `app.control` does.
pub(crate) struct Client<'a> {
    house: &'a House,
    replies: Box<dyn Consumer>,
}

impl<'a> Client<'a> {
    pub(crate) async fn new(house: &'a House) -> Self {
        let expires = Duration::from_secs(10);
        house.broker.bind("reply.celery.pidbox", "oid", "oid.reply", expires).await.unwrap();
        let client = Self { house, replies: house.consumer("oid.reply", expires).await };
        client.until_it_listens(NODE).await;
        client
    }

    /// A worker that has just been started may not listen yet.
    async fn until_it_listens(&self, node: &str) {
        while self.house.broker.queue_len("oid.reply").await.unwrap() == 0 {
            self.send_to(node, "ping", Value::map()).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.house.broker.purge("oid.reply").await.unwrap();
    }

    async fn send(&self, method: &str, arguments: Value) {
        self.publish(method, arguments, Value::Null).await;
    }

    async fn send_to(&self, node: &str, method: &str, arguments: Value) {
        self.publish(method, arguments, [node].into()).await;
    }

    async fn publish(&self, method: &str, arguments: Value, destination: Value) {
        let reply_to = object([("exchange", "reply.celery.pidbox".into()), ("routing_key", "oid".into())]);
        let body = object([
            ("method", method.into()),
            ("arguments", arguments),
            ("destination", destination),
            ("ticket", method.into()),
            ("reply_to", reply_to),
        ]);
        let envelope = Envelope::transient("celery.pidbox", "", Map::default(), &body.to_string(), "tag".into()).write();
        self.house.broker.broadcast("celery.pidbox", "", &envelope).await.unwrap();
    }

    pub(crate) async fn call(&mut self, method: &str, arguments: Value) -> Value {
        self.send(method, arguments).await;
        self.reply(NODE, method).await
    }

    /// What one node answers that alone is asked.
    async fn of(&mut self, node: &str, method: &str, arguments: Value) -> Value {
        self.send_to(node, method, arguments).await;
        self.reply(node, method).await
    }

    async fn reply(&mut self, node: &str, method: &str) -> Value {
        loop {
            let reply = self.replies.fetch(1).await.unwrap().remove(0);
            self.house.broker.settle(&[Settlement::ack(&reply.tag)], None).await.remove(0).unwrap();
            let envelope = Envelope::parse(&reply.envelope).unwrap();
            if envelope.headers.get("ticket").and_then(Value::as_str) == Some(method) {
                let body = json::parse(&envelope.body_bytes().unwrap()).unwrap();
                return body.get(node).unwrap_or_else(|| panic!("{body}")).clone();
            }
        }
    }

    /// The text of `ok` or `error`.
    pub(crate) async fn says(&mut self, method: &str, arguments: Value) -> String {
        let reply = self.call(method, arguments).await;
        let text = reply.get("ok").or_else(|| reply.get("error"));
        text.and_then(Value::as_str).unwrap_or_else(|| panic!("{method}: {reply}")).to_owned()
    }
}

pub(crate) fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Map(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// The events of tasks until one of this type, without their common fields.
async fn events_until(listener: &mut Box<dyn Listener>, last: &str) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let envelope = Envelope::parse(&listener.next().await.unwrap().unwrap()).unwrap();
        let body = json::parse(&envelope.body_bytes().unwrap()).unwrap();
        all.extend(body.as_list().map_or_else(|| vec![body.clone()], <[Value]>::to_vec));
        if all.iter().any(|event| kind(event) == last) {
            return all;
        }
    }
}

fn kind(event: &Value) -> &str {
    event.get("type").and_then(Value::as_str).unwrap()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(kind).collect()
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_every_slot_is_busy_answers() {
    let house = House::new();
    let worker = house.worker(1);
    let mut client = Client::new(&house).await;
    let running = house.send(Signature::new("t.blocks")).await;
    house.traces.begun.notified().await;
    assert_eq!(client.says("ping", Value::map()).await, "pong");
    let active = client.call("active", Value::map()).await;
    let [task] = active.as_list().unwrap() else { panic!("{active}") };
    let field = |name: &str| task.get(name).unwrap().clone();
    assert_eq!((field("id"), field("type"), field("args")), (running.as_str().into(), "t.blocks".into(), Value::List(Vec::new())));
    assert_eq!((field("acknowledged"), field("worker_pid")), (false.into(), std::process::id().into()));
    let found = client.call("query_task", object([("ids", [running.as_str(), "x"].into())])).await;
    assert_eq!(found.as_map().unwrap().len(), 1);
    assert_eq!(found.get(&running).and_then(Value::as_list).unwrap()[0], "active".into());
    house.traces.release.notify_one();
    house.ended(&running).await;
    assert_eq!(client.call("active", Value::map()).await, Value::List(Vec::new()));
    let total = client.call("stats", Value::map()).await.get("total").unwrap().clone();
    assert_eq!(total, object([("t.blocks", 1.into())]));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_revoked_task_is_stored_as_revoked_at_once_and_never_run() {
    let house = House::new();
    let worker = house.worker(1);
    let mut client = Client::new(&house).await;
    assert_eq!(client.says("revoke", object([("task_id", "early".into())])).await, "tasks {'early'} flagged as revoked");
    let stored = house.state("early").await.unwrap();
    assert_eq!((stored.status, stored.children), (State::Revoked, None));
    let mut signature = Signature::new("t.blocks");
    signature.set_option("task_id", "early");
    house.send(signature).await;
    assert_eq!(house.call(Signature::new("t.add").arg(1).arg(2)).await.result, 3.into());
    assert_eq!((house.traces.runs(), house.broker.leased_len()), (0, 0));
    assert_eq!(client.call("revoked", Value::map()).await, ["early"].into());
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_revoked_while_it_waits_does_not_start_and_a_running_one_keeps_its_state() {
    let house = House::new();
    let worker = house.worker(1);
    let mut client = Client::new(&house).await;
    let running = house.send(Signature::new("t.blocks")).await;
    house.traces.begun.notified().await;
    let waiting = house.send(Signature::new("t.blocks")).await;
    client.says("revoke", object([("task_id", [running.as_str(), waiting.as_str()].into())])).await;
    assert!(house.state(&running).await.is_none());
    house.traces.release.notify_one();
    assert_eq!(house.ended(&running).await.status, State::Success);
    assert_eq!(house.ended(&waiting).await.status, State::Revoked);
    worker.stop().await;
    assert_eq!((house.traces.runs(), house.broker.leased_len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_terminated_task_is_cut_off_and_acked() {
    let house = House::new();
    let mut events = house.broker.listen("celeryev", "task.#").await.unwrap();
    let worker = house.worker(1);
    let mut client = Client::new(&house).await;
    let running = house.send(Signature::new("t.blocks")).await;
    house.traces.begun.notified().await;
    let arguments = object([("task_id", running.as_str().into()), ("terminate", true.into()), ("signal", "SIGKILL".into())]);
    assert_eq!(client.says("revoke", arguments).await, format!("terminate: {running}"));
    let meta = house.ended(&running).await;
    assert_eq!(meta.exception().unwrap().message(), "terminated");
    assert_eq!(meta.status, State::Revoked);
    let told = events_until(&mut events, "task-revoked").await;
    let revoked = told.last().unwrap();
    assert_eq!((revoked.get("terminated"), revoked.get("signum")), (Some(&true.into()), Some(&9.into())));
    worker.stop().await;
    assert_eq!(house.broker.leased_len(), 0);
}

/// Tidies up when it is told to.
async fn tidies(ctx: Context, (): ()) -> Result<&'static str, TaskError> {
    ctx.state::<Arc<Traces>>()?.begun.notify_one();
    ctx.cancelled().cancelled().await;
    Ok("tidied up")
}

#[tokio::test(start_paused = true)]
async fn sigusr1_raises_the_soft_time_limit_of_a_running_task() {
    let house = House::furnished(Settings::default(), |app| {
        app.task("t.tidies", tidies);
    });
    let worker = house.worker(2);
    let mut client = Client::new(&house).await;
    for (task, state, result) in [
        ("t.tidies", State::Success, Value::from("tidied up")),
        ("t.early", State::Failure, Exception::soft_time_limit_exceeded().to_value()),
    ] {
        let running = house.send(Signature::new(task)).await;
        house.traces.begun.notified().await;
        let arguments = object([("task_id", running.as_str().into()), ("terminate", true.into()), ("signal", "SIGUSR1".into())]);
        assert_eq!(client.says("revoke", arguments).await, format!("terminate: {running}"));
        let meta = house.ended(&running).await;
        assert_eq!((meta.status, meta.result), (state, result), "{task}");
    }
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_cold_stop_cuts_off_is_announced_as_cancelled() {
    let house = House::new();
    let mut events = house.broker.listen("celeryev", "#").await.unwrap();
    let worker = house.worker(2);
    let mut ids = Vec::new();
    for task in ["t.early", "t.blocks"] {
        ids.push(Value::from(house.send(Signature::new(task)).await));
        house.traces.begun.notified().await;
    }
    worker.shutdown.cold();
    worker.ended().await;
    let told = events_until(&mut events, "worker-offline").await;
    let cancelled: Vec<_> =
        told.iter().filter(|event| kind(event) == "task-cancelled").filter_map(|event| event.get("uuid")).collect();
    assert!(cancelled.len() == 2 && ids.iter().all(|id| cancelled.contains(&id)), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_task_with_a_revoked_stamp_is_discarded_before_it_starts() {
    let house = House::new();
    let worker = house.worker(1);
    let mut client = Client::new(&house).await;
    let headers = object([("tenant", ["t1", "t2"].into())]);
    let says = client.says("revoke_by_stamped_headers", object([("headers", headers)])).await;
    assert_eq!(says, "headers {'tenant': ['t1', 't2']} flagged as revoked, but not terminated");
    let stamped = |tenant: &str| {
        let mut signature = Signature::new("t.add").arg(1).arg(1);
        signature.set_option("stamped_headers", ["tenant"]);
        signature.set_option("tenant", tenant);
        signature
    };
    assert_eq!(house.call(stamped("t2")).await.status, State::Revoked);
    assert_eq!(house.call(stamped("t3")).await.status, State::Success);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_revoked_while_no_worker_ran_is_not_run() {
    let house = House::new();
    let control = house.app.control();
    control.revoke(&["early".to_owned()]).await.unwrap();
    let tenant = Map::from_iter([("tenant".to_owned(), "t1".into())]);
    control.revoke_by_stamped_headers(tenant, None).await.unwrap();
    let named = |name: &str, tenant: &str| {
        let mut signature = Signature::new("t.blocks");
        signature.set_option("task_id", name);
        signature.set_option("stamped_headers", ["tenant"]);
        signature.set_option("tenant", tenant);
        signature
    };
    house.send(named("early", "t2")).await;
    house.send(named("stamped", "t1")).await;
    let worker = house.worker(1);
    assert_eq!(house.ended("early").await.status, State::Revoked);
    assert_eq!(house.ended("stamped").await.status, State::Revoked);
    assert_eq!((house.traces.runs(), house.broker.leased_len()), (0, 0));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_one_worker_was_told_to_revoke_the_next_one_knows_and_a_node_s_own_it_does_not() {
    let house = House::new();
    let worker = house.worker(1);
    let mut client = Client::new(&house).await;
    client.says("revoke", object([("task_id", ["a", "b"].into())])).await;
    client.send_to(NODE, "revoke", object([("task_id", "c".into())])).await;
    assert_eq!(client.call("revoked", Value::map()).await, ["a", "b", "c"].into());
    worker.stop().await;
    let worker = house.worker(1);
    let mut client = Client::new(&house).await;
    assert_eq!(client.call("revoked", Value::map()).await, ["a", "b"].into());
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_revocation_that_a_worker_did_not_hear_reaches_it_before_long() {
    let house = House::new();
    let worker = house.worker(1);
    let mut client = Client::new(&house).await;
    house.broker.keep("revoked", &["unheard".to_owned()], Duration::from_secs(3600), 10).await.unwrap();
    while client.call("revoked", Value::map()).await != ["unheard"].into() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_life_of_a_task_is_told_step_by_step() {
    let house = House::new();
    let mut events = house.broker.listen("celeryev", "task.#").await.unwrap();
    let worker = house.worker(1);
    let id = house.send(Signature::new("t.add").arg(2).arg(3)).await;
    let told = events_until(&mut events, "task-succeeded").await;
    assert_eq!(kinds(&told), ["task-received", "task-started", "task-succeeded"]);
    assert!(told.iter().all(|event| event.get("uuid").and_then(Value::as_str) == Some(&id)));
    assert_eq!((told[0].get("args"), told[2].get("result")), (Some(&"(2, 3)".into()), Some(&"5".into())));
    house.send(Signature::new("t.fail")).await;
    let told = events_until(&mut events, "task-failed").await;
    assert_eq!(told.last().unwrap().get("exception"), Some(&"ValueError('boom')".into()));
    house.send(Signature::new("t.flaky").arg(1)).await;
    let told = events_until(&mut events, "task-succeeded").await;
    let steps = ["task-received", "task-started", "task-retried", "task-received", "task-started", "task-succeeded"];
    assert_eq!(kinds(&told), steps);
    house.send(Signature::new("t.rejects").arg(false)).await;
    let told = events_until(&mut events, "task-rejected").await;
    assert_eq!(kinds(&told), ["task-received", "task-started", "task-failed", "task-rejected"]);
    house.send(Signature::new("no.such.task")).await;
    let told = events_until(&mut events, "task-failed").await;
    assert_eq!((told.len(), told[0].get("exception")), (1, Some(&"NotRegistered('no.such.task')".into())));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_task_sends_and_what_follows_it_is_told_as_sent_and_its_own_events_go_out_at_once() {
    let mut settings = Settings::default();
    settings.task_send_sent_event = true;
    settings.worker_send_task_events = false;
    let house = House::furnished(settings, |app| {
        app.task("t.tells", async |ctx: Context, (): ()| {
            ctx.send_event("task-progress", &BTreeMap::from([("percent", 50)])).await?;
            Ok::<_, TaskError>(1)
        });
    });
    let mut events = house.broker.listen("celeryev", "task.#").await.unwrap();
    let worker = house.worker(1);
    let first = house.send(chain([Signature::new("t.tells"), Signature::new("t.flaky").arg(1).immutable()])).await;
    house.ended(&first).await;
    let mut told = Vec::new();
    while told.len() < 4 {
        let envelope = Envelope::parse(&events.next().await.unwrap().unwrap()).unwrap();
        told.push((envelope.delivery_info().unwrap().routing_key, json::parse(&envelope.body_bytes().unwrap()).unwrap()));
    }
    let keys: Vec<&str> = told.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["task.sent", "task.progress", "task.sent", "task.sent"], "the call, its own, the link, its retry");
    assert_eq!((told[1].1.get("percent"), told[1].1.get("hostname")), (Some(&50.into()), Some(&NODE.into())));
    let sent: Vec<_> = told.iter().filter(|(key, _)| key == "task.sent").map(|(_, event)| event).collect();
    assert_eq!(
        sent.iter().map(|event| event.get("name").unwrap().as_str().unwrap()).collect::<Vec<_>>(),
        ["t.tells", "t.flaky", "t.flaky"]
    );
    assert_eq!((sent[2].get("retries"), sent[2].get("queue")), (Some(&1.into()), Some(&"celery".into())));
    assert!(sent[0].get("hostname").and_then(Value::as_str).is_some_and(|name| name.starts_with("gen")));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cut_off_is_told_as_cancelled() {
    let house = House::new();
    let mut events = house.broker.listen("celeryev", "task.#").await.unwrap();
    let worker = house.worker(1);
    let id = house.send(Signature::new("t.blocks")).await;
    house.traces.begun.notified().await;
    worker.shutdown.cold();
    worker.ended().await;
    let told = events_until(&mut events, "task-cancelled").await;
    assert_eq!(kinds(&told), ["task-received", "task-started", "task-cancelled"]);
    assert_eq!(told[2].get("uuid"), Some(&id.as_str().into()));
}

#[tokio::test(start_paused = true)]
async fn a_heart_beats_as_often_as_it_is_told_or_not_at_all() {
    let beats = async |heartbeat: bool, interval: f64| {
        let mut settings = Settings::default();
        settings.celeriac.heartbeat = heartbeat;
        settings.celeriac.heartbeat_interval = Seconds::new(interval);
        let house = House::furnished(settings, |_| {});
        let mut heard = house.broker.listen("celeryev", "worker.#").await.unwrap();
        let worker = house.worker(1);
        tokio::time::sleep(Duration::from_secs(12)).await;
        worker.stop().await;
        house.broker.broadcast("celeryev", "worker.last", "").await.unwrap();
        let mut told = Vec::new();
        while let Ok(envelope) = Envelope::parse(&heard.next().await.unwrap().unwrap()) {
            told.push(json::parse(&envelope.body_bytes().unwrap()).unwrap());
        }
        told
    };
    let told = beats(true, 5.0).await;
    assert_eq!(kinds(&told), ["worker-online", "worker-heartbeat", "worker-heartbeat", "worker-offline"]);
    assert!(told.iter().all(|event| event.get("freq") == Some(&5.0.into())));
    assert!(beats(false, 5.0).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_gossip_votes_all_the_same() {
    let mut settings = Settings::default();
    settings.celeriac.gossip = false;
    let house = House::furnished(settings, |_| {});
    let mut heard = house.broker.listen("celeryev", "worker.elect.ack").await.unwrap();
    let worker = house.worker(1);
    let _client = Client::new(&house).await;
    let elect = object([("type", "worker-elect".into()), ("id", "e1".into()), ("clock", 900.into())]);
    let envelope = Envelope::transient("celeryev", "worker.elect", Map::default(), &elect.to_string(), "tag".into()).write();
    house.broker.broadcast("celeryev", "worker.elect", &envelope).await.unwrap();
    let vote = Envelope::parse(&heard.next().await.unwrap().unwrap()).unwrap();
    assert_eq!(json::parse(&vote.body_bytes().unwrap()).unwrap().get("id"), Some(&"e1".into()));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_look_holds_no_other_answer_up() {
    let held = Arc::new(Notify::new());
    let release = Arc::clone(&held);
    let house = House::furnished(Settings::default(), |app| {
        app.control_command("slow", move |_| {
            let held = Arc::clone(&held);
            async move {
                held.notified().await;
                Ok("at last")
            }
        });
    });
    let worker = house.worker(1);
    let mut client = Client::new(&house).await;
    client.send("slow", Value::map()).await;
    assert_eq!(client.says("ping", Value::map()).await, "pong");
    release.notify_one();
    assert_eq!(client.reply(NODE, "slow").await, "at last".into());
    worker.stop().await;
}

/// That every member of Celery's value is in ours, of the same kind and in the same order; numbers and nulls stand for each other.
fn assert_like(ours: &Value, celery: &Value, path: &str) {
    match (ours, celery) {
        (Value::Map(ours), Value::Map(theirs)) if path != "total" => {
            assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{path}");
            theirs.iter().for_each(|(name, value)| assert_like(&ours[name], value, name));
        }
        (Value::List(ours), Value::List(theirs)) => assert_eq!(ours.is_empty(), theirs.is_empty(), "{path}"),
        (Value::Int(_) | Value::Float(_), Value::Int(_) | Value::Float(_)) | (Value::Null, _) | (_, Value::Null) => {}
        (ours, theirs) => assert_eq!(ours.type_name(), theirs.type_name(), "{path}"),
    }
}

#[tokio::test(start_paused = true)]
async fn stats_are_those_of_celery_name_by_name() {
    let vector = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/vectors/ctl_inspect_stats.json")).unwrap();
    let vector = json::parse(&vector).unwrap();
    let celery = vector.get("decoded").and_then(|decoded| decoded.get("client_return_value")?.get("worker1@example")).unwrap();
    let house = House::new();
    let worker = house.worker(2);
    house.call(Signature::new("t.fail")).await;
    let mut stats = Client::new(&house).await.call("stats", Value::map()).await;
    let mut ours = |name: &str| stats.as_map_mut().unwrap().shift_remove(name).unwrap();
    assert_eq!((ours("failed"), ours("version")), (1.into(), env!("CARGO_PKG_VERSION").into()));
    assert_eq!(ours("loadavg").as_list().unwrap().len(), 3);
    assert_like(&stats, celery, "stats");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_says_when_it_comes_lives_and_goes() {
    let house = House::new();
    let mut heard = house.broker.listen("celeryev", "worker.#").await.unwrap();
    let worker = house.worker(1);
    house.call(Signature::new("t.add").arg(1).arg(1)).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(worker.stop().await, StopReason::Warm);
    let mut told = Vec::new();
    while told.last().is_none_or(|event| kind(event) != "worker-offline") {
        let envelope = Envelope::parse(&heard.next().await.unwrap().unwrap()).unwrap();
        told.push(json::parse(&envelope.body_bytes().unwrap()).unwrap());
    }
    assert_eq!(kinds(&told), ["worker-online", "worker-heartbeat", "worker-offline"]);
    assert_eq!(told[2].get("processed"), Some(&1.into()));
}

#[tokio::test(start_paused = true)]
async fn events_of_tasks_are_switched_off_and_on_and_a_silent_task_sends_none() {
    let mut settings = Settings::default();
    settings.worker_send_task_events = false;
    let house = House::furnished(settings, |app| {
        app.task("t.unheard", async |_, (): ()| Ok::<_, celeriac::task::TaskError>(1)).send_events(false);
    });
    let mut events = house.broker.listen("celeryev", "task.#").await.unwrap();
    let worker = house.worker(1);
    let mut client = Client::new(&house).await;
    house.call(Signature::new("t.add").arg(1).arg(1)).await;
    assert_eq!(client.says("enable_events", Value::map()).await, "task events enabled");
    assert_eq!(client.says("enable_events", Value::map()).await, "task events already enabled");
    house.call(Signature::new("t.unheard")).await;
    let id = house.send(Signature::new("t.add").arg(1).arg(1)).await;
    let told = events_until(&mut events, "task-succeeded").await;
    assert!(told.iter().all(|event| event.get("uuid").and_then(Value::as_str) == Some(&id)), "{told:?}");
    assert_eq!(client.says("disable_events", Value::map()).await, "task events disabled");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_consumed_from_when_it_is_added_and_left_when_it_is_cancelled() {
    let house = House::new();
    let worker = house.worker(2);
    let mut client = Client::new(&house).await;
    let to = |queue: &str| {
        let mut signature = Signature::new("t.add").arg(1).arg(1);
        signature.set_option("queue", queue);
        signature
    };
    let id = house.send(to("other")).await;
    assert_eq!(client.says("add_consumer", object([("queue", "other".into())])).await, "add consumer other");
    assert_eq!(house.ended(&id).await.status, State::Success);
    let cancelled = client.says("cancel_consumer", object([("queue", "celery".into())])).await;
    assert_eq!(cancelled, "no longer consuming from celery");
    assert_eq!(house.call(to("other")).await.status, State::Success);
    house.send(to("celery")).await;
    assert_eq!(house.call(to("other")).await.status, State::Success);
    assert_eq!(house.broker.queue_len("celery").await.unwrap(), 1);
    let queues = client.call("active_queues", Value::map()).await;
    assert_eq!(queues.as_list().unwrap().iter().filter_map(|queue| queue.get("name")).collect::<Vec<_>>(), [&"other".into()]);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_command_answers_with_its_error_and_the_next_one_is_answered() {
    let house = House::furnished(Settings::default(), |app| {
        app.control_command("broken", async |_| Err::<(), _>(Exception::value_error("no")));
        app.control_command("panics", async |_| -> Result<(), Exception> { panic!("a bug") });
        app.control_command("echo", async |call| Ok(call.arguments.len()));
    });
    let worker = house.worker(1);
    let mut client = Client::new(&house).await;
    assert_eq!(client.says("broken", Value::map()).await, "ValueError('no')");
    assert_eq!(client.says("panics", Value::map()).await, "RuntimeError('panics panicked')");
    assert_eq!(client.says("nonexistent", Value::map()).await, "KeyError('nonexistent')");
    let missing = "TypeError(\"rate_limit() missing 2 required positional arguments: 'task_name' and 'rate_limit'\")";
    assert_eq!(client.says("rate_limit", object([("nope", 1.into())])).await, missing);
    assert_eq!(client.call("echo", object([("a", 1.into())])).await, 1.into());
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn slots_grow_and_shrink_and_one_stays() {
    let house = House::new();
    let worker = house.worker(1);
    let mut client = Client::new(&house).await;
    assert_eq!(client.says("pool_grow", object([("n", 2.into())])).await, "pool will grow");
    let ids = [house.send(Signature::new("t.blocks")).await, house.send(Signature::new("t.blocks")).await];
    house.traces.begun.notified().await;
    house.traces.begun.notified().await;
    assert_eq!(client.says("pool_shrink", object([("n", 2.into())])).await, "pool will shrink");
    assert!(client.says("pool_shrink", object([("n", 1.into())])).await.starts_with("ValueError("));
    for id in &ids {
        house.traces.release.notify_one();
        house.ended(id).await;
    }
    let pool = client.call("stats", Value::map()).await.get("pool").unwrap().clone();
    assert_eq!(pool.get("max-concurrency"), Some(&1.into()));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_far_eta_is_shown_as_scheduled_and_revoked_when_it_comes_back() {
    let house = House::new();
    let worker = house.worker(1);
    let mut client = Client::new(&house).await;
    let mut signature = Signature::new("t.add").arg(1).arg(1);
    let eta = celeriac::protocol::Timestamp::utc(Utc::now() + Duration::from_secs(60)).to_string();
    signature.set_option("eta", eta.as_str());
    let id = house.send(signature).await;
    // At once: what was sent before the question is in the answer.
    let scheduled = client.call("scheduled", Value::map()).await;
    let [entry] = scheduled.as_list().unwrap() else { panic!("{scheduled}") };
    assert_eq!(entry.get("priority"), Some(&6.into()));
    assert_eq!(entry.get("request").and_then(|request| request.get("id")), Some(&id.as_str().into()));
    let found = client.call("query_task", object([("ids", id.as_str().into())])).await;
    assert_eq!(found.get(&id).and_then(Value::as_list).unwrap()[0], "scheduled".into());
    client.says("revoke", object([("task_id", id.as_str().into())])).await;
    while house.broker.parked_len() > 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(house.ended(&id).await.status, State::Revoked);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_new_worker_says_is_merged_and_answered_with_all_that_is_revoked() {
    let house = House::new();
    let worker = house.worker(1);
    let mut client = Client::new(&house).await;
    client.says("revoke", object([("task_id", "mine".into())])).await;
    let theirs = object([("theirs", Value::List(vec![1.5.into(), 1.into(), "theirs".into()]))]);
    let hello = client.call("hello", object([("from_node", "other@h".into()), ("revoked", theirs)])).await;
    assert_eq!(hello.get("revoked"), Some(&["mine", "theirs"].into()));
    assert_eq!(client.call("hello", object([("from_node", NODE.into())])).await, Value::Null);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_starts_learns_what_others_know_and_tells_them_what_was_kept() {
    let house = House::new();
    let first = house.worker(1);
    let mut client = Client::new(&house).await;
    client.send_to(NODE, "revoke", object([("task_id", "heard".into())])).await;
    client.says("ping", Value::map()).await;
    house.broker.keep("revoked", &["kept".to_owned()], Duration::from_secs(60), 10).await.unwrap();
    let begun = tokio::time::Instant::now();
    let second = house.named("celery@second", 1);
    client.until_it_listens("celery@second").await;
    assert!(begun.elapsed() < Duration::from_millis(900), "nobody waits when all have answered");
    for node in [NODE, "celery@second"] {
        let known = client.of(node, "revoked", Value::map()).await;
        let known: BTreeSet<_> = known.as_list().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(known, BTreeSet::from(["heard", "kept"]), "{node}");
    }
    first.stop().await;
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_starts_although_a_neighbour_does_not_answer() {
    let house = House::new();
    let mut mute = house.broker.listen("celery.pidbox", "").await.unwrap();
    let worker = house.worker(1);
    assert_eq!(house.call(Signature::new("t.add").arg(1).arg(1)).await.status, State::Success);
    let hello = Envelope::parse(&mute.next().await.unwrap().unwrap()).unwrap();
    let hello = json::parse(&hello.body_bytes().unwrap()).unwrap();
    assert_eq!(hello.get("method"), Some(&"hello".into()));
    assert_eq!(hello.get("arguments").and_then(|arguments| arguments.get("from_node")), Some(&NODE.into()));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_was_told_not_to_asks_nobody() {
    let mut settings = Settings::default();
    settings.celeriac.mingle = false;
    let house = House::furnished(settings, |_| {});
    let mut heard = house.broker.listen("celery.pidbox", "").await.unwrap();
    let worker = house.worker(1);
    house.call(Signature::new("t.add").arg(1).arg(1)).await;
    house.broker.broadcast("celery.pidbox", "", "the first").await.unwrap();
    assert_eq!(heard.next().await.unwrap().unwrap(), "the first");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_is_warm_and_a_worker_votes_in_elections() {
    let house = House::new();
    let mut heard = house.broker.listen("celeryev", "worker.elect.ack").await.unwrap();
    let worker = house.worker(1);
    let client = Client::new(&house).await;
    let elect = object([("type", "worker-elect".into()), ("id", "e1".into()), ("clock", 900.into())]);
    let envelope = Envelope::transient("celeryev", "worker.elect", Map::default(), &elect.to_string(), "tag".into()).write();
    house.broker.broadcast("celeryev", "worker.elect", &envelope).await.unwrap();
    let vote = Envelope::parse(&heard.next().await.unwrap().unwrap()).unwrap();
    let vote = json::parse(&vote.body_bytes().unwrap()).unwrap();
    assert_eq!(vote.get("id"), Some(&"e1".into()));
    assert!(vote.get("clock").and_then(Value::as_i64).unwrap() > 900);
    client.send("shutdown", Value::map()).await;
    assert_eq!(worker.ended().await, StopReason::Warm);
}

#[tokio::test(start_paused = true)]
async fn commands_that_are_switched_off_are_refused_in_clear_words_and_do_nothing() {
    let mut settings = Settings::default();
    settings.celeriac.control_disabled = ["shutdown", "pool_grow", "conf"].map(str::to_owned).into();
    let house = House::with(settings);
    let worker = house.worker(1);
    let mut client = Client::new(&house).await;
    for method in ["shutdown", "pool_grow", "conf", "dump_conf"] {
        let answer = json::write(&client.call(method, Value::map()).await);
        let words = format!("the command {method} is switched off on this worker (celeriac.control_disabled)");
        assert!(answer.contains("\"error\"") && answer.contains(&words), "{answer}");
    }
    let grown = client.call("pool_shrink", object([("n", 0.into())])).await;
    assert!(json::write(&grown).contains("ok"), "the others are not: {grown:?}");
    assert_eq!(house.call(Signature::new("t.add").arg(1).arg(1)).await.status, State::Success, "it goes on");
    assert_eq!(worker.stop().await, StopReason::Warm);
}

#[tokio::test(start_paused = true)]
async fn a_worker_does_not_start_with_a_misspelt_command_switched_off() {
    let mut settings = Settings::default();
    settings.celeriac.control_disabled = vec!["shutdwon".to_owned()];
    let said = House::with(settings).fails_to_start().await;
    assert!(said.contains("celeriac.control_disabled") && said.contains("shutdwon"), "{said}");
}

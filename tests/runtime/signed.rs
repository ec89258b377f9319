//! Remote control with a key (`celeriac.control_key`): what changes something must be signed.

use std::collections::BTreeSet;
use std::time::Duration;

use celeriac::broker::Broker;
use celeriac::config::Settings;
use celeriac::control::CallOptions;
use celeriac::protocol::{Envelope, Map, Signature, Value};

use super::control::{Client, object};
use super::house::House;

const KEY: &str = "a key of sixteen";

fn house() -> House {
    let mut settings = Settings::default();
    settings.celeriac.control_key = Some(KEY.to_owned());
    House::with(settings)
}

fn map<const N: usize>(members: [(&str, Value); N]) -> Map {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

async fn slots(client: &mut Client<'_>) -> Value {
    let stats = client.call("stats", Value::map()).await;
    stats.get("pool").and_then(|pool| pool.get("max-concurrency")).unwrap_or_else(|| panic!("{stats}")).clone()
}

#[tokio::test(start_paused = true)]
async fn strangers_are_answered_and_not_obeyed() {
    let house = house();
    let worker = house.worker(1);
    let mut client = Client::new(&house).await;
    assert_eq!(client.says("ping", Value::map()).await, "pong");
    for (method, arguments) in [
        ("pool_grow", object([("n", 1.into())])),
        ("rate_limit", object([("task_name", "t.add".into()), ("rate_limit", "1/h".into())])),
        ("revoke", object([("task_id", "wanted".into())])),
        ("add_consumer", object([("queue", "other".into())])),
        ("shutdown", Value::map()),
    ] {
        let says = client.says(method, arguments).await;
        assert!(says.contains(method) && says.contains("needs a signature"), "{says}");
    }
    assert_eq!(slots(&mut client).await, 1.into());
    let mut wanted = Signature::new("t.add").arg(1).arg(2);
    wanted.set_option("task_id", "wanted");
    assert_eq!(house.call(wanted).await.result, 3.into());
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_has_the_key_is_obeyed_once() {
    let house = house();
    let mut overheard = house.broker.listen("celery.pidbox", "").await.unwrap();
    let worker = house.worker(1);
    let mut client = Client::new(&house).await;
    let control = house.app.control();
    let options = CallOptions { timeout: Duration::from_secs(5), limit: Some(1), ..CallOptions::default() };
    let grown = control.call("pool_grow", map([("n", 1.into())]), &options).await.unwrap();
    assert!(grown.values().all(|reply| reply.get("ok").is_some()) && grown.len() == 1, "{grown:?}");
    let signed = loop {
        let heard = overheard.next().await.unwrap().unwrap();
        if Envelope::parse(&heard).unwrap().headers.contains_key("signature") {
            let envelope = Envelope::parse(&heard).unwrap();
            if String::from_utf8(envelope.body_bytes().unwrap()).unwrap().contains("pool_grow") {
                break envelope;
            }
        }
    };
    assert_eq!(slots(&mut client).await, 2.into());
    house.broker.broadcast("celery.pidbox", "", &signed.write()).await.unwrap();
    let mut other = Envelope::transient(
        "celery.pidbox",
        "",
        Map::default(),
        &object([("method", "shutdown".into())]).to_string(),
        "t".to_owned(),
    );
    other.headers.insert("signature".to_owned(), signed.headers["signature"].clone());
    house.broker.broadcast("celery.pidbox", "", &other.write()).await.unwrap();
    assert_eq!(slots(&mut client).await, 2.into(), "neither repeated nor used for something else");
    worker.stop().await;
}

/// Who can write keys of the broker can take messages out of queues; who can merely say something has nothing to say here.
#[tokio::test(start_paused = true)]
async fn what_is_revoked_is_believed_of_the_broker_and_of_nobody_without_the_key() {
    let house = house();
    house.broker.keep("revoked", &["kept".to_owned()], Duration::from_secs(3600), 10).await.unwrap();
    let worker = house.worker(1);
    let mut client = Client::new(&house).await;
    let hello = || object([("from_node", "celery@other".into()), ("revoked", ["said"].into())]);
    let answer = client.call("hello", hello()).await;
    assert_eq!(answer.get("revoked"), Some(&["kept"].into()));
    let signed = house.app.control().inspect().limit(1).hello("celery@other", ["signed"].into()).await.unwrap();
    let revoked = signed.values().next().and_then(|answer| answer.get("revoked")).and_then(Value::as_list).unwrap();
    assert_eq!(revoked.iter().filter_map(Value::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(["kept", "signed"]));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_could_be_guessed_keeps_the_worker_from_starting() {
    let mut settings = Settings::default();
    settings.celeriac.control_key = Some("hunter2".to_owned());
    let house = House::with(settings);
    let refused = house.fails_to_start().await;
    assert!(refused.contains("control_key") && refused.contains("16 characters") && !refused.contains("hunter2"), "{refused}");
}

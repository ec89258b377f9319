//! Tasks that are called by other names than their own.

use celeriac::broker::Broker;
use celeriac::config::Settings;
use celeriac::protocol::signature::Signature;
use celeriac::protocol::state::State;
use celeriac::protocol::value::Value;
use celeriac::task::{Context, TaskError};
use serde_json::json;

use super::control::{Client, object};
use super::house::House;

async fn name(ctx: Context, (): ()) -> Result<String, TaskError> {
    Ok(ctx.request().task().to_owned())
}

fn settings(more: serde_json::Value) -> Settings {
    let mut written =
        json!({"result_extended": true, "celeriac": {"task_aliases": {"theirs.name": "t.name", "theirs.block": "t.blocks"}}});
    written.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(written).unwrap()
}

fn house(more: serde_json::Value) -> House {
    House::furnished(settings(more), |app| {
        app.task("t.name", name);
    })
}

#[tokio::test(start_paused = true)]
async fn a_call_by_another_name_runs_the_task_and_its_result_bears_that_name() {
    let house = house(json!({}));
    let worker = house.worker(1);
    for name in ["theirs.name", "t.name"] {
        let meta = house.call(Signature::new(name)).await;
        assert_eq!((meta.status, meta.result, meta.extended.unwrap().name.as_str()), (State::Success, name.into(), name));
    }
    assert_eq!(house.call(Signature::new("theirs.other")).await.status, State::Failure);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn both_names_have_the_same_route_key_and_limits() {
    let house = house(json!({"task_routes": {"t.*": {"queue": "routed"}, "*": {"queue": "elsewhere"}}}));
    house.send(Signature::new("theirs.name")).await;
    assert_eq!(house.broker.queue_len("routed").await.unwrap(), 1);
    let house = self::house(json!({}));
    let worker = house.worker(2);
    let mut client = Client::new(&house).await;
    let limit = object([("task_name", "theirs.name".into()), ("rate_limit", "7/m".into())]);
    assert_eq!(client.says("rate_limit", limit).await, "new rate limit set successfully");
    let registered = client.call("registered", object([("taskinfoitems", ["rate_limit"].into())])).await;
    let limited = registered.as_list().unwrap().iter().filter_map(Value::as_str).filter(|line| line.contains("rate_limit=7/m"));
    assert_eq!(limited.collect::<Vec<_>>(), ["t.name [rate_limit=7/m]", "theirs.name [rate_limit=7/m]"]);
    house.send(Signature::new("theirs.block").unique_key("k")).await;
    house.traces.begun.notified().await;
    assert_eq!(house.call(Signature::new("t.blocks").unique_key("k")).await.status, State::Failure, "it is a duplicate");
    house.traces.release.notify_one();
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_does_not_start_with_a_name_that_is_none() {
    for (alias, task, why) in
        [("theirs.name", "t.nothing", "there is no task t.nothing"), ("t.add", "t.sum", "t.add is a task itself")]
    {
        let house = House::with(settings(json!({"celeriac": {"task_aliases": {alias: task}}})));
        let says = house.fails_to_start().await;
        assert!(says.contains("celeriac.task_aliases") && says.contains(why), "{says}");
    }
}

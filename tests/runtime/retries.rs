//! What a retry may change, when a task is retried by itself, and what a redelivered success does.

use std::time::Duration;

use celeriac::app::AppBuilder;
use celeriac::canvas::chain;
use celeriac::config::Settings;
use celeriac::protocol::signature::Signature;
use celeriac::protocol::state::State;
use celeriac::protocol::value::{Map, Value};
use celeriac::task::{Context, TaskError};
use serde::Deserialize;

use super::house::House;

const SHORT: Duration = Duration::from_millis(50);

#[derive(Deserialize)]
struct Numbers {
    first: i64,
    second: i64,
    #[serde(default)]
    label: Option<String>,
}

async fn by_position(ctx: Context, Numbers { first, second, label }: Numbers) -> Result<(i64, i64, Option<String>), TaskError> {
    if ctx.request().retries() == 0 {
        return Err(ctx.retry_later().args([(first + 1).into(), (second + 1).into()]).countdown(Duration::ZERO));
    }
    Ok((first, second, label))
}

async fn by_name(ctx: Context, Numbers { first, second, label }: Numbers) -> Result<(i64, i64, Option<String>), TaskError> {
    if ctx.request().retries() == 0 {
        return Err(ctx.retry_later().kwargs([("first".to_owned(), Value::from(first + 1))]).countdown(Duration::ZERO));
    }
    Ok((first, second, label))
}

async fn moves(ctx: Context, (): ()) -> Result<(i64, bool, Map), TaskError> {
    let request = ctx.request();
    if request.retries() == 0 {
        return Err(ctx.retry_later().priority(7).expires(None));
    }
    Ok((request.priority(), request.headers().expires.is_some(), request.custom_headers().clone()))
}

async fn stumbles(ctx: Context, (kind,): (String,)) -> Result<u32, TaskError> {
    match ctx.request().retries() {
        0 => Err(TaskError::builtin(&kind, "stumbled")),
        retries => Ok(retries),
    }
}

fn house() -> House {
    House::furnished(Settings::default(), |app: &mut AppBuilder| {
        app.task("t.by_position", by_position);
        app.task("t.by_name", by_name);
        app.task("t.moves", moves).default_retry_delay(SHORT);
        app.task("t.stumbles", stumbles)
            .autoretry_for(["ValueError", "OSError"])
            .dont_autoretry_for(["builtins.OSError"])
            .default_retry_delay(SHORT);
    })
}

fn list(values: &[Value]) -> Value {
    Value::List(values.to_vec())
}

#[tokio::test(start_paused = true)]
async fn new_positional_arguments_take_the_place_of_named_ones() {
    let house = house();
    let worker = house.worker(1);
    let meta = house.call(Signature::new("t.by_position").kwarg("first", 1).kwarg("second", 2).kwarg("label", "kept")).await;
    assert_eq!(meta.result, list(&[2.into(), 3.into(), "kept".into()]));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn new_named_arguments_take_the_place_of_positional_ones() {
    let house = house();
    let worker = house.worker(1);
    let meta = house.call(Signature::new("t.by_name").arg(1).arg(2)).await;
    assert_eq!(meta.result, list(&[2.into(), 2.into(), Value::Null]));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_may_change_priority_and_expiry_and_keeps_custom_headers() {
    let house = house();
    let worker = house.worker(1);
    let meta = house.call(Signature::new("t.moves").set("expires", 30.0).header("x-trace", "abc").priority(3)).await;
    let headers = Value::Map(Map::from_iter([("x-trace".to_owned(), Value::from("abc"))]));
    assert_eq!(meta.result, list(&[7.into(), false.into(), headers]));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_named_exception_is_retried_by_itself_and_an_excluded_one_is_not() {
    let house = house();
    let worker = house.worker(1);
    assert_eq!(house.call(Signature::new("t.stumbles").arg("ValueError")).await.result, Value::Int(1));
    for other in ["OSError", "KeyError"] {
        let meta = house.call(Signature::new("t.stumbles").arg(other)).await;
        assert_eq!(meta.exception().unwrap().exc_type, other);
    }
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_caller_decides_about_the_result_whatever_the_task_says() {
    let house = house();
    let worker = house.worker(1);
    let wanted = house.call(Signature::new("t.silent").arg(1).arg(2).set("ignore_result", false)).await;
    assert_eq!(wanted.result, Value::Int(3));
    let silent =
        chain([Signature::new("t.add").arg(1).arg(2).set("ignore_result", true).id("quiet"), Signature::new("t.add").arg(1)]);
    assert_eq!(house.call(silent).await.result, Value::Int(4));
    assert_eq!(house.state("quiet").await, None);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_redelivered_success_is_not_run_again_but_its_chain_goes_on() {
    let mut settings = Settings::default();
    (settings.task_acks_late, settings.worker_deduplicate_successful_tasks) = (true, true);
    let house = House::furnished(settings, |app| {
        app.task("t.stores", stores);
    });
    let worker = house.worker(1);
    let meta = house.call(chain([Signature::new("t.stores").id("first"), Signature::new("t.echo")])).await;
    assert_eq!(meta.result, list(&["stored by hand".into()]));
    worker.stop().await;
    assert_eq!((house.traces.runs(), house.state("first").await.unwrap().status), (1, State::Success));
}

/// Stores its success itself and asks to be delivered again.
async fn stores(ctx: Context, (): ()) -> Result<(), TaskError> {
    ctx.state::<std::sync::Arc<super::house::Traces>>()?.runs.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    ctx.update_state("SUCCESS", &"stored by hand").await?;
    Err(TaskError::Reject { requeue: true, reason: "again".into() })
}

//! Errbacks of both styles, of tasks and of chords.

use std::sync::{Arc, Mutex};

use celeriac::app::AppBuilder;
use celeriac::canvas::{chain, chord, group};
use celeriac::config::Settings;
use celeriac::protocol::signature::Signature;
use celeriac::protocol::state::State;
use celeriac::protocol::value::Value;
use celeriac::task::{Arguments, Context, FailedCall, TaskError};

use super::house::House;

/// What errbacks were told: the failed task, the exception's class, and their own arguments.
type Told = Mutex<Vec<(String, String, Vec<Value>)>>;

async fn told(ctx: Context, failed: FailedCall, call: Arguments) -> Result<(), TaskError> {
    let entry = (failed.request.id().to_owned(), failed.exception.exc_type.clone(), call.args);
    ctx.state::<Arc<Told>>()?.lock().unwrap().push(entry);
    Ok(())
}

async fn breaks(_: Context, _: FailedCall, _: Arguments) -> Result<(), TaskError> {
    Err(TaskError::builtin("RuntimeError", "an errback that breaks"))
}

fn house(told_here: &Arc<Told>) -> House {
    let mut settings = Settings::default();
    settings.task_acks_late = true;
    House::furnished(settings, |app: &mut AppBuilder| {
        app.errback("t.told", told);
        app.errback("t.breaks", breaks);
        app.state(Arc::clone(told_here));
    })
}

fn fail() -> Signature {
    Signature::new("t.fail")
}

#[tokio::test(start_paused = true)]
async fn a_new_style_errback_runs_in_place_with_the_failure_and_its_own_arguments() {
    let seen = Arc::<Told>::default();
    let house = house(&seen);
    let worker = house.worker(1);
    let meta = house.call(fail().link_error(Signature::new("t.breaks")).link_error(Signature::new("t.told").arg("label"))).await;
    worker.stop().await;
    assert_eq!(
        *seen.lock().unwrap(),
        [(meta.task_id, "ValueError".to_owned(), vec!["label".into()])],
        "and no message was left to run"
    );
}

#[tokio::test(start_paused = true)]
async fn an_errback_nobody_registered_and_an_old_style_one_are_sent_with_the_id() {
    let house = House::new();
    let worker = house.worker(1);
    let echoed = Signature::new("t.echo").arg("label").id("old");
    let meta = house.call(fail().link_error(echoed).link_error(Signature::new("elsewhere").queue("other"))).await;
    assert_eq!(house.ended("old").await.result, Value::List(vec![meta.task_id.into(), "label".into()]));
    worker.stop().await;
    use celeriac::broker::Broker;
    assert_eq!(house.broker.queue_len("other").await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_for_a_new_style_errback_is_a_wrong_call() {
    let house = house(&Arc::default());
    let worker = house.worker(1);
    let meta = house.call(Signature::new("t.told").arg("id")).await;
    assert_eq!(meta.exception().unwrap().exc_type, "TypeError");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_rejected_task_calls_its_errbacks() {
    let seen = Arc::<Told>::default();
    let house = house(&seen);
    let worker = house.worker(1);
    house.call(Signature::new("t.rejects").arg(false).link_error(Signature::new("t.told"))).await;
    worker.stop().await;
    assert_eq!(seen.lock().unwrap()[0].1, "Reject");
}

#[tokio::test(start_paused = true)]
async fn the_errbacks_of_a_body_are_called_once_for_a_failed_header() {
    let seen = Arc::<Told>::default();
    let house = house(&seen);
    let worker = house.worker(2);
    let body = Signature::new("t.sum").link_error(Signature::new("t.told"));
    let meta = house.call(chord([fail(), fail(), Signature::new("t.add").arg(1).arg(1)], body)).await;
    worker.stop().await;
    assert_eq!(*seen.lock().unwrap(), [(meta.task_id, "ChordError".to_owned(), vec![])]);
}

#[tokio::test(start_paused = true)]
async fn each_task_of_a_group_body_fails_with_the_members_exception_and_calls_its_errbacks() {
    let seen = Arc::<Told>::default();
    let house = house(&seen);
    let worker = house.worker(2);
    let member = |id: &str| Signature::new("t.echo").id(id).link_error(Signature::new("t.told").arg(id));
    house.app.send(chord([fail()], group([member("one"), member("two")]))).await.unwrap();
    for id in ["one", "two"] {
        let meta = house.ended(id).await;
        assert_eq!((meta.status.clone(), meta.exception().unwrap().exc_type.as_str()), (State::Failure, "ValueError"));
    }
    worker.stop().await;
    let told: Vec<_> =
        seen.lock().unwrap().iter().map(|(id, exception, args)| (id.clone(), exception.clone(), args.clone())).collect();
    assert_eq!(told, ["one", "two"].map(|id| (id.to_owned(), "ValueError".to_owned(), vec![Value::from(id)])));
}

#[tokio::test(start_paused = true)]
async fn the_errbacks_of_a_chain_are_found_when_it_is_the_body_of_a_failed_chord() {
    let seen = Arc::<Told>::default();
    let house = house(&seen);
    let worker = house.worker(2);
    let body = chain([Signature::new("t.sum"), Signature::new("t.add").arg(1)]).link_error(Signature::new("t.told"));
    let meta = house.call(chord([fail()], body)).await;
    worker.stop().await;
    assert_eq!(*seen.lock().unwrap(), [(meta.task_id, "ChordError".to_owned(), vec![])]);
}

#[tokio::test(start_paused = true)]
async fn a_setting_gives_the_tasks_of_a_header_the_errbacks_of_the_chord() {
    let seen = Arc::<Told>::default();
    let mut settings = Settings::default();
    settings.task_allow_error_cb_on_chord_header = true;
    let house = House::furnished(settings, |app| {
        app.errback("t.told", told);
        app.state(Arc::clone(&seen));
    });
    let worker = house.worker(1);
    house.call(chord([fail().id("part")], Signature::new("t.sum").id("body")).link_error(Signature::new("t.told"))).await;
    worker.stop().await;
    let ids: Vec<_> = seen.lock().unwrap().iter().map(|(id, ..)| id.clone()).collect();
    assert_eq!(ids, ["part", "body"]);
}

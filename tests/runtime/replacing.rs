//! Replacement with anything, growing chords, and the built-in tasks.

use celeriac::app::AppBuilder;
use celeriac::canvas::{chain, chord, group};
use celeriac::config::Settings;
use celeriac::protocol::signature::Signature;
use celeriac::protocol::value::{Map, Value};
use celeriac::task::{Context, TaskError};

use super::house::House;

/// Replaces itself by what it is given.
async fn becomes(ctx: Context, (other,): (Signature,)) -> Result<(), TaskError> {
    Err(ctx.replace(other))
}

/// Adds `n + 10` for each number to the chord it is in, and is worth nothing itself.
async fn adds_to_chord(ctx: Context, (numbers,): (Vec<i64>,)) -> Result<i64, TaskError> {
    for number in numbers {
        ctx.add_to_chord(Signature::new("t.add").arg(number).arg(10))?;
    }
    Ok(0)
}

/// Adds a whole chord, which counts as its body.
async fn adds_a_chord(ctx: Context, (numbers,): (Vec<i64>,)) -> Result<i64, TaskError> {
    let header = numbers.into_iter().map(|number| Signature::new("t.add").arg(number).arg(10));
    ctx.add_to_chord(chord(header, Signature::new("t.sum")))?;
    Ok(0)
}

async fn stamps(ctx: Context, (): ()) -> Result<Map, TaskError> {
    Ok(ctx.request().stamps().clone())
}

/// Sends a chain and returns its result.
async fn sends_a_chain(ctx: Context, (): ()) -> Result<celeriac::protocol::ResultTuple, TaskError> {
    Ok(ctx.send_canvas(chain([Signature::new("t.add").arg(1).arg(1), Signature::new("t.add").arg(2)])).await?.result)
}

fn house() -> House {
    let mut settings = Settings::default();
    settings.task_acks_late = true;
    House::furnished(settings, |app: &mut AppBuilder| {
        app.task("t.becomes", becomes);
        app.task("t.becomes_stamped", becomes)
            .on_replace(|request, signature| signature.set("stamped_headers", vec!["by"]).set("by", request.task()));
        app.task("t.adds_to_chord", adds_to_chord);
        app.task("t.adds_a_chord", adds_a_chord);
        app.task("t.stamps", stamps);
        app.task("t.sends_a_chain", sends_a_chain);
    })
}

fn add(x: i64, y: i64) -> Signature {
    Signature::new("t.add").arg(x).arg(y)
}

fn becoming(other: Signature) -> Signature {
    Signature::new("t.becomes").arg(other.into_value())
}

fn list(values: &[i64]) -> Value {
    Value::List(values.iter().copied().map(Value::Int).collect())
}

#[tokio::test(start_paused = true)]
async fn a_task_can_become_anything() {
    let house = house();
    let worker = house.worker(3);
    let plus = |y: i64| Signature::new("t.add").arg(y);
    let cases = [
        (add(1, 2), Value::Int(3)),
        (chain([add(1, 2), plus(10)]), Value::Int(13)),
        (group([add(1, 2), add(3, 4)]), list(&[3, 7])),
        (chord([add(1, 2), add(3, 4)], Signature::new("t.sum")), Value::Int(10)),
        (chain([add(1, 2), group([plus(1), plus(2)])]), list(&[4, 5])),
        (chain([group([add(1, 2), add(3, 4)]), Signature::new("t.sum"), plus(1)]), Value::Int(11)),
        (becoming(becoming(add(5, 5))), Value::Int(10)),
    ];
    for (other, expected) in cases {
        let shown = format!("{other:?}");
        assert_eq!(house.call(becoming(other.clone())).await.result, expected, "alone: {shown}");
        let chained = house.call(chain([becoming(other.clone()), Signature::new("t.echo")])).await;
        assert_eq!(chained.result, Value::List(vec![expected.clone()]), "in a chain: {shown}");
        let in_header = house.call(chord([becoming(other), add(0, 0)], Signature::new("t.echo"))).await;
        assert_eq!(in_header.result, Value::List(vec![Value::List(vec![expected, 0.into()])]), "in a header: {shown}");
    }
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_take_a_tasks_place_fails_it_as_in_celery() {
    let house = house();
    let worker = house.worker(1);
    for (other, why) in [
        (chain([]), "Cannot replace with an empty chain"),
        (add(1, 1).set("chord", Signature::new("t.sum")), "A signature replacing a task must not be part of a chord"),
    ] {
        let exception = house.call(becoming(other)).await.exception().unwrap();
        assert_eq!((exception.exc_type.as_str(), exception.message().as_str()), ("ImproperlyConfigured", why));
    }
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_replacement_has_the_stamps_of_the_replaced_task_and_those_of_its_hook() {
    let house = house();
    let worker = house.worker(1);
    let stamped = Signature::new("t.becomes_stamped").arg(Signature::new("t.stamps").into_value());
    let stamped = stamped.set("stamped_headers", vec!["tenant"]).set("tenant", "t9");
    let expected = [("by", "t.becomes_stamped"), ("tenant", "t9")].map(|(name, value)| (name.to_owned(), Value::from(value)));
    assert_eq!(house.call(stamped).await.result, Value::Map(Map::from_iter(expected)));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_header_can_add_tasks_and_chords_to_it() {
    let house = house();
    let worker = house.worker(2);
    let grown = |task: &str| Signature::new(task).arg(vec![1, 2, 3]);
    for task in ["t.adds_to_chord", "t.adds_a_chord"] {
        let meta = house.call(chord([add(100, 0), grown(task)], Signature::new("t.sum"))).await;
        assert_eq!(meta.result, Value::Int(100 + 11 + 12 + 13), "{task}");
    }
    let alone = house.call(grown("t.adds_to_chord")).await.exception().unwrap();
    assert_eq!(alone.message(), "Current task is not member of any chord");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn map_and_starmap_call_a_task_for_each_item_and_chunks_send_a_group() {
    let house = house();
    let worker = house.worker(1);
    let pairs = Value::List([[1, 2], [3, 4], [5, 6]].map(|pair| list(&pair)).to_vec());
    let mapped = |name: &str, task: &str| {
        Signature::new(name).kwarg("task", Signature::new(task).into_value()).kwarg("it", pairs.clone()).immutable()
    };
    assert_eq!(house.call(mapped("celery.map", "t.sum")).await.result, list(&[3, 7, 11]));
    assert_eq!(house.call(mapped("celery.starmap", "t.add")).await.result, list(&[3, 7, 11]));
    let chunks = house.call(mapped("celery.chunks", "t.add").kwarg("n", 2)).await.result;
    let group = celeriac::protocol::ResultTuple::from_value(&chunks).unwrap().children.unwrap();
    let mut values = Vec::new();
    for member in group {
        values.push(house.ended(&member.id).await.result);
    }
    assert_eq!(values, [list(&[3, 7]), list(&[11])]);
    let failed = house.call(mapped("celery.map", "nobody")).await.exception().unwrap();
    assert_eq!(failed.exc_type, "NotRegistered");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_can_return_the_result_of_what_it_sent() {
    let house = house();
    let worker = house.worker(1);
    let value = house.call(Signature::new("t.sends_a_chain")).await.result;
    let result = celeriac::protocol::ResultTuple::from_value(&value).unwrap();
    assert_eq!(house.ended(&result.id).await.result, Value::Int(4));
    assert!(result.parent.is_some(), "{value:?}");
    worker.stop().await;
}

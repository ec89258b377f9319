//! Bounds: what is too large is refused with a reason, by who sends it or by who would have to read it, and nothing is lost or hangs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use celeriac::app::App;
use celeriac::broker::Broker;
use celeriac::canvas::{chord, group};
use celeriac::config::Settings;
use celeriac::dead_letters::Filter;
use celeriac::protocol::{Compression, EncodeOptions, Message, Signature, State, Value};
use celeriac::result::GetError;
use celeriac::settlement::Outgoing;
use celeriac::spill::{Reference, ResultStore};
use celeriac::task::{Context, TaskError};
use celeriac::{Error, Result};

use super::house::{House, LONG};

/// A text of so many characters.
async fn text(_: Context, (length,): (usize,)) -> Result<String, TaskError> {
    Ok("x".repeat(length))
}

/// The length of all texts together.
async fn lengths(_: Context, (texts,): (Vec<String>,)) -> Result<usize, TaskError> {
    Ok(texts.iter().map(String::len).sum())
}

/// Replaces itself by a chord of so many parts.
async fn parts(ctx: Context, (count,): (i64,)) -> Result<(), TaskError> {
    Err(ctx.replace(chord((0..count).map(add), Signature::new("t.sum"))))
}

fn add(n: i64) -> Signature {
    Signature::new("t.add").arg(n).arg(n)
}

fn bounded(change: impl FnOnce(&mut Settings)) -> House {
    let mut settings = Settings::default();
    settings.task_acks_late = true;
    change(&mut settings);
    House::furnished(settings, |app| {
        app.task("t.text", text);
        app.task("t.lengths", lengths);
        app.task("t.parts", parts);
    })
}

fn small_messages() -> House {
    bounded(|settings| settings.celeriac.max_message_bytes = 8192)
}

async fn waiting(house: &House) -> usize {
    house.broker.queue_len("celery").await.unwrap()
}

async fn exception(house: &House, signature: impl Into<Signature>) -> (String, String) {
    let meta = house.call(signature).await;
    assert_eq!(meta.status, State::Failure);
    let exception = meta.exception().unwrap();
    (format!("{}.{}", exception.exc_module, exception.exc_type), exception.message())
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_too_large_or_too_deep_is_kept_with_the_reason_and_the_others_run() {
    let house = small_messages();
    let envelope = |args: Vec<Value>| {
        let message = Message { args, ..Message::new("t.echo", "hostile") };
        message.encode(&EncodeOptions::to_queue("celery", "tag")).unwrap().write()
    };
    let deep = (0..395).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    let readable = envelope(vec![deep]);
    let body = celeriac::protocol::Envelope::parse(readable.as_bytes()).unwrap().body;
    let deeper = readable.replace(&body, &{
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(format!("[[{}1{}], {{}}, {{}}]", "[".repeat(100_000), "]".repeat(100_000)))
    });
    assert!(deeper.len() > 8192);
    let send =
        |envelope: String| async { house.broker.publish(&[Outgoing { queue: "celery".into(), priority: 0, envelope }]).await };
    send(envelope(vec!["x".repeat(10_000).into()])).await.unwrap();
    send(format!(r#"{{"body": "", "headers": {}}}"#, "[".repeat(3000) + &"]".repeat(3000))).await.unwrap();
    let worker = house.worker(1);
    assert_eq!(house.call(add(1)).await.result, Value::Int(2));
    let reasons = |letters: Vec<celeriac::dead_letters::Letter>| {
        letters.into_iter().map(|letter| letter.dead.letter.reason).collect::<Vec<_>>()
    };
    let found = reasons(house.app.dead_letters().list(&Filter::default(), 0, 10).await.unwrap());
    assert!(found.iter().any(|reason| reason.contains("at most 8192") && reason.contains("max_message_bytes")), "{found:?}");
    assert_eq!(found.len(), 2, "{found:?}");
    worker.stop().await;

    let house = bounded(|_| {});
    house.broker.publish(&[Outgoing { queue: "celery".into(), priority: 0, envelope: deeper }]).await.unwrap();
    let worker = house.worker(1);
    house.call(add(1)).await;
    let found = reasons(house.app.dead_letters().list(&Filter::default(), 0, 10).await.unwrap());
    assert!(found.len() == 1 && found[0].contains("nested deeper than 400"), "{found:?}");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_to_be_sent_is_refused_before_anything_is() {
    let house = small_messages();
    let large = || Signature::new("t.echo").arg("x".repeat(10_000));
    let packed = bounded(|settings| settings.celeriac.max_body_bytes = 4096);
    let deep = (0..500).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    for (house, signature, words) in [
        (&house, large(), ["t.echo", "at most 8192 are sent", "max_message_bytes"]),
        (&house, group([add(1), large()]), ["t.echo", "at most 8192", "max_message_bytes"]),
        (&house, chord([add(1), add(2)], large()), ["t.add", "at most 8192", "max_message_bytes"]),
        (&house, Signature::new("t.echo").arg(deep), ["deeper", "400", "read"]),
        (&packed, large().compression(Compression::Zstd), ["t.echo", "at most 4096", "max_body_bytes"]),
    ] {
        let error = house.app.send(signature).await.unwrap_err();
        let shown = error.to_string();
        assert!(matches!(error, Error::TooLarge { .. }) && words.iter().all(|word| shown.contains(word)), "{shown}");
        assert_eq!(waiting(house).await, 0);
    }
    assert!(house.app.send(large().compression(Compression::Zstd)).await.is_ok(), "what counts is what lies in the queue");
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_task_and_is_too_large_fails_it_and_no_chord_waits() {
    let house = small_messages();
    let worker = house.worker(2);
    let text = || Signature::new("t.text").arg(5000);
    let lengths = || Signature::new("t.lengths");
    let (class, words) = exception(&house, Signature::new("t.text").arg(10_000).link(Signature::new("t.echo"))).await;
    assert!(
        class == "celeriac.errors.TooLarge" && words.contains("t.echo") && words.contains("max_message_bytes"),
        "{class}: {words}"
    );
    let body = house.app.send(chord([text(), text()], lengths())).await.unwrap();
    let failed = body.get::<usize>(LONG).await.unwrap_err();
    let exception = failed.exception().unwrap();
    assert!(exception.is_a("ChordError") && exception.message().contains("max_message_bytes"), "{exception}");
    assert_eq!(
        house.app.send(chord([add(1), add(2)], Signature::new("t.sum"))).await.unwrap().get::<usize>(LONG).await.unwrap(),
        6
    );
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_chord_of_too_many_parts_is_refused_by_its_sender_and_fails_the_task_that_would_be_one() {
    let house = bounded(|settings| settings.celeriac.max_chord_parts = 3);
    let error = house.app.send(chord((0..4).map(add), Signature::new("t.sum"))).await.unwrap_err().to_string();
    assert!(error.contains("a chord of 4 parts; at most 3") && error.contains("max_chord_parts"), "{error}");
    assert_eq!(waiting(&house).await, 0);
    let worker = house.worker(2);
    let (class, words) = exception(&house, Signature::new("t.parts").arg(4)).await;
    assert!(class == "celeriac.errors.TooLarge" && words.contains("a chord of 4 parts"), "{class}: {words}");
    assert_eq!(house.call(Signature::new("t.parts").arg(3)).await.result, Value::Int(6));
    worker.stop().await;
}

const LIMIT: usize = 4096;

#[tokio::test(start_paused = true)]
async fn a_result_that_is_too_large_fails_its_task_with_how_large_it_is_and_what_to_do() {
    let house = bounded(|settings| settings.celeriac.max_result_bytes = LIMIT);
    let worker = house.worker(1);
    let fits = house.call(Signature::new("t.text").arg(LIMIT - 2)).await;
    assert_eq!(fits.status, State::Success);
    let (class, words) = exception(&house, Signature::new("t.text").arg(LIMIT)).await;
    assert_eq!(class, "celeriac.errors.TooLarge");
    assert_eq!(
        words,
        "a result of 4098 bytes; at most 4096 are stored (celeriac.max_result_bytes): \
         return a reference to the data, or set celeriac.large_results = \"spill\""
    );
    let body = house.app.send(chord([add(1), Signature::new("t.text").arg(LIMIT)], Signature::new("t.lengths"))).await.unwrap();
    let failed = body.get::<usize>(LONG).await.unwrap_err();
    assert!(failed.exception().unwrap().message().contains("TooLarge"), "{failed}");
    let ignored = house.app.send(Signature::new("t.text").arg(LIMIT).set("ignore_result", true).id("ignored")).await.unwrap();
    assert_eq!(ignored.get_value(LONG).await.unwrap(), Value::Null);
    worker.stop().await;
    assert!(house.state("ignored").await.is_none(), "what nobody wants is not too large");
}

/// Results spill into this directory.
fn spilling(place: &str) -> impl FnOnce(&mut Settings) {
    move |settings| {
        settings.celeriac.max_result_bytes = LIMIT;
        settings.celeriac.large_results = "spill".into();
        settings.celeriac.result_store = Some(place.to_owned());
    }
}

#[tokio::test]
async fn a_large_result_spills_into_the_directory_and_its_caller_does_not_notice() {
    let folder = tempfile::tempdir().unwrap();
    let house = bounded(spilling(folder.path().to_str().unwrap()));
    let worker = house.worker(2);
    let result = house.app.send(Signature::new("t.text").arg(10_000).link(Signature::new("t.echo").id("next"))).await.unwrap();
    assert_eq!(result.get::<String>(LONG).await.unwrap(), "x".repeat(10_000));
    assert_eq!(house.ended("next").await.status, State::Success, "what follows gets the value itself");

    // What a client without us finds.
    let stored = result.info().await.unwrap();
    let reference = Reference::from_value(&stored).unwrap();
    let path = url::Url::parse(&reference.url).unwrap().to_file_path().unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("\"{}\"", "x".repeat(10_000)));
    assert_eq!(reference.bytes, 10_002);

    // The parts of a chord, and of a group.
    let text = |length: usize| Signature::new("t.text").arg(length);
    let body = house.app.send(chord([text(5000), text(6000), text(7)], Signature::new("t.lengths"))).await.unwrap();
    assert_eq!(body.get::<usize>(LONG).await.unwrap(), 11_007);
    let lengths: Vec<String> = house.app.send(group([text(5000), text(7)])).await.unwrap().get(LONG).await.unwrap();
    assert_eq!(lengths.iter().map(String::len).collect::<Vec<_>>(), [5000, 7]);

    // A file that is not what it was is no result, and one that is gone says so.
    std::fs::write(&path, "\"forged\"").unwrap();
    assert!(result.get::<String>(LONG).await.unwrap_err().to_string().contains("another hash"));
    std::fs::remove_file(&path).unwrap();
    assert!(result.get::<String>(LONG).await.unwrap_err().to_string().contains("expired"));
    worker.stop().await;
}

#[tokio::test]
async fn who_does_not_know_where_large_results_are_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let house = bounded(spilling(folder.path().to_str().unwrap()));
    let worker = house.worker(1);
    let sent = house.app.send(Signature::new("t.text").arg(10_000)).await.unwrap();
    sent.get::<String>(LONG).await.unwrap();
    worker.stop().await;
    let stranger = App::builder(Settings::default()).connect_with(Arc::clone(house.app.broker()), Arc::clone(house.app.backend()));
    let error = stranger.async_result(sent.id()).get::<String>(LONG).await.unwrap_err();
    assert!(matches!(error, GetError::Backend(_)) && error.to_string().contains("set celeriac.result_store"), "{error}");

    let mut settings = Settings::default();
    (settings.broker_url, settings.result_backend) = (Some("memory://".into()), Some("memory://".into()));
    settings.celeriac.large_results = "spill".into();
    let error = App::builder(settings).connect().unwrap_err().to_string();
    assert!(error.contains("celeriac.result_store names no directory"), "{error}");
}

/// A store that is full.
#[derive(Debug)]
struct Full;

#[async_trait]
impl ResultStore for Full {
    async fn put(&self, _: &str, _: Vec<u8>) -> Result<String> {
        Err(Error::config("no space left"))
    }

    async fn get(&self, _: &str) -> Result<Vec<u8>> {
        Err(Error::config("nothing is here"))
    }

    async fn expire(&self, _: Duration) -> Result<usize> {
        Ok(0)
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_that_cannot_be_spilled_fails_its_task() {
    let mut settings = Settings::default();
    spilling("/nowhere")(&mut settings);
    let house = House::furnished(settings, |app| {
        app.task("t.text", text);
        app.result_store(Arc::new(Full));
    });
    let worker = house.worker(1);
    let (class, words) = exception(&house, Signature::new("t.text").arg(LIMIT)).await;
    assert!(class == "celeriac.errors.TooLarge" && words.contains("no space left"), "{class}: {words}");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_large_success_that_is_delivered_again_is_followed_again_and_not_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap().to_owned();
    let house = bounded(|settings| {
        spilling(&place)(settings);
        settings.worker_deduplicate_successful_tasks = true;
    });
    let worker = house.worker(1);
    let sent = house.app.send(Signature::new("t.text").arg(10_000).id("twice")).await.unwrap();
    sent.get::<String>(LONG).await.unwrap();
    let message = Message { args: vec![Value::Int(10_000)], ..Message::new("t.text", "twice") };
    let envelope = message.encode(&EncodeOptions::to_queue("celery", "tag")).unwrap().write();
    let envelope = envelope.replace("\"headers\": {", "\"headers\": {\"redelivered\": true, ");
    house.broker.publish(&[Outgoing { queue: "celery".into(), priority: 0, envelope }]).await.unwrap();
    house.call(add(1)).await;
    assert_eq!(house.state("twice").await.unwrap().status, State::Success);
    assert_eq!(sent.get::<String>(LONG).await.unwrap().len(), 10_000);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_about_thousands_of_large_tasks_is_answered_in_part_and_says_so() {
    let house = House::new();
    let worker = house.worker(1);
    let large = Signature::new("t.add").arg("x".repeat(10_000)).arg("y".repeat(10_000)).countdown(3600.0);
    let tasks = (0..900).map(|_| large.clone());
    house.app.send(group(tasks)).await.unwrap();
    while house.broker.parked_len() < 900 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let inspect = house.app.control().inspect().timeout(LONG);
    let replies = inspect.scheduled().await.unwrap();
    let scheduled = replies.get("celery@test").unwrap().as_list().unwrap();
    let request = scheduled[0].get("request").unwrap();
    assert!(request.get("args").unwrap().as_str().unwrap().starts_with("('xxx"), "large arguments are shown as text, cut short");
    let name = |entry: &Value| entry.get("request").and_then(|request| request.get("name")?.as_str()).unwrap().to_owned();
    assert!(scheduled.len() > 100 && scheduled.len() < 900, "{}", scheduled.len());
    assert_eq!(name(scheduled.last().unwrap()), format!("... {} more", 900 - (scheduled.len() - 1)));
    assert!(scheduled[..scheduled.len() - 1].iter().all(|entry| name(entry) == "t.add"));

    let ids: Vec<String> = (0..4000).map(|n| format!("revoked-{n:0300}")).collect();
    house.app.control().revoke(&ids).await.unwrap();
    let replies = inspect.revoked().await.unwrap();
    let revoked = replies.get("celery@test").unwrap().as_list().unwrap();
    assert_eq!(revoked[0].as_str(), Some(ids[3999].as_str()), "the youngest first");
    assert_eq!(revoked.last().unwrap().as_str().unwrap(), format!("... {} more", 4000 - (revoked.len() - 1)));
    worker.stop().await;
}

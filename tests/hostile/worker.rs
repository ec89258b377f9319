//! A worker over a real Redis that is fed hostile bytes: it lives, does everything else, and loses nothing.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use celeriac::app::App;
use celeriac::config::Settings;
use celeriac::protocol::{DecodeOptions, Envelope, Message, Signature, State, Value, json, meta_key};
use celeriac::task::{Arguments, Context, TaskError};
use celeriac::worker::{Shutdown, Worker, WorkerOptions};
use celeriac::{backend, broker};
use redis::{Commands, Connection};
use tokio::task::JoinHandle;

use crate::mutate::mutate;
use crate::redis_server::RedisServer;
use crate::seeds::Seeds;

/// How many hostile messages, and as many good ones.
const MESSAGES: usize = 2000;
/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);
/// What recordings and these tests call.
const TASKS: [&str; 12] = [
    "t.good",
    "proj.add",
    "proj.mul",
    "proj.xsum",
    "proj.echo",
    "proj.noop",
    "proj.fail",
    "proj.ident",
    "celery.group",
    "celery.chain",
    "celery.chord",
    "celery.map",
];

/// The ids of the calls that ran.
type Ran = Arc<Mutex<HashSet<String>>>;

async fn anything(ctx: Context, call: Arguments) -> Result<Value, TaskError> {
    let ran = ctx.state::<Ran>()?;
    ran.lock().unwrap().insert(ctx.request().id().to_owned());
    Ok(call.args.into_iter().next().unwrap_or_default())
}

async fn fails(_: Context, _: Arguments) -> Result<(), TaskError> {
    Err(TaskError::builtin("ValueError", "boom"))
}

struct Ground {
    server: RedisServer,
    app: App,
    ran: Ran,
}

struct Running {
    shutdown: Shutdown,
    worker: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.shutdown.warm();
        tokio::time::timeout(LONG, self.worker).await.expect("the worker ends").expect("the worker has not broken");
    }
}

impl Ground {
    fn new() -> Option<Self> {
        Self::with(Settings::default())
    }

    fn with(mut settings: Settings) -> Option<Self> {
        let server = RedisServer::start()?;
        settings.task_acks_late = true;
        let broker = broker::open(&server.url(0), broker::Options::default()).unwrap();
        let backend = backend::open(&server.url(0), backend::Options::default()).unwrap();
        let ran = Ran::default();
        let mut app = App::builder(settings);
        for task in TASKS {
            app.task(task, anything);
        }
        app.task("t.fails", fails);
        app.state(Arc::clone(&ran));
        Some(Self { app: app.connect_with(broker, backend), server, ran })
    }

    fn raw(&self) -> Connection {
        redis::Client::open(self.server.url(0)).unwrap().get_connection().unwrap()
    }

    fn worker(&self) -> Running {
        let options =
            WorkerOptions { queues: vec!["celery".into()], concurrency: 4, nodename: "celery@test".into(), children: None };
        let shutdown = Shutdown::new();
        let run = Worker::new(self.app.clone(), options).run(shutdown.clone());
        #[allow(clippy::disallowed_methods, reason = "the handle is the owner")]
        let worker = tokio::spawn(async move {
            let _ = run.await.unwrap();
        });
        Running { shutdown, worker }
    }

    /// Everything that lies in the server under these names, as one text: lists, hashes and their values.
    fn left(&self) -> Left {
        let mut raw = self.raw();
        let dead: Vec<String> = raw.hvals("celeriac.dead_letters").unwrap();
        let dead: Vec<serde_json::Value> = dead.iter().map(|letter| serde_json::from_str(letter).unwrap()).collect();
        assert!(dead.iter().all(|letter| letter["reason"].as_str().is_some_and(|reason| !reason.is_empty())));
        let kept = |letter: &serde_json::Value| match letter["envelope"].as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => base64::Engine::decode(
                &base64::engine::general_purpose::STANDARD,
                letter["envelope_base64"].as_str().expect("a dead letter keeps its message"),
            )
            .unwrap(),
        };
        // Of every priority: a message that goes back keeps its own.
        let lists = ["", "\u{6}\u{16}3", "\u{6}\u{16}6", "\u{6}\u{16}9"].map(|step| format!("celery{step}"));
        let waiting: Vec<Vec<u8>> = lists.iter().flat_map(|list| raw.lrange::<_, Vec<_>>(list, 0, -1).unwrap()).collect();
        let parked: Vec<Vec<u8>> = raw.hvals("celeriac.parked").unwrap();
        Left { dead: dead.iter().map(kept).collect(), elsewhere: [waiting, parked].concat() }
    }

    fn leased(&self) -> (usize, usize) {
        let mut raw = self.raw();
        (raw.hlen("unacked").unwrap(), raw.zcard("unacked_index").unwrap())
    }
}

struct Left {
    dead: HashSet<Vec<u8>>,
    /// Parked until their time, or handed back when the worker stopped.
    elsewhere: Vec<Vec<u8>>,
}

impl Left {
    fn holds(&self, id: &str) -> bool {
        self.elsewhere.iter().any(|text| text.windows(id.len()).any(|part| part == id.as_bytes()))
    }
}

/// A message nobody would send in peace, and its id if it can be read; each id is its own, so that it can be followed.
fn hostile(random: &mut fastrand::Rng, seeds: &[Vec<u8>], place: usize) -> (Vec<u8>, Option<String>) {
    let other = random.choice(seeds).unwrap();
    let text = mutate(random, &seeds[place % seeds.len()], other);
    let id = format!("hostile-{place:04}");
    let readable = |text: &[u8]| Message::decode(Envelope::parse(text).ok()?, &DecodeOptions::default()).ok();
    match Envelope::parse(&text) {
        Ok(mut envelope) if readable(&text).is_some() => {
            envelope.headers.insert("id".to_owned(), id.as_str().into());
            // Nothing here is to wait for.
            envelope.headers.shift_remove("x-delivery-count");
            (envelope.write().into_bytes(), Some(id))
        }
        _ => (text, None),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn among_thousands_of_hostile_messages_every_good_one_runs_and_none_is_lost() {
    let Some(ground) = Ground::new() else { return };
    let mut random = fastrand::Rng::with_seed(2);
    let seeds = Seeds::recorded().of("envelope");
    let good = |place: usize| {
        let message = Message::new("t.good", format!("good-{place:04}"));
        let options = celeriac::protocol::EncodeOptions::to_queue("celery", format!("tag-{place}"));
        message.encode(&options).unwrap().write().into_bytes()
    };
    let (mut raw, mut sent) = (ground.raw(), Vec::new());
    for place in 0..MESSAGES {
        let (text, id) = hostile(&mut random, &seeds, place);
        let _: usize = raw.lpush("celery", &[text.as_slice(), &good(place)]).unwrap();
        sent.push((text, id));
    }
    let worker = ground.worker();
    let last = ground.app.result(&format!("good-{:04}", MESSAGES - 1), LONG).await.unwrap();
    assert_eq!(last.status, State::Success);
    worker.stop().await;

    assert_eq!(ground.leased(), (0, 0), "nothing stays leased");
    let (left, ran) = (ground.left(), ground.ran.lock().unwrap().clone());
    let missing = (0..MESSAGES).map(|place| format!("good-{place:04}")).filter(|id| !ran.contains(id) && !left.holds(id));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<String>::new(), "good messages that did not run");
    let unreadable = sent.iter().filter(|(_, id)| id.is_none()).count();
    assert!(unreadable > MESSAGES / 20 && unreadable < MESSAGES, "{unreadable} were unreadable");
    for (text, id) in sent {
        let followed = match &id {
            None => left.dead.contains(&text),
            Some(id) => ran.contains(id) || left.holds(id) || raw.exists(meta_key(id)).unwrap(),
        };
        assert!(followed, "{id:?} was lost: {}", String::from_utf8_lossy(&text));
    }
}

#[tokio::test]
async fn what_lies_in_the_place_of_a_result_neither_hangs_the_worker_nor_who_waits() {
    let Some(ground) = Ground::new() else { return };
    let mut raw = ground.raw();
    for (id, text) in
        [("1", "no json"), ("2", "{\"status\": 5}"), ("3", "\0celery-compressed\0application/zstd\0xx"), ("4", "[[[[")]
    {
        let _: () = raw.set(meta_key(id), text).unwrap();
        let begun = tokio::time::Instant::now();
        assert!(ground.app.result(id, LONG).await.is_err(), "{text}");
        assert!(begun.elapsed() < LONG / 2, "an answer that is unreadable stays so: {text}");
    }
    let _: usize = raw.lpush(meta_key("5"), "a list").unwrap();
    let _: usize = raw.hset(meta_key("6"), "a", "hash").unwrap();
    let worker = ground.worker();
    for id in 1..=6 {
        let id = id.to_string();
        ground.app.send(Signature::new("t.good").arg(7).id(&id)).await.unwrap();
        let stored = async {
            loop {
                match ground.app.result(&id, LONG).await {
                    Ok(meta) => break meta,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        let meta = tokio::time::timeout(LONG, stored).await.unwrap();
        assert_eq!((meta.status, meta.result), (State::Success, Value::Int(7)));
    }
    worker.stop().await;
    assert_eq!(ground.leased(), (0, 0));
}

/// The message of the only part that is missing of a chord of two.
fn last_part(task: &str, group: &str, body: &str) -> Vec<u8> {
    let mut message = Message::new(task, format!("{group}-part"));
    message.headers.group = Some(group.to_owned());
    message.headers.group_index = Some(1);
    message.embed.chord = Some(Box::new(Signature::from_value(json::parse(body.as_bytes()).unwrap()).unwrap()));
    message.encode(&celeriac::protocol::EncodeOptions::to_queue("celery", group)).unwrap().write().into_bytes()
}

#[tokio::test]
async fn a_chord_with_hostile_entries_fails_with_a_chord_error_and_is_settled() {
    let Some(ground) = Ground::new() else { return };
    let mut raw = ground.raw();
    let entry = r#"[1, "x", "SUCCESS", 1]"#;
    let deep = format!("[1, \"x\", \"SUCCESS\", {}]", "[".repeat(100_000));
    let long = format!(r#"{{"result": [["g", null], {}]}}"#, "[".repeat(100_000));
    for (place, (entry, structure)) in [
        ("no json", None),
        ("[1, 2, 3]", None),
        (deep.as_str(), None),
        (entry, Some("no json")),
        (entry, Some(r#"{"result": [["g", null], [[["stranger", null], null]]]}"#)),
        (entry, Some(long.as_str())),
        (r#"[1, "x", "FAILURE", {"exc_type": 5}]"#, None),
    ]
    .into_iter()
    .enumerate()
    {
        let group = format!("group-{place}");
        let base = format!("celery-taskset-meta-{group}");
        let _: () = raw.set(format!("{base}.s"), 2).unwrap();
        let _: usize = raw.zadd(format!("{base}.j"), entry, 0).unwrap();
        if let Some(structure) = structure {
            let _: () = raw.set(&base, structure).unwrap();
        }
        let body = format!(r#"{{"task": "t.good", "options": {{"task_id": "{group}-body"}}}}"#);
        let _: usize = raw.lpush("celery", last_part("t.good", &group, &body)).unwrap();
    }
    let worker = ground.worker();
    for place in 0..7 {
        let meta = ground.app.result(&format!("group-{place}-body"), LONG).await.unwrap();
        assert_eq!(meta.exception().map(|exception| exception.exc_type), Some("ChordError".to_owned()), "{place}");
    }
    worker.stop().await;
    assert_eq!(ground.leased(), (0, 0));
}

#[tokio::test]
async fn a_chord_that_cannot_be_told_or_counted_does_not_hold_its_worker() {
    let Some(ground) = Ground::new() else { return };
    let mut raw = ground.raw();
    let bodies = [
        r#"{"task": "t.good"}"#,
        r#"{"task": "c", "subtask_type": "chord", "kwargs": {"header": []}}"#,
        r#"{"task": "c", "subtask_type": "chain", "kwargs": {"tasks": [{"no": "task"}]}}"#,
        r#"{"task": "t.good", "options": {"task_id": "b", "link_error": [5]}}"#,
        r#"{"task": "t.good", "options": {"task_id": "b", "serializer": "pickle"}}"#,
    ];
    for (place, body) in bodies.into_iter().enumerate() {
        for task in ["t.good", "t.fails"] {
            let group = format!("{task}-{place}");
            let _: () = raw.set(format!("celery-taskset-meta-{group}.s"), 1).unwrap();
            let _: usize = raw.lpush("celery", last_part(task, &group, body)).unwrap();
        }
    }
    // Keys of other types in a chord's places.
    let body = r#"{"task": "t.good", "options": {"task_id": "typed-body"}}"#;
    let _: () = raw.set("celery-taskset-meta-typed.s", 1).unwrap();
    let _: () = raw.set("celery-taskset-meta-typed.j", "text").unwrap();
    let _: usize = raw.lpush("celery-taskset-meta-typed.d", "list").unwrap();
    let _: usize = raw.lpush("celery", last_part("t.good", "typed", body)).unwrap();
    let worker = ground.worker();
    assert_eq!(ground.app.result("typed-body", LONG).await.unwrap().status, State::Success);
    for place in 0..bodies.len() {
        for (task, status) in [("t.good", State::Success), ("t.fails", State::Failure)] {
            assert_eq!(ground.app.result(&format!("{task}-{place}-part"), LONG).await.unwrap().status, status);
        }
    }
    worker.stop().await;
    assert_eq!(ground.leased(), (0, 0));
}

#[tokio::test]
async fn a_time_limit_beyond_every_clock_is_no_limit() {
    let Some(ground) = Ground::new() else { return };
    let worker = ground.worker();
    for (hard, soft) in [(1e18, f64::NAN), (1.8e19, 1.8e19), (f64::INFINITY, 1e300), (-1.0, 1e18)] {
        let limited = Signature::new("t.good").arg(1).set("time_limit", hard).set("soft_time_limit", soft);
        let sent = ground.app.send(limited).await.unwrap();
        assert_eq!(ground.app.result(sent.id(), LONG).await.unwrap().status, State::Success, "{hard} {soft}");
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_callback_whose_queue_is_no_queue_does_not_hold_its_worker() {
    let Some(ground) = Ground::new() else { return };
    let worker = ground.worker();
    for queue in ["unacked", "unacked_index", "celeriac.dead_letters", "celeriac.parked_index", "celery-task-meta-good-1"] {
        // The first call makes a text of the last of these names.
        ground.app.send(Signature::new("t.good").id("good-1")).await.unwrap();
        ground.app.result("good-1", LONG).await.unwrap();
        let call = Signature::new("t.good").arg(1).link(Signature::new("t.good").id(format!("to {queue}")).queue(queue));
        let sent = ground.app.send(call).await.unwrap();
        assert_eq!(ground.app.result(sent.id(), LONG).await.unwrap().status, State::Success);
        // Nothing is leased by now but this: a call that waits behind it shows that its slot is free.
        let behind: Vec<_> = futures::future::join_all((0..8).map(|_| ground.app.send(Signature::new("t.good")))).await;
        for call in behind {
            ground.app.result(call.unwrap().id(), LONG).await.unwrap();
        }
    }
    worker.stop().await;
    assert_eq!(ground.leased(), (0, 0));
    let letters: Vec<String> = ground.raw().hvals("celeriac.dead_letters").unwrap();
    assert!(!letters.is_empty() && letters.iter().all(|letter| letter.contains("no queue")), "{letters:?}");
}

#[tokio::test]
async fn what_is_too_large_is_a_dead_letter_or_a_failure_and_nothing_stays_leased() {
    let mut settings = Settings::default();
    (settings.celeriac.max_message_bytes, settings.celeriac.max_result_bytes) = (100_000, 10_000);
    let Some(ground) = Ground::with(settings) else { return };
    let mut raw = ground.raw();
    let envelope = |args: &str| {
        use base64::Engine as _;
        let body = base64::engine::general_purpose::STANDARD.encode(format!("[{args}, {{}}, {{}}]"));
        let headers = r#"{"task": "t.good", "id": "hostile"}"#;
        format!(
            r#"{{"body": "{body}", "content-type": "application/json", "headers": {headers}, "properties": {{"body_encoding": "base64"}}}}"#
        )
    };
    let (large, deep) = (envelope(&format!(r#"["{}"]"#, "x".repeat(100_000))), "[".repeat(20_000) + &"]".repeat(20_000));
    let deep = envelope(&deep);
    let _: usize = raw.lpush("celery", &[&large, &deep]).unwrap();
    let worker = ground.worker();
    let sent = ground.app.send(Signature::new("t.good").arg("x".repeat(20_000))).await.unwrap();
    let failed = ground.app.result(sent.id(), LONG).await.unwrap().exception().unwrap();
    assert_eq!(failed.exc_type, "TooLarge");
    worker.stop().await;
    assert_eq!(ground.leased(), (0, 0));
    assert_eq!(ground.left().dead, [large, deep].map(String::into_bytes).into_iter().collect());
    let letters: Vec<String> = raw.hvals("celeriac.dead_letters").unwrap();
    for reason in ["at most 100000 are read (celeriac.max_message_bytes)", "nested deeper than 400"] {
        assert!(letters.iter().any(|letter| letter.contains(reason)), "{reason}");
    }
}

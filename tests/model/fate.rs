//! A broker and a backend whose worker dies at the n-th of its calls: before it is made, or after it was carried out and before its answer
//! is seen. Or with faults by chance: calls that are late, fail, or whose answer is lost.

use std::collections::HashMap;
use std::fmt;
use std::future::{Future, pending};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use celeriac::backend::{Backend, Look};
use celeriac::broker::{
    Admitted, Broker, Consumer, ConsumerOptions, Dead, DeadLetter, Delivery, Depth, Kept, KeyTaken, Lead, Listener, Parked, Queue,
    RateLimit, Released, Tick, Ticked, Timetable, Turn, UniqueKey, Vitals, Waiting,
};
use celeriac::error::{Error, Result};
use celeriac::settlement::{ChordPart, ChordState, Eviction, Location, Outgoing, Settled, Settlement, Write};
use chrono::{DateTime, Utc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a call waits for its answer.
const DEADLINE: Duration = Duration::from_secs(8);

/// On which side of its call a worker dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

/// What can be said instead of an answer.
pub(crate) trait Answer {
    fn failed() -> Self;
}

impl<T> Answer for Result<T> {
    fn failed() -> Self {
        Err(Error::Connection { context: "a simulated fault".to_owned(), source: None })
    }
}

impl<T> Answer for Vec<Result<T>> {
    fn failed() -> Self {
        vec![Answer::failed()]
    }
}

/// What happens to a call.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Late(Duration),
    Fails,
    Unheard,
    Dies(Side),
}

/// When a worker dies.
#[derive(Debug)]
pub(crate) struct Fate {
    /// Faults by chance, until a time.
    chance: Option<(Mutex<fastrand::Rng>, Instant)>,
    /// Whether the worst of them is a death.
    deadly: bool,
    at: usize,
    side: Side,
    calls: AtomicUsize,
    /// The next renewal is swallowed, and given up when its time is over.
    pub(crate) swallows: AtomicBool,
    /// Given when it is to die; no call is answered from then on.
    pub(crate) dead: CancellationToken,
}

impl Fate {
    pub(crate) fn new(at: usize, side: Side) -> Arc<Self> {
        Arc::new(Self::at(at, side))
    }

    fn at(at: usize, side: Side) -> Self {
        let (calls, swallows) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { chance: None, deadly: true, at, side, calls, swallows, dead: CancellationToken::new() }
    }

    /// Faults as a seed says, none from `quiet` on.
    pub(crate) fn random(seed: u64, quiet: Instant, deadly: bool) -> Arc<Self> {
        let chance = Some((Mutex::new(fastrand::Rng::with_seed(seed)), quiet));
        Arc::new(Self { chance, deadly, ..Self::at(usize::MAX, Side::Before) })
    }

    /// What happens to the next call: to one of five something, to one of a hundred the worst.
    fn fault(&self) -> Option<Fault> {
        if let Some(side) = self.next() {
            return Some(Fault::Dies(side));
        }
        let (rng, quiet) = self.chance.as_ref()?;
        if Instant::now() >= *quiet {
            return None;
        }
        let mut rng = rng.lock().unwrap();
        match rng.u8(0..100) {
            0..10 => Some(Fault::Late(Duration::from_millis(rng.u64(1..8000)))),
            10..15 => Some(Fault::Fails),
            15..20 => Some(Fault::Unheard),
            20 if self.deadly => Some(Fault::Dies(if rng.bool() { Side::Before } else { Side::After })),
            _ => None,
        }
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Counts a call; on which side of it the worker dies.
    pub(crate) fn next(&self) -> Option<Side> {
        (self.calls.fetch_add(1, Ordering::SeqCst) == self.at).then_some(self.side)
    }

    async fn call<T: Answer>(&self, call: impl Future<Output = T>) -> T {
        let fault = self.fault();
        match fault {
            _ if self.dead.is_cancelled() => return self.dies().await,
            Some(Fault::Dies(Side::Before)) => return self.dies().await,
            Some(Fault::Fails) => return T::failed(),
            Some(Fault::Late(time)) => tokio::time::sleep(time).await,
            _ => {}
        }
        let answer = call.await;
        match fault {
            _ if self.dead.is_cancelled() => self.dies().await,
            Some(Fault::Dies(_)) => self.dies().await,
            Some(Fault::Unheard) => T::failed(),
            _ => answer,
        }
    }

    async fn dies<T>(&self) -> T {
        self.dead.cancel();
        pending().await
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dead {:?} call {}", self.side, self.at)
    }
}

/// One of them, as a mortal worker sees it.
#[derive(Debug, Clone)]
pub(crate) struct Mortal<T> {
    inner: T,
    fate: Arc<Fate>,
}

pub(crate) fn mortal(
    (broker, backend): (Arc<dyn Broker>, Arc<dyn Backend>),
    fate: &Arc<Fate>,
) -> (Arc<dyn Broker>, Arc<dyn Backend>) {
    let backend = Mortal { inner: backend, fate: Arc::clone(fate) };
    (Arc::new(Mortal { inner: broker, fate: Arc::clone(fate) }), Arc::new(backend))
}

/// A contract whose methods do what the inner ones do, if the worker lives; those of `besides` are written out.
macro_rules! mortal {
    (
        impl $contract:ident for $inner:ty {
            $(fn $name:ident(&self $(, $arg:ident: $kind:ty)*) -> $answer:ty;)+
        }
        besides { $($rest:tt)* }
    ) => {
        #[async_trait]
        impl $contract for Mortal<$inner> {
            $(async fn $name(&self $(, $arg: $kind)*) -> $answer {
                self.fate.call(self.inner.$name($($arg),*)).await
            })+
            $($rest)*
        }
    };
}

mortal! {
    impl Timetable for Arc<dyn Broker> {
        fn lead(&self, candidate: &str, lease: Duration) -> Result<Lead>;
        fn resign(&self, token: &str) -> Result<()>;
        fn entries(&self, token: &str, names: &[String], fresh: &str) -> Result<Option<HashMap<String, String>>>;
        fn tick(&self, tick: &Tick) -> Result<Ticked>;
    }
    besides {}
}

mortal! {
    impl Broker for Arc<dyn Broker> {
        fn declare(&self, queues: &[Queue]) -> Result<()>;
        fn bindings(&self, exchange: &str) -> Result<Vec<Queue>>;
        fn bound(&self, exchange: &str, routing_key: &str) -> Result<Vec<String>>;
        fn publish(&self, messages: &[Outgoing]) -> Result<()>;
        fn run_alone(&self, delivery: &Delivery) -> Result<bool>;
        fn put_back(&self, tags: &[String], raise_count: bool) -> Result<usize>;
        fn restore_orphans(&self, lease: Duration) -> Result<usize>;
        fn park(&self, tag: &str, due: DateTime<Utc>) -> Result<bool>;
        fn release_due(&self, limit: usize) -> Result<Released>;
        fn take_turn(&self, delivery: &Delivery, limit: &RateLimit<'_>) -> Result<Turn>;
        fn admit(&self, limit: &RateLimit<'_>, queues: &[String], most: usize) -> Result<Admitted>;
        fn limited(&self) -> Result<Vec<String>>;
        fn take_key(&self, tag: &str, key: &UniqueKey<'_>) -> Result<KeyTaken>;
        fn dead_letter(&self, tag: &str, letter: &DeadLetter) -> Result<bool>;
        fn dead_letter_ids(&self, min_age: Duration, max_age: Option<Duration>) -> Result<Vec<String>>;
        fn dead_letters(&self, ids: &[String]) -> Result<Vec<Dead>>;
        fn requeue_dead_letters(&self, ids: &[String]) -> Result<Vec<String>>;
        fn discard_dead_letters(&self, ids: &[String]) -> Result<usize>;
        fn trim_dead_letters(&self, older: Option<Duration>, most: usize) -> Result<usize>;
        fn settle(&self, settlements: &[Settlement], backend: Option<&Location>) -> Vec<Result<Settled>>;
        fn parked(&self, queues: &[String], limit: usize) -> Result<Vec<Parked>>;
        fn broadcast(&self, exchange: &str, routing_key: &str, envelope: &str) -> Result<usize>;
        fn listen(&self, exchange: &str, routing_key: &str) -> Result<Box<dyn Listener>>;
        fn reply(&self, exchange: &str, routing_key: &str, envelope: &str, expires: Duration) -> Result<usize>;
        fn bind(&self, exchange: &str, routing_key: &str, queue: &str, expires: Duration) -> Result<()>;
        fn forget_bindings(&self) -> Result<usize>;
        fn replies(&self, queue: &str) -> Result<Box<dyn Listener>>;
        fn unbind(&self, exchange: &str, routing_key: &str, queue: &str) -> Result<()>;
        fn keep(&self, set: &str, texts: &[String], expires: Duration, most: usize) -> Result<()>;
        fn kept(&self, set: &str, since: u64, expires: Duration, most: usize) -> Result<Kept>;
        fn queue_len(&self, queue: &str) -> Result<usize>;
        fn by_priority(&self, queue: &str) -> Result<Vec<(u8, usize)>>;
        fn eviction(&self) -> Result<Option<Eviction>>;
        fn vitals(&self) -> Result<Vitals>;
        fn depth(&self, queue: &str) -> Result<Depth>;
        fn waiting(&self, queue: &str) -> Result<Vec<Waiting>>;
        fn purge(&self, queue: &str) -> Result<usize>;
        fn location(&self) -> Result<Location>;
    }
    besides {
    async fn renew(&self, tags: &[String]) -> Result<Vec<String>> {
        if self.fate.swallows.swap(false, Ordering::SeqCst) {
            tokio::time::sleep(DEADLINE).await;
            return Answer::failed();
        }
        self.fate.call(self.inner.renew(tags)).await
    }

    async fn consumer(&self, options: ConsumerOptions) -> Result<Box<dyn Consumer>> {
        let inner = self.fate.call(self.inner.consumer(options)).await?;
        Ok(Box::new(MortalConsumer { inner, fate: Arc::clone(&self.fate) }))
    }

    fn now(&self) -> DateTime<Utc> {
        self.inner.now()
    }

    fn sibling(&self) -> Result<Arc<dyn Broker>> {
        Ok(Arc::new(Mortal { inner: self.inner.sibling()?, fate: Arc::clone(&self.fate) }))
    }
    }
}

#[derive(Debug)]
struct MortalConsumer {
    inner: Box<dyn Consumer>,
    fate: Arc<Fate>,
}

#[async_trait]
impl Consumer for MortalConsumer {
    async fn fetch(&mut self, limit: usize) -> Result<Vec<Delivery>> {
        self.fate.call(self.inner.fetch(limit)).await
    }

    fn set_queues(&mut self, queues: Vec<String>) {
        self.inner.set_queues(queues);
    }
}

mortal! {
    impl Backend for Arc<dyn Backend> {
        fn apply(&self, writes: &[Write]) -> Result<()>;
        fn chord_part(&self, part: &ChordPart) -> Result<ChordState>;
        fn chord_entries(&self, group_id: &str, ordered: bool) -> Result<Vec<Vec<u8>>>;
        fn extend_claim(&self, group_id: &str, token: &str, claim_s: u64) -> Result<bool>;
        fn get(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>>;
        fn watch(&self, keys: &[String], timeout: Duration, look: Look<'_>) -> Result<()>;
        fn mark(&self, key: &str, marks: &[(usize, u8)], ttl: Option<u64>) -> Result<Vec<u8>>;
        fn forget(&self, keys: &[String]) -> Result<()>;
        fn eviction(&self) -> Result<Option<Eviction>>;
        fn location(&self) -> Result<Location>;
    }
    besides {
    fn sibling(&self) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(Mortal { inner: self.inner.sibling()?, fate: Arc::clone(&self.fate) }))
    }
    }
}

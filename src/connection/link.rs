//! One connection to Redis that comes back: connect when it is needed, notice that it broke, wait with back-off, say so once.
//!
//! The driver's own time-outs and reconnection are not used: its time-out drops only the future while the server goes on, and its
//! reconnection forgets tracking. Here every call has a deadline, and a missed one gives the connection up.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, Pipeline, RedisError, Value};
use tokio::time::Instant;

use super::dial::{Dialed, Dialer, PushSender};
use super::family::Family;
use super::{Call, Server, failure, transaction};
use crate::error::{Error, Result};

/// How long an answer may take before the connection counts as dead.
const DEADLINE: Duration = Duration::from_secs(8);
/// When a connection that is being made is joined by another: what was sent may have been swallowed on its way.
const JOINED_AFTER: Duration = Duration::from_secs(1);
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
/// With a pause no longer than this we are back within two seconds of the server.
const LAST_BACKOFF: Duration = Duration::from_millis(1500);

/// A connection that comes back. Clones share it.
#[derive(Clone)]
pub(crate) struct Link(Arc<Inner>);

pub(super) struct Inner {
    family: Arc<Family>,
    dialer: Dialer,
    live: Mutex<Option<Live>>,
    /// Held while connecting, so that one caller tries and the others wait for it.
    trouble: tokio::sync::Mutex<Trouble>,
    /// [`Trouble::failures`], to be read without waiting.
    failures: AtomicU64,
}

impl Inner {
    /// Gives a connection to a server other than this one up, and wakes who waits for what it would say.
    pub(super) fn leave_other_than(&self, place: &Arc<str>) {
        let left = lock(&self.live).take_if(|live| live.place != *place);
        if let Some(live) = left {
            live.give_up();
            self.dialer.hang_up();
        }
    }
}

/// How long nothing has worked.
#[derive(Default)]
struct Trouble {
    generation: u64,
    since: Option<Instant>,
    backoff: Duration,
    not_before: Option<Instant>,
    /// How many tries failed in a row: who waited for one that failed does not try again himself.
    failures: u64,
}

/// A connection as it is now.
#[derive(Clone)]
pub(crate) struct Live {
    /// The driver's connection.
    connection: MultiplexedConnection,
    /// Goes up with every reconnection: what was set on an older one is gone.
    pub(crate) generation: u64,
    /// When it was made.
    pub(crate) since: Instant,
    broken: Arc<AtomicBool>,
    /// When the last answer came.
    heard: Arc<Mutex<Instant>>,
    /// The server at its end.
    place: Arc<str>,
    family: Arc<Family>,
}

impl Live {
    /// Sends one command on this connection and no later one.
    pub(crate) async fn query<T: FromRedisValue>(&self, context: &'static str, command: &Cmd) -> Result<T> {
        let mut connection = self.connection.clone();
        let answer = async { connection.send_packed_command(command).await.and_then(Value::extract_error) };
        read(context, self.within(context, answer).await?)
    }

    /// Calls a script on this connection and no later one.
    pub(crate) async fn call<T: FromRedisValue>(&self, context: &'static str, call: &Call<'_>) -> Result<T> {
        let mut connection = self.connection.clone();
        read(context, self.within(context, call.send(&mut connection)).await?)
    }

    /// Subscribes to every channel that matches a pattern, on this connection and no later one.
    pub(crate) async fn psubscribe(&self, pattern: &str) -> Result<()> {
        let mut connection = self.connection.clone();
        self.within("subscribing", connection.psubscribe(pattern)).await
    }

    /// Waits for an answer until the deadline; gives the connection up if it broke or kept silent.
    async fn within<T>(&self, context: &'static str, answer: impl Future<Output = Result<T, RedisError>>) -> Result<T> {
        let asked = Instant::now();
        match tokio::time::timeout(DEADLINE, answer).await {
            Ok(Ok(value)) => {
                *lock(&self.heard) = Instant::now();
                Ok(value)
            }
            Ok(Err(cause)) => {
                if failure::breaks(&cause) {
                    self.give_up();
                }
                Err(failure::error(context, cause))
            }
            Err(_) => {
                lock(&self.family.silence).replace(asked);
                self.give_up();
                Err(Error::Connection { context: format!("{context}: no answer within {DEADLINE:?}"), source: None })
            }
        }
    }

    fn give_up(&self) {
        self.broken.store(true, Ordering::Release);
    }

    fn is_broken(&self) -> bool {
        let is_silent = || lock(&self.family.silence).is_some_and(|silence| *lock(&self.heard) < silence);
        self.broken.load(Ordering::Acquire) || is_silent() || !self.family.is_at(&self.place)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Link").field(&self.0.family.server).finish()
    }
}

impl Link {
    /// A link that connects at its first use.
    pub(crate) fn new(server: &Server, pushes: Option<PushSender>) -> Result<Self> {
        Ok(Self::with(Family::new(server)?, pushes))
    }

    fn with(family: Arc<Family>, pushes: Option<PushSender>) -> Self {
        let inner = Arc::new(Inner {
            family,
            dialer: Dialer { pushes },
            live: Mutex::default(),
            trouble: tokio::sync::Mutex::default(),
            failures: AtomicU64::default(),
        });
        inner.family.join(&inner);
        Self(inner)
    }

    /// Another connection to the same server.
    pub(crate) fn sibling(&self, pushes: Option<PushSender>) -> Self {
        Self::with(Arc::clone(&self.0.family), pushes)
    }

    /// Where it leads.
    pub(crate) fn server(&self) -> &Server {
        &self.0.family.server
    }

    /// The connection, made if there is none. After a failed try the next one waits for its turn.
    pub(crate) async fn get(&self) -> Result<Live> {
        if let Some(live) = self.current() {
            return Ok(live);
        }
        let failures = self.0.failures.load(Ordering::Acquire);
        let mut trouble = self.0.trouble.lock().await;
        if let Some(live) = self.current() {
            return Ok(live);
        }
        let context = || format!("connecting to {}", self.0.family.server.redacted());
        if trouble.failures != failures {
            return Err(Error::Connection { context: context(), source: None });
        }
        if let Some(time) = trouble.not_before {
            tokio::time::sleep_until(time).await;
        }
        // The first one counts as the second, too, where the server was away before: what is said of an outage holds after it.
        let generation = trouble.generation + 1 + u64::from(trouble.since.is_some());
        match self.connect_by_one_of_several(generation).await {
            Ok(live) => {
                if let Some(since) = trouble.since {
                    tracing::info!(server = %self.0.family.server.redacted(), downtime = ?since.elapsed(), "connected to Redis again");
                }
                *trouble = Trouble { generation: live.generation, ..Trouble::default() };
                self.0.failures.store(0, Ordering::Release);
                self.0.family.arrived(&live.place);
                *lock(&self.0.live) = Some(live.clone());
                Ok(live)
            }
            Err(cause) => {
                let now = Instant::now();
                if trouble.since.is_none() {
                    tracing::warn!(server = %self.0.family.server.redacted(), error = %cause, "cannot connect to Redis; trying on");
                }
                trouble.since.get_or_insert(now);
                trouble.backoff = (trouble.backoff * 2).clamp(FIRST_BACKOFF, LAST_BACKOFF);
                trouble.not_before = Some(now + trouble.backoff.mul_f64(fastrand::f64()));
                trouble.failures += 1;
                self.0.failures.store(trouble.failures, Ordering::Release);
                Err(failure::error(&context(), cause))
            }
        }
    }

    /// Sends one command.
    pub(crate) async fn query<T: FromRedisValue>(&self, context: &'static str, command: &Cmd) -> Result<T> {
        self.get().await?.query(context, command).await
    }

    /// Calls a script.
    pub(crate) async fn call<T: FromRedisValue>(&self, context: &'static str, call: &Call<'_>) -> Result<T> {
        self.get().await?.call(context, call).await
    }

    /// Sends a pipeline, as a transaction if it was made so.
    pub(crate) async fn pipeline<T: FromRedisValue>(&self, context: &'static str, pipeline: &Pipeline) -> Result<T> {
        let live = self.get().await?;
        live.within(context, transaction::send(pipeline, live.connection.clone())).await
    }

    /// Subscribes to channels, until the connection breaks.
    pub(crate) async fn subscribe(&self, channels: &[&String]) -> Result<()> {
        let live = self.get().await?;
        let mut connection = live.connection.clone();
        live.within("subscribing", connection.subscribe(channels)).await
    }

    /// Gives subscriptions up.
    pub(crate) async fn unsubscribe(&self, channels: &[String]) -> Result<()> {
        let live = self.get().await?;
        let mut connection = live.connection.clone();
        live.within("unsubscribing", connection.unsubscribe(channels)).await
    }

    /// The first answer to several tries, each begun while those before it are kept waiting. A server that is slow has as long for its
    /// answer as with one try; behind a hole in the network that has closed, the next try gets through.
    async fn connect_by_one_of_several(&self, generation: u64) -> Result<Live, RedisError> {
        let mut tries = FuturesUnordered::new();
        loop {
            tries.push(self.connect(generation));
            // A try that is dropped closes its connection; nothing was sent on it but who we are.
            tokio::select! {
                biased;
                Some(answer) = tries.next() => return answer,
                () = tokio::time::sleep(JOINED_AFTER) => {}
            }
        }
    }

    async fn connect(&self, generation: u64) -> Result<Live, RedisError> {
        let Dialed { connection, broken, place } = self.0.family.route.connect(&self.0.dialer).await?;
        let now = Instant::now();
        let (heard, family) = (Arc::new(Mutex::new(now)), Arc::clone(&self.0.family));
        Ok(Live { connection, generation, since: now, broken, heard, place, family })
    }

    fn current(&self) -> Option<Live> {
        lock(&self.0.live).as_ref().filter(|live| !live.is_broken()).cloned()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T: FromRedisValue>(context: &'static str, value: Value) -> Result<T> {
    T::from_redis_value(value).map_err(|cause| failure::error(context, cause.into()))
}

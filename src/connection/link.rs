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
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionAddr, FromRedisValue, IntoConnectionInfo, Pipeline, ProtocolVersion};
use redis::{PushInfo, PushKind, RedisConnectionInfo, RedisError, Value};
use tokio::time::Instant;

use super::url::Address;
use super::{Call, Server, failure, transaction};
use crate::error::{Error, Result};

/// How long an answer may take before the connection counts as dead.
const DEADLINE: Duration = Duration::from_secs(8);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// When a connection that is being made is joined by another: what was sent may have been swallowed on its way.
const JOINED_AFTER: Duration = Duration::from_secs(1);
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
/// With a pause no longer than this we are back within two seconds of the server.
const LAST_BACKOFF: Duration = Duration::from_millis(1500);

/// Gets what the server sends unasked, and `Disconnection` from the driver. Must not block.
pub(crate) type PushSender = Arc<dyn Fn(PushInfo) + Send + Sync>;

/// A connection that comes back. Clones share it.
#[derive(Clone)]
pub(crate) struct Link(Arc<Inner>);

struct Inner {
    server: Server,
    client: Client,
    pushes: Option<PushSender>,
    live: Mutex<Option<Live>>,
    /// Held while connecting, so that one caller tries and the others wait for it.
    trouble: tokio::sync::Mutex<Trouble>,
    /// [`Trouble::failures`], to be read without waiting.
    failures: AtomicU64,
    silence: Silence,
}

/// Since when a call of some link to this server had no answer: a connection on which nothing was heard since then is not trusted
/// any more, though nobody asked anything on it. Siblings share it, so that a hole in the network costs them one deadline together.
type Silence = Arc<Mutex<Option<Instant>>>;

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
    silence: Silence,
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
                lock(&self.silence).replace(asked);
                self.give_up();
                Err(Error::Connection { context: format!("{context}: no answer within {DEADLINE:?}"), source: None })
            }
        }
    }

    fn give_up(&self) {
        self.broken.store(true, Ordering::Release);
    }

    fn is_broken(&self) -> bool {
        let is_silent = || lock(&self.silence).is_some_and(|silence| *lock(&self.heard) < silence);
        self.broken.load(Ordering::Acquire) || is_silent()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Link").field(&self.0.server).finish()
    }
}

impl Link {
    /// A link that connects at its first use.
    pub(crate) fn new(server: &Server, pushes: Option<PushSender>) -> Result<Self> {
        Self::with(server, pushes, Silence::default())
    }

    fn with(server: &Server, pushes: Option<PushSender>, silence: Silence) -> Result<Self> {
        let client = client(server)?;
        let (server, live, trouble) = (server.clone(), Mutex::default(), tokio::sync::Mutex::default());
        Ok(Self(Arc::new(Inner { server, client, pushes, live, trouble, failures: AtomicU64::default(), silence })))
    }

    /// Another connection to the same server.
    pub(crate) fn sibling(&self, pushes: Option<PushSender>) -> Result<Self> {
        Self::with(&self.0.server, pushes, Arc::clone(&self.0.silence))
    }

    /// Where it leads.
    pub(crate) fn server(&self) -> &Server {
        &self.0.server
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
        let context = || format!("connecting to {}", self.0.server.redacted());
        if trouble.failures != failures {
            return Err(Error::Connection { context: context(), source: None });
        }
        if let Some(time) = trouble.not_before {
            tokio::time::sleep_until(time).await;
        }
        match self.connect_by_one_of_several(trouble.generation + 1).await {
            Ok(live) => {
                if let Some(since) = trouble.since {
                    tracing::info!(server = %self.0.server.redacted(), downtime = ?since.elapsed(), "connected to Redis again");
                }
                *trouble = Trouble { generation: live.generation, ..Trouble::default() };
                self.0.failures.store(0, Ordering::Release);
                *lock(&self.0.live) = Some(live.clone());
                Ok(live)
            }
            Err(cause) => {
                let now = Instant::now();
                if trouble.since.is_none() {
                    tracing::warn!(server = %self.0.server.redacted(), error = %cause, "cannot connect to Redis; trying on");
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
        let broken = Arc::new(AtomicBool::new(false));
        let (flag, forward) = (broken.clone(), self.0.pushes.clone());
        let on_push = move |push: PushInfo| -> Result<(), ()> {
            if push.kind == PushKind::Disconnection {
                flag.store(true, Ordering::Release);
            }
            if let Some(forward) = &forward {
                forward(push);
            }
            Ok(())
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(1024)
            .set_push_sender(on_push);
        let connection = self.0.client.get_multiplexed_async_connection_with_config(&config).await?;
        let now = Instant::now();
        Ok(Live {
            connection,
            generation,
            since: now,
            broken,
            heard: Arc::new(Mutex::new(now)),
            silence: Arc::clone(&self.0.silence),
        })
    }

    fn current(&self) -> Option<Live> {
        lock(&self.0.live).as_ref().filter(|live| !live.is_broken()).cloned()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T: FromRedisValue>(context: &'static str, value: Value) -> Result<T> {
    T::from_redis_value(value).map_err(|cause| failure::error(context, cause.into()))
}

fn client(server: &Server) -> Result<Client> {
    let wrong = |cause: RedisError| Error::config(format!("Redis: {cause}"));
    let address = match &server.address {
        Address::Tcp(host, port) => ConnectionAddr::Tcp(host.clone(), *port),
        Address::Tls(host, port, tls) => {
            ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: tls.insecure, tls_params: None }
        }
        Address::Unix(path) => ConnectionAddr::Unix(path.clone()),
    };
    let mut settings = RedisConnectionInfo::default().set_db(server.db).set_protocol(ProtocolVersion::RESP3);
    if let Some(name) = &server.username {
        settings = settings.set_username(name);
    }
    if let Some(word) = &server.password {
        settings = settings.set_password(word);
    }
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(15)).with_interval(Duration::from_secs(5));
    let tcp = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive).set_user_timeout(Duration::from_secs(20));
    let info = address.into_connection_info().map_err(wrong)?.set_redis_settings(settings).set_tcp_settings(tcp);
    match &server.address {
        Address::Tls(_, _, tls) => tls.client(info),
        _ => Client::open(info).map_err(wrong),
    }
}

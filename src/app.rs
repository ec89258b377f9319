//! App: configuration, tasks, broker and backend under one name.
//!
//! # Celery
//! `app/base.py: Celery`. Differences: nothing is global, and the app is whole before it is used: tasks are registered on an
//! [`AppBuilder`], and [`AppBuilder::connect`] makes the app.

mod command;
mod facts;
mod open;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry as Metered;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use self::command::Commands;
pub use self::command::ControlCall;
pub(crate) use self::facts::Facts;
use crate::backend::Backend;
use crate::broker::{Broker, Queue};
use crate::config::{BeatEntry, Settings};
use crate::control::Control;
use crate::dead_letters::DeadLetters;
use crate::error::Result;
use crate::events::Clock;
use crate::metrics::Metrics;
use crate::pool::{ChildPool, Isolated};
use crate::producer::{Origin, Producer};
use crate::protocol::compression::Compression;
use crate::protocol::exception::Exception;
use crate::protocol::message::DecodeOptions;
use crate::protocol::meta::{Meta, ResultTuple};
use crate::protocol::serializer::Serializer;
use crate::protocol::signature::Signature;
use crate::protocol::value::Value;
use crate::result::{AsyncResult, GroupResult, ResultOptions, Results};
use crate::routing;
use crate::schedules::Schedule;
use crate::spill::{ResultStore, Spill};
use crate::task::FailedCall;
use crate::task::builtin;
use crate::task::context::{Context, Environment, States};
use crate::task::errback::ErrbackFn;
use crate::task::handler::AsyncFn;
use crate::task::options::TaskOptions;
use crate::task::outcome::TaskError;
use crate::task::registry::Registry;
use crate::traces::Traces;

/// An app that is being put together.
#[derive(Debug, Default)]
pub struct AppBuilder {
    settings: Settings,
    written: serde_json::Map<String, serde_json::Value>,
    registry: Registry,
    states: States,
    commands: Commands,
    traces: Option<Arc<Traces>>,
    spill: Option<Spill>,
    facts: Facts,
}

impl AppBuilder {
    /// An app with these settings and no tasks yet but those every worker knows.
    pub fn new(settings: Settings) -> Self {
        let mut app = Self { settings, ..Self::default() };
        builtin::register(&mut app.registry);
        app
    }

    /// Its settings, to change them: what a Python application does with `app.conf`.
    pub fn settings(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// Registers an `async fn(Context, Args) -> Result<T, TaskError>` under the name Python calls it by.
    pub fn task<F, A, R, Fut>(&mut self, name: &str, function: F) -> &mut TaskOptions
    where
        F: Fn(Context, A) -> Fut + Send + Sync + 'static,
        A: DeserializeOwned + 'static,
        R: Serialize + 'static,
        Fut: Future<Output = Result<R, TaskError>> + Send + 'static,
    {
        self.registry.add(name, Arc::new(AsyncFn::new(name, function)))
    }

    /// Registers a new-style errback, an `async fn(Context, FailedCall, Args) -> Result<T, TaskError>`: where it is linked as an error
    /// callback (`link_error`), the worker that sees the failure calls it at once, without a message. `Args` are those the signature holds.
    pub fn errback<F, A, R, Fut>(&mut self, name: &str, function: F) -> &mut TaskOptions
    where
        F: Fn(Context, FailedCall, A) -> Fut + Send + Sync + 'static,
        A: DeserializeOwned + 'static,
        R: Serialize + 'static,
        Fut: Future<Output = Result<R, TaskError>> + Send + 'static,
    {
        self.registry.add_errback(name, ErrbackFn::new(name, function))
    }

    /// Registers an isolated function as a whole task, as Celery's prefork pool runs it: each call in a child process, whose death is a
    /// `WorkerLostError` of that call alone. The child's own registration is in [`crate::pool::Functions`].
    pub fn isolated_task<A, R>(&mut self, function: &Isolated<A, R>) -> &mut TaskOptions
    where
        A: Serialize + DeserializeOwned + Send + Sync + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        let isolated = function.clone();
        self.task(function.name(), move |ctx: Context, arguments: A| {
            let isolated = isolated.clone();
            async move { Ok(ctx.isolated(&isolated, arguments).await?) }
        })
    }

    /// Says which settings somebody has written ([`crate::config::Loaded::written`]): `inspect conf` shows them, beside those that are not
    /// their defaults.
    pub fn written(&mut self, settings: serde_json::Map<String, serde_json::Value>) -> &mut Self {
        self.written = settings;
        self
    }

    /// Hands a value to all tasks, which find it by its type ([`Context::state`]).
    pub fn state<T: Send + Sync + 'static>(&mut self, value: T) -> &mut Self {
        self.states.insert(value);
        self
    }

    /// Schedules a call under a name, beside those of the setting `beat_schedule`: a scheduler ([`crate::beat::Beat`]) sends it when it is due.
    ///
    /// ```
    /// use celeriac::app::App;
    /// use celeriac::config::Settings;
    /// use celeriac::protocol::Signature;
    /// use celeriac::schedules::Schedule;
    ///
    /// let mut app = App::builder(Settings::default());
    /// app.periodic_task("tidy up", Schedule::crontab("0 4 * * mon-fri")?, Signature::new("proj.tidy").queue("night"));
    /// app.periodic_task("look", Schedule::every(30.0)?, Signature::new("proj.look").arg("here"));
    /// # Ok::<(), celeriac::schedules::ScheduleError>(())
    /// ```
    pub fn periodic_task(&mut self, name: impl Into<String>, schedule: Schedule, call: Signature) -> &mut Self {
        self.settings.beat_schedule.insert(name, BeatEntry::new(schedule, call));
        self
    }

    /// Makes a span of each task that is sent and of each run.
    #[cfg(feature = "otel")]
    pub fn traces(&mut self, traces: Traces) -> &mut Self {
        self.traces = Some(Arc::new(traces));
        self
    }

    /// Registers a remote control command beside Celery's own, or in place of one: what `app.control.broadcast` calls by this name. Its
    /// value is the node's reply, an exception of it is shown to the sender.
    pub fn control_command<F, R, Fut>(&mut self, name: &str, function: F) -> &mut Self
    where
        F: Fn(ControlCall) -> Fut + Send + Sync + 'static,
        R: Serialize + 'static,
        Fut: Future<Output = Result<R, Exception>> + Send + 'static,
    {
        self.commands.add(name, function);
        self
    }

    /// Whether it has been given a remote control command of this name.
    #[cfg(feature = "cli")]
    pub(crate) fn has_command(&self, name: &str) -> bool {
        self.commands.contains(name)
    }

    /// Enters metrics of the tasks' own into what a worker answers at `/metrics`, if it does (`celeriac.metrics_addr`).
    pub fn metrics<F: Fn(&mut Metered) + Send + Sync + 'static>(&mut self, enter: F) -> &mut Self {
        self.facts.add_metrics(enter);
        self
    }

    /// Adds a figure to what a worker tells of itself in `inspect stats`, under a name that none of Celery's has.
    pub fn stat<F: Fn() -> Value + Send + Sync + 'static>(&mut self, name: &str, figure: F) -> &mut Self {
        self.facts.add_figure(name, figure);
        self
    }

    /// Keeps large results here, in place of the directory of `celeriac.result_store`.
    pub fn result_store(&mut self, store: Arc<dyn ResultStore>) -> &mut Self {
        self.spill = Some(Spill::new(store));
        self
    }

    /// Connects to the broker and backend that the settings name.
    pub fn connect(self) -> Result<App> {
        let (broker, backend) = open::open(&self.settings)?;
        if self.spill.is_none() {
            open::result_store(&self.settings)?;
        }
        Ok(self.connect_with(broker, backend))
    }

    /// Uses this broker and backend, whatever the settings say.
    pub fn connect_with(self, broker: Arc<dyn Broker>, backend: Arc<dyn Backend>) -> App {
        let Self { settings, written, mut registry, states, commands, traces, spill, facts } = self;
        let spill = spill.or_else(|| open::result_store(&settings).ok().flatten());
        registry.annotate(&settings);
        registry.alias(&settings.celeriac.task_aliases);
        let ours = &settings.celeriac;
        let metrics =
            ours.metrics_addr.is_some().then(|| Arc::new(Metrics::new(ours.metrics_celery_compat, |own| facts.register(own))));
        let (settings, registry) = (Arc::new(settings), Arc::new(registry));
        let clock = Arc::<Clock>::default();
        let producer =
            Producer::new(Arc::clone(&broker), Arc::clone(&backend), Arc::clone(&settings), Arc::clone(&clock), registry.queues())
                .watched(metrics.clone(), traces.clone());
        App {
            inner: Arc::new(Inner {
                settings,
                written,
                registry,
                states,
                commands,
                broker,
                backend,
                clock,
                producer,
                metrics,
                traces,
                spill,
                facts,
            }),
        }
    }
}

struct Inner {
    settings: Arc<Settings>,
    /// For `inspect conf`.
    written: serde_json::Map<String, serde_json::Value>,
    registry: Arc<Registry>,
    states: States,
    commands: Commands,
    broker: Arc<dyn Broker>,
    backend: Arc<dyn Backend>,
    /// One for everything this process sends.
    clock: Arc<Clock>,
    producer: Producer,
    /// Where a worker tells of them.
    metrics: Option<Arc<Metrics>>,
    traces: Option<Arc<Traces>>,
    spill: Option<Spill>,
    /// What its tasks tell of themselves.
    facts: Facts,
}

/// An app. Clones are one app.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("tasks", &self.inner.registry.names())
            .field("broker", &self.inner.broker)
            .finish_non_exhaustive()
    }
}

impl App {
    /// An app with these settings and no tasks yet.
    pub fn builder(settings: Settings) -> AppBuilder {
        AppBuilder::new(settings)
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Its tasks.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.inner.registry
    }

    /// Where its messages travel.
    pub fn broker(&self) -> &Arc<dyn Broker> {
        &self.inner.broker
    }

    /// Where its results are kept.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.inner.backend
    }

    /// Its logical clock.
    pub(crate) fn clock(&self) -> &Arc<Clock> {
        &self.inner.clock
    }

    /// The settings that somebody has written.
    pub(crate) fn written(&self) -> &serde_json::Map<String, serde_json::Value> {
        &self.inner.written
    }

    /// The remote control commands its author added.
    pub(crate) fn commands(&self) -> &Commands {
        &self.inner.commands
    }

    /// What makes its spans, if any are made.
    pub(crate) fn traces(&self) -> Option<&Arc<Traces>> {
        self.inner.traces.as_ref()
    }

    /// What it counts, where a worker is to tell it.
    pub(crate) fn metrics(&self) -> Option<&Arc<Metrics>> {
        self.inner.metrics.as_ref()
    }

    /// What its tasks tell of themselves.
    pub(crate) fn facts(&self) -> &Facts {
        &self.inner.facts
    }

    /// Where its large results are kept.
    pub(crate) fn spill(&self) -> Option<&Spill> {
        self.inner.spill.as_ref()
    }

    /// What sends its tasks.
    pub fn producer(&self) -> &Producer {
        &self.inner.producer
    }

    /// Sends a task or canvas, and returns its result to come. Nothing in it is run here: any worker of the fleet may serve it, in
    /// whatever language.
    ///
    /// ```no_run
    /// # async fn example(app: celeriac::app::App) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use celeriac::canvas::chord;
    /// use celeriac::protocol::Signature;
    ///
    /// let pages = (1..=3).map(|page| Signature::new("proj.word_count").arg(page).queue("pages"));
    /// let words: i64 = app.send(chord(pages, Signature::new("proj.xsum"))).await?.get(Duration::from_secs(60)).await?;
    /// # Ok(()) }
    /// ```
    pub async fn send(&self, signature: impl Into<Signature>) -> Result<AsyncResult> {
        let signature = signature.into();
        let ignored = signature.is_plain() && signature.option("ignore_result").is_some_and(Value::is_truthy);
        let sent = self.inner.producer.send(signature, Origin::default()).await?;
        Ok(AsyncResult::new(sent.result, self.results()).ignored(ignored))
    }

    /// Sends a task by its name, with positional and keyword arguments: `app.send_task("proj.add", [2, 3], [])`. Options are set on a
    /// [`Signature`], for [`App::send`].
    pub async fn send_task<A, K>(&self, name: &str, args: A, kwargs: K) -> Result<AsyncResult>
    where
        A: IntoIterator<Item: Into<Value>>,
        K: IntoIterator<Item = (&'static str, Value)>,
    {
        let kwargs = kwargs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let args = args.into_iter().map(Into::into).collect();
        self.send(Signature { args, kwargs, ..Signature::new(name) }).await
    }

    /// The result of a task that was sent before, by whomever.
    pub fn async_result(&self, task_id: impl Into<String>) -> AsyncResult {
        AsyncResult::new(ResultTuple::task(task_id), self.results())
    }

    /// The results of a group that was saved ([`GroupResult::save`]), by whomever; `None`: none was.
    pub async fn restore_group(&self, group_id: &str) -> Result<Option<GroupResult>> {
        GroupResult::restore(group_id, self.results()).await
    }

    /// Several results as one, under an id of the caller's: they can be waited for and saved together.
    pub fn result_set(&self, id: impl Into<String>, members: Vec<AsyncResult>) -> GroupResult {
        GroupResult::new(id, members, self.results())
    }

    fn results(&self) -> Results {
        Results::new(Arc::clone(&self.inner.backend), self.result_options(), self.control()).spilled(self.inner.spill.clone())
    }

    /// What sends commands to workers.
    pub fn control(&self) -> Control {
        Control::new(Arc::clone(&self.inner.broker), self.settings(), Arc::clone(&self.inner.clock), self.decode_options())
    }

    /// What was given up on its broker.
    pub fn dead_letters(&self) -> DeadLetters {
        DeadLetters::new(Arc::clone(&self.inner.broker))
    }

    /// Waits until a task has ended; its meta.
    pub async fn result(&self, task_id: &str, timeout: Duration) -> Result<Meta> {
        self.result_options().wait(&*self.inner.backend, task_id, timeout).await
    }

    /// What is known of a task now; `None` is `PENDING`.
    pub async fn state_of(&self, task_id: &str) -> Result<Option<Meta>> {
        self.result_options().get(&*self.inner.backend, task_id).await
    }

    /// How queues are declared, by their names.
    pub(crate) fn declared(&self, queues: &[String]) -> Result<Vec<Queue>> {
        queues.iter().map(|queue| routing::declared(self.settings(), queue)).collect()
    }

    /// What it reads of messages.
    pub(crate) fn decode_options(&self) -> DecodeOptions {
        let settings = self.settings();
        let accept = settings.accept_content.iter().filter_map(|name| Serializer::from_name(name)).collect();
        DecodeOptions { accept, max_body_bytes: settings.celeriac.max_body_bytes }
    }

    /// How it writes states.
    pub(crate) fn result_options(&self) -> ResultOptions {
        let settings = self.settings();
        ResultOptions {
            serializer: Serializer::from_name(&settings.result_serializer).unwrap_or_default(),
            compression: settings.result_compression.as_deref().and_then(Compression::from_name),
            expires: settings.result_lifetime().map(|lifetime| lifetime.as_secs()),
            failure_expires: settings.failure_lifetime().map(|lifetime| lifetime.as_secs()),
            max_bytes: Some(settings.celeriac.max_result_bytes),
        }
    }

    pub(crate) fn environment(&self, children: Option<Arc<ChildPool>>) -> Environment {
        Environment {
            registry: Arc::clone(&self.inner.registry),
            producer: self.inner.producer.clone(),
            backend: Arc::clone(&self.inner.backend),
            children,
            states: self.inner.states.clone(),
            results: self.result_options(),
            spill: self.inner.spill.clone(),
        }
    }
}

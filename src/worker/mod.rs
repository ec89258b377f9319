//! The worker: fetches messages, runs their tasks and settles what follows.
//!
//! Five roles, each knows only the next: consumer (a permit before a fetch) → strategy (verdict) → request (one delivery's life) →
//! trace (one run, to an outcome) → settle (what follows). Beside them the timer keeps leases alive.
//!
//! # Celery
//! `worker/worker.py` and `apps/worker.py`. Difference: start and stop order are plain code in [`Worker::run`].

mod announce;
mod autoscale;
mod consumer;
mod control;
mod dump;
mod errback;
mod follow;
mod guard;
mod heart;
mod large;
mod lifeline;
mod load;
mod loops;
mod performance;
mod rates;
mod request;
mod scrape;
mod serving;
mod settle;
pub mod shutdown;
mod state;
mod states;
mod stopping;
mod strategy;
mod suspects;
mod timer;
mod trace;
mod window;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::announce::Announcer;
use self::autoscale::Bounds;
use self::consumer::{Fetcher, Reserved};
use self::control::{Aside, Mailbox, Mingle, Panel, Recall};
use self::errback::Errbacks;
use self::follow::Follower;
use self::large::LargeResults;
use self::lifeline::Lifeline;
use self::loops::Loops;
use self::request::Shared;
use self::serving::Serving;
use self::settle::Settler;
pub use self::shutdown::{Shutdown, Stage, StopReason};
use self::state::{Leases, Revoked, WorkerState};
#[cfg(feature = "cli")]
pub(crate) use self::stopping::last_moment;
use self::suspects::Suspects;
use self::window::Window;
use crate::app::App;
use crate::broker::{ConsumerOptions, Listener};
use crate::error::{Error, Result};
use crate::events::{EventDispatcher, EventSender};
use crate::pool::ChildPool;
use crate::spill;

/// Bytes of messages in one fetch.
const FETCH_BYTES: usize = 16 * 1024 * 1024;

/// What a worker is started with.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// The queues it consumes, in their order.
    pub queues: Vec<String>,
    /// How many tasks run at once, unless `celeriac.autoscale` says.
    pub concurrency: usize,
    /// `celery@host`.
    pub nodename: String,
    /// Runs isolated functions.
    pub children: Option<Arc<ChildPool>>,
}

/// A worker.
#[derive(Debug)]
pub struct Worker {
    app: App,
    options: WorkerOptions,
}

impl Worker {
    /// A worker of this app.
    pub fn new(app: App, options: WorkerOptions) -> Self {
        Self { app, options }
    }

    /// Runs until `shutdown` says to stop; then everything it holds is finished or handed back, unless it says to leave at once.
    pub async fn run(self, shutdown: Shutdown) -> Result<StopReason> {
        // In a task of its own: what a runtime blocks on runs on a thread beside its workers, and every message would be handed across.
        let mut work = JoinSet::new();
        work.spawn(self.work(shutdown.clone()));
        tokio::select! {
            biased;
            () = shutdown.leaving().cancelled() => {
                tracing::error!("leaving at once: what is held comes back when its leases have run out");
                Ok(StopReason::Hard)
            }
            Some(ended) = work.join_next() => ended.unwrap_or_else(|broken| match broken.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Error::Shutdown),
            }),
        }
    }

    async fn work(self, shutdown: Shutdown) -> Result<StopReason> {
        control::check_disabled(&self.app)?;
        control::check_key(&self.app)?;
        self.app.registry().check_aliases(&self.app.settings().celeriac.task_aliases)?;
        self.app.broker().declare(&self.app.declared(&self.options.queues)?).await?;
        let (mut loops, aside) = (Loops::new(Lifeline::new()), Aside::new(&self.app)?);
        let state = Arc::new(self.state());
        let (leases, missed) = (Arc::<Leases>::default(), Arc::new(Notify::new()));
        let mailbox = loops.lifeline.run(aside.clone().listener()).await.flatten();
        let (events, sender) = self.events(&aside);
        let shared = Arc::new(self.shared(shutdown.clone(), &state, &events).await?);
        let slots = shared.window.slots.size();

        loops.send(sender);
        scrape::answer(&mut loops, &shared).await?;
        self.heart(&mut loops, &events, &state);
        let panel = Panel { shared: Arc::clone(&shared), events, aside: aside.clone(), missed: Arc::clone(&missed) };
        self.control(&mut loops, panel, mailbox);
        // What is revoked is known before the first fetch.
        let recall = Recall::begin(aside.revocations(), Arc::clone(&state), self.mingle(&aside, &state), missed);
        let recall = loops.lifeline.run(recall).await.ok_or(Error::Shutdown)??;
        loops.spawn_aside(recall.run(loops.ended()));
        self.leases(&mut loops, &aside, &leases);
        self.queues(&mut loops, &shared);
        let received = self.fetch(&mut loops, &shared, &leases);
        tracing::info!(queues = ?self.options.queues, concurrency = slots, "{} ready.", self.options.nodename);
        tracing::info!("Worker {} started successfully", self.options.nodename);

        Serving::new(Arc::clone(&shared), leases).run(received).await;
        stopping::idle_out(&shared).await;
        loops.end().await;
        Ok(match state.cut_off.load(Relaxed) {
            _ if shutdown.restarts() => StopReason::Restart,
            0 => StopReason::Warm,
            _ => StopReason::Cold,
        })
    }

    fn state(&self) -> WorkerState {
        let settings = &self.app.settings().celeriac;
        let revoked = Revoked::new(settings.revokes_max, settings.revoke_expires.duration());
        WorkerState::new(Arc::clone(self.app.clock()), self.options.queues.clone(), revoked)
    }

    /// Begins to fetch.
    fn fetch(&self, loops: &mut Loops, shared: &Arc<Shared>, leases: &Arc<Leases>) -> mpsc::Receiver<Vec<Reserved>> {
        let (batches, received) = mpsc::channel(1);
        let fetcher = Fetcher {
            broker: Arc::clone(self.app.broker()),
            options: self.consumer_options(&shared.shutdown),
            shutdown: shared.shutdown.clone(),
            queues: shared.state.queues.subscribe(),
            window: Arc::clone(&shared.window),
            leases: Arc::clone(leases),
            batches,
        };
        let slots = Arc::clone(&shared.window.slots);
        loops.stir(move || slots.free() < slots.size());
        loops.spawn(stopping::watch(Arc::clone(shared), loops.ended()));
        loops.spawn(dump::listen(Arc::clone(shared), Arc::clone(leases), loops.ended()));
        loops.spawn(fetcher.run());
        received
    }

    /// Looks after what lies in the queues and beside them, as long as anything is fetched.
    fn queues(&self, loops: &mut Loops, shared: &Arc<Shared>) {
        let (broker, lease) = (self.app.broker(), self.app.settings().celeriac.lease.duration());
        let (stopping, quieted) = (shared.shutdown.stopping(), shared.shutdown.quieted());
        loops.spawn(timer::restore_orphans(Arc::clone(broker), lease, stopping.clone()));
        let settings = &self.app.settings().celeriac;
        let (expires, most) = (settings.dead_letters_expires.limit(), settings.dead_letters_max);
        loops.spawn(timer::trim_dead_letters(Arc::clone(broker), expires, most, stopping.clone()));
        if let (Some(spill), Some(expires)) = (self.app.spill(), self.app.result_options().expires) {
            loops.spawn(timer::expire_results(spill.clone(), spill::age(expires), stopping.clone()));
        }
        loops.spawn(timer::release_due(Arc::clone(broker), Arc::clone(&shared.parked), stopping.clone()));
        if let Some(every) = settings.performance_interval.limit() {
            loops.spawn(performance::log(Arc::clone(shared), every, quieted.clone()));
        }
        loops.spawn(guard::watch(self.app.clone(), stopping.clone()));
        loops.spawn(rates::admit_limited(Arc::clone(shared), quieted.clone()));
        if let Some(bounds) = &shared.autoscale {
            loops.spawn(autoscale::scale(Arc::clone(shared), Arc::clone(bounds), quieted.clone()));
        }
    }

    /// Says that the worker lives.
    fn heart(&self, loops: &mut Loops, events: &EventDispatcher, state: &Arc<WorkerState>) {
        let settings = &self.app.settings().celeriac;
        if settings.heartbeat {
            let freq = settings.heartbeat_interval.duration();
            loops.spawn_aside(heart::beat(events.clone(), Arc::clone(state), freq, loops.ended()));
        }
    }

    /// Keeps the leases.
    fn leases(&self, loops: &mut Loops, aside: &Aside, leases: &Arc<Leases>) {
        let settings = self.app.settings();
        let (broker, lease) = (Arc::clone(&aside.broker), settings.celeriac.lease.duration());
        let (renewed, seen) = watch::channel(Instant::now());
        loops.spawn_aside(timer::renew_leases(broker, Arc::clone(leases), lease, renewed, loops.ended()));
        if settings.worker_cancel_long_running_tasks_on_connection_loss {
            loops.spawn_aside(timer::doubt_leases(Arc::clone(leases), lease, seen));
        }
    }

    fn events(&self, aside: &Aside) -> (EventDispatcher, EventSender) {
        let settings = self.app.settings();
        let (clock, tasks) = (Arc::clone(self.app.clock()), settings.worker_send_task_events);
        EventDispatcher::new(Arc::clone(&aside.broker), &settings.event_exchange, &self.options.nodename, clock, tasks)
    }

    fn mingle(&self, aside: &Aside, state: &Arc<WorkerState>) -> Option<Mingle> {
        let settings = self.app.settings();
        (settings.celeriac.mingle && settings.worker_enable_remote_control).then(|| Mingle {
            control: aside.control(),
            believes: settings.celeriac.control_key.is_none(),
            nodename: self.options.nodename.clone(),
            state: Arc::clone(state),
        })
    }

    /// Starts remote control, each part on a path of its own.
    fn control(&self, loops: &mut Loops, panel: Panel, opened: Option<Box<dyn Listener>>) {
        let settings = self.app.settings();
        if !settings.worker_enable_remote_control {
            return;
        }
        let (broker, exchange) = (Arc::clone(&panel.aside.broker), settings.event_exchange.clone());
        let (events, clock) = (panel.events.clone(), Arc::clone(self.app.clock()));
        loops.spawn_aside(control::vote(broker, exchange, settings.celeriac.gossip, events, clock, loops.ended()));
        loops.spawn_aside(Mailbox::new(panel, opened).run(loops.ended()));
    }

    async fn shared(&self, shutdown: Shutdown, state: &Arc<WorkerState>, events: &EventDispatcher) -> Result<Shared> {
        let app = self.app.clone();
        let environment = Arc::new(app.environment(self.options.children.clone()));
        let follower = Follower::new(&app, &self.options.nodename);
        let errbacks = Errbacks::new(Arc::clone(&environment));
        let large = LargeResults::new(&app);
        let settler = Settler::new(Arc::clone(app.broker()), Arc::clone(app.backend()), follower, errbacks, large).await?;
        let autoscale = app.settings().celeriac.autoscale.map(|bounds| Arc::new(Bounds::new(bounds)));
        let window = Arc::new(self.window());
        let decode = app.decode_options();
        let (nodename, state) = (self.options.nodename.clone(), Arc::clone(state));
        let announcer = Announcer::new(events.clone(), &app, &self.options.nodename);
        let parked = Arc::default();
        let suspects = Suspects::new(app.settings().celeriac.max_deliveries);
        Ok(Shared { nodename, decode, environment, settler, window, state, announcer, shutdown, autoscale, parked, suspects, app })
    }

    fn consumer_options(&self, shutdown: &Shutdown) -> ConsumerOptions {
        ConsumerOptions {
            queues: self.options.queues.clone(),
            nodename: self.options.nodename.clone(),
            max_bytes: FETCH_BYTES,
            lease: self.app.settings().celeriac.lease.duration(),
            stop: shutdown.quieted().clone(),
        }
    }

    fn window(&self) -> Window {
        let settings = self.app.settings();
        let multiplier = if settings.worker_disable_prefetch { 1 } else { settings.worker_prefetch_multiplier as usize };
        let slots = settings.celeriac.autoscale.map_or(self.options.concurrency, |bounds| bounds.min.max(1));
        Window::new(slots, multiplier, self.options.children.clone())
    }
}

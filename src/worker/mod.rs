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
mod heart;
mod lifeline;
mod load;
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
mod timer;
mod trace;
mod window;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use self::announce::Announcer;
use self::autoscale::Bounds;
use self::consumer::Fetcher;
use self::control::{Aside, Mailbox, Mingle, Panel, Recall};
use self::errback::Errbacks;
use self::follow::Follower;
use self::lifeline::Lifeline;
use self::request::Shared;
use self::serving::Serving;
use self::settle::Settler;
pub use self::shutdown::{Shutdown, Stage, StopReason};
use self::state::{Leases, Revoked, WorkerState};
#[cfg(feature = "cli")]
pub(crate) use self::stopping::last_moment;
use self::window::Window;
use crate::app::App;
use crate::broker::{ConsumerOptions, Listener};
use crate::error::{Error, Result};
use crate::events::{EventDispatcher, EventSender};
use crate::pool::ChildPool;

/// Bytes of messages in one fetch.
const FETCH_BYTES: usize = 16 * 1024 * 1024;

/// How long a worker that holds nothing more may take to say that it leaves.
const LEAVE: Duration = Duration::from_secs(1);

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
        tokio::select! {
            biased;
            () = shutdown.leaving().cancelled() => {
                tracing::error!("leaving at once: what is held comes back when its leases have run out");
                Ok(StopReason::Hard)
            }
            ended = self.work(shutdown.clone()) => ended,
        }
    }

    async fn work(self, shutdown: Shutdown) -> Result<StopReason> {
        let broker = Arc::clone(self.app.broker());
        let lease = self.app.settings().celeriac.lease.duration();
        broker.declare(&self.app.declared(&self.options.queues)?).await?;
        let leases = Arc::new(Leases::default());
        let settings = &self.app.settings().celeriac;
        let revoked = Revoked::new(settings.revokes_max, settings.revoke_expires.duration());
        let state = Arc::new(WorkerState::new(Arc::clone(self.app.clock()), self.options.queues.clone(), revoked));
        let (lifeline, aside) = (Lifeline::new(), Aside::new(&self.app)?);
        let missed = Arc::new(Notify::new());
        let mailbox = lifeline.run(aside.clone().listener()).await.flatten();
        let (events, sender) = self.events(&aside);
        let shared = Arc::new(self.shared(shutdown.clone(), &state, &events).await?);
        let (batches, received) = mpsc::channel(1);
        let slots = shared.window.slots.size();
        let fetcher = Fetcher {
            broker: Arc::clone(&broker),
            options: self.consumer_options(lease, &shutdown),
            shutdown: shutdown.clone(),
            queues: state.queues.subscribe(),
            window: Arc::clone(&shared.window),
            leases: Arc::clone(&leases),
            batches,
        };
        // Events are sent until all else has ended, the last of them that the worker goes offline.
        let stop_sending = CancellationToken::new();
        let mut sending = JoinSet::new();
        lifeline.spawn(&mut sending, sender.run(stop_sending.clone()));
        // Leases are renewed until the very end, what still runs during a warm stop must stay ours; so are heartbeats and remote control.
        let ended = CancellationToken::new();
        let mut loops = JoinSet::new();
        scrape::answer(&mut loops, &shared, &ended).await?;
        self.heart(&lifeline, &mut loops, &events, &state, &ended);
        let panel = Panel { shared: Arc::clone(&shared), events, aside: aside.clone(), missed: Arc::clone(&missed) };
        self.control(&lifeline, &mut loops, panel, mailbox, &ended);
        // What is revoked is known before the first fetch.
        let recall = Recall::begin(aside.revocations(), Arc::clone(&state), self.mingle(&aside, &state), missed);
        let recall = lifeline.run(recall).await.ok_or(Error::Shutdown)??;
        lifeline.spawn(&mut loops, recall.run(ended.clone()));
        self.leases(&lifeline, &mut loops, &aside, &leases, &ended);
        loops.spawn(stopping::watch(Arc::clone(&shared), ended.clone()));
        loops.spawn(dump::listen(Arc::clone(&shared), Arc::clone(&leases), ended.clone()));
        loops.spawn(timer::restore_orphans(Arc::clone(&broker), lease, shutdown.stopping().clone()));
        loops.spawn(timer::release_due(Arc::clone(&broker), Arc::clone(&shared.parked), shutdown.stopping().clone()));
        if let Some(bounds) = &shared.autoscale {
            loops.spawn(autoscale::scale(Arc::clone(&shared), Arc::clone(bounds), shutdown.quieted().clone()));
        }
        loops.spawn(rates::admit_limited(Arc::clone(&shared), shutdown.quieted().clone()));
        loops.spawn(fetcher.run());
        tracing::info!(queues = ?self.options.queues, concurrency = slots, "{} ready.", self.options.nodename);

        Serving::new(Arc::clone(&shared), leases).run(received).await;
        stopping::idle_out(&shared).await;
        let told = async {
            ended.cancel();
            while loops.join_next().await.is_some() {}
            stop_sending.cancel();
            while sending.join_next().await.is_some() {}
        };
        if timeout(LEAVE, told).await.is_err() {
            tracing::warn!("leaving without having told anybody: the broker does not answer");
        }
        Ok(match state.cut_off.load(Relaxed) {
            _ if shutdown.restarts() => StopReason::Restart,
            0 => StopReason::Warm,
            _ => StopReason::Cold,
        })
    }

    /// Says that the worker lives.
    fn heart(
        &self,
        lifeline: &Lifeline,
        loops: &mut JoinSet<()>,
        events: &EventDispatcher,
        state: &Arc<WorkerState>,
        ended: &CancellationToken,
    ) {
        let settings = &self.app.settings().celeriac;
        if settings.heartbeat {
            let freq = settings.heartbeat_interval.duration();
            lifeline.spawn(loops, heart::beat(events.clone(), Arc::clone(state), freq, ended.clone()));
        }
    }

    /// Keeps the leases.
    fn leases(&self, lifeline: &Lifeline, loops: &mut JoinSet<()>, aside: &Aside, leases: &Arc<Leases>, ended: &CancellationToken) {
        let settings = self.app.settings();
        let (broker, lease) = (Arc::clone(&aside.broker), settings.celeriac.lease.duration());
        let (renewed, seen) = watch::channel(Instant::now());
        lifeline.spawn(loops, timer::renew_leases(broker, Arc::clone(leases), lease, renewed, ended.clone()));
        if settings.worker_cancel_long_running_tasks_on_connection_loss {
            lifeline.spawn(loops, timer::doubt_leases(Arc::clone(leases), lease, seen));
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
            nodename: self.options.nodename.clone(),
            state: Arc::clone(state),
        })
    }

    /// Starts remote control, each part on a path of its own.
    fn control(
        &self,
        lifeline: &Lifeline,
        loops: &mut JoinSet<()>,
        panel: Panel,
        opened: Option<Box<dyn Listener>>,
        ended: &CancellationToken,
    ) {
        let settings = self.app.settings();
        if !settings.worker_enable_remote_control {
            return;
        }
        let (broker, exchange) = (Arc::clone(&panel.aside.broker), settings.event_exchange.clone());
        let (events, clock) = (panel.events.clone(), Arc::clone(self.app.clock()));
        lifeline.spawn(loops, control::vote(broker, exchange, settings.celeriac.gossip, events, clock, ended.clone()));
        lifeline.spawn(loops, Mailbox::new(panel, opened).run(ended.clone()));
    }

    async fn shared(&self, shutdown: Shutdown, state: &Arc<WorkerState>, events: &EventDispatcher) -> Result<Shared> {
        let app = self.app.clone();
        let environment = Arc::new(app.environment(self.options.children.clone()));
        let follower = Follower::new(&app, &self.options.nodename);
        let errbacks = Errbacks::new(Arc::clone(&environment));
        let settler = Settler::new(Arc::clone(app.broker()), Arc::clone(app.backend()), follower, errbacks).await?;
        let autoscale = app.settings().celeriac.autoscale.map(|bounds| Arc::new(Bounds::new(bounds)));
        let window = Arc::new(self.window());
        let decode = app.decode_options();
        let (nodename, state) = (self.options.nodename.clone(), Arc::clone(state));
        let announcer = Announcer::new(events.clone(), &app, &self.options.nodename);
        let parked = Arc::default();
        Ok(Shared { nodename, decode, environment, settler, window, state, announcer, shutdown, autoscale, parked, app })
    }

    fn consumer_options(&self, lease: Duration, shutdown: &Shutdown) -> ConsumerOptions {
        ConsumerOptions {
            queues: self.options.queues.clone(),
            nodename: self.options.nodename.clone(),
            max_bytes: FETCH_BYTES,
            lease,
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

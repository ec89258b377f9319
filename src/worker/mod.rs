//! The worker: fetches messages, runs their tasks and settles what follows.
//!
//! Five roles, each knows only the next: consumer (a permit before a fetch) → strategy (verdict) → request (one delivery's life) →
//! trace (one run, to an outcome) → settle (what follows). Beside them the timer keeps leases alive.
//!
//! # Celery
//! `worker/worker.py` and `apps/worker.py`. Difference: start and stop order are plain code in [`Worker::run`].

mod announce;
mod consumer;
mod control;
mod errback;
mod follow;
mod heart;
mod request;
mod settle;
pub mod shutdown;
mod state;
mod states;
mod strategy;
mod timer;
mod trace;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::{self, JoinSet};
use tokio_util::sync::CancellationToken;

use self::announce::Announcer;
use self::consumer::{Fetcher, Reserved};
use self::control::{Mailbox, Panel};
use self::errback::Errbacks;
use self::follow::Follower;
use self::request::{Left, Request, Shared};
use self::settle::Settler;
pub use self::shutdown::{Shutdown, StopReason};
use self::state::{Leases, WorkerState};
use crate::app::App;
use crate::broker::ConsumerOptions;
use crate::error::Result;
use crate::events::{EventDispatcher, EventSender};
use crate::pool::ChildPool;

/// Bytes of messages in one fetch.
const FETCH_BYTES: usize = 16 * 1024 * 1024;

/// What a worker is started with.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// The queues it consumes, in their order.
    pub queues: Vec<String>,
    /// How many tasks run at once.
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

    /// Runs until `shutdown` says to stop; then everything it holds is finished or handed back.
    pub async fn run(self, shutdown: Shutdown) -> Result<StopReason> {
        let broker = Arc::clone(self.app.broker());
        let lease = self.app.settings().celeriac.lease.duration();
        broker.declare(&self.app.declared(&self.options.queues)?).await?;
        let leases = Arc::new(Leases::default());
        let state = Arc::new(WorkerState::new(Arc::clone(self.app.clock()), self.options.queues.clone()));
        let (events, sender) = self.events();
        let shared = Arc::new(self.shared(shutdown.clone(), &state, &events).await?);
        let reservations = Arc::new(Semaphore::new(self.reservations()));
        let (batches, received) = mpsc::channel(1);
        let fetcher = Fetcher {
            broker: Arc::clone(&broker),
            options: self.consumer_options(lease, &shutdown),
            queues: state.queues.subscribe(),
            reservations: Arc::clone(&reservations),
            refill: self.reservations().saturating_sub(self.options.concurrency) / 2,
            leases: Arc::clone(&leases),
            batches,
        };
        tracing::info!(queues = ?self.options.queues, concurrency = self.options.concurrency, "{} ready.", self.options.nodename);

        // Events are sent until all else has ended, the last of them that the worker goes offline.
        let stop_sending = CancellationToken::new();
        let mut sending = JoinSet::new();
        sending.spawn(sender.run(stop_sending.clone()));
        // Leases are renewed until the very end, what still runs during a warm stop must stay ours; so are heartbeats and remote control.
        let ended = CancellationToken::new();
        let mut loops = JoinSet::new();
        loops.spawn(heart::beat(events.clone(), Arc::clone(&state), ended.clone()));
        self.control(&mut loops, &shared, events, reservations, &ended);
        loops.spawn(timer::renew_leases(Arc::clone(&broker), Arc::clone(&leases), lease, ended.clone()));
        loops.spawn(timer::restore_orphans(Arc::clone(&broker), lease, shutdown.stopping().clone()));
        loops.spawn(timer::release_due(Arc::clone(&broker), shutdown.stopping().clone()));
        loops.spawn(fetcher.run());

        let unfinished = serve(received, &shared, &leases).await;
        if !unfinished.is_empty() {
            let count = broker.put_back(&unfinished, false).await?;
            tracing::info!(count, "handed back what was not finished");
        }
        ended.cancel();
        while loops.join_next().await.is_some() {}
        stop_sending.cancel();
        while sending.join_next().await.is_some() {}
        Ok(if shutdown.cut_off().is_cancelled() { StopReason::Cold } else { StopReason::Warm })
    }

    fn events(&self) -> (EventDispatcher, EventSender) {
        let settings = self.app.settings();
        let (clock, tasks) = (Arc::clone(self.app.clock()), settings.worker_send_task_events);
        EventDispatcher::new(Arc::clone(self.app.broker()), &settings.event_exchange, &self.options.nodename, clock, tasks)
    }

    /// Starts remote control, each part on a path of its own.
    fn control(
        &self,
        loops: &mut JoinSet<()>,
        shared: &Arc<Shared>,
        events: EventDispatcher,
        reservations: Arc<Semaphore>,
        ended: &CancellationToken,
    ) {
        let settings = self.app.settings();
        if !settings.worker_enable_remote_control {
            return;
        }
        let (broker, exchange) = (Arc::clone(self.app.broker()), settings.event_exchange.clone());
        loops.spawn(control::vote(broker, exchange, events.clone(), Arc::clone(self.app.clock()), ended.clone()));
        let panel = Panel {
            shared: Arc::clone(shared),
            events,
            reservations,
            concurrency: AtomicUsize::new(self.options.concurrency),
            children: self.options.children.clone(),
        };
        loops.spawn(Mailbox::new(panel).run(ended.clone()));
    }

    async fn shared(&self, shutdown: Shutdown, state: &Arc<WorkerState>, events: &EventDispatcher) -> Result<Shared> {
        let app = self.app.clone();
        let environment = Arc::new(app.environment(self.options.children.clone()));
        let follower = Follower::new(&app, &self.options.nodename);
        let errbacks = Errbacks::new(Arc::clone(&environment));
        let settler = Settler::new(Arc::clone(app.broker()), Arc::clone(app.backend()), follower, errbacks).await?;
        let slots = Arc::new(Semaphore::new(self.options.concurrency));
        let decode = app.decode_options();
        let (nodename, state) = (self.options.nodename.clone(), Arc::clone(state));
        let announcer = Announcer::new(events.clone(), app.registry());
        Ok(Shared { nodename, decode, environment, settler, slots, state, announcer, shutdown, app })
    }

    fn consumer_options(&self, lease: Duration, shutdown: &Shutdown) -> ConsumerOptions {
        ConsumerOptions {
            queues: self.options.queues.clone(),
            nodename: self.options.nodename.clone(),
            max_bytes: FETCH_BYTES,
            lease,
            stop: shutdown.stopping().clone(),
        }
    }

    /// How many messages may be held at once: Celery's window, `concurrency × worker_prefetch_multiplier`; 0 is no limit but ours.
    fn reservations(&self) -> usize {
        match self.app.settings().worker_prefetch_multiplier as usize {
            0 => 10_000,
            multiplier => self.options.concurrency.saturating_mul(multiplier),
        }
    }
}

/// Lives every request until the fetcher has stopped and all are gone; the tags to hand back, first received first.
async fn serve(mut received: mpsc::Receiver<Vec<Reserved>>, shared: &Arc<Shared>, leases: &Leases) -> Vec<String> {
    let mut requests = JoinSet::new();
    // Which delivery a request lives, and the how-manieth it was.
    let mut living: HashMap<task::Id, (usize, String)> = HashMap::new();
    let mut unfinished: Vec<(usize, String)> = Vec::new();
    let mut count = 0;
    let mut fetching = true;
    while fetching || !requests.is_empty() {
        tokio::select! {
            batch = received.recv(), if fetching => match batch {
                Some(batch) => for reserved in batch {
                    let tag = reserved.delivery.tag.clone();
                    let request = requests.spawn(Request::new(Arc::clone(shared), reserved).live());
                    living.insert(request.id(), (count, tag));
                    count += 1;
                },
                None => fetching = false,
            },
            Some(ended) = requests.join_next_with_id() => {
                let (id, left) = match ended {
                    Ok((id, left)) => (id, left),
                    // A panic of our own code: the lease is renewed no more, and the message comes back by itself.
                    Err(error) => {
                        tracing::error!(%error, "a request broke");
                        (error.id(), Left::Done)
                    }
                };
                match (left, living.remove(&id)) {
                    (Left::Done, Some((_, tag))) => leases.release(&tag),
                    (Left::HandBack, Some(received)) => unfinished.push(received),
                    (_, None) => {}
                }
            },
        }
    }
    unfinished.sort_unstable();
    unfinished.into_iter().map(|(_, tag)| tag).collect()
}

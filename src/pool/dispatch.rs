//! Gives waiting calls to idle children, starts children for them, and remembers which child served which key.
//!
//! One task, [`Dispatcher::run`], owns all of this; callers and children's owners talk to it over channels. Calls are served
//! in order, with one exception: an idle child may first be given a later call with the key it served last, a bounded number
//! of times for any call that is passed over.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::calls::ChildInfo;
use super::ends::Ends;
use super::error::CallError;
use super::frame::Hello;
use super::options::ChildPoolOptions;
use super::process::{Event, Job, Owner};

/// How far behind the first waiting call one with a fitting key is looked for, and how often a call may be passed over.
const LOOK_AHEAD: u32 = 16;
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const LAST_BACKOFF: Duration = Duration::from_secs(30);

/// What callers ask of the dispatcher.
#[derive(Debug)]
pub(super) enum Request {
    Call(Job),
    Inspect(oneshot::Sender<Vec<ChildInfo>>),
    Resize(usize),
    Restart,
    Close(Duration),
}

pub(super) struct Dispatcher {
    options: Arc<ChildPoolOptions>,
    size: usize,
    queue: VecDeque<Job>,
    /// Ordered by age: the number is given at the start.
    seats: BTreeMap<u64, Seat>,
    next_seat: u64,
    /// Counts assignments, so that the child idle for longest can be found.
    turn: u64,
    owners: JoinSet<()>,
    events: mpsc::UnboundedReceiver<Event>,
    tell: mpsc::UnboundedSender<Event>,
    kill: CancellationToken,
    starts: Starts,
    /// What children have said could not be had, so that it is logged once.
    said: BTreeSet<String>,
    ends: Arc<Ends>,
}

/// A child as the dispatcher sees it.
struct Seat {
    jobs: mpsc::Sender<Job>,
    pid: Option<u32>,
    state: State,
    /// It goes when it is idle.
    leaving: bool,
    runs: u64,
    last_key: Option<String>,
    last_turn: u64,
    missing: Vec<String>,
}

#[derive(PartialEq)]
enum State {
    Starting,
    Idle,
    Busy(String),
}

/// Keeps a child that cannot be started from being started in a hot loop.
#[derive(Default)]
struct Starts {
    failed: u32,
    not_before: Option<Instant>,
    error: String,
}

impl Dispatcher {
    pub(super) fn new(options: Arc<ChildPoolOptions>, ends: Arc<Ends>) -> Self {
        let (tell, events) = mpsc::unbounded_channel();
        Self {
            size: options.size,
            options,
            queue: VecDeque::new(),
            seats: BTreeMap::new(),
            next_seat: 0,
            turn: 0,
            owners: JoinSet::new(),
            events,
            tell,
            kill: CancellationToken::new(),
            starts: Starts::default(),
            said: BTreeSet::new(),
            ends,
        }
    }

    /// Serves until it is told to close or its pool is dropped. When it is aborted its children are killed.
    pub(super) async fn run(mut self, mut requests: mpsc::UnboundedReceiver<Request>) {
        let grace = loop {
            tokio::select! {
                // Events first: a caller that has its reply finds its child idle.
                biased;
                Some(event) = self.events.recv() => self.on_event(event),
                Some(_) = self.owners.join_next() => {}
                request = requests.recv() => match request {
                    Some(Request::Call(job)) => self.queue.push_back(job),
                    Some(Request::Inspect(reply)) => { let _ = reply.send(self.inspect()); }
                    Some(Request::Resize(size)) => self.resize(size),
                    Some(Request::Restart) => self.restart(),
                    Some(Request::Close(grace)) => break grace,
                    None => break Duration::ZERO,
                },
            }
            self.assign();
        };
        requests.close();
        self.close(grace).await;
        while let Some(request) = requests.recv().await {
            if let Request::Call(job) = request {
                let _ = job.reply.send(Err(CallError::Closed));
            }
        }
    }

    async fn close(mut self, grace: Duration) {
        self.queue.drain(..).for_each(|job| drop(job.reply.send(Err(CallError::Closed))));
        // Without its queue an owner retires its child after the call it is at.
        self.seats.clear();
        let all_ended = async { while self.owners.join_next().await.is_some() {} };
        if timeout(grace, all_ended).await.is_err() {
            self.kill.cancel();
            while self.owners.join_next().await.is_some() {}
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Ready { seat, pid, hello } => {
                self.starts = Starts::default();
                self.log_once(&hello);
                if let Some(seat) = self.seats.get_mut(&seat) {
                    (seat.pid, seat.missing, seat.state) = (pid, hello.missing, State::Idle);
                }
                self.resize(self.size);
            }
            Event::Idle { seat } => {
                if let Some(seat) = self.seats.get_mut(&seat) {
                    (seat.state, seat.runs) = (State::Idle, seat.runs + 1);
                }
                self.seats.retain(|_, seat| !(seat.leaving && seat.state == State::Idle));
                self.resize(self.size);
            }
            Event::Gone { seat, returned } => {
                self.seats.remove(&seat);
                returned.into_iter().for_each(|job| self.queue.push_front(job));
            }
            Event::NotStarted { seat, error } => {
                self.seats.remove(&seat);
                self.starts.failed_with(error);
            }
        }
    }

    /// Gives every waiting call that can be served to a child, or starts a child for it.
    fn assign(&mut self) {
        self.queue.retain(|job| !job.reply.is_closed());
        let mut starting = self.seats.values().filter(|seat| seat.state == State::Starting).count();
        let mut at = 0;
        while at < self.queue.len() {
            let key = self.queue[at].affinity.as_deref();
            if let Some(seat) = self.idle_that_fits(key) {
                self.give(seat, at);
            } else if starting > 0 {
                // Spoken for by a child that is on its way.
                starting -= 1;
                at += 1;
            } else if self.seats.len() < self.size && self.starts.allowed() {
                self.start();
                at += 1;
            } else if let Some((seat, last_key)) = self.idle_for_longest() {
                let chosen = self.better_suited(at, &last_key).unwrap_or(at);
                self.give(seat, chosen);
            } else {
                break;
            }
        }
        if self.seats.is_empty() && !self.starts.allowed() {
            let error = CallError::Start(self.starts.error.clone());
            self.queue.drain(..).for_each(|job| drop(job.reply.send(Err(error.clone()))));
        }
    }

    /// The idle child that served this key last, or else one that keeps nothing for any key.
    fn idle_that_fits(&self, key: Option<&str>) -> Option<u64> {
        let idle = || self.seats.iter().filter(|(_, seat)| seat.state == State::Idle);
        let same = key.and_then(|key| idle().find(|(_, seat)| seat.last_key.as_deref() == Some(key)));
        same.or_else(|| idle().find(|(_, seat)| seat.last_key.is_none())).map(|(&id, _)| id)
    }

    fn idle_for_longest(&self) -> Option<(u64, Option<String>)> {
        let idle = self.seats.iter().filter(|(_, seat)| seat.state == State::Idle);
        idle.min_by_key(|(_, seat)| seat.last_turn).map(|(&id, seat)| (id, seat.last_key.clone()))
    }

    /// A call shortly behind the one at `at` that has this key, unless that one has been passed over too often.
    fn better_suited(&mut self, at: usize, key: &Option<String>) -> Option<usize> {
        if self.queue[at].passed >= LOOK_AHEAD {
            return None;
        }
        let found = self.queue.iter().skip(at).take(LOOK_AHEAD as usize).position(|job| &job.affinity == key)?;
        self.queue[at].passed += 1;
        Some(at + found)
    }

    fn give(&mut self, seat: u64, at: usize) {
        let (Some(seat), Some(job)) = (self.seats.get_mut(&seat), self.queue.remove(at)) else { return };
        self.turn += 1;
        let (function, key) = (job.function.clone(), job.affinity.clone());
        match seat.jobs.try_send(job) {
            Ok(()) => {
                // A call without a key does not make a child forget what it keeps.
                seat.last_key = key.or_else(|| seat.last_key.take());
                (seat.state, seat.last_turn) = (State::Busy(function), self.turn);
            }
            // The owner has stopped taking jobs and its `Gone` is on the way: not idle, and the job waits on.
            Err(mpsc::error::TrySendError::Closed(job) | mpsc::error::TrySendError::Full(job)) => {
                seat.state = State::Busy(function);
                self.queue.insert(at, job);
            }
        }
    }

    fn start(&mut self) {
        let (jobs, received) = mpsc::channel(1);
        let seat = self.next_seat;
        self.next_seat += 1;
        let (options, events, kill) = (Arc::clone(&self.options), self.tell.clone(), self.kill.clone());
        self.owners.spawn(Owner { seat, options, jobs: received, events, kill, ends: Arc::clone(&self.ends) }.run());
        let seat_taken = Seat {
            jobs,
            pid: None,
            state: State::Starting,
            leaving: false,
            runs: 0,
            last_key: None,
            last_turn: 0,
            missing: Vec::new(),
        };
        self.seats.insert(seat, seat_taken);
    }

    /// Lets idle children go while there are more than `size`; the busy ones follow when they are idle.
    fn resize(&mut self, size: usize) {
        self.size = size;
        while self.seats.len() > self.size {
            let Some((seat, _)) = self.idle_for_longest() else { break };
            self.seats.remove(&seat);
        }
    }

    fn restart(&mut self) {
        self.seats.retain(|_, seat| seat.state != State::Idle);
        self.seats.values_mut().for_each(|seat| seat.leaving = seat.state != State::Starting);
    }

    fn inspect(&self) -> Vec<ChildInfo> {
        let info = |seat: &Seat| {
            let running = match &seat.state {
                State::Busy(function) => Some(function.clone()),
                State::Starting | State::Idle => None,
            };
            Some(ChildInfo { pid: seat.pid?, runs: seat.runs, running, missing: seat.missing.clone() })
        };
        self.seats.values().filter_map(info).collect()
    }

    fn log_once(&mut self, hello: &Hello) {
        for part in &hello.missing {
            if self.said.insert(part.clone()) {
                tracing::warn!("isolated children run with less of a sandbox than asked for: {part}");
            }
        }
        for (function, failure) in &hello.unready {
            let said = format!("{function}: {failure}");
            if !self.said.contains(&said) {
                tracing::error!("isolated function cannot be used: {said}");
                self.said.insert(said);
            }
        }
    }
}

impl Starts {
    fn allowed(&self) -> bool {
        self.not_before.is_none_or(|time| Instant::now() >= time)
    }

    fn failed_with(&mut self, error: String) {
        if self.failed == 0 {
            tracing::error!("isolated child cannot start: {error}");
        }
        let backoff = FIRST_BACKOFF.saturating_mul(1 << self.failed.min(10)).min(LAST_BACKOFF);
        self.failed += 1;
        self.not_before = Some(Instant::now() + backoff);
        self.error = error;
    }
}

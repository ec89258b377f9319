//! The life of messages as a model: what lies in Redis, what workers hold in their memory, and what must be true of both.
//!
//! Two tasks, the parts of one chord, two workers, one message that may be there twice. Every script of Redis is one step, everything a
//! worker does by itself is another, and between any two of them a worker may die, stand still or be cut off, or not hear an answer. Tags
//! are never used twice, so a model of them is the bit whether the one a worker holds is still there. There is no clock: a lease or a claim
//! may run out at any moment, which is what a worker that stands still, or is cut off, amounts to.

use crate::checker::Model;

/// Where a message lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    New,
    Queued,
    /// In `unacked`; `run_out` when nobody renewed its lease in time.
    Leased {
        run_out: bool,
    },
    Parked,
    Limited,
    Dead,
    Settled,
    /// Nowhere but in a worker's memory, which is only so in what is broken.
    InMemory,
    Nowhere,
}

/// A message, and what its headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Message {
    pub(crate) place: Place,
    /// `x-delivery-count`.
    pub(crate) deaths: u8,
    /// Its ETA has come.
    pub(crate) due: bool,
    /// It was given a turn.
    pub(crate) turn: bool,
    pub(crate) retried: bool,
    /// How often what follows it was published.
    pub(crate) handed_on: u8,
}

/// How far a worker is with what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Phase {
    Leased,
    Running,
    Ended,
    Joining,
    /// Its tag is no more, which it does not know yet. In time: although it was renewed in time.
    Fenced {
        in_time: bool,
    },
    /// Popped and not leased, acked and not settled, settled and not acked: in what is broken.
    Popped,
    Acked,
    Unacked,
}

/// What a worker holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Hold {
    pub(crate) message: usize,
    pub(crate) phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Worker {
    Dead,
    Alive {
        hold: Option<Hold>,
        /// What its look for orphans found and is about to put back.
        looked: Option<usize>,
    },
}

/// Who may push the chord's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Claim {
    Free,
    By(usize),
    /// By a run that is over.
    Gone,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Task {
    /// How often it was counted in its chord.
    pub(crate) parts: u8,
    pub(crate) result: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct State {
    /// Those of the two tasks, and a second copy of the first.
    pub(crate) messages: [Message; 3],
    pub(crate) workers: [Worker; 2],
    pub(crate) tasks: [Task; 2],
    pub(crate) claim: Claim,
    pub(crate) bodies: u8,
    /// Somebody changed something under a tag that was not there any more.
    pub(crate) foreign: bool,
}

/// What is done otherwise than it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    Nothing,
    PopThenLease,
    AckBeforeSettle,
    HandOnThenAck,
    SettleUnfenced,
    GiveUpUnfenced,
    RemoveBeforePush,
    RestoreWithoutSecondLook,
    RestoreFromTheLiving,
    CountPartsAnonymously,
    ClaimForEver,
    CloseUnclaimed,
}

/// What the tasks are like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Life {
    pub(crate) broken: Break,
    /// How often a message may be lost with its worker before it is given up.
    pub(crate) most_deaths: u8,
    /// A person puts dead letters back.
    pub(crate) replays: bool,
    /// The first task's message may come twice.
    pub(crate) doubled: bool,
    /// By task.
    pub(crate) eta: [bool; 2],
    pub(crate) limited: [bool; 2],
    pub(crate) retries: [bool; 2],
}

impl Life {
    pub(crate) const PLAIN: Self = Self {
        broken: Break::Nothing,
        most_deaths: 1,
        replays: false,
        doubled: false,
        eta: [false; 2],
        limited: [false; 2],
        retries: [false; 2],
    };
}

/// The task of a message.
pub(crate) fn task_of(message: usize) -> usize {
    message % 2
}

impl State {
    /// Where a message is, in the words of the table.
    pub(crate) fn at(&self, message: usize) -> &'static str {
        match self.messages[message].place {
            Place::New => "new",
            Place::Queued => "queued",
            Place::Parked => "parked",
            Place::Limited => "limited",
            Place::Dead => "dead",
            Place::Settled => "settled",
            Place::InMemory => "in memory",
            Place::Nowhere => "nowhere",
            Place::Leased { .. } => self.leased_at(message),
        }
    }

    fn leased_at(&self, message: usize) -> &'static str {
        for worker in self.workers {
            let Worker::Alive { hold: Some(hold), .. } = worker else { continue };
            match hold.phase {
                _ if hold.message != message => {}
                Phase::Fenced { .. } => {}
                Phase::Running => return "running",
                Phase::Joining => return "joining",
                Phase::Ended | Phase::Unacked => return "ended",
                Phase::Leased | Phase::Popped | Phase::Acked => return "leased",
            }
        }
        "orphaned"
    }

    /// How far living workers are with a message.
    pub(crate) fn phases(&self, message: usize) -> impl Iterator<Item = Phase> {
        self.workers.iter().filter_map(move |worker| match worker {
            Worker::Alive { hold: Some(hold), .. } if hold.message == message => Some(hold.phase),
            _ => None,
        })
    }

    /// Its tag is no more: whoever holds it, or is about to put it back, does so in vain.
    pub(crate) fn untag(&mut self, message: usize) {
        let in_time = self.messages[message].place == (Place::Leased { run_out: false });
        for worker in 0..self.workers.len() {
            let Worker::Alive { hold, looked } = &mut self.workers[worker] else { continue };
            *looked = looked.filter(|looked| *looked != message);
            if let Some(hold) = hold.as_mut().filter(|hold| hold.message == message && !matches!(hold.phase, Phase::Fenced { .. }))
            {
                hold.phase = Phase::Fenced { in_time };
                if self.claim == Claim::By(worker) {
                    self.claim = Claim::Gone;
                }
            }
        }
    }

    /// The two workers are alike: which is the first does not matter.
    pub(crate) fn in_order(mut self) -> Self {
        if self.workers[1] < self.workers[0] {
            self.workers.swap(0, 1);
            if let Claim::By(worker) = &mut self.claim {
                *worker = 1 - *worker;
            }
        }
        self
    }
}

/// A task is nowhere.
pub(crate) const LOST: &str = "a task is lost";
pub(crate) const FOREIGN: &str = "a result was written by somebody who does not own the lease";
pub(crate) const COUNTED_TWICE: &str = "a part was counted twice";
pub(crate) const BODY_TWICE: &str = "the body was sent twice";
pub(crate) const HANDED_ON_TWICE: &str = "what follows a message was sent twice";
pub(crate) const TWO_OWNERS: &str = "two workers own a task, and both renewed in time";

impl Model for Life {
    type State = State;
    type Step = crate::steps::Step;

    fn begin(&self) -> State {
        let message = Message { place: Place::New, deaths: 0, due: false, turn: false, retried: false, handed_on: 0 };
        let worker = Worker::Alive { hold: None, looked: None };
        let tasks = [Task::default(); 2];
        State { messages: [message; 3], workers: [worker; 2], tasks, claim: Claim::Free, bodies: 0, foreign: false }
    }

    fn next(&self, state: &State, found: &mut Vec<(Self::Step, State)>) {
        let places = [0, 1, 2].map(|message| state.at(message));
        crate::steps::Steps { life: self, state, places, found }.all();
    }

    fn wrong(&self, state: &State) -> Option<&'static str> {
        let lost = |(index, message): (usize, &Message)| match message.place {
            Place::Nowhere => true,
            Place::Settled => !state.tasks[task_of(index)].result,
            _ => false,
        };
        let owners = |at: usize| {
            let run_out = state.messages[at].place == (Place::Leased { run_out: true });
            let in_time = |phase| if let Phase::Fenced { in_time } = phase { in_time } else { !run_out };
            state.phases(at).filter(|phase| in_time(*phase)).count()
        };
        match () {
            () if state.messages.iter().enumerate().any(lost) => Some(LOST),
            () if state.foreign => Some(FOREIGN),
            () if state.tasks.iter().any(|task| task.parts > 1) => Some(COUNTED_TWICE),
            () if state.bodies > 1 => Some(BODY_TWICE),
            () if state.messages.iter().any(|message| message.handed_on > 1) => Some(HANDED_ON_TWICE),
            () if (0..state.messages.len()).any(|message| owners(message) > 1) => Some(TWO_OWNERS),
            () => None,
        }
    }

    fn is_over(&self, state: &State) -> bool {
        let over = |message: &Message| matches!(message.place, Place::Settled | Place::Dead);
        let (first, second) = state.messages.split_at(2);
        first.iter().all(over)
            && second.iter().all(|message| over(message) || message.place == Place::New)
            && state.tasks.iter().all(|task| task.parts == 1 && task.result)
            && (state.claim, state.bodies) == (Claim::Closed, 1)
    }
}

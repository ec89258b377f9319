//! Everything that can happen in a life: by a producer, by time, by a worker, to a worker.

use crate::life::{Break, Claim, Hold, Life, Message, Phase, Place, State, Worker, task_of};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// What it did to a message.
    pub(crate) moved: Option<(usize, &'static str, &'static str)>,
}

/// All that follows a state.
pub(crate) struct Steps<'a> {
    pub(crate) life: &'a Life,
    pub(crate) state: &'a State,
    /// Where its messages are.
    pub(crate) places: [&'static str; 3],
    pub(crate) found: &'a mut Vec<(Step, State)>,
}

impl Steps<'_> {
    pub(crate) fn all(mut self) {
        (0..self.state.messages.len()).for_each(|message| self.of_message(message));
        (0..self.state.workers.len()).for_each(|worker| self.of_worker(worker));
        if matches!(self.state.claim, Claim::By(_) | Claim::Gone) && self.life.broken != Break::ClaimForEver {
            self.add("the claim runs out", |state| state.claim = Claim::Free);
        }
    }

    fn add(&mut self, name: &'static str, act: impl FnOnce(&mut State)) {
        let mut after = *self.state;
        act(&mut after);
        if after != *self.state {
            let places = |message| (message, self.places[message], after.at(message));
            let moved = (0..after.messages.len()).map(places).find(|(_, from, to)| from != to);
            self.found.push((Step { name, moved }, after.in_order()));
        }
    }

    /// What happens to a message without a worker's memory.
    fn of_message(&mut self, at: usize) {
        let message = self.state.messages[at];
        let anybody = self.state.workers.iter().any(|worker| *worker != Worker::Dead);
        let (name, message) = match message.place {
            Place::New if at < 2 || self.life.doubled => ("publish", Message { place: Place::Queued, ..message }),
            Place::Parked if anybody => ("due", Message { place: Place::Queued, due: true, ..message }),
            Place::Limited if anybody => ("admit", Message { place: Place::Queued, turn: true, ..message }),
            Place::Dead if self.life.replays => {
                ("requeue from the dead", Message { place: Place::Queued, deaths: 0, handed_on: 0, ..message })
            }
            Place::Leased { run_out: false } => {
                ("the lease runs out", Message { place: Place::Leased { run_out: true }, ..message })
            }
            _ => return,
        };
        self.add(name, |state| state.messages[at] = message);
    }

    fn of_worker(&mut self, me: usize) {
        let Worker::Alive { hold, looked } = self.state.workers[me] else {
            return self.add("a worker starts", |state| state.workers[me] = Worker::Alive { hold: None, looked: None });
        };
        self.add("crash", |state| {
            let in_memory = hold.filter(|hold| matches!(hold.phase, Phase::Popped | Phase::Acked)).map(|hold| hold.message);
            let removed = looked.filter(|message| state.messages[*message].place == Place::InMemory);
            for message in in_memory.into_iter().chain(removed) {
                state.messages[message].place = Place::Nowhere;
            }
            drop_hold(state, me);
            state.workers[me] = Worker::Dead;
        });
        self.restoring(me, looked);
        match hold {
            Some(hold) => self.holding(me, hold),
            None => (0..self.state.messages.len()).for_each(|message| self.fetching(me, message)),
        }
    }

    fn fetching(&mut self, me: usize, at: usize) {
        if self.state.messages[at].place != Place::Queued {
            return;
        }
        let two_steps = self.life.broken == Break::PopThenLease;
        let leased = Place::Leased { run_out: false };
        let (place, unheard, phase) = match two_steps {
            true => (Place::InMemory, Place::Nowhere, Phase::Popped),
            false => (leased, leased, Phase::Leased),
        };
        self.add("fetch", |state| {
            state.messages[at].place = place;
            set_hold(state, me, Some(Hold { message: at, phase }));
        });
        self.add("fetch, unheard", |state| state.messages[at].place = unheard);
    }

    /// Puts back what nobody renewed: one call reads, another looks again and changes.
    fn restoring(&mut self, me: usize, looked: Option<usize>) {
        let any_lease = self.life.broken == Break::RestoreFromTheLiving;
        let seen = |place| matches!(place, Place::Leased { run_out } if run_out || any_lease);
        let Some(at) = looked else {
            for at in (0..self.state.messages.len()).filter(|at| seen(self.state.messages[*at].place)) {
                self.add("look for orphans", |state| set_looked(state, me, Some(at)));
            }
            return;
        };
        let message = self.state.messages[at];
        let deaths = (message.deaths + 1).min(self.life.most_deaths);
        let marked = Message { place: Place::Queued, deaths, ..message };
        let unseen = self.life.broken == Break::RestoreWithoutSecondLook;
        match message.place {
            Place::InMemory => self.add("push", |state| {
                state.messages[at] = marked;
                set_looked(state, me, None);
            }),
            place if unseen || seen(place) => self.add("restore", |state| {
                state.untag(at);
                state.messages[at] = marked;
                if self.life.broken == Break::RemoveBeforePush {
                    state.messages[at].place = Place::InMemory;
                    set_looked(state, me, Some(at));
                }
            }),
            _ => self.add("restores nothing", |state| set_looked(state, me, None)),
        }
    }

    /// What a worker does with what it holds.
    fn holding(&mut self, me: usize, hold: Hold) {
        let (at, message) = (hold.message, self.state.messages[hold.message]);
        let poison = message.deaths >= self.life.most_deaths;
        let goes_on = |phase| move |state: &mut State| set_hold(state, me, Some(Hold { phase, ..hold }));
        if message.place == (Place::Leased { run_out: true }) && !matches!(hold.phase, Phase::Fenced { .. }) {
            self.add("renew", |state| state.messages[at].place = Place::Leased { run_out: false });
        }
        match hold.phase {
            Phase::Popped => self.add("lease", |state| {
                state.messages[at].place = Place::Leased { run_out: false };
                goes_on(Phase::Leased)(state);
            }),
            Phase::Leased => {
                self.leaves(me, hold);
                if poison {
                    self.add("give up", goes_on(Phase::Ended));
                } else {
                    self.add("discard", goes_on(Phase::Ended));
                    self.add("start", goes_on(Phase::Running));
                }
            }
            Phase::Running => {
                self.leaves(me, hold);
                self.add("end", goes_on(Phase::Ended));
            }
            Phase::Ended if self.life.broken == Break::AckBeforeSettle => self.add("ack", |state| {
                state.untag(at);
                state.messages[at].place = Place::InMemory;
                goes_on(Phase::Acked)(state);
            }),
            Phase::Ended | Phase::Joining | Phase::Acked => self.settling(me, hold),
            Phase::Unacked => self.add("ack", |state| finish(state, me, at, Place::Settled)),
            Phase::Fenced { .. } => {
                self.add("sees that its lease is lost", |state| drop_hold(state, me));
                if self.life.broken == Break::SettleUnfenced || (self.life.broken == Break::GiveUpUnfenced && poison) {
                    self.settling(me, hold);
                }
            }
        }
    }

    /// A message leaves a worker that will not end it.
    fn leaves(&mut self, me: usize, hold: Hold) {
        let (at, task, message) = (hold.message, task_of(hold.message), self.state.messages[hold.message]);
        let mut ways = vec![("put back", Place::Queued)];
        if hold.phase == Phase::Leased && message.deaths < self.life.most_deaths {
            ways.extend((self.life.eta[task] && !message.due).then_some(("park", Place::Parked)));
            ways.extend((self.life.limited[task] && !message.turn).then_some(("defer", Place::Limited)));
        }
        for (name, place) in ways {
            self.add(name, |state| finish(state, me, at, place));
        }
    }

    /// One call of the settle script, whose answer is heard or not.
    fn settling(&mut self, me: usize, hold: Hold) {
        let (at, message) = (hold.message, self.state.messages[hold.message]);
        if hold.phase == Phase::Ended && message.deaths < self.life.most_deaths {
            self.add("requeue", |state| {
                finish(state, me, at, Place::Queued);
                state.messages[at].deaths += 1;
            });
            if self.life.retries[task_of(at)] && !message.retried {
                self.add("retry", |state| {
                    finish(state, me, at, Place::Queued);
                    state.messages[at] = Message { deaths: 0, due: false, turn: false, retried: true, ..state.messages[at] };
                });
            }
        }
        let mut after = *self.state;
        let name = settle(self.life, &mut after, me, hold);
        self.add(name, |state| *state = after);
        // Unheard: it does the same again, and if the first time was the last it finds its tag gone.
        let tagged = matches!(after.messages[at].place, Place::Leased { .. });
        let phase = if tagged { hold.phase } else { Phase::Fenced { in_time: false } };
        if matches!(hold.phase, Phase::Ended | Phase::Joining) {
            self.add(name, |state| {
                *state = after;
                set_hold(state, me, Some(Hold { phase, ..hold }));
            });
        }
    }
}

/// What `settle.lua` does with a run that ended for good, and what that is called.
fn settle(life: &Life, state: &mut State, me: usize, hold: Hold) -> &'static str {
    let at = hold.message;
    state.foreign |= matches!(hold.phase, Phase::Fenced { .. });
    let poison = state.messages[at].deaths >= life.most_deaths;
    let last = if poison { Place::Dead } else { Place::Settled };
    if hold.phase == Phase::Joining {
        let claimed = state.claim == Claim::Free || state.claim == Claim::By(me);
        if !claimed && life.broken != Break::CloseUnclaimed {
            set_hold(state, me, Some(Hold { phase: Phase::Ended, ..hold }));
            return "claim lost";
        }
        (state.claim, state.bodies) = (Claim::Closed, state.bodies + 1);
        state.messages[at].handed_on += 1;
        finish(state, me, at, last);
        return if poison { "close and bury" } else { "close" };
    }
    state.tasks[task_of(at)].result = true;
    if state.claim != Claim::Closed {
        let parts = &mut state.tasks[task_of(at)].parts;
        *parts = if life.broken == Break::CountPartsAnonymously { *parts + 1 } else { 1 };
        if state.tasks.iter().all(|task| task.parts > 0) {
            if state.claim != Claim::Free && state.claim != Claim::By(me) {
                return "another closes the chord";
            }
            state.claim = Claim::By(me);
            set_hold(state, me, Some(Hold { phase: Phase::Joining, ..hold }));
            return "claim";
        }
    }
    state.messages[at].handed_on += 1;
    if life.broken == Break::HandOnThenAck {
        set_hold(state, me, Some(Hold { phase: Phase::Unacked, ..hold }));
    } else {
        finish(state, me, at, last);
    }
    if poison { "bury" } else { "settle" }
}

/// A message goes where it goes, and its worker is free.
fn finish(state: &mut State, me: usize, message: usize, place: Place) {
    drop_hold(state, me);
    state.untag(message);
    state.messages[message].place = place;
}

fn drop_hold(state: &mut State, me: usize) {
    set_hold(state, me, None);
    if state.claim == Claim::By(me) {
        state.claim = Claim::Gone;
    }
}

fn set_hold(state: &mut State, me: usize, new: Option<Hold>) {
    if let Worker::Alive { hold, .. } = &mut state.workers[me] {
        *hold = new;
    }
}

fn set_looked(state: &mut State, me: usize, new: Option<usize>) {
    if let Worker::Alive { looked, .. } = &mut state.workers[me] {
        *looked = new;
    }
}

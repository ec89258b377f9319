//! A circuit breaker: after so many failures in a row, calls are not made for a while; then one is, and what comes of it decides.
//!
//! ```text
//! closed ── failures in a row ─▶ open ── wait is over ─▶ half-open: one call
//!    ▲                            ▲                           │
//!    └────────── it answers ──────┼───────────────────────────┤
//!                                 └────────── it fails ───────┘
//! ```
//!
//! A call that is dropped before it has ended says nothing: where it was the one that was to decide, the next one is.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// When a provider is left alone, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitOptions {
    /// After how many failures in a row; 0: never.
    pub failures: u32,
    /// For how long.
    pub wait: Duration,
}

impl Default for CircuitOptions {
    fn default() -> Self {
        Self { failures: 5, wait: Duration::from_secs(30) }
    }
}

/// Whether calls are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Circuit {
    /// They are.
    Closed,
    /// They are not.
    Open,
    /// One is, and decides.
    HalfOpen,
}

impl Circuit {
    /// As it is told.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl fmt::Display for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug)]
enum State {
    /// Calls are made; so many of the last ones failed.
    Closed { failures: u32 },
    /// None is made before `until`, or while one that decides is on its way.
    Open { since: Instant, until: Instant, deciding: bool },
}

/// A circuit breaker.
#[derive(Debug)]
pub struct Breaker {
    options: CircuitOptions,
    state: Mutex<State>,
}

/// A call that may be made. What came of it is to be said; dropped without a word, it counts as not made.
#[derive(Debug)]
#[must_use = "what came of the call is to be said"]
pub struct Permit<'a> {
    breaker: &'a Breaker,
    /// Whether it decides.
    decides: bool,
    said: bool,
}

impl Breaker {
    /// A closed one.
    pub const fn new(options: CircuitOptions) -> Self {
        Self { options, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    /// When it opens, and for how long.
    pub const fn options(&self) -> CircuitOptions {
        self.options
    }

    /// What it is now.
    pub fn circuit(&self) -> Circuit {
        match *self.lock() {
            State::Closed { .. } => Circuit::Closed,
            State::Open { deciding: true, .. } => Circuit::HalfOpen,
            State::Open { .. } => Circuit::Open,
        }
    }

    /// Whether a call would be made now; if not, in how long it is to be asked again.
    ///
    /// # Errors
    /// That time.
    pub fn ready(&self) -> Result<(), Duration> {
        match &*self.lock() {
            State::Closed { .. } => Ok(()),
            State::Open { until, deciding, .. } => self.left(*until, *deciding),
        }
    }

    /// Lets a call be made.
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub fn admit(&self) -> Result<Permit<'_>, Duration> {
        let mut state = self.lock();
        let decides = match &mut *state {
            State::Closed { .. } => false,
            State::Open { until, deciding, .. } => {
                self.left(*until, *deciding)?;
                *deciding = true;
                true
            }
        };
        Ok(Permit { breaker: self, decides, said: false })
    }

    /// How long one that comes now is to wait.
    fn left(&self, until: Instant, deciding: bool) -> Result<(), Duration> {
        let left = until.saturating_duration_since(Instant::now());
        match (left.is_zero(), deciding) {
            (true, false) => Ok(()),
            // The call that decides may take as long as it likes; nobody knows how long.
            (true, true) => Err(self.options.wait),
            (false, _) => Err(left),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// The provider answered, whatever it said. After a time of failures: how long that was.
    pub fn answered(mut self) -> Option<Duration> {
        self.said = true;
        let mut state = self.breaker.lock();
        let downtime = match &*state {
            State::Open { since, .. } if self.decides => Some(since.elapsed()),
            // One that was on its way when the circuit opened says nothing about now.
            State::Open { .. } => return None,
            State::Closed { .. } => None,
        };
        *state = State::Closed { failures: 0 };
        downtime
    }

    /// The provider failed. Where it is left alone from now on: for how long.
    pub fn failed(mut self) -> Option<Duration> {
        self.said = true;
        let CircuitOptions { failures: most, wait } = self.breaker.options;
        let (mut state, now) = (self.breaker.lock(), Instant::now());
        match &mut *state {
            State::Closed { failures } => {
                *failures += 1;
                if most == 0 || *failures < most {
                    return None;
                }
                *state = State::Open { since: now, until: now + wait, deciding: false };
            }
            State::Open { until, deciding, .. } if self.decides => (*until, *deciding) = (now + wait, false),
            State::Open { .. } => return None,
        }
        Some(wait)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.decides
            && !self.said
            && let State::Open { deciding, .. } = &mut *self.breaker.lock()
        {
            *deciding = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(30);

    fn breaker(failures: u32) -> Breaker {
        Breaker::new(CircuitOptions { failures, wait: WAIT })
    }

    fn fails(breaker: &Breaker) -> Option<Duration> {
        breaker.admit().unwrap().failed()
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_open_it_and_an_answer_between_them_begins_anew() {
        let breaker = breaker(3);
        assert_eq!((fails(&breaker), fails(&breaker)), (None, None));
        assert_eq!(breaker.admit().unwrap().answered(), None);
        assert_eq!((fails(&breaker), fails(&breaker), breaker.circuit()), (None, None, Circuit::Closed));
        assert_eq!((fails(&breaker), breaker.circuit()), (Some(WAIT), Circuit::Open));
        tokio::time::advance(WAIT / 3).await;
        assert_eq!(breaker.admit().err(), Some(WAIT - WAIT / 3));
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_wait_one_call_decides() {
        let breaker = breaker(1);
        fails(&breaker);
        tokio::time::advance(WAIT).await;
        let deciding = breaker.admit().unwrap();
        assert_eq!(breaker.circuit(), Circuit::HalfOpen);
        assert_eq!(breaker.admit().err(), Some(WAIT));
        assert_eq!((deciding.failed(), breaker.circuit()), (Some(WAIT), Circuit::Open));
        assert_eq!(breaker.ready(), Err(WAIT));
        tokio::time::advance(WAIT).await;
        // What is dropped decides nothing, and the next one does.
        drop(breaker.admit().unwrap());
        assert_eq!(breaker.admit().unwrap().answered(), Some(2 * WAIT));
        assert_eq!((breaker.circuit(), breaker.ready()), (Circuit::Closed, Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_on_its_way_when_it_opened_changes_nothing() {
        let breaker = breaker(1);
        let (early, late) = (breaker.admit().unwrap(), breaker.admit().unwrap());
        fails(&breaker);
        tokio::time::advance(WAIT / 2).await;
        assert_eq!((early.answered(), late.failed()), (None, None));
        assert_eq!(breaker.ready(), Err(WAIT - WAIT / 2));
    }

    #[test]
    fn with_0_it_never_opens() {
        let breaker = breaker(0);
        assert!((0..1000).all(|_| fails(&breaker).is_none()));
        assert_eq!(breaker.circuit(), Circuit::Closed);
    }
}

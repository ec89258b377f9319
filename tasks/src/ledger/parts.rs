//! A job of several documents: its state follows from its parts, each of which is a job of its own. Pure, as [`super::life`] is.
//!
//! How many parts are in which state is counted by the lists they stand in, which change in one step with them; so the count can
//! neither be lost nor go wrong, and no entry is written for each page or part of thousands.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::entry::{Entry, Submission};
use super::event::Event;
use super::shelf::Index;
use crate::result::{JobStatus, PartialReason, Phase};

/// What a part's number is taken from, so that lists that begin with the greatest begin with the first part.
const LAST: i64 = 1_000_000_000;

/// How many parts of a job are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Parts {
    /// Whether all of them are entered.
    pub entered: bool,
    /// By state, in the order of [`JobStatus::ALL`].
    counts: [u32; JobStatus::ALL.len()],
}

impl Parts {
    pub(super) fn counted(entered: bool, counts: &[u64]) -> Self {
        let mut parts = Self { entered, ..Self::default() };
        for (count, found) in parts.counts.iter_mut().zip(counts) {
            *count = u32::try_from(*found).unwrap_or(u32::MAX);
        }
        parts
    }

    /// How many are in a state.
    pub fn in_state(&self, status: JobStatus) -> u32 {
        self.count(|state| state == status)
    }

    /// Those that are entered.
    pub fn total(&self) -> u32 {
        self.count(|_| true)
    }

    /// Those that have ended, well or not.
    pub fn ended(&self) -> u32 {
        self.count(JobStatus::is_terminal)
    }

    /// Those of which there is a result.
    pub fn successful(&self) -> u32 {
        self.count(|status| matches!(status, JobStatus::Completed | JobStatus::Partial))
    }

    /// Those that ended without.
    pub fn failed(&self) -> u32 {
        self.ended() - self.successful()
    }

    fn count(&self, fits: impl Fn(JobStatus) -> bool) -> u32 {
        JobStatus::ALL.iter().zip(self.counts).filter(|(status, _)| fits(**status)).map(|(_, count)| count).sum()
    }

    /// How a job ends whose parts have ended so.
    fn ending(&self, stopped: bool) -> (JobStatus, Vec<PartialReason>) {
        let count = |status| self.in_state(status);
        let cancelled = count(JobStatus::Cancelled) + count(JobStatus::Expired);
        let reasons = [
            (count(JobStatus::Failed) > 0, PartialReason::DocumentsFailed),
            (count(JobStatus::Partial) > 0, PartialReason::DocumentsPartial),
            (cancelled > 0, PartialReason::Cancelled),
        ];
        let reasons = reasons.into_iter().filter(|(is, _)| *is).map(|(_, reason)| reason).collect();
        let status = match (self.successful(), count(JobStatus::Failed)) {
            _ if stopped && cancelled > 0 => JobStatus::Cancelled,
            (0, 0) => JobStatus::Cancelled,
            (0, _) => JobStatus::Failed,
            _ if count(JobStatus::Completed) == self.total() => JobStatus::Completed,
            _ => JobStatus::Partial,
        };
        (status, reasons)
    }
}

/// The lists of a job's parts.
pub(super) fn lists_of(parent: &str) -> [Index; JobStatus::ALL.len()] {
    JobStatus::ALL.map(|status| Index::Parts(parent.to_owned(), Some(status)))
}

/// Where a part stands in the lists of its job.
pub(super) fn places(entry: &Entry) -> Vec<(Index, i64)> {
    let Some((parent, at)) = entry.submission.place_among_parts() else { return Vec::new() };
    [None, Some(entry.status)].map(|status| (Index::Parts(parent.to_owned(), status), at)).to_vec()
}

impl Submission {
    /// The job it is a part of, and its place in a list of its parts, of which the first has the greatest.
    pub fn place_among_parts(&self) -> Option<(&str, i64)> {
        Some((self.parent.as_deref()?, LAST - i64::from(self.part)))
    }
}

impl Entry {
    /// Its parts are so now: it goes on, ends, or has begun again because one of them did.
    pub(super) fn follow(&mut self, parts: Parts, now: DateTime<Utc>, events: &mut Vec<Event>) {
        let over = parts.entered && parts.ended() == parts.total();
        match (over, self.status.is_terminal()) {
            (true, false) => {
                self.parts = Some(parts);
                (self.status, self.partial_reasons) = parts.ending(self.status == JobStatus::Cancelling);
                self.times.pages_done = Some(now);
                self.end(now, events);
            }
            (true, true) => {
                // One was removed, or ran again unseen.
                if self.parts.replace(parts) != Some(parts) {
                    (self.status, self.partial_reasons) = parts.ending(self.status == JobStatus::Cancelled);
                    events.push(self.state_event());
                }
            }
            (false, ended) => self.go_on(parts, ended, now, events),
        }
    }

    fn go_on(&mut self, parts: Parts, ended: bool, now: DateTime<Utc>, events: &mut Vec<Event>) {
        let begun = parts.ended() > 0 || parts.in_state(JobStatus::Processing) + parts.in_state(JobStatus::Cancelling) > 0;
        let status = match self.status {
            JobStatus::Cancelling => JobStatus::Cancelling,
            _ if begun => JobStatus::Processing,
            _ => JobStatus::Queued,
        };
        if ended {
            (self.times.queued, self.times.started) = (Some(now), None);
            (self.times.finished, self.times.cancelled, self.times.pages_done) = (None, None, None);
            self.partial_reasons.clear();
        }
        if status == self.status {
            return;
        }
        if status == JobStatus::Processing && self.times.started.is_none() {
            self.times.started = Some(now);
            self.runs += 1;
        }
        self.phase = if status == JobStatus::Queued { Phase::Upload } else { Phase::Pages };
        self.status = status;
        events.push(self.state_event());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(entered: bool, counts: [u64; JobStatus::ALL.len()]) -> Parts {
        Parts::counted(entered, &counts)
    }

    /// How a job ends whose parts are completed, partial, failed and cancelled so often.
    fn ends(stopped: bool, [completed, partial, failed, cancelled]: [u64; 4]) -> JobStatus {
        parts(true, [0, 0, 0, completed, partial, failed, cancelled, 0]).ending(stopped).0
    }

    #[test]
    fn an_end_follows_from_how_the_parts_ended() {
        assert_eq!(ends(false, [3, 0, 0, 0]), JobStatus::Completed);
        assert_eq!(ends(true, [3, 0, 0, 0]), JobStatus::Completed, "all were done when it was stopped");
        assert_eq!(ends(false, [2, 1, 0, 0]), JobStatus::Partial);
        assert_eq!(ends(false, [2, 0, 1, 0]), JobStatus::Partial);
        assert_eq!(ends(false, [2, 0, 0, 1]), JobStatus::Partial);
        assert_eq!(ends(true, [2, 0, 0, 1]), JobStatus::Cancelled);
        assert_eq!(ends(false, [0, 0, 3, 1]), JobStatus::Failed);
        assert_eq!(ends(false, [0, 0, 0, 2]), JobStatus::Cancelled);
    }

    #[test]
    fn a_job_begins_and_ends_with_its_parts_and_runs_again_when_one_does() {
        let submission = Submission { documents: Some(3), ..Submission::default() };
        let (mut entry, mut events, now) = (Entry::new("j", submission, Utc::now()), Vec::new(), Utc::now());
        entry.follow(parts(false, [2, 0, 0, 0, 0, 0, 0, 0]), now, &mut events);
        assert_eq!((entry.status, entry.total(), events.len()), (JobStatus::Queued, 3, 0));
        entry.follow(parts(false, [1, 1, 0, 0, 0, 0, 0, 0]), now, &mut events);
        assert_eq!((entry.status, entry.runs, entry.times.started), (JobStatus::Processing, 1, Some(now)));
        entry.follow(parts(false, [0, 0, 0, 2, 0, 0, 0, 0]), now, &mut events);
        assert_eq!(entry.status, JobStatus::Processing, "the third is not entered yet");
        entry.follow(parts(true, [0, 0, 0, 2, 0, 1, 0, 0]), now, &mut events);
        assert_eq!((entry.status, entry.partial_reasons.as_slice()), (JobStatus::Partial, &[PartialReason::DocumentsFailed][..]));
        assert_eq!((entry.total(), entry.done(), entry.failed(), entry.percent()), (3, 2, 1, 100.0));

        let told = events.len();
        entry.follow(parts(true, [0, 0, 0, 2, 0, 1, 0, 0]), now, &mut events);
        assert_eq!(events.len(), told, "what is known is told once");
        entry.follow(parts(true, [1, 0, 0, 2, 0, 0, 0, 0]), now, &mut events);
        assert_eq!((entry.status, entry.runs, entry.times.finished), (JobStatus::Processing, 2, None));
        entry.follow(parts(true, [0, 0, 0, 3, 0, 0, 0, 0]), now, &mut events);
        assert_eq!((entry.status, entry.partial_reasons.as_slice()), (JobStatus::Completed, &[][..]));
        entry.follow(parts(true, [0, 0, 0, 2, 0, 0, 0, 0]), now, &mut events);
        assert_eq!((entry.status, entry.total()), (JobStatus::Completed, 2), "one was removed");
    }

    #[test]
    fn a_stopped_job_ends_when_its_parts_have() {
        let submission = Submission { documents: Some(2), ..Submission::default() };
        let (mut entry, mut events, now) = (Entry::new("j", submission, Utc::now()), Vec::new(), Utc::now());
        assert!(entry.cancel(now, &mut events));
        assert_eq!(entry.status, JobStatus::Cancelling, "its parts have not ended");
        entry.follow(parts(true, [0, 1, 0, 0, 0, 0, 1, 0]), now, &mut events);
        assert_eq!(entry.status, JobStatus::Cancelling);
        entry.follow(parts(true, [0, 0, 0, 1, 0, 0, 1, 0]), now, &mut events);
        assert_eq!(entry.status, JobStatus::Cancelled);
    }
}

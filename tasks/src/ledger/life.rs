//! The life of a job: what may happen to its entry, and what callers are told of it. Pure; [`super::Ledger`] makes each change one step.
//!
//! ```text
//! queued ─▶ processing ─▶ completed | partial | failed
//!    │           └─▶ cancelling ─▶ cancelled
//!    └─▶ cancelled                                     each end ─▶ queued, when it is asked for again
//! ```

use chrono::{DateTime, Utc};
use serde_json::{Map, json};

use super::entry::{Entry, Limits, Opened, Submission};
use super::event::{Event, Kind};
use super::states::{PageState, PageStates};
use crate::error::ErrorRecord;
use crate::result::{JobStatus, ModelUsage, PartialReason, Phase};

/// Whether work on a job goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Go,
    /// It does not, for this reason: what is done stays, and nothing more is begun.
    Stop(PartialReason),
}

/// What happened to a page.
#[derive(Debug, Clone)]
pub struct PageChange {
    /// The page, from 1.
    pub page: u32,
    /// Its state now.
    pub state: PageState,
    /// How long it took.
    pub milliseconds: Option<u64>,
    /// Which try it was, from 1.
    pub attempt: u32,
    /// What a model took for it.
    pub usage: Option<ModelUsage>,
    /// Why it failed.
    pub error: Option<ErrorRecord>,
}

impl PageChange {
    /// A page in this state, of which nothing more is known.
    pub const fn new(page: u32, state: PageState) -> Self {
        Self { page, state, milliseconds: None, attempt: 1, usage: None, error: None }
    }
}

/// What opening a document changes.
#[derive(Debug, Clone)]
pub struct Opening {
    /// What it told.
    pub opened: Opened,
    /// The pages of which an earlier run has made something that can be used.
    pub cached: Vec<u32>,
    /// The pages asked for.
    pub asked: Vec<u32>,
}

/// How a job ended.
#[derive(Debug, Clone)]
pub struct Ending {
    /// As the pages tell it.
    pub status: JobStatus,
    /// Why it is not whole.
    pub partial_reasons: Vec<PartialReason>,
    /// Why it failed.
    pub error: Option<ErrorRecord>,
}

impl Entry {
    /// Whether more may be begun at this time.
    pub fn verdict(&self, now: DateTime<Utc>) -> Verdict {
        match self.status {
            JobStatus::Cancelling | JobStatus::Cancelled | JobStatus::Expired => Verdict::Stop(PartialReason::Cancelled),
            _ => self.beyond(Limits::default(), now).map_or(Verdict::Go, Verdict::Stop),
        }
    }

    /// Which of its limits it has reached, once these are its own.
    pub fn beyond(&self, limits: Limits, now: DateTime<Utc>) -> Option<PartialReason> {
        let Limits { deadline, max_cost_usd, max_tokens } = self.within(limits);
        let tokens = self.spent.input_tokens + self.spent.output_tokens;
        let dear = max_cost_usd.is_some_and(|most| self.spent.cost_usd >= most);
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Some(PartialReason::Deadline);
        }
        (dear || max_tokens.is_some_and(|most| tokens >= most)).then_some(PartialReason::Budget)
    }

    /// Its limits, with what is said anew.
    fn within(&self, limits: Limits) -> Limits {
        let asked = &self.submission;
        Limits {
            deadline: limits.deadline.or(asked.deadline),
            max_cost_usd: limits.max_cost_usd.or(asked.max_cost_usd),
            max_tokens: limits.max_tokens.or(asked.max_tokens),
        }
    }

    /// A worker has begun the job.
    pub(super) fn begin(&mut self, phase: Phase, now: DateTime<Utc>, events: &mut Vec<Event>) -> Verdict {
        if let stop @ Verdict::Stop(_) = self.verdict(now) {
            return stop;
        }
        // A job of several documents has no task of its own.
        if self.parts.is_some() {
            return Verdict::Stop(PartialReason::Cancelled);
        }
        if self.status != JobStatus::Processing {
            self.status = JobStatus::Processing;
            self.runs += 1;
            self.partial_reasons.clear();
            self.error = None;
            self.times.started = Some(now);
            (self.times.pages_done, self.times.finished, self.times.cancelled) = (None, None, None);
            events.push(self.state_event());
        }
        self.set_phase(phase, events);
        Verdict::Go
    }

    /// Its document was opened.
    pub(super) fn open(&mut self, opening: Opening, events: &mut Vec<Event>) {
        let mut pages = PageStates::new(opening.opened.total_pages, PageState::Skipped);
        for page in opening.asked {
            pages.set(page, PageState::Queued);
        }
        for page in opening.cached {
            pages.set(page, PageState::Cached);
        }
        self.pages = pages;
        self.opened = Some(opening.opened);
        events.push(self.snapshot());
        self.set_phase(Phase::Pages, events);
    }

    /// Something happened to pages.
    pub(super) fn change_pages(&mut self, changes: &[PageChange], now: DateTime<Utc>, events: &mut Vec<Event>) {
        let mut ended = Vec::new();
        for change in changes {
            // What is told twice counts once.
            let Some(earlier) = self.pages.set(change.page, change.state).filter(|earlier| *earlier != change.state) else {
                continue;
            };
            if change.state.has_ended() && !earlier.has_ended() {
                ended.push(change.page);
            }
            change.usage.iter().for_each(|usage| self.spent.add(usage));
            events.push(self.page_event(change));
        }
        for batch in self.batches_of(&ended).iter().filter(|batch| batch.is_complete()) {
            let data = json!({"batch": batch.number, "ok": batch.pages - batch.failed, "failed": batch.failed});
            events.push(self.event(Kind::Batch, data));
        }
        if self.times.pages_done.is_none() && !self.pages.is_empty() && self.ended() == self.total() {
            self.times.pages_done = Some(now);
        }
    }

    /// It came to another stage.
    pub(super) fn set_phase(&mut self, phase: Phase, events: &mut Vec<Event>) {
        if self.phase != phase && !self.status.is_terminal() {
            self.phase = phase;
            events.push(self.event(Kind::Phase, json!({"phase": phase})));
        }
    }

    /// It ended. One that has ended stays as it is, and one of several documents ends with these.
    pub(super) fn finish(&mut self, ending: Ending, now: DateTime<Utc>, events: &mut Vec<Event>) {
        if self.status.is_terminal() || self.parts.is_some() {
            return;
        }
        let cancelled = self.status == JobStatus::Cancelling;
        self.status = if cancelled { JobStatus::Cancelled } else { ending.status };
        self.partial_reasons = ending.partial_reasons;
        if cancelled && !self.partial_reasons.contains(&PartialReason::Cancelled) {
            self.partial_reasons.push(PartialReason::Cancelled);
        }
        self.error = ending.error;
        self.end(now, events);
    }

    /// Somebody wants it stopped. `false`: it has ended.
    pub(super) fn cancel(&mut self, now: DateTime<Utc>, events: &mut Vec<Event>) -> bool {
        match self.status {
            JobStatus::Queued if self.parts.is_none() => {
                self.status = JobStatus::Cancelled;
                self.times.cancelled = Some(now);
                self.partial_reasons = vec![PartialReason::Cancelled];
                self.end(now, events);
            }
            JobStatus::Queued | JobStatus::Processing => {
                self.status = JobStatus::Cancelling;
                self.times.cancelled = Some(now);
                events.push(self.state_event());
                self.leave_out(events);
            }
            JobStatus::Cancelling => {}
            _ => return false,
        }
        true
    }

    /// Of one that was stopped, only what stops its work stays.
    pub(super) fn mark(&mut self) {
        if self.parts.is_none() && matches!(self.status, JobStatus::Cancelling | JobStatus::Cancelled) {
            self.deleted = true;
            self.submission = Submission::default();
            self.opened.iter_mut().for_each(|opened| opened.title = None);
        }
    }

    /// What has not begun will not: all of it at once, for its messages tell nothing any more.
    fn leave_out(&mut self, events: &mut Vec<Event>) {
        let waits = |state: PageState| matches!(state, PageState::Pending | PageState::Queued | PageState::Retrying);
        if self.pages.turn(waits, PageState::Cancelled) {
            events.push(self.snapshot());
        }
    }

    fn snapshot(&self) -> Event {
        self.event(Kind::Snapshot, json!({"total": self.total(), "page_states": self.pages.to_string()}))
    }

    /// It is to run again, with these limits. `false`: it has not ended.
    pub(super) fn restart(&mut self, limits: Limits, now: DateTime<Utc>, events: &mut Vec<Event>) -> bool {
        if !self.status.is_terminal() {
            return false;
        }
        let Limits { deadline, max_cost_usd, max_tokens } = self.within(limits);
        let asked = &mut self.submission;
        (asked.deadline, asked.max_cost_usd, asked.max_tokens) = (deadline, max_cost_usd, max_tokens);
        self.status = JobStatus::Queued;
        self.phase = Phase::Upload;
        self.sent = false;
        self.pages.turn(|state| matches!(state, PageState::Failed | PageState::Cancelled), PageState::Pending);
        (self.times.queued, self.times.started, self.times.finished, self.times.cancelled) = (Some(now), None, None, None);
        events.push(self.state_event());
        true
    }

    pub(super) fn end(&mut self, now: DateTime<Utc>, events: &mut Vec<Event>) {
        self.phase = Phase::Done;
        self.times.finished = Some(now);
        if !self.pages.is_empty() {
            self.times.pages_done.get_or_insert(now);
        }
        self.pages.turn(|state| !state.has_ended() && state != PageState::Skipped, PageState::Cancelled);
        events.push(self.state_event());
        let took = self.times.started.map(|started| (now - started).num_milliseconds().max(0));
        let data = json!({"status": self.status, "partial_reasons": self.partial_reasons, "ms": took});
        events.push(self.event(Kind::End, data));
    }

    /// Of a part also whose: who looks at the whole hears of it.
    pub(super) fn state_event(&self) -> Event {
        let mut data = json!({"status": self.status});
        if let Some(parent) = &self.submission.parent {
            data["parent"] = parent.as_str().into();
        }
        self.event(Kind::State, data)
    }

    fn page_event(&self, change: &PageChange) -> Event {
        let mut data = Map::new();
        data.insert("n".into(), change.page.into());
        data.insert("s".into(), change.state.letter().to_string().into());
        if let Some(ms) = change.milliseconds {
            data.insert("ms".into(), ms.into());
        }
        data.insert("attempt".into(), change.attempt.into());
        if let Some(error) = &change.error {
            data.insert("code".into(), json!(error.code));
            data.insert("message".into(), error.message.clone().into());
        }
        self.event(Kind::Page, data.into())
    }

    pub(super) fn event(&self, kind: Kind, data: serde_json::Value) -> Event {
        Event { job_id: self.job_id.clone(), kind, data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::BatchSize;
    use crate::ledger::Submission;
    use crate::result::JobTimes;

    fn running(pages: u32) -> Entry {
        let mut entry = Entry::new("j", Submission::default(), Utc::now());
        let opened = Opened {
            total_pages: pages,
            threshold: 2,
            batch_size: BatchSize::Pages(2),
            title: None,
            analyzer: "offline".into(),
            summary: true,
            audio: false,
        };
        let mut events = Vec::new();
        assert_eq!(entry.begin(Phase::Render, Utc::now(), &mut events), Verdict::Go);
        entry.open(Opening { opened, cached: vec![1], asked: (1..=pages).collect() }, &mut events);
        entry
    }

    fn kinds(events: &[Event]) -> Vec<Kind> {
        events.iter().map(|event| event.kind).collect()
    }

    #[test]
    fn pages_and_batches_are_told_once() {
        let mut entry = running(4);
        let mut events = Vec::new();
        let ok = [PageChange::new(2, PageState::Ok)];
        entry.change_pages(&ok, Utc::now(), &mut events);
        assert_eq!(kinds(&events), [Kind::Page, Kind::Batch]);
        entry.change_pages(&ok, Utc::now(), &mut events);
        assert_eq!(events.len(), 2);
        assert_eq!((entry.pages.to_string().as_str(), entry.percent(), entry.done()), ("coqq", 50.0, 2));
        assert!(entry.batches()[0].is_complete() && !entry.batches()[1].is_active());

        // Both pages of the other batch at once, of which one had begun.
        events.clear();
        entry.change_pages(&[PageChange::new(3, PageState::Running)], Utc::now(), &mut events);
        entry.change_pages(&[PageChange::new(3, PageState::Ok), PageChange::new(4, PageState::Failed)], Utc::now(), &mut events);
        assert_eq!(kinds(&events), [Kind::Page, Kind::Page, Kind::Page, Kind::Batch]);
        assert_eq!(events[3].data, json!({"batch": 2, "ok": 1, "failed": 1}));
        // A page of a complete batch that ends otherwise completes nothing.
        entry.change_pages(&[PageChange::new(4, PageState::Ok)], Utc::now(), &mut events);
        assert_eq!(kinds(&events[4..]), [Kind::Page]);
    }

    #[test]
    fn a_running_job_is_asked_to_stop_and_a_queued_one_has_stopped() {
        let mut entry = running(3);
        let mut events = Vec::new();
        assert!(entry.cancel(Utc::now(), &mut events) && entry.cancel(Utc::now(), &mut events));
        assert_eq!((entry.status, kinds(&events)), (JobStatus::Cancelling, vec![Kind::State, Kind::Snapshot]));
        assert_eq!(entry.pages.to_string(), "cxx");
        assert_eq!(entry.verdict(Utc::now()), Verdict::Stop(PartialReason::Cancelled));
        entry.finish(Ending { status: JobStatus::Partial, partial_reasons: vec![], error: None }, Utc::now(), &mut events);
        assert_eq!((entry.status, entry.partial_reasons.as_slice()), (JobStatus::Cancelled, [PartialReason::Cancelled].as_slice()));
        assert_eq!(entry.pages.to_string(), "cxx");
        assert!(!entry.cancel(Utc::now(), &mut events));

        let mut queued = Entry::new("q", Submission::default(), Utc::now());
        assert!(queued.cancel(Utc::now(), &mut events));
        assert_eq!(queued.status, JobStatus::Cancelled);
        assert_eq!(queued.begin(Phase::Render, Utc::now(), &mut events), Verdict::Stop(PartialReason::Cancelled));
    }

    #[test]
    fn a_deadline_and_a_budget_stop_what_is_not_begun() {
        let now = Utc::now();
        let mut entry = running(3);
        entry.submission.deadline = Some(now);
        assert_eq!(entry.verdict(now), Verdict::Stop(PartialReason::Deadline));
        entry.submission.deadline = None;
        entry.submission.max_tokens = Some(10);
        assert_eq!(entry.verdict(now), Verdict::Go);
        entry.spent.output_tokens = 10;
        assert_eq!(entry.verdict(now), Verdict::Stop(PartialReason::Budget));
        // What is said anew is in place of what was; the rest stays.
        let more = Limits { max_tokens: Some(11), ..Limits::default() };
        assert_eq!(entry.beyond(more, now), None);
        assert_eq!(entry.beyond(Limits { deadline: Some(now), ..more }, now), Some(PartialReason::Deadline));
        assert_eq!(entry.beyond(Limits { max_cost_usd: Some(1.0), ..Limits::default() }, now), Some(PartialReason::Budget));
    }

    #[test]
    fn an_end_stays_until_the_job_is_asked_for_again() {
        let mut entry = running(2);
        let mut events = Vec::new();
        assert!(!entry.restart(Limits::default(), Utc::now(), &mut events));
        entry.finish(Ending { status: JobStatus::Failed, partial_reasons: vec![], error: None }, Utc::now(), &mut events);
        entry.finish(Ending { status: JobStatus::Completed, partial_reasons: vec![], error: None }, Utc::now(), &mut events);
        assert_eq!(entry.status, JobStatus::Failed);
        assert_eq!(entry.pages.to_string(), "cx");
        assert!(entry.restart(Limits::default(), Utc::now(), &mut events));
        assert_eq!((entry.pages.to_string().as_str(), entry.percent()), ("c.", 50.0));
        assert_eq!(entry.begin(Phase::Upload, Utc::now(), &mut events), Verdict::Go);
        assert_eq!((entry.status, entry.runs, entry.times.finished), (JobStatus::Processing, 2, None));
    }

    #[test]
    fn an_entry_survives_being_kept() {
        let mut entry = running(300);
        entry.times = JobTimes { created: chrono::DateTime::from_timestamp(1, 0), ..JobTimes::default() };
        let kept = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<Entry>(&kept).unwrap(), entry);
        assert!(kept.len() < 400, "{kept}");
    }
}

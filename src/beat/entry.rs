//! An entry of the timetable: when it last ran, and the call of its next run.
//!
//! # Celery
//! `beat.py: ScheduleEntry`. Difference: a run's task id follows from the entry and the count of its runs, so that one whose answer was lost is
//! sent again under the same id.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::BeatEntry;
use crate::protocol::{Map, Signature, Value};
use crate::schedules::{Due, Moment, Schedule, Zone};

/// The namespace of the ids of periodic runs.
const RUNS: Uuid = Uuid::from_u128(0x8d2a_6f0c_51b7_4c0e_9a3e_0b7d_c61f_45e2);

/// What is kept of an entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// When its last run was due or sent; before the first, when it was first seen.
    pub(super) last_run_at: DateTime<Utc>,
    /// How often it ran.
    pub(super) total_run_count: u64,
    /// When it was first seen: with the count and the name it makes the id of a run.
    first_seen_at: DateTime<Utc>,
}

impl State {
    /// Of an entry that is seen for the first time.
    pub(super) fn fresh(now: DateTime<Utc>) -> Self {
        Self { last_run_at: now, total_run_count: 0, first_seen_at: now }
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub(super) fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// After a run.
    pub(super) fn next(&self, schedule: &Schedule, now: DateTime<Utc>) -> Self {
        Self { last_run_at: schedule.last_run(self.last_run_at, now), total_run_count: self.total_run_count + 1, ..self.clone() }
    }
}

/// An entry with what is known of it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) spec: BeatEntry,
    pub(super) state: State,
    /// The state as it lies with the broker.
    pub(super) text: String,
}

impl Entry {
    /// Takes what lies with the broker; what cannot be read is taken for an entry that is new.
    pub(super) fn known(&mut self, text: String, now: DateTime<Utc>) {
        self.state = State::read(&text).unwrap_or_else(|| {
            tracing::warn!(entry = self.name, "cannot read when it last ran: it begins anew");
            State::fresh(now)
        });
        self.text = text;
    }

    pub(super) fn is_due(&self, at: &Moment) -> Due {
        let zone = self.spec.timezone.unwrap_or(at.zone);
        self.spec.schedule.is_due(self.state.last_run_at, &Moment { zone, ..*at })
    }

    /// The call of a run that leads to this state.
    pub(super) fn call(&self, after: &State) -> Signature {
        let mut call = self.spec.call();
        if call.task_id().is_none() {
            let first = after.first_seen_at.timestamp_micros();
            let run = format!("{} {first} {}", self.name, after.total_run_count);
            call.set_option("task_id", Uuid::new_v5(&RUNS, run.as_bytes()).to_string());
        }
        let mut headers = call.option("headers").and_then(Value::as_map).cloned().unwrap_or_else(Map::default);
        headers.insert("celery_beat_task".to_owned(), true.into());
        call.set_option("headers", headers);
        call
    }
}

/// The zone of who names none.
pub(super) fn zone(setting: Option<Zone>) -> Zone {
    setting.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> Entry {
        let call = Signature::new("proj.add").arg(1).queue("q");
        let state = State::fresh(DateTime::UNIX_EPOCH);
        let spec = BeatEntry::new(Schedule::every(30.0).unwrap(), call);
        Entry { name: name.to_owned(), spec, text: state.write(), state }
    }

    #[test]
    fn the_id_of_a_run_is_its_own_and_the_same_when_it_is_sent_again() {
        let (one, other) = (entry("one"), entry("other"));
        let first = one.state.next(&one.spec.schedule, DateTime::UNIX_EPOCH);
        let second = first.next(&one.spec.schedule, DateTime::UNIX_EPOCH);
        let id = |entry: &Entry, state: &State| entry.call(state).task_id().unwrap().to_owned();
        assert_eq!(id(&one, &first), id(&one, &first));
        assert_ne!(id(&one, &first), id(&one, &second));
        assert_ne!(id(&one, &first), id(&other, &first));
    }

    #[test]
    fn a_run_bears_the_header_by_which_celery_marks_it() {
        let mut entry = entry("e");
        entry.spec.options.insert("headers".to_owned(), Value::Map(Map::from_iter([("x".to_owned(), 1.into())])));
        let call = entry.call(&entry.state);
        let headers = call.option("headers").unwrap();
        assert_eq!((headers.get("x"), headers.get("celery_beat_task")), (Some(&1.into()), Some(&true.into())));
        assert_eq!(call.queue_name(), Some("q"));
    }

    #[test]
    fn a_state_is_read_as_it_was_written_and_nonsense_begins_anew() {
        let mut entry = entry("e");
        let now = DateTime::from_timestamp_micros(1_764_000_000_123_456).unwrap();
        entry.known(State::fresh(now).write(), DateTime::UNIX_EPOCH);
        assert_eq!(entry.state, State::fresh(now));
        entry.known("nonsense".to_owned(), now);
        assert_eq!((entry.state.last_run_at, entry.text.as_str()), (now, "nonsense"));
    }
}

//! What happened to a job, as far as it is still kept: its phases, its pages, its log.

use std::collections::BTreeMap;

use celeriac_tasks::ledger::{Entry, Event, EventId, Kind, Told};
use celeriac_tasks::result::{JobStatus, Phase};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::words::{short, word};
use crate::jobs::{Desk, Refusal};

/// How many events are looked at, at most.
const EVENTS: usize = 10_000;

/// The phases of a job that are shown.
pub(super) const PHASES: [(Phase, &str); 7] = [
    (Phase::Upload, "Upload"),
    (Phase::Render, "Render"),
    (Phase::Pages, "Pages"),
    (Phase::Aggregate, "Aggregate"),
    (Phase::Summary, "Summary"),
    (Phase::Audio, "Audio"),
    (Phase::Notify, "Notify"),
];

/// A step of a job.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) name: &'static str,
    /// `over`, `now`, `stopped`, or empty: still to come, or not asked for.
    pub(super) state: &'static str,
    pub(super) now: bool,
    pub(super) took: String,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) level: &'static str,
    pub(super) at: String,
    pub(super) clock: String,
    pub(super) text: String,
}

/// From when to when a phase was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    pub(super) phase: Phase,
    pub(super) from: DateTime<Utc>,
    pub(super) to: DateTime<Utc>,
}

/// When a page was worked on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Work {
    pub(super) from: DateTime<Utc>,
    pub(super) to: DateTime<Utc>,
    pub(super) failed: bool,
}

/// What happened.
#[derive(Debug, Default)]
pub(super) struct History {
    told: Vec<Told>,
}

pub(super) fn time(id: EventId) -> DateTime<Utc> {
    i64::try_from(id.milliseconds()).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default()
}

impl History {
    /// Of a job.
    pub(super) async fn of(desk: &Desk, job_id: &str) -> Result<Self, Refusal> {
        let told = desk.ledger.events(job_id, EventId::default(), EVENTS).await?;
        let told = if told.is_empty() { archived(job_id, &desk.archived_log(job_id).await?) } else { told };
        Ok(Self { told })
    }

    /// Of its last run.
    fn last_run(&self) -> &[Told] {
        let restarted = |told: &Told| told.event.kind == Kind::State && told.event.data["status"] == "queued";
        &self.told[self.told.iter().rposition(restarted).unwrap_or(0)..]
    }

    /// The phases of the last run.
    pub(super) fn spans(&self, entry: &Entry, now: DateTime<Utc>) -> Vec<Span> {
        let begun = entry.times.queued.or(entry.times.created).unwrap_or(now);
        let end = entry.times.finished.unwrap_or(now);
        let phase = |told: &Told| serde_json::from_value(told.event.data["phase"].clone()).ok().map(|phase| (phase, time(told.id)));
        let told = self.last_run().iter().filter(|told| told.event.kind == Kind::Phase).filter_map(phase);
        let begins: Vec<(Phase, DateTime<Utc>)> = std::iter::once((Phase::Upload, begun)).chain(told).collect();
        let ends = begins.iter().skip(1).map(|(_, at)| *at).chain([end]);
        begins.iter().zip(ends).map(|((phase, from), to)| Span { phase: *phase, from: *from, to }).collect()
    }

    /// When each page was worked on, in the last run.
    pub(super) fn work(&self, now: DateTime<Utc>) -> BTreeMap<u32, Work> {
        let mut found = BTreeMap::new();
        for told in self.last_run().iter().filter(|told| told.event.kind == Kind::Page) {
            let (data, at) = (&told.event.data, time(told.id));
            let Some(page) = data["n"].as_u64().and_then(|page| u32::try_from(page).ok()) else { continue };
            match data["s"].as_str() {
                Some("r") => {
                    found.insert(page, Work { from: at, to: now, failed: false });
                }
                Some(state @ ("o" | "f")) => {
                    let lasted = TimeDelta::milliseconds(data["ms"].as_i64().unwrap_or_default());
                    let work = found.entry(page).or_insert(Work { from: at - lasted, to: at, failed: false });
                    (work.to, work.failed) = (at, state == "f");
                }
                _ => {}
            }
        }
        found
    }

    /// Why a page failed: its code and words.
    pub(super) fn page_error(&self, page: u32) -> Option<(String, String)> {
        let of_page = |told: &&Told| told.event.kind == Kind::Page && told.event.data["n"] == page && told.event.data["s"] == "f";
        let data = &self.told.iter().rev().find(of_page)?.event.data;
        Some((data["code"].as_str()?.to_owned(), data["message"].as_str().unwrap_or_default().to_owned()))
    }

    /// What happened, in words. Pages that end well are not told of one by one.
    pub(super) fn lines(&self) -> Vec<Line> {
        self.told.iter().filter_map(line).collect()
    }
}

/// What the archive keeps of a log.
fn archived(job_id: &str, log: &Value) -> Vec<Told> {
    let told = |line: &Value| {
        let kind = serde_json::from_value(line["event"].clone()).ok()?;
        let event = Event { job_id: job_id.to_owned(), kind, data: line["data"].clone() };
        Some(Told { id: EventId(line["at"].as_u64()?, 0), event })
    };
    log.as_array().into_iter().flatten().filter_map(told).collect()
}

fn line(told: &Told) -> Option<Line> {
    let data = &told.event.data;
    let field = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
    let (level, text) = match told.event.kind {
        Kind::Snapshot => ("info", format!("opened: {} pages asked for", data["total"])),
        Kind::Page if data["s"] == "f" => ("error", format!("page {} failed: {}: {}", data["n"], field("code"), field("message"))),
        Kind::Page if data["s"] == "y" => {
            ("warning", format!("page {} failed at attempt {} and is tried again", data["n"], data["attempt"]))
        }
        Kind::Page => return None,
        Kind::Batch => ("info", format!("batch {} is over: {} done, {} failed", data["batch"], data["ok"], data["failed"])),
        Kind::Phase => ("info", format!("phase: {}", field("phase"))),
        Kind::State => ("info", format!("state: {}", field("status"))),
        Kind::Log => (level(&field("level")), field("text")),
        Kind::End => ("info", "over".to_owned()),
    };
    let at = time(told.id);
    Some(Line { level, at: celeriac_tasks::timestamp::format(&at), clock: at.format("%H:%M:%S").to_string(), text })
}

fn level(told: &str) -> &'static str {
    match told {
        "error" => "error",
        "warn" | "warning" => "warning",
        _ => "info",
    }
}

/// The steps of a job with what each took.
pub(super) fn steps(entry: &Entry, history: &History, now: DateTime<Utc>) -> Vec<Step> {
    let spans = history.spans(entry, now);
    let place = |phase: Phase| PHASES.iter().position(|(other, _)| *other == phase).unwrap_or(PHASES.len());
    let last = spans.iter().map(|span| span.phase).rfind(|phase| *phase != Phase::Done).unwrap_or_default();
    let here = if entry.status.is_terminal() { place(last) } else { place(entry.phase) };
    let whole = matches!(entry.status, JobStatus::Completed | JobStatus::Partial);
    let wanted = |phase: Phase| match phase {
        Phase::Summary => entry.opened.as_ref().is_none_or(|opened| opened.summary),
        Phase::Audio => entry.opened.as_ref().is_none_or(|opened| opened.audio),
        _ => true,
    };
    let step = |(index, (phase, name)): (usize, &(Phase, &'static str))| {
        let state = match () {
            () if !wanted(*phase) => "",
            () if whole || index < here => "over",
            () if index > here => "",
            () if entry.status.is_terminal() => "stopped",
            () if entry.status == JobStatus::Queued => "",
            () => "now",
        };
        let took: TimeDelta = spans.iter().filter(|span| span.phase == *phase).map(|span| span.to - span.from).sum();
        let took = if !wanted(*phase) {
            "not asked for".to_owned()
        } else if state.is_empty() || took < TimeDelta::milliseconds(1) {
            String::new()
        } else {
            short(took)
        };
        Step { name, state, now: state == "now", took }
    };
    PHASES.iter().enumerate().map(step).collect()
}

/// What a phase is called.
pub(super) fn phase_name(phase: Phase) -> String {
    PHASES.iter().find(|(other, _)| *other == phase).map_or_else(|| word(&phase), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use celeriac_tasks::ledger::Submission;
    use serde_json::json;

    fn at(ms: u64) -> DateTime<Utc> {
        time(EventId(ms, 0))
    }

    fn history(events: &[(u64, Kind, Value)]) -> History {
        let told = |(ms, kind, data): &(u64, Kind, Value)| Told {
            id: EventId(*ms, 0),
            event: Event { job_id: "j".to_owned(), kind: *kind, data: data.clone() },
        };
        History { told: events.iter().map(told).collect() }
    }

    fn entry(status: JobStatus, phase: Phase) -> Entry {
        Entry { status, phase, ..Entry::new("j", Submission::default(), at(0)) }
    }

    #[test]
    fn steps_tell_what_each_took_and_where_it_stopped() {
        let history = history(&[(1000, Kind::Phase, json!({"phase": "render"})), (3000, Kind::Phase, json!({"phase": "pages"}))]);
        let steps_of = |entry: &Entry| {
            steps(entry, &history, at(9000)).into_iter().take(4).map(|step| (step.state, step.took)).collect::<Vec<_>>()
        };
        let running = steps_of(&entry(JobStatus::Processing, Phase::Pages));
        let expected = [("over", "1.0 s"), ("over", "2.0 s"), ("now", "6.0 s"), ("", "")];
        assert_eq!(running, expected.map(|(state, took)| (state, took.to_owned())));
        assert_eq!(steps_of(&entry(JobStatus::Failed, Phase::Done))[2].0, "stopped");
        assert_eq!(steps_of(&entry(JobStatus::Completed, Phase::Done))[3].0, "over");
    }

    #[test]
    fn a_log_is_read_as_it_was_archived() {
        let events =
            [(1000, Kind::State, json!({"status": "queued"})), (2000, Kind::Log, json!({"level": "warn", "text": "slow"}))];
        let kept = crate::archive::log(&history(&events).told);
        let read = History { told: archived("j", &kept) };
        assert_eq!(read.lines(), history(&events).lines());
        assert_eq!(read.lines().len(), 2);
    }

    #[test]
    fn only_the_last_run_counts_and_the_log_has_all() {
        let history = history(&[
            (1000, Kind::Page, json!({"n": 1, "s": "f", "ms": 5, "code": "page_render_failed", "message": "no bitmap"})),
            (2000, Kind::State, json!({"status": "queued"})),
            (3000, Kind::Page, json!({"n": 1, "s": "r"})),
            (3500, Kind::Page, json!({"n": 1, "s": "o", "ms": 400})),
            (4000, Kind::Page, json!({"n": 2, "s": "o", "ms": 400})),
        ]);
        let work = history.work(at(9000));
        assert_eq!(work[&1], Work { from: at(3000), to: at(3500), failed: false });
        assert_eq!(work[&2].from, at(3600), "its start was not told");
        let lines: Vec<String> = history.lines().into_iter().map(|line| line.text).collect();
        assert_eq!(lines, ["page 1 failed: page_render_failed: no bitmap", "state: queued"]);
        assert_eq!(history.page_error(1), Some(("page_render_failed".to_owned(), "no bitmap".to_owned())));
        assert_eq!(history.page_error(2), None);
    }
}

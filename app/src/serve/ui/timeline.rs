//! When each batch was worked on, as lines over one axis.

use celeriac_tasks::ledger::Entry;
use chrono::{DateTime, TimeDelta, Utc};

use super::events::{History, Work, phase_name};
use super::grid::spans;
use super::words::{short, spell};
use celeriac_tasks::result::Phase;

/// Where lines begin and end, and how far they are apart.
const LEFT: i64 = 104;
const WIDTH: i64 = 848;
const TOP: i64 = 24;
const LANE: i64 = 24;
/// How high a line is.
const HIGH: i64 = 16;
/// Steps of the axis, in seconds, of which the first is taken that makes few.
const STEPS: [i64; 12] = [1, 2, 5, 10, 30, 60, 300, 600, 1800, 3600, 21_600, 86_400];

/// A timeline.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    pub(super) note: String,
    pub(super) absent: &'static str,
    pub(super) height: i64,
    pub(super) ticks: Vec<Tick>,
    pub(super) lanes: Vec<Lane>,
}

/// A mark on the axis.
#[derive(Debug)]
pub(super) struct Tick {
    pub(super) x: i64,
    pub(super) name: String,
}

/// A line.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) x: i64,
    pub(super) y: i64,
    pub(super) width: i64,
    pub(super) bars: Vec<Bar>,
}

/// Something on it.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) state: &'static str,
    pub(super) title: String,
    pub(super) x: i64,
    pub(super) y: i64,
    pub(super) width: i64,
    pub(super) height: i64,
}

/// The axis.
struct Axis {
    from: DateTime<Utc>,
    length: TimeDelta,
}

impl Axis {
    fn x(&self, at: DateTime<Utc>) -> i64 {
        LEFT + ((at - self.from).num_milliseconds().max(0) * WIDTH / self.length.num_milliseconds().max(1)).min(WIDTH)
    }

    fn ticks(&self) -> Vec<Tick> {
        let seconds = self.length.num_seconds().max(1);
        let step = STEPS.into_iter().find(|step| seconds / step <= 8).unwrap_or(86_400);
        (0..=seconds / step)
            .map(|number| number * step)
            .map(|second| Tick { x: self.x(self.from + TimeDelta::seconds(second)), name: spell(second) })
            .collect()
    }
}

/// Of a job.
pub(super) fn of(entry: &Entry, history: &History, now: DateTime<Utc>) -> Timeline {
    let work = history.work(now);
    let absent = if entry.status.is_terminal() {
        "The times of single pages are not kept any more, or no page was worked on."
    } else {
        "No page was begun yet."
    };
    if work.is_empty() {
        return Timeline { absent, ..Timeline::default() };
    }
    let phases = history.spans(entry, now);
    let from = phases.first().map_or(now, |span| span.from);
    let to = entry.times.finished.unwrap_or(now).max(work.values().map(|work| work.to).max().unwrap_or(now));
    let axis = Axis { from, length: to - from };
    let shown: Vec<_> = phases.iter().filter(|span| span.phase != Phase::Done && span.to > span.from).collect();
    let bars = shown.iter().map(|span| Bar {
        state: "phase",
        title: format!("{}: {}", phase_name(span.phase), short(span.to - span.from)),
        x: axis.x(span.from),
        y: TOP + 4,
        width: (axis.x(span.to) - axis.x(span.from) - 1).max(1),
        height: HIGH - 8,
    });
    let all = Lane { name: "Phases".to_owned(), title: String::new(), x: LEFT, y: TOP, width: WIDTH, bars: bars.collect() };
    let rows = spans(entry).into_iter().filter_map(|(first, last)| {
        let done: Vec<(&u32, &Work)> = work.range(first..=last).collect();
        (!done.is_empty()).then_some((first, last, done))
    });
    let lanes = (1_i64..).zip(rows).map(|(number, (first, last, done))| lane(&axis, number, first, last, &done));
    let lanes: Vec<Lane> = std::iter::once(all).chain(lanes).collect();
    let height = TOP + LANE * i64::try_from(lanes.len()).unwrap_or(1);
    Timeline { note: format!("{} pages in {}", work.len(), short(to - from)), absent, height, ticks: axis.ticks(), lanes }
}

fn lane(axis: &Axis, number: i64, first: u32, last: u32, done: &[(&u32, &Work)]) -> Lane {
    let y = TOP + number * LANE;
    let from = done.iter().map(|(_, work)| work.from).min().unwrap_or(axis.from);
    let to = done.iter().map(|(_, work)| work.to).max().unwrap_or(from);
    let bar = |(page, work): &(&u32, &Work)| Bar {
        state: if work.failed { "failed" } else { "ok" },
        title: format!("Page {page}: {}{}", short(work.to - work.from), if work.failed { ", failed" } else { "" }),
        x: (axis.x(work.to) - 2).max(LEFT),
        y,
        width: 2,
        height: HIGH,
    };
    Lane {
        name: format!("{first}–{last}"),
        title: format!("Pages {first} to {last}: {}", short(to - from)),
        x: axis.x(from),
        y,
        width: (axis.x(to) - axis.x(from)).max(2),
        bars: done.iter().map(bar).collect(),
    }
}

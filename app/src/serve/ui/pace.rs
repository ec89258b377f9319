//! Pages of the last hour, minute by minute.

use std::sync::Arc;
use std::time::{Duration, Instant};

use celeriac_tasks::ledger::{EventId, Kind, Told};
use chrono::{DateTime, Utc};
use tokio::sync::Mutex;

use super::events::time;
use crate::jobs::{Desk, Refusal};

/// How many minutes.
const MINUTES: usize = 60;
/// How many events are looked at, at most.
const EVENTS: usize = 50_000;
/// How long a look is good.
const FRESH: Duration = Duration::from_secs(10);
/// How high the highest bar is.
const HIGH: u64 = 78;
const BOTTOM: u64 = 80;

/// What was seen last.
#[derive(Debug, Clone, Default)]
pub(super) struct Paces(Arc<Mutex<Option<Seen>>>);

/// What was seen, and when.
type Seen = (Instant, Arc<Pace>);

/// The last hour.
#[derive(Debug, Default)]
pub(super) struct Pace {
    pub(super) peak: u64,
    pub(super) label: String,
    pub(super) bars: Vec<Bar>,
}

/// A minute's pages of one kind.
#[derive(Debug, PartialEq)]
pub(super) struct Bar {
    pub(super) tone: &'static str,
    pub(super) title: String,
    pub(super) x: usize,
    pub(super) y: u64,
    pub(super) height: u64,
}

impl Paces {
    /// As it was within the last seconds.
    pub(super) async fn now(&self, desk: &Desk) -> Result<Arc<Pace>, Refusal> {
        // Who comes while another looks takes what he finds.
        let mut seen = self.0.lock().await;
        if let Some((_, pace)) = seen.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(Arc::clone(pace));
        }
        let now = Utc::now();
        let hour = u64::try_from(now.timestamp_millis()).unwrap_or_default().saturating_sub(MINUTES as u64 * 60_000);
        let pace = Arc::new(pace(&desk.ledger.all_events(EventId(hour, 0), EVENTS).await?, now));
        *seen = Some((Instant::now(), Arc::clone(&pace)));
        Ok(pace)
    }
}

fn pace(told: &[Told], now: DateTime<Utc>) -> Pace {
    let mut minutes = [(0_u64, 0_u64); MINUTES];
    for told in told.iter().filter(|told| told.event.kind == Kind::Page) {
        let ago = usize::try_from((now - time(told.id)).num_minutes().max(0)).unwrap_or(MINUTES);
        let Some(minute) = MINUTES.checked_sub(ago + 1).and_then(|place| minutes.get_mut(place)) else { continue };
        match told.event.data["s"].as_str() {
            Some("o") => minute.0 += 1,
            Some("f") => minute.1 += 1,
            _ => {}
        }
    }
    let peak = minutes.iter().map(|(done, failed)| done + failed).max().unwrap_or_default();
    let high = |pages: u64| (pages * HIGH).div_ceil(peak.max(1));
    let bars = minutes.iter().enumerate().flat_map(|(place, (done, failed))| {
        let title = match MINUTES - place - 1 {
            0 => format!("this minute: {done} done, {failed} failed"),
            ago => format!("{ago} min ago: {done} done, {failed} failed"),
        };
        let x = place * 10 + 1;
        let (low, top) = (high(*done), high(*failed));
        let ok = Bar { tone: "ok", title: title.clone(), x, y: BOTTOM - low, height: low };
        let bad = Bar { tone: "failed", title, x, y: (BOTTOM - low).saturating_sub(top), height: top };
        [ok, bad].into_iter().filter(|bar| bar.height > 0)
    });
    let all: u64 = minutes.iter().map(|(done, _)| done).sum();
    Pace { peak, label: format!("{all} pages in the last hour, {peak} in the busiest minute"), bars: bars.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use celeriac_tasks::ledger::Event;
    use serde_json::json;

    #[test]
    fn each_minute_has_its_bars() {
        let now = DateTime::from_timestamp(100_000, 0).unwrap();
        let page = |seconds_ago: i64, state: &str| Told {
            id: EventId(u64::try_from(now.timestamp_millis() - seconds_ago * 1000).unwrap(), 0),
            event: Event { job_id: "j".to_owned(), kind: Kind::Page, data: json!({"n": 1, "s": state}) },
        };
        let pace = pace(&[page(10, "o"), page(20, "o"), page(30, "f"), page(70, "o"), page(30, "r"), page(90_000, "o")], now);
        assert_eq!(pace.peak, 3);
        let shape: Vec<_> = pace.bars.iter().map(|bar| (bar.tone, bar.x, bar.height)).collect();
        assert_eq!(shape, [("ok", 581, 26), ("ok", 591, 52), ("failed", 591, 26)]);
        assert_eq!(pace.bars[2].y, 2);
    }
}

//! How long a job will take, from what pages took and who is there to work on them; never from a constant but the first time (C1).

use celeriac_tasks::pipeline::QUEUES;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Desk, Result};

/// What a page takes before any was seen.
const FIRST_GUESS_MS: f64 = 5000.0;
/// The queue of pages.
const PAGES: &str = QUEUES[2];

/// An estimate.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Estimate {
    /// How many pages.
    pub(crate) pages: u32,
    /// How many seconds; null where nobody is there to work.
    pub(crate) seconds: Option<u64>,
    /// What stands in the way.
    pub(crate) warning: Option<String>,
    /// From what a page took lately, milliseconds.
    pub(crate) milliseconds_per_page: f64,
    /// How many pages can be worked on at once.
    pub(crate) slots: u32,
}

impl Desk {
    /// For so many pages of one document.
    pub(crate) async fn estimate(&self, pages: u32) -> Result<Estimate> {
        let learned = self.ledger.milliseconds_per_page(&self.analyzer).await?;
        Ok(estimate(pages, learned, self.fleet().await?.slots(PAGES), self.page_parallelism))
    }

    /// For so many pages of whatever documents.
    pub(crate) async fn estimate_all(&self, pages: u32) -> Result<Estimate> {
        let learned = self.ledger.milliseconds_per_page(&self.analyzer).await?;
        Ok(estimate(pages, learned, self.fleet().await?.slots(PAGES), 0))
    }
}

/// On so many slots, of which one document takes no more than `most`, unless that is 0.
fn estimate(pages: u32, learned: Option<f64>, slots: u32, most: u32) -> Estimate {
    let slots = if most == 0 { slots } else { slots.min(most) };
    let milliseconds_per_page = learned.unwrap_or(FIRST_GUESS_MS);
    let seconds = f64::from(pages) * milliseconds_per_page / f64::from(slots.max(1)) / 1000.0;
    Estimate {
        pages,
        seconds: (slots > 0).then_some(seconds.ceil() as u64),
        warning: (slots == 0).then(|| format!("no worker consumes {PAGES}")),
        milliseconds_per_page,
        slots,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_shared_by_who_is_there() {
        assert_eq!(estimate(500, None, 6, 0).seconds, Some(417));
        assert_eq!(estimate(500, Some(2000.0), 6, 0).seconds, Some(167));
        assert_eq!(estimate(500, Some(2000.0), 50, 6).seconds, Some(167));
        let nobody = estimate(500, None, 0, 6);
        assert_eq!((nobody.seconds, nobody.warning.as_deref()), (None, Some("no worker consumes page_processing")));
    }
}

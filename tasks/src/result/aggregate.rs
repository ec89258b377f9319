//! Puts page records in page order and draws from them everything that is a sum over pages.
//!
//! A pure function: the same records give the same result whatever order they arrived in, and however often one arrived.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::{Counts, DocumentEntity, Entities, JobStatus, PageMs, PageRecord, PageStatus, PartialReason, Usage, Warning};
use crate::error::ErrorRecord;

/// Entities a result lists; all are counted.
const MAX_ENTITIES: usize = 200;

/// All pages of a document in order, and their sums.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Aggregated {
    /// One slot a page.
    pub pages: Vec<PageRecord>,
    /// How much of everything.
    pub counts: Counts,
    /// How long pages took.
    pub page_ms: PageMs,
    /// What the pages' models took.
    pub usage: Usage,
    /// The failed pages' errors, in page order.
    pub errors: Vec<ErrorRecord>,
    /// The pages' warnings, one entry for each different one.
    pub warnings: Vec<Warning>,
    /// What the pages name.
    pub entities: Option<Entities>,
}

/// Puts `records` into `total_pages` slots; `missing` says what stands in a slot of which there is no record.
///
/// Of two records of one page the usable one is kept; a record of a page the document does not have is left out.
pub fn aggregate(
    total_pages: u32,
    records: impl IntoIterator<Item = PageRecord>,
    missing: impl Fn(u32) -> PageRecord,
) -> Aggregated {
    let mut slots: BTreeMap<u32, PageRecord> = BTreeMap::new();
    for record in records {
        if !(1..=total_pages).contains(&record.page) {
            continue;
        }
        match slots.get(&record.page) {
            Some(kept) if preference(kept, &record) != Ordering::Greater => {}
            _ => {
                slots.insert(record.page, record);
            }
        }
    }
    let pages: Vec<PageRecord> = (1..=total_pages).map(|page| slots.remove(&page).unwrap_or_else(|| missing(page))).collect();
    sums(pages)
}

/// How a job ends whose pages ended so: its state, and what keeps it from being `completed`.
///
/// `circumstances` are the reasons that pages cannot tell: a deadline, a cancellation, a budget. Pages that were skipped
/// because nobody asked for them make nothing partial; whoever skips for another reason says so there.
#[must_use]
pub fn terminal(counts: &Counts, circumstances: &[PartialReason]) -> (JobStatus, Vec<PartialReason>) {
    let usable = counts.ok + counts.cached + counts.needs_ocr;
    let mut reasons: BTreeSet<PartialReason> = circumstances.iter().copied().collect();
    if counts.failed > 0 {
        reasons.insert(PartialReason::PagesFailed);
    }
    let status = if reasons.contains(&PartialReason::Cancelled) {
        JobStatus::Cancelled
    } else if usable == 0 {
        JobStatus::Failed
    } else if reasons.is_empty() {
        JobStatus::Completed
    } else {
        JobStatus::Partial
    };
    (status, reasons.into_iter().collect())
}

/// `Less` when `a` is to be kept. A total order, so that the choice does not depend on which came first.
fn preference(a: &PageRecord, b: &PageRecord) -> Ordering {
    let rank = |page: &PageRecord| match page.status {
        PageStatus::Ok => 0,
        PageStatus::NeedsOcr => 1,
        PageStatus::Failed => 2,
        PageStatus::Skipped => 3,
    };
    rank(a)
        .cmp(&rank(b))
        .then_with(|| b.attempts.cmp(&a.attempts))
        .then_with(|| a.from_cache.cmp(&b.from_cache))
        .then_with(|| serde_json::to_string(a).ok().cmp(&serde_json::to_string(b).ok()))
}

fn sums(pages: Vec<PageRecord>) -> Aggregated {
    let mut counts = Counts::default();
    let mut usage = Usage::default();
    let mut warnings: BTreeMap<(String, String), BTreeSet<u32>> = BTreeMap::new();
    let mut times = Vec::new();
    for page in &pages {
        counts.count_page(page);
        if let Some(call) = &page.usage {
            usage.add(call);
        }
        if let Some(ms) = page.times_ms.filter(|_| !page.from_cache) {
            times.push(ms.total);
        }
        for warning in &page.warnings {
            warnings.entry((warning.code.clone(), warning.message.clone())).or_default().insert(page.page);
        }
    }
    let entities = entities(&pages);
    counts.entities = u32::try_from(entities.len()).unwrap_or(u32::MAX);
    Aggregated {
        errors: pages.iter().filter_map(|page| page.error.clone()).collect(),
        page_ms: PageMs::of(times),
        warnings: warnings
            .into_iter()
            .map(|((code, message), pages)| Warning { code, message, pages: pages.into_iter().collect() })
            .collect(),
        entities: (!entities.is_empty())
            .then(|| Entities { items: entities.into_iter().take(MAX_ENTITIES).collect(), relations: Vec::new() }),
        counts,
        usage,
        pages,
    }
}

/// What the pages name, most mentioned first.
fn entities(pages: &[PageRecord]) -> Vec<DocumentEntity> {
    let mut found: BTreeMap<(&str, &str), (u32, BTreeSet<u32>)> = BTreeMap::new();
    for page in pages {
        for entity in page.analysis.iter().flat_map(|analysis| &analysis.entities) {
            let entry = found.entry((&entity.text, &entity.kind)).or_default();
            entry.0 += entity.count;
            entry.1.insert(page.page);
        }
    }
    let mut list: Vec<_> = found.into_iter().collect();
    list.sort_by(|a, b| b.1.0.cmp(&a.1.0).then_with(|| a.0.cmp(&b.0)));
    list.into_iter()
        .zip(1..)
        .map(|(((name, kind), (mentions, pages)), number)| DocumentEntity {
            id: format!("e{number}"),
            name: name.to_owned(),
            kind: kind.to_owned(),
            aliases: Vec::new(),
            mentions,
            pages: pages.into_iter().collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Code, DocumentError, Stage};
    use crate::result::{PageAnalysis, PageText};
    use proptest::prelude::*;

    fn record(page: u32, status: PageStatus, attempts: u32) -> PageRecord {
        let at = chrono::DateTime::from_timestamp(0, 0).unwrap();
        PageRecord {
            page,
            status,
            attempts,
            text: (status == PageStatus::Ok).then(|| PageText {
                content: format!("page {page} attempt {attempts}"),
                words: page,
                ..PageText::default()
            }),
            error: (status == PageStatus::Failed)
                .then(|| DocumentError::new(Code::PageRenderFailed, Stage::Render, "no bitmap").on_page(page).record(attempts, at)),
            ..PageRecord::default()
        }
    }

    fn any_record() -> impl Strategy<Value = PageRecord> {
        let status =
            prop_oneof![Just(PageStatus::Ok), Just(PageStatus::Failed), Just(PageStatus::Skipped), Just(PageStatus::NeedsOcr)];
        (0..40u32, status, 0..4u32).prop_map(|(page, status, attempts)| record(page, status, attempts))
    }

    proptest! {
        #[test]
        fn the_result_does_not_depend_on_the_order_of_arrival(
            (records, shuffled) in proptest::collection::vec(any_record(), 0..80)
                .prop_flat_map(|records| (Just(records.clone()), Just(records).prop_shuffle())),
            total in 0..30u32,
        ) {
            let whole = aggregate(total, records.clone(), PageRecord::skipped);
            prop_assert_eq!(&whole, &aggregate(total, shuffled, PageRecord::skipped));
            let numbers: Vec<u32> = whole.pages.iter().map(|page| page.page).collect();
            prop_assert_eq!(numbers, (1..=total).collect::<Vec<_>>());
            let c = whole.counts;
            prop_assert_eq!(c.ok + c.cached + c.failed + c.skipped + c.needs_ocr, total);
            prop_assert_eq!(c.total, total);
            for page in whole.pages {
                let best = records.iter().any(|r| r.page == page.page && r.status == PageStatus::Ok);
                prop_assert_eq!(best, page.status == PageStatus::Ok);
            }
        }
    }

    #[test]
    fn a_page_without_a_record_keeps_its_slot_and_says_why() {
        let at = chrono::DateTime::from_timestamp(0, 0).unwrap();
        let lost = |page| {
            let error = DocumentError::new(Code::WorkerLost, Stage::Aggregate, "no record");
            PageRecord::failed(page, error.on_page(page).record(0, at))
        };
        let whole = aggregate(3, [record(3, PageStatus::Ok, 1), record(1, PageStatus::Ok, 1)], lost);
        assert_eq!(whole.pages[1].status, PageStatus::Failed);
        assert_eq!(whole.errors[0].page, Some(2));
        assert_eq!(terminal(&whole.counts, &[]), (JobStatus::Partial, vec![PartialReason::PagesFailed]));
    }

    #[test]
    fn a_page_that_failed_and_later_succeeded_is_ok() {
        let tries = [record(1, PageStatus::Failed, 3), record(1, PageStatus::Ok, 1)];
        let whole = aggregate(1, tries, PageRecord::skipped);
        assert_eq!(terminal(&whole.counts, &[]), (JobStatus::Completed, vec![]));
        assert!(whole.errors.is_empty());
    }

    #[test]
    fn terminal_states_follow_from_counts_and_circumstances() {
        use PartialReason::{Cancelled, Deadline, PagesFailed};
        let counts = |ok, failed, skipped| Counts { total: ok + failed + skipped, ok, failed, skipped, ..Counts::default() };
        let cases = [
            (counts(5, 0, 0), vec![], JobStatus::Completed, vec![]),
            (counts(5, 0, 20), vec![], JobStatus::Completed, vec![]),
            (counts(5, 1, 0), vec![], JobStatus::Partial, vec![PagesFailed]),
            (counts(5, 1, 3), vec![Deadline], JobStatus::Partial, vec![PagesFailed, Deadline]),
            (counts(0, 5, 0), vec![], JobStatus::Failed, vec![PagesFailed]),
            (counts(0, 0, 0), vec![], JobStatus::Failed, vec![]),
            (counts(2, 0, 3), vec![Cancelled], JobStatus::Cancelled, vec![Cancelled]),
        ];
        for (counts, circumstances, status, reasons) in cases {
            assert_eq!(terminal(&counts, &circumstances), (status, reasons), "{counts:?}");
        }
    }

    #[test]
    fn names_of_all_pages_are_joined() {
        let named = |page, count| PageRecord {
            analysis: Some(PageAnalysis {
                entities: vec![super::super::Entity { text: "ACME Corp".to_owned(), kind: "ORG".to_owned(), count }],
                ..PageAnalysis::default()
            }),
            ..record(page, PageStatus::Ok, 1)
        };
        let whole = aggregate(2, [named(2, 3), named(1, 1)], PageRecord::skipped);
        let items = whole.entities.unwrap().items;
        assert_eq!((items[0].mentions, &items[0].pages), (4, &vec![1, 2]));
        assert_eq!(whole.counts.entities, 1);
    }
}

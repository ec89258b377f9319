//! Which parts a document has: those of its outline, or runs of pages of about equal length.

use super::SummaryInput;
use crate::result::{OutlineItem, PageSpan};

/// More parts than this are not a summary any more.
const MAX_SECTIONS: usize = 60;
const DEFAULT_RUN: u32 = 25;

/// A part of a document before it is summarised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionPlan {
    /// From the outline; none for a run of pages.
    pub title: Option<String>,
    /// Its pages.
    pub pages: PageSpan,
}

/// The parts of a document, in page order, covering every page once; what stands before the outline's first entry is a part
/// without a title.
#[must_use]
pub fn sections(input: &SummaryInput) -> Vec<SectionPlan> {
    let total = input.total_pages.max(input.digests.iter().map(|digest| digest.page).max().unwrap_or(0));
    if total == 0 {
        return Vec::new();
    }
    let starts = outline_starts(&input.outline, total);
    if starts.len() < 2 {
        return runs(total, input.pages_per_section);
    }
    let ends = starts.iter().skip(1).map(|(page, _)| page - 1).chain([total]);
    let before = starts.first().map(|(first, _)| *first).filter(|first| *first > 1);
    let front = before.map(|first| SectionPlan { title: None, pages: PageSpan { from: 1, to: first - 1 } });
    let titled = starts
        .iter()
        .zip(ends)
        .map(|((from, title), to)| SectionPlan { title: Some(title.clone()), pages: PageSpan { from: *from, to } });
    front.into_iter().chain(titled).collect()
}

/// The outline's top entries, or its second level where a single entry is wrapped round the rest; one a page.
fn outline_starts(outline: &[OutlineItem], total: u32) -> Vec<(u32, String)> {
    let top = outline.iter().map(|item| item.level).min().unwrap_or(1);
    let at_most = |level: u32| -> Vec<(u32, String)> {
        let mut starts: Vec<(u32, String)> = outline
            .iter()
            .filter(|item| item.level <= level && !item.title.trim().is_empty())
            .filter_map(|item| Some((item.page.filter(|page| (1..=total).contains(page))?, one_line(&item.title))))
            .collect();
        starts.sort_by_key(|(page, _)| *page);
        starts.dedup_by_key(|(page, _)| *page);
        starts
    };
    let first = at_most(top);
    let chosen = if first.len() < 3 { at_most(top + 1) } else { first.clone() };
    if chosen.len() <= MAX_SECTIONS { chosen } else { first.into_iter().take(MAX_SECTIONS).collect() }
}

fn runs(total: u32, wanted: u32) -> Vec<SectionPlan> {
    let wanted = if wanted == 0 { DEFAULT_RUN } else { wanted };
    let most = u32::try_from(MAX_SECTIONS).unwrap_or(u32::MAX);
    let length = wanted * total.div_ceil(wanted).div_ceil(most).max(1);
    (0..total.div_ceil(length))
        .map(|run| PageSpan { from: run * length + 1, to: ((run + 1) * length).min(total) })
        .map(|pages| SectionPlan { title: None, pages })
        .collect()
}

fn one_line(title: &str) -> String {
    title.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn item(title: &str, page: u32, level: u32) -> OutlineItem {
        OutlineItem { title: title.to_owned(), page: Some(page), level }
    }

    fn input(total_pages: u32, outline: Vec<OutlineItem>) -> SummaryInput {
        SummaryInput { total_pages, outline, pages_per_section: 25, ..SummaryInput::default() }
    }

    #[test]
    fn sections_follow_the_outline() {
        let outline = vec![item("Preface", 3, 1), item("1 A", 5, 1), item("1.1 B", 6, 2), item("2 C", 9, 1), item("gone", 99, 1)];
        let found: Vec<_> =
            sections(&input(12, outline)).into_iter().map(|s| (s.title.unwrap_or_default(), s.pages.from, s.pages.to)).collect();
        assert_eq!(
            found,
            [(String::new(), 1, 2), ("Preface".to_owned(), 3, 4), ("1 A".to_owned(), 5, 8), ("2 C".to_owned(), 9, 12)]
        );
    }

    #[test]
    fn an_outline_wrapped_in_one_entry_gives_its_second_level() {
        let outline = vec![item("Book", 1, 1), item("A", 2, 2), item("B", 4, 2), item("C", 8, 2)];
        assert_eq!(sections(&input(9, outline)).len(), 4);
    }

    proptest! {
        #[test]
        fn runs_cover_every_page_once(total in 0..5000u32, run in 0..60u32) {
            let plans = sections(&SummaryInput { total_pages: total, pages_per_section: run, ..SummaryInput::default() });
            let mut next = 1;
            for plan in &plans {
                prop_assert_eq!(plan.pages.from, next);
                prop_assert!(plan.pages.to >= plan.pages.from);
                next = plan.pages.to + 1;
            }
            prop_assert_eq!(next, total + 1);
            prop_assert!(plans.len() <= MAX_SECTIONS);
        }
    }
}

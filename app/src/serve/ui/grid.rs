//! The pages of a document as a grid: a row for each batch, a square for each page.

use celeriac_tasks::ledger::{Entry, PageState};

/// Pages a row where the document is not split.
const ROW: u32 = 25;
/// The most pages a row has: larger batches are cut.
const ROW_MAX: u32 = 50;

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) tone: &'static str,
    pub(super) cells: Vec<Cell>,
}

/// A page.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cell {
    pub(super) page: u32,
    pub(super) state: &'static str,
    pub(super) letter: char,
    /// Only one of them is reached by Tab; arrows lead to the others.
    pub(super) tab: i8,
}

/// A kind of square, and how many there are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kind {
    pub(super) state: &'static str,
    pub(super) name: &'static str,
    pub(super) count: u32,
}

/// The first and the last page of each row.
pub(super) fn spans(entry: &Entry) -> Vec<(u32, u32)> {
    let last = u32::try_from(entry.pages.len()).unwrap_or(u32::MAX);
    let batches = entry.batches();
    let size = batches.first().map_or(ROW, |batch| batch.pages.clamp(1, ROW_MAX));
    let whole = batches.iter().all(|batch| batch.pages <= ROW_MAX && batch.last + 1 - batch.first == batch.pages);
    if whole && batches.iter().map(|batch| batch.pages).sum::<u32>() == last && last > 0 {
        return batches.iter().map(|batch| (batch.first, batch.last)).collect();
    }
    (0..last.div_ceil(size)).map(|row| (row * size + 1, ((row + 1) * size).min(last))).collect()
}

/// The rows.
pub(super) fn rows(entry: &Entry) -> Vec<Row> {
    spans(entry).into_iter().map(|(first, last)| row(entry, first, last)).collect()
}

fn row(entry: &Entry, first: u32, last: u32) -> Row {
    let states: Vec<PageState> = (first..=last).filter_map(|page| entry.pages.get(page)).collect();
    let (state, tone) = told(&states);
    let cell = |(page, state): (u32, &PageState)| Cell {
        page,
        state: state.name(),
        letter: state.letter(),
        tab: if page == 1 { 0 } else { -1 },
    };
    let name = if first == last { first.to_string() } else { format!("{first}–{last}") };
    Row { name, state, tone, cells: (first..).zip(&states).map(cell).collect() }
}

/// What is written under the name of a row; `rowState` of states.js says the same.
fn told(states: &[PageState]) -> (String, &'static str) {
    let count = |fits: fn(PageState) -> bool| states.iter().filter(|state| fits(**state)).count();
    let asked = count(|state| state != PageState::Skipped);
    let failed = count(|state| state == PageState::Failed);
    let ended = count(PageState::has_ended);
    let begun = count(|state| !matches!(state, PageState::Pending | PageState::Queued | PageState::Skipped));
    match () {
        () if asked == 0 => ("not asked for".to_owned(), ""),
        () if failed > 0 => (format!("{failed} failed"), "bad"),
        () if ended == asked && count(|state| state == PageState::Cancelled) > 0 => ("cancelled".to_owned(), ""),
        () if ended == asked => ("done".to_owned(), "good"),
        () if begun > 0 => (format!("{ended} of {asked}"), "busy"),
        () => ("waiting".to_owned(), ""),
    }
}

/// How many squares of each kind.
pub(super) fn legend(entry: &Entry) -> Vec<Kind> {
    let kind =
        |state: PageState| Kind { state: state.name(), name: state.name(), count: entry.pages.count(|found| found == state) };
    PageState::ALL.into_iter().map(kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use celeriac_tasks::job::BatchSize;
    use celeriac_tasks::ledger::{Opened, PageStates, Submission};

    fn entry(pages: u32, threshold: usize) -> Entry {
        let mut entry = Entry::new("j", Submission::default(), chrono::Utc::now());
        entry.pages = PageStates::new(pages, PageState::Queued);
        entry.opened = Some(Opened {
            total_pages: pages,
            threshold,
            batch_size: BatchSize::Pages(25),
            title: None,
            analyzer: String::new(),
            summary: true,
            audio: false,
        });
        entry
    }

    #[test]
    fn a_row_is_a_batch() {
        assert_eq!(spans(&entry(60, 50)), [(1, 25), (26, 50), (51, 60)]);
        assert_eq!(spans(&entry(30, 50)), [(1, 25), (26, 30)], "and 25 pages where there is none");
        assert_eq!(spans(&entry(0, 50)), []);
    }

    #[test]
    fn a_row_says_how_its_batch_is() {
        let told_of = |letters: &str| told(&letters.chars().filter_map(PageState::of).collect::<Vec<_>>());
        let cases = [
            ("qq..", "waiting", ""),
            ("oorq", "2 of 4", "busy"),
            ("oocs", "done", "good"),
            ("oofq", "1 failed", "bad"),
            ("ooxx", "cancelled", ""),
            ("ss", "not asked for", ""),
        ];
        for (letters, text, tone) in cases {
            assert_eq!(told_of(letters), (text.to_owned(), tone), "{letters}");
        }
    }

    #[test]
    fn each_page_has_a_square_with_its_state() {
        let mut entry = entry(30, 50);
        entry.pages.set(26, PageState::Failed);
        let rows = rows(&entry);
        assert_eq!((rows[1].name.as_str(), rows[1].state.as_str(), rows[1].cells.len()), ("26–30", "1 failed", 5));
        assert_eq!(rows[1].cells[0], Cell { page: 26, state: "failed", letter: 'f', tab: -1 });
        assert_eq!(legend(&entry).iter().map(|kind| kind.count).sum::<u32>(), 30);
    }
}

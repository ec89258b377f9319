//! Tests of the offline summary on a small document of several pages.

use super::*;
use crate::analysis::{Offline, PageKind, Searchable};
use crate::result::OutlineItem;

const PAGES: [&str; 5] = [
    "The Harbour Report\nThe Harbour Report is a yearly description of trade in the northern ports and of the ships that carry it.\nIt is written by the port office.",
    "Contents\n1 Trade . . . . . . . . . . . . . 3\n2 Ships . . . . . . . . . . . . . 4\nIndex . . . . . . . . . . . . . . 5",
    "Harbour Report 3\n1 Trade\nTrade in the northern ports grew by a tenth over the whole year. Container trade made up most of the growth in the northern ports.\nThe value of timber trade fell because fewer houses were built abroad. Merchants expect that container trade will grow further next spring.",
    "Harbour Report 4\n2 Ships\nMore container ships called at the northern ports than in any year before. Ships that burn oil must not enter the inner harbour after the new law.\nThe average container ship stayed in the harbour for less than two days. Sailing ships are now seen in the harbour only during the summer feast.",
    "Index\ncontainer . . . . . . . . . . . 3\nships . . . . . . . . . . . . . 4\ntimber . . . . . . . . . . . . . 3",
];

fn input(offline: &Offline) -> SummaryInput {
    let numbered = (1..).zip(PAGES);
    SummaryInput {
        title: Some("The Harbour Report".to_owned()),
        outline: vec![
            OutlineItem { title: "1 Trade".to_owned(), page: Some(3), level: 1 },
            OutlineItem { title: "2 Ships".to_owned(), page: Some(4), level: 1 },
        ],
        total_pages: 6,
        missing_pages: vec![6],
        pages_per_section: 25,
        digests: numbered.map(|(page, text)| offline.page(page, text, None).digest).collect(),
    }
}

#[test]
fn a_summary_says_what_the_document_says_and_where() {
    let offline = Offline::new();
    let summary = summarize(&offline, &input(&offline));
    assert!(
        summary.executive.contains("The document has 6 pages in 2 sections. The summary rests on 5 of them."),
        "{}",
        summary.executive
    );
    assert!(summary.executive.contains("northern ports"));
    assert!(!summary.key_points.is_empty() && summary.key_points.iter().all(|point| !point.pages.is_empty()));
    assert_eq!(summary.key_points[0].weight, 1.0);
    assert!(summary.themes.iter().any(|theme| theme.name.to_lowercase().contains("container")), "{:?}", summary.themes);
    assert_eq!(summary.missing_pages, [6]);
    assert_eq!(summary.covers_pages, 5);
    let titles: Vec<&str> = summary.sections.iter().map(|section| section.title.as_str()).collect();
    assert_eq!(titles, ["Pages 1–2", "1 Trade", "2 Ships"]);
    assert!(summary.insights.iter().any(|insight| insight.kind == "risk" && insight.text.contains("must not")));
    assert!(summary.insights.iter().any(|insight| insight.kind == "coverage" && insight.pages == [6]));
}

#[test]
fn every_quote_stands_on_its_page_at_its_place() {
    let offline = Offline::new();
    let summary = summarize(&offline, &input(&offline));
    assert!(!summary.quotes.is_empty());
    for quote in &summary.quotes {
        let text = PAGES[quote.page as usize - 1];
        let place = Searchable::new(text).find(&quote.text);
        assert_eq!(quote.start, place.map(|place| place.0));
        assert!(quote.verified);
    }
}

#[test]
fn contents_heads_and_index_stay_out() {
    let offline = Offline::new();
    let summary = format!("{:?}", summarize(&offline, &input(&offline)));
    for furniture in [". . .", "Harbour Report 3", "Contents"] {
        assert!(!summary.contains(furniture), "{furniture}");
    }
}

#[test]
fn the_order_of_the_digests_does_not_matter() {
    let offline = Offline::new();
    let given = input(&offline);
    let mut turned = given.clone();
    turned.digests.reverse();
    assert_eq!(summarize(&offline, &given), summarize(&offline, &turned));
}

#[test]
fn a_document_without_text_has_an_empty_summary() {
    let offline = Offline::new();
    let empty = summarize(&offline, &SummaryInput::default());
    assert_eq!((empty.executive.as_str(), empty.key_points.len()), ("", 0));
    let blank = PageDigest { page: 1, kind: PageKind::Blank, ..PageDigest::default() };
    let scanned = SummaryInput { total_pages: 1, digests: vec![blank], ..SummaryInput::default() };
    assert!(summarize(&offline, &scanned).quotes.is_empty());
}

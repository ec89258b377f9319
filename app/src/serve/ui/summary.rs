//! What a document holds, in short.

use celeriac_tasks::ledger::Entry;
use celeriac_tasks::result::{self, DocumentResult};

use super::words::word;

/// How many pages are named where something stands on many.
pub(super) const PAGES: usize = 12;

/// A summary.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) there: bool,
    pub(super) absent: &'static str,
    pub(super) note: String,
    pub(super) executive: Vec<String>,
    pub(super) key_points: Vec<Point>,
    pub(super) quotes: Vec<Quote>,
    pub(super) themes: Vec<Theme>,
    pub(super) insights: Vec<Point>,
    pub(super) entities: Vec<Name>,
}

/// Something said, and where.
#[derive(Debug)]
pub(super) struct Point {
    pub(super) text: String,
    pub(super) pages: Vec<u32>,
}

/// A quote.
#[derive(Debug)]
pub(super) struct Quote {
    pub(super) text: String,
    pub(super) page: u32,
    pub(super) speaker: String,
    pub(super) verified: bool,
}

/// A theme.
#[derive(Debug)]
pub(super) struct Theme {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) pages: Vec<u32>,
}

/// Somebody or something that is named.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) mentions: u32,
    pub(super) pages: Vec<u32>,
    pub(super) more: usize,
}

/// Of a job; what is told where there is none says why.
pub(super) fn of(entry: &Entry, result: Option<DocumentResult>) -> Summary {
    let wanted = entry.opened.as_ref().is_none_or(|opened| opened.summary);
    let absent = match () {
        () if !wanted => "No summary was asked for.",
        () if entry.status.is_terminal() => "There is no summary: too little of the document is there.",
        () => "The summary is written when the pages are done. It shows here then.",
    };
    let Some(result) = result else { return Summary { absent, ..Summary::default() } };
    let Some(summary) = result.summary else { return Summary { absent, ..Summary::default() } };
    let names = result.entities.map(|entities| entities.items).unwrap_or_default();
    Summary {
        there: true,
        absent,
        note: note(&summary),
        executive: summary.executive.split("\n\n").map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect(),
        key_points: summary.key_points.into_iter().map(|point| Point { text: point.text, pages: few(point.pages) }).collect(),
        quotes: summary.quotes.into_iter().map(quote).collect(),
        themes: summary.themes.into_iter().map(|it| Theme { name: it.name, text: it.description, pages: few(it.pages) }).collect(),
        insights: summary.insights.into_iter().map(|it| Point { text: it.text, pages: few(it.pages) }).collect(),
        entities: names.into_iter().map(name).collect(),
    }
}

fn few(mut pages: Vec<u32>) -> Vec<u32> {
    pages.truncate(PAGES);
    pages
}

fn note(summary: &result::Summary) -> String {
    let missing = match summary.missing_pages.len() {
        0 => String::new(),
        missing => format!(", {missing} missing"),
    };
    format!("{} · {} pages covered{missing}", word(&summary.method).replace('_', " "), summary.covers_pages)
}

fn quote(quote: result::SummaryQuote) -> Quote {
    Quote { text: quote.text, page: quote.page, speaker: quote.speaker.unwrap_or_default(), verified: quote.verified }
}

fn name(entity: result::DocumentEntity) -> Name {
    Name {
        name: entity.name,
        kind: entity.kind,
        mentions: entity.mentions,
        more: entity.pages.len().saturating_sub(PAGES),
        pages: few(entity.pages),
    }
}

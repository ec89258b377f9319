//! The result of a document as one page to read: by itself, without anything from elsewhere, on a screen or on paper.

use askama::Template;
use celeriac_tasks::result::{DocumentResult, PageRecord, PageStatus, Summary};

#[derive(Template)]
#[template(path = "result.html")]
struct Readable<'a> {
    title: &'a str,
    language: &'a str,
    about: String,
    summary: Option<&'a Summary>,
    paragraphs: Vec<&'a str>,
    pages: Vec<Page<'a>>,
}

/// A page of the document.
struct Page<'a> {
    number: u32,
    /// Why there is no text.
    note: String,
    text: &'a str,
}

/// Written out.
pub(super) fn readable(result: &DocumentResult) -> Result<String, askama::Error> {
    let document = &result.document;
    let title = document.title.as_deref().filter(|title| !title.trim().is_empty()).unwrap_or(&document.file_name);
    let counts = &result.counts;
    let failed = if counts.failed > 0 { format!(", {} failed", counts.failed) } else { String::new() };
    let about = format!("{} · {} pages{failed} · {}", document.file_name, counts.total, result.job.status.as_str());
    let paragraphs = result.summary.as_ref().map(|summary| summary.executive.split("\n\n").collect()).unwrap_or_default();
    Readable {
        title,
        language: document.language.as_deref().unwrap_or_default(),
        about,
        summary: result.summary.as_ref(),
        paragraphs,
        pages: result.pages.iter().filter(|page| page.status != PageStatus::Skipped).map(page).collect(),
    }
    .render()
}

fn page(page: &PageRecord) -> Page<'_> {
    let note = match page.status {
        PageStatus::Failed => {
            page.error.as_ref().map_or("This page failed.".to_owned(), |error| format!("This page failed: {}.", error.message))
        }
        PageStatus::NeedsOcr => "This page is an image without text; it needs OCR.".to_owned(),
        PageStatus::Ok | PageStatus::Skipped => String::new(),
    };
    Page { number: page.page, note, text: page.text.as_ref().map_or("", |text| text.content.as_str()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use celeriac_tasks::error::{Code, DocumentError, Stage};
    use celeriac_tasks::result::{Aggregated, Document, Job, PageText, SummaryQuote, aggregate};

    #[test]
    fn what_a_document_says_is_text_and_nothing_that_a_browser_would_run() {
        let mut first = PageRecord { page: 1, ..PageRecord::default() };
        first.text = Some(PageText { content: "a <script>alert(1)</script> & so on".into(), ..PageText::default() });
        let mut second = PageRecord { page: 2, status: PageStatus::Failed, ..PageRecord::default() };
        second.error = Some(DocumentError::new(Code::Internal, Stage::Render, "no bitmap").record(1, chrono::Utc::now()));
        let document = Document { file_name: "a<b>.pdf".into(), total_pages: 2, ..Document::default() };
        let pages: Aggregated = aggregate(2, [first, second], |page| PageRecord { page, ..PageRecord::default() });
        let mut result = DocumentResult::new(Job::default(), document, Vec::new(), pages);
        let quote = SummaryQuote { text: "\"quoted\"".into(), page: 1, verified: true, ..SummaryQuote::default() };
        result.set_summary(Summary { executive: "One.\n\nTwo.".into(), quotes: vec![quote], ..Summary::default() });
        let html = readable(&result).unwrap();
        assert!(!html.contains("<script") && !html.contains("a<b>") && !html.contains("src="), "{html}");
        for words in ["a &#60;script", "This page failed: no bitmap.", "<p>One.</p>", "id=\"p2\"", "href=\"#p1\""] {
            assert!(html.contains(words), "{words}: {html}");
        }
    }
}

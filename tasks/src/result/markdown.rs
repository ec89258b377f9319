//! The result as one Markdown text: the summary first, then every page under its marker.

use std::fmt::Write;

use super::{DocumentResult, PageRecord, PageStatus, Summary};

impl DocumentResult {
    /// The document as Markdown. Each page begins with `<!-- page 12 -->`; a failed page is a visible block.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut out = String::new();
        let title = self.document.title.as_deref().filter(|title| !title.trim().is_empty());
        let title = title.unwrap_or(&self.document.file_name);
        let _ = writeln!(out, "# {}\n", one_line(title));
        let counts = &self.counts;
        let _ = writeln!(
            out,
            "*{} pages, {} usable, {} failed, {} skipped. Status: {}.*\n",
            counts.total,
            counts.ok + counts.cached + counts.needs_ocr,
            counts.failed,
            counts.skipped,
            self.job.status.as_str(),
        );
        if let Some(summary) = &self.summary {
            write_summary(&mut out, summary);
        }
        for page in &self.pages {
            write_page(&mut out, page);
        }
        out
    }
}

/// The summary's own chapter.
fn write_summary(out: &mut String, summary: &Summary) {
    let _ = writeln!(out, "## Summary\n\n{}\n", summary.executive.trim());
    if !summary.key_points.is_empty() {
        let _ = writeln!(out, "### Key points\n");
        for point in &summary.key_points {
            let _ = writeln!(out, "- {}{}", one_line(&point.text), pages(&point.pages));
        }
        out.push('\n');
    }
    if !summary.themes.is_empty() {
        let _ = writeln!(out, "### Themes\n");
        for theme in &summary.themes {
            let name = one_line(&theme.name);
            let _ = write!(out, "- **{name}**");
            if !theme.description.is_empty() {
                let _ = write!(out, ": {}", one_line(&theme.description));
            }
            let _ = writeln!(out, "{}", pages(&theme.pages));
        }
        out.push('\n');
    }
    if !summary.quotes.is_empty() {
        let _ = writeln!(out, "### Quotes\n");
        for quote in &summary.quotes {
            let mark = if quote.verified { "" } else { ", not found on the page" };
            let text = one_line(&quote.text);
            let _ = writeln!(out, "> {text}\n> (page {}{mark})\n", quote.page);
        }
    }
    if !summary.insights.is_empty() {
        let _ = writeln!(out, "### Insights\n");
        for insight in &summary.insights {
            let _ = writeln!(out, "- {}{}", one_line(&insight.text), pages(&insight.pages));
        }
        out.push('\n');
    }
    if !summary.sections.is_empty() {
        let _ = writeln!(out, "### Sections\n");
        for section in &summary.sections {
            let (from, to) = (section.pages.from, section.pages.to);
            let title = one_line(&section.title);
            let _ = writeln!(out, "#### {title} (pages {from}–{to})\n\n{}\n", section.summary.trim());
        }
    }
}

fn write_page(out: &mut String, page: &PageRecord) {
    let number = page.page;
    let _ = writeln!(out, "<!-- page {number} -->\n");
    match page.status {
        PageStatus::Failed => {
            let (code, message) = page.error.as_ref().map_or_else(
                || ("internal".to_owned(), "no error was recorded"),
                |error| (code_name(error), error.message.as_str()),
            );
            let _ = writeln!(out, "> **Page {number} failed** (`{code}`): {}\n", one_line(message));
        }
        PageStatus::Skipped => {
            let _ = writeln!(out, "> *Page {number} was not processed.*\n");
        }
        PageStatus::NeedsOcr => {
            let _ = writeln!(out, "> *Page {number} is an image without text; it needs OCR.*\n");
        }
        PageStatus::Ok => match (&page.markdown, &page.text) {
            (Some(markdown), _) => {
                let _ = writeln!(out, "{}\n", markdown.trim());
            }
            (None, Some(text)) => {
                write_plain(out, &text.content);
                for table in &page.tables {
                    let _ = writeln!(out, "{}\n", table.markdown.trim());
                }
            }
            (None, None) => {}
        },
    }
}

/// Plain text as Markdown that shows the same text: what would begin a heading, list, quote or tag is escaped.
fn write_plain(out: &mut String, text: &str) {
    for line in text.lines() {
        let line = line.trim_end();
        let begins_markup = line.trim_start().starts_with(['#', '>', '<', '*', '+', '-', '=', '|', '~', '`', '[']);
        if begins_markup {
            out.push('\\');
            out.push_str(line.trim_start());
        } else {
            out.push_str(line.trim_start());
        }
        out.push('\n');
    }
    out.push('\n');
}

fn code_name(error: &crate::error::ErrorRecord) -> String {
    serde_json::to_value(error.code).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// ` (p. 3, 12, 77)`, shortened when there are many.
fn pages(pages: &[u32]) -> String {
    const SHOWN: usize = 8;
    if pages.is_empty() {
        return String::new();
    }
    let shown: Vec<String> = pages.iter().take(SHOWN).map(u32::to_string).collect();
    let more = if pages.len() > SHOWN { ", …" } else { "" };
    format!(" (p. {}{more})", shown.join(", "))
}

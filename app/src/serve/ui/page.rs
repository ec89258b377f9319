//! One page of a document: its image, its text, what was found in it, why it failed. It also fills the drawer beside the grid.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use celeriac_tasks::ledger::PageState;
use celeriac_tasks::result::{PageRecord, PageTimes};

use super::super::Api;
use super::answer;
use super::document::{Head, Tab};
use super::events::{History, Step};
use super::job::Job;
use super::place::Shell;
use super::words::word;
use crate::jobs::Refusal;

/// How many names are shown.
const NAMES: usize = 24;
/// How wide all times together are drawn.
const WIDTH: u64 = 400;

#[derive(Template)]
#[template(path = "page.html")]
struct OfPage {
    shell: Shell,
    job: Job,
    steps: Vec<Step>,
    tabs: Vec<Tab>,
    page: Page,
}

/// A page.
#[derive(Debug, Default)]
struct Page {
    number: u32,
    last: u32,
    state: &'static str,
    may_retry: bool,
    /// Whether there is a record of it.
    there: bool,
    absent: &'static str,
    error_code: String,
    error: String,
    error_stage: String,
    attempts: String,
    warnings: Vec<String>,
    has_image: bool,
    summary: String,
    key_points: Vec<String>,
    entities: Vec<String>,
    text: String,
    text_note: String,
    times: Vec<Part>,
    total_ms: u64,
    facts: Vec<Fact>,
}

/// A part of its time.
#[derive(Debug, PartialEq)]
struct Part {
    /// The number of its colour.
    tone: usize,
    name: &'static str,
    ms: u64,
    x: u64,
    width: u64,
}

/// Something small that is known.
#[derive(Debug)]
struct Fact {
    name: &'static str,
    value: String,
}

pub(super) async fn show(State(api): State<Api>, shell: Shell, Path((job_id, number)): Path<(String, u32)>) -> Response {
    let page = async {
        let Head { shell, entry, history, job, steps, tabs } = Head::of(&api.desk, &shell, &job_id, "").await?;
        let Some(state) = entry.pages.get(number) else {
            return Err(Refusal::NotFound(format!("job {job_id} has no page {number}: it has {}", entry.pages.len())));
        };
        let mut page = match api.desk.page(&job_id, number).await? {
            Some(record) => of(record),
            None => Page { absent: absent(state), ..Page::default() },
        };
        page.number = number;
        page.last = u32::try_from(entry.pages.len()).unwrap_or(u32::MAX);
        page.state = state.name();
        page.may_retry = entry.status.is_terminal() && state != PageState::Skipped;
        if state == PageState::Failed && page.error.is_empty() {
            failed(&mut page, &history);
        }
        Ok(OfPage { shell, job, steps, tabs, page })
    };
    answer(&shell, page.await)
}

const fn absent(state: PageState) -> &'static str {
    match state {
        PageState::Running | PageState::Retrying => "A worker is on this page.",
        PageState::Skipped => "This page was not asked for.",
        PageState::Cancelled => "This page was left out because the job was stopped.",
        PageState::Failed => "Nothing came of this page.",
        PageState::Ok | PageState::Cached => "What came of this page is not kept any more.",
        PageState::Pending | PageState::Queued => "This page waits for a worker.",
    }
}

fn failed(page: &mut Page, history: &History) {
    if let Some((code, message)) = history.page_error(page.number) {
        page.error_code = code;
        page.error = if message.is_empty() { "no more is known".to_owned() } else { message };
    }
}

fn of(record: PageRecord) -> Page {
    let attempts = if record.attempts == 1 { "1 attempt".to_owned() } else { format!("{} attempts", record.attempts) };
    let error = record.error.as_ref();
    let analysis = record.analysis.unwrap_or_default();
    let text = record.text.unwrap_or_default();
    let mut facts = vec![Fact { name: "Attempts", value: record.attempts.to_string() }];
    facts.extend(record.worker.map(|value| Fact { name: "Worker", value }));
    facts.extend(record.task_id.map(|value| Fact { name: "Task", value }));
    facts.extend(
        record.size.map(|size| Fact { name: "Size", value: format!("{:.0} × {:.0} {}", size.width, size.height, size.unit) }),
    );
    Page {
        there: true,
        error_code: error.map(|error| word(&error.code)).unwrap_or_default(),
        error: error.map(|error| error.message.clone()).unwrap_or_default(),
        error_stage: error.map(|error| word(&error.stage)).unwrap_or_default(),
        attempts,
        warnings: record.warnings.into_iter().map(|warning| warning.message).collect(),
        has_image: record.image.is_some(),
        summary: analysis.summary,
        key_points: analysis.key_points,
        entities: analysis.entities.into_iter().take(NAMES).map(|entity| entity.text).collect(),
        text_note: format!("{} words, {}", text.words, word(&text.source).replace('_', " ")),
        text: text.content,
        total_ms: record.times_ms.map(|times| times.total).unwrap_or_default(),
        times: record.times_ms.map(times).unwrap_or_default(),
        facts,
        ..Page::default()
    }
}

fn times(times: PageTimes) -> Vec<Part> {
    let parts = [
        ("queued", times.queued),
        ("fetch", times.fetch),
        ("render", times.render),
        ("extract", times.extract),
        ("OCR", times.ocr),
        ("analyze", times.analyze),
        ("store", times.store),
    ];
    let all = parts.iter().map(|(_, ms)| ms).sum::<u64>().max(1);
    let mut x = 0;
    let part = |(tone, (name, ms)): (usize, (&'static str, u64))| {
        let part = Part { tone, name, ms, x: x * WIDTH / all, width: ms * WIDTH / all };
        x += ms;
        part
    };
    (1..).zip(parts).map(part).filter(|part| part.ms > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fill_the_bar() {
        let parts = times(PageTimes { queued: 100, render: 300, total: 300, ..PageTimes::default() });
        assert_eq!((parts[0].x, parts[0].width, parts[1].x, parts[1].width), (0, 100, 100, 300));
        assert_eq!((parts.len(), parts[1].tone), (2, 3), "each has its colour, and what took no time is left out");
    }

    #[test]
    fn a_failed_page_says_code_stage_and_attempts() {
        use celeriac_tasks::error::{Code, DocumentError, Stage};
        let error = DocumentError::new(Code::PageRenderFailed, Stage::Render, "no bitmap").record(3, chrono::Utc::now());
        let page = of(PageRecord { attempts: 3, ..PageRecord::failed(7, error) });
        assert_eq!(
            (page.error_code.as_str(), page.error_stage.as_str(), page.attempts.as_str()),
            ("page_render_failed", "render", "3 attempts")
        );
    }
}

//! What came of a document, for the person who asked: a few lines, or JSON.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use celeriac::cli::Exit;
use celeriac::protocol::meta::Meta;
use celeriac::protocol::state::State;
use celeriac_tasks::result::{DocumentResult, PartialReason};
use serde::Deserialize;
use serde_json::{Value, json};

use super::sources::Input;

/// Lines of a summary that are shown.
const SUMMARY_CHARACTERS: usize = 600;

/// One document's end.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) name: String,
    pub(super) job_id: String,
    pub(super) task_id: String,
    /// `completed`, `partial`, `failed`, `cancelled`; `queued` when nobody waited.
    pub(super) status: String,
    pub(super) seconds: f64,
    /// The Celery result: everything but the pages' own content.
    pub(super) compact: Value,
    /// Why it failed.
    pub(super) error: Option<String>,
    /// The result in full, where the store can be read from here.
    pub(super) full: Option<Box<DocumentResult>>,
    /// What was written, and where.
    pub(super) files: Vec<(&'static str, PathBuf)>,
}

impl Ended {
    /// A job that was sent and not waited for.
    pub(super) fn submitted(input: &Input, job_id: String, task_id: String) -> Self {
        Self {
            name: input.name.clone(),
            job_id,
            task_id,
            status: "queued".into(),
            seconds: 0.0,
            compact: Value::Null,
            error: None,
            full: None,
            files: Vec::new(),
        }
    }

    /// From the state its task ended in.
    pub(super) fn new(input: &Input, job_id: String, task_id: String, took: Duration, meta: &Meta) -> Self {
        let mut ended = Self { seconds: took.as_secs_f64(), ..Self::submitted(input, job_id, task_id) };
        match meta.status {
            State::Success => {
                ended.compact = Value::from(meta.result.clone());
                ended.status = ended.job()["status"].as_str().unwrap_or("completed").to_owned();
                if ended.compact["job"].is_null() {
                    let reasons = ended.job()["partial_reasons"].as_array().into_iter().flatten().filter_map(Value::as_str);
                    ended.error = Some(format!("stopped before its first page: {}", reasons.collect::<Vec<_>>().join(", ")));
                }
            }
            State::Revoked => ended.status = "cancelled".into(),
            _ => {
                ended.status = "failed".into();
                ended.error = Some(reason(meta));
            }
        }
        ended
    }

    /// What is told of the job; one that was stopped before anything was done has no result around it.
    fn job(&self) -> &Value {
        self.compact.get("job").unwrap_or(&self.compact)
    }

    fn reached_a_limit(&self) -> bool {
        let reasons = Vec::<PartialReason>::deserialize(&self.job()["partial_reasons"]).unwrap_or_default();
        reasons.into_iter().any(PartialReason::is_limit)
    }

    pub(super) fn exit(&self) -> Exit {
        match self.status.as_str() {
            "failed" | "partial" if self.reached_a_limit() => Exit::Limit,
            "failed" => Exit::JobFailed,
            "cancelled" => Exit::Cancelled,
            "partial" => Exit::Partial,
            _ => Exit::Ok,
        }
    }

    fn count(&self, name: &str) -> u64 {
        self.compact["counts"][name].as_u64().unwrap_or(0)
    }

    /// Pages that were made in this run or before it, and usable.
    fn usable(&self) -> u64 {
        self.count("ok") + self.count("cached")
    }

    pub(super) fn to_json(&self) -> Value {
        let files: serde_json::Map<String, Value> =
            self.files.iter().map(|(kind, path)| ((*kind).to_owned(), path.display().to_string().into())).collect();
        json!({
            "source": self.name, "job_id": self.job_id, "task_id": self.task_id, "status": self.status,
            "partial_reasons": self.job()["partial_reasons"], "seconds": round(self.seconds),
            "pages": self.count("total"), "ok": self.usable(), "failed": self.count("failed"), "skipped": self.count("skipped"),
            "error": self.error, "files": files,
        })
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = self.write_text(&mut text);
        text
    }

    fn write_text(&self, text: &mut String) -> std::fmt::Result {
        if self.status == "queued" {
            return writeln!(text, "{}: queued as job {}", self.name, self.job_id);
        }
        if let Some(error) = &self.error {
            return writeln!(text, "{}: {} · {error}", self.name, self.status);
        }
        let (ok, total, failed) =
            (self.usable(), self.count("total") - self.count("skipped").min(self.count("total")), self.count("failed"));
        let speed = if self.seconds > 0.0 { self.count("ok") as f64 / self.seconds } else { 0.0 };
        write!(text, "{}: {} · {ok} of {total} pages in {:.1} s ({speed:.1} pages/s)", self.name, self.status, self.seconds)?;
        if failed > 0 {
            write!(text, " · {failed} failed: {}", self.failed_pages())?;
        }
        writeln!(text)?;
        for (kind, path) in &self.files {
            writeln!(text, "  {kind:<9} {}", path.display())?;
        }
        if let Some(summary) = self.compact["summary"]["executive"].as_str().filter(|summary| !summary.is_empty()) {
            writeln!(text, "  {:<9} {}", "summary", shorten(summary))?;
        }
        Ok(())
    }

    /// The numbers of the failed pages, the first few.
    fn failed_pages(&self) -> String {
        let errors = self.compact["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut pages: Vec<u64> = errors.iter().filter_map(|error| error["page"].as_u64()).collect();
        pages.dedup();
        let more = if pages.len() > 10 { ", …" } else { "" };
        let pages: Vec<String> = pages.iter().take(10).map(u64::to_string).collect();
        format!("page {}{more}", pages.join(", "))
    }
}

/// What a failed task says: the first words of its exception.
fn reason(meta: &Meta) -> String {
    let message = meta.result.get("exc_message").and_then(|message| message.as_list()?.first()?.as_str());
    let kind = meta.result.get("exc_type").and_then(|kind| kind.as_str());
    match (message, kind) {
        (Some(message), _) => message.to_owned(),
        (None, Some(kind)) => kind.to_owned(),
        (None, None) => format!("its task ended as {:?}", meta.status),
    }
}

fn round(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}

/// The beginning of a text, cut at a word.
fn shorten(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= SUMMARY_CHARACTERS {
        return line;
    }
    let cut: String = line.chars().take(SUMMARY_CHARACTERS).collect();
    let end = cut.rfind(' ').unwrap_or(cut.len());
    format!("{} …", &cut[..end])
}

#[cfg(test)]
mod tests {
    use super::super::sources::From;
    use super::*;
    use celeriac::protocol::value::Value as Wire;

    fn ended(status: State, result: Value) -> Ended {
        let input = Input { name: "a.pdf".into(), from: From::Url(String::new()) };
        let meta = Meta::new("t", status, Wire::from(result));
        Ended::new(&input, "j".into(), "t".into(), Duration::from_secs(10), &meta)
    }

    #[test]
    fn a_partial_result_names_its_pages_and_has_its_code() {
        let result = json!({
            "job": {"status": "partial", "partial_reasons": ["pages_failed"]},
            "counts": {"total": 100, "ok": 48, "cached": 1, "failed": 1, "skipped": 50},
            "errors": [{"page": 7, "code": "page_render_failed"}],
            "summary": {"executive": "It is about celery."},
        });
        let ended = ended(State::Success, result);
        assert_eq!(ended.exit(), Exit::Partial);
        let text = ended.to_text();
        assert!(text.starts_with("a.pdf: partial · 49 of 50 pages in 10.0 s (4.8 pages/s) · 1 failed: page 7\n"), "{text}");
        assert!(text.contains("It is about celery."));
        assert_eq!(ended.to_json()["partial_reasons"], json!(["pages_failed"]));
    }

    #[test]
    fn a_job_that_a_limit_stopped_has_a_code_of_its_own() {
        let result =
            json!({"job": {"status": "partial", "partial_reasons": ["budget"]}, "counts": {"total": 9, "ok": 3, "skipped": 6}});
        assert_eq!(ended(State::Success, result).exit(), Exit::Limit);
        let never = json!({"job_id": "j", "status": "failed", "partial_reasons": ["deadline"]});
        let never = ended(State::Success, never);
        assert_eq!((never.exit(), never.status.as_str()), (Exit::Limit, "failed"));
        assert!(never.to_text().contains("stopped before its first page: deadline"), "{}", never.to_text());
        let cancelled = ended(State::Success, json!({"job_id": "j", "status": "cancelled", "partial_reasons": ["cancelled"]}));
        assert_eq!(cancelled.exit(), Exit::Cancelled);
    }

    #[test]
    fn a_failure_says_why() {
        let result =
            json!({"exc_type": "DocumentProcessingError", "exc_module": "celeriac.errors", "exc_message": ["it is encrypted", {}]});
        let ended = ended(State::Failure, result);
        assert_eq!((ended.exit(), ended.to_text().as_str()), (Exit::JobFailed, "a.pdf: failed · it is encrypted\n"));
    }

    #[test]
    fn a_long_summary_is_cut_at_a_word() {
        let text = shorten(&"word ".repeat(300));
        assert!(text.ends_with("word …") && text.len() < 620);
    }
}

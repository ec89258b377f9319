//! What has come of a job of several documents: of each a line, or everything one after the other. Thousands are read in portions and
//! handed on as they come, so that they are never together in memory.

use bytes::Bytes;
use celeriac_tasks::ledger::{Entry, Query};
use chrono::Utc;
use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use serde::Serialize;
use serde_json::{Value, json};

use super::content::{Form, written};
use super::refusal::Refusal;
use super::view::{self, JobView};
use super::{Desk, Result};

/// How many documents are read at once.
const CHUNK: usize = 100;
/// How many documents are told with their job.
const FIRST: usize = 100;

/// What has come of one of several documents.
#[derive(Serialize)]
struct Came {
    job_id: String,
    file_name: Option<String>,
    title: Option<String>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
    pages: u32,
    failed_pages: u32,
    cost_usd: f64,
    /// Where its own result is; null: there is none.
    result: Option<String>,
}

impl Came {
    fn of(part: &Entry) -> Self {
        let link = view::links(&part.job_id).result;
        Self {
            job_id: part.job_id.clone(),
            file_name: part.submission.file_name.clone(),
            title: part.opened.as_ref().and_then(|opened| opened.title.clone()),
            status: part.status.as_str(),
            error: part.error.as_ref().and_then(|error| serde_json::to_value(error).ok()),
            pages: part.done(),
            failed_pages: part.failed(),
            cost_usd: part.spent.cost_usd,
            result: (part.done() > 0 && part.status.is_terminal()).then_some(link),
        }
    }

    /// As a line of a page to read.
    fn line(&self) -> String {
        let name = escaped(self.title.as_deref().or(self.file_name.as_deref()).unwrap_or(&self.job_id)).to_string();
        let name = match &self.result {
            Some(link) => format!("<a href=\"{}?format=html\">{name}</a>", escaped(link)),
            None => name,
        };
        format!("<li>{name} <small>{}, {} pages</small></li>\n", self.status, self.pages)
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| Refusal::Unavailable(format!("a result cannot be written: {error}")))
    }
}

impl Desk {
    /// A job as it is told of by itself: with the first of its documents.
    pub(crate) async fn shown(&self, entry: &Entry) -> Result<JobView> {
        let mut view = view::job(entry, Utc::now());
        if let Some(documents) = &mut view.documents {
            let query = Query { parent: Some(entry.job_id.clone()), limit: FIRST, ..Query::default() };
            documents.first = self.parts(&query).await?.jobs.iter().map(view::part).collect();
        }
        Ok(view)
    }

    /// The result of a job of several documents (S4.21) in a form: as JSON a line for each, as text the documents themselves.
    pub(crate) fn parts_written(self, whole: Entry, form: Form) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        let (before, after) = match form {
            Form::Json => around(&whole),
            Form::Html => listing(&whole),
            Form::Md | Form::Txt | Form::Ndjson => (Bytes::new(), Bytes::new()),
        };
        let desk = self.clone();
        let parts = self.each(whole.job_id).enumerate();
        let written = parts.then(move |(number, part)| {
            let desk = desk.clone();
            async move { desk.part_written(number, &part?, form).await }
        });
        stream::once(async { Ok(before) }).chain(written).chain(stream::once(async { Ok(after) }))
    }

    async fn part_written(&self, number: usize, part: &Entry, form: Form) -> Result<Bytes> {
        let came = Came::of(part);
        let bytes = match form {
            Form::Json => [if number > 0 { b",".as_slice() } else { b"" }, &came.bytes()?].concat(),
            Form::Ndjson => [came.bytes()?.as_slice(), b"\n"].concat(),
            Form::Html => came.line().into_bytes(),
            Form::Md | Form::Txt => match self.result(&part.job_id).await? {
                Some(result) => {
                    let broken = |error| Refusal::Unavailable(format!("a result cannot be written: {error}"));
                    let between = if number == 0 {
                        ""
                    } else if form == Form::Md {
                        "\n\n"
                    } else {
                        "\n\u{c}\n"
                    };
                    [between.as_bytes(), &written(&result, form).map_err(broken)?].concat()
                }
                None => Vec::new(),
            },
        };
        Ok(bytes.into())
    }

    /// The documents of a job, the first first.
    fn each(self, job_id: String) -> impl Stream<Item = Result<Entry>> + Send + 'static {
        let query = Query { parent: Some(job_id), limit: CHUNK, ..Query::default() };
        stream::try_unfold(Some((self, query)), |next| async move {
            let Some((desk, query)) = next else { return Ok(None) };
            let found = desk.parts(&query).await?;
            let next = found.next.map(|cursor| (desk, Query { cursor: Some(cursor), ..query }));
            Ok::<_, Refusal>(Some((stream::iter(found.jobs.into_iter().map(Ok)), next)))
        })
        .try_flatten()
    }
}

/// What stands before and after the documents on a page to read.
fn listing(whole: &Entry) -> (Bytes, Bytes) {
    let name = escaped(whole.submission.file_name.as_deref().unwrap_or(&whole.job_id));
    let (done, total) = (whole.done(), whole.total());
    let head = format!(
        "<!doctype html>\n<html><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{name}</title>\
         <style>:root{{color-scheme:light dark}}body{{max-width:46rem;margin:2rem auto;padding:0 1rem;font:1rem/1.6 system-ui,sans-serif}}</style>\
         </head><body><h1>{name}</h1><p>{done} of {total} documents</p><ol>\n"
    );
    (head.into(), Bytes::from_static(b"</ol></body></html>\n"))
}

fn escaped(text: &str) -> impl std::fmt::Display + '_ {
    askama::filters::escape(text, askama::filters::Html).unwrap_or_else(|never| match never {})
}

/// What stands before and after the documents in JSON.
fn around(whole: &Entry) -> (Bytes, Bytes) {
    let parts = whole.parts.unwrap_or_default();
    let job = json!(view::job(whole, Utc::now()));
    let (total, successful, failed) = (whole.total(), parts.successful(), parts.failed());
    let head = format!(r#"{{"job":{job},"total":{total},"successful":{successful},"failed":{failed},"results":["#);
    (head.into(), Bytes::from_static(b"]}"))
}

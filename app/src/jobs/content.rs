//! What has come of a job: its result, its pages and their files, its narration.

use bytes::Bytes;
use celeriac_tasks::ledger::{Entry, EventId, PageState};
use celeriac_tasks::result::{DocumentResult, PageRecord};
use celeriac_tasks::store::{Key, PageFile};
use celeriac_tasks::timestamp;
use chrono::DateTime;
use serde_json::Value;

use super::refusal::Refusal;
use super::{Desk, Result, page};
use crate::archive;

/// How many events of a log are looked at.
const EVENTS: usize = 5000;

/// A form of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, utoipa::ToSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// Everything, as one JSON document.
    #[default]
    Json,
    /// The text with page marks, as Markdown.
    Md,
    /// The text alone.
    Txt,
    /// One page a line.
    Ndjson,
    /// A page to read, by itself.
    Html,
}

impl Form {
    /// Its media type.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Md => "text/markdown; charset=utf-8",
            Self::Txt => "text/plain; charset=utf-8",
            Self::Ndjson => "application/x-ndjson",
            Self::Html => "text/html; charset=utf-8",
        }
    }
}

/// Where a file of a page lies. A job whose id cannot be one does not exist.
fn page_key(job_id: &str, page: u32, file: PageFile) -> Result<Key> {
    Key::page(job_id, page, file).map_err(|_| Refusal::unknown(job_id))
}

impl Desk {
    /// The result as it was last written; `None` where there is none yet.
    pub(crate) async fn result(&self, job_id: &str) -> Result<Option<DocumentResult>> {
        let kept = self.store.get_large_json::<DocumentResult>(&Key::job(job_id, "result.json")?).await?;
        let archived = match (&kept, &self.archive) {
            (None, Some(archive)) => archive.get(job_id).await?.and_then(|archived| archived.result),
            _ => None,
        };
        let Some(mut result) = kept.or(archived) else { return Ok(None) };
        address(&mut result);
        Ok(Some(result))
    }

    /// The record of a page; `None` while it is not there.
    pub(crate) async fn page(&self, job_id: &str, page: u32) -> Result<Option<PageRecord>> {
        let record = self.store.get_json::<PageRecord>(&page_key(job_id, page, PageFile::Record)?).await?;
        Ok(record.map(|mut record| {
            address_page(job_id, &mut record);
            record
        }))
    }

    /// What happened to a job, oldest first, without its single pages.
    pub(crate) async fn log(&self, job_id: &str) -> Result<Value> {
        let told = self.ledger.events(job_id, EventId::default(), EVENTS).await?;
        let mut log = if told.is_empty() { self.archived_log(job_id).await? } else { archive::log(&told) };
        // Kept in milliseconds, told in words, as all times are.
        for line in log.as_array_mut().into_iter().flatten() {
            let at = line["at"].as_i64().and_then(DateTime::from_timestamp_millis);
            line["at"] = at.as_ref().map(timestamp::format).into();
        }
        Ok(log)
    }

    /// What the archive keeps of a job's log, with its times in milliseconds; empty where it knows nothing.
    pub(crate) async fn archived_log(&self, job_id: &str) -> Result<Value> {
        let archived = match &self.archive {
            Some(archive) => archive.get(job_id).await?,
            None => None,
        };
        Ok(archived.map_or_else(|| Value::Array(Vec::new()), |archived| archived.log))
    }

    /// The records of those pages of a job that fit and are there, in order.
    pub(crate) async fn pages(&self, entry: &Entry, wanted: impl Fn(u32, PageState) -> bool) -> Result<Vec<PageRecord>> {
        let mut records = Vec::new();
        for (page, _) in entry.pages.iter().filter(|(page, state)| wanted(*page, *state)) {
            records.extend(self.page(&entry.job_id, page).await?);
        }
        Ok(records)
    }

    /// A file of a page.
    pub(crate) async fn page_file(&self, job_id: &str, page: u32, file: PageFile) -> Result<Bytes> {
        match self.store.get(&page_key(job_id, page, file)?).await? {
            Some(bytes) => Ok(bytes),
            None => Err(self.missing(job_id, page).await?),
        }
    }

    /// What to say where something of a page is not in the store.
    pub(crate) async fn missing(&self, job_id: &str, page: u32) -> Result<Refusal> {
        let entry = self.job(job_id).await?;
        let gone = entry.pages.get(page).is_some_and(|state| was_there(&entry, state));
        Ok(if gone { Refusal::pages_gone(job_id) } else { Refusal::NotFound(format!("page {page} of job {job_id} is not there")) })
    }

    /// A part of the narration: its media type and its bytes.
    pub(crate) async fn narration(&self, job_id: &str, part: u32) -> Result<(&'static str, Bytes)> {
        let missing = || Refusal::NotFound(format!("job {job_id} has no narration part {part}"));
        for (format, media_type) in [("mp3", "audio/mpeg"), ("wav", "audio/wav"), ("opus", "audio/ogg")] {
            let key = Key::job(job_id, &format!("audio/{part:03}.{format}")).map_err(|_| Refusal::unknown(job_id))?;
            if let Some(bytes) = self.store.get(&key).await? {
                return Ok((media_type, bytes));
            }
        }
        Err(missing())
    }
}

/// Whether a page in this state was there at the job's end. One that is to be done again may be away for a while.
pub(crate) fn was_there(entry: &Entry, state: PageState) -> bool {
    entry.status.is_terminal() && state.is_done()
}

/// A result in a form; pages only, where some are named.
pub(crate) fn written(result: &DocumentResult, form: Form) -> anyhow::Result<Vec<u8>> {
    match form {
        Form::Json => Ok(serde_json::to_vec(result)?),
        Form::Html => Ok(page::readable(result)?.into_bytes()),
        Form::Md => Ok(result.to_markdown().into_bytes()),
        Form::Txt => {
            let texts = result.pages.iter().filter_map(|page| Some(page.text.as_ref()?.content.as_str()));
            Ok(texts.collect::<Vec<_>>().join("\n\u{c}\n").into_bytes())
        }
        Form::Ndjson => lines(&result.pages),
    }
}

/// Pages, one a line.
pub(crate) fn lines(pages: &[PageRecord]) -> anyhow::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for page in pages {
        serde_json::to_writer(&mut lines, page)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// A part of a result that can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part {
    Pages,
    /// Of pages, which are there then.
    Text,
    Entities,
}

/// Leaves out of a result the parts that are not named.
pub(crate) fn keep_only(result: &mut DocumentResult, parts: &[Part]) {
    if !parts.contains(&Part::Pages) && !parts.contains(&Part::Text) {
        result.pages.clear();
    }
    if !parts.contains(&Part::Text) {
        for page in &mut result.pages {
            (page.text, page.markdown) = (None, None);
        }
    }
    if !parts.contains(&Part::Entities) {
        result.entities = None;
    }
}

/// In the store files have keys; callers get addresses.
fn address(result: &mut DocumentResult) {
    let job_id = result.job.job_id.clone();
    result.pages.iter_mut().for_each(|page| address_page(&job_id, page));
    for part in result.audio.iter_mut().flat_map(|audio| audio.parts.iter_mut()) {
        part.url = format!("/v1/jobs/{job_id}/audio/{}", part.part);
    }
}

/// An image that is another has another address: a browser need not ask whether it has changed.
fn address_page(job_id: &str, page: &mut PageRecord) {
    if let Some(image) = &mut page.image {
        let content = image.sha256.get(..16).unwrap_or(&image.sha256);
        let address = format!("/v1/jobs/{job_id}/pages/{}/image?v={content}", page.page);
        image.thumb_url = Some(format!("{address}&w=160"));
        image.url = address;
    }
}

//! The archive: every finished job with its whole result, in SQL. It outlives the ledger, and a Redis that was emptied.

mod find;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use celeriac::cli::{Exit, Failure};
use celeriac::config::Loaded;
use celeriac_tasks::ledger::{Entry, Told};
use celeriac_tasks::result::DocumentResult;
use sqlx::any::{AnyPoolOptions, install_default_drivers};
use sqlx::{AnyConnection, AnyPool, Connection, Row};

use crate::jobs::Refusal;
use crate::settings::{ArchiveSettings, Storage};

/// The archive: SQLite in a file, or Postgres. Clones share its connections.
#[derive(Debug, Clone)]
pub(crate) struct Archive {
    pool: AnyPool,
}

/// What is archived of a job beside its entry.
#[derive(Debug)]
pub(crate) struct Archived {
    pub(crate) result: Option<DocumentResult>,
    /// Its log: time in milliseconds, and what was told.
    pub(crate) log: serde_json::Value,
}

/// Where the archive is: as it was said, or a file beside the store's own, where the store is a folder.
pub(crate) fn url(loaded: &Loaded) -> std::result::Result<Option<String>, Failure> {
    let settings: ArchiveSettings = loaded.table(ArchiveSettings::TABLE.path)?;
    let storage: Storage = loaded.table(Storage::TABLE.path)?;
    if let Some(url) = settings.url {
        return Ok(Some(url));
    }
    let folder = storage.url.strip_prefix("file://").unwrap_or(&storage.url);
    Ok((!folder.contains("://")).then(|| format!("sqlite:{folder}/archive.db")))
}

type Result<T> = std::result::Result<T, Refusal>;

/// How many connections there are at most.
const CONNECTIONS: u32 = 8;

impl Archive {
    /// Opens it, and makes its tables where they are not there yet.
    pub(crate) async fn open(url: &str) -> std::result::Result<Self, Failure> {
        let failed = |error: sqlx::Error| {
            Failure::new(Exit::TryLater, format!("cannot open the archive {}", celeriac::config::redact::text(url)))
                .why(error)
                .fix("set DATABASE_URL or celeriac.archive.url to sqlite:FILE or postgres://…")
        };
        install_default_drivers();
        let pool = AnyPoolOptions::new().max_connections(CONNECTIONS).connect(&created(url)).await.map_err(failed)?;
        tables(&pool, url).await.map_err(failed)?;
        Ok(Self { pool })
    }

    /// Whether it answers; nothing is made where there is none.
    pub(crate) async fn reach(url: &str) -> std::result::Result<(), sqlx::Error> {
        install_default_drivers();
        AnyConnection::connect(url).await?.close().await
    }

    /// Puts a finished job in, or what has changed of one that is there.
    pub(crate) async fn put(&self, entry: &Entry, result: Option<&DocumentResult>, log: &serde_json::Value) -> Result<()> {
        let mut change = self.pool.begin().await.map_err(unreachable)?;
        let ms = |at: Option<chrono::DateTime<chrono::Utc>>| at.map_or(0, |at| at.timestamp_millis());
        sqlx::query(PUT)
            .bind(kept(&entry.job_id))
            .bind(entry.status.as_str())
            .bind(entry.submission.file_name.as_deref().map(kept))
            .bind(entry.opened.as_ref().and_then(|opened| opened.title.as_deref()).map(kept))
            .bind(result.map(|result| kept(&result.document.document_id)))
            .bind(entry.submission.user_id.as_deref().map(kept))
            .bind(ms(entry.times.created))
            .bind(ms(entry.times.finished))
            .bind(i64::from(entry.total()))
            .bind(i64::from(entry.failed()))
            .bind(result.map_or(0, |result| i64::try_from(result.counts.words).unwrap_or(i64::MAX)))
            .bind(entry.spent.cost_usd)
            .bind(kept(&words(entry)))
            .bind(json(entry)?)
            .bind(result.map(json).transpose()?)
            .bind(json(log)?)
            .execute(&mut *change)
            .await
            .map_err(unreachable)?;
        sqlx::query("DELETE FROM celeriac_job_tags WHERE job_id = $1")
            .bind(kept(&entry.job_id))
            .execute(&mut *change)
            .await
            .map_err(unreachable)?;
        let tags: BTreeSet<String> = entry.submission.tags.iter().map(|tag| kept(tag)).collect();
        for tag in tags {
            let insert =
                sqlx::query("INSERT INTO celeriac_job_tags (tag, job_id) VALUES ($1, $2)").bind(tag).bind(kept(&entry.job_id));
            insert.execute(&mut *change).await.map_err(unreachable)?;
        }
        if let Some((parent, place)) = entry.submission.place_among_parts() {
            let insert =
                "INSERT INTO celeriac_job_parts (job_id, parent, place) VALUES ($1, $2, $3) ON CONFLICT (job_id) DO NOTHING";
            let insert = sqlx::query(insert).bind(kept(&entry.job_id)).bind(kept(parent)).bind(place);
            insert.execute(&mut *change).await.map_err(unreachable)?;
        }
        change.commit().await.map_err(unreachable)
    }

    /// A job as it was archived, without its result.
    pub(crate) async fn entry(&self, job_id: &str) -> Result<Option<Entry>> {
        let row = sqlx::query("SELECT entry FROM celeriac_jobs WHERE job_id = $1").bind(kept(job_id));
        let row = row.fetch_optional(&self.pool).await.map_err(unreachable)?;
        row.map(|row| read(row.try_get::<String, _>(0).map_err(unreachable)?.as_str())).transpose()
    }

    /// What is archived of a job beside its entry.
    pub(crate) async fn get(&self, job_id: &str) -> Result<Option<Archived>> {
        let row = sqlx::query("SELECT result, log FROM celeriac_jobs WHERE job_id = $1").bind(kept(job_id));
        let Some(row) = row.fetch_optional(&self.pool).await.map_err(unreachable)? else { return Ok(None) };
        let text = |column: usize| row.try_get::<Option<String>, _>(column).map_err(unreachable);
        Ok(Some(Archived { result: text(0)?.map(|text| read(&text)).transpose()?, log: read(&text(1)?.unwrap_or_default())? }))
    }

    /// Removes a job and its documents, where it has several. `false`: it was not there.
    pub(crate) async fn remove(&self, job_id: &str) -> Result<bool> {
        let mut change = self.pool.begin().await.map_err(unreachable)?;
        let mut removed = 0;
        for statement in [
            "DELETE FROM celeriac_job_tags WHERE job_id IN (SELECT job_id FROM celeriac_job_parts WHERE parent = $1)",
            "DELETE FROM celeriac_jobs WHERE job_id IN (SELECT job_id FROM celeriac_job_parts WHERE parent = $1)",
            "DELETE FROM celeriac_job_parts WHERE parent = $1",
            "DELETE FROM celeriac_job_parts WHERE job_id = $1",
            "DELETE FROM celeriac_job_tags WHERE job_id = $1",
            "DELETE FROM celeriac_jobs WHERE job_id = $1",
        ] {
            removed = sqlx::query(statement).bind(kept(job_id)).execute(&mut *change).await.map_err(unreachable)?.rows_affected();
        }
        change.commit().await.map_err(unreachable)?;
        Ok(removed > 0)
    }
}

const PUT: &str = "INSERT INTO celeriac_jobs \
    (job_id, status, file_name, title, document_id, user_id, created_ms, finished_ms, pages, failed_pages, words, cost_usd, words_of_it, \
     entry, result, log) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
    ON CONFLICT (job_id) DO UPDATE SET status = excluded.status, file_name = excluded.file_name, title = excluded.title, \
     document_id = excluded.document_id, user_id = excluded.user_id, created_ms = excluded.created_ms, finished_ms = excluded.finished_ms, \
     pages = excluded.pages, failed_pages = excluded.failed_pages, words = excluded.words, cost_usd = excluded.cost_usd, \
     words_of_it = excluded.words_of_it, entry = excluded.entry, result = excluded.result, log = excluded.log";

/// Makes the tables where they are not there yet. Services that start together on a new Postgres would make them at the same time, which
/// it refuses: so one after the other.
async fn tables(pool: &AnyPool, url: &str) -> sqlx::Result<()> {
    let mut making = pool.begin().await?;
    if url.starts_with("postgres") {
        sqlx::query(ONE_BY_ONE).execute(&mut *making).await?;
    }
    for statement in include_str!("schema.sql").split(';').map(str::trim).filter(|text| !text.is_empty()) {
        sqlx::query(statement).execute(&mut *making).await?;
    }
    making.commit().await
}

/// Waits for whoever else makes the tables; the number is ours alone.
const ONE_BY_ONE: &str = "DO $$ BEGIN PERFORM pg_advisory_xact_lock(7301202611); END $$";

/// Text as it can be kept: Postgres takes no NUL in one. (The JSON beside it writes them as `\u0000`.)
fn kept(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A file of SQLite is made where there is none.
fn created(url: &str) -> String {
    match url.strip_prefix("sqlite:") {
        Some(file) if !file.contains('?') && !file.contains(":memory:") => format!("{url}?mode=rwc"),
        _ => url.to_owned(),
    }
}

/// What a job can be found by.
fn words(entry: &Entry) -> String {
    let asked = &entry.submission;
    let title = entry.opened.as_ref().and_then(|opened| opened.title.as_deref());
    let fixed = [Some(entry.job_id.as_str()), asked.file_name.as_deref(), title].into_iter().flatten();
    let own = asked.tags.iter().map(String::as_str).chain(asked.metadata.values().filter_map(|value| value.as_str()));
    fixed.chain(own).collect::<Vec<_>>().join("\n").to_lowercase()
}

/// The lines of a log that a person reads: not every page.
pub(crate) fn log(told: &[Told]) -> serde_json::Value {
    use celeriac_tasks::ledger::Kind;
    let kept = told.iter().filter(|told| !matches!(told.event.kind, Kind::Page | Kind::Snapshot));
    kept.map(|told| serde_json::json!({"at": told.id.milliseconds(), "event": told.event.kind, "data": told.event.data}))
        .collect::<Vec<_>>()
        .into()
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Refusal::Unavailable(format!("a job cannot be written as JSON: {error}")))
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Refusal::Unavailable(format!("an archived job cannot be read: {error}")))
}

fn unreachable(error: sqlx::Error) -> Refusal {
    Refusal::Unavailable(format!("the archive cannot be reached: {error}"))
}

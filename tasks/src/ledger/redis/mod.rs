//! Entries in Redis: a text a job, its version before it, a sorted set an index, a stream of events a job and one of all jobs together.

mod news;

use std::time::Duration;

use async_trait::async_trait;
use celeriac::data::{DataScript, Redis, Reply};

use self::news::News;
use super::entry::Entry;
use super::event::{EventId, Told};
use super::query::Cursor;
use super::shelf::{Chore, Commit, Follower, Index, Shelf, Versioned, WEIGHT};
use super::{Retention, failed};
use crate::error::{Code, DocumentError, Stage};

type Result<T> = std::result::Result<T, DocumentError>;

/// The shelf.
#[derive(Debug)]
pub(super) struct RedisShelf {
    server: Redis,
    events_max: usize,
    chores_max: usize,
    news: News,
    commit: DataScript,
    chores: DataScript,
    remind: DataScript,
    learn: DataScript,
}

impl RedisShelf {
    pub(super) fn new(server: Redis, retention: &Retention) -> celeriac::Result<Self> {
        Ok(Self {
            news: News::new(server.sibling()?),
            server,
            events_max: retention.events_max,
            chores_max: retention.chores_max,
            commit: DataScript::new("changing a job", include_str!("commit.lua")),
            chores: DataScript::new("taking chores", include_str!("chores.lua")),
            remind: DataScript::new("putting off a chore", include_str!("remind.lua")),
            learn: DataScript::new("learning a figure", include_str!("learn.lua")),
        })
    }

    fn job(&self, job_id: &str) -> String {
        self.server.key(&format!("celeriac:job:{job_id}"))
    }

    fn job_events(&self, job_id: &str) -> String {
        self.server.key(&format!("celeriac:job:{job_id}:events"))
    }

    fn index(&self, index: &Index) -> String {
        self.server.key(&format!("celeriac:jobs:{index}"))
    }

    fn chores_of(&self, kind: &str) -> String {
        self.server.key(&format!("celeriac:chores:{kind}"))
    }

    async fn command(&self, name: &'static str, arguments: &[&str]) -> Result<Reply> {
        self.server.command(name, arguments).await.map_err(|error| failed(&error))
    }

    async fn call(&self, script: &DataScript, keys: &[String], arguments: &[Vec<u8>]) -> Result<Reply> {
        self.server.call(script, keys, arguments).await.map_err(|error| failed(&error))
    }

    fn arguments(&self, commit: &Commit) -> Result<Vec<Vec<u8>>> {
        let text = |text: &dyn ToString| text.to_string().into_bytes();
        let ms = |time: Option<Duration>| time.map_or_else(Vec::new, |time| time.as_millis().to_string().into_bytes());
        let id = &commit.entry.job_id;
        let mut all = vec![
            text(&commit.version),
            // The key has its id: here it would be kept a second time.
            json(&Entry { job_id: String::new(), ..commit.entry.clone() })?,
            ms(commit.entry_expires),
            text(&self.events_max),
            ms(commit.events_expire),
            text(&self.chores_max),
            text(&commit.leaves.len()),
        ];
        all.extend(commit.leaves.iter().flat_map(|(index, _)| [text(&self.index(index)), text(id)]));
        all.push(text(&commit.joins.len()));
        all.extend(commit.joins.iter().flat_map(|(index, at)| [text(&self.index(index)), text(at), text(id)]));
        all.push(text(&commit.chores.len()));
        for (chore, delay) in &commit.chores {
            all.extend([text(&self.chores_of(&chore.kind)), text(&delay.as_millis()), json(chore)?]);
        }
        all.push(text(&commit.events.len()));
        for event in &commit.events {
            all.push(json(event)?);
        }
        Ok(all)
    }
}

#[async_trait]
impl Shelf for RedisShelf {
    async fn load(&self, job_id: &str) -> Result<Option<Versioned>> {
        let found = self.command("GET", &[&self.job(job_id)]).await?;
        found.bytes().map(|bytes| read(job_id, bytes)).transpose()
    }

    async fn commit(&self, commit: Commit) -> Result<bool> {
        let keys = [self.job(&commit.entry.job_id), self.job_events(&commit.entry.job_id), self.news.key()];
        Ok(self.call(&self.commit, &keys, &self.arguments(&commit)?).await?.integer() == Some(1))
    }

    async fn remove(&self, job_id: &str, places: &[(Index, i64)]) -> Result<bool> {
        for (index, _) in places {
            self.command("ZREM", &[&self.index(index), job_id]).await?;
        }
        self.command("DEL", &[&self.job_events(job_id)]).await?;
        Ok(self.command("DEL", &[&self.job(job_id)]).await?.integer() == Some(1))
    }

    async fn ids(&self, index: &Index, from: Cursor, limit: usize, oldest_first: bool) -> Result<Vec<Cursor>> {
        let (key, limit) = (self.index(index), limit.to_string());
        let end = if from.milliseconds == i64::MAX { "+inf".to_owned() } else { format!("({}", from.milliseconds) };
        if oldest_first {
            let found = self.command("ZRANGEBYSCORE", &[&key, "-inf", &end, "WITHSCORES", "LIMIT", "0", &limit]).await?;
            return Ok(cursors(&found));
        }
        let at = from.milliseconds.to_string();
        // Those of the same millisecond first: among them the id decides.
        let mut places = cursors(&self.command("ZREVRANGEBYSCORE", &[&key, &at, &at, "WITHSCORES"]).await?);
        places.retain(|place| place.job_id < from.job_id);
        let older = self.command("ZREVRANGEBYSCORE", &[&key, &end, "-inf", "WITHSCORES", "LIMIT", "0", &limit]).await?;
        places.extend(cursors(&older));
        Ok(places)
    }

    async fn count(&self, index: &Index) -> Result<u64> {
        let count = self.command("ZCARD", &[&self.index(index)]).await?;
        Ok(count.integer().and_then(|count| u64::try_from(count).ok()).unwrap_or_default())
    }

    async fn load_all(&self, job_ids: &[String]) -> Result<Vec<Option<Entry>>> {
        let found = futures::future::try_join_all(job_ids.iter().map(|id| self.load(id))).await?;
        Ok(found.into_iter().map(|found| found.map(|found| found.entry)).collect())
    }

    async fn events(&self, job_id: Option<&str>, after: EventId, limit: usize) -> Result<Vec<Told>> {
        let key = job_id.map_or_else(|| self.news.key(), |id| self.job_events(id));
        let found = self.command("XRANGE", &[&key, &format!("({after}"), "+", "COUNT", &limit.to_string()]).await?;
        Ok(news::told(&found))
    }

    async fn last_event(&self, job_id: &str) -> Result<EventId> {
        let found = self.command("XREVRANGE", &[&self.job_events(job_id), "+", "-", "COUNT", "1"]).await?;
        Ok(news::told(&found).first().map(|told| told.id).unwrap_or_default())
    }

    async fn follow(&self) -> Result<Follower> {
        self.news.follow().await
    }

    async fn chores(&self, kind: &str, limit: usize, lease: Duration) -> Result<Vec<Chore>> {
        let arguments = [limit.to_string().into_bytes(), lease.as_millis().to_string().into_bytes()];
        let found = self.call(&self.chores, &[self.chores_of(kind)], &arguments).await?;
        let chore = |bytes: &[u8]| Some(Chore { kind: kind.to_owned(), ..serde_json::from_slice(bytes).ok()? });
        Ok(found.list().iter().filter_map(|reply| chore(reply.bytes()?)).collect())
    }

    async fn remind(&self, chore: &Chore, delay: Duration) -> Result<()> {
        let arguments = [json(chore)?, delay.as_millis().to_string().into_bytes()];
        self.call(&self.remind, &[self.chores_of(&chore.kind)], &arguments).await.map(drop)
    }

    async fn done(&self, chore: &Chore) -> Result<()> {
        let text = String::from_utf8_lossy(&json(chore)?).into_owned();
        self.command("ZREM", &[&self.chores_of(&chore.kind), &text]).await.map(drop)
    }

    async fn learn(&self, kind: &str, figure: f64) -> Result<()> {
        let arguments = [kind.as_bytes().to_vec(), figure.to_string().into_bytes(), WEIGHT.to_string().into_bytes()];
        self.call(&self.learn, &[self.server.key("celeriac:means")], &arguments).await.map(drop)
    }

    async fn learned(&self, kind: &str) -> Result<Option<f64>> {
        let found = self.command("HGET", &[&self.server.key("celeriac:means"), kind]).await?;
        Ok(found.text().and_then(|text| text.parse().ok()))
    }
}

/// Members with their scores, which are pairs or stand one after the other, as the protocol's version has it.
fn cursors(reply: &Reply) -> Vec<Cursor> {
    let flat: Vec<&Reply> =
        reply.list().iter().flat_map(|one| if one.list().is_empty() { vec![one] } else { one.list().iter().collect() }).collect();
    let cursor = |member: &Reply, score: &Reply| {
        let milliseconds = score.text()?.parse::<f64>().ok()? as i64;
        Some(Cursor { milliseconds, job_id: member.text()?.to_owned() })
    };
    flat.chunks_exact(2).filter_map(|pair| cursor(pair[0], pair[1])).collect()
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|error| DocumentError::new(Code::Internal, Stage::Store, format!("cannot write a job: {error}")))
}

/// An entry as it is kept: `VERSION ENTRY`.
fn read(job_id: &str, bytes: &[u8]) -> Result<Versioned> {
    let unread = |why: String| {
        DocumentError::new(Code::StorageFailed, Stage::Store, format!("the entry of a job cannot be read: {why}")).permanent()
    };
    let (version, entry) = std::str::from_utf8(bytes).ok().and_then(|text| text.split_once(' ')).unwrap_or_default();
    let version = version.parse().map_err(|_| unread("it has no version".to_owned()))?;
    let entry: Entry = serde_json::from_str(entry).map_err(|error| unread(error.to_string()))?;
    Ok(Versioned { entry: Entry { job_id: job_id.to_owned(), ..entry }, version })
}

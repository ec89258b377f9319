//! What happens to a job while it happens, for whoever watches: the HTTP API's streams and the command line.
//!
//! The first thing told is a snapshot of all pages. Who comes back with the id of the last event he has seen gets what he missed
//! instead. What happens at nearly the same time is told together, so that who shows a thousand pages is not told more than ten times a
//! second, and a watcher is not woken for each of them: what happens while he gathers waits where all watchers share it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use celeriac_tasks::ledger::{EventId, Follower, Kind, Told};
use chrono::Utc;
use futures::Stream;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::Instant;

use super::{Desk, Result, view_job};

/// How long is gathered, after the first page, before it is told.
const GATHERED: Duration = Duration::from_millis(100);
/// How many events one who comes back may have missed; one who missed more gets a snapshot.
const MISSED_MAX: usize = 5000;

/// One thing that is told.
pub(crate) struct News {
    /// Its place among all events; none: it is a figure made of the others.
    pub(crate) id: Option<EventId>,
    /// `snapshot`, `pages`, `batch`, `phase`, `state`, `document`, `log`, `progress` or `end`.
    pub(crate) kind: &'static str,
    /// What is told, as JSON.
    pub(crate) data: Arc<str>,
}

impl News {
    fn new(id: EventId, kind: &'static str, data: &impl Serialize) -> Self {
        Self { id: Some(id), kind, data: text(data) }
    }

    /// As one JSON document.
    pub(crate) fn to_json(&self) -> String {
        let id = self.id.map_or_else(|| "null".to_owned(), |id| format!("\"{id}\""));
        format!(r#"{{"id":{id},"event":"{}","data":{}}}"#, self.kind, self.data)
    }
}

/// As JSON. What is told can always be written: its keys are texts.
pub(super) fn text(told: &impl Serialize) -> Arc<str> {
    serde_json::to_string(told).unwrap_or_default().into()
}

/// Somebody who is told of one job.
pub(crate) struct Telling {
    desk: Desk,
    job_id: String,
    follower: Follower,
    /// The last event he knows.
    seen: EventId,
    ready: VecDeque<News>,
    /// Events of pages to be told together; all watchers share them.
    pages: Vec<Arc<Told>>,
    /// The last event of what is gathered to be told together.
    gathered: EventId,
    flush_at: Option<Instant>,
    /// Whether a page, or one of its documents, came to another state since progress was told.
    moved: bool,
    over: bool,
}

impl Telling {
    /// Begins with all of the job as it is now, or after the last event he has seen.
    pub(crate) async fn begin(desk: Desk, job_id: String, last: Option<String>) -> Result<Self> {
        // First the ear, then the look: nothing falls between them.
        let follower = desk.ledger.follow().await?;
        let entry = desk.job(&job_id).await?;
        let seen = last.and_then(|id| id.parse().ok());
        let mut telling = Self {
            desk,
            job_id,
            follower,
            seen: seen.unwrap_or_default(),
            ready: VecDeque::new(),
            pages: Vec::new(),
            gathered: EventId::default(),
            flush_at: None,
            moved: false,
            over: false,
        };
        // What documents of it did is in their own logs.
        match seen.filter(|_| entry.parts.is_none()) {
            Some(seen) => telling.catch_up(seen, entry.status.is_terminal()).await?,
            None => telling.snapshot().await?,
        }
        Ok(telling)
    }

    /// What happened since the last event he has seen; where that is too much, or not all kept any more, all of the job as it is now.
    async fn catch_up(&mut self, seen: EventId, ended: bool) -> Result<()> {
        let missed = self.desk.ledger.events(&self.job_id, seen, MISSED_MAX).await?;
        // Asked for last: what is kept now was kept when the others were read.
        let oldest = self.desk.ledger.events(&self.job_id, EventId::default(), 1).await?;
        let whole = missed.len() < MISSED_MAX && oldest.first().is_some_and(|oldest| oldest.id <= seen);
        if !whole || (missed.is_empty() && ended) {
            return self.snapshot().await;
        }
        missed.into_iter().for_each(|told| self.take(Arc::new(told)));
        Ok(())
    }

    /// All of the job as it is now; one that has ended is told to its end.
    async fn snapshot(&mut self) -> Result<()> {
        let last = self.desk.ledger.last_event(&self.job_id).await?;
        let entry = self.desk.job(&self.job_id).await?;
        self.seen = last;
        // What is gathered is in it, and older.
        self.pages.clear();
        let view = view_job(&entry, Utc::now());
        let ended = entry.status.is_terminal();
        let end = json!({"status": view.status, "partial_reasons": view.partial_reasons});
        self.ready.push_back(News::new(last, "snapshot", &view));
        if ended {
            self.ready.push_back(News::new(last, "end", &end));
            self.over = true;
        }
        Ok(())
    }

    /// Takes in an event that was not told yet.
    fn take(&mut self, told: Arc<Told>) {
        let of_document = told.event.data.get("parent").is_some_and(|parent| *parent == self.job_id);
        if (told.event.job_id != self.job_id && !of_document) || told.id <= self.seen || self.over {
            return;
        }
        self.seen = told.id;
        if of_document {
            let data = json!({"job_id": told.event.job_id, "status": told.event.data["status"]});
            self.ready.push_back(News::new(told.id, "document", &data));
            self.gather(told.id);
            return;
        }
        if told.event.kind == Kind::Page {
            self.gather(told.id);
            self.pages.push(told);
            return;
        }
        self.flush_pages();
        self.over = told.event.kind == Kind::End;
        self.ready.push_back(News::new(told.id, told.event.kind.as_str(), &told.event.data));
    }

    /// Up to this event the job has moved on, which is told together with what happens soon after it.
    fn gather(&mut self, id: EventId) {
        self.moved = true;
        self.gathered = id;
        self.flush_at.get_or_insert_with(|| Instant::now() + GATHERED);
    }

    fn flush_pages(&mut self) {
        #[derive(Serialize)]
        struct Pages<'a> {
            pages: Vec<&'a Value>,
        }
        if !self.pages.is_empty() {
            let pages = Pages { pages: self.pages.iter().map(|told| &told.event.data).collect() };
            self.ready.push_back(News::new(self.gathered, "pages", &pages));
            self.pages.clear();
        }
    }

    /// Takes what has come while it was gathered, and makes it ready with how far the job is by then.
    async fn flush(&mut self) -> Result<()> {
        while !self.over {
            match self.follower.try_recv() {
                Ok(told) => self.take(told),
                Err(TryRecvError::Lagged(_)) => self.snapshot().await?,
                // What is closed is heard by who waits next.
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        self.flush_at = None;
        let moved = std::mem::take(&mut self.moved);
        // All of it at once, for it is one write to the client.
        let progress = if moved && !self.over { self.progress().await } else { None };
        self.flush_pages();
        self.ready.extend(progress);
        Ok(())
    }

    /// The next thing to tell.
    pub(crate) async fn next(&mut self) -> Option<News> {
        loop {
            if let Some(news) = self.ready.pop_front() {
                return Some(news);
            }
            if self.over {
                return None;
            }
            if let Some(at) = self.flush_at {
                tokio::time::sleep_until(at).await;
                self.flush().await.ok()?;
                continue;
            }
            match self.follower.recv().await {
                Ok(told) => self.take(told),
                // Too slow: what was lost is in a snapshot.
                Err(RecvError::Lagged(_)) => self.snapshot().await.ok()?,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    async fn progress(&self) -> Option<News> {
        let data = self.desk.progress(&self.job_id, self.gathered).await?;
        Some(News { id: None, kind: "progress", data })
    }

    /// Everything to its end.
    pub(crate) fn stream(self) -> impl Stream<Item = News> {
        futures::stream::unfold(self, |mut telling| async move { Some((telling.next().await?, telling)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use celeriac_tasks::ledger::{Retention, Submission};

    fn desk() -> Desk {
        Desk::in_memory(&std::env::temp_dir(), Retention::default())
    }

    /// A job with so many lines in its log, and the id of the first of its events.
    async fn logged(desk: &Desk, job_id: &str, lines: usize) -> EventId {
        desk.ledger.create(job_id, Submission::default()).await.unwrap();
        for line in 0..lines {
            desk.ledger.log(job_id, "info", &line.to_string()).await.unwrap();
        }
        desk.ledger.events(job_id, EventId::default(), 1).await.unwrap()[0].id
    }

    async fn kinds(desk: &Desk, last: EventId) -> Vec<&'static str> {
        let telling = Telling::begin(desk.clone(), "j".to_owned(), Some(last.to_string())).await.unwrap();
        telling.ready.iter().map(|news| news.kind).collect()
    }

    #[tokio::test]
    async fn who_missed_a_few_events_gets_them() {
        let desk = desk();
        let first = logged(&desk, "j", 3).await;
        assert_eq!(kinds(&desk, first).await, ["log", "log", "log"]);
    }

    #[tokio::test]
    async fn who_missed_more_than_are_told_gets_a_snapshot() {
        let desk = desk();
        let first = logged(&desk, "j", MISSED_MAX).await;
        assert_eq!(kinds(&desk, first).await, ["snapshot"]);
    }

    #[tokio::test]
    async fn who_missed_events_that_are_not_kept_gets_a_snapshot() {
        let desk = desk();
        let EventId(at, _) = logged(&desk, "j", 3).await;
        assert_eq!(kinds(&desk, EventId(at - 1, 0)).await, ["snapshot"], "there may have been others before the first");
        // Another's events push all of ours out.
        logged(&desk, "other", 20_000).await;
        assert_eq!(kinds(&desk, EventId(at + 60_000, 0)).await, ["snapshot"], "none is kept, and the job goes on");
    }
}

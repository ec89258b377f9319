//! What happens to a job while it happens, for whoever watches: the HTTP API's streams and the command line.
//!
//! The first thing told is a snapshot of all pages. Who comes back with the id of the last event he has seen gets what he missed
//! instead. Pages that end at nearly the same time are told together, so that who shows a thousand of them is not told more than
//! ten times a second.

use std::collections::VecDeque;
use std::time::Duration;

use celeriac_tasks::ledger::{EventId, Follower, Kind, Told};
use chrono::Utc;
use futures::Stream;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::{Desk, Result, view_job};

/// How long pages are gathered before they are told.
const GATHERED: Duration = Duration::from_millis(100);
/// How many events one who comes back may have missed; one who missed more gets a snapshot.
const MISSED_MAX: usize = 5000;

/// One thing that is told.
pub(crate) struct News {
    /// Its place among all events; none: it is a figure made of the others.
    pub(crate) id: Option<EventId>,
    /// `snapshot`, `pages`, `batch`, `phase`, `state`, `document`, `log`, `progress` or `end`.
    pub(crate) kind: &'static str,
    /// What is told.
    pub(crate) data: Value,
}

impl News {
    /// As one JSON document.
    pub(crate) fn to_json(&self) -> Value {
        json!({"id": self.id.map(|id| id.to_string()), "event": self.kind, "data": self.data})
    }
}

/// Somebody who is told of one job.
pub(crate) struct Telling {
    desk: Desk,
    job_id: String,
    follower: Follower,
    /// The last event he knows.
    seen: EventId,
    ready: VecDeque<News>,
    pages: Vec<Value>,
    /// The last event of what is gathered to be told together.
    gathered: EventId,
    flush_at: Option<Instant>,
    /// Whether one of its documents came to another state since progress was told.
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
            Some(seen) => {
                let missed = telling.desk.ledger.events(&telling.job_id, seen, MISSED_MAX).await?;
                if missed.is_empty() && entry.status.is_terminal() {
                    telling.snapshot().await?;
                }
                missed.iter().for_each(|told| telling.take(told));
            }
            None => telling.snapshot().await?,
        }
        Ok(telling)
    }

    /// All of the job as it is now; one that has ended is told to its end.
    async fn snapshot(&mut self) -> Result<()> {
        let last = self.desk.ledger.last_event(&self.job_id).await?;
        let entry = self.desk.job(&self.job_id).await?;
        self.seen = last;
        let view = view_job(&entry, Utc::now());
        let ended = entry.status.is_terminal();
        let end = json!({"status": view.status, "partial_reasons": view.partial_reasons});
        self.ready.push_back(News { id: Some(last), kind: "snapshot", data: serde_json::to_value(view).unwrap_or_default() });
        if ended {
            self.ready.push_back(News { id: Some(last), kind: "end", data: end });
            self.over = true;
        }
        Ok(())
    }

    /// Takes in an event that was not told yet.
    fn take(&mut self, told: &Told) {
        let of_document = told.event.data.get("parent").is_some_and(|parent| *parent == self.job_id);
        if (told.event.job_id != self.job_id && !of_document) || told.id <= self.seen || self.over {
            return;
        }
        self.seen = told.id;
        if of_document {
            let data = json!({"job_id": told.event.job_id, "status": told.event.data["status"]});
            self.ready.push_back(News { id: Some(told.id), kind: "document", data });
            self.moved = true;
            self.gathered = told.id;
            self.flush_at.get_or_insert_with(|| Instant::now() + GATHERED);
            return;
        }
        if told.event.kind == Kind::Page {
            self.pages.push(told.event.data.clone());
            self.gathered = told.id;
            self.flush_at.get_or_insert_with(|| Instant::now() + GATHERED);
            return;
        }
        self.flush();
        self.over = told.event.kind == Kind::End;
        self.ready.push_back(News { id: Some(told.id), kind: told.event.kind.as_str(), data: told.event.data.clone() });
    }

    fn flush(&mut self) -> bool {
        self.flush_at = None;
        let moved = std::mem::take(&mut self.moved);
        if self.pages.is_empty() {
            return moved;
        }
        let pages = std::mem::take(&mut self.pages);
        self.ready.push_back(News { id: Some(self.gathered), kind: "pages", data: json!({"pages": pages}) });
        true
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
            let flush = self.flush_at;
            let due = async move {
                match flush {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = due => {
                    if self.flush() && let Some(progress) = self.progress().await {
                        self.ready.push_back(progress);
                    }
                }
                told = self.follower.recv() => match told {
                    Ok(told) => self.take(&told),
                    // Too slow: what was lost is in a snapshot.
                    Err(RecvError::Lagged(_)) => self.snapshot().await.ok()?,
                    Err(RecvError::Closed) => return None,
                },
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

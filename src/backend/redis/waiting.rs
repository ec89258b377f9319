//! Waiting for results: everybody who waits shares one connection's subscriptions.
//!
//! # Celery
//! `backends/redis.py`, `ResultConsumer`: SUBSCRIBE first, then GET, then the messages. Difference: a slow GET besides, for a message
//! that was lost with its connection.

use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;

use crate::backend::{Look, Open};
use crate::connection::{Link, command};
use crate::error::Result;

/// How long a wait trusts its subscription.
const SAFETY: Duration = Duration::from_secs(5);
/// How many channels one SUBSCRIBE names, and how many keys one MGET reads.
const AT_ONCE: usize = 500;

/// Who waits for which channel.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    channels: Mutex<HashMap<String, Vec<Place>>>,
    /// Held over each (UN)SUBSCRIBE with its change of `channels`, so that they happen in the same order.
    order: tokio::sync::Mutex<()>,
}

/// One watch of a channel: where it takes messages, and its place among the watch's keys.
#[derive(Debug)]
struct Place {
    inbox: Weak<Inbox>,
    place: usize,
}

/// What was announced to one watch: of each of its keys the latest, so that who is slow fills no memory.
#[derive(Debug, Default)]
struct Inbox {
    news: Mutex<News>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct News {
    latest: BTreeMap<usize, Arc<[u8]>>,
    /// The connection broke: messages may have been missed.
    missed: bool,
}

impl Inbox {
    fn change(&self, act: impl FnOnce(&mut News)) {
        act(&mut self.news.lock().unwrap_or_else(PoisonError::into_inner));
        self.arrived.notify_one();
    }

    /// What came since the last time; `None` when nothing came for so long that it must be asked for.
    async fn next(&self) -> Option<BTreeMap<usize, Arc<[u8]>>> {
        tokio::time::timeout(SAFETY, self.arrived.notified()).await.ok()?;
        let news = mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner));
        (!news.missed).then_some(news.latest)
    }
}

impl Subscriptions {
    /// Takes what the server sends unasked.
    pub(super) fn receive(&self, push: PushInfo) {
        let channels = self.lock();
        match (push.kind, push.data.as_slice()) {
            (PushKind::Disconnection, _) => {
                let inboxes = channels.values().flatten().filter_map(|watch| watch.inbox.upgrade());
                inboxes.for_each(|inbox| inbox.change(|news| news.missed = true));
            }
            (PushKind::Message, [Value::BulkString(channel), Value::BulkString(value), ..]) => {
                let watches = std::str::from_utf8(channel).ok().and_then(|channel| channels.get(channel));
                let value: Arc<[u8]> = value.as_slice().into();
                for Place { inbox, place } in watches.into_iter().flatten() {
                    let put = |news: &mut News| drop(news.latest.insert(*place, value.clone()));
                    inbox.upgrade().into_iter().for_each(|inbox| inbox.change(put));
                }
            }
            _ => {}
        }
    }

    /// Watches without end until `look` has seen enough. May be dropped at any time.
    pub(super) async fn watch(&self, link: &Link, keys: &[String], look: Look<'_>) -> Result<()> {
        let mut open = Open::new(keys.len());
        if open.is_over() {
            return Ok(());
        }
        let inbox = self.enter(keys);
        let answer = loop {
            match self.attend(link, keys, &inbox, &mut open, look).await {
                Ok(()) if open.is_over() => break Ok(()),
                // Messages may have been missed: subscribe and read again.
                Ok(()) => {}
                Err(lost) if lost.is_transient() => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(refused) => break Err(refused),
            }
        };
        drop(inbox);
        self.sweep(link).await;
        answer
    }

    /// Subscribes, reads, and takes messages for as long as none was missed.
    async fn attend(&self, link: &Link, keys: &[String], inbox: &Inbox, open: &mut Open, look: Look<'_>) -> Result<()> {
        let wanted: Vec<usize> = open.places().collect();
        for places in wanted.chunks(AT_ONCE) {
            let channels: Vec<&String> = places.iter().map(|place| &keys[*place]).collect();
            {
                let _order = self.order.lock().await;
                link.subscribe(&channels).await?;
            }
            let mut read = command("MGET", &[]);
            read.arg(&channels);
            let stored: Vec<Option<Vec<u8>>> = link.query("reading results", &read).await?;
            for (place, value) in places.iter().zip(stored) {
                if let Some(value) = value.filter(|_| !open.is_over()) {
                    open.show(look, *place, &value);
                }
            }
            if open.is_over() {
                return Ok(());
            }
        }
        while let Some(latest) = inbox.next().await {
            for (place, value) in latest {
                if !open.is_over() {
                    open.show(look, place, &value);
                }
            }
            if open.is_over() {
                break;
            }
        }
        Ok(())
    }

    fn enter(&self, keys: &[String]) -> Arc<Inbox> {
        let inbox = Arc::<Inbox>::default();
        let mut channels = self.lock();
        for (place, key) in keys.iter().enumerate() {
            channels.entry(key.clone()).or_default().push(Place { inbox: Arc::downgrade(&inbox), place });
        }
        inbox
    }

    /// Gives up the channels nobody waits for any more; those of dropped waits too.
    async fn sweep(&self, link: &Link) {
        let _order = self.order.lock().await;
        let mut left = Vec::new();
        self.lock().retain(|key, watches| {
            watches.retain(|watch| watch.inbox.strong_count() > 0);
            if watches.is_empty() {
                left.push(key.clone());
            }
            !watches.is_empty()
        });
        for channels in left.chunks(AT_ONCE) {
            // If this fails the connection is gone, and the subscriptions with it.
            drop(link.unsubscribe(channels).await);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Place>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The collector is responsible for sending settlements together that are ready together. What becomes ready while a call is under way goes
//! with the next: a call costs both sides far more than a settlement in it, and none waits longer than it would for its own answer.

use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use futures::future::{Either, join_all};
use futures::stream::FuturesUnordered;
use redis::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::Shared;
use super::settle::{Encoded, Whole, settled};
use crate::error::{Error, Result};
use crate::settlement::{Location, Settled, Settlement};

/// How many settlements one call carries, and how many bytes at most (one more may overshoot).
const MOST: usize = 32;
const MOST_BYTES: usize = 256 * 1024;
/// How many settlements wait for the collector before those who settle wait too.
const WAITING: usize = 1024;
/// Calls that carry so many bytes are followed by the next without waiting for their answer: then it is the way that takes long.
const LARGE: usize = 64 * 1024;

/// The way to the collecting task.
#[derive(Debug)]
pub(super) struct Collector {
    shared: Arc<Shared>,
    running: Mutex<Running>,
}

/// The collecting task; dropped, it ends.
#[derive(Debug, Default)]
struct Running {
    inbox: Option<mpsc::Sender<Item<Encoded>>>,
    task: JoinSet<()>,
}

/// A settlement, and who waits for its end.
#[derive(Debug)]
struct Item<T> {
    encoded: T,
    reply: Reply,
}

type Reply = oneshot::Sender<Result<Settled>>;

impl Collector {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, running: Mutex::default() }
    }

    pub(super) async fn settle(&self, settlements: &[Settlement], backend: Option<&Location>) -> Vec<Result<Settled>> {
        join_all(settlements.iter().map(|settlement| self.settle_one(settlement, backend))).await
    }

    async fn settle_one(&self, settlement: &Settlement, backend: Option<&Location>) -> Result<Settled> {
        let Some(encoded) = self.shared.encode(settlement, backend).await? else { return Ok(Settled::Lost) };
        let (reply, answer) = oneshot::channel();
        self.inbox().send(Item { encoded, reply }).await.map_err(|_| Error::Shutdown)?;
        answer.await.map_err(|_| Error::Shutdown)?
    }

    /// The way to the task, which is started at the first use: only then there is surely a runtime.
    fn inbox(&self) -> mpsc::Sender<Item<Encoded>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(inbox) = running.inbox.as_ref().filter(|inbox| !inbox.is_closed()) {
            return inbox.clone();
        }
        let (inbox, items) = mpsc::channel(WAITING);
        running.task.spawn(collect(self.shared.clone(), items));
        running.inbox = Some(inbox.clone());
        inbox
    }
}

async fn collect(shared: Arc<Shared>, mut items: mpsc::Receiver<Item<Encoded>>) {
    let mut calls = FuturesUnordered::new();
    let mut gathered = Vec::with_capacity(MOST);
    let mut bytes = 0;
    loop {
        // Both branches are cancel-safe: an item is in `gathered` or still in the channel, a call stays in `calls`.
        tokio::select! {
            count = items.recv_many(&mut gathered, MOST), if calls.is_empty() || bytes >= LARGE => {
                if count == 0 {
                    break;
                }
                bytes = gathered.iter().map(|item| item.encoded.bytes()).sum();
                let (acks, mut wholes) = sorted(&mut gathered);
                if !acks.is_empty() {
                    calls.push(Either::Left(send_acks(&shared, acks)));
                }
                while !wholes.is_empty() {
                    calls.push(Either::Right(send_wholes(&shared, batch(&mut wholes))));
                }
            }
            Some(()) = calls.next(), if !calls.is_empty() => {
                // Those who were answered go on first: what they settle next goes with what waits here.
                tokio::task::yield_now().await;
            }
        }
    }
    while calls.next().await.is_some() {}
}

/// What is only acked, and the rest.
fn sorted(gathered: &mut Vec<Item<Encoded>>) -> (Vec<Item<String>>, Vec<Item<Whole>>) {
    let (mut acks, mut wholes) = (Vec::new(), Vec::new());
    for Item { encoded, reply } in gathered.drain(..) {
        match encoded {
            Encoded::Ack(encoded) => acks.push(Item { encoded, reply }),
            Encoded::Whole(encoded) => wholes.push(Item { encoded, reply }),
        }
    }
    (acks, wholes)
}

/// Takes from the front what fits into one call: one database for results, not too many bytes.
fn batch(wholes: &mut Vec<Item<Whole>>) -> Vec<Item<Whole>> {
    let (mut database, mut bytes, mut count) = (None, 0, 0);
    for item in wholes.iter() {
        let other = item.encoded.database.is_some_and(|wanted| database.is_some_and(|database| database != wanted));
        if count > 0 && (other || bytes >= MOST_BYTES) {
            break;
        }
        database = database.or(item.encoded.database);
        bytes += item.encoded.bytes;
        count += 1;
    }
    wholes.drain(..count).collect()
}

async fn send_acks(shared: &Shared, items: Vec<Item<String>>) {
    let names = &shared.keys;
    let (tags, replies): (Vec<String>, Vec<Reply>) = items.into_iter().map(|item| (item.encoded, item.reply)).unzip();
    let call = shared.scripts.ack.call(&[&names.unacked, &names.unacked_index]).arg(tags);
    answer(shared.link.call("acking", &call).await, replies);
}

async fn send_wholes(shared: &Shared, items: Vec<Item<Whole>>) {
    // Without results nothing is selected.
    let results = items.iter().find_map(|item| item.encoded.database).unwrap_or(shared.db);
    let names = &shared.keys;
    let keys = [&names.unacked, &names.unacked_index, &names.dead, &names.dead_index, &names.parked, &names.parked_index];
    let mut call = shared.scripts.settle.call(&keys).arg(shared.db).arg(results);
    let mut replies = Vec::with_capacity(items.len());
    for Item { encoded, reply } in items {
        call = call.arg(encoded.values);
        replies.push(reply);
    }
    answer(shared.link.call("settling", &call).await, replies);
}

/// Tells those who wait. Who settled may be gone: then nobody waits for the answer.
fn answer(answered: Result<Vec<Value>>, replies: Vec<Reply>) {
    match answered {
        Ok(answers) => {
            for (reply, answer) in replies.into_iter().zip(answers) {
                drop(reply.send(settled(&answer)));
            }
        }
        Err(cause) => replies.into_iter().for_each(|reply| drop(reply.send(Err(repeated(&cause))))),
    }
}

/// The same failure for one of several callers.
fn repeated(cause: &Error) -> Error {
    let mut context = cause.to_string();
    if let Some(source) = std::error::Error::source(cause) {
        context = format!("{context}: {source}");
    }
    match cause {
        Error::Refused { .. } => Error::Refused { context, source: None },
        _ => Error::Connection { context, source: None },
    }
}

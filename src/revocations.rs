//! What is revoked is kept on the broker, too: so it outlives every worker, and reaches those that were down when it was said.
//!
//! # Celery
//! None: Python's workers hear of a revocation by a broadcast, which nobody keeps, and from each other when they start (`mingle`).

use std::sync::Arc;
use std::time::Duration;

use crate::broker::Broker;
use crate::config::Settings;
use crate::error::Result;
use crate::protocol::exception::Exception;
use crate::protocol::json;
use crate::protocol::value::{Map, Value};

/// The set of task ids.
const IDS: &str = "revoked";
/// The set of stamps: JSON of a name and a value.
const STAMPS: &str = "revoked_stamps";
/// No id and no stamp that means anything is longer; what is, is not kept.
const LONGEST: usize = 1024;

/// Keeps what is revoked, and finds it again.
#[derive(Debug, Clone)]
pub(crate) struct Revocations {
    broker: Arc<dyn Broker>,
    expires: Duration,
    most: usize,
}

/// How far a reader has read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cursor {
    ids: u64,
    stamps: u64,
}

/// What was revoked since the last look.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Task ids, oldest first, each with how long ago it was revoked.
    pub(crate) ids: Vec<(String, Duration)>,
    /// Stamps by name.
    pub(crate) stamps: Vec<(String, Value)>,
}

impl Revocations {
    pub(crate) fn new(broker: Arc<dyn Broker>, settings: &Settings) -> Self {
        let (expires, most) = (settings.celeriac.revoke_expires.duration(), settings.celeriac.revokes_max);
        Self { broker, expires, most }
    }

    /// Keeps what a remote control command revokes; other commands revoke nothing.
    pub(crate) async fn keep(&self, method: &str, arguments: &Map) -> Result<()> {
        match method {
            "revoke" | "terminate" => self.keep_ids(&arguments.get("task_id").map(texts).unwrap_or_default()).await,
            "revoke_by_stamped_headers" => match arguments.get("headers").map(stamps) {
                Some(Ok(headers)) => self.keep_stamps(&headers).await,
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Keeps task ids.
    pub(crate) async fn keep_ids(&self, ids: &[String]) -> Result<()> {
        self.keep_texts(IDS, ids.to_vec()).await
    }

    /// Keeps stamps: under each name one value, or several.
    pub(crate) async fn keep_stamps(&self, headers: &Map) -> Result<()> {
        let pairs = headers.iter().flat_map(|(name, values)| listed(values).iter().map(move |value| (name, value)));
        let text = |(name, value): (&String, &Value)| json::write(&Value::List(vec![name.into(), value.clone()]));
        self.keep_texts(STAMPS, pairs.map(text).collect()).await
    }

    async fn keep_texts(&self, set: &str, mut texts: Vec<String>) -> Result<()> {
        texts.retain(|text| text.len() <= LONGEST);
        if texts.is_empty() || self.expires.is_zero() {
            return Ok(());
        }
        self.broker.keep(set, &texts, self.expires, self.most).await
    }

    /// What was kept since the last look, or all of it at the first.
    pub(crate) async fn since(&self, cursor: &mut Cursor) -> Result<News> {
        if self.expires.is_zero() {
            return Ok(News::default());
        }
        let ids = self.broker.kept(IDS, cursor.ids, self.expires, self.most).await?;
        let stamps = self.broker.kept(STAMPS, cursor.stamps, self.expires, self.most).await?;
        *cursor = Cursor { ids: ids.now, stamps: stamps.now };
        Ok(News { ids: ids.texts, stamps: stamps.texts.iter().filter_map(|(text, _)| stamp(text)).collect() })
    }
}

/// A stamp as it was kept.
fn stamp(text: &str) -> Option<(String, Value)> {
    match json::parse(text.as_bytes()).ok()? {
        Value::List(pair) => match <[Value; 2]>::try_from(pair).ok()? {
            [Value::String(name), value] => Some((name, value)),
            _ => None,
        },
        _ => None,
    }
}

/// One value as a list of one, a list as it is.
pub(crate) fn listed(value: &Value) -> &[Value] {
    match value {
        Value::List(values) => values,
        Value::Null => &[],
        one => std::slice::from_ref(one),
    }
}

/// The texts of a list, or of one value.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    listed(value).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The stamps of a request: a map, or a list of `name=value`.
pub(crate) fn stamps(headers: &Value) -> Result<Map, Exception> {
    if let Some(map) = headers.as_map() {
        return Ok(map.clone());
    }
    let pair = |text: String| {
        let (name, value) = text.split_once('=').ok_or_else(|| Exception::builtin("IndexError", "list index out of range"))?;
        Ok((name.to_owned(), Value::from(value)))
    };
    texts(headers).into_iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Options;
    use crate::broker::memory::MemoryBroker;

    fn map<const N: usize>(members: [(&str, Value); N]) -> Map {
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_commands_revoke_is_found_once_by_each_reader() {
        let revocations = Revocations::new(Arc::new(MemoryBroker::new(Options::default())), &Settings::default());
        revocations.keep("revoke", &map([("task_id", "a".into())])).await.unwrap();
        revocations.keep("terminate", &map([("task_id", ["b", "c"].into()), ("signal", "KILL".into())])).await.unwrap();
        let headers = Value::from(["tenant=t1"]);
        revocations.keep("revoke_by_stamped_headers", &map([("headers", headers)])).await.unwrap();
        revocations.keep("ping", &map([("task_id", "d".into())])).await.unwrap();
        revocations.keep("revoke", &map([("task_id", "x".repeat(LONGEST + 1).into())])).await.unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        let mut cursor = Cursor::default();
        let news = revocations.since(&mut cursor).await.unwrap();
        assert_eq!(
            news.ids.iter().map(|(id, age)| (id.as_str(), age.as_secs())).collect::<Vec<_>>(),
            [("a", 1), ("b", 1), ("c", 1)]
        );
        assert_eq!(news.stamps, [("tenant".to_owned(), Value::from("t1"))]);
        let news = revocations.since(&mut cursor).await.unwrap();
        assert!(news.ids.is_empty() && news.stamps.is_empty());
    }

    #[tokio::test]
    async fn nothing_is_kept_where_it_expires_at_once() {
        let mut settings = Settings::default();
        settings.celeriac.revoke_expires = crate::config::Seconds::new(0.0);
        let revocations = Revocations::new(Arc::new(MemoryBroker::new(Options::default())), &settings);
        revocations.keep_ids(&["a".to_owned()]).await.unwrap();
        assert!(revocations.since(&mut Cursor::default()).await.unwrap().ids.is_empty());
    }
}

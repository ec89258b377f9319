//! Alerts: what is wrong with the system as a whole is told once, in the log and to an address, and once more when it is over.
//!
//! A rule must hold at two looks in a row. Of several services that look, one tells: whoever enters the alert first on the Redis that
//! they share.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use celeriac::broker::{SentinelOptions, server_info};
use celeriac::config::Settings;
use celeriac::data::{Redis, Reply};
use chrono::Utc;
use serde_json::json;

use super::Teller;
use super::webhooks::Signed;
use crate::jobs::{Desk, Stats, open_circuits};
use crate::settings::Alerts;

/// More often is not looked.
const LOOK_EVERY_MIN: Duration = Duration::from_millis(200);
/// At how many looks in a row a rule must hold.
const LOOKS: u32 = 2;
/// How long one look may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// After how long an alert that nobody looks at any more is forgotten.
const FORGOTTEN: &str = "3600";
/// Fewer pages than this say nothing about a rate.
const PAGES_MIN: u64 = 10;
/// Above this share of its limit, Redis is nearly full.
const MEMORY_SHARE: f64 = 0.9;
/// How many alerts wait for an address that does not answer.
const WAITING_MAX: usize = 100;

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    /// Redis does not answer.
    RedisUnreachable,
    /// Redis has no room, or makes room by throwing messages away.
    Memory,
    /// Too many pages fail.
    ErrorRate,
    /// Too much waits.
    QueueLength,
    /// Something waits for which nobody is there.
    NoWorker,
    /// Messages were given up: their workers died over them, or nobody could read them.
    DeadLetters,
    /// A model fails, and is left alone for now: pages wait.
    Provider,
}

impl Rule {
    const ALL: [Self; 7] = [
        Self::RedisUnreachable,
        Self::Memory,
        Self::ErrorRate,
        Self::QueueLength,
        Self::NoWorker,
        Self::DeadLetters,
        Self::Provider,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::RedisUnreachable => "redis_unreachable",
            Self::Memory => "memory",
            Self::ErrorRate => "error_rate",
            Self::QueueLength => "queue_length",
            Self::NoWorker => "no_worker",
            Self::DeadLetters => "dead_letters",
            Self::Provider => "provider",
        }
    }
}

/// The system at one look.
struct Reading {
    /// Why there are no figures, where there are none.
    stats: Result<Stats, String>,
    /// The memory Redis uses, and may use.
    memory: Option<(u64, u64)>,
}

/// What is wrong, in words.
type Wrong = BTreeMap<Rule, String>;

fn judge(reading: &Reading, limits: &Alerts) -> Wrong {
    let mut wrong = Wrong::new();
    let stats = match &reading.stats {
        Ok(stats) => stats,
        Err(why) => return [(Rule::RedisUnreachable, why.clone())].into(),
    };
    if let Some((used, most)) = reading.memory.filter(|(used, most)| *most > 0 && *used as f64 > *most as f64 * MEMORY_SHARE) {
        wrong.insert(Rule::Memory, format!("Redis uses {used} of {most} bytes"));
    } else if stats.redis.eviction_policy_ok == Some(false) {
        wrong
            .insert(Rule::Memory, "Redis throws messages away when its memory is full: set maxmemory-policy noeviction".to_owned());
    }
    let (ok, failed) = (stats.pages.per_min, stats.pages.failed_per_min);
    if ok + failed >= PAGES_MIN && failed as f64 / (ok + failed) as f64 > limits.error_rate {
        wrong.insert(Rule::ErrorRate, format!("{failed} of {} pages of the last minute failed", ok + failed));
    }
    for (name, queue) in &stats.queues {
        if queue.waiting > limits.queue_len {
            wrong.entry(Rule::QueueLength).or_insert_with(|| format!("{} messages wait in {name}", queue.waiting));
        }
        if queue.waiting > 0 && queue.workers == 0 {
            wrong
                .entry(Rule::NoWorker)
                .or_insert_with(|| format!("{} messages wait in {name}, and no worker serves it", queue.waiting));
        }
    }
    if stats.redis.dead_letters > 0 {
        wrong.insert(
            Rule::DeadLetters,
            format!("{} messages were given up; `celeriac dlq list` shows them", stats.redis.dead_letters),
        );
    }
    if let Some((name, workers)) = open_circuits(&stats.workers).into_iter().find(|(_, workers)| *workers > 0) {
        wrong.insert(Rule::Provider, format!("{name} fails and is left alone for now by {workers} workers; what needs it waits"));
    }
    wrong
}

/// What was told already.
enum Board {
    /// By this process.
    Memory(BTreeSet<Rule>),
    /// By whoever shares this Redis.
    Redis(Redis),
}

impl Board {
    /// Enters an alert. `true`: it was not there.
    async fn raise(&mut self, rule: Rule) -> celeriac::Result<bool> {
        match self {
            Self::Memory(told) => Ok(told.insert(rule)),
            Self::Redis(redis) => {
                let reply = redis.command("SET", &[&key(redis, rule), "1", "NX", "EX", FORGOTTEN]).await?;
                Ok(!matches!(reply, Reply::Nil))
            }
        }
    }

    /// It is so still.
    async fn keep(&self, rule: Rule) -> celeriac::Result<()> {
        if let Self::Redis(redis) = self {
            redis.command("EXPIRE", &[&key(redis, rule), FORGOTTEN]).await?;
        }
        Ok(())
    }

    /// Takes an alert off. `true`: it was there.
    async fn clear(&mut self, rule: Rule) -> celeriac::Result<bool> {
        match self {
            Self::Memory(told) => Ok(told.remove(&rule)),
            Self::Redis(redis) => Ok(redis.command("DEL", &[&key(redis, rule)]).await? == Reply::Integer(1)),
        }
    }
}

fn key(redis: &Redis, rule: Rule) -> String {
    redis.key(&format!("celeriac:alert:{}", rule.name()))
}

/// Looks, again and again.
pub(crate) struct Watch {
    desk: Desk,
    teller: Teller,
    limits: Alerts,
    broker: Option<String>,
    /// At how many looks in a row each rule has held.
    held: BTreeMap<Rule, u32>,
    board: Board,
    /// For what cannot be entered where Redis does not answer.
    own: Board,
    /// What is still to be told, and how often that was tried.
    waiting: VecDeque<(Signed, u32)>,
}

impl Watch {
    pub(crate) fn new(desk: &Desk, teller: &Teller, limits: Alerts, settings: &Settings) -> celeriac::Result<Self> {
        let board = Redis::open(settings)?.map_or_else(|| Board::Memory(BTreeSet::new()), Board::Redis);
        let broker = settings.broker_url.clone().filter(|url| !url.starts_with("memory:"));
        let (desk, teller) = (desk.clone(), teller.clone());
        let own = Board::Memory(BTreeSet::new());
        Ok(Self { desk, teller, limits, broker, held: BTreeMap::new(), board, own, waiting: VecDeque::new() })
    }

    pub(crate) async fn run(mut self) {
        loop {
            tokio::time::sleep(self.limits.every.duration().max(LOOK_EVERY_MIN)).await;
            let wrong = judge(&self.read().await, &self.limits);
            for rule in Rule::ALL {
                if let Err(error) = self.settle(rule, wrong.get(&rule)).await {
                    tracing::debug!(%error, rule = rule.name(), "cannot enter an alert");
                }
            }
            self.post().await;
        }
    }

    async fn read(&self) -> Reading {
        let stats = match tokio::time::timeout(PATIENCE, self.desk.stats()).await {
            Ok(stats) => stats.map_err(|refusal| refusal.message().to_owned()),
            Err(_) => Err("Redis does not answer within 10 s".to_owned()),
        };
        let info = match &self.broker {
            Some(url) => {
                let sentinel = SentinelOptions::from(&self.desk.app.settings().broker_transport_options);
                tokio::time::timeout(PATIENCE, server_info(url, &sentinel)).await.ok().and_then(Result::ok)
            }
            None => None,
        };
        let figure = |name: &str| info.as_ref()?.get(name)?.parse::<u64>().ok();
        Reading { stats, memory: figure("used_memory").zip(figure("maxmemory")) }
    }

    /// Tells of a rule where it has begun to hold, or holds no more.
    async fn settle(&mut self, rule: Rule, wrong: Option<&String>) -> celeriac::Result<()> {
        let board = if rule == Rule::RedisUnreachable { &mut self.own } else { &mut self.board };
        let Some(text) = wrong else {
            self.held.remove(&rule);
            if board.clear(rule).await? {
                tracing::info!(rule = rule.name(), "alert is over");
                self.tell("alert.resolved", rule, "");
            }
            return Ok(());
        };
        let held = self.held.entry(rule).or_default();
        *held += 1;
        match *held {
            looks if looks < LOOKS => {}
            LOOKS => {
                if board.raise(rule).await? {
                    tracing::warn!(rule = rule.name(), text, "alert");
                    self.tell("alert.firing", rule, text);
                }
            }
            _ => board.keep(rule).await?,
        }
        Ok(())
    }

    fn tell(&mut self, event: &str, rule: Rule, text: &str) {
        if self.limits.url.is_none() {
            return;
        }
        let now = Utc::now();
        let data = json!({"rule": rule.name(), "text": text});
        self.waiting.push_back((self.teller.alert(event, rule.name(), &data, now), 0));
        if self.waiting.len() > WAITING_MAX {
            self.waiting.pop_front();
        }
    }

    /// Sends what waits, in order; what does not arrive waits for the next look.
    async fn post(&mut self) {
        let Some(url) = self.limits.url.clone() else { return };
        while let Some((delivery, tries)) = self.waiting.pop_front() {
            let Err(why) = self.teller.post_alert(&url, &delivery).await else { continue };
            tracing::warn!(why, tries = tries + 1, "an alert does not arrive");
            if tries + 1 < self.teller.attempts() {
                self.waiting.push_front((delivery, tries + 1));
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::{JobRates, PageStats, QueueStats, RedisStats};

    fn stats() -> Stats {
        Stats {
            queues: [("page_processing".to_owned(), QueueStats { workers: 1, ..QueueStats::default() })].into(),
            jobs: BTreeMap::new(),
            rates: JobRates::default(),
            workers: Vec::new(),
            pages: PageStats { per_min: 100, ..PageStats::default() },
            redis: RedisStats { eviction_policy_ok: Some(true), ..RedisStats::default() },
            timestamp: String::new(),
        }
    }

    fn limits() -> Alerts {
        Alerts { queue_len: 1000, ..Alerts::default() }
    }

    fn rules(change: impl Fn(&mut Stats), memory: Option<(u64, u64)>) -> Vec<Rule> {
        let mut stats = stats();
        change(&mut stats);
        judge(&Reading { stats: Ok(stats), memory }, &limits()).into_keys().collect()
    }

    #[test]
    fn each_rule_holds_where_its_figure_is_beyond_its_limit_and_not_at_it() {
        let queue = |stats: &mut Stats, waiting, workers| {
            let queue = stats.queues.get_mut("page_processing").unwrap();
            (queue.waiting, queue.workers) = (waiting, workers);
        };
        assert_eq!(rules(|_| {}, Some((90, 100))), []);
        assert_eq!(rules(|_| {}, Some((91, 100))), [Rule::Memory]);
        assert_eq!(rules(|_| {}, Some((91, 0))), []);
        assert_eq!(rules(|stats| stats.redis.eviction_policy_ok = Some(false), None), [Rule::Memory]);
        assert_eq!(rules(|stats| queue(stats, 1000, 1), None), []);
        assert_eq!(rules(|stats| queue(stats, 1001, 1), None), [Rule::QueueLength]);
        assert_eq!(rules(|stats| queue(stats, 1, 0), None), [Rule::NoWorker]);
        assert_eq!(rules(|stats| stats.redis.dead_letters = 1, None), [Rule::DeadLetters]);
        let pages = |ok, failed| rules(|stats| (stats.pages.per_min, stats.pages.failed_per_min) = (ok, failed), None);
        assert_eq!((pages(90, 10), pages(89, 11)), (vec![], vec![Rule::ErrorRate]));
        // Too few to say.
        assert_eq!(pages(0, 9), []);
    }

    #[test]
    fn without_redis_nothing_else_is_known() {
        let wrong = judge(&Reading { stats: Err("gone".into()), memory: None }, &limits());
        assert_eq!(wrong.into_iter().collect::<Vec<_>>(), [(Rule::RedisUnreachable, "gone".to_owned())]);
    }
}

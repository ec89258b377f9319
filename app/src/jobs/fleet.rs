//! The workers there are, Python's and ours alike, as they tell of themselves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use celeriac::control::CallOptions;
use celeriac::protocol::{Map, Value as Celery};
use celeriac_tasks::pipeline::CIRCUITS;
use celeriac_tasks::provider::Circuit;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use super::{Desk, Refusal, Result};

/// How long an answer of theirs is good.
const FRESH: Duration = Duration::from_secs(5);
/// How long they may take.
const PATIENCE: Duration = Duration::from_millis(700);
/// How long one may take that is told something.
pub(super) const ANSWERED: Duration = Duration::from_secs(2);

/// A worker.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct WorkerView {
    /// Its node name.
    pub(crate) name: String,
    /// The queues it serves.
    pub(crate) queues: Vec<String>,
    /// How many tasks it runs at once.
    pub(crate) slots: u32,
    /// Between how many it chooses by itself; null: it does not.
    pub(crate) autoscale: Option<Bounds>,
    /// How many it runs now.
    pub(crate) active: u32,
    /// How many it has taken and not begun.
    pub(crate) reserved: u32,
    /// How many tasks it has run, by name.
    pub(crate) total: BTreeMap<String, u64>,
    /// How many runs failed; null: it does not tell, as Python's do not.
    pub(crate) failed: Option<u64>,
    /// The load of its machine in the last minute; null: it does not tell.
    pub(crate) load: Option<f64>,
    /// The version of celeriac; null: it is another program.
    pub(crate) version: Option<String>,
    /// Seconds since it was started.
    pub(crate) uptime: u64,
    /// Its process.
    pub(crate) pid: Option<i64>,
    /// The most memory it ever had, bytes.
    pub(crate) max_rss_bytes: Option<u64>,
    /// Whether it asks the providers of models: `closed`, `open` (left alone for now, because it fails) or `half_open`, by provider.
    pub(crate) circuits: BTreeMap<String, String>,
    /// What it holds of each queue.
    #[serde(skip)]
    pub(crate) queued: BTreeMap<String, Held>,
}

/// What a worker holds of a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) active: u32,
    pub(crate) reserved: u32,
}

impl WorkerView {
    /// What it holds of a queue.
    pub(crate) fn held(&self, queue: &str) -> Held {
        self.queued.get(queue).copied().unwrap_or_default()
    }
}

/// Between how many slots a worker chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bounds {
    /// The fewest.
    pub(crate) min: u32,
    /// The most.
    pub(crate) max: u32,
}

/// All of them at one time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fleet {
    pub(crate) workers: Vec<WorkerView>,
}

impl Fleet {
    /// How many tasks of a queue can run at once.
    pub(crate) fn slots(&self, queue: &str) -> u32 {
        self.serving(queue).map(|worker| worker.slots).sum()
    }

    /// By provider, on how many workers its circuit is not closed.
    pub(crate) fn open_circuits(&self) -> BTreeMap<&str, usize> {
        open_circuits(&self.workers)
    }

    /// Who serves a queue.
    pub(crate) fn serving<'a>(&'a self, queue: &'a str) -> impl Iterator<Item = &'a WorkerView> {
        self.workers.iter().filter(move |worker| worker.queues.iter().any(|name| name == queue))
    }
}

/// The requests a worker tells of, by the queue each came from: a task is told once, however many queues its worker serves.
fn queued(active: &Value, reserved: &Value) -> BTreeMap<String, Held> {
    let queues = |requests: &Value| {
        let requests = requests.as_array().cloned().unwrap_or_default();
        requests.into_iter().filter_map(|request| Some(request["delivery_info"]["routing_key"].as_str()?.to_owned()))
    };
    let mut queued = BTreeMap::<String, Held>::new();
    for queue in queues(active) {
        queued.entry(queue).or_default().active += 1;
    }
    for queue in queues(reserved) {
        queued.entry(queue).or_default().reserved += 1;
    }
    queued
}

/// By provider, on how many of these workers its circuit is not closed.
pub(crate) fn open_circuits(workers: &[WorkerView]) -> BTreeMap<&str, usize> {
    let mut open = BTreeMap::new();
    for (name, circuit) in workers.iter().flat_map(|worker| &worker.circuits) {
        *open.entry(name.as_str()).or_default() += usize::from(circuit != Circuit::Closed.as_str());
    }
    open
}

/// What was last heard.
pub(crate) type Heard = Arc<Mutex<Option<(Instant, Arc<Fleet>)>>>;

impl Desk {
    /// The workers, as they told of themselves within the last seconds.
    pub(crate) async fn fleet(&self) -> Result<Arc<Fleet>> {
        // Who comes while another asks waits for his answer.
        let mut heard = self.heard.lock().await;
        if let Some((at, fleet)) = heard.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            let _ = at;
            return Ok(Arc::clone(fleet));
        }
        let inspect = self.app.control().inspect().timeout(PATIENCE);
        let (stats, queues, active, reserved) =
            tokio::try_join!(inspect.stats(), inspect.active_queues(), inspect.active(), inspect.reserved())?;
        let json = |map: Map| Value::from(Celery::from(map));
        let fleet = Arc::new(read(&json(stats), &json(queues), &json(active), &json(reserved)));
        *heard = Some((Instant::now(), Arc::clone(&fleet)));
        Ok(fleet)
    }

    /// Sends a command to one worker, and returns what it says to it.
    pub(crate) async fn tell_worker(&self, worker: &str, command: &str, arguments: Map) -> Result<String> {
        let options = CallOptions { destination: vec![worker.to_owned()], timeout: ANSWERED, ..CallOptions::default() };
        let mut replies = self.app.control().call(command, arguments, &options).await?;
        let reply = replies.shift_remove(worker).ok_or_else(|| absent(worker))?;
        self.look_again().await;
        let reply = Value::from(reply);
        match reply["error"].as_str() {
            Some(why) => Err(Refusal::Conflict(format!("{worker} refuses: {why}"))),
            None => Ok(reply["ok"].as_str().unwrap_or_default().to_owned()),
        }
    }

    /// Lets one worker end; it says nothing to that.
    pub(crate) async fn end_worker(&self, worker: &str) -> Result<()> {
        if !self.fleet().await?.workers.iter().any(|other| other.name == worker) {
            return Err(absent(worker));
        }
        self.app.control().broadcast("shutdown", Map::default(), &[worker.to_owned()]).await?;
        self.look_again().await;
        Ok(())
    }

    /// What was heard is out of date.
    pub(crate) async fn look_again(&self) {
        *self.heard.lock().await = None;
    }
}

fn absent(worker: &str) -> Refusal {
    Refusal::NotFound(format!("no worker {worker} answers; /v1/workers names those that do"))
}

/// The queues a worker serves, as it answers `active_queues`.
pub(crate) fn queue_names(told: &Value) -> impl Iterator<Item = &str> {
    told.as_array().into_iter().flatten().filter_map(|queue| queue["name"].as_str())
}

fn read(stats: &Value, queues: &Value, active: &Value, reserved: &Value) -> Fleet {
    let count = |map: &Value, name: &str| map[name].as_array().map_or(0, |list| u32::try_from(list.len()).unwrap_or(u32::MAX));
    let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
    let bounds = |told: &Value| Some(Bounds { min: number(&told["min"])?, max: number(&told["max"])? });
    let worker = |(name, told): (&String, &Value)| WorkerView {
        name: name.clone(),
        queues: queue_names(&queues[name]).map(str::to_owned).collect(),
        slots: number(&told["pool"]["max-concurrency"]).unwrap_or_default(),
        autoscale: bounds(&told["autoscaler"]),
        active: count(active, name),
        reserved: count(reserved, name),
        total: told["total"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(task, count)| Some((task.clone(), count.as_u64()?)))
            .collect(),
        failed: told["failed"].as_u64(),
        load: told["loadavg"][0].as_f64(),
        version: told["version"].as_str().map(str::to_owned),
        uptime: told["uptime"].as_u64().unwrap_or_default(),
        pid: told["pid"].as_i64(),
        max_rss_bytes: told["rusage"]["maxrss"].as_u64().map(|kib| kib * 1024),
        circuits: told[CIRCUITS]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(name, circuit)| Some((name.clone(), circuit.as_str()?.to_owned())))
            .collect(),
        queued: queued(&active[name], &reserved[name]),
    };
    let mut workers: Vec<WorkerView> = stats.as_object().into_iter().flatten().map(worker).collect();
    workers.sort_by(|one, other| one.name.cmp(&other.name));
    Fleet { workers }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_workers_tell_is_read_whoever_they_are() {
        let stats = json!({
            "celery@b": {"pool": {"max-concurrency": 4}, "total": {"t": 3}, "uptime": 7, "pid": 12, "rusage": {"maxrss": 10},
                "failed": 2, "loadavg": [0.5, 0.4, 0.3], "version": "9.9.9"},
            "celery@a": {
                "pool": {},
                "circuits": {"openai": "open", "openai-speech": "closed"},
                "autoscaler": {"max": 9, "min": 2, "current": 3, "qty": 0},
            },
        });
        let queues = json!({"celery@b": [{"name": "page_processing"}]});
        let of = |queue: &str| json!({"delivery_info": {"exchange": "", "routing_key": queue}});
        let active = json!({"celery@b": [of("page_processing"), of("default")]});
        let fleet = read(&stats, &queues, &active, &json!({"celery@b": [of("default")]}));
        assert_eq!(fleet.workers.iter().map(|worker| worker.name.as_str()).collect::<Vec<_>>(), ["celery@a", "celery@b"]);
        assert_eq!((fleet.slots("page_processing"), fleet.slots("default")), (4, 0));
        assert_eq!((fleet.workers[0].autoscale, fleet.workers[1].autoscale), (Some(Bounds { min: 2, max: 9 }), None));
        assert_eq!(fleet.open_circuits(), BTreeMap::from([("openai", 1), ("openai-speech", 0)]));
        let worker = &fleet.workers[1];
        assert_eq!(worker.held("page_processing"), Held { active: 1, reserved: 0 });
        assert_eq!((worker.held("default"), worker.held("other")), (Held { active: 1, reserved: 1 }, Held::default()));
        assert_eq!((worker.failed, worker.load, worker.version.as_deref()), (Some(2), Some(0.5), Some("9.9.9")));
        let other = &fleet.workers[0];
        assert_eq!((other.failed, other.load, &other.version), (None, None, &None), "Python's tell of none");
        assert_eq!((worker.active, worker.total["t"], worker.max_rss_bytes), (2, 3, Some(10_240)));
    }
}

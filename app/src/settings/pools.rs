//! What `[worker_pools.QUEUE]` and `[features]` come to: they are other words for settings of the runtime, and are put into those.
//!
//! A pool belongs to a queue, or to a stage of the page's work under the name it had elsewhere (`ocr`). A worker has the pools of the
//! queues it serves together. What a flag or a variable says is stronger; what the file says under the runtime's own name is not.

use std::collections::BTreeMap;

use celeriac::cli::Failure;
use celeriac::config::{Autoscale, Concurrency, Env, Loaded, Origin, Seconds};
use celeriac_tasks::pipeline::{QUEUES, TASKS};

use super::{Features, WorkerPool};

/// The queue of pages.
const PAGES: &str = QUEUES[2];
/// What a page goes through, by the names of the pools that do it elsewhere, and the variables that size them there.
const STAGES: [(&str, &str); 4] = [
    ("ocr", "OCR_WORKERS"),
    ("nlp", "NLP_WORKERS"),
    ("validation", "VALIDATION_WORKERS"),
    ("preprocessing", "PREPROCESSING_WORKERS"),
];

/// The pools by their queues.
type Pools = BTreeMap<String, Pool>;

/// A pool, as far as somebody has written it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Pool {
    min: Option<usize>,
    max: Option<usize>,
    /// Megabytes.
    memory: Option<u64>,
    cpu: Option<f64>,
    timeout: Option<f64>,
}

impl Pool {
    fn of(name: &str, pool: &WorkerPool, loaded: &Loaded) -> Self {
        let written = |part: &str| is_written(loaded, &format!("worker_pools.{name}.{part}"));
        Self {
            min: written("min_workers").then_some(pool.min_workers as usize),
            max: written("max_workers").then_some(pool.max_workers as usize),
            memory: written("memory_limit").then_some(pool.memory_limit),
            cpu: written("cpu_limit").then_some(pool.cpu_limit),
            timeout: written("timeout").then(|| pool.timeout.as_f64()),
        }
    }

    /// Both at once: as wide as the wider, as careful with processors as the more careful.
    fn and(self, other: Self) -> Self {
        Self {
            min: self.min.max(other.min),
            max: self.max.max(other.max),
            memory: self.memory.max(other.memory),
            cpu: [self.cpu, other.cpu].into_iter().flatten().reduce(f64::min),
            timeout: [self.timeout, other.timeout].into_iter().flatten().reduce(f64::max),
        }
    }

    /// Between how many workers it moves, where somebody has said so.
    fn bounds(self) -> Option<(usize, usize)> {
        let usual = WorkerPool::default();
        let max = self.max.or_else(|| self.min.map(|min| min.max(usual.max_workers as usize)))?;
        Some((self.min.unwrap_or(usual.min_workers as usize).min(max), max))
    }
}

/// Puts them into the settings.
pub(crate) fn apply(loaded: &mut Loaded, env: &Env) -> Result<(), Failure> {
    let features: Features = loaded.table(Features::TABLE.path)?;
    let pools = pools(loaded, env)?;
    monitoring(loaded, &features);
    let served: Vec<Pool> = served(loaded).iter().filter_map(|queue| pools.get(queue).copied()).collect();
    size(loaded, &features, &served);
    limits(loaded, &served);
    if is_fixed(loaded, "task_time_limit") {
        time_limits(loaded, PAGES, loaded.settings.task_time_limit);
    }
    for (queue, timeout) in pools.iter().filter_map(|(queue, pool)| Some((queue, pool.timeout?))) {
        if !time_limits(loaded, queue, Some(Seconds::new(timeout))) {
            loaded.notes.push(format!(
                "the `timeout` of the pool of {queue} has no effect: its tasks have limits of their own (task_annotations, WORKER_TIMEOUT)"
            ));
        }
    }
    Ok(())
}

/// Whether a setting was made where nothing in the file is stronger.
fn is_fixed(loaded: &Loaded, name: &str) -> bool {
    loaded.get(name).is_some_and(|value| matches!(value.origin, Origin::CommandLine | Origin::Environment(_)))
}

fn is_written(loaded: &Loaded, name: &str) -> bool {
    loaded.get(name).is_some_and(|value| value.origin != Origin::Default)
}

/// What was written, of which nothing comes.
fn without_effect(loaded: &mut Loaded, name: &str, why: &str) {
    let written = loaded.get(name).filter(|value| value.origin != Origin::Default);
    if let Some(origin) = written.map(|value| value.origin.to_string()) {
        loaded.notes.push(format!("{origin}: `{name}` has no effect: {why}"));
    }
}

/// The pools by queue; those of several stages of a page are one, the widest of each measure.
fn pools(loaded: &mut Loaded, env: &Env) -> Result<Pools, Failure> {
    let written: BTreeMap<String, WorkerPool> = loaded.table("worker_pools")?;
    let mut pools = Pools::new();
    for (name, pool) in written {
        let pool = Pool::of(&name, &pool, loaded);
        let stage = STAGES.iter().any(|(stage, _)| *stage == name);
        let known = QUEUES.contains(&name.as_str()) || loaded.settings.celeriac.queues.contains(&name);
        match (known, stage) {
            (true, _) => widen(&mut pools, name, pool),
            (false, true) => widen(&mut pools, PAGES.to_owned(), pool),
            (false, false) => {
                let stages = STAGES.map(|(stage, _)| stage).join(", ");
                loaded.notes.push(format!(
                    "`worker_pools.{name}` has no effect: there is no queue {name}; there are {}, and {stages} for what is done to a page",
                    QUEUES.join(", ")
                ));
            }
        }
    }
    for (_, variable) in STAGES {
        let Some(text) = env.get(variable).filter(|text| !text.is_empty()) else { continue };
        match text.trim().parse::<usize>() {
            Ok(size @ 1..=10_000) => {
                widen(&mut pools, PAGES.to_owned(), Pool { min: Some(size), max: Some(size), ..Pool::default() });
            }
            _ => loaded
                .notes
                .push(format!("environment {variable}: `{text}` has no effect: it is a number of workers from 1 to 10000")),
        }
    }
    Ok(pools)
}

fn widen(pools: &mut Pools, queue: String, pool: Pool) {
    let there = pools.entry(queue).or_default();
    *there = there.and(pool);
}

/// The queues that a worker with these settings serves.
fn served(loaded: &Loaded) -> Vec<String> {
    let ours = &loaded.settings.celeriac;
    let all = if ours.queues.is_empty() { QUEUES.map(str::to_owned).to_vec() } else { ours.queues.clone() };
    all.into_iter().filter(|queue| !ours.exclude_queues.contains(queue)).collect()
}

/// Without monitoring nothing is counted and nothing is told but that a worker lives.
fn monitoring(loaded: &mut Loaded, features: &Features) {
    if features.monitoring {
        return;
    }
    without_effect(loaded, "celeriac.metrics_addr", "features.monitoring is off");
    let settings = &mut loaded.settings;
    settings.worker_send_task_events = false;
    settings.task_send_sent_event = false;
    settings.celeriac.metrics_addr = None;
    settings.celeriac.performance_interval = Seconds::new(0.0);
}

/// How many slots a worker has, or between how many it moves.
fn size(loaded: &mut Loaded, features: &Features, pools: &[Pool]) {
    if !features.autoscaling {
        for name in ["min_workers", "cpu_limit"] {
            each_pool(loaded, name, "features.autoscaling is off");
        }
        if is_written(loaded, "features.autoscaling") && !is_fixed(loaded, "celeriac.autoscale") {
            without_effect(loaded, "celeriac.autoscale", "features.autoscaling is off");
            loaded.settings.celeriac.autoscale = None;
        }
    }
    let fixed = ["worker_concurrency", "celeriac.autoscale"].into_iter().find(|name| is_fixed(loaded, name));
    if let Some(fixed) = fixed.or((loaded.settings.worker_pool == "solo").then_some("worker_pool")) {
        let why = format!("{fixed} is set, and stronger");
        each_pool(loaded, "max_workers", &why);
        return;
    }
    let bounds: Vec<(usize, usize)> = pools.iter().filter_map(|pool| pool.bounds()).collect();
    let most = loaded.settings.celeriac.max_workers.max(1);
    let (min, max) = match bounds.is_empty() {
        true => (1, loaded.settings.concurrency(std::thread::available_parallelism().map_or(1, usize::from))),
        false => bounds.iter().fold((0, 0), |sum, pool| (sum.0 + pool.0, sum.1 + pool.1)),
    };
    let (min, max) = (min.clamp(1, most), max.clamp(1, most));
    if !bounds.is_empty() {
        loaded.settings.worker_concurrency = Some(Concurrency::Count(max));
    }
    if features.autoscaling {
        loaded.settings.celeriac.autoscale = Some(Autoscale { max, min });
    }
}

/// Says of each pool that a part of it has no effect.
fn each_pool(loaded: &mut Loaded, part: &str, why: &str) {
    let pools = loaded.values.iter().filter(|value| value.name.starts_with("worker_pools.") && value.name.ends_with(part));
    let names: Vec<String> = pools.map(|value| value.name.clone()).collect();
    names.iter().for_each(|name| without_effect(loaded, name, why));
}

/// What a worker of these pools may use.
fn limits(loaded: &mut Loaded, pools: &[Pool]) {
    let all = pools.iter().copied().reduce(Pool::and).unwrap_or_default();
    match all.memory {
        Some(_) if is_fixed(loaded, "worker_max_memory_per_child") => {
            each_pool(loaded, "memory_limit", "worker_max_memory_per_child is set, and stronger");
        }
        Some(megabytes) => loaded.settings.worker_max_memory_per_child = Some(megabytes.saturating_mul(1024)),
        None => {}
    }
    if let Some(share) = all.cpu.filter(|_| !is_fixed(loaded, "celeriac.autoscale_cpu_limit")) {
        loaded.settings.celeriac.autoscale_cpu_limit = share;
    }
}

/// How long the tasks of a queue may take, where nobody says so of the task itself. `false`: of each somebody does.
fn time_limits(loaded: &mut Loaded, queue: &str, timeout: Option<Seconds>) -> bool {
    let mut taken = false;
    for (task, usual) in TASKS {
        let route = loaded.settings.task_routes.route(task).and_then(|route| route.queue.clone());
        if route.as_deref().unwrap_or(usual) == queue && loaded.settings.task_annotations.of(task).time_limit.is_none() {
            loaded.settings.task_annotations.entry(task).time_limit = timeout;
            taken = true;
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::*;
    use celeriac::cli::GlobalArgs;
    use celeriac::cli::settings::Surroundings;

    /// S4's own file, as it stands in its documentation (S4.18).
    const CONFIG_JSON: &str = r#"{
        "max_workers": 50, "redis_url": "redis://localhost:6379/0",
        "worker_pools": {"ocr": {"min_workers": 2, "max_workers": 8, "memory_limit": 1024, "cpu_limit": 0.8, "timeout": 300}},
        "features": {"autoscaling": true, "monitoring": true, "alerts": false}
    }"#;

    fn loaded_with(name: &str, text: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Loaded {
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let around = Surroundings { env: pairs(env).into_iter().collect(), file: Some((name.into(), text.into())) };
        load(&around, &GlobalArgs::default(), pairs(flags)).unwrap()
    }

    fn loaded(text: &str) -> Loaded {
        loaded_with("celery_config.toml", text, &[], &[])
    }

    fn without_effect(loaded: &Loaded) -> Vec<&str> {
        loaded.notes.iter().filter(|note| note.contains("has no effect")).map(String::as_str).collect()
    }

    #[test]
    fn the_file_of_s4_has_its_effect_s4_12_s4_18() {
        let loaded = loaded_with("config.json", CONFIG_JSON, &[], &[]);
        let settings = &loaded.settings;
        assert_eq!(settings.broker_url.as_deref(), Some("redis://localhost:6379/0"));
        assert_eq!(settings.celeriac.max_workers, 50);
        assert_eq!(settings.celeriac.autoscale, Some(Autoscale { max: 8, min: 2 }));
        assert_eq!(settings.worker_max_memory_per_child, Some(1024 * 1024));
        assert_eq!(settings.celeriac.autoscale_cpu_limit, 0.8);
        assert_eq!(settings.task_annotations.of("tasks.process_page").time_limit, Some(Seconds::new(300.0)));
        assert_eq!(settings.task_annotations.of("tasks.process_document").time_limit, None);
        assert_eq!(without_effect(&loaded), Vec::<&str>::new());
    }

    #[test]
    fn features_of_an_environment_take_the_place_of_the_others_s4_6() {
        let text = format!(
            "{}\n[env.production.features]\nautoscaling = false\nmonitoring = false\n[env.production.worker_pools.page_processing]\nmax_workers = 3\n",
            "[worker_pools.page_processing]\nmin_workers = 1\nmax_workers = 8\n[features]\nautoscaling = true"
        );
        let plain = loaded(&text).settings;
        assert_eq!(plain.celeriac.autoscale, Some(Autoscale { max: 8, min: 1 }));
        assert!(plain.worker_send_task_events && plain.celeriac.performance_interval.as_f64() > 0.0);
        let production = loaded_with("celery_config.toml", &text, &[("ENVIRONMENT", "production")], &[]);
        assert_eq!(production.settings.celeriac.autoscale, None);
        assert_eq!(production.settings.worker_concurrency, Some(Concurrency::Count(3)));
        assert!(!production.settings.worker_send_task_events);
        assert_eq!(production.settings.celeriac.performance_interval.limit(), None);
        let [why] = without_effect(&production)[..] else { panic!("{:?}", production.notes) };
        assert!(why.contains("`worker_pools.page_processing.min_workers` has no effect: features.autoscaling is off"), "{why}");
    }

    #[test]
    fn a_worker_has_the_pools_of_its_queues_together() {
        let text = "[worker_pools.page_processing]\nmin_workers = 2\nmax_workers = 8\n[worker_pools.audio_generation]\nmax_workers = 2\n\
            memory_limit = 64\n[features]\nautoscaling = true\n";
        let with_queues = |queues: &str| loaded(&format!("[celeriac]\nqueues = [{queues}]\n{text}")).settings;
        assert_eq!(with_queues("").celeriac.autoscale, Some(Autoscale { max: 10, min: 3 }));
        let audio = with_queues("\"audio_generation\"");
        assert_eq!(audio.celeriac.autoscale, Some(Autoscale { max: 2, min: 1 }));
        assert_eq!(audio.worker_max_memory_per_child, Some(64 * 1024));
        let bounded = loaded(&format!("max_workers = 5\n{text}")).settings;
        assert_eq!(bounded.celeriac.autoscale, Some(Autoscale { max: 5, min: 3 }));
    }

    #[test]
    fn flags_and_variables_are_stronger_and_what_has_no_effect_is_said() {
        let pool = "[worker_pools.page_processing]\nmax_workers = 8\nmemory_limit = 64\ntimeout = 60\n";
        let env = [("MAX_MEMORY_PER_WORKER", "128"), ("WORKER_TIMEOUT", "90")];
        let fixed = loaded_with("celery_config.toml", pool, &env, &[("worker_concurrency", "3")]);
        assert_eq!(fixed.settings.worker_concurrency, Some(Concurrency::Count(3)));
        assert_eq!(fixed.settings.worker_max_memory_per_child, Some(128 * 1024));
        assert_eq!(fixed.settings.task_annotations.of("tasks.process_page").time_limit, Some(Seconds::new(90.0)));
        let said = without_effect(&fixed);
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].contains("max_workers` has no effect: worker_concurrency is set, and stronger"), "{said:?}");
        assert!(said[2].contains("the `timeout` of the pool of page_processing has no effect"), "{said:?}");
        let unknown = loaded("[worker_pools.pages]\nmax_workers = 8\n");
        assert!(without_effect(&unknown)[0].contains("there is no queue pages; there are "), "{:?}", unknown.notes);
        let off = loaded(
            "[features]\nautoscaling = false\nmonitoring = false\n[celeriac]\nautoscale = \"8,2\"\nmetrics_addr = \"0.0.0.0:1\"\n",
        );
        assert_eq!((off.settings.celeriac.autoscale, &off.settings.celeriac.metrics_addr), (None, &None));
        assert_eq!(without_effect(&off).len(), 2, "{:?}", off.notes);
    }

    #[test]
    fn the_variables_of_s4_size_the_pool_of_pages_s4_17() {
        let env = [("OCR_WORKERS", "8"), ("NLP_WORKERS", "4"), ("VALIDATION_WORKERS", "6"), ("PREPROCESSING_WORKERS", "12")];
        assert_eq!(loaded_with("celery_config.toml", "", &env, &[]).settings.worker_concurrency, Some(Concurrency::Count(12)));
        let wrong = loaded_with("celery_config.toml", "", &[("OCR_WORKERS", "many")], &[]);
        assert!(
            wrong.notes.iter().any(|note| note.starts_with("environment OCR_WORKERS: `many` has no effect")),
            "{:?}",
            wrong.notes
        );
    }
}

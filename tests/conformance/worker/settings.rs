//! How the worker is started: its place in the suite from the environment, its settings from there too, and the arguments of
//! `celery worker` that the suite's users know.
//!
//! From the strongest to the weakest: the arguments (and `EXTRA_ARGS`), `CELERY_<NAME>`, `WORKER_SETTINGS`, the suite's own settings.

use std::collections::HashMap;

use celeriac::config::{ConfigFile, Env, Settings, Sources, load};
use serde_json::{Map, Value as Json, json};
use tracing::Level;

/// What keeps the worker from starting.
pub(crate) type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// What the worker is started with.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) settings: Settings,
    /// The settings that were written, for `inspect conf`.
    pub(crate) written: Map<String, Json>,
    pub(crate) queues: Vec<String>,
    pub(crate) concurrency: usize,
    pub(crate) nodename: String,
    pub(crate) level: Level,
    /// What a person should know.
    pub(crate) notes: Vec<String>,
}

/// Reads arguments and environment.
pub(crate) fn start() -> Result<Start, Trouble> {
    let extra = variable("EXTRA_ARGS").unwrap_or_default();
    let words = std::env::args().skip(1).chain(extra.split_whitespace().map(str::to_owned));
    let Arguments { mut values, ignored } = Arguments::read(words);
    let env: Env = std::env::vars().filter(|(name, _)| name.starts_with("CELERY_") || name.starts_with("CELERIAC_")).collect();
    let text = Json::Object(written()?).to_string();
    let file = Some(ConfigFile { name: "WORKER_SETTINGS.json", text: &text });
    let loaded = load(&Sources { file, env: &env, overrides: Vec::new(), tables: &[] })?;
    let (settings, written) = (loaded.settings.clone(), loaded.written());
    let mut given = |flag: &str, name: &str| values.remove(flag).or_else(|| variable(name));
    let concurrency = match given("-c", "CONCURRENCY") {
        Some(text) => text.parse().map_err(|_| format!("-c {text}: the concurrency is a number"))?,
        None => settings.concurrency(std::thread::available_parallelism().map_or(1, usize::from)),
    };
    let queues = given("-Q", "QUEUES").unwrap_or_else(|| settings.task_default_queue.clone());
    let level = match given("-l", "CELERY_WORKER_LOGLEVEL")
        .unwrap_or_else(|| settings.celeriac.log_level.clone())
        .to_lowercase()
        .as_str()
    {
        "critical" | "fatal" => Level::ERROR,
        "warning" => Level::WARN,
        level => level.parse().map_err(|_| format!("-l {level}: not a level of a log"))?,
    };
    Ok(Start {
        queues: queues.split(',').map(str::to_owned).collect(),
        concurrency,
        nodename: expanded(&given("-n", "NODENAME").unwrap_or_else(|| "celery@%h".to_owned())),
        level,
        notes: ignored.map(|word| format!("{word}: no argument of this worker, ignored")).into_iter().chain(loaded.notes).collect(),
        settings,
        written,
    })
}

/// The suite's settings, and over them those of `WORKER_SETTINGS`.
fn written() -> Result<Map<String, Json>, Trouble> {
    let mut written = Map::new();
    let suites = [
        ("result_extended", json!(true)),
        ("accept_content", json!(["json"])),
        ("enable_utc", json!(true)),
        ("timezone", json!("UTC")),
        ("broker_heartbeat", json!(0)),
        ("worker_hijack_root_logger", json!(false)),
        ("worker_log_color", json!(false)),
    ];
    written.extend(suites.map(|(name, value)| (name.to_owned(), value)));
    for (setting, names) in [("broker_url", ["TEST_BROKER", "BROKER_URL"]), ("result_backend", ["TEST_BACKEND", "RESULT_BACKEND"])]
    {
        if let Some(url) = names.into_iter().find_map(variable) {
            written.insert(setting.to_owned(), url.into());
        }
    }
    if let Some(text) = variable("WORKER_SETTINGS") {
        let settings: Map<String, Json> = serde_json::from_str(&text).map_err(|error| format!("WORKER_SETTINGS: {error}"))?;
        written.extend(settings);
    }
    Ok(written)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// Celery's `%h` for the host, and the host behind a name without one.
fn expanded(nodename: &str) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = Some(host.trim()).filter(|host| !host.is_empty()).unwrap_or("localhost");
    let name = nodename.replace("%h", host).replace("%n", host.split('.').next().unwrap_or(host));
    if name.contains('@') { name } else { format!("{name}@{host}") }
}

/// The arguments by their short names.
struct Arguments {
    values: HashMap<&'static str, String>,
    ignored: Option<String>,
}

/// The arguments that mean something here.
const KNOWN: [(&str, &str); 4] = [("-n", "--hostname"), ("-c", "--concurrency"), ("-Q", "--queues"), ("-l", "--loglevel")];

impl Arguments {
    /// `-c 2`, `-c2`, `--concurrency 2` and `--concurrency=2`; the last one counts.
    fn read(mut words: impl Iterator<Item = String>) -> Self {
        let (mut values, mut ignored) = (HashMap::new(), Vec::new());
        while let Some(word) = words.next() {
            let found = KNOWN.into_iter().find_map(|(short, long)| {
                let attached = word.strip_prefix(long).map(|rest| rest.strip_prefix('=').or(rest.is_empty().then_some("")));
                let attached = attached.unwrap_or_else(|| word.strip_prefix(short))?;
                Some((short, attached.to_owned()))
            });
            match found {
                Some((short, attached)) if attached.is_empty() => {
                    values.extend(words.next().map(|value| (short, value)));
                }
                Some((short, attached)) => {
                    values.insert(short, attached);
                }
                None => ignored.push(word),
            }
        }
        Self { values, ignored: (!ignored.is_empty()).then(|| ignored.join(" ")) }
    }
}

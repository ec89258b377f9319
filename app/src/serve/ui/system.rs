//! What runs here, and what it stands on.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::super::Api;
use super::super::auth::Role;
use super::answer;
use super::place::Shell;
use super::words::{NOTHING, count, size, word};
use crate::jobs::Refusal;

#[derive(Template)]
#[template(path = "system.html")]
struct System<'a> {
    shell: &'a Shell,
    tabs: Vec<Tab>,
    groups: Vec<Group>,
}

/// A page of the system: name, path, here or not.
#[derive(Debug)]
pub(super) struct Tab {
    pub(super) name: &'static str,
    pub(super) path: &'static str,
    pub(super) here: bool,
}

/// The pages somebody may see; none where there is but one.
pub(super) fn tabs(shell: &Shell, here: &str) -> Vec<Tab> {
    const TABS: [(&str, &str); 4] = [("Figures", ""), ("Settings", "/settings"), ("Doctor", "/doctor"), ("Audit", "/audit")];
    let tabs = TABS.into_iter().filter(|_| shell.powers.inspect);
    tabs.map(|(name, path)| Tab { name, path, here: path == here }).collect()
}

/// Facts that belong together.
#[derive(Debug)]
struct Group {
    name: &'static str,
    facts: Vec<Fact>,
}

/// A fact.
#[derive(Debug)]
struct Fact {
    name: String,
    value: String,
    tone: &'static str,
}

fn fact(name: impl Into<String>, value: impl Into<String>) -> Fact {
    Fact { name: name.into(), value: value.into(), tone: "" }
}

pub(super) async fn show(State(api): State<Api>, shell: Shell) -> Response {
    let page = groups(&api).await.map(|groups| System { shell: &shell, tabs: tabs(&shell, ""), groups });
    answer(&shell, page)
}

async fn groups(api: &Api) -> Result<Vec<Group>, Refusal> {
    let stats = api.desk.stats().await?;
    let (policy, tone) = match stats.redis.eviction_policy_ok {
        Some(true) => ("keeps everything", "good"),
        Some(false) => ("may throw data away: set maxmemory-policy to noeviction", "bad"),
        None => ("cannot be told", ""),
    };
    let redis = vec![
        fact("Memory", stats.redis.memory_bytes.map_or_else(|| NOTHING.to_owned(), size)),
        Fact { tone, ..fact("When it is full", policy) },
        fact("Dead letters", count(stats.redis.dead_letters)),
    ];
    let service = vec![
        fact("Version", env!("CARGO_PKG_VERSION")),
        fact("Shape of results", celeriac_tasks::result::SCHEMA_VERSION),
        fact("Largest upload", size(api.max_upload_bytes)),
        fact("Largest JSON", size(api.max_json_bytes)),
        fact("Workers", stats.workers.len().to_string()),
        fact("API keys", keys(api)),
        fact("Changes through it", if api.access.is_read_only() { "none: it only tells" } else { "by who may" }),
    ];
    let documents = vec![fact("Pages a batch", word_or_number(&api.documents.batch_size))];
    let jobs = stats.jobs.iter().map(|(state, found)| fact(state.clone(), count(*found))).collect();
    Ok(vec![
        Group { name: "Redis", facts: redis },
        Group { name: "Service", facts: service },
        Group { name: "Documents", facts: documents },
        Group { name: "Jobs that are kept", facts: jobs },
    ])
}

/// How many keys there are, by role.
fn keys(api: &Api) -> String {
    let count = |wanted: Role| api.access.roles().filter(|role| *role == wanted).count();
    let named = [Role::Admin, Role::Operate, Role::Read].map(|role| (count(role), role.as_str()));
    let named: Vec<String> =
        named.into_iter().filter(|(count, _)| *count > 0).map(|(count, role)| format!("{count} {role}")).collect();
    if named.is_empty() { "none: whoever reaches this machine may do all".to_owned() } else { named.join(", ") }
}

fn word_or_number(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::Number(number)) => number.to_string(),
        _ => word(value),
    }
}

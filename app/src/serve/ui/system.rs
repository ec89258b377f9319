//! What runs here, and what it stands on.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::super::Api;
use super::answer;
use super::place::Shell;
use super::words::{NOTHING, count, size, word};
use crate::jobs::Refusal;

#[derive(Template)]
#[template(path = "system.html")]
struct System<'a> {
    shell: &'a Shell,
    groups: Vec<Group>,
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
    let page = groups(&api).await.map(|groups| System { shell: &shell, groups });
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

fn word_or_number(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::Number(number)) => number.to_string(),
        _ => word(value),
    }
}

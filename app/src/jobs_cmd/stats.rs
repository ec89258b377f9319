//! `stats`: the system at a glance, once or again and again.

use std::fmt::Write as _;
use std::time::Duration;

use celeriac::cli::terminal::{print, print_json, safe, stdout_is_terminal};
use celeriac::cli::{Exit, Failure};
use serde_json::json;

use super::client::{Client, refused};
use crate::jobs::Stats;

/// To the first place of an empty screen.
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

pub(super) async fn stats(client: &Client, every: Option<u64>) -> Result<Exit, Failure> {
    let Some(seconds) = every else {
        let stats = client.desk.stats().await.map_err(|refusal| refused(&refusal))?;
        if client.json {
            print_json(&json!(stats))?
        } else {
            print(&text(&stats))?
        }
        return Ok(Exit::Ok);
    };
    let mut ticks = tokio::time::interval(Duration::from_secs(seconds));
    loop {
        let stats = async {
            ticks.tick().await;
            client.desk.stats().await
        };
        let stats = tokio::select! {
            stats = stats => stats.map_err(|refusal| refused(&refusal))?,
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
        };
        match (client.json, stdout_is_terminal()) {
            (true, _) => print(&format!("{}\n", json!(stats)))?,
            (false, true) => print(&format!("{CLEAR}{}", text(&stats)))?,
            (false, false) => print(&format!("{}\n", text(&stats)))?,
        }
    }
}

fn text(stats: &Stats) -> String {
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = write_text(&mut text, stats);
    text
}

fn write_text(text: &mut String, stats: &Stats) -> std::fmt::Result {
    writeln!(
        text,
        "{:<24} {:>8} {:>8} {:>8} {:>8} {:>8} {:>6}",
        "queue", "waiting", "delayed", "reserved", "running", "workers", "slots"
    )?;
    for (name, queue) in &stats.queues {
        writeln!(
            text,
            "{:<24} {:>8} {:>8} {:>8} {:>8} {:>8} {:>6}",
            safe(name),
            queue.waiting,
            queue.delayed,
            queue.reserved,
            queue.active,
            queue.workers,
            queue.slots
        )?;
    }
    writeln!(text, "\n{:<32} {:>6} {:>8} {:>8} {:>10}  queues", "worker", "slots", "running", "reserved", "uptime")?;
    for worker in &stats.workers {
        let (name, queues) = (safe(&worker.name), safe(&worker.queues.join(", ")));
        writeln!(
            text,
            "{name:<32} {:>6} {:>8} {:>8} {:>8} s  {queues}",
            worker.slots, worker.active, worker.reserved, worker.uptime
        )?;
    }
    if stats.workers.is_empty() {
        writeln!(text, "nobody answers")?;
    }
    let jobs: Vec<String> =
        stats.jobs.iter().filter(|(_, count)| **count > 0).map(|(status, count)| format!("{count} {status}")).collect();
    writeln!(text, "\njobs    {}", if jobs.is_empty() { "none".to_owned() } else { jobs.join(" · ") })?;
    let pages = stats.pages;
    writeln!(
        text,
        "pages   {} a minute · {} failed · half within {} ms, 95 % within {} ms",
        pages.per_min, pages.failed_per_min, pages.p50_ms, pages.p95_ms
    )?;
    let memory = stats.redis.memory_bytes.map_or_else(String::new, |bytes| format!("{:.1} MB · ", bytes as f64 / 1e6));
    let policy = if stats.redis.eviction_policy_ok == Some(false) { " · MAY THROW MESSAGES AWAY (maxmemory-policy)" } else { "" };
    writeln!(text, "redis   {memory}{} dead letters{policy}", stats.redis.dead_letters)
}

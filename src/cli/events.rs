//! `events` prints what workers and senders tell, as it comes.
//!
//! # Celery
//! `events/dumper.py`. Differences: it is what `events` does with and without `--dump`, for the screen of `celery events` is not here;
//! `--json` prints one event a line.

use chrono::{DateTime, Utc};
use indexmap::IndexMap;

use super::args::{EventsArgs, GlobalArgs};
use super::client::Client;
use super::exit::{Exit, Failure};
use super::program::Program;
use super::terminal::print;
use crate::protocol::{Envelope, Map, Value, json, repr};

/// How many tasks' names are remembered.
const NAMES: usize = 4095;

pub(super) fn run(program: &Program, _: &EventsArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let client = Client::open(program, global, Vec::new())?;
    client.block_on(async {
        let app = &client.app;
        let mut listener = app.broker().listen(&app.settings().event_exchange, "#").await?;
        if !global.json {
            print("-> evdump: starting capture...\n")?;
        }
        // So that every worker shows itself at once.
        app.control().broadcast("heartbeat", Map::default(), &[]).await?;
        let mut dumper = Dumper::default();
        let accept = app.decode_options().accept;
        let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
        loop {
            let heard = tokio::select! {
                heard = listener.next() => heard?,
                _ = &mut interrupted => return Ok(Exit::Ok),
            };
            let Some(envelope) = heard else { return Ok(Exit::Ok) };
            match Envelope::parse(&envelope).and_then(|envelope| envelope.content(&accept)) {
                Ok(Value::List(events)) => events.into_iter().try_for_each(|event| dumper.print(event, global.json))?,
                Ok(event) => dumper.print(event, global.json)?,
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "cannot read an event"),
            }
        }
    })
}

/// Remembers what tasks are called: only the first events of each say so.
#[derive(Debug, Default)]
struct Dumper {
    names: IndexMap<String, String>,
}

impl Dumper {
    fn print(&mut self, event: Value, as_json: bool) -> Result<(), Failure> {
        match event {
            event if as_json => print(&(json::write(&event) + "\n")),
            Value::Map(event) => print(&self.line(event)),
            _ => Ok(()),
        }
    }

    fn line(&mut self, mut event: Map) -> String {
        let time = event.shift_remove("timestamp").as_ref().and_then(Value::as_f64).map(moment).unwrap_or_default();
        let kind = text(&mut event, "type").to_lowercase();
        let hostname = text(&mut event, "hostname");
        let task = kind.starts_with("task-").then(|| self.task(&kind, &mut event) + " ");
        event.sort_unstable_keys();
        let fields: Vec<String> = event.iter().map(|(name, value)| format!("{name}={}", repr::display(value))).collect();
        let colon = if fields.is_empty() { "" } else { ":" };
        format!("{hostname} [{time}] {}{colon} {}{}\n", spoken(&kind), task.unwrap_or_default(), fields.join(", "))
    }

    /// The task as its first event calls it.
    fn task(&mut self, kind: &str, event: &mut Map) -> String {
        let uuid = text(event, "uuid");
        if !matches!(kind, "task-received" | "task-sent") {
            return self.names.get(&uuid).cloned().unwrap_or_default();
        }
        let mut part = |name: &str| text(event, name);
        let task = format!("{}({uuid}) args={} kwargs={}", part("name"), part("args"), part("kwargs"));
        if self.names.len() >= NAMES {
            self.names.shift_remove_index(0);
        }
        self.names.insert(uuid, task.clone());
        task
    }
}

fn text(event: &mut Map, name: &str) -> String {
    event.shift_remove(name).as_ref().map(repr::display).unwrap_or_default()
}

fn spoken(kind: &str) -> String {
    match kind {
        "worker-offline" => "shutdown".to_owned(),
        "worker-online" => "started".to_owned(),
        "worker-heartbeat" => "heartbeat".to_owned(),
        other => other.replace('-', " "),
    }
}

/// As Python writes a time in UTC.
fn moment(seconds: f64) -> String {
    let time = DateTime::<Utc>::from_timestamp_micros((seconds * 1e6).round() as i64).unwrap_or_default();
    let format = if time.timestamp_subsec_micros() == 0 { "%Y-%m-%d %H:%M:%S+00:00" } else { "%Y-%m-%d %H:%M:%S%.6f+00:00" };
    time.format(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_in_celerys_lines_and_a_task_keeps_its_name() {
        let mut dumper = Dumper::default();
        let mut line = |event: &str| {
            let Value::Map(event) = json::parse(event.as_bytes()).unwrap() else { panic!("no event") };
            dumper.line(event)
        };
        assert_eq!(
            line(
                r#"{"hostname": "worker1@example", "utcoffset": 0.0, "pid": 12022, "clock": 64, "freq": 2.0, "active": 0, "processed": 1,
                    "loadavg": [8.4, 6.13, 3.88], "sw_ident": "py-celery", "sw_ver": "5.7.0", "sw_sys": "Linux",
                    "timestamp": 1795308371.7316, "type": "worker-heartbeat"}"#
            ),
            "worker1@example [2026-11-22 00:46:11.731600+00:00] heartbeat: active=0, clock=64, freq=2.0, loadavg=[8.4, 6.13, 3.88], \
             pid=12022, processed=1, sw_ident=py-celery, sw_sys=Linux, sw_ver=5.7.0, utcoffset=0.0\n"
        );
        let received = line(
            r#"{"type": "task-received", "uuid": "u", "name": "proj.add", "args": "(1, 2)", "kwargs": "{}", "retries": 0, "eta": null,
                "hostname": "w@h", "timestamp": 1795308371.0}"#,
        );
        assert_eq!(
            received,
            "w@h [2026-11-22 00:46:11+00:00] task received: proj.add(u) args=(1, 2) kwargs={} eta=None, retries=0\n"
        );
        let started = line(r#"{"type": "task-started", "uuid": "u", "hostname": "w@h", "timestamp": 1795308371.0}"#);
        assert_eq!(started, "w@h [2026-11-22 00:46:11+00:00] task started proj.add(u) args=(1, 2) kwargs={} \n");
    }
}

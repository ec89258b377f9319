//! `list bindings` shows which queue is bound to which exchange.
//!
//! # Celery
//! `bin/list.py`. Difference: it only looks; Celery declares the application's queues first.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::args::GlobalArgs;
use super::client::Client;
use super::exit::{Exit, Failure};
use super::program::Program;
use super::terminal::print;
use super::worker;
use crate::broker::Queue;
use crate::protocol::{Map, Value, json};

pub(super) fn run(program: &Program, global: &GlobalArgs) -> Result<Exit, Failure> {
    let client = Client::open(program, global, Vec::new())?;
    let queues = worker::queues(&client.loaded.settings, program.default_queues())?;
    let exchanges: BTreeSet<String> = client.app.declared(&queues)?.into_iter().map(|queue| queue.exchange).collect();
    let bindings = client.block_on(async {
        let mut bindings = Vec::new();
        for exchange in &exchanges {
            bindings.extend(client.app.broker().bindings(exchange).await?);
        }
        Ok(bindings)
    })?;
    print(&if global.json { as_json(bindings) } else { table(&bindings) })?;
    Ok(Exit::Ok)
}

fn as_json(bindings: Vec<Queue>) -> String {
    let row = |queue: Queue| {
        let members = [("queue", queue.name), ("exchange", queue.exchange), ("routing_key", queue.routing_key)];
        Value::Map(members.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect::<Map>())
    };
    json::write(&bindings.into_iter().map(row).collect()) + "\n"
}

fn table(bindings: &[Queue]) -> String {
    let mut text = String::new();
    let mut row = |queue: &str, exchange: &str, key: &str| {
        let _ = writeln!(text, "{queue:<28} {exchange:<28} {key}");
    };
    row("Queue", "Exchange", "Routing Key");
    let line = "-".repeat(16);
    row(&line, &line, &line);
    for queue in bindings {
        row(&queue.name, &queue.exchange, &queue.routing_key);
    }
    text
}

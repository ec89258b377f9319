//! `dlq` looks after messages that were given up: lists and shows them, puts them back, throws them away.
//!
//! # Celery
//! None. As `purge` it shows what it is about to act on, and asks nobody who is not there to answer: without a terminal it needs `-f`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::args::{ActArgs, DlqCommand, GlobalArgs};
use super::client::Client;
use super::exit::{Exit, Failure};
use super::program::Program;
use super::terminal::{confirmed, print, print_json, safe, stdin_is_terminal, tell};
use crate::dead_letters::{Letter, Selected};

/// How many letters one step acts on, so that somebody who interrupts it stops it soon.
const STEP: usize = 1000;

/// What is done with letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Requeue,
    Discard,
}

pub(super) fn run(program: &Program, command: &DlqCommand, global: &GlobalArgs) -> Result<Exit, Failure> {
    let acting = match command {
        DlqCommand::Requeue(args) => Some((Act::Requeue, args)),
        DlqCommand::Discard(args) => Some((Act::Discard, args)),
        _ => None,
    };
    if let Some((act, args)) = acting {
        may(act, args)?;
    }
    let client = Client::open(program, global, Vec::new())?;
    match command {
        DlqCommand::List { which, limit, skip } => client.block_on(async {
            let (letters, filter) = (client.app.dead_letters(), which.filter(&[]));
            let (total, found) = (letters.count().await?, letters.list(&filter, *skip, *limit).await?);
            if global.json {
                print_json(
                    &json!({"total": total, "letters": found.iter().map(|letter| shown(letter, false)).collect::<Vec<_>>()}),
                )?;
            } else {
                print(&listed(&found, total))?;
            }
            Ok(Exit::Ok)
        }),
        DlqCommand::Show { id } => client.block_on(async {
            let found = client.app.dead_letters().find(id).await?;
            let letter = found.ok_or_else(|| none(id))?;
            if global.json {
                print_json(&shown(&letter, true))?
            } else {
                print(&whole(&letter))?
            }
            Ok(Exit::Ok)
        }),
        DlqCommand::Requeue(args) => act_on(&client, Act::Requeue, args, global),
        DlqCommand::Discard(args) => act_on(&client, Act::Discard, args, global),
    }
}

/// Whether it is said what to act on, and that it may be done.
fn may(act: Act, args: &ActArgs) -> Result<(), Failure> {
    if !args.all && args.which.filter(&args.ids).is_empty() {
        return Err(Failure::usage("no dead letters are named").fix("give ids or filters, or --all"));
    }
    if !args.force && !stdin_is_terminal() {
        let what = match act {
            Act::Requeue => "dlq requeue asks before it runs tasks again",
            Act::Discard => "dlq discard asks before it throws away",
        };
        return Err(Failure::usage(format!("{what}, and there is no terminal to ask on")).fix("-f does it unasked"));
    }
    Ok(())
}

fn act_on(client: &Client<'_>, act: Act, args: &ActArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let letters = client.app.dead_letters();
    let selected = client.block_on(async { Ok(letters.select(&args.which.filter(&args.ids)).await?) })?;
    if selected.is_empty() && !args.ids.is_empty() {
        return Err(none(&args.ids.join(", ")));
    }
    if !selected.is_empty() {
        let counts = counts(&selected, act);
        if args.force {
            if !global.quiet {
                tell(&counts)?;
            }
        } else if !confirmed(&(counts + "Are you sure? [y/N]: "))? {
            return Err(Failure::new(Exit::Failure, "Aborted!"));
        }
    }
    let ids: Vec<String> = selected.into_iter().map(|letter| letter.id).collect();
    let done = client.block_on(async {
        let mut done = 0;
        for step in ids.chunks(STEP) {
            done += match act {
                Act::Requeue => letters.requeue(step).await?.len(),
                Act::Discard => letters.discard(step).await?,
            };
        }
        Ok(done)
    })?;
    let word = if act == Act::Requeue { "requeued" } else { "discarded" };
    if global.json {
        print_json(&json!({word: done, "left": ids.len() - done}))?;
    } else {
        print(&format!("{done} dead {} {word}.\n", plural(done)))?;
    }
    if act == Act::Requeue && done < ids.len() {
        tell(&format!(
            "{} stayed or are gone: what is no message, or whose queue is no queue, cannot go back (dlq show says which)\n",
            ids.len() - done
        ))?;
        return Ok(Exit::Partial);
    }
    Ok(Exit::Ok)
}

fn none(id: &str) -> Failure {
    Failure::new(Exit::Failure, format!("there is no dead letter {}", safe(id))).fix("dlq list shows those there are")
}

/// What is about to be acted on: how many letters of which task from which queue.
fn counts(selected: &[Selected], act: Act) -> String {
    let mut by: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for letter in selected {
        *by.entry((&letter.queue, letter.task.as_deref().unwrap_or("(no task)"))).or_default() += 1;
    }
    let what = if act == Act::Requeue { "Back to their queues" } else { "To be thrown away, for ever" };
    let mut text = format!("{what}: {} dead {}\n", selected.len(), plural(selected.len()));
    for ((queue, task), count) in by {
        let _ = writeln!(text, "  {count} from {}: {}", safe(queue), safe(task));
    }
    text
}

fn listed(found: &[Letter], total: usize) -> String {
    let mut text = String::new();
    for letter in found {
        let dead = &letter.dead;
        let _ = writeln!(
            text,
            "{}  {}  {}[{}]\n    {}\n    id: {}",
            dead.time.format("%Y-%m-%d %H:%M:%SZ"),
            safe(&dead.queue),
            safe(letter.task.as_deref().unwrap_or("(no task)")),
            safe(letter.task_id.as_deref().unwrap_or_default()),
            safe(&dead.letter.reason),
            safe(&dead.id)
        );
    }
    text + &format!("{} of {total} dead {}.\n", found.len(), plural(total))
}

fn whole(letter: &Letter) -> String {
    let dead = &letter.dead;
    let envelope = String::from_utf8_lossy(&dead.envelope);
    let deliveries = dead.letter.deliveries.to_string();
    let rows = [
        ("id", dead.id.as_str()),
        ("time", &dead.time.to_rfc3339()),
        ("queue", &dead.queue),
        ("task", letter.task.as_deref().unwrap_or("-")),
        ("task id", letter.task_id.as_deref().unwrap_or("-")),
        ("reason", &dead.letter.reason),
        ("deliveries", &deliveries),
        ("node", &dead.letter.nodename),
        ("message", &envelope),
    ];
    rows.into_iter().map(|(name, value)| format!("{name:<11} {}\n", safe(value))).collect()
}

fn shown(letter: &Letter, with_message: bool) -> Value {
    let dead = &letter.dead;
    let mut value = json!({
        "id": dead.id, "time": dead.time.to_rfc3339(), "queue": dead.queue, "task": letter.task, "task_id": letter.task_id,
        "reason": dead.letter.reason, "deliveries": dead.letter.deliveries, "node": dead.letter.nodename,
    });
    if with_message {
        value["message"] = String::from_utf8_lossy(&dead.envelope).into();
    }
    value
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "letter" } else { "letters" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(queue: &str, task: Option<&str>) -> Selected {
        Selected { id: "1".to_owned(), queue: queue.to_owned(), task: task.map(str::to_owned) }
    }

    #[test]
    fn what_is_acted_on_is_counted_by_queue_and_task() {
        let some = [selected("pages", Some("t.page")), selected("audio", None), selected("pages", Some("t.page"))];
        assert_eq!(
            counts(&some, Act::Requeue),
            "Back to their queues: 3 dead letters\n  1 from audio: (no task)\n  2 from pages: t.page\n"
        );
        assert!(counts(&some[..1], Act::Discard).starts_with("To be thrown away, for ever: 1 dead letter\n"));
    }
}

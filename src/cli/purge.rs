//! `purge` throws away what waits in queues, after it has shown how much that is.
//!
//! # Celery
//! `bin/purge.py`. Differences: the question shows how many messages there are in each queue; what waits for its time or for the turn of
//! a rate limit is thrown away with its queue; nobody is asked who is not there to answer: without a terminal it needs `-f`.

use std::fmt::Write as _;

use super::args::{GlobalArgs, PurgeArgs};
use super::client::Client;
use super::exit::{Exit, Failure};
use super::program::Program;
use super::terminal::{confirmed, print, stdin_is_terminal};
use super::worker;
use crate::broker::Depth;
use crate::protocol::{Map, Value, json};

pub(super) fn run(program: &Program, args: &PurgeArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let flags = [("celeriac.queues", &args.queues), ("celeriac.exclude_queues", &args.exclude_queues)];
    let flags = flags.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))).collect();
    let client = Client::open(program, global, flags)?;
    let queues = worker::queues(&client.loaded.settings, program.default_queues())?;
    if !args.force {
        if !stdin_is_terminal() {
            return Err(
                Failure::usage("purge asks before it throws away, and there is no terminal to ask on").fix("-f does it unasked")
            );
        }
        let depths = client.block_on(depths(&client, &queues))?;
        if !confirmed(&question(&depths))? {
            return Err(Failure::new(Exit::Failure, "Aborted!"));
        }
    }
    let removed = client.block_on(async {
        let mut removed = Vec::new();
        for queue in &queues {
            removed.push((queue.clone(), client.app.broker().purge(queue).await?));
        }
        Ok(removed)
    })?;
    if global.json {
        let queues: Map = removed.into_iter().map(|(queue, count)| (queue, count.into())).collect();
        print(&(json::write(&Value::Map(queues)) + "\n"))?;
    } else {
        print(&told(&removed))?;
    }
    Ok(Exit::Ok)
}

async fn depths(client: &Client<'_>, queues: &[String]) -> Result<Vec<(String, Depth)>, Failure> {
    let mut depths = Vec::new();
    for queue in queues {
        depths.push((queue.clone(), client.app.broker().depth(queue).await?));
    }
    Ok(depths)
}

fn question(depths: &[(String, Depth)]) -> String {
    let mut text = format!("WARNING: This will remove all tasks from {} {}:\n", depths.len(), plural(depths.len(), "queue"));
    for (queue, depth) in depths {
        let _ = write!(text, "  {queue}: {}", depth.total());
        let parts = [(depth.parked, "wait for their time"), (depth.limited, "wait for a rate limit")];
        let parts: Vec<String> =
            parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} of them {what}")).collect();
        text += &if parts.is_empty() { "\n".to_owned() } else { format!(" ({})\n", parts.join(", ")) };
    }
    text + "There is no undo for this operation! (to skip this prompt use the -f option)\n\
            Are you sure you want to delete all tasks? [y/N]: "
}

fn told(removed: &[(String, usize)]) -> String {
    let (queues, total) = (removed.len(), removed.iter().map(|(_, count)| count).sum::<usize>());
    let of = plural(queues, "queue");
    if total == 0 {
        return format!("No messages purged from {queues} {of}.\n");
    }
    format!("Purged {total} {} from {queues} known task {of}.\n", plural(total, "message"))
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_shows_what_would_be_lost() {
        let depths = [
            ("pages".to_owned(), Depth { waiting: 3, limited: 1, parked: 2 }),
            ("audio".to_owned(), Depth { waiting: 1, ..Depth::default() }),
        ];
        let text = question(&depths);
        assert!(
            text.contains("from 2 queues:\n  pages: 6 (2 of them wait for their time, 1 of them wait for a rate limit)\n"),
            "{text}"
        );
        assert!(text.contains("  audio: 1\nThere is no undo"), "{text}");
    }

    #[test]
    fn what_was_done_is_told_in_celerys_words() {
        assert_eq!(told(&[("q".into(), 4)]), "Purged 4 messages from 1 known task queue.\n");
        assert_eq!(told(&[("q".into(), 1), ("r".into(), 0)]), "Purged 1 message from 2 known task queues.\n");
        assert_eq!(told(&[("q".into(), 0)]), "No messages purged from 1 queue.\n");
    }
}

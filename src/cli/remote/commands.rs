//! The remote control commands and the arguments they take on a command line.
//!
//! # Celery
//! `Panel.meta` of `worker/control.py`. Differences: a command without an argument it needs is wrong usage, and `election` takes its
//! arguments.

use crate::cli::exit::Failure;
use crate::protocol::{Map, Value};

/// How an argument is read.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    Integer,
    Number,
    Switch,
}

use Kind::{Integer, Number, Switch, Text};

/// One command.
#[derive(Debug)]
pub(super) struct RemoteCommand {
    pub(super) name: &'static str,
    /// How its arguments are written.
    pub(super) signature: &'static str,
    pub(super) help: &'static str,
    takes: &'static [(&'static str, Kind)],
    /// How many of them must be there; with [`Self::rest`], one of those as well.
    required: usize,
    /// What takes all arguments that are left, and whether there must be one.
    rest: Option<(&'static str, bool)>,
}

const fn plain(name: &'static str, help: &'static str) -> RemoteCommand {
    RemoteCommand { name, signature: "", help, takes: &[], required: 0, rest: None }
}

/// What workers can be asked.
pub(super) const INSPECT: &[RemoteCommand] = &[
    plain("active", "List of tasks currently being executed."),
    plain("active_queues", "List the task queues a worker is currently consuming from."),
    plain("clock", "Get current logical clock value."),
    RemoteCommand {
        signature: "[include_defaults=False]",
        takes: &[("with_defaults", Switch)],
        ..plain("conf", "List configuration.")
    },
    RemoteCommand {
        signature: "[n_samples=10]",
        takes: &[("samples", Integer)],
        ..plain("memdump", "Dump statistics of previous memsample requests.")
    },
    plain("memsample", "Sample current RSS memory usage."),
    RemoteCommand {
        signature: "[object_type=Request] [num=200 [max_depth=10]]",
        takes: &[("type", Text), ("num", Integer), ("max_depth", Integer)],
        ..plain("objgraph", "Create graph of uncollected objects (Python workers only).")
    },
    plain("ping", "Ping worker(s)."),
    RemoteCommand {
        signature: "[id1 [id2 [... [idN]]]]",
        rest: Some(("ids", false)),
        ..plain("query_task", "Query for task information by id.")
    },
    RemoteCommand {
        signature: "[attr1 [attr2 [... [attrN]]]]",
        rest: Some(("taskinfoitems", false)),
        ..plain("registered", "List of registered tasks.")
    },
    plain("report", "Information about the installation for bug reports."),
    plain("reserved", "List of currently reserved tasks, not including scheduled/active."),
    plain("revoked", "List of revoked task-ids."),
    plain("scheduled", "List of currently scheduled ETA/countdown tasks."),
    plain("stats", "Request worker statistics/information."),
];

/// What workers can be told to do.
pub(super) const CONTROL: &[RemoteCommand] = &[
    RemoteCommand {
        signature: "<queue> [exchange [type [routing_key]]]",
        takes: &[("queue", Text), ("exchange", Text), ("exchange_type", Text), ("routing_key", Text)],
        required: 1,
        ..plain("add_consumer", "Tell worker(s) to consume from task queue by name.")
    },
    RemoteCommand {
        signature: "[max [min]]",
        takes: &[("max", Integer), ("min", Integer)],
        ..plain("autoscale", "Modify autoscale settings.")
    },
    RemoteCommand {
        signature: "<queue>",
        takes: &[("queue", Text)],
        required: 1,
        ..plain("cancel_consumer", "Tell worker(s) to stop consuming from task queue by name.")
    },
    plain("disable_events", "Tell worker(s) to stop sending task-related events."),
    RemoteCommand {
        signature: "<id> <topic> [action]",
        takes: &[("id", Text), ("topic", Text), ("action", Text)],
        required: 2,
        ..plain("election", "Hold election.")
    },
    plain("enable_events", "Tell worker(s) to send task-related events."),
    plain("heartbeat", "Tell worker(s) to send event heartbeat immediately."),
    RemoteCommand { signature: "[N=1]", takes: &[("n", Integer)], ..plain("pool_grow", "Grow pool by n processes/threads.") },
    plain("pool_restart", "Restart execution pool."),
    RemoteCommand { signature: "[N=1]", takes: &[("n", Integer)], ..plain("pool_shrink", "Shrink pool by n processes/threads.") },
    RemoteCommand {
        signature: "<task_name> <rate_limit (e.g., 5/s | 5/m | 5/h)>",
        takes: &[("task_name", Text), ("rate_limit", Text)],
        required: 2,
        ..plain("rate_limit", "Tell worker(s) to modify the rate limit for a task by type.")
    },
    RemoteCommand {
        signature: "<id1> [id2 [... [idN]]]",
        rest: Some(("task_id", true)),
        ..plain("revoke", "Revoke task by task id (or list of ids).")
    },
    RemoteCommand {
        signature: "<key1=value1> [key2=value2 [... [keyN=valueN]]]",
        rest: Some(("headers", true)),
        ..plain("revoke_by_stamped_headers", "Revoke task by header (or list of headers).")
    },
    plain("shutdown", "Shutdown worker(s)."),
    RemoteCommand {
        signature: "<signal> <id1> [id2 [... [idN]]]",
        takes: &[("signal", Text)],
        required: 1,
        rest: Some(("task_id", true)),
        ..plain("terminate", "Terminate task by task id (or list of ids).")
    },
    RemoteCommand {
        signature: "<task_name> <soft_secs> [hard_secs]",
        takes: &[("task_name", Text), ("soft", Number), ("hard", Number)],
        required: 2,
        ..plain("time_limit", "Tell worker(s) to modify the time limit for task by type.")
    },
];

impl RemoteCommand {
    /// The words behind the command as its keyword arguments.
    pub(super) fn arguments(&self, words: &[String]) -> Result<Map, Failure> {
        let (named, rest) = words.split_at(self.takes.len().min(words.len()));
        let missing = named.len() < self.required || self.rest.is_some_and(|(_, needed)| needed && rest.is_empty());
        if missing || (self.rest.is_none() && !rest.is_empty()) {
            let signature = if self.signature.is_empty() { "none" } else { self.signature };
            return Err(Failure::usage(format!("Command '{}' takes arguments: {signature}", self.name)));
        }
        let mut arguments = Map::default();
        for ((name, kind), word) in self.takes.iter().zip(named) {
            let value = kind.read(word).ok_or_else(|| {
                Failure::usage(format!("{}: {word:?} is no value for {name}", self.name))
                    .fix(format!("it takes: {}", self.signature))
            })?;
            arguments.insert((*name).to_owned(), value);
        }
        if let Some((name, _)) = self.rest {
            arguments.insert(name.to_owned(), rest.to_vec().into());
        }
        Ok(arguments)
    }
}

impl Kind {
    fn read(self, word: &str) -> Option<Value> {
        match self {
            Text => Some(word.into()),
            Integer => word.trim().parse::<i64>().ok().map(Value::Int),
            Number => word.trim().parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::Float),
            Switch => match word.to_lowercase().as_str() {
                "1" | "true" | "yes" | "on" => Some(true.into()),
                "0" | "false" | "no" | "off" => Some(false.into()),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::json;

    fn command(name: &str) -> &'static RemoteCommand {
        INSPECT.iter().chain(CONTROL).find(|command| command.name == name).unwrap()
    }

    fn words(line: &str) -> (&str, Vec<String>) {
        let mut words = line.split_whitespace();
        (words.next().unwrap(), words.map(str::to_owned).collect())
    }

    #[test]
    fn words_become_the_keyword_arguments_that_celery_sends() {
        for (line, sent) in [
            ("ping", "{}"),
            ("conf yes", r#"{"with_defaults": true}"#),
            ("query_task a b", r#"{"ids": ["a", "b"]}"#),
            ("registered", r#"{"taskinfoitems": []}"#),
            ("objgraph Request 10 2", r#"{"type": "Request", "num": 10, "max_depth": 2}"#),
            ("rate_limit tasks.add 10/m", r#"{"task_name": "tasks.add", "rate_limit": "10/m"}"#),
            ("time_limit tasks.add 60", r#"{"task_name": "tasks.add", "soft": 60.0}"#),
            ("time_limit tasks.add 60 120.5", r#"{"task_name": "tasks.add", "soft": 60.0, "hard": 120.5}"#),
            ("add_consumer q", r#"{"queue": "q"}"#),
            ("add_consumer q e topic k.#", r##"{"queue": "q", "exchange": "e", "exchange_type": "topic", "routing_key": "k.#"}"##),
            ("pool_grow", "{}"),
            ("pool_grow 2", r#"{"n": 2}"#),
            ("autoscale 10 3", r#"{"max": 10, "min": 3}"#),
            ("revoke a b", r#"{"task_id": ["a", "b"]}"#),
            ("terminate KILL a", r#"{"signal": "KILL", "task_id": ["a"]}"#),
            ("revoke_by_stamped_headers k=v", r#"{"headers": ["k=v"]}"#),
        ] {
            let (name, words) = words(line);
            let arguments = command(name).arguments(&words).unwrap();
            assert_eq!(json::write(&Value::Map(arguments)), sent, "{line}");
        }
    }

    #[test]
    fn too_few_too_many_and_unfit_arguments_are_wrong_usage() {
        for line in [
            "ping now",
            "rate_limit a",
            "rate_limit a b c",
            "pool_grow many",
            "revoke",
            "terminate KILL",
            "terminate",
            "cancel_consumer",
            "conf maybe",
            "time_limit a b",
            "time_limit a inf",
        ] {
            let (name, words) = words(line);
            let refused = command(name).arguments(&words).unwrap_err();
            assert_eq!(refused.exit, crate::cli::exit::Exit::Usage, "{line}");
        }
    }

    #[test]
    fn commands_are_listed_by_name() {
        for commands in [INSPECT, CONTROL] {
            assert!(commands.is_sorted_by_key(|command| command.name));
        }
    }
}

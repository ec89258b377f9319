//! Replies as Celery shows them to a person.
//!
//! # Celery
//! `bin/base.py: pretty` and `say_chat`. Difference: JSON is not coloured.

use crate::protocol::{Map, Value, json, repr};

/// How replies are shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Show {
    pub(super) color: bool,
    pub(super) quiet: bool,
}

const BOLD: &str = "\x1b[1m";

impl Show {
    /// The reply of one node: `->  celery@host: OK`, and under it what it said.
    pub(super) fn reply(self, node: &str, reply: &Value, body: bool) -> String {
        let (well, said) = self.pretty(reply);
        let arrow = if self.quiet { String::new() } else { self.style("->", "\x1b[37m", BOLD) + " " };
        let node = self.style(&format!("{node}: "), "\x1b[36m", BOLD);
        let status = if well { self.style("OK", "\x1b[32m", BOLD) } else { self.style("ERROR", "\x1b[31m", BOLD) };
        let mut text = format!("{arrow} {node}{status}\n");
        if body && !said.is_empty() {
            text.push_str(&indented(&said, 4));
            text.push('\n');
        }
        text
    }

    fn style(self, text: &str, color: &str, bold: &str) -> String {
        if self.color { format!("{color}{bold}{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Whether it went well, and the text.
    fn pretty(self, value: &Value) -> (bool, String) {
        match value {
            Value::List(items) if items.is_empty() => (true, "- empty -".to_owned()),
            Value::List(items) => {
                let star = self.style("*", "\x1b[37m", "");
                let lines: Vec<String> = items.iter().map(|item| format!("{star} {}", repr::display(item))).collect();
                (true, lines.join("\n"))
            }
            Value::Map(map) => match (map.get("ok"), map.get("error")) {
                (Some(said), _) => (true, indented(&self.pretty(said).1, 4)),
                (None, Some(said)) => (false, indented(&self.pretty(said).1, 4)),
                (None, None) => (true, tree(map)),
            },
            other => (true, repr::display(other)),
        }
    }
}

/// How many nodes answered.
pub(super) fn online(count: usize) -> String {
    format!("\n{count} {} online.\n", if count == 1 { "node" } else { "nodes" })
}

fn indented(text: &str, by: usize) -> String {
    let space = " ".repeat(by);
    text.split('\n').map(|line| format!("{space}{line}")).collect::<Vec<_>>().join("\n")
}

/// As `json.dumps(…, sort_keys=True, indent=4)`.
fn tree(map: &Map) -> String {
    let mut out = String::new();
    branch(&mut out, &Value::Map(map.clone()), 0);
    out
}

fn branch(out: &mut String, value: &Value, level: usize) {
    let (open, close, members): (char, char, Vec<(String, &Value)>) = match value {
        Value::Map(map) if !map.is_empty() => {
            let mut members: Vec<(&String, &Value)> = map.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            let key = |key: &String| json::write(&Value::from(key.as_str())) + ": ";
            ('{', '}', members.into_iter().map(|(name, value)| (key(name), value)).collect())
        }
        Value::List(items) if !items.is_empty() => ('[', ']', items.iter().map(|item| (String::new(), item)).collect()),
        other => return out.push_str(&json::write(other)),
    };
    let space = |out: &mut String, level: usize| out.push_str(&" ".repeat(4 * level));
    out.push(open);
    for (place, (key, member)) in members.into_iter().enumerate() {
        out.push_str(if place == 0 { "\n" } else { ",\n" });
        space(out, level + 1);
        out.push_str(&key);
        branch(out, member, level + 1);
    }
    out.push('\n');
    space(out, level);
    out.push(close);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Show = Show { color: false, quiet: false };

    fn shown(reply: &str) -> String {
        PLAIN.reply("w@h", &json::parse(reply.as_bytes()).unwrap(), true)
    }

    #[test]
    fn a_reply_looks_as_celerys() {
        assert_eq!(shown(r#"{"ok": "new rate limit set successfully"}"#), "->  w@h: OK\n        new rate limit set successfully\n");
        assert_eq!(shown(r#"{"error": "unknown task"}"#), "->  w@h: ERROR\n        unknown task\n");
        assert_eq!(shown("[]"), "->  w@h: OK\n    - empty -\n");
        assert_eq!(shown(r#"["a", {"b": [null, 1.5]}]"#), "->  w@h: OK\n    * a\n    * {'b': [None, 1.5]}\n");
        assert_eq!(
            shown(r#"{"z": 1, "a": {"list": [1, "é"], "none": {}}}"#),
            "->  w@h: OK\n    {\n        \"a\": {\n            \"list\": [\n                1,\n                \"\\u00e9\"\n            ],\n            \"none\": {}\n        },\n        \"z\": 1\n    }\n"
        );
        assert_eq!(shown("null"), "->  w@h: OK\n    None\n");
        assert_eq!(shown(r#""61.0MB""#), "->  w@h: OK\n    61.0MB\n");
    }

    #[test]
    fn quiet_leaves_the_arrow_out_and_status_the_body() {
        let quiet = Show { color: false, quiet: true };
        let pong = json::parse(br#"{"ok": "pong"}"#).unwrap();
        assert_eq!(quiet.reply("w@h", &pong, false), " w@h: OK\n");
        assert_eq!(online(1) + &online(2), "\n1 node online.\n\n2 nodes online.\n");
    }
}

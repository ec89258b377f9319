//! How much a reply may hold: it goes through Redis, into the memory of who asked, and on his screen.
//!
//! # Celery
//! Has no such bound: `inspect scheduled` of many tasks with large arguments is as large as these together.

use super::nok;
use crate::canvas::limits::size;
use crate::protocol::value::Value;

/// How many bytes the entries of one list may have together, about; then it is cut.
pub(super) const LIST: u64 = 1 << 20;
/// How many the arguments of one task may have; larger ones are shown as text, cut short.
pub(super) const ARGUMENTS: u64 = 4096;
/// How many a whole reply may have.
const REPLY: u64 = 16 << 20;

/// As many entries as fit; where some do not, the last is what `more` makes of `... 17 more`.
pub(super) fn list(entries: impl ExactSizeIterator<Item = Value>, more: impl FnOnce(&str) -> Value) -> Value {
    let (count, mut bytes, mut shown) = (entries.len(), 0, Vec::new());
    for entry in entries {
        bytes += size(&entry);
        if bytes > LIST && !shown.is_empty() {
            let left = count - shown.len();
            shown.push(more(&format!("... {left} more")));
            break;
        }
        shown.push(entry);
    }
    Value::List(shown)
}

/// A reply as it may be sent.
pub(super) fn reply(method: &str, value: Value) -> Value {
    match size(&value) {
        bytes if bytes > REPLY => {
            nok(format!("the reply to {method} has about {bytes} bytes; at most {REPLY} are sent: ask for less at once"))
        }
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_too_long_ends_in_how_much_is_missing() {
        let entries = |count: usize| (0..count).map(|_| Value::from("x".repeat(1 << 18))).collect::<Vec<_>>().into_iter();
        let shown = |count: usize| list(entries(count), |more| more.into()).as_list().unwrap().to_vec();
        assert_eq!(shown(3).len(), 3);
        assert_eq!((shown(9).len(), shown(9).pop().unwrap()), (4, "... 6 more".into()));
        let one = vec![Value::from("x".repeat(2 << 20))];
        assert_eq!(list(one.clone().into_iter(), |more| more.into()), Value::List(one), "nobody asks for nothing");
    }

    #[test]
    fn a_reply_that_is_too_large_is_an_error_that_says_so() {
        assert_eq!(reply("ping", "pong".into()), "pong".into());
        let refused = reply("mine", "x".repeat(17 << 20).into());
        let words = refused.get("error").and_then(Value::as_str).unwrap().to_owned();
        assert!(words.contains("the reply to mine has about 1782") && words.contains("ask for less"), "{words}");
    }
}

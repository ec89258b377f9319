//! The keyword arguments of a remote control command, and Python's words where one is missing.
//!
//! # Celery
//! The signatures of the functions in `worker/control.py`. Arguments that a command does not know are ignored, and numbers and texts are
//! read leniently, as Flower sends them.

use std::time::Duration;

use crate::protocol::exception::Exception;
use crate::protocol::value::{Map, Value};

/// The arguments of one call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arguments<'a> {
    pub(super) method: &'a str,
    pub(super) map: &'a Map,
}

impl<'a> Arguments<'a> {
    /// The arguments that must be there.
    pub(super) fn required<const N: usize>(&self, names: [&str; N]) -> Result<[&'a Value; N], Exception> {
        let missing: Vec<String> =
            names.iter().filter(|name| !self.map.contains_key(**name)).map(|name| format!("'{name}'")).collect();
        match missing.as_slice() {
            [] => Ok(names.map(|name| self.map.get(name).unwrap_or(&Value::Null))),
            [one] => Err(self.is_missing(1, one)),
            [first @ .., last] => {
                let comma = if first.len() > 1 { "," } else { "" };
                Err(self.is_missing(missing.len(), &format!("{}{comma} and {last}", first.join(", "))))
            }
        }
    }

    fn is_missing(&self, count: usize, names: &str) -> Exception {
        let plural = if count == 1 { "" } else { "s" };
        Exception::type_error(format!("{}() missing {count} required positional argument{plural}: {names}", self.method))
    }

    /// An argument that may be left out or be null.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// A text that may be left out.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(Value::as_str)
    }

    /// Whether it is there and true.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(Value::is_truthy)
    }

    /// A whole number, or what stands for it where it is left out.
    pub(super) fn count(&self, name: &str, default: usize) -> usize {
        let number = |value: &Value| value.as_i64().or_else(|| value.as_str()?.trim().parse().ok());
        self.get(name).and_then(number).and_then(|number| usize::try_from(number).ok()).unwrap_or(default)
    }

    /// Seconds; none where it is left out, null or no time.
    pub(super) fn seconds(&self, name: &str) -> Option<Duration> {
        let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
        self.get(name).and_then(number).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_as_python_says_it() {
        let map = Map::from_iter([("b".to_owned(), Value::Null)]);
        let arguments = Arguments { method: "f", map: &map };
        assert!(arguments.required(["b"]).is_ok());
        for (names, words) in [
            (["a", "b"], "f() missing 1 required positional argument: 'a'"),
            (["a", "c"], "f() missing 2 required positional arguments: 'a' and 'c'"),
        ] {
            assert_eq!(arguments.required(names).unwrap_err().message(), words);
        }
        let three = arguments.required(["x", "y", "z"]).unwrap_err();
        assert_eq!(three.message(), "f() missing 3 required positional arguments: 'x', 'y', and 'z'");
    }

    #[test]
    fn numbers_are_read_from_texts_too() {
        let map = Map::from_iter([("n".to_owned(), Value::from("3")), ("s".to_owned(), Value::from(1.5))]);
        let arguments = Arguments { method: "f", map: &map };
        assert_eq!((arguments.count("n", 1), arguments.count("m", 1)), (3, 1));
        assert_eq!(arguments.seconds("s"), Some(Duration::from_millis(1500)));
    }
}

//! What a broker must know of an envelope: that it is one, its priority, and where the redelivered marks go.
//!
//! Only the members that change are touched, every other byte of the text stays as its producer wrote it: big integers, `NaN` and
//! unknown fields survive a redelivery.
//!
//! # Celery
//! kombu's `_do_restore_message`. Differences: it re-serializes the whole envelope, and counts nothing; we add `x-delivery-count`.

use std::borrow::Cow;

use jiter::{Jiter, Peek};

use crate::protocol::envelope::{DELIVERY_COUNT, REDELIVERED, RUN_ALONE, TURN};

/// True if the text is one JSON object and nothing after it, nested no deeper than an [`entry`] of it can be read again.
pub(crate) fn is_envelope(text: &[u8]) -> bool {
    let mut json = Jiter::new(text).with_allow_inf_nan();
    json.peek().is_ok_and(|first| first == Peek::Object && json.known_skip(first).is_ok()) && json.finish().is_ok()
}

/// The number in `properties.priority`; whatever is missing or no number counts as 0.
pub(crate) fn priority(envelope: &[u8]) -> i64 {
    let found = || Object::parse(envelope)?.object("properties")?.number("priority");
    found().unwrap_or(0)
}

/// The envelope with its redelivered marks, and with its count of deliveries one higher if `raise_count`. Text that is no envelope
/// stays as it is.
pub(crate) fn redelivered(envelope: &[u8], raise_count: bool) -> Vec<u8> {
    marked(envelope, raise_count, false).unwrap_or_else(|| envelope.to_vec())
}

/// The same for one that was run and goes to the tail of its queue: it has had its turn, and what its process died of was its own run.
pub(crate) fn requeued(envelope: &[u8], raise_count: bool) -> Vec<u8> {
    marked(envelope, raise_count, true).unwrap_or_else(|| envelope.to_vec())
}

/// The envelope with the mark that a turn is given to it when it goes on.
pub(crate) fn with_turn(envelope: &[u8]) -> Vec<u8> {
    with_headers(envelope, |headers| headers.set(TURN, b"true".to_vec()))
}

/// The envelope with the mark that it runs alone from now on.
pub(crate) fn running_alone(envelope: &[u8]) -> Vec<u8> {
    with_headers(envelope, |headers| headers.set(RUN_ALONE, headers.count().to_string().into_bytes()))
}

/// The envelope with other headers; text that is no envelope stays as it is.
fn with_headers(envelope: &[u8], change: impl FnOnce(&mut Object<'_>)) -> Vec<u8> {
    let changed = || {
        let mut whole = Object::parse(envelope)?;
        let mut headers = whole.object("headers").unwrap_or_default();
        change(&mut headers);
        let headers = headers.to_text();
        whole.set("headers", headers);
        Some(whole.to_text())
    };
    changed().unwrap_or_else(|| envelope.to_vec())
}

/// The envelope as if it were new: without the redelivered marks, and with no delivery, retry or turn counted. `None`: it is none.
pub(crate) fn renewed(envelope: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Object::parse(envelope)?;
    if let Some(mut headers) = whole.object("headers") {
        [DELIVERY_COUNT, RUN_ALONE, TURN, REDELIVERED].into_iter().for_each(|name| headers.remove(name));
        if headers.get("retries").is_some() {
            headers.set("retries", b"0".to_vec());
        }
        let headers = headers.to_text();
        whole.set("headers", headers);
    }
    if let Some(mut properties) = whole.object("properties") {
        if let Some(mut info) = properties.object("delivery_info") {
            info.remove(REDELIVERED);
            let info = info.to_text();
            properties.set("delivery_info", info);
        }
        let properties = properties.to_text();
        whole.set("properties", properties);
    }
    Some(whole.to_text())
}

fn marked(envelope: &[u8], raise_count: bool, was_run: bool) -> Option<Vec<u8>> {
    let mut whole = Object::parse(envelope)?;
    let mut headers = whole.object("headers").unwrap_or_default();
    headers.set(REDELIVERED, b"true".to_vec());
    if was_run {
        headers.remove(TURN);
    }
    if raise_count {
        let count = headers.count();
        if was_run {
            headers.set(RUN_ALONE, count.to_string().into_bytes());
        }
        headers.set(DELIVERY_COUNT, count.saturating_add(1).to_string().into_bytes());
    } else {
        headers.remove(RUN_ALONE);
    }
    let headers = headers.to_text();
    if let Some(mut properties) = whole.object("properties") {
        if let Some(mut info) = properties.object("delivery_info") {
            info.set(REDELIVERED, b"true".to_vec());
            let info = info.to_text();
            properties.set("delivery_info", info);
        }
        let properties = properties.to_text();
        whole.set("properties", properties);
    }
    whole.set("headers", headers);
    Some(whole.to_text())
}

/// The parts of kombu's `[envelope, exchange, routing_key]`, as it lies in `unacked`. These three and nothing after them: our fetch splices
/// what lay in the queue, and text that is no JSON could else say where it is to go.
pub(crate) fn entry(text: &[u8]) -> Option<Entry> {
    let mut json = Jiter::new(text).with_allow_inf_nan();
    let first = json.next_array().ok()??;
    let start = json.current_index();
    json.known_skip(first).ok()?;
    let envelope = json.slice_to_current(start).to_vec();
    let mut text = || (json.array_step().ok()?? == Peek::String).then(|| json.known_str().map(str::to_owned).ok())?;
    let (exchange, routing_key) = (text()?, text()?);
    if json.array_step().ok()?.is_some() || json.finish().is_err() {
        return None;
    }
    Some(Entry { envelope, exchange, routing_key })
}

/// The parts of an entry whose message is no JSON: what our fetch put around it is taken off again.
pub(crate) fn torn_entry(text: &[u8]) -> Entry {
    let text = text.strip_prefix(b"[").unwrap_or(text);
    let middle = br#", "", ""#;
    let split = (0..text.len()).rev().find(|at| text[*at..].starts_with(middle));
    let queue = split.and_then(|at| serde_json::from_slice(text[at + middle.len() - 1..].strip_suffix(b"]")?).ok());
    match (split, queue) {
        (Some(at), Some(queue)) => Entry { envelope: text[..at].to_vec(), exchange: String::new(), routing_key: queue },
        _ => Entry { envelope: text.to_vec(), exchange: String::new(), routing_key: String::new() },
    }
}

/// One value of `unacked`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The envelope's text.
    pub(crate) envelope: Vec<u8>,
    /// Empty for a message that goes straight to a queue.
    pub(crate) exchange: String,
    /// The queue, if the exchange is empty.
    pub(crate) routing_key: String,
}

/// A JSON object whose values stay text.
#[derive(Debug, Default)]
struct Object<'a>(Vec<(String, Cow<'a, [u8]>)>);

impl<'a> Object<'a> {
    fn parse(text: &'a [u8]) -> Option<Self> {
        let mut json = Jiter::new(text).with_allow_inf_nan();
        let mut members = Vec::new();
        let mut key = json.next_object().ok()?.map(str::to_owned);
        while let Some(name) = key {
            let first: Peek = json.peek().ok()?;
            let start = json.current_index();
            json.known_skip(first).ok()?;
            members.push((name, Cow::Borrowed(json.slice_to_current(start))));
            key = json.next_key().ok()?.map(str::to_owned);
        }
        json.finish().ok()?;
        Some(Self(members))
    }

    fn get(&self, key: &str) -> Option<&[u8]> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_ref())
    }

    fn object(&self, key: &str) -> Option<Object<'static>> {
        let inner = Object::parse(self.get(key)?)?;
        Some(Object(inner.0.into_iter().map(|(name, value)| (name, Cow::Owned(value.into_owned()))).collect()))
    }

    /// A number, or a text that is one, cut to its whole part as Python's `int` does.
    fn number(&self, key: &str) -> Option<i64> {
        let text = std::str::from_utf8(self.get(key)?).ok()?.trim_matches('"').trim();
        text.parse().ok().or_else(|| text.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| number as i64))
    }

    /// The deliveries that headers count.
    fn count(&self) -> i64 {
        self.number(DELIVERY_COUNT).unwrap_or(0).max(0)
    }

    fn set(&mut self, key: &str, value: Vec<u8>) {
        match self.0.iter_mut().rev().find(|(name, _)| name == key) {
            Some((_, old)) => *old = Cow::Owned(value),
            None => self.0.push((key.to_owned(), Cow::Owned(value))),
        }
    }

    fn remove(&mut self, key: &str) {
        self.0.retain(|(name, _)| name != key);
    }

    fn to_text(&self) -> Vec<u8> {
        let mut text = vec![b'{'];
        for (index, (name, value)) in self.0.iter().enumerate() {
            if index > 0 {
                text.extend_from_slice(b", ");
            }
            text.extend_from_slice(serde_json::Value::from(name.as_str()).to_string().as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value);
        }
        text.push(b'}');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENVELOPE: &str = r#"{"body": "W10=", "x": [NaN, 123456789012345678901234567890], "headers": {"id": "1", "n": -Infinity},
        "properties": {"priority": 3, "delivery_info": {"exchange": "", "routing_key": "q"}, "delivery_tag": "t"}}"#;

    fn again(text: &str, raise: bool) -> String {
        String::from_utf8(redelivered(text.as_bytes(), raise)).unwrap()
    }

    #[test]
    fn the_marks_are_set_and_nothing_else_changes() {
        assert_eq!(
            again(ENVELOPE, true),
            concat!(
                r#"{"body": "W10=", "x": [NaN, 123456789012345678901234567890], "#,
                r#""headers": {"id": "1", "n": -Infinity, "redelivered": true, "x-delivery-count": 1}, "#,
                r#""properties": {"priority": 3, "delivery_info": {"exchange": "", "routing_key": "q", "redelivered": true}, "#,
                r#""delivery_tag": "t"}}"#
            )
        );
    }

    #[test]
    fn the_count_goes_up_by_one_each_time_and_only_when_asked() {
        let twice = again(&again(ENVELOPE, true), true);
        assert!(twice.contains(r#""x-delivery-count": 2"#), "{twice}");
        assert!(again(&twice, false).contains(r#""x-delivery-count": 2"#));
        assert!(!again(ENVELOPE, false).contains("x-delivery-count"));
    }

    #[test]
    fn a_renewed_envelope_is_the_one_that_was_sent() {
        let sent = String::from_utf8(renewed(ENVELOPE.as_bytes()).unwrap()).unwrap();
        assert!(!sent.contains("redelivered") && sent.contains("123456789012345678901234567890"), "{sent}");
        let again = running_alone(&with_turn(again(&again(&sent, true), true).as_bytes()));
        assert_eq!(String::from_utf8(renewed(&again).unwrap()).unwrap(), sent);
        let retried = renewed(br#"{"headers": {"retries": 3, "id": "1"}}"#).unwrap();
        assert_eq!(String::from_utf8(retried).unwrap(), r#"{"headers": {"retries": 0, "id": "1"}}"#);
        assert_eq!(renewed(b"[1]"), None);
    }

    #[test]
    fn a_run_alone_is_marked_with_the_deaths_before_it_until_the_message_goes_back_alive() {
        let alone = String::from_utf8(running_alone(again(ENVELOPE, true).as_bytes())).unwrap();
        assert!(alone.contains(r#""x-delivery-count": 1, "x-run-alone": 1"#), "{alone}");
        assert!(again(&alone, true).contains(r#""x-delivery-count": 2, "x-run-alone": 1"#), "it died in that run");
        assert!(!again(&alone, false).contains("x-run-alone"));
        let its_child_died = String::from_utf8(requeued(ENVELOPE.as_bytes(), true)).unwrap();
        assert!(its_child_died.contains(r#""x-run-alone": 0, "x-delivery-count": 1"#), "{its_child_died}");
    }

    #[test]
    fn an_envelope_without_headers_or_properties_gets_headers_only() {
        assert_eq!(again(r#"{"body": 1}"#, false), r#"{"body": 1, "headers": {"redelivered": true}}"#);
        assert_eq!(again(r#"{"headers": null}"#, true), r#"{"headers": {"redelivered": true, "x-delivery-count": 1}}"#);
    }

    #[test]
    fn only_one_whole_json_object_is_an_envelope() {
        for text in ["", "nonsense", "[1]", "null", "{\"a\": 1", "{\"a\": 1} {}", "\u{0}", "{'a': 1}"] {
            assert!(!is_envelope(text.as_bytes()), "{text}");
        }
        for text in ["{}", ENVELOPE, " {\"a\": {\"b\": []}} "] {
            assert!(is_envelope(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_priority_is_read_as_python_does_and_everything_else_counts_as_none() {
        for (text, expected) in
            [("3", 3), ("\"7\"", 7), ("4.9", 4), ("-2", -2), ("null", 0), ("\"high\"", 0), ("NaN", 0), ("[]", 0)]
        {
            assert_eq!(priority(format!(r#"{{"properties": {{"priority": {text}}}}}"#).as_bytes()), expected, "{text}");
        }
        assert_eq!(priority(b"{}"), 0);
    }

    #[test]
    fn an_entry_of_unacked_comes_apart() {
        let text = format!("[{ENVELOPE}, \"\", \"a \\u00e9\"]");
        let found = entry(text.as_bytes()).unwrap();
        assert_eq!(found.envelope, ENVELOPE.as_bytes());
        assert_eq!((found.exchange.as_str(), found.routing_key.as_str()), ("", "a é"));
        assert_eq!(torn_entry(br#"[no "json, "", "q"]"#).envelope, br#"no "json"#);
        assert_eq!(torn_entry(br#"[no json, "", "q\"x"]"#).routing_key, "q\"x");
        assert_eq!(torn_entry(b"[nothing").envelope, b"nothing");
        assert_eq!(entry(b"{}"), None);
        assert_eq!(entry(b"[1]"), None);
        for text in [r#"[{}, "", "q", 1]"#, r#"[{}, "", "x"], [1, "", "q"]"#, r#"[{}, 1, "q"]"#, r#"[{}, "", null]"#] {
            assert_eq!(entry(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_is_an_envelope_is_one_within_its_entry_too() {
        for depth in [100, 198, 199, 200, 201, 250] {
            let text = format!(r#"{{"a": {}1{}}}"#, "[".repeat(depth), "]".repeat(depth));
            assert_eq!(is_envelope(text.as_bytes()), entry(format!(r#"[{text}, "", "q"]"#).as_bytes()).is_some(), "{depth}");
        }
    }
}

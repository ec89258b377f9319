//! A value of the hash `unacked`: what our fetch put around a queue's element is taken off again, whatever the element says.

use super::broker_envelope::{Entry, entry, is_envelope, torn_entry};

/// Bytes as an element of a queue, and as a value somebody else wrote.
pub fn check(data: &[u8]) {
    as_fetched(data, "q");
    as_fetched(data, "a \"queue\", \u{e9}");
    match entry(data) {
        Some(found) => {
            let text = [b"[", found.envelope.as_slice(), b", ", &quoted(&found.exchange), b", ", &quoted(&found.routing_key), b"]"];
            assert_eq!(entry(&text.concat()), Some(found), "an entry is three values and nothing more");
        }
        None => drop(torn_entry(data)),
    }
}

/// `[<element>, "", "<queue>"]`: the script splices, it does not parse.
fn as_fetched(element: &[u8], queue: &str) {
    let text = [b"[", element, b", \"\", ", &quoted(queue), b"]"].concat();
    let found = entry(&text).unwrap_or_else(|| torn_entry(&text));
    if is_envelope(element) {
        assert!(entry(&text).is_some(), "a whole message is put back as it came");
    }
    let trimmed = |text: &[u8]| text.trim_ascii().to_vec();
    let expected = Entry { envelope: trimmed(element), exchange: String::new(), routing_key: queue.to_owned() };
    let found = Entry { envelope: trimmed(&found.envelope), ..found };
    assert_eq!(found, expected, "no element can say that it came from elsewhere");
}

fn quoted(text: &str) -> Vec<u8> {
    serde_json::Value::from(text).to_string().into_bytes()
}

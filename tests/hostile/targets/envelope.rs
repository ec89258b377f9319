//! An element of a queue's list: read, written, marked as redelivered.

use celeriac::protocol::{Envelope, Map};

use super::broker_envelope as broker;

/// What a redelivery changes, and nothing else.
fn without_marks(mut envelope: Envelope) -> Envelope {
    let unmarked = |map: &mut Map| drop(map.shift_remove("redelivered"));
    unmarked(&mut envelope.headers);
    envelope.headers.shift_remove("x-delivery-count");
    if let Some(info) = envelope.properties.get_mut("delivery_info").and_then(|info| info.as_map_mut()) {
        unmarked(info);
    }
    envelope
}

/// Bytes as they lie in a queue.
pub fn check(data: &[u8]) {
    let whole = broker::is_envelope(data);
    let (kept, raised) = (broker::redelivered(data, false), broker::redelivered(data, true));
    if !whole {
        assert_eq!(kept, data, "what is no envelope stays as it is");
    }
    assert_eq!(broker::priority(&raised), broker::priority(data), "a redelivery keeps the priority");
    assert_eq!(broker::is_envelope(&raised), whole);
    assert_eq!(broker::redelivered(&kept, false), kept, "a second mark changes nothing");
    let Ok(envelope) = Envelope::parse(data) else { return };
    let again = Envelope::parse(envelope.write().as_bytes()).expect("what was written is read");
    assert_eq!(again, envelope);
    assert_eq!(again.extra, envelope.extra, "unknown fields are kept");
    if !whole {
        return;
    }
    let count = envelope.delivery_count();
    let raised = Envelope::parse(&raised).expect("what is marked is read");
    assert!(raised.redelivered() && raised.delivery_count() >= count.saturating_add(1));
    assert_eq!(without_marks(raised), without_marks(envelope.clone()), "only the marks are new");
    // What decoding would do with each of its parts.
    let _ = (envelope.priority(), envelope.delivery_info(), envelope.body_bytes(), envelope.task_name(), envelope.delivery_tag());
}

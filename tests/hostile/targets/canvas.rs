//! Signatures and what applying them comes to: everything a worker does with the body of a message, without a worker.

use celeriac::canvas::{self, Applied, ChordFailure, Ids, Plan, Retry};
use celeriac::protocol::{DecodeOptions, Envelope, Message, Serializer, Signature, Timestamp, Value, json};
use chrono::{DateTime, Utc};

/// The most that what a small input comes to may weigh: it grows with the input, but not without end.
const MOST_BYTES: usize = 64 << 20;

fn now() -> DateTime<Utc> {
    Timestamp::parse("2026-11-22T00:00:00+00:00").expect("a time").moment()
}

/// A signature, or the list of three that is a message's body.
pub fn check(data: &[u8]) {
    let Ok(value) = json::parse(data) else { return };
    let mut count = 0u64;
    let mut ids = || {
        count += 1;
        format!("00000000-0000-4000-8000-{count:012x}")
    };
    if let Value::Map(_) = &value {
        if let Ok(signature) = Signature::from_value(value) {
            check_signature(signature, &mut ids);
        }
        return;
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut envelope = Envelope { body: text.to_owned(), content_type: Some("application/json".to_owned()), ..Envelope::default() };
    for (name, value) in [("task", "t"), ("id", "1"), ("group", "g")] {
        envelope.headers.insert(name.to_owned(), value.into());
    }
    if let Ok(message) = Message::decode(envelope.clone(), &DecodeOptions::default()) {
        check_message(&message, &mut ids);
    }
}

fn check_signature(signature: Signature, ids: Ids<'_>) {
    assert_eq!(Signature::from_value(signature.to_value()).as_ref(), Ok(&signature));
    if let Ok(plan) = canvas::apply(signature.clone(), &Applied::at(now()), ids) {
        check_plan(&plan);
    }
    let mut frozen = signature.clone();
    if let Ok(result) = canvas::freeze(&mut frozen, ids) {
        let (mut again, count) = (frozen.clone(), result.clone());
        assert_eq!(canvas::freeze(&mut again, ids).ok(), Some(count), "a frozen canvas keeps its ids");
    }
    let replaced = canvas::replace(&Message::new("t", "1"), signature.clone(), &Applied::at(now()), ids);
    if let Ok(plan) = replaced {
        check_plan(&plan);
    }
    let failure = ChordFailure::join("it is so");
    if let Ok(end) = canvas::chord_failure(&signature, &failure) {
        assert!(end.failed.parts.len() <= end.failed.tasks.len());
        for told in end.told {
            canvas::errbacks(&told.errbacks, &told.task_id, &Applied::at(now()), ids).iter().for_each(check_plan);
        }
    }
    let mut part = Message::new("t", "1");
    (part.headers.group, part.embed.chord) = (Some("g".to_owned()), Some(Box::new(Signature::new("body"))));
    canvas::chord_member(&part, signature.clone(), &Applied::at(now()), ids).iter().for_each(check_plan);
    if let Ok(plan) = canvas::chord_body(signature, vec![1.into()], &Applied::at(now()), ids) {
        check_plan(&plan);
    }
}

fn check_message(message: &Message, ids: Ids<'_>) {
    let applied = Applied::within(message, now());
    let value = Value::from("value");
    let errbacks = message.embed.errbacks.clone().unwrap_or_default();
    let by = Signature::new("by").arg(1);
    let plans = [
        canvas::callbacks(message, &value, &applied, ids),
        canvas::next_in_chain(message, &value, &applied, ids).map(Option::unwrap_or_default),
        canvas::errbacks(&errbacks, "1", &applied, ids),
        canvas::replace(message, by.clone(), &applied, ids),
        canvas::replace(message, canvas::group([by.clone(), by]), &applied, ids),
    ];
    plans.iter().flatten().for_each(check_plan);
    let _ = canvas::propagate(message);
    if let Some(part) = canvas::part_of(message) {
        check_signature(part.body, ids);
    }
    let again = canvas::retry(message, Retry::default());
    let envelope = again.envelope("q", "tag", Serializer::Json).expect("JSON says everything");
    assert!(Message::decode(envelope.clone(), &DecodeOptions::default()).is_ok());
}

/// A plan is carried out by writing each of its messages: each must be one that a worker reads.
fn check_plan(plan: &Plan) {
    let mut bytes = 0;
    for publish in &plan.messages {
        let Ok(envelope) = publish.envelope("q", "tag", Serializer::Json) else { continue };
        let text = envelope.write();
        bytes += text.len();
        assert!(bytes <= MOST_BYTES, "{} messages of {bytes} bytes", plan.messages.len());
        let accept = vec![Serializer::Json, Serializer::Msgpack];
        let options = DecodeOptions { accept, ..DecodeOptions::default() };
        let read = Envelope::parse(text.as_bytes()).expect("an envelope");
        let again = Message::decode(read.clone(), &options).expect("a message that was planned is read");
        assert_eq!(again.headers.id, publish.message.headers.id);
    }
    let _ = (plan.result.to_value(), plan.clone());
}

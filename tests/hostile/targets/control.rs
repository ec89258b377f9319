//! A remote control request, and the events of a message.

use celeriac::protocol::event::{Event, Stamp};
use celeriac::protocol::pidbox::Request;
use celeriac::protocol::{DecodeOptions, Envelope, Message, Serializer, Timestamp, Value, json};

fn options() -> DecodeOptions {
    DecodeOptions { accept: vec![Serializer::Json, Serializer::Msgpack], max_body_bytes: 1 << 20 }
}

/// Bytes as they come from a fanout, or as an element of a queue.
pub fn check(data: &[u8]) {
    match Request::decode(data, &options()) {
        Ok(request) => check_request(&request),
        Err(error) => assert!(error.to_string().len() <= 4096, "a reason of {} bytes", error.to_string().len()),
    }
    if let Ok(envelope) = Envelope::parse(data)
        && let Ok(message) = Message::decode(envelope.clone(), &options())
    {
        check_event(&Event::task_received(&message));
        check_event(&Event::task_sent(&message, "", "q", "q"));
    }
}

fn check_request(request: &Request) {
    let meant = request.concerns("celery@node");
    if !request.destination.is_empty() {
        assert_eq!(meant, request.destination.iter().any(|node| node == "celery@node"), "a destination goes before a pattern");
    }
    let Some(to) = &request.reply_to else { return };
    let value = Value::Map(request.arguments.clone());
    let reply = to.envelope("celery@node", value.clone(), request.ticket.as_deref(), request.clock, "tag".to_owned());
    let again = Envelope::parse(reply.write().as_bytes()).expect("what was written is read");
    assert_eq!(again.headers.get("ticket").and_then(Value::as_str), request.ticket.as_deref());
    let body = json::parse(&again.body_bytes().expect("base64")).expect("what was written is read");
    assert_eq!(body.get("celery@node"), Some(&value));
}

fn check_event(event: &Event) {
    let time = Timestamp::parse("2026-11-22T00:00:00+00:00").expect("a time").moment();
    let value = json::parse(event.write(&Stamp { hostname: "celery@node", pid: 1, clock: 1, time }).as_bytes())
        .expect("what was written is read");
    assert_eq!(value.get("type").and_then(Value::as_str), Some(&*event.kind));
    assert_eq!(event.group(), "task");
}

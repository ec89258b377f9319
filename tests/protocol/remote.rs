//! Remote control and events, against recordings of both.

use celeriac::protocol::event::{Event, Pulse, Stamp, TASK_MULTI, envelope};
use celeriac::protocol::pidbox::{Reply, Request};
use celeriac::protocol::{DecodeOptions, Envelope, Message, Value, json};
use chrono::DateTime;

use crate::vectors::{Vector, all, load};

fn request(vector: &Vector) -> Request {
    Request::decode(vector.messages()[0].as_bytes(), &DecodeOptions::default()).unwrap()
}

fn body(raw: &str) -> Value {
    json::parse(&Envelope::parse(raw.as_bytes()).unwrap().body_bytes().unwrap()).unwrap()
}

#[test]
fn a_reply_is_written_as_python_writes_it() {
    let mut replies = 0;
    for vector in all(&["ctl_"]) {
        let raws = vector.messages();
        let [_, reply] = raws.as_slice() else { continue };
        let recorded = Envelope::parse(reply.as_bytes()).unwrap();
        let value = body(reply).get("worker1@example").unwrap().clone();
        let clock = u64::try_from(recorded.headers.get("clock").and_then(Value::as_i64).unwrap()).unwrap();
        let tag = recorded.delivery_tag().unwrap().to_owned();
        let request = request(&vector);
        let to = request.reply_to.as_ref().unwrap();
        let written = to.envelope("worker1@example", value, request.ticket.as_deref(), clock, tag).write();
        assert_eq!(written, *reply, "{}", vector.name);
        replies += 1;
    }
    assert!(replies > 20, "{replies}");
}

#[test]
fn a_request_is_written_as_python_writes_it() {
    let mut requests = 0;
    for vector in all(&["ctl_"]) {
        let recorded = Envelope::parse(vector.messages()[0].as_bytes()).unwrap();
        let expires = recorded.headers.get("expires").and_then(Value::as_f64);
        let tag = recorded.delivery_tag().unwrap().to_owned();
        let written = request(&vector).envelope("celery.pidbox", expires, tag).write();
        assert_eq!(written, vector.messages()[0], "{}", vector.name);
        requests += 1;
    }
    assert!(requests > 20, "{requests}");
}

#[test]
fn a_reply_is_read_with_its_node_and_its_ticket() {
    let vector = load("ctl_inspect_ping");
    let reply = Reply::decode(vector.messages()[1].as_bytes(), &DecodeOptions::default()).unwrap();
    assert_eq!(reply.nodes.get("worker1@example").and_then(|value| value.get("ok")), Some(&Value::from("pong")));
    assert_eq!(reply.ticket, request(&vector).ticket);
    assert!(reply.clock > 0);
    assert!(Reply::decode(b"{\"body\": \"W10=\"}", &DecodeOptions::default()).is_err());
}

#[test]
fn a_request_concerns_the_nodes_it_names_or_fits() {
    let concerns = |name: &str, node: &str| request(&load(name)).concerns(node);
    for name in ["ctl_inspect_ping", "ctl_ping_destination", "ctl_ping_pattern_glob", "ctl_ping_pattern_pcre"] {
        assert!(concerns(name, "worker1@example"), "{name}");
    }
    assert!(concerns("ctl_inspect_ping", "other@example"));
    for name in ["ctl_ping_destination", "ctl_ping_pattern_glob", "ctl_ping_pattern_pcre", "ctl_ping_destination_nobody"] {
        assert!(!concerns(name, "other@worker1"), "{name}");
    }
}

#[test]
fn patterns_fit_as_python_s_do() {
    for (pattern, matcher, node, fits) in [
        ("w?rker[0-9]@*", "glob", "worker1@h", true),
        ("worker[!0-9]@*", "glob", "worker1@h", false),
        ("worker[!0-9]@*", "glob", "workerx@h", true),
        ("worker", "glob", "worker1", false),
        ("worker.", "glob", "workerx", false),
        ("[", "glob", "[", true),
        ("worker", "pcre", "worker1@h", true),
        ("orker", "pcre", "worker1@h", false),
        ("a|worker1", "pcre", "worker1@h", true),
        ("(", "pcre", "(", false),
    ] {
        let request = Request { pattern: Some((pattern.to_owned(), matcher.to_owned())), ..Request::default() };
        assert_eq!(request.concerns(node), fits, "{pattern} {matcher} {node}");
    }
}

#[test]
fn a_request_is_read_with_its_arguments_and_where_its_reply_goes() {
    let revoke = request(&load("ctl_revoke"));
    assert_eq!((revoke.method.as_str(), revoke.arguments.get("task_id")), ("revoke", Some(&Value::from("res-1"))));
    assert!(revoke.ticket.is_some() && revoke.reply_to.is_some() && revoke.clock > 0);
    let silent = request(&load("ctl_noreply"));
    assert_eq!((silent.ticket, silent.reply_to), (None, None));
    let pickled = r#"{"body": "gA==", "content-type": "application/x-python-serialize", "headers": {}, "properties": {"body_encoding": "base64"}}"#;
    assert!(Request::decode(pickled.as_bytes(), &DecodeOptions::default()).is_err());
}

/// Events of one type as they were recorded, each with the envelope it came in.
fn recorded(kind: &str) -> Vec<Value> {
    let vector = load(&format!("event_{}", kind.replace('-', "_")));
    let events = vector.value.get("decoded").and_then(Value::as_list).unwrap();
    events.iter().map(|entry| entry.get("event").unwrap().clone()).collect()
}

fn text<'a>(event: &'a Value, name: &str) -> &'a str {
    event.get(name).and_then(Value::as_str).unwrap()
}

/// The same event as ours, with the recorded stamp.
fn written(event: &Event, recorded: &Value) -> Value {
    let seconds = recorded.get("timestamp").and_then(Value::as_f64).unwrap();
    let number = |name: &str| recorded.get(name).and_then(Value::as_i64).unwrap();
    let stamp = Stamp {
        hostname: text(recorded, "hostname"),
        pid: u32::try_from(number("pid")).unwrap(),
        clock: u64::try_from(number("clock")).unwrap(),
        time: DateTime::from_timestamp_micros((seconds * 1e6).round() as i64).unwrap(),
    };
    json::parse(event.write(&stamp).as_bytes()).unwrap()
}

fn assert_same(event: &Event, recorded: &Value) {
    let mut recorded = recorded.clone();
    // Python keeps parts of a microsecond.
    let time = recorded.as_map_mut().unwrap().get_mut("timestamp").unwrap();
    *time = Value::Float((time.as_f64().unwrap() * 1e6).round() / 1e6);
    assert_eq!(json::write(&written(event, &recorded)), json::write(&recorded));
}

/// A message that says what an event says of one.
fn message(event: &Value) -> Message {
    let mut message = Message::new(text(event, "name"), text(event, "uuid"));
    let optional = |name: &str| event.get(name).and_then(Value::as_str);
    let time = |name: &str| optional(name).map(|text| celeriac::protocol::Timestamp::parse(text).unwrap());
    let headers = &mut message.headers;
    (headers.argsrepr, headers.kwargsrepr) = (optional("args").map(str::to_owned), optional("kwargs").map(str::to_owned));
    (headers.root_id, headers.parent_id) = (optional("root_id").map(str::to_owned), optional("parent_id").map(str::to_owned));
    (headers.eta, headers.expires) = (time("eta"), time("expires"));
    headers.retries = u32::try_from(event.get("retries").and_then(Value::as_i64).unwrap()).unwrap();
    message
}

#[test]
fn every_event_of_a_task_has_python_s_fields_in_their_order() {
    for event in recorded("task-received") {
        assert_same(&Event::task_received(&message(&event)), &event);
    }
    for event in recorded("task-sent") {
        let (exchange, key, queue) = (text(&event, "exchange"), text(&event, "routing_key"), text(&event, "queue"));
        assert_same(&Event::task_sent(&message(&event), exchange, key, queue), &event);
    }
    for event in recorded("task-started") {
        assert_same(&Event::task_started(text(&event, "uuid")), &event);
    }
    for event in recorded("task-cancelled") {
        assert_same(&Event::task_cancelled(text(&event, "uuid")), &event);
    }
    for event in recorded("task-succeeded") {
        let runtime = event.get("runtime").and_then(Value::as_f64).unwrap();
        let result = Value::Int(text(&event, "result").parse().unwrap());
        assert_same(&Event::task_succeeded(text(&event, "uuid"), &result, runtime), &event);
    }
    for event in recorded("task-failed") {
        let traceback = event.get("traceback").and_then(Value::as_str);
        assert_same(&Event::task_failed(text(&event, "uuid"), text(&event, "exception"), traceback), &event);
    }
    for event in recorded("task-retried") {
        let traceback = event.get("traceback").and_then(Value::as_str);
        assert_same(&Event::task_retried(text(&event, "uuid"), text(&event, "exception"), traceback), &event);
    }
    for event in recorded("task-rejected") {
        let requeue = event.get("requeue").and_then(Value::as_bool).unwrap();
        assert_same(&Event::task_rejected(text(&event, "uuid"), requeue), &event);
    }
    for event in recorded("task-revoked") {
        let signum = event.get("signum").and_then(Value::as_i64);
        let expired = event.get("expired").and_then(Value::as_bool).unwrap();
        assert_same(&Event::task_revoked(text(&event, "uuid"), signum, expired), &event);
    }
}

#[test]
fn every_event_of_a_worker_has_python_s_fields_in_their_order() {
    for kind in ["worker-online", "worker-heartbeat", "worker-offline"] {
        for event in recorded(kind) {
            let ours = match event.get("active") {
                None => Event::heartbeat_on_demand(),
                Some(active) => {
                    let load = event.get("loadavg").and_then(Value::as_list).unwrap();
                    let pulse = Pulse {
                        freq: 2.0,
                        active: usize::try_from(active.as_i64().unwrap()).unwrap(),
                        processed: u64::try_from(event.get("processed").and_then(Value::as_i64).unwrap()).unwrap(),
                        loadavg: std::array::from_fn(|place| load[place].as_f64().unwrap()),
                    };
                    Event::worker(kind, &pulse)
                }
            };
            let mut expected = event.clone();
            // What the worker is made of is our own.
            for (name, value) in celeriac::protocol::event::software() {
                expected.as_map_mut().unwrap().insert(name.to_owned(), value);
            }
            assert_same(&ours, &expected);
        }
    }
    for event in recorded("worker-elect-ack") {
        let id = event.get("id").unwrap().clone();
        assert_same(&Event::new("worker-elect-ack", [("id", id)]), &event);
    }
}

#[test]
fn a_list_of_events_lies_in_an_envelope_as_python_writes_it() {
    for raw in load("event_batch_task_multi").messages() {
        let recorded = Envelope::parse(raw.as_bytes()).unwrap();
        let hostname = recorded.headers.get("hostname").and_then(Value::as_str).unwrap();
        let tag = recorded.delivery_tag().unwrap().to_owned();
        assert_eq!(envelope("celeryev", TASK_MULTI, hostname, &json::write(&body(&raw)), tag).write(), raw);
    }
}

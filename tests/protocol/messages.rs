//! Task messages of both protocols.

use celeriac::protocol::{
    Compression, DecodeError, DecodeOptions, EncodeOptions, Envelope, Message, Serializer, Value, repr, special,
};

use crate::vectors::{Vector, all, decode, load};

fn accept_all() -> DecodeOptions {
    DecodeOptions { accept: vec![Serializer::Json, Serializer::Msgpack], ..DecodeOptions::default() }
}

fn recorded() -> Vec<Vector> {
    let mut vectors = all(&["msg_", "canvas_", "proto1_"]);
    vectors.retain(|vector| vector.value.get("kind").and_then(Value::as_str) == Some("message"));
    vectors
}

fn same_target(envelope: &Envelope) -> EncodeOptions {
    let info = envelope.delivery_info().unwrap();
    let name = |map: &celeriac::protocol::Map, key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
    EncodeOptions {
        serializer: envelope.content_type.as_deref().and_then(Serializer::from_name).unwrap(),
        compression: name(&envelope.headers, "compression").as_deref().and_then(Compression::from_name),
        delivery_tag: envelope.delivery_tag().unwrap().to_owned(),
        exchange: info.exchange,
        routing_key: info.routing_key,
        max_body_bytes: None,
    }
}

#[test]
fn every_recorded_envelope_is_written_back_to_the_same_bytes() {
    for vector in recorded() {
        for raw in vector.messages() {
            assert_eq!(Envelope::parse(raw.as_bytes()).unwrap().write(), raw, "{}", vector.name);
        }
    }
}

#[test]
fn every_recorded_message_of_protocol_2_is_encoded_to_the_same_envelope() {
    let mut compared = 0;
    for vector in recorded() {
        for raw in vector.messages() {
            let envelope = Envelope::parse(raw.as_bytes()).unwrap();
            if envelope.headers.is_empty() || matches!(vector.name.as_str(), "msg_serializer_pickle" | "msg_serializer_yaml") {
                continue;
            }
            let message = Message::decode(envelope.clone(), &accept_all()).unwrap();
            let options = same_target(&envelope);
            let again = message.encode(&options).unwrap();
            assert_eq!(Message::decode(again.clone(), &accept_all()).unwrap(), message, "{}", vector.name);
            let packed = options.compression.is_some() || options.serializer != Serializer::Json;
            if !packed && vector.name != "msg_body_encoding_utf8" {
                assert_eq!(again.write(), raw, "{}", vector.name);
                compared += 1;
            }
        }
    }
    assert!(compared > 120, "only {compared} messages were compared");
}

#[test]
fn pickle_and_yaml_are_refused_whatever_is_accepted() {
    for name in ["msg_serializer_pickle", "msg_serializer_yaml"] {
        let envelope = Envelope::parse(load(name).messages()[0].as_bytes()).unwrap();
        let refused = Message::decode(envelope.clone(), &accept_all());
        assert!(matches!(refused, Err(DecodeError::ContentRefused { .. })), "{name}: {refused:?}");
    }
}

#[test]
fn msgpack_is_read_only_when_it_is_accepted() {
    let envelope = Envelope::parse(load("msg_serializer_msgpack").messages()[0].as_bytes()).unwrap();
    assert!(matches!(Message::decode(envelope.clone(), &DecodeOptions::default()), Err(DecodeError::ContentRefused { .. })));
    let message = Message::decode(envelope.clone(), &accept_all()).unwrap();
    assert_eq!(Value::from(message.args).to_string(), r#"[1, "a", [1.5, null]]"#);
    assert_eq!(message.kwargs["k"], Value::Bool(true));
}

#[test]
fn every_compression_of_python_is_read() {
    let vectors = all(&["msg_compression_"]);
    assert_eq!(vectors.len(), 6);
    for vector in vectors {
        assert_eq!(decode(&vector.messages()[0]).args, [Value::Int(1), Value::Int(2)], "{}", vector.name);
    }
}

#[test]
fn protocol_1_is_read_as_if_it_were_2() {
    let message = decode(&load("proto1_full").messages()[0]);
    assert_eq!(message.headers.task, "proj.add");
    assert_eq!(message.args, [Value::Int(2)]);
    assert_eq!(message.kwargs.get("y"), Some(&Value::Int(3)));
    assert_eq!((message.headers.timelimit.hard, message.headers.timelimit.soft), (Some(9.0), Some(8.0)));
    assert_eq!(message.headers.eta.unwrap().to_string(), "2026-11-22T00:34:47.726756+00:00");
    assert_eq!(message.properties.priority, 5);
    assert_eq!(message.embed.callbacks.unwrap()[0].task, "proj.mul");
    assert_eq!(message.embed.errbacks.unwrap()[0].task, "proj.errback_old");
    assert!(message.headers.custom.is_empty(), "{:?}", message.headers.custom);
    for vector in all(&["proto1_"]) {
        for raw in vector.messages() {
            assert!(decode(&raw).headers.task.starts_with("proj."), "{}", vector.name);
        }
    }
}

#[test]
fn taskset_wins_over_group_in_protocol_1_and_headers_over_the_body_in_the_hybrid() {
    let older = r#"{"body": "{\"task\": \"t\", \"id\": \"1\", \"args\": [], \"group\": \"g\", \"taskset\": \"ts\"}", "content-type": "application/json", "headers": {}, "properties": {}}"#;
    assert_eq!(decode(older).headers.group.as_deref(), Some("ts"));
    let hybrid = r#"{"body": "{\"task\": \"old\", \"id\": \"1\", \"args\": [7], \"retries\": 2}", "content-type": "application/json", "headers": {"task": "new", "id": "2"}, "properties": {}}"#;
    let message = decode(hybrid);
    assert_eq!((message.headers.task.as_str(), message.headers.id.as_str(), message.headers.retries), ("new", "2", 2));
    assert_eq!(message.args, [Value::Int(7)]);
}

#[test]
fn the_smallest_message_a_python_worker_executes_is_read() {
    let message = decode(&load("monitor_minimal_v2").pushed()[0]);
    assert_eq!(message.args, [Value::Int(1), Value::Int(2)]);
    assert_eq!(message.embed.chain, None);
    assert_eq!(message.headers.ignore_result, None);
}

#[test]
fn what_is_no_task_says_why() {
    let read = |name: &str| Message::decode(Envelope::parse(load(name).pushed()[0].as_bytes()).unwrap(), &DecodeOptions::default());
    assert_eq!(read("monitor_not_a_task"), Err(DecodeError::NotATask));
    assert!(matches!(read("monitor_bad_json_body"), Err(DecodeError::BadBody { .. })));
    assert!(matches!(read("monitor_bad_eta"), Err(DecodeError::BadTime { header: "eta", .. })));
    assert!(matches!(read("monitor_task_pickle_refused"), Err(DecodeError::ContentRefused { .. })));
}

fn with_body(body: &str, headers: &str) -> Result<Message, DecodeError> {
    let body = Value::from(body);
    let raw = format!(r#"{{"body": {body}, "content-type": "application/json", "headers": {headers}, "properties": {{}}}}"#);
    Message::decode(Envelope::parse(raw.as_bytes()).unwrap(), &DecodeOptions { max_body_bytes: 1000, ..DecodeOptions::default() })
}

#[test]
fn each_kind_of_broken_body_is_its_own_error() {
    let task = r#"{"task": "t", "id": "1"}"#;
    assert_eq!(with_body("[[], [], {}]", task), Err(DecodeError::KwargsNotAMap));
    assert!(matches!(with_body("[[], {}]", task), Err(DecodeError::BadBody { .. })));
    assert!(matches!(with_body("[[], {}, {\"chord\": 5}]", task), Err(DecodeError::BadBody { .. })));
    assert!(matches!(
        with_body("[[], {}, {}]", r#"{"task": "t", "id": "1", "compression": "rar"}"#),
        Err(DecodeError::BadCompression { .. })
    ));
    assert!(matches!(
        with_body("[[], {}, {}]", r#"{"task": "t", "id": "1", "compression": "zstd"}"#),
        Err(DecodeError::BadCompression { .. })
    ));
    assert_eq!(with_body("[[], {}, {}]", r#"{"task": "t"}"#), Err(DecodeError::NotATask));
    assert!(matches!(
        with_body("[[], {}, {}]", r#"{"task": "t", "id": "1", "expires": 5}"#),
        Err(DecodeError::BadTime { header: "expires", .. })
    ));
    let large = format!("[[\"{}\"], {{}}, {{}}]", "x".repeat(1000));
    assert_eq!(with_body(&large, task), Err(DecodeError::TooLarge { limit: 1000 }));
    assert!(matches!(with_body(r#"[[{"__type__": "alien", "__value__": 1}], {}, {}]"#, task), Err(DecodeError::BadBody { .. })));
    assert!(with_body(r#"[[{"__type__": "alien", "__value__": 1, "more": 2}], {}, {}]"#, task).is_ok());
}

#[test]
fn special_types_of_python_are_read_as_types() {
    let args = decode(&load("msg_special_types").messages()[0]).args;
    assert_eq!(special::as_datetime(&args[0]).unwrap().to_string(), "2026-01-02T03:04:05.678901+00:00");
    assert_eq!(special::as_datetime(&args[1]).unwrap().offset, None);
    assert_eq!(special::as_date(&args[2]).unwrap().to_string(), "2026-01-02");
    assert_eq!(special::as_time(&args[3]).unwrap().to_string(), "03:04:05.000006");
    assert_eq!(special::text(&args[4]), Some("1.10"));
    assert_eq!(special::as_uuid(&args[5]).unwrap().to_string(), "12345678-1234-5678-1234-567812345678");
    assert_eq!(special::as_bytes(&args[6]).unwrap().unwrap(), b"abc");
    assert_eq!(special::as_bytes(&args[7]).unwrap().unwrap(), b"\xff\xfe\0");
    assert_eq!([special::bytes(b"abc"), special::bytes(b"\xff\xfe\0")], [args[6].clone(), args[7].clone()]);
    let typed: (chrono::DateTime<chrono::Utc>, String) =
        celeriac::protocol::from_value(Value::List(vec![args[0].clone(), args[5].clone()])).unwrap();
    assert_eq!((typed.0.timestamp_subsec_micros(), typed.1.as_str()), (678_901, "12345678123456781234567812345678"));
}

#[test]
fn reprs_are_made_as_python_makes_them() {
    for name in ["msg_basic", "msg_kwargs", "msg_numbers", "msg_no_args", "msg_eta_naive", "canvas_chain2"] {
        let message = decode(&load(name).messages()[0]);
        assert_eq!(Some(repr::args(&message.args)), message.headers.argsrepr, "{name}");
        assert_eq!(Some(repr::kwargs(&message.kwargs)), message.headers.kwargsrepr, "{name}");
    }
    let long = repr::args(&decode(&load("msg_argsrepr_truncated").messages()[0]).args);
    assert!(long.chars().count() <= 1024 + 3 && long.ends_with("..."), "{long}");
    assert_eq!(repr::value(&Value::from("it's"), 100), r#""it's""#);
    assert_eq!(repr::value(&Value::from("\u{2028}\0é"), 100), "'\\u2028\\x00é'");
    assert_eq!(repr::value(&Value::from(vec![vec![vec![vec![1]]]]), 100), "[[[[...]]]]");
}

#[test]
fn marks_of_delivery_are_read_wherever_they_stand_and_are_no_headers_of_the_task() {
    let mut envelope = Envelope::parse(load("msg_basic").messages()[0].as_bytes()).unwrap();
    assert!(!envelope.redelivered());
    // Where kombu puts it.
    envelope.properties["delivery_info"].as_map_mut().unwrap().insert("redelivered".into(), true.into());
    assert_eq!((envelope.redelivered(), envelope.delivery_count()), (true, 0));
    for (name, value) in [("redelivered", Value::Bool(true)), ("x-delivery-count", Value::Int(2))] {
        envelope.headers.insert(name.into(), value);
    }
    let again = Envelope::parse(envelope.write().as_bytes()).unwrap();
    assert_eq!((again.redelivered(), again.delivery_count()), (true, 2));
    let message = Message::decode(again, &DecodeOptions::default()).unwrap();
    assert_eq!((message.properties.redelivered, message.properties.delivery_count), (true, 2));
    assert!(message.headers.custom.is_empty(), "the marks are not the task's own headers");
}

#[test]
fn unknown_fields_are_kept() {
    let raw = r#"{"body": "W10=", "content-encoding": "utf-8", "content-type": "application/json", "headers": {"x": [1]}, "properties": {"y": null}, "z": {"a": 1e+16}}"#;
    assert_eq!(Envelope::parse(raw.as_bytes()).unwrap().write(), raw);
}

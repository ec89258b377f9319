//! What is large, deep or a bomb: it is refused or handled in seconds, and in a memory that is known.

use std::time::{Duration, Instant};

use celeriac::canvas::limits::{MAX_BYTES, MAX_MESSAGES, MAX_NESTING};
use celeriac::canvas::{self, Applied, chain, chord, group};
use celeriac::protocol::meta::{MAX_ANCESTORS, ResultTuple};
use celeriac::protocol::pidbox::Request;
use celeriac::protocol::value::MAX_VALUES;
use celeriac::protocol::{
    Compression, DecodeError, DecodeOptions, EncodeOptions, Envelope, Map, Message, Meta, Serializer, Signature, Timestamp, Value,
    json,
};

use crate::targets::values::COMPRESSIONS;

const MEGABYTES_16: usize = 16 << 20;
/// Seconds in a debug build on a busy machine. What is quadratic takes hours.
const SECONDS: Duration = Duration::from_secs(40);

fn in_seconds<T>(what: &str, act: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let answer = act();
    let took = begun.elapsed();
    assert!(took < SECONDS, "{what} took {took:?}");
    answer
}

fn applied() -> Applied {
    Applied::at(Timestamp::parse("2026-11-22T00:00:00+00:00").unwrap().moment())
}

fn ids() -> impl FnMut() -> String {
    let mut count = 0u64;
    move || {
        count += 1;
        format!("id-{count}")
    }
}

fn apply(signature: Signature) -> celeriac::Result<canvas::Plan> {
    canvas::apply(signature, &applied(), &mut ids())
}

/// A message around a body that is not compressed.
fn message(headers: Map, body: &str) -> Envelope {
    let mut envelope =
        Envelope { body: body.to_owned(), content_type: Some("application/json".to_owned()), headers, ..Envelope::default() };
    envelope.headers.insert("task".to_owned(), "t".into());
    envelope.headers.insert("id".to_owned(), "1".into());
    envelope
}

#[test]
fn sixteen_megabytes_of_json_are_read_or_refused_in_seconds() {
    let repeated = |text: &str| text.repeat(MEGABYTES_16 / text.len());
    let keys: String = (0..1_000_000).map(|key| format!("\"key{key}\":0,")).collect();
    for (what, text, readable) in [
        ("open lists", repeated("["), false),
        ("open objects", repeated("{\"\":"), false),
        ("a number", repeated("9"), false),
        ("a fraction", format!("0.{}", repeated("1")), true),
        ("a text", format!("\"{}\"", repeated("x")), true),
        ("escapes", format!("\"{}\"", repeated("\\u00e9")), true),
        ("numbers", format!("[{}0]", repeated("-0.12345,")), true),
        ("keys", format!("{{{keys}\"\":0}}"), true),
        ("one key again and again", format!("{{{}\"\":0}}", repeated("\"aaa\":0,")), true),
    ] {
        let read = in_seconds(what, || json::parse(text.as_bytes()));
        assert_eq!(read.is_ok(), readable, "{what}: {}", read.err().map(|error| error.to_string()).unwrap_or_default());
    }
}

#[test]
fn a_text_holds_no_more_values_than_the_limit() {
    let packed = |count: u32| [&[0xdd][..], &count.to_be_bytes(), &vec![0; count as usize]].concat();
    assert!(Serializer::Msgpack.read(&packed(1 << 16)).is_ok());
    assert!(Serializer::Msgpack.read(&packed(u32::try_from(MAX_VALUES).unwrap())).is_err());
    let zeros = format!("[{}0]", "0,".repeat(MAX_VALUES - 1));
    assert!(json::parse(zeros.as_bytes()).is_err());
}

#[test]
fn msgpack_is_one_whole_value_and_what_it_declares_is_not_believed() {
    let read = |data: &[u8]| Serializer::Msgpack.read(data);
    assert!(read(&[0xc0]).is_ok());
    assert!(read(&[0xc0, 0xc0]).is_err(), "what follows the value is not dropped in silence");
    for kind in [0xdd, 0xdf, 0xdb, 0xc6, 0xc9] {
        assert!(read(&[kind, 0xff, 0xff, 0xff, 0xff, 0x01]).is_err(), "four gigabytes of {kind:x}");
    }
    for beyond in ["18446744073709551616", "-9223372036854775809", "1180591620717411303424"] {
        let value = json::parse(beyond.as_bytes()).unwrap();
        assert!(Serializer::Msgpack.write(&value).is_err(), "msgpack has no {beyond}: it would be written as bytes");
    }
    assert!(Serializer::Msgpack.write(&json::parse(b"[18446744073709551615]").unwrap()).is_ok());
}

#[test]
fn a_bomb_of_every_codec_is_stopped_at_the_size_of_a_body() {
    let zeros = vec![b'0'; 8 << 20];
    for compression in COMPRESSIONS {
        let bomb = compression.compress(&zeros).unwrap();
        let mut envelope = message(Map::default(), "");
        envelope.body = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &bomb);
        envelope.properties.insert("body_encoding".to_owned(), "base64".into());
        envelope.headers.insert("compression".to_owned(), compression.content_type().into());
        let options = DecodeOptions { max_body_bytes: 1 << 20, ..DecodeOptions::default() };
        let decoded = in_seconds(compression.content_type(), || Message::decode(envelope.clone(), &options));
        assert_eq!(decoded.unwrap_err(), DecodeError::TooLarge { limit: 1 << 20 });
    }
}

#[test]
fn what_is_packed_twice_is_unpacked_once() {
    let body = b"[[], {}, {}]";
    let twice = Compression::Zlib.compress(&Compression::Zlib.compress(body).unwrap()).unwrap();
    let mut envelope = message(Map::default(), "");
    envelope.body = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, twice);
    envelope.properties.insert("body_encoding".to_owned(), "base64".into());
    envelope.headers.insert("compression".to_owned(), "gzip".into());
    assert!(matches!(Message::decode(envelope.clone(), &DecodeOptions::default()), Err(DecodeError::BadBody { .. })));
}

#[test]
fn very_many_headers_and_stamps_are_read_in_seconds_and_kept() {
    let names: Vec<String> = (0..100_000).map(|place| format!("stamp{place}")).collect();
    let mut headers: Map = names.iter().map(|name| (name.clone(), Value::Int(1))).collect();
    headers.insert("stamped_headers".to_owned(), names.clone().into());
    let envelope = message(headers, "[[], {}, {}]");
    let read = in_seconds("headers", || Message::decode(envelope.clone(), &DecodeOptions::default()).unwrap());
    assert_eq!(read.headers.custom.len(), names.len());
    in_seconds("writing them", || read.encode(&EncodeOptions::to_queue("q", "tag")).unwrap().write());
    let mut meta: Map = names.iter().map(|name| (name.clone(), Value::Int(1))).collect();
    for (name, value) in [("status", "SUCCESS".into()), ("name", "t".into()), ("worker", "w".into())] {
        meta.insert(name.to_owned(), value);
    }
    meta.insert("stamped_headers".to_owned(), names.clone().into());
    let meta = in_seconds("a meta", || Meta::from_value(Value::Map(meta)).unwrap());
    assert_eq!(meta.extended.unwrap().stamps.unwrap().1.len(), names.len());
}

#[test]
fn a_reason_repeats_no_more_than_a_line_of_what_it_refuses() {
    let long = "x".repeat(1 << 20);
    let mut headers = [Map::default(), Map::default(), Map::default()];
    headers[0].insert("eta".to_owned(), long.clone().into());
    headers[1].insert("compression".to_owned(), long.clone().into());
    let special = format!(r#"[[{{"__type__": "uuid", "__value__": "{long}"}}], {{}}, {{}}]"#);
    let kind = format!(r#"[[{{"__type__": "{long}", "__value__": 1}}], {{}}, {{}}]"#);
    let mut refused: Vec<Envelope> = headers.into_iter().map(|headers| message(headers, "[[], {}, {}]")).collect();
    refused[2].content_type = Some(long.clone());
    refused.extend([message(Map::default(), &special), message(Map::default(), &kind)]);
    for envelope in refused {
        let reason = Message::decode(envelope.clone(), &DecodeOptions::default()).unwrap_err().to_string();
        assert!(reason.len() < 300, "{reason}");
    }
}

/// Each kind of composition in itself, so many times.
fn nested(kind: &str, levels: usize) -> String {
    let (open, close) = match kind {
        "chain" | "group" => (format!(r#"{{"task":"a","subtask_type":"{kind}","kwargs":{{"tasks":["#), "]}}"),
        "header" => (
            r#"{"task":"a","subtask_type":"chord","kwargs":{"body":{"task":"b","options":{"task_id":"x"}},"header":["#.to_owned(),
            "]}}",
        ),
        _ => (r#"{"task":"a","subtask_type":"chord","kwargs":{"header":[{"task":"b"}],"body":"#.to_owned(), "}}"),
    };
    format!(r#"{}{{"task":"leaf","options":{{"task_id":"l"}}}}{}"#, open.repeat(levels), close.repeat(levels))
}

#[test]
fn compositions_in_compositions_are_applied_or_refused_without_an_end_of_the_stack() {
    for kind in ["chain", "group", "header", "body"] {
        let read = |levels: usize| Signature::from_value(json::parse(nested(kind, levels).as_bytes()).unwrap()).unwrap();
        assert!(in_seconds(kind, || apply(read(MAX_NESTING))).is_ok(), "{kind}");
        let leaf = format!(r#"{{"task":"leaf","args":["{}"]}}"#, "x".repeat(4 << 20));
        let text = nested(kind, MAX_NESTING).replace(r#"{"task":"leaf","options":{"task_id":"l"}}"#, &leaf);
        let large = Signature::from_value(json::parse(text.as_bytes()).unwrap()).unwrap();
        assert!(in_seconds(kind, || apply(large)).is_err(), "{kind}: four megabytes at the bottom");
        // As deep as JSON lets it be: three levels each, or two.
        let deepest = (1..).take_while(|levels| json::parse(nested(kind, *levels).as_bytes()).is_ok()).last().unwrap();
        assert!(deepest > 100, "{kind}: {deepest}");
        let deep = read(deepest);
        assert!(apply(deep.clone()).is_err(), "{kind}");
        let error = canvas::ChordFailure::join("it is so");
        drop(canvas::chord_failure(&deep, &error));
        let body = format!(
            r#"[[], {{}}, {{"chain": [{0}], "chord": {0}, "callbacks": [{0}], "errbacks": {0}}}]"#,
            nested(kind, deepest - 2)
        );
        let message = Message::decode(message(Map::default(), &body), &DecodeOptions::default()).unwrap();
        drop(canvas::propagate(&message));
        drop(canvas::callbacks(&message, &Value::Null, &applied(), &mut ids()));
        drop(canvas::next_in_chain(&message, &Value::Null, &applied(), &mut ids()));
        drop(canvas::replace(&message, Signature::new("by"), &applied(), &mut ids()));
        drop(canvas::replace(&message, deep, &applied(), &mut ids()));
    }
}

#[test]
fn a_chain_of_very_many_steps_is_sent_and_its_result_names_the_last_ones_before_it() {
    let steps = (0..20_000).map(|step| Signature::new("t").arg(step));
    let long = in_seconds("chaining", || Signature {
        kwargs: Map::from_iter([("tasks".to_owned(), steps.map(Signature::into_value).collect())]),
        subtask_type: Some("chain".to_owned()),
        ..Signature::new("celery.chain")
    });
    let plan = in_seconds("a long chain", || apply(long)).unwrap();
    assert_eq!(plan.messages.len(), 1);
    assert_eq!(plan.messages[0].message.embed.chain.as_ref().map(Vec::len), Some(19_999));
    let mut before = 0;
    let mut result = Some(&plan.result);
    while let Some(ResultTuple { parent: Some(parent), .. }) = result {
        before += 1;
        result = Some(parent);
    }
    assert_eq!(before, MAX_ANCESTORS);
    assert!(json::parse(json::write(&plan.result.to_value()).as_bytes()).is_ok(), "what is stored of it is read again");
}

#[test]
fn a_canvas_of_too_many_messages_or_bytes_is_refused_before_it_is_made() {
    let many = |count: u64| group((0..count).map(|_| Signature::new("t")));
    assert_eq!(apply(many(1000)).unwrap().messages.len(), 1000);
    let refused = |signature: Signature| in_seconds("refusing", || apply(signature)).unwrap_err().to_string();
    assert!(refused(many(MAX_MESSAGES + 1)).contains("send it in parts"));
    // What every message of a header carries counts once for each.
    let text = "x".repeat(usize::try_from(MAX_BYTES / 50_000).unwrap());
    let members = || (0..60_000).map(|_| Signature::new("t"));
    assert!(refused(chord(members(), Signature::new("b").arg(text.clone()))).contains("references"));
    assert!(refused(group(members()).set("headers", text.clone())).contains("references"));
    assert!(refused(chain([group(members()), Signature::new("b").arg(text.clone())])).contains("references"));
    let previous = applied().with_previous(text.clone().into());
    assert!(canvas::apply(group(members()), &previous, &mut ids()).is_err());
    let chunks = Signature { subtask_type: Some("chunks".to_owned()), ..Signature::new("celery.chunks") };
    let chunks = chunks.kwarg("task", text.clone()).kwarg("n", 1).kwarg("it", vec![0; 60_000]);
    assert!(refused(chunks).contains("references"));
    let mut replaced = Message::new("t", "1");
    replaced.embed.errbacks = Some(vec![Signature::new("e").arg(text)]);
    assert!(canvas::replace(&replaced, group(members()), &applied(), &mut ids()).is_err());
}

#[test]
fn a_part_that_is_no_signature_makes_the_canvas_an_error_and_is_not_left_out() {
    for text in [
        r#"{"task": "g", "subtask_type": "group", "kwargs": {"tasks": [{"task": "a"}, {"name": "b"}]}}"#,
        r#"{"task": "c", "subtask_type": "chain", "kwargs": {"tasks": [{"task": "a"}, 1]}}"#,
        r#"{"task": "c", "subtask_type": "chord", "kwargs": {"header": [{"task": "a"}, null], "body": {"task": "b"}}}"#,
        r#"{"task": "c", "subtask_type": "chord", "kwargs": {"header": [{"task": "a"}]}}"#,
    ] {
        let signature = Signature::from_value(json::parse(text.as_bytes()).unwrap()).unwrap();
        assert!(apply(signature).is_err(), "{text}");
    }
}

#[test]
fn very_many_callbacks_are_joined_in_seconds_and_none_twice() {
    let callback = |place: usize| Signature::new("c").arg(place).into_value();
    let mut message = Message::new("t", "1");
    message.embed.callbacks = Some((0..20_000).map(|place| Signature::from_value(callback(place)).unwrap()).collect());
    let by = Signature::new("by").set("link", vec![callback(1), callback(7)]);
    let plan = in_seconds("callbacks", || canvas::replace(&message, by, &applied(), &mut ids()).unwrap());
    assert_eq!(plan.messages[0].message.embed.callbacks.as_ref().map(Vec::len), Some(20_000));
}

#[test]
fn a_countdown_beyond_every_date_is_refused_and_not_sent_to_be_unreadable() {
    for countdown in [1e300, -1e300, f64::INFINITY, 3e11] {
        assert!(apply(Signature::new("t").countdown(countdown)).is_err(), "{countdown}");
    }
    assert!(apply(Signature::new("t").countdown(1e9)).is_ok());
    for text in ["+12345-1-1", "-001-01-01", "0000-01-01", "2026-11-22T23:59:60"] {
        assert!(Timestamp::parse(text).is_err(), "{text} would be written as something else");
    }
}

#[test]
fn a_pattern_of_node_names_is_matched_or_refused_in_seconds() {
    for (matcher, pattern) in
        [("glob", "[".repeat(MEGABYTES_16)), ("pcre", "(a{1,900}){1,900}".repeat(60)), ("pcre", "(".repeat(1000))]
    {
        let request = Request { method: "ping".to_owned(), pattern: Some((pattern, matcher.to_owned())), ..Request::default() };
        assert!(!in_seconds(matcher, || request.concerns("celery@node")));
    }
}

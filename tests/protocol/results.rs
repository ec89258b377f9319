//! What backends store.

use celeriac::protocol::meta::{ChordEntry, decode_stored, encode_stored, read_group_meta};
use celeriac::protocol::{Compression, Exception, Meta, Serializer, State, Value, json};

use crate::vectors::{all, bytes, load};

const LIMIT: usize = 1 << 20;

/// Every task meta in a recording, as stored and as announced.
fn metas(vector: &crate::vectors::Vector) -> Vec<Vec<u8>> {
    let captured = vector.value.get("captured").unwrap();
    let announced = captured.get("published").and_then(Value::as_list).unwrap_or_default();
    let mut found: Vec<Vec<u8>> = captured.get("value").and_then(bytes).into_iter().collect();
    found.extend(announced.iter().filter_map(|entry| bytes(entry.get("data")?)));
    found
}

#[test]
fn every_recorded_meta_is_written_back_to_the_same_bytes() {
    let mut compared = 0;
    for vector in all(&["result_"]) {
        if vector.name.starts_with("result_serializer_")
            || vector.name.contains("compression")
            || vector.name.contains("group_save")
        {
            continue;
        }
        for data in metas(&vector) {
            let meta = Meta::decode(&data, Serializer::Json, LIMIT).unwrap();
            let again = meta.encode(Serializer::Json, None).unwrap();
            assert_eq!(String::from_utf8(again).unwrap(), String::from_utf8(data).unwrap(), "{}", vector.name);
            compared += 1;
        }
    }
    assert!(compared > 80, "only {compared} metas were compared");
}

#[test]
fn a_compressed_result_is_known_by_its_prefix() {
    let data = metas(&load("result_compression_gzip")).remove(0);
    let meta = Meta::decode(&data, Serializer::Json, LIMIT).unwrap();
    assert_eq!(meta.status, State::Success);
    for compression in [Compression::Zlib, Compression::Bzip2, Compression::Xz, Compression::Brotli, Compression::Zstd] {
        let packed = meta.encode(Serializer::Json, Some(compression)).unwrap();
        assert_eq!(Meta::decode(&packed, Serializer::Json, LIMIT).unwrap(), meta);
    }
    assert!(Meta::decode(&data, Serializer::Json, 10).is_err(), "the limit holds");
}

#[test]
fn a_result_in_msgpack_is_read_and_written() {
    let data = metas(&load("result_serializer_msgpack")).remove(0);
    let meta = Meta::decode(&data, Serializer::Msgpack, LIMIT).unwrap();
    assert_eq!(meta.result, Value::Int(3));
    assert_eq!(meta.encode(Serializer::Msgpack, None).unwrap(), data);
}

#[test]
fn the_structure_of_a_group_is_read_and_written() {
    for name in ["result_group_save", "result_group_save_nested"] {
        let data = metas(&load(name)).remove(0);
        let value = decode_stored(&data, Serializer::Json, LIMIT).unwrap();
        let result = read_group_meta(&value).unwrap();
        assert_eq!(encode_stored(&celeriac::protocol::meta::group_meta(&result), Serializer::Json, None).unwrap(), data, "{name}");
    }
}

#[test]
fn exceptions_show_as_python_shows_them() {
    let exception = |name: &str| Meta::decode(&metas(&load(name)).remove(0), Serializer::Json, LIMIT).unwrap().exception().unwrap();
    assert_eq!(exception("result_failure_builtin").to_string(), "ValueError('boom')");
    assert_eq!(exception("result_failure_custom").to_string(), "CustomError(42, 'detail')");
    assert_eq!(exception("result_failure_nested_qualname").to_string(), "InnerError('nested', 1)");
    assert_eq!(exception("result_failure_hard_time_limit"), Exception::time_limit_exceeded(1.0));
    assert_eq!(exception("result_failure_reject_drop"), Exception::reject("no thanks".into()));
    assert_eq!(exception("result_revoked_by_id"), Exception::revoked("revoked"));
    assert_eq!(exception("result_failure_unknown_task").exc_type, "NotRegistered");
    assert_eq!(Exception::value_error("boom").message(), "boom");
    let plain = json::parse(br#"{"exc_type": "E", "exc_message": "only text", "exc_module": "m"}"#).unwrap();
    assert_eq!(Exception::from_value(&plain).unwrap().exc_message, [Value::from("only text")]);
}

#[test]
fn chord_parts_are_read_and_written() {
    for name in ["chord_progress_keys", "chord_failed_keys", "chord_progress_keys_unordered"] {
        let vector = load(name);
        let keys = vector.value.get("captured").unwrap().as_map().unwrap();
        let (_, parts) = keys.iter().find(|(key, _)| key.ends_with(".j")).unwrap();
        for part in parts.get("value").unwrap().as_list().unwrap() {
            let text = part.as_list().map_or(part, |member| &member[0]).as_str().unwrap();
            let entry = ChordEntry::from_value(json::parse(text.as_bytes()).unwrap()).unwrap();
            assert_eq!(entry.to_value().to_string(), text);
        }
    }
}

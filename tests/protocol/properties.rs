//! Properties: nothing that comes from outside makes reading panic or allocate without bound, and what is written is read back.

use celeriac::protocol::{
    Compression, DecodeOptions, Envelope, Map, Message, Serializer, Timestamp, Value, from_value, json, to_value,
};
use proptest::prelude::*;

fn values() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<i128>().prop_filter("beyond 64 bits", |value| i64::try_from(*value).is_err()).prop_map(Value::from),
        any::<f64>().prop_map(Value::Float),
        any::<String>().prop_map(Value::String),
    ];
    scalar.prop_recursive(4, 40, 6, |inner| {
        let map = prop::collection::vec((any::<String>(), inner.clone()), 0..6)
            .prop_map(|entries| Value::Map(entries.into_iter().collect()));
        prop_oneof![prop::collection::vec(inner, 0..6).prop_map(Value::List), map]
    })
}

proptest! {
    #[test]
    fn a_value_survives_json(value in values()) {
        let text = json::write(&value);
        prop_assert!(text.is_ascii());
        prop_assert_eq!(json::parse(text.as_bytes()).unwrap(), value);
    }

    #[test]
    fn a_value_survives_serde(value in values()) {
        prop_assert_eq!(to_value(&value).unwrap(), value.clone());
        prop_assert_eq!(from_value::<Value>(value.clone()).unwrap(), value);
    }

    #[test]
    fn arbitrary_bytes_never_make_reading_panic(data in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = json::parse(&data);
        let _ = Serializer::Msgpack.read(&data);
        if let Ok(envelope) = Envelope::parse(&data) {
            let _ = Message::decode(envelope.clone(), &DecodeOptions::default());
        }
        for compression in COMPRESSIONS {
            let _ = compression.decompress(&data, 1000);
        }
    }

    #[test]
    fn arbitrary_headers_and_bodies_never_make_decoding_panic(headers in values(), properties in values(), body in values()) {
        let map = |value: Value| match value { Value::Map(map) => map, other => Map::from_iter([("id".to_owned(), other)]) };
        let mut headers = map(headers);
        headers.insert("task".to_owned(), "t".into());
        let envelope = Envelope {
            body: json::write(&body),
            content_type: Some("application/json".to_owned()),
            headers,
            properties: map(properties),
            ..Envelope::default()
        };
        let _ = Message::decode(Envelope::parse(envelope.write().as_bytes()).unwrap(), &DecodeOptions::default());
    }

    #[test]
    fn arbitrary_text_is_a_time_or_an_error(text in "[0-9TZ:+. -]{0,32}") {
        if let Ok(time) = Timestamp::parse(&text) {
            prop_assert_eq!(Timestamp::parse(&time.to_string()).unwrap(), time);
        }
    }

    #[test]
    fn packed_data_is_unpacked_up_to_its_size_and_never_beyond(data in prop::collection::vec(any::<u8>(), 1..2000)) {
        for compression in COMPRESSIONS {
            let packed = compression.compress(&data).unwrap();
            prop_assert_eq!(&compression.decompress(&packed, data.len()).unwrap(), &data);
            prop_assert!(compression.decompress(&packed, data.len() - 1).is_err());
        }
    }
}

const COMPRESSIONS: [Compression; 5] =
    [Compression::Zlib, Compression::Bzip2, Compression::Xz, Compression::Brotli, Compression::Zstd];

#[test]
fn a_decompression_bomb_is_stopped_at_the_limit() {
    let zeros = vec![0u8; 5_000_000];
    for compression in COMPRESSIONS {
        let bomb = compression.compress(&zeros).unwrap();
        assert!(bomb.len() < 100_000, "{compression:?} is no bomb");
        assert!(compression.decompress(&bomb, 100_000).is_err(), "{compression:?}");
    }
}

#[test]
fn nesting_beyond_the_limit_is_an_error_and_no_overflow() {
    for (open, close) in [("[", "]"), ("{\"a\": ", "}")] {
        let deep = |levels: usize| format!("{}1{}", open.repeat(levels), close.repeat(levels));
        assert!(json::parse(deep(json::MAX_DEPTH).as_bytes()).is_ok());
        assert!(json::parse(deep(json::MAX_DEPTH + 1).as_bytes()).is_err());
        assert!(json::parse(deep(1_000_000).as_bytes()).is_err());
    }
    assert!(Serializer::Msgpack.read(&vec![0x91; 1_000_000]).is_err());
}

#[test]
fn floats_are_written_as_python_writes_them() {
    let written = |value: f64| json::write(&Value::Float(value));
    for (value, text) in [
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (0.1, "0.1"),
        (1e16, "1e+16"),
        (9_999_999_999_999_998.0, "9999999999999998.0"),
        (1.234_567_890_123_456_8e17, "1.2345678901234568e+17"),
        (0.0001, "0.0001"),
        (1e-5, "1e-05"),
        (1.5e-7, "1.5e-07"),
        (1e100, "1e+100"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "Infinity"),
        (f64::NEG_INFINITY, "-Infinity"),
    ] {
        assert_eq!(written(value), text);
    }
}

#[test]
fn keys_of_a_typed_map_are_read_back_from_their_text() {
    use std::collections::BTreeMap;
    let pages = BTreeMap::from([(1u32, Some("a".to_owned())), (20, None)]);
    let value = to_value(&pages).unwrap();
    assert_eq!(value.to_string(), r#"{"1": "a", "20": null}"#);
    assert_eq!(from_value::<BTreeMap<u32, Option<String>>>(value.clone()).unwrap(), pages);
    assert_eq!(serde::Deserialize::deserialize(&value), Ok(pages));
    assert!(from_value::<BTreeMap<bool, String>>(value).is_err());
}

#[test]
fn enums_are_read_as_serde_json_reads_them() {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Source {
        Upload,
        Path(String),
        Range(u32, u32),
        Key { bucket: String, key: String },
    }
    let key = Source::Key { bucket: "b".to_owned(), key: "k".to_owned() };
    for source in [Source::Upload, Source::Path("p".to_owned()), Source::Range(1, 2), key] {
        let value = to_value(&source).unwrap();
        assert_eq!(serde_json::Value::from(value.clone()), serde_json::to_value(&source).unwrap());
        assert_eq!(
            serde::Deserialize::deserialize(&value),
            Ok(&source).map(|source| serde_json::from_value::<Source>(serde_json::to_value(source).unwrap()).unwrap())
        );
        assert_eq!(from_value::<Source>(value).unwrap(), source);
    }
}

#[test]
fn times_are_read_in_every_form_python_accepts() {
    for (text, printed) in [
        ("2026-11-22T00:34:31.065160+00:00", "2026-11-22T00:34:31.065160+00:00"),
        ("2026-11-22T00:34:31Z", "2026-11-22T00:34:31+00:00"),
        ("2026-11-22T00:34", "2026-11-22T00:34:00"),
        ("2026-11-22 00:34:31.5", "2026-11-22T00:34:31.500000"),
        ("2026-11-22", "2026-11-22T00:00:00"),
        ("2026-11-21T19:34:44.983149-05:00", "2026-11-21T19:34:44.983149-05:00"),
        ("2026-11-21T19:34:44+0530", "2026-11-21T19:34:44+05:30"),
    ] {
        assert_eq!(Timestamp::parse(text).unwrap().to_string(), printed);
    }
    let moment = |text: &str| Timestamp::parse(text).unwrap().moment();
    assert_eq!(moment("2026-11-21T19:34:44-05:00"), moment("2026-11-22T00:34:44"));
    assert!(Timestamp::parse("tomorrow").is_err());
    assert!(Timestamp::parse("2026-13-01T00:00:00").is_err());
}

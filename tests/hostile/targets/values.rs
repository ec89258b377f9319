//! JSON, msgpack, Python's special types, times and compressed data.

use celeriac::protocol::{Compression, Serializer, Timestamp, Value, json, repr, special};

use super::depth;

const LIMIT: usize = 1 << 20;

/// Bytes as each of them.
pub fn check(data: &[u8]) {
    for serializer in [Serializer::Json, Serializer::Msgpack] {
        if let Ok(value) = serializer.read(data) {
            check_value(&value);
        }
    }
    for compression in COMPRESSIONS {
        if let Ok(unpacked) = compression.decompress(data, LIMIT) {
            assert!(unpacked.len() <= LIMIT);
        }
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(time) = Timestamp::parse(text)
    {
        assert_eq!(Timestamp::parse(&time.to_string()), Ok(time), "{text:?} is written as {time}");
    }
}

/// Every compression there is.
pub const COMPRESSIONS: [Compression; 5] =
    [Compression::Zlib, Compression::Bzip2, Compression::Xz, Compression::Brotli, Compression::Zstd];

fn check_value(value: &Value) {
    assert!(depth(value) <= json::MAX_DEPTH + 1);
    let text = json::write(value);
    assert!(text.is_ascii());
    assert_eq!(&json::parse(text.as_bytes()).expect("what was written is read"), value);
    if let Ok(packed) = Serializer::Msgpack.write(value) {
        assert_eq!(&Serializer::Msgpack.read(&packed).expect("what was written is read"), value);
    }
    assert!(repr::value(value, 100).chars().count() <= 103);
    if let Err(error) = special::check(value) {
        assert!(error.to_string().len() <= 4096, "a reason of {} bytes", error.to_string().len());
    }
    let _ = (special::as_bytes(value), special::as_uuid(value), special::as_time(value), special::text(value));
    if let Some(date) = special::as_date(value) {
        assert_eq!(special::as_date(&special::date(date)), Some(date));
    }
    if let Some(moment) = special::as_datetime(value) {
        assert_eq!(special::as_datetime(&special::datetime(&moment)), Some(moment));
    }
}

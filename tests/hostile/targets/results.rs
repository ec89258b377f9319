//! What lies in a backend: metas, groups and parts of chords, compressed or not.

use celeriac::canvas::join;
use celeriac::protocol::meta::{ChordEntry, decode_stored, encode_stored, group_meta, read_group_meta};
use celeriac::protocol::{Compression, Exception, Meta, Serializer, json};

const LIMIT: usize = 1 << 20;

/// Bytes under a key of a task, of a group, and in a chord's list.
pub fn check(data: &[u8]) {
    for serializer in [Serializer::Json, Serializer::Msgpack] {
        if let Ok(meta) = Meta::decode(data, serializer, LIMIT) {
            check_meta(&meta);
        }
        if let Ok(Some(result)) = decode_stored(data, serializer, LIMIT).map(|value| read_group_meta(&value)) {
            assert_eq!(read_group_meta(&group_meta(&result)), Some(result.clone()));
            let _ = (join(&[], Some(&result)), result.clone(), format!("{result:?}"));
        }
    }
    check_entries(data);
}

fn check_meta(meta: &Meta) {
    for compression in [None, Some(Compression::Zlib)] {
        let stored = meta.encode(Serializer::Json, compression).expect("JSON says everything");
        let again = Meta::decode(&stored, Serializer::Json, 16 * LIMIT).expect("what was written is read");
        assert_eq!(again.to_value(), meta.to_value());
        assert_eq!(again.extra, meta.extra, "unknown fields are kept");
    }
    if let Ok(stored) = meta.encode(Serializer::Msgpack, None) {
        let again = Meta::decode(&stored, Serializer::Msgpack, 16 * LIMIT).expect("what was written is read");
        assert_eq!(again.to_value(), meta.to_value());
    }
    if let Some(exception) = meta.exception() {
        let _ = (exception.message(), exception.to_string());
        assert_eq!(Exception::from_value(&exception.to_value()), Some(exception));
    }
}

/// A chord's list, one part a line.
fn check_entries(data: &[u8]) {
    let lines = data.split(|byte| *byte == b'\n');
    let entries: Vec<ChordEntry> = lines.filter_map(|line| ChordEntry::from_value(json::parse(line).ok()?).ok()).collect();
    for entry in &entries {
        let again = ChordEntry::from_value(entry.to_value()).expect("what was written is read");
        assert_eq!(again, *entry);
    }
    match join(&entries, None) {
        Ok(values) => assert_eq!(values.len(), entries.len()),
        Err(failure) => assert_eq!(failure.error.exc_type, "ChordError"),
    }
    let stored = entries.iter().map(|entry| encode_stored(&entry.to_value(), Serializer::Json, None));
    assert!(stored.into_iter().all(|stored| stored.is_ok()));
}

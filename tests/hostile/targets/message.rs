//! A task message: what decodes is encoded and decodes to the same, and nothing decodes without bound.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use celeriac::protocol::{Compression, DecodeError, DecodeOptions, EncodeOptions, Envelope, Map, Message, Serializer, Value, repr};

const LIMIT: usize = 1 << 20;
/// The longest sentence that may be said of a message.
const LONGEST_REASON: usize = 4096;

fn options() -> DecodeOptions {
    DecodeOptions { accept: vec![Serializer::Json, Serializer::Msgpack], max_body_bytes: LIMIT }
}

/// An envelope; or, around a byte that no UTF-8 contains, an envelope and the bytes of its body, so that a fuzzer needs no base64.
pub fn check(data: &[u8]) {
    let split = data.iter().position(|byte| *byte == 0xff);
    let (text, body) = split.map_or((data, None), |at| (&data[..at], Some(&data[at + 1..])));
    let Ok(mut envelope) = Envelope::parse(text) else { return };
    if let Some(body) = body {
        envelope.body = STANDARD.encode(body);
        envelope.properties.insert("body_encoding".to_owned(), "base64".into());
    }
    match Message::decode(envelope.clone(), &options()) {
        Ok(message) => round_trip(&message),
        Err(error) => {
            let reason = error.to_string();
            assert!(reason.len() <= LONGEST_REASON, "a reason of {} bytes", reason.len());
            assert!(!matches!(error, DecodeError::TooLarge { .. }) || envelope.body.len() > 16);
        }
    }
}

/// Writes a message in each way there is, and reads it again.
pub fn round_trip(message: &Message) {
    let mut expected = message.clone();
    expected.headers.argsrepr.get_or_insert_with(|| repr::args(&message.args));
    expected.headers.kwargsrepr.get_or_insert_with(|| repr::kwargs(&message.kwargs));
    assert!(repr::args(&message.args).chars().count() <= repr::MAX_LENGTH + 3);
    for serializer in [Serializer::Json, Serializer::Msgpack] {
        for compression in [None, Some(Compression::Zlib), Some(Compression::Zstd)] {
            let options = EncodeOptions { serializer, compression, ..EncodeOptions::to_queue("q", "tag") };
            // msgpack cannot say every value that JSON can; it says so.
            let Ok(envelope) = message.encode(&options) else {
                assert_eq!(serializer, Serializer::Msgpack);
                continue;
            };
            let read = Envelope::parse(envelope.write().as_bytes()).expect("what was written is read");
            let wide = DecodeOptions { max_body_bytes: 16 * LIMIT, ..self::options() };
            let again = Message::decode(read.clone(), &wide).expect("what was encoded is decoded");
            assert_eq!(meaning(&again), meaning(&expected), "{serializer:?} {compression:?}");
        }
    }
}

/// Everything of a message that a publish keeps, as a value: `NaN` equals itself there.
fn meaning(message: &Message) -> Value {
    let Message { headers, properties, .. } = message;
    let plain = EncodeOptions::to_queue("q", "tag");
    let envelope =
        Message { args: Vec::new(), kwargs: Map::default(), embed: celeriac::protocol::Embed::default(), ..message.clone() };
    let envelope = envelope.encode(&plain).expect("JSON says everything");
    let list = |list: &Option<Vec<celeriac::protocol::Signature>>| -> Value {
        list.as_ref().map(|list| list.iter().map(|one| one.to_value()).collect::<Value>()).into()
    };
    let embed = &message.embed;
    Value::List(vec![
        Value::Map(envelope.headers),
        Value::Map(envelope.properties),
        Value::Map(headers.custom.clone()),
        Value::Map(properties.extra.clone()),
        Value::List(message.args.clone()),
        Value::Map(message.kwargs.clone()),
        list(&embed.callbacks),
        list(&embed.errbacks),
        list(&embed.chain),
        embed.chord.as_ref().map(|chord| chord.to_value()).into(),
        Value::Map(embed.extra.clone()),
    ])
}

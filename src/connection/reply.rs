//! An answer of Redis in a type of ours.

use redis::{FromRedisValue, ParsingError, Value};

/// What the server answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Nothing there.
    Nil,
    /// A number.
    Integer(i64),
    /// A text or bytes.
    Bytes(Vec<u8>),
    /// Several; of a map each key before its value.
    List(Vec<Reply>),
}

impl Reply {
    fn of(value: Value) -> Self {
        match value {
            Value::Int(number) => Self::Integer(number),
            Value::Boolean(yes) => Self::Integer(yes.into()),
            Value::BulkString(bytes) => Self::Bytes(bytes),
            Value::SimpleString(text) | Value::VerbatimString { text, .. } => Self::Bytes(text.into_bytes()),
            Value::Okay => Self::Bytes(b"OK".to_vec()),
            Value::Double(number) => Self::Bytes(number.to_string().into_bytes()),
            Value::Array(values) | Value::Set(values) => Self::List(values.into_iter().map(Self::of).collect()),
            Value::Map(pairs) => Self::List(pairs.into_iter().flat_map(|(key, value)| [Self::of(key), Self::of(value)]).collect()),
            _ => Self::Nil,
        }
    }

    /// The number, also where it was written as text.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Bytes(_) => self.text()?.parse().ok(),
            Self::Nil | Self::List(_) => None,
        }
    }

    /// The text, if it is UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// The bytes.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Nil | Self::Integer(_) | Self::List(_) => None,
        }
    }

    /// The list; empty for everything else.
    pub fn list(&self) -> &[Self] {
        match self {
            Self::List(list) => list,
            Self::Nil | Self::Integer(_) | Self::Bytes(_) => &[],
        }
    }

    /// The list as pairs of a key and its value.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &Self)> {
        self.list().chunks_exact(2).filter_map(|pair| Some((pair[0].text()?, &pair[1])))
    }
}

impl FromRedisValue for Reply {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        Ok(Self::of(value))
    }
}

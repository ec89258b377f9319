//! The data of a message: what Python's `json` can hold, in the order it was written.
//!
//! It is our own type because `serde_json::Value` holds neither `NaN` nor integers of any size, and both travel in task arguments.

mod convert;
mod de;
mod ser;

use std::fmt;

use serde::de::{Expected, Unexpected};

pub use self::de::from_value;
pub(super) use self::de::read_at_most;
pub use self::ser::{ValueSerializer, to_value};

/// How many values one text may hold, those in lists and objects included. A value of one byte takes a hundred here: without an end,
/// a few kilobytes of compressed zeros would fill the memory.
pub const MAX_VALUES: usize = 1 << 22;

/// An object of JSON, in the order it was written. Its hashes are seeded at random, as the standard ones are, and made for short keys.
pub type Map = indexmap::IndexMap<String, Value, foldhash::fast::RandomState>;

/// One value of the JSON dialect Python speaks.
#[derive(Debug, Clone, Default)]
pub enum Value {
    /// `null`, Python's `None`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer of ordinary size.
    Int(i64),
    /// An integer beyond [`i64`], as its decimal digits.
    BigInt(String),
    /// A float, which may be `NaN` or infinite.
    Float(f64),
    /// A text.
    String(String),
    /// An array; a Python tuple arrives as one.
    List(Vec<Value>),
    /// An object; Python's special types (see [`super::special`]) stay objects here.
    Map(Map),
}

/// Why a value does not fit a type, or a type is not representable as a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ValueError {
    message: String,
}

impl ValueError {
    /// An error that says `message`.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl serde::de::Error for ValueError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("invalid type: {}, expected {expected}", kind(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("invalid value: {}, expected {expected}", kind(found)))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("unknown variant, expected one of {}", expected.join(", ")))
    }
}

/// What a value is, without the value: it may be a secret.
fn kind(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(_) => "boolean".to_owned(),
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "integer".to_owned(),
        Unexpected::Float(_) => "floating point number".to_owned(),
        Unexpected::Char(_) | Unexpected::Str(_) => "string".to_owned(),
        other => other.to_string(),
    }
}

impl serde::ser::Error for ValueError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }
}

impl From<ValueError> for crate::Error {
    fn from(error: ValueError) -> Self {
        Self::protocol(error.message)
    }
}

/// Two values are equal when they mean the same: `NaN` equals `NaN` (a stored message equals itself), maps regardless of order.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::BigInt(a), Self::BigInt(b)) | (Self::String(a), Self::String(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b || (a.is_nan() && b.is_nan()),
            (Self::List(a), Self::List(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => a == b,
            _ => false,
        }
    }
}

impl Value {
    /// An empty object.
    pub fn map() -> Self {
        Self::Map(Map::default())
    }

    /// True for `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The boolean, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The integer; a float without a fraction counts as one.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            #[allow(clippy::cast_possible_truncation)]
            Self::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => Some(*value as i64),
            _ => None,
        }
    }

    /// The number as a float.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            #[allow(clippy::cast_precision_loss)]
            Self::Int(value) => Some(*value as f64),
            Self::BigInt(digits) => digits.parse().ok(),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(value) => Some(value),
            _ => None,
        }
    }

    /// The elements, if it is a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Self::List(values) => Some(values),
            _ => None,
        }
    }

    /// The entries, if it is an object.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The entries for changing, if it is an object.
    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The value under `key`, if it is an object that has one.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_map()?.get(key)
    }

    /// What Python's `bool()` says of it: `None`, zero and everything empty are false.
    pub fn is_truthy(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::BigInt(_) => true,
            Self::Float(value) => *value != 0.0,
            Self::String(value) => !value.is_empty(),
            Self::List(values) => !values.is_empty(),
            Self::Map(map) => !map.is_empty(),
        }
    }

    /// Takes the value out and leaves `null`.
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// What Python calls the type, for error messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) | Self::BigInt(_) => "int",
            Self::Float(_) => "float",
            Self::String(_) => "str",
            Self::List(_) => "list",
            Self::Map(_) => "dict",
        }
    }
}

/// As JSON, the way Python writes it.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::json::write(self))
    }
}

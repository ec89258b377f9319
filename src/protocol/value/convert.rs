//! Conversions between a value and Rust's own types, and `serde_json`'s.

use super::{Map, Value};

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

macro_rules! from_int {
    ($($small:ty),*; $($large:ty),*) => {
        $(impl From<$small> for Value {
            fn from(value: $small) -> Self {
                Self::Int(i64::from(value))
            }
        })*
        $(impl From<$large> for Value {
            fn from(value: $large) -> Self {
                i64::try_from(value).map_or_else(|_| Self::BigInt(value.to_string()), Self::Int)
            }
        })*
    };
}

from_int!(i8, i16, i32, i64, u8, u16, u32; u64, usize, isize, i128, u128);

impl From<f32> for Value {
    fn from(value: f32) -> Self {
        Self::Float(f64::from(value))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::String(value.clone())
    }
}

impl From<()> for Value {
    fn from((): ()) -> Self {
        Self::Null
    }
}

impl From<Map> for Value {
    fn from(value: Map) -> Self {
        Self::Map(value)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>, const N: usize> From<[T; N]> for Value {
    fn from(values: [T; N]) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<T: Into<Value>> FromIterator<T> for Value {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(value),
            serde_json::Value::Number(number) => from_number(&number),
            serde_json::Value::String(value) => Self::String(value),
            serde_json::Value::Array(values) => Self::List(values.into_iter().map(Into::into).collect()),
            serde_json::Value::Object(map) => Self::Map(map.into_iter().map(|(key, value)| (key, value.into())).collect()),
        }
    }
}

fn from_number(number: &serde_json::Number) -> Value {
    if let Some(value) = number.as_i64() {
        Value::Int(value)
    } else if let Some(value) = number.as_u64() {
        Value::BigInt(value.to_string())
    } else {
        number.as_f64().map_or(Value::Null, Value::Float)
    }
}

/// `NaN` and infinities become `null`, integers beyond 64 bits floats: `serde_json` holds neither.
impl From<Value> for serde_json::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Int(value) => Self::from(value),
            Value::BigInt(digits) => match digits.parse::<u64>() {
                Ok(value) => Self::from(value),
                Err(_) => digits.parse::<f64>().map_or(Self::Null, Self::from),
            },
            Value::Float(value) => Self::from(value),
            Value::String(value) => Self::String(value),
            Value::List(values) => Self::Array(values.into_iter().map(Into::into).collect()),
            Value::Map(map) => Self::Object(map.into_iter().map(|(key, value)| (key, value.into())).collect()),
        }
    }
}

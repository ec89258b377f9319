//! Binds the positional and keyword arguments of a Python call to one Rust value.
//!
//! serde's derive hands a `Deserializer` the names of a struct's fields in order, so `f("d1", last=25)` and `f("d1", 1, 25)` fill the
//! same struct. Errors read as Python's.
//!
//! # Celery
//! Python binds at the call. Difference: fields missing from the struct are refused as unexpected, as Python does without `**kwargs`;
//! `#[serde(flatten)]` cannot be seen here: a task of any signature takes [`Arguments`].

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeOwned, IntoDeserializer, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::protocol::value::{Map, Value};

/// The struct name by which [`Arguments`] asks for a call as it is.
pub(super) const ANY_CALL: &str = "celeriac::Arguments";

/// The arguments of a call as they came, for tasks written with `*args, **kwargs`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Arguments {
    /// Positional.
    pub args: Vec<Value>,
    /// By keyword.
    pub kwargs: Map,
}

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename = "celeriac::Arguments")]
        struct Call {
            args: Vec<Value>,
            kwargs: Map,
        }
        let Call { args, kwargs } = Call::deserialize(deserializer)?;
        Ok(Self { args, kwargs })
    }
}

/// Why a call does not fit: Python's `TypeError`, without the function's name in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgumentError(String);

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ArgumentError {}

impl de::Error for ArgumentError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self(format!("missing 1 required argument: '{field}'"))
    }

    fn unknown_field(field: &str, _expected: &'static [&'static str]) -> Self {
        Self(format!("got an unexpected keyword argument '{field}'"))
    }
}

/// Binds a call to `T`.
pub fn bind<T: DeserializeOwned>(args: Vec<Value>, kwargs: Map) -> Result<T, ArgumentError> {
    T::deserialize(Call { args, kwargs })
}

/// A call as a deserializer.
struct Call {
    args: Vec<Value>,
    kwargs: Map,
}

/// A value of a call: its errors become [`ArgumentError`]s that name the argument.
struct Argument {
    name: Option<String>,
    value: Value,
}

impl Argument {
    fn explain(name: Option<&str>, error: impl fmt::Display) -> ArgumentError {
        match name {
            Some(name) => ArgumentError(format!("argument '{name}': {error}")),
            None => ArgumentError(error.to_string()),
        }
    }
}

impl<'de> IntoDeserializer<'de, ArgumentError> for Argument {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// Hands each request on to the value's own deserializer.
macro_rules! forward {
    ($($method:ident($($extra:ident: $kind:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($extra: $kind,)* visitor: V) -> Result<V::Value, ArgumentError> {
            self.value.$method($($extra,)* visitor).map_err(|e| Argument::explain(self.name.as_deref(), e))
        }
    )*};
}

impl<'de> Deserializer<'de> for Argument {
    type Error = ArgumentError;

    forward! {
        deserialize_any() deserialize_bool() deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128() deserialize_f32() deserialize_f64()
        deserialize_char() deserialize_str() deserialize_string() deserialize_bytes() deserialize_byte_buf() deserialize_option()
        deserialize_unit() deserialize_unit_struct(name: &'static str) deserialize_newtype_struct(name: &'static str) deserialize_seq()
        deserialize_tuple(len: usize) deserialize_tuple_struct(name: &'static str, len: usize) deserialize_map()
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str]) deserialize_identifier() deserialize_ignored_any()
    }
}

impl Call {
    fn no_keywords(&self) -> Result<(), ArgumentError> {
        match self.kwargs.keys().next() {
            Some(name) => Err(ArgumentError(format!("got an unexpected keyword argument '{name}'"))),
            None => Ok(()),
        }
    }

    fn at_most(&self, most: usize) -> Result<(), ArgumentError> {
        let given = self.args.len();
        if given <= most {
            return Ok(());
        }
        let (s, were) = (if most == 1 { "" } else { "s" }, if given == 1 { "was" } else { "were" });
        Err(ArgumentError(format!("takes {most} positional argument{s} but {given} {were} given")))
    }

    /// The call's values by name: positional ones take the fields' names in order.
    fn by_name(self, fields: &'static [&'static str]) -> Result<Vec<(String, Argument)>, ArgumentError> {
        self.at_most(fields.len())?;
        if let Some(taken) = fields.iter().take(self.args.len()).find(|field| self.kwargs.contains_key(**field)) {
            return Err(ArgumentError(format!("got multiple values for argument '{taken}'")));
        }
        if let Some(stranger) = self.kwargs.keys().find(|name| !fields.contains(&name.as_str())) {
            return Err(ArgumentError(format!("got an unexpected keyword argument '{stranger}'")));
        }
        let positional = fields.iter().zip(self.args).map(|(name, value)| ((*name).to_owned(), value));
        let named = positional.chain(self.kwargs);
        Ok(named.map(|(name, value)| (name.clone(), Argument { name: Some(name), value })).collect())
    }

    fn positional(self) -> Result<Vec<Argument>, ArgumentError> {
        self.no_keywords()?;
        Ok(self.args.into_iter().map(|value| Argument { name: None, value }).collect())
    }
}

impl<'de> Deserializer<'de> for Call {
    type Error = ArgumentError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgumentError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ArgumentError> {
        if name == ANY_CALL {
            let parts = [("args", Value::List(self.args)), ("kwargs", Value::Map(self.kwargs))];
            return visitor
                .visit_map(MapDeserializer::new(parts.map(|(k, value)| (k, Argument { name: None, value })).into_iter()));
        }
        visitor.visit_map(MapDeserializer::new(self.by_name(fields)?.into_iter()))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgumentError> {
        visitor.visit_seq(SeqDeserializer::new(self.positional()?.into_iter()))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, ArgumentError> {
        self.at_most(len)?;
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _: &'static str, len: usize, visitor: V) -> Result<V::Value, ArgumentError> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgumentError> {
        self.at_most(0)?;
        let named = self.kwargs.into_iter().map(|(name, value)| (name.clone(), Argument { name: Some(name), value }));
        visitor.visit_map(MapDeserializer::new(named))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgumentError> {
        self.at_most(0)?;
        self.no_keywords()?;
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ArgumentError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ArgumentError> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Pages {
        document: String,
        first: u32,
        #[serde(default)]
        last: Option<u32>,
    }

    fn kwargs(pairs: &[(&str, Value)]) -> Map {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect()
    }

    fn d1() -> Value {
        Value::from("d1")
    }

    #[test]
    fn positional_and_keyword_arguments_fill_the_same_struct() {
        let want = Pages { document: "d1".into(), first: 1, last: Some(25) };
        assert_eq!(bind::<Pages>(vec![d1(), 1.into(), 25.into()], Map::default()), Ok(want));
        let want = Pages { document: "d1".into(), first: 1, last: None };
        assert_eq!(bind::<Pages>(vec![d1()], kwargs(&[("first", 1.into())])), Ok(want));
    }

    #[test]
    fn errors_read_as_pythons() {
        let error = |args, kwargs| bind::<Pages>(args, kwargs).unwrap_err().to_string();
        assert_eq!(error(vec![d1()], Map::default()), "missing 1 required argument: 'first'");
        assert_eq!(
            error(vec![d1(), 1.into(), 2.into(), 3.into()], Map::default()),
            "takes 3 positional arguments but 4 were given"
        );
        assert_eq!(error(vec![d1()], kwargs(&[("document", d1())])), "got multiple values for argument 'document'");
        assert_eq!(error(vec![], kwargs(&[("dokument", d1())])), "got an unexpected keyword argument 'dokument'");
        assert!(
            error(vec![d1(), d1()], Map::default()).starts_with("argument 'first': "),
            "{}",
            error(vec![d1(), d1()], Map::default())
        );
    }

    #[test]
    fn tuples_units_and_any_call_bind_too() {
        assert_eq!(bind::<(i64, i64)>(vec![2.into(), 3.into()], Map::default()), Ok((2, 3)));
        assert_eq!(bind::<()>(vec![], Map::default()), Ok(()));
        assert!(bind::<()>(vec![1.into()], Map::default()).is_err());
        let call = bind::<Arguments>(vec![1.into()], kwargs(&[("x", 2.into())]));
        assert_eq!(call, Ok(Arguments { args: vec![1.into()], kwargs: kwargs(&[("x", 2.into())]) }));
    }
}

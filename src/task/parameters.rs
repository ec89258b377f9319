//! The names of a task's parameters, in their order, as its argument type tells them to serde.
//!
//! # Celery
//! `inspect.signature(task.run)`, by which a retry finds out which inherited argument a new one replaces.

use std::fmt;

use serde::Deserializer;
use serde::de::{self, DeserializeOwned, Visitor};

use super::arguments::ANY_CALL;

/// The fields of `T` if it is a struct of named fields; `None` for a tuple, for [`super::Arguments`], and whatever else has no names.
pub(super) fn names<T: DeserializeOwned>() -> Option<&'static [&'static str]> {
    match T::deserialize(Probe) {
        Err(Asked(fields)) => fields,
        Ok(_) => None,
    }
}

/// A deserializer that answers nothing and remembers what it was asked for.
struct Probe;

/// What it was asked for, as the error that ends the asking.
#[derive(Debug)]
struct Asked(Option<&'static [&'static str]>);

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a probe has no values")
    }
}

impl std::error::Error for Asked {}

impl de::Error for Asked {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(None)
    }
}

impl<'de> Deserializer<'de> for Probe {
    type Error = Asked;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Asked> {
        Err(Asked(None))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Asked> {
        Err(Asked((name != ANY_CALL).then_some(fields)))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct seq
        tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::super::Arguments;
    use super::names;

    #[derive(Deserialize)]
    #[allow(dead_code, reason = "only its names are read")]
    struct Pages {
        document: String,
        last: Option<u32>,
    }

    #[test]
    fn a_struct_tells_its_fields_and_nothing_else_has_names() {
        assert_eq!(names::<Pages>(), Some(&["document", "last"][..]));
        assert_eq!((names::<(u32, u32)>(), names::<()>(), names::<Arguments>()), (None, None, None));
    }
}

//! Times as they are written in results: RFC 3339 with `+00:00`, which Python's `fromisoformat` reads in every version.
//!
//! Use with `#[serde(with = "crate::timestamp")]`, or `crate::timestamp::option` for an optional field.

use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use serde::{Deserialize, Deserializer, Serializer};

/// The time as text; fractions of a second only where there are some.
pub fn format(at: &DateTime<Utc>) -> String {
    // Python before 3.11 reads three or six digits, not nine.
    at.trunc_subsecs(6).to_rfc3339_opts(SecondsFormat::AutoSi, false)
}

/// For `#[serde(with)]`.
pub fn serialize<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(at))
}

/// For `#[serde(with)]`; any RFC 3339 offset is read.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    DateTime::<Utc>::deserialize(deserializer)
}

/// The same for an optional time, `null` when there is none.
pub mod option {
    use super::{DateTime, Deserialize, Deserializer, Serializer, Utc};

    /// For `#[serde(with)]`.
    pub fn serialize<S: Serializer>(at: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => super::serialize(at, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// For `#[serde(with)]`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
        Option::<DateTime<Utc>>::deserialize(deserializer)
    }
}

//! What callers are told while a job runs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an event tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// All pages at once: the document was opened.
    Snapshot,
    /// One page: `{"n": 326, "s": "o", "ms": 2110, "attempt": 1}`.
    Page,
    /// A batch whose pages have all ended: `{"batch": 3, "ok": 24, "failed": 1}`.
    Batch,
    /// Another stage: `{"phase": "summary"}`.
    Phase,
    /// Another state: `{"status": "processing"}`.
    State,
    /// A line for people: `{"level": "info", "text": "…"}`.
    Log,
    /// The end: `{"status": "partial", "partial_reasons": […], "ms": 61200}`; `ms` since it was begun, null where it never was.
    End,
}

impl Kind {
    /// The name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Page => "page",
            Self::Batch => "batch",
            Self::Phase => "phase",
            Self::State => "state",
            Self::Log => "log",
            Self::End => "end",
        }
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Of which job.
    #[serde(rename = "j")]
    pub job_id: String,
    /// Of what.
    #[serde(rename = "k")]
    pub kind: Kind,
    /// What is told.
    #[serde(rename = "d")]
    pub data: Value,
}

/// An event with its place among all: later ones have greater ids, whatever job they are of.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Its place.
    pub id: EventId,
    /// What happened.
    pub event: Event,
}

/// The place of an event: milliseconds and a number within them, as Redis writes the ids of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub u64, pub u64);

impl EventId {
    /// When it happened, in milliseconds since 1970.
    pub const fn milliseconds(self) -> u64 {
        self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

impl FromStr for EventId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (ms, number) = text.split_once('-').unwrap_or((text, "0"));
        Ok(Self(ms.parse().map_err(drop)?, number.parse().map_err(drop)?))
    }
}

//! What lies on the wire: values, envelopes, task messages, signatures, states and exceptions, without I/O and without a clock.
//!
//! Everything here is a pure translation between bytes and types; time and fresh ids are handed in.
//!
//! # Celery
//! `app/amqp.py`, `kombu/serialization.py`, `kombu/utils/json.py`, `utils/saferepr.py` and the shapes of `backends/base.py`. Pickle and
//! yaml are refused for good: one runs code, the other is never the default.

pub mod body;
pub mod compression;
pub mod control_key;
pub mod envelope;
pub mod event;
pub mod exception;
pub(crate) mod glob;
pub mod headers;
pub mod json;
pub mod message;
pub mod meta;
pub mod pidbox;
pub mod repr;
pub mod serializer;
pub mod signature;
pub mod special;
pub mod state;
pub mod time;
pub mod trace;
pub mod value;

pub use body::Embed;
pub use compression::Compression;
pub use envelope::{DeliveryInfo, Envelope};
pub use exception::Exception;
pub use headers::{Headers, TimeLimit};
pub use message::{DecodeError, DecodeOptions, EncodeOptions, Message, Properties};
pub use meta::{Meta, ResultTuple, group_key, meta_key};
pub use serializer::Serializer;
pub use signature::Signature;
pub use state::State;
pub use time::Timestamp;
pub use trace::{TRACE_HEADERS, trace_headers};
pub use value::{Map, Value, ValueError, from_value, to_value};

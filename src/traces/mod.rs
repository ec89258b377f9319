//! Spans by OpenTelemetry: one for each task that is sent, one for each run. With the feature `otel`; without it, and where nobody asks for
//! spans, nothing is made, and the trace of a message passes on to what follows it as it came.
//!
//! # Celery
//! `opentelemetry-instrumentation-celery`: the names, kinds and attributes of its spans, and today's semantic conventions beside them.
//! Differences: a span of sending ends when its message is written, not when the broker has it; its metric `flower.task.runtime.seconds` is
//! not made, for `/metrics` has the runtime.

#[cfg(not(feature = "otel"))]
mod off;
#[cfg(feature = "otel")]
mod otel;

#[cfg(not(feature = "otel"))]
pub(crate) use self::off::Traces;
#[cfg(feature = "otel")]
pub use self::otel::Traces;
use crate::protocol::{Exception, TimeLimit};

/// Where a run takes place.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "otel"), allow(dead_code, reason = "nobody makes spans"))]
pub(crate) struct Place<'a> {
    /// The queue its message came from.
    pub(crate) queue: &'a str,
    /// The node that runs it.
    pub(crate) hostname: &'a str,
    pub(crate) timelimit: TimeLimit,
}

/// How a run went.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "otel"), allow(dead_code, reason = "nobody makes spans"))]
pub(crate) struct Ended<'a> {
    /// The state, as Celery names it.
    pub(crate) state: &'static str,
    /// What it failed with, and where.
    pub(crate) failure: Option<(&'a Exception, Option<&'a str>)>,
    /// Why it is to be retried.
    pub(crate) retry: Option<&'a Exception>,
}

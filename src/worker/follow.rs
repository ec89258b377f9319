//! What follows an outcome, as values: states to store, the chord part to report, messages to publish. Nothing is done here.
//!
//! # Celery
//! The order of `app/trace.py`: callbacks and the next link of the chain are made before the state, so that its `children` list them.

use std::time::Duration;

use chrono::Utc;

use super::settle::Ending;
use crate::app::App;
use crate::backend::Backend;
use crate::canvas::{self, Applied, Plan};
use crate::error::{Error, Result};
use crate::producer::{Producer, fresh_id};
use crate::protocol::exception::Exception;
use crate::protocol::meta::{ChordEntry, Extended, Meta, ResultTuple, group_key, meta_key, read_group_meta};
use crate::protocol::signature::Signature;
use crate::protocol::state::State;
use crate::protocol::time::Timestamp;
use crate::protocol::value::{Map, Value};
use crate::result::ResultOptions;
use crate::settlement::{ChordPart, Outgoing, Write};
use crate::task::outcome::{Failure, Outcome};
use crate::task::registry::Task;
use crate::task::request::RequestInfo;

/// What follows an outcome.
#[derive(Debug, Default)]
pub(super) struct Follow {
    pub(super) writes: Vec<Write>,
    pub(super) chord_part: Option<ChordPart>,
    pub(super) publish: Vec<Outgoing>,
}

/// A state to be stored, before it is a meta.
struct Ended<'a> {
    status: State,
    result: Value,
    traceback: Option<&'a str>,
    children: Vec<ResultTuple>,
}

/// Makes what follows.
#[derive(Debug)]
pub(super) struct Follower {
    producer: Producer,
    results: ResultOptions,
    nodename: String,
    ignore_result: bool,
    store_errors: bool,
    track_started: bool,
    extended: bool,
    ordered: bool,
    chord_ttl: Option<u64>,
    join_timeout: Duration,
}

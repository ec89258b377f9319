//! How the state of a task is stored: which states are wanted at all, and what stands in them.
//!
//! # Celery
//! `backends/base.py: _get_result_meta`, and `get_actual_ignore_result` of `app/task.py`.

use chrono::Utc;

use crate::app::App;
use crate::error::Result;
use crate::protocol::meta::{Extended, Meta, ResultTuple};
use crate::protocol::state::State;
use crate::protocol::time::Timestamp;
use crate::protocol::value::{Map, Value};
use crate::result::ResultOptions;
use crate::settlement::Write;
use crate::task::outcome::Failure;
use crate::task::registry::Task;
use crate::task::request::RequestInfo;

/// A state to be stored, before it is a meta.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: State,
    pub(super) result: Value,
    pub(super) traceback: Option<String>,
    pub(super) children: Vec<ResultTuple>,
}

impl Ended {
    /// A failure.
    pub(super) fn failed(failure: &Failure, children: Vec<ResultTuple>) -> Self {
        Self { status: State::Failure, result: failure.exception.to_value(), traceback: failure.traceback.clone(), children }
    }
}

/// Makes the writes of states.
#[derive(Debug)]
pub(super) struct States {
    pub(super) results: ResultOptions,
    nodename: String,
    ignore_result: bool,
    store_errors: bool,
    track_started: bool,
    extended: bool,
}

impl States {
    pub(super) fn new(app: &App, nodename: &str) -> Self {
        let settings = app.settings();
        Self {
            results: app.result_options(),
            nodename: nodename.to_owned(),
            ignore_result: settings.task_ignore_result,
            store_errors: settings.task_store_errors_even_if_ignored,
            track_started: settings.task_track_started,
            extended: settings.result_extended,
        }
    }

    /// Whether states are stored compressed.
    pub(super) fn compresses(&self) -> bool {
        self.results.compression.is_some()
    }

    /// Whether this is the stored state of a task that succeeded.
    pub(super) fn is_success(&self, stored: Option<&[u8]>) -> bool {
        stored.and_then(|data| self.results.decode(data).ok()).is_some_and(|meta| meta.status == State::Success)
    }

    /// Stores `STARTED`, if the task wants it.
    pub(super) fn started(&self, info: &RequestInfo, task: &Task) -> Option<Write> {
        if !task.options.track_started.unwrap_or(self.track_started) || self.ignored(info, Some(task)) {
            return None;
        }
        let result = Map::from_iter([
            ("pid".to_owned(), Value::Int(i64::from(std::process::id()))),
            ("hostname".to_owned(), Value::from(&self.nodename)),
        ]);
        let ended = Ended { status: State::Started, result: Value::Map(result), traceback: None, children: Vec::new() };
        self.state(info, ended).ok()
    }

    /// The write of a state.
    pub(super) fn state(&self, info: &RequestInfo, ended: Ended) -> Result<Write> {
        let Ended { status, result, traceback, children } = ended;
        let headers = &info.message.headers;
        let done = matches!(status, State::Success | State::Failure | State::Revoked);
        self.results.state(&Meta {
            traceback,
            children: Some(children),
            date_done: done.then(|| Timestamp::utc(Utc::now())),
            extended: self.extended.then(|| Box::new(self.extended(info))),
            group_id: headers.group.clone(),
            parent_id: headers.parent_id.clone(),
            ..Meta::new(info.id(), status, result)
        })
    }

    fn extended(&self, info: &RequestInfo) -> Extended {
        let headers = &info.message.headers;
        Extended {
            name: headers.task.clone(),
            args: Value::List(info.message.args.clone()),
            kwargs: Value::Map(info.message.kwargs.clone()),
            worker: self.nodename.clone(),
            retries: headers.retries,
            queue: Some(info.queue.clone()),
            stamps: headers.stamped_headers.clone().map(|names| (names, headers.stamps.clone())),
        }
    }

    /// Whether a result is wanted: as the caller says, else the task, else the settings.
    pub(super) fn ignored(&self, info: &RequestInfo, task: Option<&Task>) -> bool {
        let own = || task.and_then(|task| task.options.ignore_result).unwrap_or(self.ignore_result);
        info.message.headers.ignore_result.unwrap_or_else(own)
    }

    /// Whether a failure is stored even where results are not.
    pub(super) fn stores_errors(&self, task: Option<&Task>) -> bool {
        task.and_then(|task| task.options.store_errors_even_if_ignored).unwrap_or(self.store_errors)
    }
}

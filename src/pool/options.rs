//! What a pool of children and a single call can be told.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::child::CHILD_ARGUMENT;
use super::error::Failure;
use super::sandbox::Sandbox;

/// How children are started, limited and replaced.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ChildPoolOptions {
    /// The program that becomes a child: normally this very one.
    pub program: PathBuf,
    /// Its arguments; they must lead its `main` to [`super::child_main`].
    pub args: Vec<OsString>,
    /// Environment of the children. They inherit nothing: what parses hostile input shall not hold the worker's keys.
    pub envs: Vec<(OsString, OsString)>,
    /// Whether children inherit the worker's environment after all (whole tasks run isolated, as Celery's prefork).
    pub inherit_environment: bool,
    /// How many children at most; they start when they are first needed.
    pub size: usize,
    /// A child is replaced after so many calls (`worker_max_tasks_per_child`).
    pub max_tasks_per_child: Option<u64>,
    /// A child whose resident memory is above this after a call is replaced, KiB (`worker_max_memory_per_child`).
    pub max_memory_per_child: Option<u64>,
    /// What a child may do once its functions are set up.
    pub sandbox: Sandbox,
    /// What the functions' factories are given.
    pub settings: Settings,
    /// Added to the child's nice value; positive leaves the processor to the worker.
    pub nice: i32,
    /// The largest arguments or value of one call, bytes.
    pub max_frame: u64,
    /// How long a child may take to set its functions up.
    pub start_timeout: Duration,
}

impl ChildPoolOptions {
    /// Children of `program`, started with [`CHILD_ARGUMENT`]; `size` of them at most.
    pub fn new(program: impl Into<PathBuf>, size: usize) -> Self {
        Self {
            program: program.into(),
            args: vec![CHILD_ARGUMENT.into()],
            envs: Vec::new(),
            inherit_environment: false,
            size,
            max_tasks_per_child: None,
            max_memory_per_child: None,
            sandbox: Sandbox::strict(),
            settings: Settings::default(),
            nice: 0,
            max_frame: 64 << 20,
            start_timeout: Duration::from_secs(30),
        }
    }

    /// Children of the running program itself; works even after its file was replaced by a newer one.
    pub fn this_program(size: usize) -> Self {
        Self::new("/proc/self/exe", size)
    }
}

/// Settings for the functions of a child, each under a key of its own.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Settings(BTreeMap<String, bytes::Bytes>);

impl Settings {
    /// Adds a setting; its factory reads it with [`super::Setup::get`].
    pub fn with<T: Serialize>(mut self, key: &str, value: &T) -> Result<Self, Failure> {
        let encoded = rmp_serde::to_vec_named(value)?;
        self.0.insert(key.to_owned(), encoded.into());
        Ok(self)
    }

    pub(super) fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Failure> {
        let decode = |encoded: &bytes::Bytes| {
            rmp_serde::from_slice(encoded).map_err(|error| Failure::new("ImproperlyConfigured", format!("setting {key}: {error}")))
        };
        self.0.get(key).map(decode).transpose()
    }
}

/// What one call can be told.
#[derive(Debug, Clone, Default)]
pub struct CallOptions {
    /// Calls with the same key go to the child that served it last, if that one is idle: it may have kept things open.
    pub affinity: Option<String>,
    /// The child is killed when the call has run (not waited) so long.
    pub time_limit: Option<Duration>,
    /// Cancelling it ends the call at once, and kills its child if it has begun; dropping the call does the same.
    pub cancel: Option<CancellationToken>,
}

impl CallOptions {
    /// Sets [`Self::affinity`].
    #[must_use]
    pub fn affinity(mut self, key: impl Into<String>) -> Self {
        self.affinity = Some(key.into());
        self
    }

    /// Sets [`Self::time_limit`].
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// Sets [`Self::cancel`].
    #[must_use]
    pub fn cancel(mut self, token: CancellationToken) -> Self {
        self.cancel = Some(token);
        self
    }
}

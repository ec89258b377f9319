//! Results: what a caller holds of a task or canvas it sent, and how states are kept in the backend.
//!
//! [`AsyncResult`] is what sending anything gives; where a group was sent (or a canvas ends in one), [`AsyncResult::group`] is the
//! [`GroupResult`]. Neither holds a state: every question reads the backend, every wait is a subscription there.
//!
//! # Celery
//! `result.py`. Differences: `ResultSet` and `GroupResult` are one type; what a task failed with is a value ([`GetError`]), not a raise.

mod async_result;
mod error;
mod group;
mod options;
mod wait;

use std::sync::Arc;

use crate::backend::Backend;
use crate::control::Control;
use crate::error::Result;
use crate::protocol::meta::{Meta, meta_key};
use crate::spill::Spill;

pub use self::async_result::AsyncResult;
pub use self::error::{GetError, TaskFailure};
pub use self::group::GroupResult;
pub use self::options::ResultOptions;

/// Where results are asked for. Clones are cheap.
#[derive(Debug, Clone)]
pub struct Results {
    backend: Arc<dyn Backend>,
    options: ResultOptions,
    control: Control,
    spill: Option<Spill>,
}

impl Results {
    /// Results of this backend, written and read so, of tasks that are revoked by this control.
    pub fn new(backend: Arc<dyn Backend>, options: ResultOptions, control: Control) -> Self {
        Self { backend, options, control, spill: None }
    }

    /// Reads large results where they are kept.
    pub(crate) fn spilled(self, spill: Option<Spill>) -> Self {
        Self { spill, ..self }
    }

    /// What is stored of each of these tasks, in their order; one read for all.
    async fn metas(&self, task_ids: &[&str]) -> Result<Vec<Option<Meta>>> {
        let keys: Vec<String> = task_ids.iter().map(|id| meta_key(id)).collect();
        let stored = self.backend.get(&keys).await?;
        stored.into_iter().map(|data| data.map(|data| self.options.decode(&data)).transpose()).collect()
    }
}

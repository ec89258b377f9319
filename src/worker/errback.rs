//! Calls new-style errbacks: in this worker, one after the other, before what follows the failure is settled, so that a crash in between
//! calls them again rather than never.
//!
//! # Celery
//! `_call_task_errbacks` of `backends/base.py`: one that raises is logged, and the next is called. Difference: the errback's own hard time
//! limit holds (Celery has none there).

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;

use crate::protocol::signature::Signature;
use crate::task::arguments::Arguments;
use crate::task::context::{Context, Environment, Stops};
use crate::task::errback::FailedCall;

/// One call to be made.
#[derive(Debug, Clone)]
pub(super) struct ErrbackCall {
    pub(super) errback: Signature,
    pub(super) failed: FailedCall,
}

/// Makes the calls.
#[derive(Debug)]
pub(super) struct Errbacks {
    environment: Arc<Environment>,
}

impl Errbacks {
    pub(super) fn new(environment: Arc<Environment>) -> Self {
        Self { environment }
    }

    /// Makes the calls, each to its end.
    pub(super) async fn call(&self, calls: Vec<ErrbackCall>) {
        for ErrbackCall { errback, failed } in calls {
            if let Err(reason) = self.call_one(&errback, failed).await {
                tracing::error!("Errback '{}' raised an exception: {reason}", errback.task);
            }
        }
    }

    async fn call_one(&self, errback: &Signature, failed: FailedCall) -> Result<(), String> {
        let task = self.environment.registry.get(&errback.task);
        let Some((task, code)) = task.and_then(|task| Some((task, task.errback.as_ref()?))) else { return Ok(()) };
        let context = Context::new(failed.request.clone(), Arc::clone(&self.environment), Stops::default());
        let call = Arguments { args: errback.args.clone(), kwargs: errback.kwargs.clone() };
        let run = AssertUnwindSafe(code.call(context, failed, call)).catch_unwind();
        let ended = match task.options.time_limit {
            Some(limit) => tokio::time::timeout(limit, run).await.map_err(|_| format!("no end within {limit:?}"))?,
            None => run.await,
        };
        match ended {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.into_failure().map_or_else(
                || "it can be neither retried, replaced nor rejected".to_owned(),
                |failure| failure.traceback.unwrap_or_else(|| failure.exception.to_string()),
            )),
            Err(_) => Err("it panicked".to_owned()),
        }
    }
}

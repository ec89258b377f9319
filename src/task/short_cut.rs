//! A task's short cut: what its author can say of a message before it waits for a turn or a slot.
//!
//! # Celery
//! The `task_prerun` signal and revoking by stamps come near, and need a slot, or the ids of all.

use std::fmt;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::arguments::bind;
use super::context::Context;
use crate::protocol::value::{Value, to_value};

type Asked = dyn Fn(Context) -> BoxFuture<'static, Option<Value>> + Send + Sync;

/// Knows the results of some calls without running them.
#[derive(Clone)]
pub struct ShortCut(Arc<Asked>);

impl ShortCut {
    /// A call whose arguments do not fit, or whose answer cannot be written, is run: the run says so.
    pub(super) fn new<F, A, R, Fut>(answer: F) -> Self
    where
        F: Fn(Context, A) -> Fut + Send + Sync + 'static,
        A: DeserializeOwned,
        R: Serialize,
        Fut: Future<Output = Option<R>> + Send + 'static,
    {
        Self(Arc::new(move |context: Context| {
            let message = &context.request().message;
            let arguments = bind::<A>(message.args.clone(), message.kwargs.clone()).ok();
            let answer = arguments.map(|arguments| answer(context, arguments));
            async move { to_value(&answer?.await?).ok() }.boxed()
        }))
    }

    pub(crate) async fn answer(&self, context: Context) -> Option<Value> {
        (self.0)(context).await
    }
}

impl fmt::Debug for ShortCut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShortCut")
    }
}

impl PartialEq for ShortCut {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

//! Remote control commands that an app's author adds.
//!
//! # Celery
//! `control_command` and `inspect_command` of `worker/control.py`: on the wire they are the same.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Serialize;

use crate::protocol::exception::Exception;
use crate::protocol::value::{Map, Value, to_value};

type Function = dyn Fn(ControlCall) -> BoxFuture<'static, Result<Value, Exception>> + Send + Sync;

/// One call of a remote control command.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlCall {
    /// The node that was called.
    pub nodename: String,
    /// The keyword arguments.
    pub arguments: Map,
}

/// Commands, by name.
#[derive(Clone, Default)]
pub(crate) struct Commands(HashMap<String, Arc<Function>>);

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Commands {
    /// Adds one.
    pub(crate) fn add<F, R, Fut>(&mut self, name: &str, function: F)
    where
        F: Fn(ControlCall) -> Fut + Send + Sync + 'static,
        R: Serialize + 'static,
        Fut: Future<Output = Result<R, Exception>> + Send + 'static,
    {
        let call = move |call: ControlCall| {
            let answer = function(call);
            let value = async move { to_value(&answer.await?).map_err(|error| Exception::encode_error(error.to_string())) };
            value.boxed()
        };
        self.0.insert(name.to_owned(), Arc::new(call));
    }

    /// Whether one of this name is here.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Calls one, if it is here.
    pub(crate) fn call(&self, name: &str, call: ControlCall) -> Option<BoxFuture<'static, Result<Value, Exception>>> {
        self.0.get(name).map(|function| function(call))
    }
}

//! The pool as its callers see it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::dispatch::{Dispatcher, Request};
use super::ends::Ends;
use super::error::CallError;
use super::frame::{self, CallHead};
use super::function::Isolated;
use super::options::{CallOptions, ChildPoolOptions};
use super::process::Job;

/// Runs isolated functions in child processes.
///
/// Calls wait, first come first served, for an idle child; children start when they are needed, up to the pool's size. A
/// child serves one call at a time. Its death is an error of that call alone. Dropping the pool kills its children.
///
/// The pool's task starts with its first call, which must be made inside a tokio runtime.
#[derive(Debug)]
pub struct ChildPool {
    options: Arc<ChildPoolOptions>,
    next_job: AtomicU64,
    state: Mutex<State>,
    ends: Arc<Ends>,
}

#[derive(Debug)]
enum State {
    /// No call was made yet.
    Resting,
    Running {
        requests: mpsc::UnboundedSender<Request>,
        dispatcher: JoinSet<()>,
    },
    Closed,
}

/// A child as `inspect` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildInfo {
    /// Its process id.
    pub pid: u32,
    /// Calls it has served.
    pub runs: u64,
    /// The function it is running now.
    pub running: Option<String>,
    /// Parts of its sandbox that this kernel does not give.
    pub missing: Vec<String>,
}

impl ChildPool {
    /// A pool without children yet.
    pub fn new(options: ChildPoolOptions) -> Self {
        Self { options: Arc::new(options), next_job: AtomicU64::new(0), state: Mutex::new(State::Resting), ends: Arc::default() }
    }

    /// Calls `function` in a child. Dropping the future kills the child if the call has begun.
    pub fn call<'p, A, R>(
        &'p self,
        function: &Isolated<A, R>,
        args: A,
        options: CallOptions,
    ) -> impl Future<Output = Result<R, CallError>> + Send + use<'p, A, R>
    where
        A: Serialize,
        R: DeserializeOwned,
    {
        // Encoded here, so that the future holds neither the key nor the arguments.
        let encoded = self.encode(function.name(), &args);
        async move {
            let value = self.answer(encoded?, options).await?;
            rmp_serde::from_slice(&value).map_err(|error| CallError::Codec(format!("value: {error}")))
        }
    }

    /// The children that live, oldest first.
    pub async fn children(&self) -> Vec<ChildInfo> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Inspect(reply));
        answer.await.unwrap_or_default()
    }

    /// How often children ended, by the reason: `retired`, `killed`, `died`.
    pub fn ended(&self) -> Vec<(&'static str, u64)> {
        self.ends.all()
    }

    /// Changes how many children there may be; those too many end when they are idle.
    pub fn resize(&self, size: usize) {
        if let Ok(requests) = self.requests() {
            let _ = requests.send(Request::Resize(size));
        }
    }

    /// Replaces every child: an idle one now, one that works when its call has ended. None is started before it is needed.
    pub fn restart(&self) {
        self.ask(Request::Restart);
    }

    /// Ends the pool: calls that wait fail at once with [`CallError::Closed`], those that run have until `grace` has passed.
    /// Every child is gone when this returns.
    pub async fn close(&self, grace: Duration) {
        let state = std::mem::replace(&mut *self.state(), State::Closed);
        if let State::Running { requests, mut dispatcher } = state {
            let _ = requests.send(Request::Close(grace));
            while dispatcher.join_next().await.is_some() {}
        }
    }

    fn encode(&self, function: &str, args: impl Serialize) -> Result<Call, CallError> {
        let head = CallHead { function: function.to_owned() };
        let frame = frame::with_payload(&head, &args).map_err(|error| CallError::Codec(format!("arguments: {error}")))?;
        let (bytes, limit) = (frame::body_len(&frame), self.options.max_frame);
        if bytes > limit {
            return Err(CallError::TooLarge { bytes, limit });
        }
        Ok(Call { function: head.function, frame })
    }

    async fn answer(&self, call: Call, options: CallOptions) -> Result<Bytes, CallError> {
        let (reply, answer) = oneshot::channel();
        let job = Job {
            id: self.next_job.fetch_add(1, Ordering::Relaxed),
            function: call.function,
            frame: call.frame,
            affinity: options.affinity,
            time_limit: options.time_limit,
            reply,
            passed: 0,
        };
        self.requests()?.send(Request::Call(job)).map_err(|_| CallError::Closed)?;
        let cancelled = async {
            match options.cancel {
                Some(token) => token.cancelled_owned().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // An answer that is there counts, cancelled or not.
            biased;
            answer = answer => answer.map_err(|_| CallError::Closed)?,
            () = cancelled => Err(CallError::Cancelled),
        }
    }

    fn ask(&self, request: Request) {
        if let State::Running { requests, .. } = &*self.state() {
            let _ = requests.send(request);
        }
    }

    fn requests(&self) -> Result<mpsc::UnboundedSender<Request>, CallError> {
        let mut state = self.state();
        if matches!(*state, State::Resting) {
            let (requests, received) = mpsc::unbounded_channel();
            let mut dispatcher = JoinSet::new();
            dispatcher.spawn(Dispatcher::new(Arc::clone(&self.options), Arc::clone(&self.ends)).run(received));
            *state = State::Running { requests, dispatcher };
        }
        match &*state {
            State::Running { requests, .. } => Ok(requests.clone()),
            State::Resting | State::Closed => Err(CallError::Closed),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the state whole: it is replaced in one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is encoded and not yet sent.
struct Call {
    function: String,
    frame: Vec<u8>,
}

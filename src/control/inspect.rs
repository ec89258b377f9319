//! What workers say of themselves.
//!
//! # Celery
//! `app/control.py: Inspect`. Difference: nobody's answer is an empty map, not `None`.

use std::time::Duration;

use super::{CallOptions, Control, Matcher};
use crate::error::Result;
use crate::protocol::{Map, Value};

/// Asks workers, and returns what each answered, by node.
///
/// ```no_run
/// # async fn example(app: celeriac::app::App) -> celeriac::Result<()> {
/// let active = app.control().inspect().destination(["celery@web1"]).active().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Inspect {
    control: Control,
    options: CallOptions,
}

impl Inspect {
    pub(super) fn new(control: Control, options: CallOptions) -> Self {
        Self { control, options }
    }

    /// Asks these nodes only, and waits no longer than until all of them have answered.
    #[must_use]
    pub fn destination<I: IntoIterator<Item: Into<String>>>(mut self, nodes: I) -> Self {
        self.options.destination = nodes.into_iter().map(Into::into).collect();
        self
    }

    /// Asks the nodes whose names fit.
    #[must_use]
    pub fn pattern(mut self, pattern: impl Into<String>, matcher: Matcher) -> Self {
        self.options.pattern = Some((pattern.into(), matcher));
        self
    }

    /// How long answers are waited for; a second, if it is not said.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// After how many answers no more are waited for.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.options.limit = Some(limit);
        self
    }

    /// Any command, one of an app's own among them ([`crate::app::AppBuilder::control_command`]).
    pub async fn request<I>(&self, command: &str, arguments: I) -> Result<Map>
    where
        I: IntoIterator<Item = (&'static str, Value)>,
    {
        let arguments = arguments.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.control.call(command, arguments, &self.options).await
    }

    /// Who is there: `{"ok": "pong"}`.
    pub async fn ping(&self) -> Result<Map> {
        self.request("ping", []).await
    }

    /// The tasks that run.
    pub async fn active(&self) -> Result<Map> {
        self.request("active", [("safe", Value::Null)]).await
    }

    /// The tasks that wait for their time.
    pub async fn scheduled(&self) -> Result<Map> {
        self.request("scheduled", []).await
    }

    /// The tasks that were taken and not begun.
    pub async fn reserved(&self) -> Result<Map> {
        self.request("reserved", []).await
    }

    /// Figures of the worker and its pool.
    pub async fn stats(&self) -> Result<Map> {
        self.request("stats", []).await
    }

    /// The ids of revoked tasks.
    pub async fn revoked(&self) -> Result<Map> {
        self.request("revoked", []).await
    }

    /// The tasks' names, with these attributes where they are set.
    pub async fn registered(&self, attributes: &[String]) -> Result<Map> {
        self.request("registered", [("taskinfoitems", attributes.to_vec().into())]).await
    }

    /// The queues that are consumed.
    pub async fn active_queues(&self) -> Result<Map> {
        self.request("active_queues", []).await
    }

    /// What is known of these tasks: their state and the task, by id.
    pub async fn query_task(&self, task_ids: &[String]) -> Result<Map> {
        self.request("query_task", [("ids", task_ids.to_vec().into())]).await
    }

    /// The settings.
    pub async fn conf(&self, with_defaults: bool) -> Result<Map> {
        self.request("conf", [("with_defaults", with_defaults.into())]).await
    }

    /// The logical clock.
    pub async fn clock(&self) -> Result<Map> {
        self.request("clock", []).await
    }

    /// A text with versions and settings, for bug reports.
    pub async fn report(&self) -> Result<Map> {
        self.request("report", []).await
    }

    /// Introduces a node to the others, and returns what they know: their clock, and the ids of revoked tasks.
    pub async fn hello(&self, from_node: &str, revoked: Value) -> Result<Map> {
        self.request("hello", [("from_node", from_node.into()), ("revoked", revoked)]).await
    }
}

//! A command whose replies are waited for.
//!
//! # Celery
//! kombu's `Mailbox._broadcast` with `reply=True`, and `flatten_reply`.

use std::time::Duration;

use chrono::Utc;
use tokio::time::{Instant, timeout_at};

use super::Control;
use crate::broker::Listener;
use crate::error::Result;
use crate::producer::fresh_id;
use crate::protocol::pidbox::{Reply, ReplyTo, Request};
use crate::protocol::{Map, Value};

/// How a pattern of node names is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matcher {
    /// As a shell's: `worker*@web?`.
    Glob,
    /// A regular expression that fits from the name's beginning.
    Pcre,
}

impl Matcher {
    fn as_str(self) -> &'static str {
        match self {
            Self::Glob => "glob",
            Self::Pcre => "pcre",
        }
    }
}

/// Who is asked, and how long the replies are waited for.
#[derive(Debug, Clone, PartialEq)]
pub struct CallOptions {
    /// The nodes; none: all, unless there is a pattern.
    pub destination: Vec<String>,
    /// Which nodes, by a pattern.
    pub pattern: Option<(String, Matcher)>,
    /// How long replies are waited for.
    pub timeout: Duration,
    /// After how many replies no more are waited for; with a destination as many as there are nodes in it.
    pub limit: Option<usize>,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self { destination: Vec::new(), pattern: None, timeout: Duration::from_secs(1), limit: None }
    }
}

impl CallOptions {
    /// How many replies can come when so many have heard the request. Which of them fit a pattern is only known to themselves.
    fn most(&self, heard: usize) -> usize {
        let named = if self.destination.is_empty() { usize::MAX } else { self.destination.len() };
        self.limit.unwrap_or(named).min(heard)
    }
}

impl Control {
    /// Sends a command and returns what each node answered; empty: nobody did.
    ///
    /// ```no_run
    /// # async fn example(app: celeriac::app::App) -> celeriac::Result<()> {
    /// use celeriac::control::CallOptions;
    /// use celeriac::protocol::Map;
    ///
    /// let replies = app.control().call("ping", Map::default(), &CallOptions::default()).await?;
    /// for (node, reply) in &replies {
    ///     println!("{node}: {reply}");
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn call(&self, method: &str, arguments: Map, options: &CallOptions) -> Result<Map> {
        self.call_each(method, arguments, options, |_, _| {}).await
    }

    /// As [`Control::call`], and hands over each reply when it comes.
    pub async fn call_each<F>(&self, method: &str, arguments: Map, options: &CallOptions, each: F) -> Result<Map>
    where
        F: FnMut(&str, &Value) + Send,
    {
        let (exchange, oid) = (format!("reply.{}", self.exchange), fresh_id());
        let queue = format!("{oid}.{exchange}");
        self.broker.bind(&exchange, &oid, &queue, self.expires).await?;
        let request = Request {
            method: method.to_owned(),
            arguments,
            destination: options.destination.clone(),
            pattern: options.pattern.as_ref().map(|(pattern, matcher)| (pattern.clone(), matcher.as_str().to_owned())),
            ticket: Some(fresh_id()),
            reply_to: Some(ReplyTo { exchange: exchange.clone(), routing_key: oid.clone() }),
            clock: 0,
        };
        let replies = self.ask(request, options, &queue, each).await;
        // Whatever came of it, the queue is not left behind; a later failure does not hide an earlier one.
        let unbound = self.broker.unbind(&exchange, &oid, &queue).await;
        let replies = replies?;
        unbound.map(|()| replies)
    }

    async fn ask<F>(&self, request: Request, options: &CallOptions, queue: &str, mut each: F) -> Result<Map>
    where
        F: FnMut(&str, &Value) + Send,
    {
        let deadline = Instant::now() + options.timeout;
        let ticket = request.ticket.clone();
        #[allow(clippy::cast_precision_loss, reason = "a time of this century is exact to the microsecond")]
        let expires = Utc::now().timestamp_micros() as f64 / 1e6 + options.timeout.as_secs_f64();
        let mut replies = self.broker.replies(queue).await?;
        let most = options.most(self.send(request, Some(expires)).await?);
        let mut nodes = Map::default();
        for _ in 0..most {
            let Some(reply) = self.next_reply(&mut *replies, ticket.as_deref(), deadline).await? else { break };
            for (node, value) in reply.nodes {
                each(&node, &value);
                if nodes.insert(node.clone(), value).is_some() {
                    tracing::warn!(
                        "Received multiple replies from node name: {node}. Please give each node a unique name with -n."
                    );
                }
            }
        }
        Ok(nodes)
    }

    /// The next reply to this ticket; `None` when the time is over.
    async fn next_reply(&self, replies: &mut dyn Listener, ticket: Option<&str>, deadline: Instant) -> Result<Option<Reply>> {
        loop {
            let Ok(heard) = timeout_at(deadline, replies.next()).await else { return Ok(None) };
            let Some(envelope) = heard? else { return Ok(None) };
            match Reply::decode(&envelope, &self.decode) {
                Ok(reply) => {
                    self.clock.adjust(reply.clock);
                    if reply.ticket.is_none() || reply.ticket.as_deref() == ticket {
                        return Ok(Some(reply));
                    }
                }
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "cannot read a reply"),
            }
        }
    }
}

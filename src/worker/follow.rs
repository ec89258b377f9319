//! What follows an outcome, as values: states to store, chord parts to report, messages to publish. Nothing is done here.
//!
//! # Celery
//! The order of `app/trace.py`: callbacks and the next link of the chain are made before the state, so that its `children` list them.

use std::sync::Arc;

use chrono::Utc;

use super::errback::ErrbackCall;
use super::settle::Ending;
use super::states::{Ended, States};
use crate::app::App;
use crate::canvas::{self, Applied, ChordFailure, Failed, FailedTask, Part, Plan, Told, limits};
use crate::error::{Error, Result};
use crate::producer::{Producer, fresh_id};
use crate::protocol::event::Event;
use crate::protocol::exception::Exception;
use crate::protocol::headers::TimeLimit;
use crate::protocol::message::Message;
use crate::protocol::meta::{ChordEntry, ResultTuple, decode_stored, read_group_meta};
use crate::protocol::signature::Signature;
use crate::protocol::state::State;
use crate::protocol::time::Timestamp;
use crate::protocol::trace::trace_headers;
use crate::protocol::value::Value;
use crate::settlement::{ChordPart, Outgoing, Write};
use crate::task::errback::FailedCall;
use crate::task::outcome::{Failure, Outcome};
use crate::task::registry::Registry;
use crate::task::request::RequestInfo;
use crate::task::retry::Retry;

/// No stored group structure is larger than this.
const MAX_STRUCTURE: usize = 64 << 20;

/// What follows an outcome.
#[derive(Debug, Clone, Default)]
pub(super) struct Follow {
    pub(super) writes: Vec<Write>,
    pub(super) parts: Vec<Report>,
    pub(super) publish: Vec<Outgoing>,
    /// What tells that these were sent.
    pub(super) sent: Vec<Event>,
    /// New-style errbacks, to be called here before the rest is settled.
    pub(super) calls: Vec<ErrbackCall>,
}

impl Follow {
    /// Both, one after the other.
    pub(super) fn append(&mut self, other: Self) {
        self.writes.extend(other.writes);
        self.parts.extend(other.parts);
        self.publish.extend(other.publish);
        self.sent.extend(other.sent);
        self.calls.extend(other.calls);
    }
}

/// A chord part to be counted, and the chord it belongs to.
#[derive(Debug, Clone)]
pub(super) struct Report {
    pub(super) part: Part,
    pub(super) count: ChordPart,
}

/// Makes what follows.
#[derive(Debug)]
pub(super) struct Follower {
    producer: Producer,
    registry: Arc<Registry>,
    states: States,
    nodename: String,
    inherit_priority: bool,
    ordered: bool,
    chord_ttl: Option<u64>,
    claim_s: u64,
}

impl Follower {
    pub(super) fn new(app: &App, nodename: &str) -> Self {
        let settings = app.settings();
        Self {
            producer: app.producer().clone(),
            registry: Arc::clone(app.registry()),
            states: States::new(app, nodename),
            nodename: nodename.to_owned(),
            inherit_priority: settings.task_inherit_parent_priority,
            ordered: settings.result_backend_transport_options.result_chord_ordered,
            chord_ttl: settings.chord_lifetime().map(|lifetime| lifetime.as_secs()),
            // Celery's: twice the join timeout, 5 s at least.
            claim_s: (settings.result_chord_join_timeout.as_f64() * 2.0).max(5.0) as u64,
        }
    }

    /// How states are written.
    pub(super) fn states(&self) -> &States {
        &self.states
    }

    /// Tells that what followed was sent.
    pub(super) async fn tell_sent(&self, sent: &[Event]) {
        self.producer.tell_sent(sent).await;
    }

    /// How long a claim of a complete chord lasts.
    pub(super) fn claim_s(&self) -> u64 {
        self.claim_s
    }

    /// Whether a chord's entries are in order of their index.
    pub(super) fn ordered(&self) -> bool {
        self.ordered
    }

    /// What follows a run.
    pub(super) fn follow(&self, ending: &Ending<'_>) -> Result<Follow> {
        let Ending { info, task, .. } = ending;
        let children = ending.children.clone();
        let stored = !self.states.ignored(info, *task);
        match &ending.outcome {
            Outcome::Success(value) => {
                let kept = ending.spilled.as_ref().unwrap_or(value);
                let mut follow = self.success(info, (value, kept), children, stored)?;
                self.grow_chord(&mut follow, info, &ending.added)?;
                Ok(follow)
            }
            Outcome::Failure(failure) => self.failure(info, failure, children, stored || self.states.stores_errors(*task)),
            Outcome::Reject { requeue: false, reason } => {
                let failure = Failure::new(Exception::reject(Value::from(reason)));
                self.failure(info, &failure, children, stored || self.states.stores_errors(*task))
            }
            Outcome::Retry(retry) => self.retry(info, retry, stored || self.states.stores_errors(*task)),
            Outcome::Replace(signature) => {
                let mut follow = Follow::default();
                let plan = canvas::replace(&info.message, (**signature).clone(), &self.applied(info), &mut fresh_id)?;
                self.add(&mut follow, &plan)?;
                Ok(follow)
            }
            Outcome::Revoked(reason) => self.revoked(info, reason),
            Outcome::Reject { requeue: true, .. } | Outcome::Lost(_) | Outcome::Ignore | Outcome::Abandoned => {
                Ok(Follow::default())
            }
        }
    }

    /// What follows when what should have followed cannot be made (a callback that is no signature): the task has failed.
    pub(super) fn cannot_follow(&self, ending: &Ending<'_>, error: &Error) -> Follow {
        tracing::error!("Task {}[{}]: what follows it cannot be made: {error}", ending.info.task(), ending.info.id());
        let failure = Failure::new(match error {
            Error::TooLarge { message } => Exception::too_large(message),
            other => Exception::runtime_error(other.to_string()),
        });
        self.failure(ending.info, &failure, Vec::new(), true).unwrap_or_else(|_| Follow {
            writes: self.failure_only(ending.info, &failure),
            parts: self.own_part(ending.info, &failure).ok().flatten().into_iter().collect(),
            ..Follow::default()
        })
    }

    /// The state of a failure, and nothing else.
    pub(super) fn failure_only(&self, info: &RequestInfo, failure: &Failure) -> Vec<Write> {
        self.states.state(info, Ended::failed(failure, Vec::new())).into_iter().collect()
    }

    /// The state of a run whose message was acked early and that was cut off: Celery's word for it is `RETRY`, though nobody will.
    pub(super) fn cut_off(&self, info: &RequestInfo) -> Vec<Write> {
        let exception = Exception::retry("cold shutdown");
        let ended = Ended { status: State::Retry, result: exception.to_value(), traceback: None, children: Vec::new() };
        self.states.state(info, ended).into_iter().collect()
    }

    /// The parts of a complete header, from what the backend holds of it.
    pub(super) fn entries(&self, entries: &[Vec<u8>]) -> Result<Vec<ChordEntry>, Box<ChordFailure>> {
        let entry = |data: &Vec<u8>| ChordEntry::from_value(self.states.results.serializer.read(data)?);
        entries.iter().map(entry).collect::<Result<Vec<_>>>().map_err(unjoined)
    }

    /// Their values, as the stored structure says.
    pub(super) fn join(&self, entries: Result<Vec<ChordEntry>>, structure: Option<&[u8]>) -> Result<Vec<Value>, Box<ChordFailure>> {
        let entries = entries.map_err(unjoined)?;
        let read = |data: &[u8]| decode_stored(data, self.states.results.serializer, MAX_STRUCTURE);
        let structure = structure.map(read).transpose().map_err(unjoined)?;
        canvas::join(&entries, structure.as_ref().and_then(read_group_meta).as_ref()).map_err(Box::new)
    }

    /// What follows a complete chord: its body with the values, or everything that fails with it. It always follows: what cannot be made
    /// now, of a body that is unreadable, could not be made by trying again.
    pub(super) fn close_chord(&self, info: &RequestInfo, report: &Report, values: Result<Vec<Value>, Box<ChordFailure>>) -> Follow {
        let group_id = &report.part.group_id;
        let made = values
            .and_then(|values| self.chord_body(info, report, values).map_err(|error| Box::new(ChordFailure::callback(error))));
        made.unwrap_or_else(|failure| {
            tracing::error!("Chord {group_id} failed: {}", failure.error);
            let told = self.fail_chord(info, report, &failure);
            let mut follow = told.unwrap_or_else(|error| {
                tracing::error!("Chord {group_id}: nobody but who waits for its body can be told of it: {error}");
                self.fail_body(&report.part.body, &failure).unwrap_or_default()
            });
            follow.writes.push(Write::ChordFail { group_id: group_id.clone(), token: report.count.token.clone() });
            follow
        })
    }

    fn chord_body(&self, info: &RequestInfo, report: &Report, values: Vec<Value>) -> Result<Follow> {
        let Part { group_id, body, .. } = &report.part;
        let mut follow = Follow::default();
        self.add(&mut follow, &canvas::chord_body(body.clone(), values, &self.applied(info), &mut fresh_id)?)?;
        follow.writes.push(Write::ChordClose { group_id: group_id.clone(), token: report.count.token.clone() });
        Ok(follow)
    }

    /// Everything that fails with a chord, and the errbacks that are told.
    fn fail_chord(&self, info: &RequestInfo, report: &Report, failure: &ChordFailure) -> Result<Follow> {
        let mut follow = Follow::default();
        let mut end = canvas::chord_failure(&report.part.body, failure)?;
        for told in end.told {
            let Told { task, task_id, errbacks } = told;
            let applied = Applied { root_id: Some(task_id.clone()), ..self.applied(info) };
            let call = body_call(task, &task_id, &self.nodename);
            let sent = self.tell(&mut follow, call, &Failure::new(end.exception.clone()), &errbacks, &applied)?;
            end.failed.sent_for(&task_id, &sent);
        }
        self.fail_along(&mut follow, &end.failed, &end.exception, None)?;
        Ok(follow)
    }

    /// The failure of a body of which nothing but its id can be read.
    fn fail_body(&self, body: &Signature, failure: &ChordFailure) -> Result<Follow> {
        let task = body.task_id().map(|id| FailedTask { task_id: id.to_owned(), group_id: None, children: Vec::new() });
        let mut follow = Follow::default();
        self.fail_along(&mut follow, &Failed { tasks: task.into_iter().collect(), parts: Vec::new() }, &failure.error, None)?;
        Ok(follow)
    }

    /// What follows a value, and what is stored of it: it, or a reference to it.
    fn success(
        &self,
        info: &RequestInfo,
        (value, kept): (&Value, &Value),
        mut children: Vec<ResultTuple>,
        stored: bool,
    ) -> Result<Follow> {
        let (message, applied) = (&info.message, self.applied(info));
        let mut plan = canvas::callbacks(message, value, &applied, &mut fresh_id)?;
        if let Some(next) = canvas::next_in_chain(message, value, &applied, &mut fresh_id)? {
            plan = plan.and(next);
        }
        let mut follow = Follow::default();
        self.add(&mut follow, &plan)?;
        children.extend(plan.children);
        if stored {
            let ended = Ended { status: State::Success, result: kept.clone(), traceback: None, children };
            follow.writes.push(self.states.state(info, ended)?);
        }
        follow.parts.extend(canvas::part_of(message).map(|part| self.report(part, State::Success, kept.clone())).transpose()?);
        Ok(follow)
    }

    fn failure(&self, info: &RequestInfo, failure: &Failure, children: Vec<ResultTuple>, stored: bool) -> Result<Follow> {
        let mut follow = Follow::default();
        if stored {
            follow.writes.push(self.states.state(info, Ended::failed(failure, children))?);
        }
        follow.parts.extend(self.own_part(info, failure)?);
        let along = canvas::propagate(&info.message)?;
        self.fail_along(&mut follow, &along, &failure.exception, failure.traceback.as_ref())?;
        let errbacks = info.message.embed.errbacks.as_deref().unwrap_or_default();
        self.tell(&mut follow, info.clone(), failure, errbacks, &self.applied(info))?;
        Ok(follow)
    }

    /// What a failed task reports to its chord, if it is in one.
    fn own_part(&self, info: &RequestInfo, failure: &Failure) -> Result<Option<Report>> {
        let value = failure.exception.to_value();
        canvas::part_of(&info.message).map(|part| self.report(part, State::Failure, value)).transpose()
    }

    /// Calls errbacks for a call that failed: new-style ones that are registered here in place, all others by messages, whose results it
    /// returns.
    fn tell(
        &self,
        follow: &mut Follow,
        request: RequestInfo,
        failure: &Failure,
        errbacks: &[Signature],
        applied: &Applied,
    ) -> Result<Vec<ResultTuple>> {
        let (here, sent): (Vec<_>, Vec<_>) = errbacks.iter().cloned().partition(|errback| self.registry.is_errback(&errback.task));
        let plan = canvas::errbacks(&sent, request.id(), applied, &mut fresh_id)?;
        self.add(follow, &plan)?;
        let failed = FailedCall { request, exception: failure.exception.clone(), traceback: failure.traceback.clone() };
        follow.calls.extend(here.into_iter().map(|errback| ErrbackCall { errback, failed: failed.clone() }));
        Ok(plan.children)
    }

    /// Lets the chord of a task wait for what the task added to its header, and sends that.
    fn grow_chord(&self, follow: &mut Follow, info: &RequestInfo, added: &[Signature]) -> Result<()> {
        limits::check_chord(added.len() as u64, self.producer.applied().max_chord_parts)?;
        for signature in added {
            let plan = canvas::chord_member(&info.message, signature.clone(), &self.applied(info), &mut fresh_id)?;
            let group_id = info.group_id().unwrap_or_default().to_owned();
            follow.writes.push(Write::ChordGrow { group_id, task_id: plan.id.clone(), ttl: self.chord_ttl });
            self.add(follow, &plan)?;
        }
        Ok(())
    }

    fn fail_along(&self, follow: &mut Follow, failed: &Failed, exception: &Exception, traceback: Option<&String>) -> Result<()> {
        let now = Timestamp::utc(Utc::now());
        for task in &failed.tasks {
            follow.writes.push(self.states.results.state(&task.meta(exception, traceback.cloned(), now))?);
        }
        for part in &failed.parts {
            follow.parts.push(self.report(part.clone(), State::Failure, exception.to_value())?);
        }
        Ok(())
    }

    fn retry(&self, info: &RequestInfo, retry: &Retry, stored: bool) -> Result<Follow> {
        let in_time = |wait| Timestamp::utc(self.producer.now() + chrono::TimeDelta::from_std(wait).unwrap_or_default());
        let again = canvas::Retry {
            eta: retry.eta.or_else(|| retry.countdown.filter(|wait| !wait.is_zero()).map(in_time)),
            args: retry.args.clone(),
            kwargs: retry.kwargs.clone(),
            expires: retry.expires,
            queue: retry.queue.clone(),
            priority: retry.priority,
        };
        let (publish, sent) = self.producer.encode(&[canvas::retry(&info.message, again)])?;
        let result = retry.cause.as_ref().map_or(Value::Null, |failure| failure.exception.to_value());
        let traceback = retry.cause.as_ref().and_then(|failure| failure.traceback.clone());
        let ended = Ended { status: State::Retry, result, traceback, children: vec![ResultTuple::task(info.id())] };
        let writes = if stored { vec![self.states.state(info, ended)?] } else { Vec::new() };
        Ok(Follow { writes, publish, sent, ..Follow::default() })
    }

    fn revoked(&self, info: &RequestInfo, reason: &str) -> Result<Follow> {
        let value = Exception::revoked(reason).to_value();
        let ended = Ended { status: State::Revoked, result: value.clone(), traceback: None, children: Vec::new() };
        let part = canvas::part_of(&info.message).map(|part| self.report(part, State::Revoked, value)).transpose()?;
        let parts = part.into_iter().collect();
        Ok(Follow { writes: vec![self.states.state(info, ended)?], parts, ..Follow::default() })
    }

    fn add(&self, follow: &mut Follow, plan: &Plan) -> Result<()> {
        follow.writes.extend(plan.writes.iter().cloned());
        let (publish, sent) = self.producer.encode(&plan.messages)?;
        follow.publish.extend(publish);
        follow.sent.extend(sent);
        Ok(())
    }

    fn report(&self, part: Part, status: State, result: Value) -> Result<Report> {
        let count = ChordPart {
            group_id: part.group_id.clone(),
            task_id: part.task_id.clone(),
            group_index: part.group_index,
            entry: self.states.results.serializer.write(&part.entry(status, result).to_value())?,
            ttl: self.chord_ttl,
            token: fresh_id(),
            claim_s: self.claim_s,
            ordered: self.ordered,
        };
        Ok(Report { part, count })
    }

    fn applied(&self, info: &RequestInfo) -> Applied {
        Applied {
            root_id: Some(info.root_id().to_owned()),
            parent_id: Some(info.id().to_owned()),
            trace: trace_headers(info.headers()),
            priority: self.inherit_priority.then_some(info.message.properties.priority),
            ..self.producer.applied()
        }
    }
}

fn unjoined(error: Error) -> Box<ChordFailure> {
    Box::new(ChordFailure::join(error))
}

/// The call of a chord's body that is never made: all that is known of it is its signature.
fn body_call(task: Signature, task_id: &str, nodename: &str) -> RequestInfo {
    let message = Message { args: task.args, kwargs: task.kwargs, ..Message::new(task.task, task_id) };
    RequestInfo { message, queue: String::new(), hostname: nodename.to_owned(), timelimit: TimeLimit::default() }
}

//! A worker without broker and backend: it runs messages in memory and carries out every plan, so that a canvas can be played to its end.

use std::collections::{BTreeMap, HashMap, VecDeque};

use celeriac::canvas::{self, Applied, Part, Plan, Publish};
use celeriac::protocol::meta::{ChordEntry, decode_stored, read_group_meta};
use celeriac::protocol::{Exception, Message, Meta, ResultTuple, Serializer, Signature, State, Timestamp, Value};
use celeriac::settlement::Write;
use chrono::{DateTime, Utc};

/// What a task comes to.
pub(crate) enum Ran {
    Value(Value),
    Failure(Exception),
    Replace(Box<Signature>),
    Retry(Exception),
}

#[derive(Default)]
struct Chord {
    size: u64,
    entries: BTreeMap<(i64, usize), ChordEntry>,
    closed: bool,
}

/// The worker.
pub(crate) struct Player {
    pub(crate) waiting: VecDeque<Message>,
    /// What the worker published, in order.
    pub(crate) published: Vec<Publish>,
    /// The last meta of every task.
    pub(crate) metas: HashMap<String, Meta>,
    chords: HashMap<String, Chord>,
    structures: HashMap<String, ResultTuple>,
    ids: Box<dyn FnMut() -> String>,
    run: fn(&Message) -> Ran,
}

pub(crate) fn now() -> DateTime<Utc> {
    Timestamp::parse("2026-11-22T00:00:00+00:00").unwrap().moment()
}

impl Player {
    pub(crate) fn new(run: fn(&Message) -> Ran) -> Self {
        Self {
            waiting: VecDeque::new(),
            published: Vec::new(),
            metas: HashMap::new(),
            chords: HashMap::new(),
            structures: HashMap::new(),
            ids: Box::new(crate::vectors::ids()),
            run,
        }
    }

    /// Publishes a canvas as a client, and returns its result.
    pub(crate) fn start(&mut self, signature: Signature) -> ResultTuple {
        let plan = canvas::apply(signature, &Applied::at(now()), &mut self.ids).unwrap();
        let result = plan.result.clone();
        self.carry_out(plan);
        result
    }

    pub(crate) fn open_chord(&mut self, group_id: &str, size: u64) {
        self.chords.insert(group_id.to_owned(), Chord { size, ..Chord::default() });
    }

    pub(crate) fn save_structure(&mut self, structure: ResultTuple) {
        self.structures.insert(structure.id.clone(), structure);
    }

    /// Header groups that were opened and never came to an end.
    pub(crate) fn open_chords(&self) -> Vec<&String> {
        self.chords.iter().filter(|(_, chord)| !chord.closed).map(|(id, _)| id).collect()
    }

    /// Runs everything in the order it was published.
    pub(crate) fn play(&mut self) {
        let mut left = 100_000;
        while let Some(message) = self.waiting.pop_front() {
            self.run(&message);
            left -= 1;
            assert!(left > 0, "the canvas does not end");
        }
    }

    /// Runs one waiting message of this id; false if there is none.
    pub(crate) fn run_id(&mut self, id: &str) -> bool {
        let Some(place) = self.waiting.iter().position(|message| message.headers.id == id) else { return false };
        let message = self.waiting.remove(place).unwrap();
        self.run(&message);
        true
    }

    /// Runs every waiting message of this task.
    pub(crate) fn run_all_of(&mut self, task: &str) {
        while let Some(place) = self.waiting.iter().position(|message| message.headers.task == task) {
            let message = self.waiting.remove(place).unwrap();
            self.run(&message);
        }
    }

    /// The value of a finished result, groups as lists.
    pub(crate) fn value(&self, result: &ResultTuple) -> Option<Value> {
        match &result.children {
            Some(children) => children.iter().map(|child| self.value(child)).collect::<Option<Vec<_>>>().map(Value::List),
            None => self.metas.get(&result.id).filter(|meta| meta.status == State::Success).map(|meta| meta.result.clone()),
        }
    }

    fn run(&mut self, message: &Message) {
        let applied = Applied::within(message, now());
        match (self.run)(message) {
            Ran::Value(value) => self.succeed(message, value, &applied),
            Ran::Failure(exception) => self.fail(message, &exception, &applied),
            Ran::Replace(signature) => {
                let plan = canvas::replace(message, *signature, &applied, &mut self.ids).unwrap();
                self.carry_out(plan);
            }
            Ran::Retry(exception) => {
                let eta = Some(Timestamp::utc(now()));
                let publish = canvas::retry(message, canvas::Retry { eta, ..canvas::Retry::default() });
                let children = vec![ResultTuple::task(&publish.message.headers.id)];
                self.publish(publish);
                self.store(message, State::Retry, exception.to_value(), children);
            }
        }
    }

    fn succeed(&mut self, message: &Message, value: Value, applied: &Applied) {
        let mut plan = canvas::callbacks(message, &value, applied, &mut self.ids).unwrap();
        if let Some(next) = canvas::next_in_chain(message, &value, applied, &mut self.ids).unwrap() {
            plan = plan.and(next);
        }
        let children = plan.children.clone();
        self.carry_out(plan);
        self.store(message, State::Success, value.clone(), children);
        self.report(canvas::part_of(message), State::Success, value, applied);
    }

    fn fail(&mut self, message: &Message, exception: &Exception, applied: &Applied) {
        self.store(message, State::Failure, exception.to_value(), Vec::new());
        self.report(canvas::part_of(message), State::Failure, exception.to_value(), applied);
        let failed = canvas::propagate(message).unwrap();
        self.fail_along(failed, exception, applied);
        let errbacks = message.embed.errbacks.clone().unwrap_or_default();
        let plan = canvas::errbacks(&errbacks, &message.headers.id, applied, &mut self.ids).unwrap();
        self.carry_out(plan);
    }

    fn fail_along(&mut self, failed: canvas::Failed, exception: &Exception, applied: &Applied) {
        for task in failed.tasks {
            let meta = task.meta(exception, None, Timestamp::utc(now()));
            self.metas.insert(task.task_id, meta);
        }
        for part in failed.parts {
            self.report(Some(part), State::Failure, exception.to_value(), applied);
        }
    }

    fn store(&mut self, message: &Message, status: State, result: Value, children: Vec<ResultTuple>) {
        let headers = &message.headers;
        let meta = Meta {
            children: Some(children),
            group_id: headers.group.clone(),
            parent_id: headers.parent_id.clone(),
            ..Meta::new(&headers.id, status, result)
        };
        let before = self.metas.insert(headers.id.clone(), meta);
        assert!(before.is_none_or(|before| !before.status.is_ready()), "{} ended twice", headers.id);
    }

    fn report(&mut self, part: Option<Part>, status: State, result: Value, applied: &Applied) {
        let Some(part) = part else { return };
        let chord = self.chords.get_mut(&part.group_id).expect("a part of a chord that was never started");
        assert!(!chord.closed, "a part came after the chord was complete");
        let place = (part.group_index.unwrap_or(i64::MAX), chord.entries.len());
        chord.entries.insert(place, part.entry(status, result));
        if (chord.entries.len() as u64) < chord.size {
            return;
        }
        chord.closed = true;
        let entries: Vec<ChordEntry> = chord.entries.values().cloned().collect();
        match canvas::join(&entries, self.structures.get(&part.group_id)) {
            Ok(values) => {
                let plan = canvas::chord_body(part.body, values, applied, &mut self.ids).unwrap();
                self.carry_out(plan);
            }
            Err(failure) => {
                let mut end = canvas::chord_failure(&part.body, &failure).unwrap();
                for told in &end.told {
                    let applied = Applied { root_id: Some(told.task_id.clone()), ..applied.clone() };
                    let plan = canvas::errbacks(&told.errbacks, &told.task_id, &applied, &mut self.ids).unwrap();
                    end.failed.sent_for(&told.task_id, &plan.children);
                    self.carry_out(plan);
                }
                self.fail_along(end.failed, &end.exception, applied);
            }
        }
    }

    fn carry_out(&mut self, plan: Plan) {
        for write in plan.writes {
            match write {
                Write::ChordStart { group_id, size, .. } => self.open_chord(&group_id, size),
                Write::State { value, .. } => {
                    let structure = read_group_meta(&decode_stored(&value, Serializer::Json, 1 << 20).unwrap()).unwrap();
                    self.save_structure(structure);
                }
                other => panic!("no plan writes {other:?}"),
            }
        }
        plan.messages.into_iter().for_each(|publish| self.publish(publish));
    }

    /// Every message goes through its envelope, as on the wire.
    fn publish(&mut self, publish: Publish) {
        let envelope = publish.envelope(publish.queue.as_deref().unwrap_or("celery"), (self.ids)(), Serializer::Json).unwrap();
        self.waiting.push_back(crate::vectors::decode(&envelope.write()));
        self.published.push(publish);
    }
}

//! What a real Python worker did with real messages, against what our functions make of the same messages.

use std::collections::HashSet;

use celeriac::canvas::{chain, group};
use celeriac::protocol::meta::read_group_meta;
use celeriac::protocol::{Exception, Message, Signature, Value, json};

use crate::player::{Player, Ran};
use crate::vectors::{Vector, decode, load, recorded_shape, shape};

/// The tasks of the recordings.
fn tasks(message: &Message) -> Ran {
    let args = &message.args;
    let number = |place: usize| args[place].as_i64().unwrap();
    let value = match message.headers.task.as_str() {
        "proj.add" => Value::from(number(0) + number(1)),
        "proj.mul" => Value::from(number(0) * number(1)),
        "proj.xsum" => Value::from(args[0].as_list().unwrap().iter().map(|value| value.as_i64().unwrap()).sum::<i64>()),
        "proj.ident" => args[0].clone(),
        "proj.sleepy" => args[1].clone(),
        "proj.noop" => Value::Null,
        "proj.errback_old" => vec![Value::from("old"), args[0].clone()].into(),
        "celery.accumulate" => args[0].clone(),
        "proj.fail" => return Ran::Failure(Exception::new("builtins", "ValueError", vec![args[0].clone()])),
        "proj.retrying" if message.headers.retries == 0 => return Ran::Retry(Exception::builtin("KeyError", "first")),
        "proj.retrying" => Value::from(number(0) + i64::from(message.headers.retries)),
        "proj.replace_single" => return Ran::Replace(Box::new(add(number(0), number(1)))),
        "proj.replace_chain" => return Ran::Replace(Box::new(chain([add(number(0), 1), Signature::new("proj.mul").arg(10)]))),
        "proj.replace_group" => return Ran::Replace(Box::new(group([add(number(0), 1), add(number(0), 2)]))),
        other => panic!("no task {other}"),
    };
    Ran::Value(value)
}

fn add(x: i64, y: i64) -> Signature {
    Signature::new("proj.add").arg(x).arg(y)
}

/// Messages of the client, and those of the worker.
fn split(vector: &Vector) -> (Vec<Message>, Vec<Message>) {
    let mut messages: Vec<Message> = vector.pushed().iter().map(|raw| decode(raw)).collect();
    messages.extend(vector.published());
    let client = messages[0].headers.origin.clone();
    messages.into_iter().partition(|message| message.headers.origin == client && message.headers.retries == 0)
}

/// Ids the client did not choose are all called `new`.
fn known_only(value: Value, known: &HashSet<String>) -> Value {
    match value {
        Value::String(text) if text.len() == 36 && text.matches('-').count() == 4 && !known.contains(&text) => Value::from("new"),
        Value::List(values) => values.into_iter().map(|value| known_only(value, known)).collect(),
        Value::Map(map) => Value::Map(map.into_iter().map(|(key, value)| (key, known_only(value, known))).collect()),
        other => other,
    }
}

fn collect_ids(value: &Value, into: &mut HashSet<String>) {
    match value {
        Value::String(text) => drop(into.insert(text.clone())),
        Value::List(values) => values.iter().for_each(|value| collect_ids(value, into)),
        Value::Map(map) => map.values().for_each(|value| collect_ids(value, into)),
        _ => {}
    }
}

fn sorted(values: impl IntoIterator<Item = Value>, known: &HashSet<String>) -> Vec<String> {
    let mut texts: Vec<String> = values.into_iter().map(|value| known_only(value, known).to_string()).collect();
    texts.sort();
    texts
}

fn kept(meta: &Value) -> Value {
    let names = ["status", "result", "children", "group_id", "parent_id", "task_id"];
    names.iter().map(|name| meta.get(name).cloned().unwrap_or_default()).collect()
}

/// Runs the message of this id; or, where the recording stored a parent after its child, the parent first; or one whose id is new.
fn run_one(player: &mut Player, id: &str, parent: Option<&str>, known: &HashSet<String>) -> Option<String> {
    if player.run_id(id) {
        return Some(id.to_owned());
    }
    if let Some(parent) = parent.filter(|parent| player.run_id(parent)) {
        assert!(player.run_id(id), "{parent} did not send {id}");
        return Some(id.to_owned());
    }
    let new = player.waiting.iter().find(|message| !known.contains(&message.headers.id))?.headers.id.clone();
    player.run_id(&new).then_some(new)
}

fn play_like_python(name: &str) {
    let vector = load(name);
    let (from_client, from_worker) = split(&vector);
    let mut known = HashSet::new();
    from_client.iter().for_each(|message| collect_ids(&recorded_shape(message), &mut known));
    let mut player = Player::new(tasks);
    for command in vector.commands().iter().filter(|command| command[0] == "SET") {
        let Some(group) = command[1].strip_prefix("celery-taskset-meta-") else { continue };
        match group.strip_suffix(".s") {
            Some(group) => player.open_chord(group, command[2].parse().unwrap()),
            None if group.ends_with(".c") => {}
            None => player.save_structure(read_group_meta(&json::parse(command[2].as_bytes()).unwrap()).unwrap()),
        }
    }
    player.waiting.extend(from_client);

    let stored = vector.stored();
    let mut ours = Vec::new();
    for (id, meta) in &stored {
        for task in ["proj.replace_single", "proj.replace_chain", "proj.replace_group"] {
            player.run_all_of(task);
        }
        let parent = meta.get("parent_id").and_then(Value::as_str);
        let failed_along = player.metas.contains_key(id) && player.waiting.iter().all(|message| message.headers.id != *id);
        let ran = if failed_along { Some(id.clone()) } else { run_one(&mut player, id, parent, &known) };
        ours.push(kept(&player.metas[&ran.expect("nothing to run")].to_value()));
    }
    assert!(player.waiting.is_empty(), "{name}: {:?}", player.waiting);
    let published = player.published.iter().map(|publish| shape(&publish.message, publish.queue.as_deref(), publish.priority));
    assert_same(name, sorted(published, &known), sorted(from_worker.iter().map(recorded_shape), &known));
    assert_same(name, sorted(ours, &known), sorted(stored.iter().map(|(_, meta)| kept(meta)), &known));
}

/// One pair at a time, so that a failure is readable.
fn assert_same(name: &str, ours: Vec<String>, theirs: Vec<String>) {
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs, "{name}");
    }
    assert_eq!(ours.len(), theirs.len(), "{name}");
}

#[test]
fn a_chain_is_handed_on_as_python_hands_it_on() {
    play_like_python("monitor_chain2");
}

#[test]
fn a_group_in_the_middle_of_a_chain_is_a_chord_with_the_rest_behind_its_body() {
    play_like_python("monitor_chain_group_middle");
}

#[test]
fn a_chord_runs_its_body_with_the_values_in_order() {
    play_like_python("monitor_chord");
}

#[test]
fn a_chord_whose_body_is_a_chain_or_a_group_runs_all_of_it() {
    play_like_python("monitor_chord_body_chain");
    play_like_python("monitor_chord_body_group");
}

#[test]
fn a_header_that_ends_in_a_group_gives_nested_values() {
    play_like_python("monitor_chord_header_ends_in_group");
}

#[test]
fn a_chord_within_a_chord_reports_by_its_body() {
    play_like_python("monitor_chord_nested_header_group");
}

#[test]
fn a_failed_header_fails_the_body_with_a_chord_error() {
    play_like_python("monitor_chord_header_failure_errback_old");
}

#[test]
fn a_retried_header_task_reports_its_part_only_when_it_ends() {
    play_like_python("monitor_chord_header_retry");
}

#[test]
fn a_replaced_header_task_leaves_its_part_to_its_replacement() {
    play_like_python("monitor_chord_replace_in_header");
}

#[test]
fn a_retry_keeps_everything_and_becomes_its_own_parent() {
    play_like_python("monitor_task_retry");
}

#[test]
fn a_replacement_runs_under_the_same_id() {
    play_like_python("monitor_task_replace");
}

#[test]
fn callbacks_and_errbacks_are_sent_as_python_sends_them() {
    play_like_python("monitor_link");
    play_like_python("monitor_link_error_old");
}

#[test]
fn a_task_replaced_by_a_group_ends_with_its_list_under_its_own_id() {
    let mut player = Player::new(tasks);
    let result = player.start(Signature::new("proj.replace_group").arg(4));
    player.play();
    assert_eq!(player.value(&result), Some(Value::from([5, 6])));
    let recorded =
        json::parse(load("result_replace_group").value.get("captured").unwrap().get("value").unwrap().as_str().unwrap().as_bytes());
    assert_eq!(player.metas[&result.id].result, *recorded.unwrap().get("result").unwrap());
    assert_eq!(player.metas[&result.id].group_id, None, "the accumulated result is in no group, as in Python");
}

#[test]
fn a_failed_chain_fails_every_step_that_was_to_come() {
    let mut player = Player::new(tasks);
    let fail = Signature::new("proj.fail").arg("x");
    let result = player.start(chain([fail, Signature::new("proj.mul").arg(2).arg(3).immutable(), Signature::new("proj.ident")]));
    player.play();
    assert_eq!(player.metas.len(), 3);
    let expected = Exception::value_error("x");
    assert!(player.metas.values().all(|meta| meta.exception().as_ref() == Some(&expected)));
    assert!(player.metas.contains_key(&result.id));
}

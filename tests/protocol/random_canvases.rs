//! Random canvases, played to their end: each comes to the value of its definition, and each ends when tasks of it fail.

use celeriac::canvas::{chain, chord, group};
use celeriac::protocol::{Exception, Message, Signature, Value};
use proptest::prelude::*;

use crate::player::{Player, Ran};

/// A random canvas. `Replace` is a task that replaces itself.
#[derive(Debug, Clone)]
enum Canvas {
    Task(u8),
    Failing,
    Chain(Vec<Canvas>),
    Group(Vec<Canvas>),
    Chord(Vec<Canvas>, Box<Canvas>),
    Replace(Box<Canvas>),
}

fn canvas(failing: bool) -> impl Strategy<Value = Canvas> {
    let leaf = if failing {
        prop_oneof![6 => any::<u8>().prop_map(Canvas::Task), 1 => Just(Canvas::Failing)].boxed()
    } else {
        any::<u8>().prop_map(Canvas::Task).boxed()
    };
    leaf.prop_recursive(4, 24, 4, |inner| {
        let several = || prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            several().prop_map(Canvas::Chain),
            several().prop_map(Canvas::Group),
            (several(), inner.clone()).prop_map(|(header, body)| Canvas::Chord(header, Box::new(body))),
            inner.clone().prop_map(|by| Canvas::Replace(Box::new(by))),
        ]
    })
}

impl Canvas {
    fn signature(&self) -> Signature {
        let all = |parts: &[Canvas]| parts.iter().map(Canvas::signature).collect::<Vec<_>>();
        match self {
            Self::Task(name) => Signature::new("note").arg(*name),
            Self::Failing => Signature::new("fail"),
            Self::Chain(steps) => chain(all(steps)),
            Self::Group(members) => group(all(members)),
            Self::Chord(header, body) => chord(all(header), body.signature()),
            Self::Replace(by) => Signature::new("replace").kwarg("by", by.signature()),
        }
    }

    /// What it must come to, by its definition.
    fn value(&self, previous: &Value) -> Value {
        match self {
            Self::Task(name) => vec![Value::from(*name), previous.clone()].into(),
            Self::Failing => Value::Null,
            Self::Chain(steps) => steps.iter().fold(previous.clone(), |previous, step| step.value(&previous)),
            Self::Group(members) => Value::List(flat(members, previous)),
            Self::Chord(header, body) => body.value(&Value::List(flat(header, previous))),
            Self::Replace(by) => by.value(&Value::Null),
        }
    }
}

/// A group directly in a group is one group.
fn flat(members: &[Canvas], previous: &Value) -> Vec<Value> {
    members
        .iter()
        .flat_map(|member| match member {
            Canvas::Group(inner) => flat(inner, previous),
            Canvas::Chain(steps) if matches!(steps.as_slice(), [Canvas::Group(_)]) => flat(steps, previous),
            other => vec![other.value(previous)],
        })
        .collect()
}

fn run(message: &Message) -> Ran {
    match message.headers.task.as_str() {
        "note" => match message.args.as_slice() {
            [previous, name] => Ran::Value(vec![name.clone(), previous.clone()].into()),
            [name] => Ran::Value(vec![name.clone(), Value::Null].into()),
            other => panic!("{other:?}"),
        },
        "celery.accumulate" => Ran::Value(message.args[0].clone()),
        "fail" => Ran::Failure(Exception::value_error("no")),
        "replace" => Ran::Replace(Box::new(Signature::from_value(message.kwargs["by"].clone()).unwrap())),
        other => panic!("no task {other}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_canvas_comes_to_the_value_of_its_definition(canvas in canvas(false)) {
        let mut player = Player::new(run);
        let result = player.start(canvas.signature());
        player.play();
        prop_assert_eq!(player.value(&result), Some(canvas.value(&Value::Null)));
        prop_assert_eq!(player.open_chords(), Vec::<&String>::new());
    }

    #[test]
    fn every_canvas_ends_when_tasks_of_it_fail(canvas in canvas(true)) {
        let mut player = Player::new(run);
        let result = player.start(canvas.signature());
        player.play();
        prop_assert_eq!(player.open_chords(), Vec::<&String>::new());
        let mut open = vec![&result];
        while let Some(result) = open.pop() {
            match &result.children {
                Some(children) => open.extend(children),
                None => prop_assert!(player.metas.contains_key(&result.id), "nobody would ever hear of {}", result.id),
            }
        }
    }
}

#[test]
fn a_task_that_replaces_itself_by_a_chord_of_tasks_that_do_so_too_ends_under_its_own_id() {
    let page = || Canvas::Task(1);
    let batch = || Canvas::Replace(Box::new(Canvas::Chord(vec![page(), page(), page()], Box::new(Canvas::Task(2)))));
    let document = Canvas::Replace(Box::new(Canvas::Chord(vec![batch(), batch()], Box::new(Canvas::Task(3)))));
    let whole = Canvas::Chain(vec![document, Canvas::Task(4)]);
    let mut player = Player::new(run);
    let signature = whole.signature().id("11111111-0000-0000-0000-000000000001");
    let result = player.start(signature);
    player.play();
    assert_eq!(result.id, "11111111-0000-0000-0000-000000000001");
    assert_eq!(player.value(&result), Some(whole.value(&Value::Null)));
    assert!(player.open_chords().is_empty());
}

#[test]
fn what_replaces_a_task_and_ends_in_a_group_ends_under_the_task_s_id() {
    let pair = || Canvas::Group(vec![Canvas::Task(1), Canvas::Task(2)]);
    let ends = [
        pair(),
        Canvas::Chain(vec![Canvas::Task(3), pair()]),
        Canvas::Chord(vec![Canvas::Task(3)], Box::new(pair())),
        Canvas::Chain(vec![
            Canvas::Task(3),
            Canvas::Chord(vec![Canvas::Task(3)], Box::new(Canvas::Chain(vec![Canvas::Task(4), pair()]))),
        ]),
    ];
    for by in ends {
        let whole = Canvas::Chord(vec![Canvas::Replace(Box::new(by)), Canvas::Task(5)], Box::new(Canvas::Task(6)));
        let mut player = Player::new(run);
        let result = player.start(whole.signature());
        player.play();
        assert_eq!(player.value(&result), Some(whole.value(&Value::Null)), "{whole:?}");
        assert!(player.open_chords().is_empty());
    }
}

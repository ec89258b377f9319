//! Canvases of our builder against what a Python client published for the same ones, and random ones played to their end.

use celeriac::canvas::{Applied, apply, chain, chord, group};
use celeriac::protocol::{Exception, Message, Signature, Value};
use celeriac::settlement::Write;
use proptest::prelude::*;

use crate::player::{Player, Ran, now};
use crate::vectors::{Names, decode, ids, load, recorded_shape, shape};

fn sig(name: &str, args: &[i64]) -> Signature {
    Signature::new(format!("proj.{name}")).args(args.iter().copied().map(Value::from))
}

fn add(x: i64, y: i64) -> Signature {
    sig("add", &[x, y])
}

/// What we publish, and what Python published, both with their ids renamed.
fn compare(name: &str, signature: Signature) {
    let plan = apply(signature, &Applied::at(now()), &mut ids()).unwrap();
    let ours = plan.messages.iter().map(|publish| shape(&publish.message, publish.queue.as_deref(), publish.priority));
    let vector = load(name);
    let theirs = vector.messages();
    let theirs = theirs.iter().map(|raw| recorded_shape(&decode(raw)));
    let (mut our_names, mut their_names) = (Names::default(), Names::default());
    let ours: Vec<Value> = ours.map(|shape| our_names.rename(&shape)).collect();
    let theirs: Vec<Value> = theirs.map(|shape| their_names.rename(&shape)).collect();
    assert_eq!(ours.len(), theirs.len(), "{name}");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        pretty(name, ours, theirs);
    }
    let mut sizes = Vec::new();
    for (key, value) in vector.value.get("other_keys").and_then(Value::as_map).into_iter().flatten() {
        if key.ends_with(".s") {
            sizes.push(value.get("value").unwrap().as_str().unwrap().parse::<u64>().unwrap());
        }
    }
    let mut planned: Vec<u64> = plan
        .writes
        .iter()
        .filter_map(|write| if let Write::ChordStart { size, .. } = write { Some(*size) } else { None })
        .collect();
    sizes.sort_unstable();
    planned.sort_unstable();
    assert_eq!(planned, sizes, "{name}: chord sizes");
}

fn pretty(name: &str, ours: &Value, theirs: &Value) {
    for (key, value) in theirs.as_map().unwrap() {
        assert_eq!(ours.get(key).map(Value::to_string), Some(value.to_string()), "{name}: {key} (ours is left)");
    }
}

#[test]
fn tasks_and_their_options_are_published_as_python_publishes_them() {
    let two = || add(1, 2);
    compare("canvas_immutable", two().immutable());
    compare("canvas_link", two().link(sig("mul", &[10])));
    compare("canvas_link_error", two().link_error(sig("errback_old", &[])));
    let fixed = Signature::new("proj.ident").arg("fixed").immutable();
    let echo = sig("echo", &[]).kwarg("k", 1).queue("q2").set("countdown", 5);
    compare("canvas_link_list", two().link(sig("mul", &[10])).link(fixed).link(echo));
    let fail = Signature::new("proj.fail").arg("x").link(sig("noop", &[]));
    compare("canvas_link_error_both", fail.link_error(sig("errback_old", &[])).link_error(sig("errback_new", &[])));
    compare("canvas_partial_kwargs", sig("add", &[1]).kwarg("y", 5));
    compare("canvas_sig_options", two().countdown(9.0).priority(3).queue("q2"));
    compare("canvas_stamp_apply_async", two().set("stamped_headers", vec!["tenant"]).set("tenant", "t9"));
}

#[test]
fn chains_are_published_as_python_publishes_them() {
    let mul = |n| sig("mul", &[n]);
    let ident = || sig("ident", &[]);
    compare("canvas_chain2", chain([add(1, 2), mul(3)]));
    compare("canvas_chain3", add(1, 2).then(mul(3)).then(ident()));
    compare("canvas_chain_apply_priority", chain([add(1, 2), mul(3)]).priority(6).queue("q3"));
    compare("canvas_chain_options", chain([add(1, 2), mul(3).queue("q2").priority(9).set("countdown", 4)]));
    compare("canvas_chain_link", chain([add(1, 2), mul(3)]).link(ident()));
    compare("canvas_chain_link_error", chain([add(1, 2), mul(3)]).link_error(sig("errback_new", &[])));
    compare("canvas_chain_nested", chain([add(1, 2), chain([mul(3), mul(4)]), ident()]));
    compare("canvas_chain_task_id", chain([add(1, 2), mul(3)]).id("aaaaaaaa-0000-0000-0000-000000000001"));
    compare("canvas_chain_to_group", chain([add(1, 2), group([mul(2), mul(3)])]));
    compare("canvas_chain_group_middle", chain([add(1, 2), group([mul(2), mul(3)]), sig("xsum", &[])]));
    compare("canvas_chain_group_first", chain([group([add(1, 1), add(2, 2)]), sig("xsum", &[]), ident()]));
}

#[test]
fn groups_are_published_as_python_publishes_them() {
    compare("canvas_group", group([add(1, 1), add(2, 2), add(3, 3)]));
    compare("canvas_group_single", group([add(1, 1)]));
    compare("canvas_group_of_chains", group([chain([add(1, 1), sig("mul", &[2])]), add(3, 3)]));
    let options = group([add(1, 1), add(2, 2)]).priority(9).countdown(3.0);
    compare("canvas_group_options", options.id("gggggggg-0000-0000-0000-000000000001"));
    let chunks = Signature {
        subtask_type: Some("chunks".to_owned()),
        ..Signature::new("celery.chunks")
            .kwarg("task", sig("add", &[]))
            .kwarg("it", (0..5).map(|i| Value::from([i, i])).collect::<Value>())
            .kwarg("n", 2)
    };
    compare("canvas_chunks", chunks);
}

#[test]
fn chords_are_published_as_python_publishes_them() {
    let header = || [add(1, 1), add(2, 2)];
    let xsum = || sig("xsum", &[]);
    compare("canvas_chord", chord(header(), xsum()));
    compare("canvas_chord_single_header", chord([add(1, 1)], xsum()));
    compare("canvas_chord_empty_header", chord([], xsum()));
    compare("canvas_chord_body_chain", chord(header(), chain([xsum(), sig("mul", &[10])])));
    compare("canvas_chord_then_task", chord(header(), xsum()).then(sig("mul", &[3])));
    compare("canvas_chord_body_group", chord(header(), group([xsum(), sig("ident", &[])])));
    compare("canvas_chord_chain_in_header", chord([chain([add(1, 1), sig("mul", &[2])]), add(2, 2)], xsum()));
    let ends_in_group = chain([add(1, 1), group([sig("mul", &[2]), sig("mul", &[3])])]);
    compare("canvas_chord_chain_header_end_group", chord([ends_in_group], xsum()));
    compare("canvas_chord_nested", chord([chord(header(), xsum()), add(3, 3)], xsum()));
    compare("canvas_chord_chord_body", chord(header(), chord([sig("ident", &[]), sig("ident", &[])], sig("noop", &[]))));
    compare("canvas_chord_link", chord(header(), xsum()).link(sig("ident", &[])));
    compare("canvas_chord_link_error", chord(header(), xsum().link_error(sig("errback_new", &[]))));
    compare("canvas_chord_options", chord(header(), xsum().queue("bodyq").priority(6)).countdown(7.0));
}

#[test]
fn the_structure_of_a_nested_header_is_written_as_python_writes_it() {
    let ends_in_group = chain([add(1, 1), group([sig("mul", &[2]), sig("mul", &[3])])]);
    let plan = apply(chord([ends_in_group], sig("xsum", &[])), &Applied::at(now()), &mut ids()).unwrap();
    let ours = plan
        .writes
        .iter()
        .find_map(|write| if let Write::State { value, .. } = write { Some(value.clone()) } else { None })
        .unwrap();
    let vector = load("canvas_chord_chain_header_end_group");
    let keys = vector.value.get("other_keys").unwrap().as_map().unwrap();
    let theirs = keys.iter().find(|(key, _)| !key.ends_with(".s")).unwrap().1.get("value").unwrap().as_str().unwrap();
    let ours = String::from_utf8(ours).unwrap();
    assert_eq!(Names::default().rename(&Value::from(ours)), Names::default().rename(&Value::from(theirs)));
}

#[test]
fn the_order_of_a_nested_group_is_kept() {
    let plan = apply(group([add(1, 1), group([add(2, 2), add(3, 3)]), add(4, 4)]), &Applied::at(now()), &mut ids()).unwrap();
    let order: Vec<_> =
        plan.messages.iter().map(|publish| (publish.message.args[0].clone(), publish.message.headers.group_index)).collect();
    assert_eq!(order, (0..4).map(|place| (Value::from(place + 1), Some(place))).collect::<Vec<_>>());
}

#[test]
fn an_empty_chain_is_an_error_and_not_a_panic() {
    assert!(apply(chain([]), &Applied::at(now()), &mut ids()).is_err());
    assert!(
        apply(
            Signature { subtask_type: Some("chord".to_owned()), ..Signature::new("celery.chord") },
            &Applied::at(now()),
            &mut ids()
        )
        .is_err()
    );
}

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

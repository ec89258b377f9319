//! Canvases of our builder against what a Python client published for the same ones.

use celeriac::canvas::{Applied, apply, chain, chord, group};
use celeriac::protocol::{Map, Signature, Value};
use celeriac::settlement::Write;

use crate::player::now;
use crate::vectors::{Names, decode, ids, load, recorded_shape, shape};

pub(crate) fn sig(name: &str, args: &[i64]) -> Signature {
    Signature::new(format!("proj.{name}")).args(args.iter().copied().map(Value::from))
}

pub(crate) fn add(x: i64, y: i64) -> Signature {
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
    compare("canvas_stamp", two().stamp([("monitoring_id", Value::from("abc")), ("tags", Value::from(["a", "b"]))]));
    compare("canvas_stamp_apply_async", two().set("stamped_headers", vec!["tenant"]).set("tenant", "t9"));
}

#[test]
fn chains_are_published_as_python_publishes_them() {
    let mul = |n| sig("mul", &[n]);
    let ident = || sig("ident", &[]);
    compare("canvas_chain2", chain([add(1, 2), mul(3)]));
    compare("canvas_chain3", add(1, 2) | mul(3) | ident());
    compare("canvas_chain_partial_args", chain([sig("add", &[1]), mul(3)]).partial([10.into()], Map::default(), Map::default()));
    compare("canvas_chain_apply_priority", chain([add(1, 2), mul(3)]).priority(6).queue("q3"));
    compare("canvas_chain_options", chain([add(1, 2), mul(3).queue("q2").priority(9).set("countdown", 4)]));
    compare("canvas_chain_link", chain([add(1, 2), mul(3)]).link(ident()));
    compare("canvas_chain_link_error", chain([add(1, 2), mul(3)]).link_error(sig("errback_new", &[])));
    let told = chain([add(1, 2), mul(3)]).link_error(sig("errback_old", &[]));
    compare("canvas_stamp_chain_links", told.stamp([("tenant", "t1")]));
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
    let pairs = |count: i64| (0..count).map(|i| [i, i]);
    // As Python writes chunks into a message, and as our builder does.
    let chunks = Signature {
        subtask_type: Some("chunks".to_owned()),
        ..Signature::new("celery.chunks")
            .kwarg("task", sig("add", &[]))
            .kwarg("it", pairs(5).map(Value::from).collect::<Value>())
            .kwarg("n", 2)
    };
    compare("canvas_chunks", chunks);
    compare("canvas_chunks", sig("add", &[]).chunks(pairs(5), 2));
    compare("canvas_chunks_group_skew", sig("add", &[]).chunks(pairs(4), 2).skew(1.0, Some(10.0), 1.0));
    compare("canvas_map", sig("ident", &[]).map([1, 2, 3]));
    compare("canvas_starmap", sig("add", &[]).starmap([[1, 1], [2, 2]]));
}

#[test]
fn chords_are_published_as_python_publishes_them() {
    let header = || [add(1, 1), add(2, 2)];
    let xsum = || sig("xsum", &[]);
    compare("canvas_chord", chord(header(), xsum()));
    compare("canvas_chord_unordered", group(header()) | xsum());
    compare("canvas_stamp_chord", chord(header(), xsum()).stamp([("tenant", "t1")]));
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

#[test]
fn times_of_a_signature_are_counted_from_the_time_handed_in() {
    let plan = apply(add(1, 2).countdown(1.5).set("expires", 120), &Applied::at(now()), &mut ids()).unwrap();
    let message = &plan.messages[0].message;
    assert_eq!(message.headers.eta.unwrap().to_string(), "2026-11-22T00:00:01.500000+00:00");
    assert_eq!(message.headers.expires.unwrap().to_string(), "2026-11-22T00:02:00+00:00");
    assert_eq!(message.properties.expiration.as_deref(), Some("120000"));
    let past = apply(add(1, 2).countdown(0.0).set("expires", -5), &Applied::at(now()), &mut ids()).unwrap();
    assert_eq!(past.messages[0].message.headers.eta, None);
    assert_eq!(past.messages[0].message.properties.expiration.as_deref(), Some("0"));
    assert!(apply(add(1, 2).set("eta", "tomorrow"), &Applied::at(now()), &mut ids()).is_err());
}

//! Stamps: which part of a canvas carries which, by values and by visitors.

use celeriac::canvas::{StampingVisitor, chain, chord, group};
use celeriac::protocol::{Map, Signature, Value};

use crate::canvases::{add, sig};

fn stamps(signature: &Signature) -> Vec<(String, Value)> {
    let names = signature.option("stamped_headers").and_then(Value::as_list).unwrap_or_default();
    names.iter().map(|name| name.as_str().unwrap()).map(|name| (name.to_owned(), signature.option(name).unwrap().clone())).collect()
}

fn stamp(name: &str, value: impl Into<Value>) -> (String, Value) {
    (name.to_owned(), value.into())
}

fn part(signature: &Signature, name: &str) -> Signature {
    Signature::from_value(signature.kwargs[name].clone()).unwrap()
}

/// Stamps each part with what it was asked as.
struct Asked(Vec<&'static str>);

impl Asked {
    fn say(&mut self, what: &'static str) -> Map {
        self.0.push(what);
        Map::from_iter([(what.to_owned(), Value::from(self.0.len()))])
    }
}

impl StampingVisitor for Asked {
    fn on_signature(&mut self, _: &Signature, _: &Map) -> Map {
        self.say("signature")
    }
    fn on_group_start(&mut self, group: &Signature, _: &Map) -> Map {
        assert!(group.is_group());
        self.say("group")
    }
    fn on_group_end(&mut self, _: &Signature, _: &Map) {
        self.0.push("group ends");
    }
    fn on_chain_start(&mut self, _: &Signature, _: &Map) -> Map {
        self.say("chain")
    }
    fn on_chain_end(&mut self, _: &Signature, _: &Map) {
        self.0.push("chain ends");
    }
    fn on_chord_body(&mut self, _: &Signature, _: &Map) -> Map {
        self.say("body")
    }
    fn on_callback(&mut self, _: &Signature, _: &Map) -> Map {
        self.say("callback")
    }
    fn on_errback(&mut self, _: &Signature, _: &Map) -> Map {
        self.say("errback")
    }
}

#[test]
fn a_visitor_is_asked_of_every_part_in_celerys_order() {
    let mut asked = Asked(Vec::new());
    let linked = add(1, 1).link(sig("ident", &[])).link_error(sig("errback_old", &[]));
    let stamped = chain([linked, group([add(2, 2)]), sig("xsum", &[])]).stamp_with(&mut asked, false);

    let order = ["chain", "callback", "signature", "errback", "signature", "signature"];
    let chord_in_it = ["group", "signature", "group ends", "body", "signature", "chain ends"];
    assert_eq!(asked.0, [order, chord_in_it].concat());
    let [first, second] = <[Signature; 2]>::try_from(stamped.tasks()).unwrap();
    assert_eq!(stamps(&first), [stamp("chain", 1), stamp("signature", 6)]);
    let callback = &first.option_signatures("link").unwrap()[0];
    assert_eq!(stamps(callback), [stamp("chain", 1), stamp("callback", 2), stamp("signature", 3)]);
    let header = part(&second, "header").tasks();
    assert_eq!(stamps(&header[0]), [stamp("chain", 1), stamp("group", 7), stamp("signature", 8)]);
    let body = [stamp("chain", 1), stamp("group", 7), stamp("body", 10), stamp("signature", 11)];
    assert_eq!(stamps(&part(&second, "body")), body);
}

#[test]
fn a_stamp_set_first_stays_and_appended_ones_are_kept_together() {
    let first = add(1, 1).stamp([("tenant", "a")]);
    assert_eq!(stamps(&first.clone().append_stamps([("tenant", "b")])), [stamp("tenant", ["b", "a"])]);
    let twice = add(1, 1).stamp([("tags", vec!["a"])]).stamp([("tags", vec!["b"])]);
    assert_eq!(stamps(&twice), [stamp("tags", ["b", "a"])], "lists are joined in any case, as Celery joins them");
    assert_eq!(stamps(&first.stamp([("tenant", "b"), ("more", "c")])), [stamp("tenant", "b"), stamp("more", "c")]);
}

#[test]
fn a_visitor_may_say_which_of_its_headers_are_stamps() {
    struct Half;
    impl StampingVisitor for Half {
        fn on_signature(&mut self, _: &Signature, _: &Map) -> Map {
            Map::from_iter([stamp("stamped", 1), stamp("priority", 3), stamp("stamped_headers", ["stamped"])])
        }
    }
    let stamped = add(1, 1).stamp_with(&mut Half, false);
    assert_eq!(stamps(&stamped), [stamp("stamped", 1)]);
    assert_eq!(stamped.option("priority"), Some(&Value::from(3)));
}

#[test]
fn the_errbacks_of_a_chord_are_stamped_with_its_body() {
    let chord = || chord([add(1, 1)], sig("xsum", &[])).link_error(sig("errback_old", &[]));
    let errback = |stamped: Signature| stamped.option_signatures("link_error").unwrap().remove(0);
    assert_eq!(stamps(&errback(chord().stamp([("a", 1)]))), []);
    assert!(!stamps(&errback(chord().stamp_with(&mut Asked(Vec::new()), false))).is_empty());
}

#[test]
fn a_partial_keeps_its_stamps_and_its_group() {
    let options = Map::from_iter([stamp("tenant", "other"), stamp("queue", "q"), stamp("group_id", "new")]);
    let partial = add(1, 1).stamp([("tenant", "t")]).set("group_id", "old").partial([0.into()], Map::default(), options);
    assert_eq!(partial.args, [0, 1, 1].map(Value::from));
    assert_eq!((partial.option_str("tenant"), partial.option_str("group_id")), (Some("t"), Some("old")));
    assert_eq!(partial.queue_name(), Some("q"));
}

#[test]
fn arguments_of_a_partial_reach_the_tasks_that_a_value_would_reach() {
    let given = |signature: Signature| signature.partial([9.into()], Map::default(), Map::default());
    let firsts = |signatures: Vec<Signature>| signatures.into_iter().map(|one| one.args[0].clone()).collect::<Vec<_>>();
    assert_eq!(firsts(given(chain([add(1, 1), add(2, 2)])).tasks()), [9, 2].map(Value::from));
    assert_eq!(firsts(given(group([add(1, 1), add(2, 2).immutable()])).tasks()), [9, 2].map(Value::from));
    let chord = given(chord([add(1, 1)], sig("xsum", &[])));
    assert_eq!(firsts(part(&chord, "header").tasks()), [Value::from(9)]);
    assert!(part(&chord, "body").args.is_empty());
}

#[test]
fn the_first_task_of_a_group_calls_its_callback_without_a_value_and_each_its_errback() {
    let linked = group([add(1, 1), add(2, 2)]).link(sig("noop", &[])).link_error(sig("errback_old", &[]));
    let [first, second] = <[Signature; 2]>::try_from(linked.tasks()).unwrap();
    assert_eq!(first.option_signatures("link").unwrap(), [sig("noop", &[]).immutable()]);
    assert!(second.option_signatures("link").unwrap().is_empty());
    for task in [first, second] {
        assert_eq!(task.option_signatures("link_error").unwrap(), [sig("errback_old", &[])]);
    }
}

#[test]
fn immutable_of_a_group_and_of_a_chord_is_of_each_task() {
    assert!(group([add(1, 1)]).immutable().tasks()[0].immutable);
    let chord = chord([add(1, 1)], sig("xsum", &[])).immutable();
    assert!(part(&chord, "header").tasks()[0].immutable && !part(&chord, "body").immutable);
}

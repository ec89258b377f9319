//! What follows a task, case by case: another try, a replacement, a chord that fails.

use celeriac::canvas::{
    Applied, ChordEnd, ChordFailure, Retry, apply, chain, chord, chord_failure, group, join, next_in_chain, replace, retry,
};
use celeriac::protocol::meta::ChordEntry;
use celeriac::protocol::{Exception, Headers, Message, ResultTuple, Signature, State, Value};

use crate::canvases::{add, sig};
use crate::player::now;
use crate::vectors::{decode, ids};

/// A message that has everything a message can have.
fn rich() -> Message {
    let signature = add(1, 2)
        .link(sig("ident", &[]))
        .link_error(sig("errback_old", &[]))
        .header("x-trace", "abc")
        .set("expires", "2030-01-01T00:00:00+00:00")
        .set("time_limit", 30)
        .set("group_id", "g")
        .set("group_index", 3)
        .set("chord", sig("xsum", &[]).id("body"))
        .set("stamped_headers", vec!["tenant"])
        .set("tenant", "t9")
        .priority(6)
        .queue("q");
    let plan = apply(chain([signature, sig("mul", &[3]).id("next")]), &Applied::at(now()), &mut ids()).unwrap();
    let mut envelope = plan.messages[0].envelope("q", "tag", celeriac::protocol::Serializer::Json).unwrap();
    envelope.headers.insert("redelivered".into(), true.into());
    envelope.headers.insert("x-delivery-count".into(), 1.into());
    decode(&envelope.write())
}

#[test]
fn a_retry_keeps_all_of_a_message_but_its_marks_of_delivery() {
    let message = rich();
    assert!(message.properties.redelivered && message.properties.delivery_count == 1);
    let again = retry(&message, Retry { args: Some(vec![Value::Int(7)]), ..Retry::default() });
    assert_eq!((again.queue.as_deref(), again.priority), (Some("q"), Some(6)));
    let sent = decode(&again.envelope("q", "tag2", celeriac::protocol::Serializer::Json).unwrap().write());
    assert_eq!(
        (sent.properties.redelivered, sent.properties.delivery_count, sent.properties.delivery_tag.as_deref()),
        (false, 0, Some("tag2"))
    );
    assert_eq!(
        (sent.headers.retries, sent.args.as_slice(), sent.headers.argsrepr.as_deref()),
        (1, &[Value::Int(7)][..], Some("(7,)"))
    );
    assert_eq!(sent.headers.parent_id, Some(message.headers.id.clone()));
    assert_eq!(sent.embed, message.embed);
    let same = |headers: &Headers| {
        let Headers { id, root_id, group, group_index, expires, timelimit, stamps, stamped_headers, custom, .. } = headers.clone();
        (id, root_id, group, group_index, expires, timelimit, (stamps, stamped_headers, custom))
    };
    assert_eq!(same(&sent.headers), same(&message.headers));
}

#[test]
fn a_replacement_takes_over_the_whole_place_of_a_task() {
    let message = rich();
    let by = chord([add(1, 1), add(2, 2)], sig("noop", &[]));
    let plan = replace(&message, by, &Applied::within(&message, now()), &mut ids()).unwrap();
    assert_eq!(plan.id, message.headers.id);
    let body = plan.messages[1].message.embed.chord.clone().unwrap();
    assert_eq!((body.task_id(), body.group_id(), body.group_index()), (Some(message.headers.id.as_str()), Some("g"), Some(3)));
    assert_eq!(body.chord().unwrap().unwrap().task, "proj.xsum");
    let options = ["link", "link_error", "chain"].map(|name| body.option_signatures(name).unwrap()[0].task.clone());
    assert_eq!(options, ["proj.ident", "proj.errback_old", "proj.mul"]);
    assert!(plan.messages.iter().all(|publish| publish.message.headers.replaced_task_nesting == 1));
    assert!(plan.messages.iter().all(|publish| publish.message.embed.errbacks.is_none()), "errbacks of a chord belong to its body");
    assert!(replace(&message, add(1, 1).set("chord", add(1, 2)), &Applied::within(&message, now()), &mut ids()).is_err());
}

#[test]
fn a_chord_that_fails_takes_its_body_and_what_comes_after_with_it() {
    let entry = |id: &str, status, result| ChordEntry { task_id: id.to_owned(), status, result };
    let cause = Exception::value_error("hdr");
    let entries = [entry("a", State::Success, 1.into()), entry("b", State::Failure, cause.to_value())];
    let failure = join(&entries, None).unwrap_err();
    assert_eq!(failure.error, Exception::chord_error("Dependency b raised ValueError('hdr')"));
    let body = sig("xsum", &[])
        .id("body")
        .set("chain", vec![sig("ident", &[]).id("last").set("group_id", "g").set("chord", sig("noop", &[]))]);
    let ChordEnd { exception, failed, .. } = chord_failure(&body, &failure).unwrap();
    assert_eq!(exception, failure.error);
    assert_eq!(failed.tasks.iter().map(|task| task.task_id.as_str()).collect::<Vec<_>>(), ["body", "last"]);
    assert_eq!(
        failed.parts.iter().map(|part| (part.group_id.as_str(), part.task_id.as_str())).collect::<Vec<_>>(),
        [("g", "last")]
    );
    let body = group([sig("xsum", &[]).id("one").link_error(sig("errback_old", &[])), sig("ident", &[]).id("two")]).id("group");
    let body = body.link_error(sig("errback_new", &[]));
    let ChordEnd { exception, failed, told } = chord_failure(&body, &failure).unwrap();
    assert_eq!(exception, cause, "the tasks of a group fail with the member's own exception");
    assert_eq!(failed.tasks.iter().map(|task| task.task_id.as_str()).collect::<Vec<_>>(), ["one", "two", "group"]);
    let told: Vec<_> = told.iter().map(|told| (told.task_id.as_str(), told.errbacks.len())).collect();
    assert_eq!(told, [("one", 2), ("two", 1)], "each with its own errbacks and those of the group");
}

#[test]
fn an_errback_of_nested_chords_is_called_once_by_the_outermost() {
    let failure = ChordFailure::join("lost");
    let (shared, own) = (sig("errback_old", &[]), sig("errback_new", &[]));
    let outer = sig("xsum", &[]).id("outer").link_error(shared.clone());
    let inner = sig("ident", &[]).id("inner").link_error(shared).link_error(own.clone());
    let told = |body: &Signature| chord_failure(body, &failure).unwrap().told.pop().unwrap().errbacks;
    assert_eq!(told(&inner).len(), 2, "alone it calls both");
    assert_eq!(told(&inner.set("group_id", "g").set("chord", outer.clone())), [own], "the outer chord calls what is its own, too");
    assert_eq!(told(&outer).len(), 1);
}

#[test]
fn a_header_with_groups_at_its_ends_fails_with_what_came_up_in_the_join() {
    let structure = ResultTuple::group("g", vec![ResultTuple::group("h", vec![ResultTuple::task("a")])]);
    let failed = |cause: &Exception| {
        let entry = ChordEntry { task_id: "a".to_owned(), status: State::Failure, result: cause.to_value() };
        join(&[entry], Some(&structure)).unwrap_err()
    };
    let failure = failed(&Exception::value_error("hdr"));
    assert_eq!((failure.cause, failure.error), (None, Exception::chord_error("Join error: ValueError('hdr')")));
    let inner = Exception::chord_error("Dependency x raised ValueError('hdr')");
    assert_eq!(failed(&inner).error, inner, "the failure of an inner chord is passed on as it is");
}

#[test]
fn what_comes_after_a_chord_whose_body_is_a_chord_is_seen_by_python_when_it_fails() {
    let body = chord([sig("ident", &[])], sig("xsum", &[]));
    let steps = [sig("noop", &[]), group([sig("ident", &[]), sig("ident", &[])]), body, sig("mul", &[3]).id("last")];
    let first = apply(chain(steps), &Applied::at(now()), &mut ids()).unwrap();
    let message = &first.messages[0].message;
    let next = next_in_chain(message, &Value::Int(1), &Applied::within(message, now()), &mut ids()).unwrap().unwrap();
    let body = next.messages[0].message.embed.chord.clone().unwrap();
    // Celery's chord_error_from_stack fails what is in the option of the body itself, and looks no deeper.
    let rest: Vec<_> = body.option_signatures("chain").unwrap().iter().map(|step| step.task_id().map(str::to_owned)).collect();
    assert_eq!((body.is_chord(), rest), (true, vec![Some("last".to_owned())]));
}

#[test]
fn a_body_that_is_a_chain_and_ends_in_a_group_without_an_id_fails_under_the_chains() {
    let end = group([sig("ident", &[]).id("member")]);
    let body = chain([sig("noop", &[]).id("first"), end]).id("chain").link_error(sig("errback_old", &[]));
    let ChordEnd { failed, told, .. } = chord_failure(&body, &ChordFailure::join("lost")).unwrap();
    assert_eq!(failed.tasks.iter().map(|task| task.task_id.as_str()).collect::<Vec<_>>(), ["first", "member"]);
    assert_eq!(told.iter().map(|told| (told.task_id.as_str(), told.errbacks.len())).collect::<Vec<_>>(), [("chain", 1)]);
}

#[test]
fn a_part_that_is_missing_is_a_join_error() {
    let structure = ResultTuple::group("g", vec![ResultTuple::task("a"), ResultTuple::group("h", vec![ResultTuple::task("b")])]);
    let entry = |id: &str| ChordEntry { task_id: id.to_owned(), status: State::Success, result: id.into() };
    assert_eq!(join(&[entry("b"), entry("a")], Some(&structure)).unwrap(), [Value::from("a"), vec!["b"].into()]);
    let error = join(&[entry("a")], Some(&structure)).unwrap_err().error;
    assert!(error.message().starts_with("Join error: "), "{error}");
}

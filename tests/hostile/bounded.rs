//! Each target on its seeds and on mutations of them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::mutate::mutate;
use crate::seeds::{Seeds, TARGETS};

/// How many mutations each target gets: seconds in a debug build.
const CASES: usize = 2500;

fn run(name: &str) {
    let (_, check) = TARGETS.into_iter().find(|(target, _)| *target == name).unwrap();
    let seeds = Seeds::recorded().of(name);
    seeds.iter().for_each(|seed| try_on(check, seed));
    let mut random = fastrand::Rng::with_seed(1);
    for case in 0..CASES {
        let other = random.choice(&seeds).unwrap();
        try_on(check, &mutate(&mut random, &seeds[case % seeds.len()], other));
    }
}

/// Says of which bytes it was that a target failed.
fn try_on(check: fn(&[u8]), data: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(data))) {
        let text = String::from_utf8_lossy(data);
        let message = panic.downcast_ref::<String>().map_or_else(|| "see above".to_owned(), String::clone);
        panic!("{message}\nwith these bytes: {text}");
    }
}

#[test]
fn any_element_of_a_queue_is_an_envelope_that_keeps_what_it_says_or_stays_as_it_is() {
    run("envelope");
}

#[test]
fn any_entry_of_unacked_gives_back_what_was_fetched() {
    run("unacked");
}

#[test]
fn any_message_is_refused_in_a_sentence_or_comes_through_unchanged() {
    run("message");
}

#[test]
fn any_canvas_is_refused_or_comes_to_a_bounded_number_of_readable_messages() {
    run("canvas");
}

#[test]
fn any_stored_result_is_refused_or_comes_through_unchanged() {
    run("results");
}

#[test]
fn any_value_is_refused_or_comes_through_unchanged() {
    run("values");
}

#[test]
fn any_remote_control_request_is_refused_in_a_sentence_or_answered() {
    run("control");
}

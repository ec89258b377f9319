//! What is wrong on purpose is found: else the model would be blind.

use crate::checker::{STUCK, check};
use crate::life::{BODY_TWICE, Break, COUNTED_TWICE, FOREIGN, HANDED_ON_TWICE, LOST, Life, TWO_OWNERS};

/// What is found, and only that.
fn finds(what: &str, life: Life) {
    match check(&life) {
        Ok(report) => panic!("{life:?} is right in all its {} states", report.states),
        Err(violation) => assert_eq!(violation.what, what, "{violation:?}"),
    }
}

fn broken(broken: Break) -> Life {
    Life { broken, ..Life::PLAIN }
}

#[test]
fn a_message_that_is_popped_and_then_leased_is_lost_by_a_crash_in_between() {
    finds(LOST, broken(Break::PopThenLease));
}

#[test]
fn a_message_that_is_acked_before_it_is_settled_is_lost_by_a_crash_in_between() {
    finds(LOST, broken(Break::AckBeforeSettle));
}

#[test]
fn a_message_that_is_removed_before_it_is_put_back_is_lost_by_a_crash_in_between() {
    finds(LOST, broken(Break::RemoveBeforePush));
}

#[test]
fn a_result_that_is_not_fenced_is_written_by_a_worker_that_lost_its_lease() {
    finds(FOREIGN, broken(Break::SettleUnfenced));
    // Nothing is run here, all are given up.
    finds(FOREIGN, Life { most_deaths: 0, ..broken(Break::GiveUpUnfenced) });
}

#[test]
fn what_is_put_back_without_a_second_look_may_be_another_s_that_came_back() {
    finds(TWO_OWNERS, broken(Break::RestoreWithoutSecondLook));
}

#[test]
fn a_time_out_that_nobody_renews_gives_a_long_task_two_owners() {
    finds(TWO_OWNERS, broken(Break::RestoreFromTheLiving));
}

#[test]
fn parts_that_are_only_counted_are_counted_twice() {
    finds(COUNTED_TWICE, Life { doubled: true, ..broken(Break::CountPartsAnonymously) });
}

#[test]
fn what_is_published_before_the_ack_is_published_again_by_a_crash_in_between() {
    finds(HANDED_ON_TWICE, broken(Break::HandOnThenAck));
}

#[test]
fn a_chord_whose_claim_does_not_run_out_hangs_when_its_claimant_dies() {
    finds(STUCK, broken(Break::ClaimForEver));
}

#[test]
fn a_body_that_is_pushed_without_the_claim_is_pushed_twice() {
    finds(BODY_TWICE, Life { doubled: true, ..broken(Break::CloseUnclaimed) });
}

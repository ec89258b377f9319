//! The life as it is meant: everything holds, on every way there is.

use std::collections::BTreeSet;

use crate::checker::check;
use crate::life::Life;
use crate::table::moves;

type Moves = BTreeSet<(&'static str, &'static str, &'static str)>;

/// Looks at everything; which moves messages made.
fn explore(life: Life) -> Moves {
    let report = check(&life).unwrap_or_else(|violation| panic!("{life:?}: {violation:?}"));
    assert!(report.states > 1000, "{life:?}: {} states", report.states);
    report.steps.into_iter().filter_map(|step| step.moved.map(|(_, from, to)| (step.name, from, to))).collect()
}

#[test]
fn nothing_is_lost_nothing_counts_twice_and_everything_ends() {
    let table: Moves = moves().into_iter().collect();
    let lives = [
        Life { eta: [true, false], limited: [false, true], ..Life::PLAIN },
        Life { retries: [true, false], most_deaths: 2, ..Life::PLAIN },
        Life { replays: true, ..Life::PLAIN },
    ];
    let seen: Moves = lives.into_iter().flat_map(explore).collect();
    assert_eq!(seen.difference(&table).collect::<Vec<_>>(), Vec::<&_>::new(), "in the model, and not in the table");
    assert_eq!(table.difference(&seen).collect::<Vec<_>>(), Vec::<&_>::new(), "in the table, and not in the model");
}

#[test]
fn a_message_that_is_there_twice_changes_none_of_it() {
    explore(Life { doubled: true, ..Life::PLAIN });
}

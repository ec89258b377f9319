//! Looks at every state a model can reach, breadth first, so that what it finds wrong is told by a shortest way there.
//!
//! `stateright` checks what holds always, and what comes to pass on every path; "from everywhere the end can still be reached" is neither,
//! and it is the promise here: a dead worker stays dead on some paths. So this is a search of our own.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt::{self, Debug};
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// What is checked.
pub(crate) trait Model {
    type State: Clone + Eq + Hash + Debug;
    type Step: Clone + Eq + Hash + Debug;

    fn begin(&self) -> Self::State;

    /// Everything that can happen next.
    fn next(&self, state: &Self::State, found: &mut Vec<(Self::Step, Self::State)>);

    /// What is wrong with a state.
    fn wrong(&self, state: &Self::State) -> Option<&'static str>;

    /// Whether everything is over, and well.
    fn is_over(&self, state: &Self::State) -> bool;
}

/// All that is reachable is right, and from everywhere the end is reachable.
#[derive(Debug)]
pub(crate) struct Report<S> {
    pub(crate) states: usize,
    /// Every step that was ever taken.
    pub(crate) steps: HashSet<S>,
}

/// A way to something wrong.
pub(crate) struct Violation {
    pub(crate) what: &'static str,
    way: Vec<String>,
}

impl Debug for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, after", self.what)?;
        self.way.iter().try_for_each(|step| writeln!(f, "  {step}"))
    }
}

/// No end is reachable from some state.
pub(crate) const STUCK: &str = "it can never end";

/// What is known of the states that were found.
struct Search<M: Model> {
    states: Vec<M::State>,
    /// Where each was first found from, and by which step.
    from: Vec<Option<(u32, M::Step)>>,
    /// From which to which there is a step.
    steps: Vec<(u32, u32)>,
}

impl<M: Model> Search<M> {
    fn way(&self, to: usize, what: &'static str) -> Violation {
        let (mut way, mut at) = (vec![format!("= {:?}", self.states[to])], to);
        while let Some((from, step)) = &self.from[at] {
            way.push(format!("{step:?}"));
            at = *from as usize;
        }
        way.reverse();
        Violation { what, way }
    }

    /// The first state that was found from which none of `ends` can be reached.
    fn stuck(mut self, mut open: Vec<u32>) -> Option<(Self, usize)> {
        self.steps.sort_unstable_by_key(|(_, to)| *to);
        let mut ending = vec![false; self.states.len()];
        while let Some(state) = open.pop() {
            if !std::mem::replace(&mut ending[state as usize], true) {
                let first = self.steps.partition_point(|(_, to)| *to < state);
                let before = self.steps[first..].iter().take_while(|(_, to)| *to == state);
                open.extend(before.map(|(from, _)| *from).filter(|from| !ending[*from as usize]));
            }
        }
        let stuck = ending.iter().position(|ends| !ends)?;
        Some((self, stuck))
    }
}

/// Quick where nobody means harm.
#[derive(Default)]
struct Fast(u64);

impl Hasher for Fast {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }
}

/// Looks at everything.
pub(crate) fn check<M: Model>(model: &M) -> Result<Report<M::Step>, Violation> {
    let begin = model.begin();
    let mut known = HashMap::<M::State, u32, BuildHasherDefault<Fast>>::default();
    known.insert(begin.clone(), 0);
    let mut search: Search<M> = Search { states: vec![begin], from: vec![None], steps: Vec::new() };
    let (mut steps, mut ends, mut found) = (HashSet::new(), Vec::new(), Vec::new());
    let mut at = 0;
    while at < search.states.len() {
        if let Some(what) = model.wrong(&search.states[at]) {
            return Err(search.way(at, what));
        }
        let this = u32::try_from(at).expect("fewer states than 2^32");
        if model.is_over(&search.states[at]) {
            ends.push(this);
        }
        model.next(&search.states[at], &mut found);
        for (step, state) in found.drain(..) {
            let place = match known.entry(state) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => {
                    let place = u32::try_from(search.states.len()).expect("fewer states than 2^32");
                    search.states.push(new.key().clone());
                    search.from.push(Some((this, step.clone())));
                    *new.insert(place)
                }
            };
            search.steps.push((this, place));
            steps.insert(step);
        }
        at += 1;
    }
    let states = search.states.len();
    match search.stuck(ends) {
        Some((search, state)) => Err(search.way(state, STUCK)),
        None => Ok(Report { states, steps }),
    }
}

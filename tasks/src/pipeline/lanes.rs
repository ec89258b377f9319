//! How many pages of a document are worked on at once: its work is dealt out over lanes, and of a lane one thing runs after the other.
//!
//! What comes next in a lane is sent in the step that settles what came before, so that no counter has to be kept that a crash could leave
//! raised: whoever dies over a page leaves its lane where it is until another has the page. A lane of pages is a chain, which is as long
//! as a batch at most. A lane of batches is as long as the document: there each batch adds the next one to the job's chord.

use celeriac::canvas::chain;
use celeriac::protocol::signature::Signature;

/// How many lanes batches run in, where there may be several: while one waits for the last page of a batch, the other goes on.
const SIDE_BY_SIDE: usize = 2;

/// The lanes of batches, and how many pages each of them may work on at once: together at most `most`. None: as many as can.
pub(super) fn of_batches(most: u32, batches: usize, batch_size: usize) -> Option<Vec<u32>> {
    let pages = usize::try_from(most).ok().filter(|most| *most > 0 && *most < batches.saturating_mul(batch_size))?;
    // A lane is no wider than its batches.
    let lanes = SIDE_BY_SIDE.max(pages.div_ceil(batch_size.max(1))).min(pages).min(batches);
    let width = |lane| u32::try_from(pages / lanes + usize::from(lane < pages % lanes)).unwrap_or(u32::MAX);
    Some((0..lanes).map(width).collect())
}

/// These in so many lanes, dealt out like cards: the first ones begin, each other one when the one before it in its lane has ended. 0: all
/// at once.
pub(super) fn dealt<T>(all: Vec<T>, lanes: usize) -> Vec<Vec<T>> {
    let lanes = if lanes == 0 { all.len() } else { lanes.min(all.len()) };
    let mut dealt: Vec<Vec<T>> = (0..lanes).map(|_| Vec::new()).collect();
    for (place, one) in all.into_iter().enumerate() {
        dealt[place % lanes].push(one);
    }
    dealt
}

/// These calls in so many lanes, each of which is a chain. A call that is not the first gets no result of the one before: it is to be
/// immutable.
pub(super) fn chains(calls: Vec<Signature>, lanes: usize) -> Vec<Signature> {
    dealt(calls, lanes).into_iter().map(|mut lane| if lane.len() == 1 { lane.remove(0) } else { chain(lane) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn six_pages_of_a_long_document_are_two_lanes_of_three() {
        assert_eq!(of_batches(6, 20, 25), Some(vec![3, 3]));
        assert_eq!(of_batches(7, 20, 25), Some(vec![4, 3]));
        assert_eq!(of_batches(1, 20, 25), Some(vec![1]));
        assert_eq!(of_batches(60, 20, 25), Some(vec![20, 20, 20]));
        assert_eq!(of_batches(6, 1, 25), Some(vec![6]));
        assert_eq!((of_batches(0, 20, 25), of_batches(500, 20, 25)), (None, None));
    }

    #[test]
    fn calls_are_dealt_out_in_order() {
        let call = |number: i64| Signature::new("t").arg(number).immutable();
        let lanes = chains((1..=5).map(call).collect(), 2);
        assert_eq!(lanes, [chain([call(1), call(3), call(5)]), chain([call(2), call(4)])]);
        assert_eq!(chains((1..=3).map(call).collect(), 0).len(), 3);
        assert_eq!(chains((1..=3).map(call).collect(), 3), [call(1), call(2), call(3)]);
        assert_eq!(chains((1..=3).map(call).collect(), 2)[1], call(2));
        assert_eq!(dealt(vec![1, 2], 5), [[1], [2]]);
        assert_eq!(dealt(Vec::<u32>::new(), 2), Vec::<Vec<u32>>::new());
    }

    proptest! {
        #[test]
        fn lanes_are_together_as_wide_as_allowed_and_each_can_be_filled(most in 1u32..5000, batches in 1usize..200, size in 1usize..200) {
            if let Some(lanes) = of_batches(most, batches, size) {
                prop_assert_eq!(lanes.iter().sum::<u32>(), most);
                prop_assert!(lanes.len() <= batches && lanes.iter().all(|width| (1..=size).contains(&(*width as usize))));
            } else {
                prop_assert!(most as usize >= batches * size);
            }
        }
    }
}

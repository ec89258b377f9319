//! TextRank: a sentence matters when it resembles many sentences that matter.
//!
//! Sentences are sparse vectors; two are linked by the cosine between them; ranks are what a random walk over the links
//! settles to. Pure arithmetic in a fixed order: the same input gives the same ranks.

/// Share of the walk that follows links rather than starting anew.
const DAMPING: f32 = 0.85;
const ROUNDS: usize = 30;
const TOLERANCE: f32 = 1e-4;
/// Weaker resemblance than this is chance.
const MIN_LINK: f32 = 0.06;

/// A sentence: numbers of its terms, ascending, with their weights.
pub(crate) type Vector = Vec<(u32, f32)>;

/// A vector in which every term weighs the same.
pub(crate) fn plain(terms: &[u32]) -> Vector {
    terms.iter().map(|term| (*term, 1.0)).collect()
}

/// The cosine between two vectors.
pub(crate) fn cosine(a: &[(u32, f32)], b: &[(u32, f32)]) -> f32 {
    let (mut i, mut j, mut dot) = (0, 0, 0.0);
    while i < a.len() && j < b.len() {
        match a[i].0.cmp(&b[j].0) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                dot += a[i].1 * b[j].1;
                i += 1;
                j += 1;
            }
        }
    }
    let lengths = length(a) * length(b);
    if lengths > 0.0 { dot / lengths } else { 0.0 }
}

fn length(vector: &[(u32, f32)]) -> f32 {
    vector.iter().map(|(_, weight)| weight * weight).sum::<f32>().sqrt()
}

/// The rank of each sentence, the highest being 1. `bias` is where the walk starts anew: all 1 for plain TextRank.
pub(crate) fn textrank(sentences: &[Vector], bias: &[f32]) -> Vec<f32> {
    let n = sentences.len();
    if n == 0 {
        return Vec::new();
    }
    let links = links(sentences);
    let out: Vec<f32> = links.iter().map(|row| row.iter().map(|(_, weight)| weight).sum()).collect();
    let total: f32 = bias.iter().sum::<f32>().max(f32::MIN_POSITIVE);
    let start: Vec<f32> = bias.iter().map(|b| b / total).collect();
    let mut rank = start.clone();
    for _ in 0..ROUNDS {
        let mut next: Vec<f32> = start.iter().map(|s| s * (1.0 - DAMPING)).collect();
        let mut loose = 0.0;
        for (from, row) in links.iter().enumerate() {
            if out[from] <= 0.0 {
                loose += rank[from];
                continue;
            }
            let share = DAMPING * rank[from] / out[from];
            for (to, weight) in row {
                next[*to as usize] += share * weight;
            }
        }
        for (value, s) in next.iter_mut().zip(&start) {
            *value += DAMPING * loose * s;
        }
        let change: f32 = next.iter().zip(&rank).map(|(a, b)| (a - b).abs()).sum();
        rank = next;
        if change < TOLERANCE {
            break;
        }
    }
    let highest = rank.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    rank.iter().map(|value| value / highest).collect()
}

/// For each sentence the others that resemble it, through an inverted index: only sentences that share a term meet.
fn links(sentences: &[Vector]) -> Vec<Vec<(u32, f32)>> {
    let terms = sentences.iter().flatten().map(|(term, _)| *term as usize + 1).max().unwrap_or(0);
    let mut postings: Vec<Vec<(u32, f32)>> = vec![Vec::new(); terms];
    let lengths: Vec<f32> = sentences.iter().map(|sentence| length(sentence)).collect();
    let mut links: Vec<Vec<(u32, f32)>> = vec![Vec::new(); sentences.len()];
    let mut dots = vec![0.0f32; sentences.len()];
    for (i, sentence) in sentences.iter().enumerate() {
        for (term, weight) in sentence {
            for (j, other) in &postings[*term as usize] {
                dots[*j as usize] += weight * other;
            }
        }
        for j in 0..i {
            let dot = std::mem::take(&mut dots[j]);
            let cosine = if dot > 0.0 { dot / (lengths[i] * lengths[j]) } else { 0.0 };
            // An almost equal sentence is a repetition, not a confirmation.
            if (MIN_LINK..0.95).contains(&cosine) {
                let (i_number, j_number) = (u32::try_from(i).unwrap_or(u32::MAX), u32::try_from(j).unwrap_or(u32::MAX));
                links[i].push((j_number, cosine));
                links[j].push((i_number, cosine));
            }
        }
        for (term, weight) in sentence {
            postings[*term as usize].push((u32::try_from(i).unwrap_or(u32::MAX), *weight));
        }
    }
    links
}

/// Chooses `limit` of the scored vectors so that each is strong and unlike those already chosen (maximal marginal
/// relevance); `relevance` is the weight of strength, the rest is difference. Returns indices in the order of choice.
pub(crate) fn diverse(vectors: &[Vector], scores: &[f32], limit: usize, relevance: f32) -> Vec<usize> {
    let mut chosen: Vec<usize> = Vec::with_capacity(limit);
    let mut nearest = vec![0.0f32; vectors.len()];
    let mut free: Vec<usize> = (0..vectors.len()).collect();
    while chosen.len() < limit {
        let value = |at: usize| relevance * scores[at] - (1.0 - relevance) * nearest[at];
        let best =
            free.iter().copied().filter(|at| nearest[*at] < 0.6).max_by(|a, b| value(*a).total_cmp(&value(*b)).then(b.cmp(a)));
        let Some(best) = best else { break };
        chosen.push(best);
        free.retain(|at| *at != best);
        for at in &free {
            nearest[*at] = nearest[*at].max(cosine(&vectors[*at], &vectors[best]));
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_that_resembles_the_others_ranks_first() {
        let sentences = [plain(&[1, 2, 3]), plain(&[1, 4, 5]), plain(&[2, 6, 7]), plain(&[3, 8, 9]), plain(&[10, 11])];
        let rank = textrank(&sentences, &[1.0; 5]);
        assert_eq!(rank[0], 1.0);
        assert!(rank[4] < rank[1]);
    }

    #[test]
    fn ranks_are_finite_for_nothing_and_for_strangers() {
        assert!(textrank(&[], &[]).is_empty());
        assert_eq!(textrank(&[plain(&[1]), plain(&[2])], &[1.0, 1.0]), [1.0, 1.0]);
        assert!(textrank(&[Vec::new()], &[1.0])[0].is_finite());
    }

    #[test]
    fn a_repetition_is_not_chosen_twice() {
        let vectors = [plain(&[1, 2, 3]), plain(&[1, 2, 3]), plain(&[7, 8, 9])];
        assert_eq!(diverse(&vectors, &[1.0, 0.9, 0.1], 3, 0.7), [0, 2]);
    }
}

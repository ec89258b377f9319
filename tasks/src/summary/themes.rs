//! What a document is about: key phrases of its pages, gathered by stem and told apart from each other.

use std::collections::{BTreeMap, BTreeSet};

use super::candidates::{Candidate, subject};
use super::{SectionPlan, SummaryInput};
use crate::analysis::{Offline, words};
use crate::result::Theme;

const MAX_THEMES: usize = 8;
const MAX_PAGES: usize = 40;
/// Phrases that are looked at closely.
const CONSIDERED: usize = 60;

/// Stems of English words that by themselves name no theme.
const GENERIC: [&str; 22] = [
    "valu", "argument", "result", "input", "output", "number", "name", "case", "type", "order", "form", "time", "way", "part",
    "element", "line", "point", "year", "item", "detail", "inform", "option",
];

#[derive(Default)]
struct Cluster<'a> {
    pages: BTreeMap<u32, u32>,
    forms: BTreeMap<&'a str, u32>,
}

/// The strongest themes, each with the sentence that says most about it, and its name as it is written within a sentence.
pub(super) fn themes(
    offline: &Offline,
    input: &SummaryInput,
    plans: &[SectionPlan],
    candidates: &[Candidate],
) -> Vec<(Theme, String)> {
    let language = input.language();
    let own = offline.languages().language(language.as_deref());
    let stems_of = |text: &str| -> BTreeSet<String> { words(text).map(|word| own.stem(&word.to_lowercase())).collect() };
    let subject = subject(&own, input);
    let titles: Vec<BTreeSet<String>> = plans.iter().filter_map(|plan| plan.title.as_deref()).map(stems_of).collect();
    let mut clusters: BTreeMap<&str, Cluster<'_>> = BTreeMap::new();
    for digest in input.ordered() {
        for term in &digest.terms {
            let cluster = clusters.entry(&term.stem).or_default();
            *cluster.pages.entry(digest.page).or_default() += term.count;
            *cluster.forms.entry(&term.text).or_default() += term.count;
        }
    }
    let said: Vec<BTreeSet<String>> = candidates.iter().map(|candidate| stems_of(&candidate.text)).collect();
    let total = input.digests.len().max(1);
    let least = (total / 150).clamp(1, 4);
    let mut scored: Vec<(f64, &str, Cluster<'_>)> = clusters
        .into_iter()
        .filter(|(stem, cluster)| cluster.pages.len() >= least && !GENERIC.contains(stem))
        .map(|(stem, cluster)| (score(stem, &cluster, total, &titles), stem, cluster))
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.truncate(CONSIDERED);
    for (score, stem, _) in &mut scored {
        // A phrase that no good sentence speaks of is furniture of the text, however often it stands there.
        let best = telling(stem, candidates, &said, &BTreeSet::new()).map_or(0.0, |candidate| candidate.local.min(1.0));
        *score *= 0.3 + 0.7 * f64::from(best);
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let strongest = scored.first().map_or(1.0, |(score, _, _)| *score).max(f64::MIN_POSITIVE);
    let mut taken: BTreeSet<&str> = BTreeSet::new();
    let mut told: BTreeSet<&str> = BTreeSet::new();
    let mut themes = Vec::new();
    for (score, stem, cluster) in &scored {
        if themes.len() == MAX_THEMES {
            break;
        }
        // "sparse matrix" and "matrix" are one theme.
        // What the whole document is about is not a theme among others.
        if stem.split(' ').any(|word| taken.contains(word) || subject.iter().any(|named| named == word)) {
            continue;
        }
        taken.extend(stem.split(' '));
        let telling = telling(stem, candidates, &said, &told);
        told.extend(telling.map(|candidate| candidate.text.as_str()));
        let name = name(cluster);
        let theme = Theme {
            name: capitalised(&name),
            description: telling.map(|candidate| candidate.text.clone()).unwrap_or_default(),
            pages: strongest_pages(cluster),
            weight: (score / strongest * 100.0).round() / 100.0,
        };
        themes.push((theme, name));
    }
    themes
}

/// The best sentence that says all words of `stem` and was not told yet.
fn telling<'a>(stem: &str, candidates: &'a [Candidate], said: &[BTreeSet<String>], told: &BTreeSet<&str>) -> Option<&'a Candidate> {
    candidates
        .iter()
        .zip(said)
        .filter(|(candidate, stems)| !told.contains(candidate.text.as_str()) && stem.split(' ').all(|word| stems.contains(word)))
        .map(|(candidate, _)| candidate)
        .max_by(|a, b| a.local.total_cmp(&b.local).then(b.page.cmp(&a.page)))
}

/// Often and over many pages, but not on every page; phrases before single words; what section titles say counts more.
fn score(stem: &str, cluster: &Cluster<'_>, total: usize, titles: &[BTreeSet<String>]) -> f64 {
    let often: f64 = cluster.pages.values().map(|count| f64::from(*count).sqrt()).sum();
    let rare = (1.0 + total as f64 / cluster.pages.len() as f64).ln().powf(1.3);
    let several = if stem.contains(' ') || stem.chars().count() > 4 && !stem.is_ascii() { 6.0 } else { 1.0 };
    let in_title = titles.iter().any(|title| stem.split(' ').all(|word| title.contains(word)));
    often * rare * several * if in_title { 1.6 } else { 1.0 }
}

fn name(cluster: &Cluster<'_>) -> String {
    let form = cluster.forms.iter().max_by(|a, b| a.1.cmp(b.1).then_with(|| a.0.cmp(b.0)));
    form.map(|(form, _)| (*form).to_owned()).unwrap_or_default()
}

fn capitalised(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect()
}

/// The pages that speak of it most, in page order.
fn strongest_pages(cluster: &Cluster<'_>) -> Vec<u32> {
    let mut pages: Vec<(u32, u32)> = cluster.pages.iter().map(|(page, count)| (*page, *count)).collect();
    pages.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut pages: Vec<u32> = pages.into_iter().take(MAX_PAGES).map(|(page, _)| page).collect();
    pages.sort_unstable();
    pages
}

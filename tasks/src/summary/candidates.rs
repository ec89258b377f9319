//! The sentences a summary may be made of, weighed against each other across the whole document.

use std::collections::{BTreeMap, HashMap};

use super::{SectionPlan, SummaryInput};
use crate::analysis::{Language, Offline, Stems, Vector, textrank, words};

/// Sentences of one section that are ranked against each other.
const PER_SECTION: usize = 160;
/// Sentences of each section that are ranked against the other sections'.
const FINALISTS: usize = 6;
/// A sentence that stands on so many pages is furniture.
const REPEATED: usize = 3;

/// A sentence that may enter the summary.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    pub text: String,
    pub page: u32,
    pub start: u32,
    pub end: u32,
    /// Index of its section.
    pub section: usize,
    /// Its stems, weighed by how rare they are.
    pub vector: Vector,
    /// How well it can stand alone in a summary: page score, cues, title words.
    pub fitness: f32,
    /// `fitness` times how central it is in its section.
    pub local: f32,
    /// `fitness` times how central it is among the best of all sections; 0 for the others.
    pub global: f32,
    /// Whether it says what the document or its subject is.
    pub defines: bool,
}

/// Gathers and weighs all candidates of a document, in page order.
pub(super) fn candidates(offline: &Offline, input: &SummaryInput, plans: &[SectionPlan]) -> Vec<Candidate> {
    let language = input.language();
    let words_of = offline.languages().language(language.as_deref());
    let digests = input.ordered();
    let mut copies: HashMap<String, usize> = HashMap::new();
    for sentence in digests.iter().flat_map(|digest| &digest.sentences) {
        *copies.entry(letters(&sentence.text)).or_default() += 1;
    }
    let subject = subject(&words_of, input);
    let titles: Vec<Vec<String>> = plans.iter().map(|plan| title_stems(&words_of, plan.title.as_deref())).collect();
    let mut stems = Stems::default();
    let mut found: Vec<Candidate> = Vec::new();
    let mut seen: HashMap<String, ()> = HashMap::new();
    for digest in digests {
        let section = section_of(plans, digest.page);
        let native = if digest.language.is_none() || digest.language == language { 1.0 } else { 0.3 };
        for sentence in &digest.sentences {
            let key = letters(&sentence.text);
            if copies.get(&key).is_some_and(|count| *count >= REPEATED) || seen.insert(key, ()).is_some() {
                continue;
            }
            let (Some(section), bag) = (section, stems.bag(&sentence.text, &words_of)) else { continue };
            let cues = cues(&sentence.text, &words_of, language.as_deref() == Some("en"));
            let about = about(&sentence.text, &subject, &words_of);
            // What stands before the first titled section is imprint and licence rather than content.
            let front = if plans[section].title.is_none() && plans.iter().any(|plan| plan.title.is_some()) { 0.5 } else { 1.0 };
            let of_section = about_section(&sentence.text, &titles[section], &words_of);
            found.push(Candidate {
                text: sentence.text.clone(),
                page: digest.page,
                start: sentence.start,
                end: sentence.end,
                section,
                vector: bag.stems.iter().map(|stem| (*stem, 1.0)).collect(),
                fitness: (0.3 + 0.7 * sentence.score) * cues * about * of_section * native * front,
                local: 0.0,
                global: 0.0,
                defines: cues >= 1.0 && names_early(&sentence.text, &subject, &words_of) && defines(&sentence.text),
            });
        }
    }
    weigh(&mut found);
    rank(&mut found, plans.len());
    found
}

/// Rare stems tell more than frequent ones.
fn weigh(candidates: &mut [Candidate]) {
    let mut frequency: HashMap<u32, f32> = HashMap::new();
    for (stem, _) in candidates.iter().flat_map(|candidate| &candidate.vector) {
        *frequency.entry(*stem).or_default() += 1.0;
    }
    let total = candidates.len() as f32;
    for candidate in candidates {
        for (stem, weight) in &mut candidate.vector {
            *weight = (1.0 + total / frequency.get(stem).copied().unwrap_or(1.0)).ln();
        }
    }
}

/// Ranks each section's sentences among themselves, then the best of all sections.
fn rank(candidates: &mut [Candidate], sections: usize) {
    let mut finalists = Vec::new();
    for section in 0..sections {
        let mut own: Vec<usize> = (0..candidates.len()).filter(|at| candidates[*at].section == section).collect();
        own.sort_by(|a, b| candidates[*b].fitness.total_cmp(&candidates[*a].fitness).then(a.cmp(b)));
        own.truncate(PER_SECTION);
        // Sections say in their first pages what they are about.
        let first = own.iter().map(|at| candidates[*at].page).min().unwrap_or(0);
        for (at, rank) in own.iter().zip(ranks(candidates, &own)) {
            let early = if candidates[*at].page <= first + 1 { 1.4 } else { 1.0 };
            candidates[*at].local = candidates[*at].fitness * (0.25 + 0.75 * rank) * early;
        }
        own.sort_by(|a, b| candidates[*b].local.total_cmp(&candidates[*a].local).then(a.cmp(b)));
        finalists.extend(own.into_iter().take(FINALISTS));
    }
    finalists.sort_unstable();
    for (at, rank) in finalists.iter().zip(ranks(candidates, &finalists)) {
        candidates[*at].global = candidates[*at].local * (0.3 + 0.7 * rank);
    }
}

fn ranks(candidates: &[Candidate], chosen: &[usize]) -> Vec<f32> {
    let vectors: Vec<Vector> = chosen.iter().map(|at| candidates[*at].vector.clone()).collect();
    let bias: Vec<f32> = chosen.iter().map(|at| candidates[*at].fitness).collect();
    textrank(&vectors, &bias)
}

fn section_of(plans: &[SectionPlan], page: u32) -> Option<usize> {
    plans.iter().position(|plan| (plan.pages.from..=plan.pages.to).contains(&page))
}

fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Stems of what the document is about: the words of its title, or of the first page's heading where it has none, and the
/// name that stands on most pages.
pub(super) fn subject(language: &Language<'_>, input: &SummaryInput) -> Vec<String> {
    let first = input.digests.iter().filter(|digest| digest.page == 1).find_map(|digest| digest.headings.first());
    let title = input.title.as_deref().filter(|title| !title.trim().is_empty()).or(first.map(String::as_str));
    let mut subject = title_stems(language, title);
    let mut pages: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for term in input.digests.iter().flat_map(|digest| &digest.terms) {
        let (all, capital) = pages.entry(&term.stem).or_default();
        *all += 1;
        *capital += usize::from(term.text.starts_with(char::is_uppercase));
    }
    // A name: written with a capital almost everywhere, and found all over the document.
    let names = pages.into_iter().filter(|(_, (all, capital))| capital * 5 > all * 4 && all * 8 > input.digests.len());
    subject.extend(names.max_by_key(|(_, (all, _))| *all).map(|(stem, _)| stem.to_owned()));
    subject
}

/// Stems of the words of a title that carry meaning.
fn title_stems(language: &Language<'_>, title: Option<&str>) -> Vec<String> {
    words(title.unwrap_or_default())
        .map(str::to_lowercase)
        .filter(|lower| lower.chars().count() > 2 && !language.is_stop(lower) && lower.chars().all(char::is_alphabetic))
        .map(|lower| language.stem(&lower))
        .collect()
}

/// More than 1 when the sentence speaks of what its section's title says.
fn about_section(text: &str, title: &[String], language: &Language<'_>) -> f32 {
    let named = title.iter().any(|stem| words(text).any(|word| language.stem(&word.to_lowercase()) == *stem));
    if named { 1.3 } else { 1.0 }
}

/// More than 1 when the sentence names the document's subject.
fn about(text: &str, subject: &[String], language: &Language<'_>) -> f32 {
    let named = words(text).filter(|word| subject.contains(&language.stem(&word.to_lowercase()))).count();
    1.0 + 0.3 * named.min(2) as f32
}

/// Whether the sentence begins with the document's subject, as a definition of it does.
fn names_early(text: &str, subject: &[String], language: &Language<'_>) -> bool {
    words(text).take(5).any(|word| subject.contains(&language.stem(&word.to_lowercase())))
}

/// Words by which a sentence says what something is or is for; English, then German, French, Spanish, Italian, Portuguese.
const DEFINING: [&str; 36] = [
    " is a ",
    " is an ",
    " is the ",
    " are a ",
    " provides ",
    " describes ",
    " consists of ",
    " is designed ",
    " is intended ",
    " allows ",
    " makes it possible ",
    " supports ",
    " ist ein",
    " ist die ",
    " ist das ",
    " beschreibt ",
    " bietet ",
    " besteht aus ",
    " est un",
    " décrit ",
    " fournit ",
    " permet ",
    " es un",
    " describe ",
    " proporciona ",
    " permite ",
    " è un",
    " descrive ",
    " fornisce ",
    " é um",
    " descreve ",
    " fornece ",
    "とは",
    "は、",
    "是一",
    "是由",
];

fn defines(text: &str) -> bool {
    let lower = text.to_lowercase();
    DEFINING.iter().any(|cue| lower.chars().take(90).collect::<String>().contains(cue))
}

/// Words that make an English sentence one; at its beginning they make it a question or an order.
const VERBS: [&str; 40] = [
    "is",
    "are",
    "was",
    "were",
    "be",
    "been",
    "has",
    "have",
    "had",
    "can",
    "cannot",
    "may",
    "might",
    "will",
    "would",
    "should",
    "could",
    "must",
    "do",
    "does",
    "did",
    "provides",
    "provide",
    "allows",
    "allow",
    "supports",
    "support",
    "includes",
    "include",
    "contains",
    "contain",
    "describes",
    "describe",
    "uses",
    "makes",
    "make",
    "gives",
    "comes",
    "grew",
    "shows",
];

/// Lowers what reads badly out of its place: conditions, orders, references, quoted names; raises definitions.
fn cues(text: &str, language: &Language<'_>, english: bool) -> f32 {
    let lower = text.to_lowercase();
    let mut start = words(&lower);
    let (first, second) = (start.next().unwrap_or_default(), start.next().unwrap_or_default());
    let mut factor = 1.0;
    if matches!(
        first,
        "if" | "when" | "unless" | "once" | "while" | "for" | "since" | "because" | "by" | "wenn" | "falls" | "si" | "se" | "quand"
    ) {
        factor *= 0.6;
    }
    // "Return a list …", "Compute the …": an order; a noun does not stand before an article.
    if !language.is_stop(first) && matches!(second, "a" | "an" | "the" | "all" | "each" | "true" | "whether" | "if")
        || first.starts_with("return")
    {
        factor *= 0.4;
    }
    let referring = [" section", " chapter", "page ", "figure ", "table ", "below", "above", "abschnitt ", "kapitel ", "seite "];
    if referring.iter().any(|word| lower.contains(word)) {
        factor *= 0.6;
    }
    if text.contains(['‘', '"', '\'', '(', '[', ';', ':', '—']) {
        factor *= 0.75;
    }
    let parameters = ["argument", "parameter", "optional", "returned", "default value"];
    if parameters.iter().any(|word| lower.contains(word)) {
        factor *= 0.6;
    }
    if english && !words(&lower).any(|word| VERBS.contains(&word)) {
        factor *= 0.75;
    }
    if VERBS.contains(&first) {
        factor *= 0.5;
    }
    // "To aid this sharing …": it points backwards, though not with its first word.
    if words(&lower).take(5).any(|word| matches!(word, "this" | "these" | "such" | "above" | "also")) {
        factor *= 0.6;
    }
    // What is said in a handful of words is a rule or an aside rather than a statement about the document.
    if english && text.len() < 60 {
        factor *= 0.7;
    }
    if defines(text) { factor * 1.25 } else { factor }
}

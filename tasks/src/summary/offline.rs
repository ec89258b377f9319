//! Summarises a document from its own sentences: the central ones of each section, and of those the ones that together cover
//! most. Deterministic; it takes milliseconds for a thousand pages.

use super::SummaryInput;
use super::candidates::{Candidate, candidates};
use super::facts::insights;
use super::sections::{SectionPlan, sections};
use super::text::Phrases;
use super::themes::themes;
use crate::analysis::{Offline, Vector, cosine, diverse};
use crate::result::{KeyPoint, Section, Summary, SummaryMethod, SummaryQuote, Theme};

const KEY_POINTS: usize = 10;
const QUOTES: usize = 10;
/// Sentences of the second paragraph of the executive summary.
const EXECUTIVE: usize = 6;
const THEMES_NAMED: usize = 5;

/// Summarises a document offline.
#[must_use]
pub fn summarize(offline: &Offline, input: &SummaryInput) -> Summary {
    let plans = sections(input);
    let candidates = candidates(offline, input, &plans);
    let (themes, names): (Vec<Theme>, Vec<String>) = themes(offline, input, &plans, &candidates).into_iter().unzip();
    let language = input.language();
    let phrases = Phrases::of(language.as_deref());
    let opening = opening(input, &candidates);
    let points = choose(&candidates, KEY_POINTS, opening.as_slice());
    let used: Vec<usize> = points.iter().chain(&opening).copied().collect();
    let mut quoted = choose(&candidates, QUOTES, &used);
    if quoted.len() < 3 {
        // A short document has said everything in its key points; they are its words too.
        quoted = choose(&candidates, QUOTES, &[]);
    }
    let sections = written_sections(&plans, &candidates, &themes, phrases);
    let named = plans.iter().filter(|plan| plan.title.is_some()).count();
    let mut lead = Vec::new();
    lead.extend(opening.map(|at| candidates[at].text.clone()));
    if Phrases::knows(language.as_deref()) && !input.digests.is_empty() {
        lead.push(size(input, named, phrases));
        lead.extend(theme_sentence(&names, phrases));
    }
    let mut telling: Vec<usize> = points.iter().copied().take(EXECUTIVE).collect();
    telling.sort_unstable();
    let body: Vec<&str> = telling.iter().map(|at| candidates[*at].text.as_str()).collect();
    let glue = if language.as_deref().is_some_and(|code| code == "ja" || code == "zh") { "" } else { " " };
    let executive = [lead.join(glue), body.join(glue)].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n");
    Summary {
        detailed_markdown: detailed(&executive, &sections),
        executive,
        method: SummaryMethod::Extractive,
        levels: 2,
        covers_pages: u32::try_from(input.ordered().len()).unwrap_or(u32::MAX),
        missing_pages: input.missing_pages.clone(),
        key_points: key_points(&candidates, &points),
        quotes: quotes(&candidates, &quoted),
        insights: insights(input, &plans, &themes, &candidates),
        themes,
        sections,
    }
}

/// The sentence that says what the document is: early, about its subject, and a definition.
fn opening(input: &SummaryInput, candidates: &[Candidate]) -> Option<usize> {
    let early = (input.total_pages / 20).max(5);
    (0..candidates.len())
        .filter(|at| candidates[*at].defines && candidates[*at].page <= early)
        .max_by(|a, b| candidates[*a].fitness.total_cmp(&candidates[*b].fitness).then(b.cmp(a)))
}

/// Strong sentences that differ from each other, at most two a section, strongest first.
fn choose(candidates: &[Candidate], limit: usize, without: &[usize]) -> Vec<usize> {
    let finalists: Vec<usize> = (0..candidates.len()).filter(|at| candidates[*at].global > 0.0 && !without.contains(at)).collect();
    let vectors: Vec<Vector> = finalists.iter().map(|at| candidates[*at].vector.clone()).collect();
    let scores: Vec<f32> = finalists.iter().map(|at| candidates[*at].global).collect();
    let mut per_section = std::collections::BTreeMap::new();
    let sections = candidates.iter().map(|candidate| candidate.section).max().unwrap_or(0) + 1;
    let most = limit.div_ceil(sections).max(1);
    diverse(&vectors, &scores, finalists.len(), 0.7)
        .into_iter()
        .map(|at| finalists[at])
        .filter(|at| {
            let count = per_section.entry(candidates[*at].section).or_insert(0);
            *count += 1;
            *count <= most
        })
        .take(limit)
        .collect()
}

fn key_points(candidates: &[Candidate], points: &[usize]) -> Vec<KeyPoint> {
    let strongest = points.iter().map(|at| candidates[*at].global).fold(f32::MIN_POSITIVE, f32::max);
    let mut list: Vec<KeyPoint> = points
        .iter()
        .map(|at| {
            let point = &candidates[*at];
            let mut pages: Vec<u32> = candidates
                .iter()
                .filter(|other| other.page == point.page || cosine(&other.vector, &point.vector) > 0.45)
                .map(|other| other.page)
                .collect();
            pages.dedup();
            let weight = f64::from(point.global / strongest);
            KeyPoint { text: point.text.clone(), pages, weight: (weight * 100.0).round() / 100.0 }
        })
        .collect();
    list.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| a.pages.cmp(&b.pages)));
    list
}

fn quotes(candidates: &[Candidate], chosen: &[usize]) -> Vec<SummaryQuote> {
    let mut chosen = chosen.to_vec();
    chosen.sort_unstable();
    chosen
        .into_iter()
        .map(|at| &candidates[at])
        .map(|quote| SummaryQuote {
            text: quote.text.clone(),
            page: quote.page,
            start: Some(quote.start),
            end: Some(quote.end),
            speaker: None,
            verified: true,
        })
        .collect()
}

fn written_sections(plans: &[SectionPlan], candidates: &[Candidate], themes: &[Theme], phrases: &Phrases) -> Vec<Section> {
    let mut written = Vec::new();
    for (number, plan) in plans.iter().enumerate() {
        let own: Vec<&Candidate> =
            candidates.iter().filter(|candidate| candidate.section == number && candidate.local > 0.0).collect();
        let vectors: Vec<Vector> = own.iter().map(|candidate| candidate.vector.clone()).collect();
        let scores: Vec<f32> = own.iter().map(|candidate| candidate.local).collect();
        let wanted = if plan.pages.to - plan.pages.from >= 8 { 3 } else { 2 };
        let mut chosen = diverse(&vectors, &scores, wanted, 0.7);
        if chosen.is_empty() {
            continue;
        }
        chosen.sort_unstable();
        let summary = chosen.iter().map(|at| own[*at].text.as_str()).collect::<Vec<_>>().join(" ");
        written.push(Section { title: title(plan, themes, phrases), pages: plan.pages, summary });
    }
    written
}

/// The outline's title, or the pages and the theme that is strongest on them.
fn title(plan: &SectionPlan, themes: &[Theme], phrases: &Phrases) -> String {
    if let Some(title) = &plan.title {
        return title.clone();
    }
    let (from, to) = (plan.pages.from, plan.pages.to);
    let form = if from == to { phrases.one } else { phrases.run };
    let run = form.replace("{from}", &from.to_string()).replace("{to}", &to.to_string());
    let pages_in = |theme: &&Theme| theme.pages.iter().filter(|page| (from..=to).contains(*page)).count();
    match themes.iter().max_by_key(pages_in).filter(|theme| pages_in(theme) > 1) {
        Some(theme) => format!("{run}: {}", theme.name),
        None => run,
    }
}

fn size(input: &SummaryInput, sections: usize, phrases: &Phrases) -> String {
    let form = if sections > 1 { phrases.size } else { phrases.size_only };
    let whole = form.replace("{pages}", &phrases.number(input.total_pages as usize)).replace("{sections}", &sections.to_string());
    let read = input.ordered().len();
    if read < input.total_pages as usize {
        format!("{whole} {}", phrases.read.replace("{pages}", &phrases.number(read)))
    } else {
        whole
    }
}

fn theme_sentence(names: &[String], phrases: &Phrases) -> Option<String> {
    let named = &names[..names.len().min(THEMES_NAMED)];
    (named.len() > 1).then(|| format!("{}{}.", phrases.themes, phrases.list(named)))
}

pub(super) fn detailed(executive: &str, sections: &[Section]) -> String {
    let mut out = executive.to_owned();
    for section in sections {
        let (from, to) = (section.pages.from, section.pages.to);
        out.push_str(&format!("\n\n## {} ({from}–{to})\n\n{}", section.title, section.summary));
    }
    out
}

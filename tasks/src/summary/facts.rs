//! Insights that follow from counting: where the document's weight lies, which themes are everywhere and which in one place,
//! what is not covered; and sentences that warn.

use super::candidates::Candidate;
use super::text::Phrases;
use super::{SectionPlan, SummaryInput};
use crate::analysis::PageKind;
use crate::result::{Insight, Theme};

const MAX_WARNINGS: usize = 3;

/// The insights of a document, surest first.
pub(super) fn insights(input: &SummaryInput, plans: &[SectionPlan], themes: &[Theme], candidates: &[Candidate]) -> Vec<Insight> {
    let language = input.language();
    let phrases = Phrases::of(language.as_deref());
    let mut found = Vec::new();
    found.extend(missing(input, phrases));
    found.extend(largest(input, plans, phrases));
    found.extend(spread(input, plans, themes, phrases));
    found.extend(without_text(input, phrases));
    found.extend(warnings(candidates));
    found
}

fn missing(input: &SummaryInput, phrases: &Phrases) -> Option<Insight> {
    let pages = &input.missing_pages;
    let text = phrases.missing.replace("{pages}", &phrases.number(pages.len()));
    (!pages.is_empty()).then(|| Insight { text, kind: "coverage".to_owned(), pages: pages.clone(), confidence: 1.0 })
}

fn largest(input: &SummaryInput, plans: &[SectionPlan], phrases: &Phrases) -> Option<Insight> {
    let length = |plan: &SectionPlan| plan.pages.to - plan.pages.from + 1;
    let longest = plans.iter().filter(|plan| plan.title.is_some()).max_by_key(|plan| (length(plan), u32::MAX - plan.pages.from))?;
    let pages = length(longest);
    let percent = pages * 100 / input.total_pages.max(1);
    let text = phrases
        .largest
        .replace("{title}", longest.title.as_deref().unwrap_or_default())
        .replace("{pages}", &phrases.number(pages as usize))
        .replace("{percent}", &percent.to_string());
    // Of a document read in part nobody knows what matters most in it.
    let whole = input.digests.len() * 10 >= input.total_pages as usize * 9;
    (plans.len() > 2 && whole).then(|| Insight {
        text,
        kind: "structure".to_owned(),
        pages: vec![longest.pages.from, longest.pages.to],
        confidence: 1.0,
    })
}

/// The theme that comes up in most sections, and one that keeps to a few pages.
fn spread(input: &SummaryInput, plans: &[SectionPlan], themes: &[Theme], phrases: &Phrases) -> Vec<Insight> {
    let mut found = Vec::new();
    let in_sections = |theme: &Theme| {
        plans.iter().filter(|plan| theme.pages.iter().any(|page| (plan.pages.from..=plan.pages.to).contains(page))).count()
    };
    if let Some(theme) = themes.iter().max_by_key(|theme| in_sections(theme)).filter(|theme| in_sections(theme) * 3 > plans.len()) {
        let text = phrases
            .spread
            .replace("{theme}", &theme.name)
            .replace("{sections}", &in_sections(theme).to_string())
            .replace("{all}", &plans.len().to_string());
        found.push(Insight {
            text,
            kind: "focus".to_owned(),
            pages: theme.pages.iter().copied().take(12).collect(),
            confidence: 0.9,
        });
    }
    let narrow = themes.iter().filter(|theme| theme.pages.len() >= 5).find_map(|theme| {
        // The middle nine tenths of its pages lie close together.
        let cut = theme.pages.len() / 20;
        let (from, to) = (theme.pages[cut], theme.pages[theme.pages.len() - 1 - cut]);
        ((to - from) * 8 < input.total_pages).then_some((theme, from, to))
    });
    if let Some((theme, from, to)) = narrow {
        let text = phrases
            .concentrated
            .replace("{theme}", &theme.name)
            .replace("{from}", &from.to_string())
            .replace("{to}", &to.to_string());
        found.push(Insight { text, kind: "focus".to_owned(), pages: vec![from, to], confidence: 0.8 });
    }
    found
}

fn without_text(input: &SummaryInput, phrases: &Phrases) -> Option<Insight> {
    let pages: Vec<u32> =
        input.ordered().iter().filter(|digest| digest.kind != PageKind::Prose).map(|digest| digest.page).collect();
    let text = phrases.without.replace("{pages}", &phrases.number(pages.len()));
    (pages.len() * 20 > input.digests.len()).then_some(Insight { text, kind: "coverage".to_owned(), pages, confidence: 1.0 })
}

/// Sentences that warn or forbid, as the document says them.
fn warnings(candidates: &[Candidate]) -> Vec<Insight> {
    const WARNING: [&str; 20] = [
        "warning:",
        "caution",
        "must not",
        "should never",
        "must never",
        "dangerous",
        "risk of",
        "beware",
        "not recommended",
        "is not safe",
        "data loss",
        "vorsicht",
        "darf nicht",
        "gefahr",
        "dangereux",
        "risque de",
        "peligro",
        "riesgo de",
        "警告",
        "危険",
    ];
    let warns = |candidate: &&Candidate| {
        let lower = candidate.text.to_lowercase();
        WARNING.iter().any(|word| lower.contains(word))
    };
    let mut found: Vec<&Candidate> = candidates.iter().filter(warns).filter(|candidate| candidate.fitness > 0.35).collect();
    found.sort_by(|a, b| b.local.total_cmp(&a.local).then(a.page.cmp(&b.page)));
    found
        .into_iter()
        .take(MAX_WARNINGS)
        .map(|candidate| Insight {
            text: candidate.text.clone(),
            kind: "risk".to_owned(),
            pages: vec![candidate.page],
            confidence: 0.5,
        })
        .collect()
}

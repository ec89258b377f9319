//! Summarises a document by asking a language model: every section by itself, then over the sections.
//!
//! No question is larger than the settings allow: a long section is asked about in parts, and many sections are first drawn
//! together in groups. What the model quotes is looked up among the pages' sentences. Where it declines to speak about a
//! section, that section keeps its offline summary.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{SectionPlan, SummaryInput, sections, summarize};
use crate::analysis::{PageDigest, Searchable};
use crate::error::{Code, DocumentError, Stage};
use crate::openai::{OpenAi, Question};
use crate::result::{Insight, KeyPoint, ModelUsage, PageSpan, Section, Summary, SummaryMethod, SummaryQuote, Theme};

const SECTION: &str = "You summarise one part of a larger document from notes on its pages. Write in the language of the notes. Use only \
    what the notes say. summary: three to five sentences. key_points: up to four, with the pages they rest on. quotes: up to two \
    sentences worth quoting, copied letter for letter from the notes, with their page.";

const DOCUMENT: &str = "You write the summary of a whole document from the summaries of its parts. Write in their language. Use only what \
    they say. executive: one or two paragraphs for a reader who will read nothing else. key_points: up to ten, the strongest first, \
    with pages and a weight from 0 to 1. themes: up to eight, with one describing sentence, pages and a weight from 0 to 1. \
    insights: up to eight conclusions that follow from the parts together, each of kind risk, opportunity, trend, contradiction, gap \
    or other, with pages and a confidence from 0 to 1.";

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
struct Part {
    summary: String,
    #[serde(default)]
    key_points: Vec<Point>,
    #[serde(default)]
    quotes: Vec<Quoted>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
struct Point {
    text: String,
    #[serde(default)]
    pages: Vec<u32>,
    #[serde(default)]
    weight: f64,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
struct Quoted {
    text: String,
    page: u32,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Whole {
    executive: String,
    #[serde(default)]
    key_points: Vec<Point>,
    #[serde(default)]
    themes: Vec<Named>,
    #[serde(default)]
    insights: Vec<Concluded>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Named {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    pages: Vec<u32>,
    #[serde(default)]
    weight: f64,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Concluded {
    text: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    pages: Vec<u32>,
    #[serde(default)]
    confidence: f64,
}

/// What the model said about one section or one group of them.
#[derive(Debug, Clone)]
struct Told {
    title: Option<String>,
    pages: PageSpan,
    part: Part,
}

impl OpenAi {
    /// Summarises a document from its pages' digests.
    ///
    /// # Errors
    /// `llm_rate_limited`, `llm_bad_json`, `llm_failed`: each says whether trying again may help.
    pub async fn summarize(&self, input: &SummaryInput) -> Result<(Summary, ModelUsage), DocumentError> {
        let mut summary = summarize(self.offline(), input);
        let mut usage = ModelUsage { model: self.model().to_owned(), requests: Some(0), ..ModelUsage::default() };
        let digests = input.ordered();
        let questions = self.questions(input, &digests);
        if questions.is_empty() {
            return Ok((summary, usage));
        }
        let mut told = Vec::new();
        for (plan, answered) in self.ask_all(questions).await? {
            if let Some((part, used)) = answered {
                usage.add(&used);
                told.push(Told { title: plan.title, pages: plan.pages, part });
            }
        }
        if told.is_empty() {
            return Ok((summary, usage));
        }
        let quotes = quotes(&told, &digests);
        summary.sections = written(&told, &summary.sections);
        let mut levels = 2;
        while material(&told).chars().count() > self.settings().max_input_chars && told.len() > 1 {
            told = self.draw_together(told, &mut usage).await?;
            levels += 1;
        }
        let whole_material = bounded(&material(&told), self.settings().max_input_chars);
        let question =
            Question { stage: Stage::Summary, name: "document_summary", task: DOCUMENT, material: &whole_material, image: None };
        let (whole, used) = self.ask::<Whole>(question).await?;
        usage.add(&used);
        take_over(&mut summary, whole, quotes, input);
        summary.levels = levels;
        Ok((summary, usage))
    }

    /// One question a section, or several where its notes are long.
    fn questions(&self, input: &SummaryInput, digests: &[&PageDigest]) -> Vec<(SectionPlan, String)> {
        let most = self.settings().max_input_chars;
        let mut questions = Vec::new();
        for plan in sections(input) {
            let head = format!("Part: {}\n", plan.title.as_deref().unwrap_or("(untitled)"));
            let mut notes = head.clone();
            let mut from = plan.pages.from;
            for digest in digests.iter().filter(|digest| (plan.pages.from..=plan.pages.to).contains(&digest.page)) {
                let note = bounded(&note(digest), most / 2);
                if notes.chars().count() + note.chars().count() > most && notes != head {
                    let pages = PageSpan { from, to: digest.page - 1 };
                    questions.push((SectionPlan { title: plan.title.clone(), pages }, std::mem::replace(&mut notes, head.clone())));
                    from = digest.page;
                }
                notes.push_str(&note);
            }
            if notes != head {
                questions.push((SectionPlan { title: plan.title.clone(), pages: PageSpan { from, to: plan.pages.to } }, notes));
            }
        }
        questions
    }

    /// Asks about every section, a few at a time, and keeps their order. A refused section is left out.
    async fn ask_all(
        &self,
        questions: Vec<(SectionPlan, String)>,
    ) -> Result<Vec<(SectionPlan, Option<(Part, ModelUsage)>)>, DocumentError> {
        let asked = questions.into_iter().map(|(plan, notes)| async move {
            let question =
                Question { stage: Stage::Summary, name: "section_summary", task: SECTION, material: &notes, image: None };
            match self.ask::<Part>(question).await {
                Ok(answered) => Ok((plan, Some(answered))),
                Err(error) if error.code == Code::LlmRefused => Ok((plan, None)),
                Err(error) => Err(error),
            }
        });
        stream::iter(asked).buffered(self.settings().at_once.max(1)).try_collect().await
    }

    /// One level up: neighbouring parts become one, as many as fit into a question and at least two.
    async fn draw_together(&self, told: Vec<Told>, usage: &mut ModelUsage) -> Result<Vec<Told>, DocumentError> {
        let mut groups: Vec<Vec<Told>> = Vec::new();
        for part in told {
            let fits = groups.last().is_some_and(|group| {
                let size = material(group).chars().count() + material(std::slice::from_ref(&part)).chars().count();
                group.len() < 2 || size <= self.settings().max_input_chars
            });
            match groups.last_mut().filter(|_| fits) {
                Some(group) => group.push(part),
                None => groups.push(vec![part]),
            }
        }
        let questions = groups.iter().map(|group| {
            let from = group.first().map_or(1, |part| part.pages.from);
            let to = group.last().map_or(from, |part| part.pages.to);
            let plan = SectionPlan { title: None, pages: PageSpan { from, to } };
            (plan, bounded(&material(group), self.settings().max_input_chars))
        });
        let mut drawn = Vec::new();
        for (plan, answered) in self.ask_all(questions.collect()).await? {
            if let Some((part, used)) = answered {
                usage.add(&used);
                drawn.push(Told { title: None, pages: plan.pages, part });
            }
        }
        Ok(drawn)
    }
}

/// What a page hands on, as the model reads it.
fn note(digest: &PageDigest) -> String {
    let mut note = format!("\n[page {}] ", digest.page);
    if let Some(summary) = &digest.summary {
        note.push_str(summary);
        note.push(' ');
    }
    for point in &digest.key_points {
        note.push_str(&format!("\n- {point}"));
    }
    let most = if digest.summary.is_some() { 2 } else { 4 };
    for sentence in digest.sentences.iter().take(most) {
        note.push_str(&format!("\n“{}”", sentence.text));
    }
    note
}

/// The parts as the model reads them.
fn material(told: &[Told]) -> String {
    let mut text = String::new();
    for part in told {
        let title = part.title.as_deref().unwrap_or("Part");
        text.push_str(&format!("\n## {title} (pages {}–{})\n{}\n", part.pages.from, part.pages.to, part.part.summary));
        for point in &part.part.key_points {
            text.push_str(&format!("- {} (pages {:?})\n", point.text, point.pages));
        }
    }
    text
}

/// The model's sections; those it was silent about keep their offline summary.
fn written(told: &[Told], offline: &[Section]) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for part in told {
        let within = |section: &&Section| (section.pages.from..=section.pages.to).contains(&part.pages.from);
        let title = part.title.clone().or_else(|| offline.iter().find(within).map(|section| section.title.clone()));
        let title = title.unwrap_or_else(|| format!("{}–{}", part.pages.from, part.pages.to));
        match sections.last_mut().filter(|last| last.title == title) {
            Some(last) => {
                last.pages.to = part.pages.to;
                last.summary = format!("{} {}", last.summary, part.part.summary.trim());
            }
            None => sections.push(Section { title, pages: part.pages, summary: part.part.summary.trim().to_owned() }),
        }
    }
    let told_of: BTreeSet<u32> = told.iter().flat_map(|part| part.pages.from..=part.pages.to).collect();
    sections.extend(offline.iter().filter(|section| !told_of.contains(&section.pages.from)).cloned());
    sections.sort_by_key(|section| section.pages.from);
    sections
}

/// The model's quotes, each looked up among the sentences of its page; a found one has the sentence's place.
fn quotes(told: &[Told], digests: &[&PageDigest]) -> Vec<SummaryQuote> {
    let mut quotes: Vec<SummaryQuote> = Vec::new();
    for quoted in told.iter().flat_map(|part| &part.part.quotes) {
        let sentences = digests.iter().filter(|digest| digest.page == quoted.page).flat_map(|digest| &digest.sentences);
        let found = sentences.into_iter().find(|sentence| Searchable::new(&sentence.text).find(&quoted.text).is_some());
        let quote = SummaryQuote {
            text: found.map_or_else(|| quoted.text.trim().to_owned(), |sentence| sentence.text.clone()),
            page: quoted.page,
            start: found.map(|sentence| sentence.start),
            end: found.map(|sentence| sentence.end),
            speaker: None,
            verified: found.is_some(),
        };
        if digests.iter().any(|digest| digest.page == quoted.page) && !quotes.iter().any(|known| known.text == quote.text) {
            quotes.push(quote);
        }
    }
    // Verified ones first, when there are too many.
    quotes.sort_by_key(|quote| !quote.verified);
    quotes.truncate(25);
    quotes.sort_by_key(|quote| quote.page);
    quotes
}

/// Puts the model's words into the summary; pages it made up are dropped, weights are brought into their range.
fn take_over(summary: &mut Summary, whole: Whole, quotes: Vec<SummaryQuote>, input: &SummaryInput) {
    let known: BTreeSet<u32> = input.digests.iter().map(|digest| digest.page).collect();
    let pages =
        |given: &[u32]| -> Vec<u32> { given.iter().copied().collect::<BTreeSet<_>>().intersection(&known).copied().collect() };
    summary.method = SummaryMethod::MapReduce;
    summary.executive = whole.executive.trim().to_owned();
    let points = whole.key_points.iter().filter(|point| !point.text.trim().is_empty()).take(10);
    let points: Vec<KeyPoint> = points
        .map(|point| KeyPoint { text: point.text.clone(), pages: pages(&point.pages), weight: share(point.weight) })
        .collect();
    if !points.is_empty() {
        summary.key_points = points;
    }
    let themes = whole.themes.into_iter().take(8).map(|theme| Theme {
        pages: pages(&theme.pages),
        name: theme.name,
        description: theme.description,
        weight: share(theme.weight),
    });
    let themes: Vec<Theme> = themes.collect();
    if !themes.is_empty() {
        summary.themes = themes;
    }
    let concluded = whole.insights.into_iter().take(8).map(|insight| Insight {
        pages: pages(&insight.pages),
        text: insight.text,
        kind: if insight.kind.is_empty() { "other".to_owned() } else { insight.kind },
        confidence: share(insight.confidence),
    });
    // What counting tells stays true whoever writes the summary.
    let counted = std::mem::take(&mut summary.insights).into_iter().filter(|insight| insight.kind == "coverage");
    summary.insights = concluded.chain(counted).collect();
    if quotes.iter().any(|quote| quote.verified) {
        summary.quotes = quotes;
    }
    summary.detailed_markdown = super::offline::detailed(&summary.executive, &summary.sections);
}

fn share(value: f64) -> f64 {
    if value.is_finite() { value.clamp(0.0, 1.0) } else { 0.0 }
}

fn bounded(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

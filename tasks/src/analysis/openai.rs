//! Analyses a page by asking a language model, with its text or with its image.
//!
//! The model may summarise and judge; what it quotes is looked up on the page. The offline analysis runs as well: its
//! sentences and phrases go into the digest, so that the document's summary has passages with places.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Analyzed, Searchable};
use crate::error::{DocumentError, Stage};
use crate::openai::{OpenAi, Question};
use crate::result::{Entity, PageAnalysis};

const TASK: &str = "You analyse one page of a larger document. Write in the language of the page. Report only what the page says. \
    summary: two or three sentences. key_points: up to five statements of one sentence. themes: up to five, of one to three words. \
    sentiment: positive, neutral or negative. quotes: up to three passages worth quoting, copied letter for letter from the page. \
    entities: the people, organisations, places, dates and products named, with type PERSON, ORG, PLACE, DATE or OTHER. \
    language: the page's language as an ISO 639-1 code. transcript: an empty string, unless you are given an image without text: \
    then the page's whole text. Running heads, page numbers and tables of contents are not content.";

const MOST: usize = 12;

/// What the model is asked for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
struct Answer {
    summary: String,
    #[serde(default)]
    key_points: Vec<String>,
    #[serde(default)]
    themes: Vec<String>,
    #[serde(default)]
    sentiment: Option<Sentiment>,
    #[serde(default)]
    quotes: Vec<String>,
    #[serde(default)]
    entities: Vec<Named>,
    #[serde(default)]
    language: Option<String>,
    #[serde(default)]
    transcript: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Sentiment {
    Positive,
    Neutral,
    Negative,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Named {
    text: String,
    #[serde(rename = "type")]
    kind: String,
}

impl OpenAi {
    /// Analyses page `page` from its text and, where the settings say `vision`, its image (a JPEG).
    ///
    /// A page with neither is not asked about.
    ///
    /// # Errors
    /// `llm_rate_limited`, `llm_refused`, `llm_bad_json`, `llm_failed`: each says whether trying again may help.
    pub async fn page(&self, page: u32, text: &str, image: &[u8]) -> Result<Analyzed, DocumentError> {
        let image = (self.settings().vision && !image.is_empty()).then_some(image);
        if text.trim().is_empty() && image.is_none() {
            return Ok(self.offline().page(page, text, None));
        }
        let shown = bounded(text, self.settings().max_input_chars);
        let material = match (shown.trim(), image) {
            ("", _) => format!("Page {page} has no text of its own. Its image:"),
            (text, None) => format!("Page {page}:\n{text}"),
            (text, Some(_)) => format!("Page {page}, its text and its image:\n{text}"),
        };
        let question = Question { stage: Stage::Analyze, name: "page_analysis", task: TASK, material: &material, image };
        let (answer, usage) = self.ask::<Answer>(question).await.map_err(|error| error.on_page(page))?;
        let read = answer.transcript.clone().filter(|read| text.trim().is_empty() && !read.trim().is_empty());
        let mut found = self.offline().page(page, read.as_deref().unwrap_or(text), answer.language.as_deref());
        found.digest.summary = Some(one_line(&answer.summary)).filter(|summary| !summary.is_empty());
        found.digest.key_points = lines(&answer.key_points, 5);
        found.digest.themes = lines(&answer.themes, 5);
        found.analysis = analysis(answer, read.as_deref().unwrap_or(text));
        found.text = read;
        found.usage = Some(usage);
        Ok(found)
    }
}

fn analysis(answer: Answer, text: &str) -> PageAnalysis {
    let page = Searchable::new(text);
    let lower = text.to_lowercase();
    let entities = answer.entities.into_iter().filter(|named| !named.text.trim().is_empty()).take(MOST).map(|named| {
        let mentions = lower.matches(&named.text.to_lowercase()).count().max(1);
        Entity { count: u32::try_from(mentions).unwrap_or(u32::MAX), text: named.text, kind: named.kind.to_uppercase() }
    });
    PageAnalysis {
        summary: answer.summary.trim().to_owned(),
        key_points: lines(&answer.key_points, 5),
        themes: lines(&answer.themes, 5),
        sentiment: answer.sentiment.map(|sentiment| format!("{sentiment:?}").to_lowercase()),
        quotes: lines(&answer.quotes, 3).iter().map(|quote| page.quote(quote)).collect(),
        entities: entities.collect(),
    }
}

fn lines(given: &[String], most: usize) -> Vec<String> {
    given.iter().map(|line| one_line(line)).filter(|line| !line.is_empty()).take(most).collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn bounded(text: &str, chars: usize) -> &str {
    text.char_indices().nth(chars).map_or(text, |(end, _)| &text[..end])
}

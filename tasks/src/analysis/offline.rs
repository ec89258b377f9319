//! Analyses a page without any service: its sentences ranked by TextRank, its key phrases, passages to quote, names.
//!
//! Everything it reports stands on the page; it writes nothing of its own. Deterministic, and about a millisecond a page.

use super::digest::{DigestSentence, PageDigest};
use super::entity::names;
use super::language::{Language, Languages};
use super::layout::{PageKind, layout};
use super::rank::{Vector, diverse, plain, textrank};
use super::sentence::{Sentence, fitness, sentences};
use super::words::{Phrases, Stems, words};
use super::{Analyzed, chunk_count};
use crate::result::{PageAnalysis, Quote};

/// Sentences of a page that are ranked; a page with more is a page of a table.
const MAX_RANKED: usize = 120;
/// Sentences a digest keeps.
const DIGEST_SENTENCES: usize = 6;
/// Phrases a digest keeps.
const DIGEST_TERMS: usize = 14;
const HEADINGS: usize = 3;

/// The offline analyser. Make one and keep it: it holds the function words of all languages.
#[derive(Debug)]
pub struct Offline {
    languages: Languages,
}

impl Default for Offline {
    fn default() -> Self {
        Self::new()
    }
}

/// A sentence with what was found out about it.
struct Ranked {
    sentence: Sentence,
    vector: Vector,
    score: f32,
    position: usize,
}

impl Offline {
    /// An analyser for all languages it knows.
    #[must_use]
    pub fn new() -> Self {
        Self { languages: Languages::new() }
    }

    /// Analyses the text of page `page`. `expected` is the language to assume where the page does not tell.
    #[must_use]
    pub fn page(&self, page: u32, text: &str, expected: Option<&str>) -> Analyzed {
        let raw: Vec<char> = text.chars().collect();
        let layout = layout(&raw);
        let running: Vec<&str> = layout.paragraphs.iter().map(|paragraph| paragraph.text.as_str()).collect();
        let detected = self.languages.detect(&sample(&running));
        let language = detected.or(expected).map(str::to_owned);
        let own = self.languages.language(language.as_deref());
        let all: Vec<Sentence> = layout.paragraphs.iter().flat_map(sentences).collect();
        let ranked = rank(&all, &own);
        let best = best(&ranked, DIGEST_SENTENCES);
        let mut phrases = Phrases::default();
        for heading in layout.headings.iter().take(12) {
            phrases.add(heading, 2, &own);
        }
        for text in &running {
            phrases.add(text, 1, &own);
        }
        let terms = if layout.kind == PageKind::Listing { Vec::new() } else { phrases.strongest(DIGEST_TERMS) };
        let digest = PageDigest {
            page,
            language: language.clone(),
            kind: layout.kind,
            words: u32::try_from(words(text).count()).unwrap_or(u32::MAX),
            headings: layout.headings.into_iter().take(HEADINGS).collect(),
            sentences: in_page_order(best.iter().map(|ranked| digest_sentence(ranked)).collect()),
            terms,
            ..PageDigest::default()
        };
        let analysis = analysis(&digest, &best, names(&all, language.as_deref()));
        Analyzed { analysis, language, chunks: chunk_count(&all, text), digest, usage: None, markdown: None, text: None }
    }

    /// What words of a language are.
    pub(crate) fn languages(&self) -> &Languages {
        &self.languages
    }
}

/// Enough running text to tell the language from, without copying the page.
fn sample(running: &[&str]) -> String {
    let mut sample = String::new();
    for text in running {
        sample.push_str(text);
        sample.push(' ');
        if sample.len() > 4000 {
            break;
        }
    }
    sample
}

fn rank(all: &[Sentence], language: &Language<'_>) -> Vec<Ranked> {
    let mut stems = Stems::default();
    let mut ranked: Vec<Ranked> = Vec::new();
    for (position, sentence) in all.iter().enumerate().take(MAX_RANKED) {
        let bag = stems.bag(&sentence.text, language);
        let fitness = fitness(&sentence.text, &bag, language.has_list());
        let score = if sentence.item { fitness * 0.5 } else { fitness };
        ranked.push(Ranked { sentence: sentence.clone(), vector: plain(&bag.stems), score, position });
    }
    let vectors: Vec<Vector> = ranked.iter().map(|ranked| ranked.vector.clone()).collect();
    let bias: Vec<f32> = ranked.iter().map(|ranked| if ranked.position == 0 { 1.5 } else { 1.0 }).collect();
    for (ranked, rank) in ranked.iter_mut().zip(textrank(&vectors, &bias)) {
        ranked.score *= rank;
    }
    ranked.retain(|ranked| ranked.score > 0.0);
    ranked
}

/// The strongest sentences that differ from each other, strongest first.
fn best(ranked: &[Ranked], limit: usize) -> Vec<&Ranked> {
    let vectors: Vec<Vector> = ranked.iter().map(|ranked| ranked.vector.clone()).collect();
    let scores: Vec<f32> = ranked.iter().map(|ranked| ranked.score).collect();
    diverse(&vectors, &scores, limit, 0.75).into_iter().map(|at| &ranked[at]).collect()
}

fn digest_sentence(ranked: &Ranked) -> DigestSentence {
    DigestSentence {
        text: ranked.sentence.text.clone(),
        start: ranked.sentence.start,
        end: ranked.sentence.end,
        score: (ranked.score * 1000.0).round() / 1000.0,
        position: u32::try_from(ranked.position).unwrap_or(u32::MAX),
    }
}

fn in_page_order(mut sentences: Vec<DigestSentence>) -> Vec<DigestSentence> {
    sentences.sort_by_key(|sentence| sentence.position);
    sentences
}

/// The page's part of the result, from the sentences chosen for its digest.
fn analysis(digest: &PageDigest, best: &[&Ranked], entities: Vec<crate::result::Entity>) -> PageAnalysis {
    let in_order = |count: usize| -> Vec<String> {
        let mut chosen: Vec<&Ranked> = best.iter().take(count).copied().collect();
        chosen.sort_by_key(|ranked| ranked.position);
        chosen.into_iter().map(|ranked| ranked.sentence.text.clone()).collect()
    };
    let quotes = best.iter().take(2).map(|ranked| Quote {
        text: ranked.sentence.text.clone(),
        start: Some(ranked.sentence.start),
        end: Some(ranked.sentence.end),
        verified: true,
    });
    PageAnalysis {
        summary: in_order(2).join(" "),
        key_points: in_order(4),
        themes: digest.terms.iter().take(5).map(|term| term.text.clone()).collect(),
        sentiment: None,
        quotes: quotes.collect(),
        entities,
    }
}

#[cfg(test)]
mod tests {
    use super::super::quote::Searchable;
    use super::*;
    use proptest::prelude::*;

    const PAGE: &str = "Chapter 22: Sparse Matrices 685\r\n22.1 Storage of Sparse Matrices\r\nA sparse matrix stores only the \
        elements of a matrix that are not zero. The stor\u{2}age that a sparse matrix needs depends on the number of its nonzero \
        elements.\r\nval = sparse (i, j, sv)\r\nDense matrices store every element, whether it is zero or not. Richard Stallman \
        and John Eaton wrote about this in the report of Bell Labs. Operations on a sparse matrix touch only the nonzero \
        elements, so they are fast when the matrix has few of them.\r\nSee also: [full], page 12.";

    #[test]
    fn what_it_reports_stands_on_the_page() {
        let found = Offline::new().page(685, PAGE, None);
        assert_eq!(found.language.as_deref(), Some("en"));
        assert!(found.analysis.summary.contains("sparse matrix"), "{:?}", found.analysis);
        assert!(found.digest.headings == ["22.1 Storage of Sparse Matrices"]);
        assert!(
            found.analysis.themes.iter().any(|theme| theme.eq_ignore_ascii_case("sparse matrix")),
            "{:?}",
            found.analysis.themes
        );
        let page = Searchable::new(PAGE);
        for quote in &found.analysis.quotes {
            let (start, end) = page.find(&quote.text).unwrap();
            assert_eq!(Some(start), quote.start);
            assert!(quote.end == Some(end) || quote.end == Some(end + 1), "the full stop is part of the passage");
        }
        let everything = format!("{:?}", found.digest);
        for left_out in ["Chapter 22:", "val =", "See also"] {
            assert!(!everything.contains(left_out), "{left_out}");
        }
    }

    #[test]
    fn the_same_page_gives_the_same_analysis() {
        let once = Offline::new().page(1, PAGE, None);
        for _ in 0..5 {
            assert_eq!(Offline::new().page(1, PAGE, None), once);
        }
    }

    #[test]
    fn a_page_without_sentences_has_an_empty_analysis() {
        for text in ["", "12", "x = 1;\ny = 2;\nz = 3;", "\u{0}\u{0}", "a . . . . . . . 1\nb . . . . . . 2"] {
            let found = Offline::new().page(1, text, Some("en"));
            assert_eq!(found.analysis.summary, "", "{text:?}");
            assert!(found.digest.sentences.is_empty());
        }
    }

    #[test]
    fn japanese_is_analysed_without_spaces() {
        let text = "システム管理者はパッケージを更新します。パッケージの更新には管理者の権限が必要です。\
                    設定ファイルは編集の前に保存してください。パッケージ管理システムは依存関係を自動的に解決します。";
        let found = Offline::new().page(1, text, None);
        assert_eq!(found.language.as_deref(), Some("ja"));
        assert!(!found.analysis.summary.is_empty());
        assert!(found.analysis.themes.iter().any(|theme| theme.contains("パッケージ")), "{:?}", found.analysis.themes);
    }

    /// Characters of all kinds, or pieces that often make sentences.
    fn any_text() -> impl Strategy<Value = String> {
        let noise = "([A-Za-zäßéÀİıﬁ日本語カナ한글а-яА-Я0-9 .,;!?()\\[\\]=\"'“”’\u{2}\u{ad}\u{fffe}\u{301}😀-]|\r\n|\n|[a-z]{3,9} (the|is|of|a) |\\PC){0,220}";
        let pieces = prop_oneof![
            "[a-z]{3,9} ",
            Just("The ".to_owned()),
            Just("the ports of ".to_owned()),
            Just("exam\u{2}\r\nple ".to_owned()),
            Just("ex-\nample ".to_owned()),
            Just("and\r\n".to_owned()),
            Just("is ﬁne. ".to_owned()),
            Just("😀 É".to_owned()),
        ];
        prop_oneof![noise, proptest::collection::vec(pieces, 0..90).prop_map(|pieces| pieces.concat())]
    }

    proptest! {
        #[test]
        fn any_text_is_analysed_and_every_place_lies_within_it(
            text in any_text(),
        ) {
            let found = Offline::new().page(1, &text, None);
            let raw: Vec<char> = text.chars().collect();
            let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
            for sentence in &found.digest.sentences {
                let passage: String = raw[sentence.start as usize..sentence.end as usize].iter().collect();
                prop_assert!(letters(&passage).contains(&letters(&sentence.text)));
            }
            let _ = Searchable::new(&text).quote(&found.analysis.summary);
        }
    }
}

//! Splits text into the words that carry meaning, each cut down to its stem; and finds key phrases among them.
//!
//! Writings without spaces are cut into overlapping pairs of characters, which compare as well as words do.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::language::Language;
use super::script::{is_cjk, is_han, is_hiragana, is_katakana};

/// A key phrase of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// As it is written most often.
    pub text: String,
    /// Its words' stems: what it is compared by.
    pub stem: String,
    /// How often it stands on the page; headings count double.
    pub count: u32,
}

/// Numbers the distinct stems of a text.
#[derive(Debug, Default)]
pub(crate) struct Stems {
    numbers: HashMap<String, u32>,
    by_word: HashMap<String, Option<u32>>,
}

/// What a sentence consists of.
#[derive(Debug, Default)]
pub(crate) struct Bag {
    /// Numbers of its stems, ascending, each once.
    pub stems: Vec<u32>,
    /// Words in all, function words included.
    pub words: usize,
    /// Of these, function words.
    pub stops: usize,
}

impl Stems {
    /// The number of a word's stem; none for function words and numbers.
    fn number(&mut self, word: &str, language: &Language<'_>) -> Option<u32> {
        if let Some(known) = self.by_word.get(word) {
            return *known;
        }
        let lower = word.to_lowercase();
        let number = if language.is_stop(&lower) || !word.chars().any(char::is_alphabetic) {
            None
        } else {
            Some(self.intern(language.stem(&lower)))
        };
        self.by_word.insert(word.to_owned(), number);
        number
    }

    fn intern(&mut self, stem: String) -> u32 {
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        *self.numbers.entry(stem).or_insert(next)
    }

    /// Cuts a sentence into stems.
    pub(crate) fn bag(&mut self, text: &str, language: &Language<'_>) -> Bag {
        let mut bag = Bag::default();
        for word in words(text) {
            if word.chars().next().is_some_and(is_cjk) {
                let chars: Vec<char> = word.chars().collect();
                bag.words += chars.len() / 2 + 1;
                for pair in chars.windows(2).filter(|pair| !pair.iter().all(|c| is_hiragana(*c))) {
                    bag.stems.push(self.intern(pair.iter().collect()));
                }
                continue;
            }
            bag.words += 1;
            match self.number(word, language) {
                Some(number) => bag.stems.push(number),
                None => bag.stops += 1,
            }
        }
        bag.stems.sort_unstable();
        bag.stems.dedup();
        bag
    }
}

/// The words of a text: runs of letters and digits with inner apostrophes, hyphens and underscores; runs of one CJK writing.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| !c.is_alphanumeric());
        let first = rest.chars().next()?;
        let class = class(first);
        let end = rest.char_indices().find(|(_, c)| !continues(class, *c)).map_or(rest.len(), |(at, _)| at);
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(if class == Class::Letters { word.trim_end_matches(['\'', '’', '-', '_']) } else { word })
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letters,
    Kanji,
    Kana,
}

fn class(c: char) -> Class {
    if is_han(c) || is_katakana(c) {
        Class::Kanji
    } else if is_cjk(c) {
        Class::Kana
    } else {
        Class::Letters
    }
}

fn continues(within: Class, c: char) -> bool {
    match within {
        Class::Letters => (c.is_alphanumeric() || matches!(c, '\'' | '’' | '-' | '_')) && !is_cjk(c),
        _ => c.is_alphanumeric() && class(c) == within,
    }
}

/// Gathers the key phrases of a page: runs of one to three meaning-bearing words, found in sentences and headings.
#[derive(Debug, Default)]
pub(crate) struct Phrases {
    found: BTreeMap<String, (u32, BTreeMap<String, u32>)>,
}

impl Phrases {
    /// Takes in a sentence, or a heading with `weight` 2.
    pub(crate) fn add(&mut self, text: &str, weight: u32, language: &Language<'_>) {
        let mut run: Vec<&str> = Vec::with_capacity(4);
        let mut last_end = 0;
        for word in words(text) {
            let start = word.as_ptr() as usize - text.as_ptr() as usize;
            // Punctuation ends a phrase; a blank does not.
            if !text[last_end..start].chars().all(|c| c == ' ') {
                self.flush(&mut run, weight, language);
            }
            last_end = start + word.len();
            if word.chars().next().is_some_and(is_cjk) {
                self.flush(&mut run, weight, language);
                self.add_cjk(word, weight, language);
                continue;
            }
            let lower = word.to_lowercase();
            let long = word.chars().nth(2).is_some();
            if !long || language.is_stop(&lower) || !word.chars().all(|c| c.is_alphabetic() || matches!(c, '-' | '’' | '\'')) {
                self.flush(&mut run, weight, language);
            } else {
                run.push(word);
            }
        }
        self.flush(&mut run, weight, language);
    }

    fn flush(&mut self, run: &mut Vec<&str>, weight: u32, language: &Language<'_>) {
        let stems: Vec<String> = run.iter().map(|word| language.stem(&word.to_lowercase())).collect();
        for length in 1..=2.min(run.len()) {
            for at in 0..=run.len() - length {
                self.count(stems[at..at + length].join(" "), run[at..at + length].join(" "), weight);
            }
        }
        if run.len() == 3 {
            self.count(stems.join(" "), run.join(" "), weight);
        }
        run.clear();
    }

    /// Han and Katakana runs are words or compounds; long runs of Han (Chinese) are cut into groups of two to four.
    fn add_cjk(&mut self, run: &str, weight: u32, language: &Language<'_>) {
        let chars: Vec<char> = run.chars().collect();
        if chars.iter().any(|c| is_hiragana(*c)) || chars.len() < 2 || language.is_stop(run) {
            return;
        }
        if chars.len() <= 6 || chars.iter().any(|c| is_katakana(*c)) {
            self.count(run.to_owned(), run.to_owned(), weight);
        } else {
            for length in 2..=4 {
                for group in chars.windows(length) {
                    let text: String = group.iter().collect();
                    if !language.is_stop(&text) {
                        self.count(text.clone(), text, weight);
                    }
                }
            }
        }
    }

    fn count(&mut self, stem: String, text: String, weight: u32) {
        let entry = self.found.entry(stem).or_default();
        entry.0 += weight;
        *entry.1.entry(text).or_insert(0) += 1;
    }

    /// The strongest `limit` phrases. A word that mostly stands within a longer listed phrase is left out.
    pub(crate) fn strongest(self, limit: usize) -> Vec<Term> {
        let mut terms: Vec<Term> = self
            .found
            .into_iter()
            .map(|(stem, (count, forms))| {
                // Of equally frequent spellings the one in lower case, then the first in order.
                let text = forms.into_iter().max_by(|a, b| a.1.cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
                Term { text: text.map(|(text, _)| text).unwrap_or_default(), stem, count }
            })
            .filter(|term| term.count > 1 || !term.stem.contains(' '))
            .collect();
        terms.sort_by(|a, b| strength(b).cmp(&strength(a)).then_with(|| a.stem.cmp(&b.stem)));
        let mut kept: Vec<Term> = Vec::with_capacity(limit);
        for term in terms {
            if kept.len() == limit {
                break;
            }
            let within = |longer: &Term| longer.stem.split(' ').any(|word| word == term.stem) && longer.count * 4 >= term.count * 3;
            if !kept.iter().any(within) {
                kept.push(term);
            }
        }
        kept
    }
}

fn strength(term: &Term) -> u32 {
    let words = if term.stem.contains(' ') { 2 } else { 1 };
    term.count * (1 + words)
}

#[cfg(test)]
mod tests {
    use super::super::language::Languages;
    use super::*;

    #[test]
    fn words_keep_inner_apostrophes_and_split_cjk_by_writing() {
        assert_eq!(words("It's a re-run, isn't it? -- x").collect::<Vec<_>>(), ["It's", "a", "re-run", "isn't", "it", "x"]);
        assert_eq!(words("設定ファイルを編集").collect::<Vec<_>>(), ["設定ファイル", "を", "編集"]);
    }

    #[test]
    fn forms_of_a_word_share_a_stem() {
        let languages = Languages::new();
        let english = languages.language(Some("en"));
        let mut stems = Stems::default();
        let a = stems.bag("Sparse matrices are stored efficiently.", &english);
        let b = stems.bag("The sparse matrix stores values", &english);
        assert!(a.stems.iter().filter(|stem| b.stems.contains(stem)).count() >= 2);
        assert_eq!((b.words, b.stops), (5, 1));
    }

    #[test]
    fn phrases_are_counted_by_stem_and_named_as_written() {
        let languages = Languages::new();
        let english = languages.language(Some("en"));
        let mut phrases = Phrases::default();
        phrases.add("A sparse matrix is small. The sparse matrix, or a sparse matrices list.", 1, &english);
        phrases.add("Sparse Matrix", 2, &english);
        let terms = phrases.strongest(5);
        assert_eq!(terms[0].text, "sparse matrix");
        assert!(terms.iter().all(|term| term.text != "sparse"), "{terms:?}");
    }
}

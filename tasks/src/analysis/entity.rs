//! Finds names by their capital letters, where a language writes only names so.
//!
//! It cannot tell a person from a place, so every name is of the kind `NAME`; and it reports only names of two words or
//! more that stand inside a sentence, because a single capitalised word is as often a term as a name.

use std::collections::BTreeMap;

use super::sentence::Sentence;
use crate::result::Entity;

const MAX_NAMES: usize = 12;
/// Languages that write nouns without capitals.
const LANGUAGES: [&str; 14] = ["en", "fr", "es", "it", "pt", "nl", "sv", "da", "no", "fi", "ru", "pl", "cs", "ro"];
/// Words that may stand inside a name without a capital.
const PARTICLES: [&str; 12] = ["of", "de", "la", "du", "von", "van", "der", "den", "del", "di", "da", "and"];

/// The names in a page's sentences, most frequent first.
pub(super) fn names(sentences: &[Sentence], language: Option<&str>) -> Vec<Entity> {
    if !language.is_some_and(|code| LANGUAGES.contains(&code)) {
        return Vec::new();
    }
    let mut found: BTreeMap<String, u32> = BTreeMap::new();
    for sentence in sentences {
        let capitals = sentence.text.split(' ').filter(|word| word.starts_with(char::is_uppercase)).count();
        // A line of capitalised words is a title.
        if capitals * 2 > sentence.text.split(' ').count() {
            continue;
        }
        collect(&sentence.text, &mut found);
    }
    let mut names: Vec<(String, u32)> = found.into_iter().collect();
    names.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    names.into_iter().take(MAX_NAMES).map(|(text, count)| Entity { text, kind: "NAME".to_owned(), count }).collect()
}

fn collect(sentence: &str, found: &mut BTreeMap<String, u32>) {
    let mut name: Vec<&str> = Vec::new();
    // The first word of a sentence is capitalised anyway.
    for word in sentence.split(' ').skip(1) {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let opens = word.starts_with(|c: char| !c.is_alphanumeric());
        let closes = word.ends_with(|c: char| !c.is_alphanumeric()) && !is_initial(word);
        if opens {
            close(&mut name, found);
        }
        if is_name_word(bare) || is_initial(word) {
            name.push(if is_initial(word) { word } else { bare });
        } else if !name.is_empty() && PARTICLES.contains(&bare) && bare != "and" {
            name.push(bare);
        } else {
            close(&mut name, found);
        }
        if closes {
            close(&mut name, found);
        }
    }
    close(&mut name, found);
}

fn close(name: &mut Vec<&str>, found: &mut BTreeMap<String, u32>) {
    while name.last().is_some_and(|word| PARTICLES.contains(word)) {
        name.pop();
    }
    let long_words = name.iter().filter(|word| is_name_word(word)).count();
    if (2..=5).contains(&name.len()) && long_words >= 2 {
        *found.entry(name.join(" ")).or_insert(0) += 1;
    }
    name.clear();
}

/// `Eaton`, `McDonald`, `GNU`; not `A`, `x2`, `fooBar`.
fn is_name_word(word: &str) -> bool {
    let mut chars = word.chars();
    chars.next().is_some_and(char::is_uppercase)
        && word.chars().nth(1).is_some()
        && chars.all(|c| c.is_alphabetic() || matches!(c, '-' | '’' | '\''))
}

/// `W.`
fn is_initial(word: &str) -> bool {
    let mut chars = word.chars();
    matches!((chars.next(), chars.next(), chars.next()), (Some(c), Some('.'), None) if c.is_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, language: &str) -> Vec<(String, u32)> {
        let sentences = [Sentence { text: text.to_owned(), start: 0, end: 0, item: false }];
        names(&sentences, Some(language)).into_iter().map(|entity| (entity.text, entity.count)).collect()
    }

    #[test]
    fn names_of_several_words_are_found_inside_sentences() {
        let text =
            "The work of John W. Eaton at the University of Texas was read by John W. Eaton and by Ada Lovelace, then by others.";
        assert_eq!(
            found(text, "en"),
            [("John W. Eaton".to_owned(), 2), ("Ada Lovelace".to_owned(), 1), ("University of Texas".to_owned(), 1)]
        );
    }

    #[test]
    fn languages_that_capitalise_nouns_are_left_alone() {
        assert!(found("Wir sahen das Große Haus am Langen See und den Alten Mann.", "de").is_empty());
    }
}

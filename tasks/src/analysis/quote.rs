//! Finds a quoted passage in the text of its page, forgiving what printing and copying change.
//!
//! Language models often invent quotes; a passage counts as found when its letters and digits stand on the page in that
//! order with nothing but white space, hyphenation and punctuation between them.

use crate::result::Quote;

/// A page's text prepared for finding passages in it.
#[derive(Debug)]
pub struct Searchable {
    /// Letters and digits in lower case.
    letters: Vec<char>,
    /// For each of them, its place in the text, in characters.
    places: Vec<u32>,
}

impl Searchable {
    /// Prepares a page's text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut letters = Vec::with_capacity(text.len());
        let mut places = Vec::with_capacity(text.len());
        for (place, c) in text.chars().enumerate() {
            for letter in fold(c) {
                letters.push(letter);
                places.push(u32::try_from(place).unwrap_or(u32::MAX));
            }
        }
        Self { letters, places }
    }

    /// Where `passage` stands: its first character and one past its last.
    #[must_use]
    pub fn find(&self, passage: &str) -> Option<(u32, u32)> {
        let wanted: Vec<char> = passage.chars().flat_map(fold).collect();
        let (first, rest) = wanted.split_first()?;
        let last = self.letters.len().checked_sub(wanted.len())?;
        (0..=last).find(|at| self.letters[*at] == *first && self.letters[at + 1..].starts_with(rest)).map(|at| {
            let end = self.places[at + wanted.len() - 1] + 1;
            (self.places[at], end)
        })
    }

    /// The passage as a quote, verified if it is found.
    #[must_use]
    pub fn quote(&self, passage: &str) -> Quote {
        let found = self.find(passage);
        Quote { text: passage.trim().to_owned(), start: found.map(|f| f.0), end: found.map(|f| f.1), verified: found.is_some() }
    }
}

/// The letters a character stands for: lower case, ligatures taken apart, nothing for the rest.
fn fold(c: char) -> impl Iterator<Item = char> {
    let parts: &'static str = match c {
        'ﬀ' => "ff",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        'ﬃ' => "ffi",
        'ﬄ' => "ffl",
        'ﬅ' | 'ﬆ' => "st",
        _ => "",
    };
    let own = (parts.is_empty() && c.is_alphanumeric()).then(|| c.to_lowercase()).into_iter().flatten();
    parts.chars().chain(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passage_is_found_across_line_breaks_hyphens_and_quotation_marks() {
        let text = "He said: “The ﬁrst exam\u{2}ple\r\nis the best.” Then he left.";
        let page = Searchable::new(text);
        let (start, end) = page.find("\"The first example is the best\"").unwrap();
        let passage: String = text.chars().skip(start as usize).take((end - start) as usize).collect();
        assert_eq!(passage, "The ﬁrst exam\u{2}ple\r\nis the best");
    }

    #[test]
    fn an_invented_passage_is_not_verified() {
        let page = Searchable::new("The plan was approved.");
        assert_eq!(page.quote("The plan was rejected."), Quote { text: "The plan was rejected.".to_owned(), ..Quote::default() });
        assert!(page.find("").is_none());
        assert!(page.find("…").is_none());
        assert!(Searchable::new("").find("x").is_none());
    }
}

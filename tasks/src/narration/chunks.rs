//! Cutting a text into pieces of at most so many characters, at the ends of sentences where that is possible.

use unicode_segmentation::UnicodeSegmentation;

/// Pieces of `text`, each at most `max_chars` characters long (at least 1) and as long as its sentences allow.
///
/// A sentence that is longer than that is cut between words, a longer word anywhere. Nothing but white space at the
/// cuts is lost.
#[must_use]
pub fn chunks(text: &str, max_chars: usize) -> Vec<String> {
    let max = max_chars.max(1);
    let mut pieces = Pieces { max, done: Vec::new(), current: String::new(), length: 0 };
    for sentence in text.split_sentence_bounds() {
        if length(sentence.trim_end()) <= max {
            pieces.push(sentence);
            continue;
        }
        for word in sentence.split_word_bounds() {
            if length(word) <= max {
                pieces.push(word);
            } else {
                word.chars().for_each(|character| pieces.push(character.encode_utf8(&mut [0; 4])));
            }
        }
    }
    pieces.finish();
    pieces.done
}

struct Pieces {
    max: usize,
    done: Vec<String>,
    current: String,
    /// Characters in `current`.
    length: usize,
}

impl Pieces {
    /// Adds a part that fits into a piece of its own, white space at its end aside.
    fn push(&mut self, part: &str) {
        if self.length + length(part.trim_end()) > self.max {
            self.finish();
        }
        if self.current.is_empty() && part.trim().is_empty() {
            return;
        }
        self.current.push_str(part);
        self.length += length(part);
    }

    fn finish(&mut self) {
        let piece = self.current.trim();
        if !piece.is_empty() {
            self.done.push(piece.to_owned());
        }
        self.current.clear();
        self.length = 0;
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sentences_are_kept_whole() {
        let text = "One is here. Two is here. Three is here.";
        assert_eq!(chunks(text, 26), ["One is here. Two is here.", "Three is here."]);
        assert_eq!(chunks(text, 25), ["One is here. Two is here.", "Three is here."]);
        assert_eq!(chunks(text, 24), ["One is here.", "Two is here.", "Three is here."]);
        assert_eq!(chunks(text, 4096), [text]);
        assert!(chunks(" \n ", 10).is_empty());
    }

    #[test]
    fn a_long_sentence_is_cut_between_words_and_a_long_word_anywhere() {
        assert_eq!(chunks("Go. alpha beta gamma delta. Ok.", 11), ["Go. alpha", "beta gamma", "delta. Ok."]);
        assert_eq!(chunks("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(chunks("今日は晴れ。明日は雨。", 6), ["今日は晴れ。", "明日は雨。"]);
    }

    proptest! {
        #[test]
        fn no_chunk_is_too_long_and_no_letter_is_lost(text in "(\\PC|[a-z ,.\n]){0,200}", max in 0..40usize) {
            let pieces = chunks(&text, max);
            prop_assert!(pieces.iter().all(|piece| (1..=max.max(1)).contains(&piece.chars().count())));
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&pieces.concat()), letters(&text));
        }
    }
}

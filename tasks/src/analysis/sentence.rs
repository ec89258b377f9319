//! Splits paragraphs into sentences, and tells which of them can stand alone.
//!
//! unicode-segmentation finds the bounds; what it cannot know — abbreviations, initials, section numbers — is mended here.

use unicode_segmentation::UnicodeSegmentation;

use super::layout::{Paragraph, is_terminal};
use super::script::is_cjk;
use super::words::Bag;

/// A sentence and its place in the raw text of its page, in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sentence {
    /// Without line breaks and hyphenation.
    pub text: String,
    /// First character.
    pub start: u32,
    /// One past the last character.
    pub end: u32,
    /// Whether it stands in an item of a list.
    pub item: bool,
}

/// Words that end in a full stop within a sentence, in lower case and without it.
const ABBREVIATIONS: [&str; 62] = [
    "al", "approx", "art", "bd", "bzw", "ca", "cf", "ch", "chap", "co", "corp", "d.h", "dept", "dr", "e.g", "ed", "eds", "eq",
    "eqs", "etc", "evtl", "fig", "figs", "ggf", "hr", "i.e", "inc", "jr", "ltd", "max", "mr", "mrs", "ms", "no", "nos", "nr", "p",
    "pp", "prof", "ref", "refs", "resp", "s", "sec", "sect", "sog", "sr", "st", "str", "tab", "u.a", "usw", "v", "vgl", "viz",
    "vol", "vs", "z.b", "z. b", "p. ex", "ej", "т.е",
];

/// The sentences of a paragraph.
pub(super) fn sentences(paragraph: &Paragraph) -> Vec<Sentence> {
    let mut found = Vec::new();
    let mut pending = 0;
    let mut pieces = paragraph.text.split_sentence_bound_indices().peekable();
    let mut chars = 0;
    let mut first = 0;
    while let Some((at, piece)) = pieces.next() {
        chars += piece.chars().count();
        let end = at + piece.len();
        let so_far = &paragraph.text[pending..end];
        let next = pieces.peek().map(|(_, next)| *next);
        if next.is_some_and(|next| continues(so_far.trim_end(), next)) {
            continue;
        }
        let lead = so_far.chars().take_while(|c| c.is_whitespace()).count();
        let trail = so_far.chars().rev().take_while(|c| c.is_whitespace()).count();
        let (from, to) = (first + lead, chars - trail.min(chars));
        if let (true, Some(start), Some(last)) = (from < to, paragraph.places.get(from), paragraph.places.get(to.wrapping_sub(1))) {
            found.push(Sentence { text: so_far.trim().to_owned(), start: *start, end: last + 1, item: paragraph.item });
        }
        pending = end;
        first = chars;
    }
    found
}

/// Whether the sentence goes on behind what looked like its end.
fn continues(so_far: &str, next: &str) -> bool {
    let Some(bare) = so_far.strip_suffix('.') else { return false };
    let last = bare.rsplit(|c: char| c.is_whitespace() || matches!(c, '(' | '[' | '“' | '"')).next().unwrap_or_default();
    let lower = last.to_lowercase();
    let initial = last.chars().count() == 1 && last.chars().all(char::is_uppercase);
    let number = next.trim_start().starts_with(|c: char| c.is_ascii_digit());
    let known = ABBREVIATIONS.contains(&lower.as_str());
    // "No." and "Fig." before a number, a lone "no." at the end of a sentence not.
    let needs_number =
        matches!(lower.as_str(), "no" | "nos" | "p" | "s" | "v" | "st" | "art" | "max" | "etc" | "ej" | "str" | "tab");
    initial || (known && (!needs_number || number)) || (lower.chars().all(|c| c.is_ascii_digit()) && number && !lower.is_empty())
}

/// How fit a sentence is to stand alone in a summary, from 0 (not at all) to 1.
pub(super) fn fitness(text: &str, bag: &Bag, has_stop_list: bool) -> f32 {
    let shape = Shape::of(text);
    let Some((first, last)) = shape.ends else { return 0.0 };
    let cjk = shape.cjk * 2 > shape.ink;
    let (shortest, longest) = if cjk { (14, 160) } else { (45, 360) };
    let starts = first.is_uppercase()
        || is_cjk(first)
        || matches!(first, '“' | '«' | '„' | '"' | '¿' | '¡')
        || (shape.no_case && first.is_alphabetic());
    let ends = is_terminal(last) || matches!(last, '"' | '\'' | ')') && text.contains(['.', '!', '?']);
    let too_few = !cjk && (bag.words < 7 || bag.stems.len() < 3);
    let not_prose = has_stop_list && !cjk && bag.stops * 5 < bag.words;
    if !starts || !ends || too_few || not_prose || !(shortest..=longest).contains(&shape.chars) || shape.letters * 4 < shape.ink * 3
    {
        return 0.0;
    }
    if shape.symbols * 25 > shape.ink || text.contains("...") || text.contains(". . .") || text.contains("://") {
        return 0.0;
    }
    let mut fitness = 1.0;
    let ideal = if cjk { 30..=90 } else { 70..=220 };
    if !ideal.contains(&shape.chars) {
        fitness *= 0.8;
    }
    if leans_on_context(text) {
        fitness *= 0.55;
    }
    // Numbers, brackets and odd symbols make a sentence hard to follow by itself.
    let clutter = shape.symbols + shape.digits + shape.brackets * 2;
    fitness *= 1.0 - (clutter as f32 / shape.ink as f32 * 4.0).min(0.6);
    if last == '?' || text.ends_with(':') {
        fitness *= 0.6;
    }
    // "… of f. f is a function …": two sentences that only look like one.
    if text.split(". ").skip(1).any(|rest| rest.starts_with(char::is_lowercase)) {
        fitness *= 0.4;
    }
    if has_heading(text) || text.ends_with(" .") {
        fitness *= 0.3;
    }
    fitness * 0.7f32.powi(variables(text))
}

/// Mostly capitalised words: a heading stuck to a sentence. German sentences stay below the bound.
fn has_heading(text: &str) -> bool {
    let (mut words, mut capitals) = (0, 0);
    for word in text.split(' ').skip(1) {
        words += 1;
        capitals += usize::from(word.starts_with(char::is_uppercase));
    }
    words >= 5 && capitals * 2 > words
}

/// Lone consonants: names of variables, which mean nothing out of their place. Slavic languages have such words.
fn variables(text: &str) -> i32 {
    if !text.is_ascii() && text.chars().any(|c| matches!(c, 'а'..='я' | 'ł' | 'ę' | 'ě' | 'ř' | 'ů')) {
        return 0;
    }
    let lone = |word: &&str| matches!(word.as_bytes(), [b] if b.is_ascii_alphabetic() && !b"aeiouyAEIOUY".contains(b));
    let count = text.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’').filter(lone).count();
    i32::try_from(count.min(4)).unwrap_or(4)
}

/// Counts of the kinds of characters in a sentence.
#[derive(Default)]
struct Shape {
    ends: Option<(char, char)>,
    chars: usize,
    ink: usize,
    letters: usize,
    digits: usize,
    brackets: usize,
    symbols: usize,
    cjk: usize,
    no_case: bool,
}

impl Shape {
    fn of(text: &str) -> Self {
        let mut shape = Self { no_case: true, ..Self::default() };
        for c in text.chars() {
            shape.chars += 1;
            if c.is_whitespace() {
                continue;
            }
            shape.ink += 1;
            shape.ends = Some((shape.ends.map_or(c, |(first, _)| first), c));
            if is_cjk(c) {
                shape.cjk += 1;
                shape.letters += 1;
            } else if c.is_alphabetic() {
                shape.letters += 1;
                shape.no_case &= !c.is_lowercase() && !c.is_uppercase();
            } else {
                match c {
                    '0'..='9' => shape.digits += 1,
                    '(' | ')' | '[' | ']' => shape.brackets += 1,
                    '=' | '{' | '}' | '<' | '>' | '|' | '\\' | '_' | '^' | '~' | '$' | '#' | '@' | '*' | '+' | '&' | '`' | ';'
                    | '/' => {
                        shape.symbols += 1;
                    }
                    _ => {}
                }
            }
        }
        shape
    }
}

/// Beginnings that point at something said before.
const LEANING: [&str; 118] = [
    // English
    "this ",
    "that ",
    "these ",
    "those ",
    "it ",
    "its ",
    "they ",
    "their ",
    "he ",
    "she ",
    "such ",
    "so ",
    "but ",
    "and ",
    "or ",
    "also ",
    "then ",
    "thus ",
    "therefore ",
    "hence ",
    "however",
    "otherwise",
    "furthermore",
    "moreover",
    "instead",
    "similarly",
    "finally",
    "here ",
    "there ",
    "note ",
    "see ",
    "for example",
    "for instance",
    "in this ",
    "in that ",
    "in these ",
    "in addition",
    "as a result",
    "as an example",
    "the former",
    "the latter",
    "the following",
    "the above",
    "the same",
    "the other ",
    "both ",
    "another ",
    "in other words",
    "on the other hand",
    "to do this",
    "again",
    "since this",
    "because of this",
    "if not",
    "if so",
    "once this",
    "one of these",
    "each of ",
    "in contrast",
    "consequently",
    "nevertheless",
    "additionally",
    "after this",
    "when this",
    // German
    "dies",
    "das ",
    "es ",
    "sie ",
    "er ",
    "daher",
    "deshalb",
    "jedoch",
    "aber ",
    "und ",
    "oder ",
    "auch ",
    "dann ",
    "also ",
    "hier ",
    "zum beispiel",
    "siehe ",
    "dabei ",
    "dadurch ",
    "außerdem",
    "allerdings",
    "dazu ",
    // French
    "ce ",
    "cet",
    "ces ",
    "cela ",
    "il ",
    "elle ",
    "ils ",
    "elles ",
    "cependant",
    "mais ",
    "donc ",
    "ainsi",
    "par exemple",
    "voir ",
    "en outre",
    // Spanish, Italian, Portuguese
    "este ",
    "esta ",
    "esto ",
    "estas ",
    "estos ",
    "sin embargo",
    "pero ",
    "además",
    "por ejemplo",
    "questo ",
    "questa ",
    "inoltre",
    "tuttavia",
    "isto ",
    "além disso",
    "por exemplo",
    "no entanto",
];

const LEANING_CJK: [&str; 20] = [
    "これ",
    "この",
    "その",
    "それ",
    "しかし",
    "また",
    "たとえば",
    "例えば",
    "なお",
    "ここ",
    "这",
    "该",
    "此",
    "它",
    "但",
    "因此",
    "例如",
    "然而",
    "如果",
    "注意",
];

fn leans_on_context(text: &str) -> bool {
    if text.chars().next().is_some_and(is_cjk) {
        return LEANING_CJK.iter().any(|start| text.starts_with(start));
    }
    let start: String = text.chars().take(24).flat_map(char::to_lowercase).collect();
    LEANING.iter().any(|leaning| start.starts_with(leaning))
}

#[cfg(test)]
mod tests {
    use super::super::layout::layout;
    use super::*;

    fn split(text: &str) -> Vec<String> {
        let raw: Vec<char> = text.chars().collect();
        layout(&raw).paragraphs.iter().flat_map(sentences).map(|sentence| sentence.text).collect()
    }

    #[test]
    fn abbreviations_do_not_end_a_sentence() {
        assert_eq!(
            split("See Fig. 3 and the work of Dr. Smith et al. for details. J. W. Eaton wrote it, e.g. for Unix. It is good."),
            ["See Fig. 3 and the work of Dr. Smith et al. for details.", "J. W. Eaton wrote it, e.g. for Unix.", "It is good."]
        );
        assert_eq!(split("The answer is no. We go on."), ["The answer is no.", "We go on."]);
    }

    #[test]
    fn sentences_of_japanese_end_at_their_full_stop() {
        assert_eq!(split("管理者の仕事です。設定を編集します。"), ["管理者の仕事です。", "設定を編集します。"]);
    }

    #[test]
    fn places_count_characters_of_the_raw_text() {
        let text = "Größe is “hy\u{2}phen”\r\nated. The second sentence\nis here.";
        let raw: Vec<char> = text.chars().collect();
        let found: Vec<Sentence> = layout(&raw).paragraphs.iter().flat_map(sentences).collect();
        assert_eq!(found[1].text, "The second sentence is here.");
        let passage: String = raw[found[1].start as usize..found[1].end as usize].iter().collect();
        assert_eq!(passage, "The second sentence\nis here.");
    }

    #[test]
    fn sentences_that_point_backwards_are_less_fit() {
        let bag = Bag { stems: vec![1, 2, 3, 4], words: 14, stops: 6 };
        let good = fitness("The committee approved the plan for the new bridge after a long debate about money.", &bag, true);
        let leaning = fitness("This was approved by the committee for the new bridge after a long debate about money.", &bag, true);
        assert!(good > leaning && leaning > 0.0);
        assert_eq!(fitness("x = foo (a, b); y = bar [1] {2} and so on for the whole of the table here.", &bag, true), 0.0);
        assert_eq!(fitness("no capital letter at the start of this one, so it is the rest of something.", &bag, true), 0.0);
    }
}

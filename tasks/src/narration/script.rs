//! The words of a narration: what a person would say who tells somebody else what a document holds.

use crate::result::Summary;

use super::plain::{plain, sentence};

const ORDINALS: [&str; 10] = ["First", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth", "Ninth", "Tenth"];

/// Words that open a sentence and are no names: after "First," they are written small.
const OPENERS: [&str; 32] = [
    "A", "After", "All", "Although", "An", "And", "As", "At", "Because", "Before", "Both", "But", "By", "Each", "For", "From",
    "If", "In", "It", "Its", "Many", "Most", "On", "Some", "Such", "The", "There", "These", "This", "To", "When", "With",
];

/// The text of the narration of `summary`: the title, the executive summary and the key points, as they are spoken.
///
/// English (and nothing known) is introduced and connected by phrases; of other languages only the content is said. A key
/// point that the executive summary already says is not said twice. Empty when the summary says nothing.
#[must_use]
pub fn script(summary: &Summary, title: Option<&str>, language: Option<&str>) -> String {
    let english = language.is_none_or(is_english);
    let executive = plain(&summary.executive, english);
    let said = executive.replace('\n', " ");
    let points: Vec<String> = summary
        .key_points
        .iter()
        .map(|point| plain(&point.text, english).replace('\n', " "))
        .filter(|point| !point.is_empty() && !said.contains(point.as_str()))
        .collect();
    if executive.is_empty() && points.is_empty() {
        return String::new();
    }
    let title = title.map(|title| plain(title, english).replace('\n', " ")).filter(|title| !title.is_empty());
    let mut paragraphs: Vec<String> = Vec::new();
    paragraphs.extend(title.map(|title| if english { sentence(&format!("Summary of {title}")) } else { title }));
    paragraphs.extend(executive.lines().map(str::to_owned));
    if english {
        paragraphs.extend(counted(points));
        paragraphs.extend(missing(summary.missing_pages.len()));
    } else {
        paragraphs.extend(points);
    }
    paragraphs.join("\n\n")
}

fn is_english(language: &str) -> bool {
    let primary = language.split(['-', '_']).next().unwrap_or_default();
    ["", "en", "eng", "und"].into_iter().any(|english| primary.eq_ignore_ascii_case(english))
}

/// The key points, introduced and counted.
fn counted(points: Vec<String>) -> Vec<String> {
    match points.len() {
        0 => Vec::new(),
        1 => [vec!["One point stands out.".to_owned()], points].concat(),
        _ => {
            let counted = points.iter().enumerate().map(|(at, point)| {
                let number = ORDINALS.get(at).copied().unwrap_or("Next");
                format!("{number}, {}", lowered(point))
            });
            std::iter::once("These are the key points.".to_owned()).chain(counted).collect()
        }
    }
}

fn missing(pages: usize) -> Option<String> {
    match pages {
        0 => None,
        1 => Some("One page could not be included in this summary.".to_owned()),
        more => Some(format!("{more} pages could not be included in this summary.")),
    }
}

/// A sentence as it goes on after a comma.
fn lowered(text: &str) -> String {
    let first = text.split_whitespace().next().unwrap_or_default();
    if OPENERS.contains(&first) { format!("{}{}", first.to_lowercase(), &text[first.len()..]) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::KeyPoint;

    fn summary(executive: &str, points: &[&str]) -> Summary {
        let point = |text: &&str| KeyPoint { text: (*text).to_owned(), pages: vec![3], weight: 1.0 };
        Summary { executive: executive.to_owned(), key_points: points.iter().map(point).collect(), ..Summary::default() }
    }

    #[test]
    fn a_script_tells_title_summary_and_key_points() {
        let mut summary = summary(
            "**Octave** is a language. See <https://octave.org> (p. 3).\n\nIt has matrices.",
            &["The parser is fast (p. 12)", "Octave runs `scripts`."],
        );
        let told = "Summary of GNU Octave.\n\nOctave is a language. See the link.\n\nIt has matrices.\n\nThese are the key points.\n\n\
            First, the parser is fast.\n\nSecond, Octave runs scripts.";
        assert_eq!(script(&summary, Some("GNU Octave"), Some("en")), told);
        assert_eq!(script(&summary, Some("GNU Octave"), None), told);
        summary.missing_pages = vec![4, 5];
        assert!(script(&summary, None, None).ends_with("2 pages could not be included in this summary."));
    }

    #[test]
    fn other_languages_hear_no_english() {
        let mut summary = summary("Octave ist eine Sprache.", &["Der Parser ist schnell", "Sie hat Matrizen."]);
        summary.missing_pages = vec![1];
        assert_eq!(
            script(&summary, Some("Handbuch"), Some("de")),
            "Handbuch.\n\nOctave ist eine Sprache.\n\nDer Parser ist schnell.\n\nSie hat Matrizen."
        );
    }

    #[test]
    fn nothing_is_said_twice_and_nothing_of_nothing() {
        let told = script(&summary("It is fast. It is small.", &["It is small.", "It is free."]), None, None);
        assert_eq!(told, "It is fast. It is small.\n\nOne point stands out.\n\nIt is free.");
        assert_eq!(script(&summary("", &[]), Some("Title"), None), "");
    }

    #[test]
    fn points_beyond_the_tenth_are_still_told() {
        let points: Vec<String> = (1..=12).map(|number| format!("Point {number} holds.")).collect();
        let told = script(&summary("", &points.iter().map(String::as_str).collect::<Vec<_>>()), None, None);
        assert!(told.contains("Tenth, Point 10 holds.") && told.ends_with("Next, Point 12 holds."), "{told}");
    }
}

//! Turning written text into text that can be read aloud: no Markdown, no addresses, page references as words or gone.

/// `text` without anything that only the eye needs, a paragraph a line.
///
/// In English, what is left out in the middle of a sentence is named in its place; other languages only lose it.
pub(super) fn plain(text: &str, english: bool) -> String {
    let mut paragraphs = vec![String::new()];
    let mut code = false;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with("```") || line.starts_with("~~~") {
            code = !code;
            continue;
        }
        if code {
            continue;
        }
        let (content, own) = without_block(line);
        if let Some(last) = paragraphs.last_mut() {
            if own || line.is_empty() {
                paragraphs.push(content);
            } else {
                last.push(' ');
                last.push_str(&content);
            }
        }
        if own {
            paragraphs.push(String::new());
        }
    }
    let spoken: Vec<String> = paragraphs
        .iter()
        .map(|paragraph| sentence(&words(&inline(paragraph), english)))
        .filter(|paragraph| !paragraph.is_empty())
        .collect();
    spoken.join("\n")
}

/// `text` with a full stop where it ends without one.
pub(super) fn sentence(text: &str) -> String {
    let text = text.trim().trim_end_matches([',', ';']);
    let bare = text.trim_end_matches(['"', '\'', ')', '”', '’', '»', '“', '」', '）']);
    match bare.chars().last() {
        None => String::new(),
        Some('.' | '!' | '?' | '…' | ':' | '。' | '！' | '？' | '।' | '؟') => text.to_owned(),
        Some('\u{3040}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}') => format!("{text}。"),
        Some(_) => format!("{text}."),
    }
}

/// A line without the marks of its block, and whether it stands for itself.
fn without_block(line: &str) -> (String, bool) {
    if line.len() >= 3 && line.chars().all(|c| "-*_=|: ".contains(c)) {
        return (String::new(), true);
    }
    if let Some(row) = line.strip_prefix('|') {
        let cells: Vec<&str> = row.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect();
        return (cells.join(", "), true);
    }
    let quoted = line.trim_start_matches(['>', ' ']);
    let heading = quoted.trim_start_matches('#');
    if heading.len() < quoted.len() && (heading.is_empty() || heading.starts_with(' ')) {
        return (heading.trim().to_owned(), true);
    }
    for mark in ["- ", "* ", "+ ", "• ", "– "] {
        if let Some(item) = quoted.strip_prefix(mark) {
            return (item.trim().to_owned(), true);
        }
    }
    let numbered = quoted.trim_start_matches(|c: char| c.is_ascii_digit());
    if matches!(quoted.len() - numbered.len(), 1..=2)
        && let Some(item) = numbered.strip_prefix(". ").or_else(|| numbered.strip_prefix(") "))
    {
        return (item.trim().to_owned(), true);
    }
    (quoted.to_owned(), false)
}

/// Takes away emphasis, code marks, tags, the address of links, notes' numbers and page references in brackets.
fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let after = &rest[next.len_utf8()..];
        let following = after.chars().next();
        rest = after;
        match next {
            '[' => {
                let Some((label, beyond)) = after.split_once(']') else { continue };
                let address = beyond.strip_prefix('(').and_then(|link| link.split_once(')'));
                rest = address.map_or(beyond, |(_, beyond)| beyond);
                let note = label.trim_start_matches('^').chars().all(|c| c.is_ascii_digit() || ", -–".contains(c));
                if address.is_some() || !(note || is_page_reference(label)) {
                    // What stands in a label is text again.
                    out.push_str(&inline(label));
                }
            }
            '(' => match after.split_once(')') {
                Some((inside, beyond)) if is_page_reference(inside) || is_address(inside.trim()) => rest = beyond,
                _ => out.push('('),
            },
            '<' if following.is_some_and(|c| c.is_ascii_alphabetic() || c == '/') => match after.split_once('>') {
                Some((tag, beyond)) if tag.len() < 200 && !tag.contains('<') => {
                    out.push_str(if is_address(tag) { tag } else { " " });
                    rest = beyond;
                }
                _ => out.push('<'),
            },
            '!' if following == Some('[') => {}
            '*' if following.is_some_and(char::is_whitespace) && out.ends_with(char::is_whitespace) => out.push('*'),
            '*' | '`' | ']' => {}
            '~' if following == Some('~') || out.is_empty() => {}
            '_' if out.ends_with(char::is_alphanumeric) && following.is_some_and(char::is_alphanumeric) => out.push(' '),
            '_' => {}
            c if c.is_control() || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}') => {
                if c.is_whitespace() {
                    out.push(' ');
                }
            }
            c => out.push(c),
        }
    }
    out
}

/// Says addresses and pages in words, and puts single spaces between what is left.
fn words(text: &str, english: bool) -> String {
    let tokens: Vec<&str> = text.split_whitespace().collect();
    let mut out: Vec<String> = Vec::with_capacity(tokens.len());
    let mut pages = false;
    for (at, token) in tokens.iter().enumerate() {
        let open = token.len() - token.trim_start_matches(['(', '"', '\'', '“', '‘', '«']).len();
        let (before, word) = token.split_at(open);
        let bare = word.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', '"', '\'', '”', '’', '»']);
        let end = &word[bare.len()..];
        if is_address(bare) {
            if english {
                out.push(format!("{before}the link{end}"));
            } else if let Some(last) = out.last_mut().filter(|last| !last.ends_with(['.', ',', ';', ':', '!', '?'])) {
                last.push_str(end);
            }
            continue;
        }
        let number_follows = tokens.get(at + 1).is_some_and(|next| next.starts_with(|c: char| c.is_ascii_digit()));
        let glued = english && page_word(bare).is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()));
        let spoken = match page_word(bare) {
            Some((name, number)) if glued => format!("{name} {}", range(number)),
            Some((name, "")) if english && number_follows => name.to_owned(),
            _ if pages && english => range(bare),
            _ => bare.to_owned(),
        };
        pages = number_follows && (page_word(bare).is_some() || bare.eq_ignore_ascii_case("pages"));
        // The full stop of "p." is no end.
        let end = if pages { end.trim_start_matches('.') } else { end };
        out.push(format!("{before}{spoken}{end}"));
    }
    let mut joined = out.join(" ");
    for mark in [".", ",", ";", ":", "!", "?", ")"] {
        // What was left out before it leaves its space.
        joined = joined.replace(&format!(" {mark}"), mark);
    }
    joined
}

/// `p`, `pp`, `pg` with or without a full stop: the word for it, and what is glued to it.
fn page_word(word: &str) -> Option<(&'static str, &str)> {
    let letters = word.len() - word.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
    let name = match word.get(..letters)? {
        "p" | "pg" => "page",
        "pp" | "pgs" => "pages",
        _ => return None,
    };
    let rest = word.get(letters..)?;
    // `p5` is a name.
    (rest.is_empty() || rest.starts_with('.')).then(|| (name, rest.trim_start_matches('.')))
}

/// `3-5` as it is said.
fn range(numbers: &str) -> String {
    match numbers.split_once(['-', '–', '—']) {
        Some((from, to)) if [from, to].iter().all(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit())) => {
            format!("{from} to {to}")
        }
        _ => numbers.to_owned(),
    }
}

fn is_address(word: &str) -> bool {
    let starts = |with: &str| word.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    !word.contains(char::is_whitespace)
        && (["http://", "https://", "ftp://", "file://", "mailto:"].into_iter().any(starts) || (starts("www.") && word.len() > 6))
}

/// True of what stands in brackets and only says where something is: `p. 12`, `see pages 3–5 and 9`, `S. 4 f.`
fn is_page_reference(text: &str) -> bool {
    const PAGE: [&str; 16] = [
        "p",
        "pp",
        "pg",
        "pgs",
        "page",
        "pages",
        "s",
        "seite",
        "seiten",
        "pag",
        "pagina",
        "página",
        "páginas",
        "str",
        "strona",
        "ページ",
    ];
    const BETWEEN: [&str; 12] = ["and", "to", "see", "cf", "und", "bis", "vgl", "siehe", "et", "y", "f", "ff"];
    let (mut page, mut number) = (false, false);
    for part in text.split(|c: char| c.is_whitespace() || ".,;-–—".contains(c)).filter(|part| !part.is_empty()) {
        let letters = part.trim_end_matches(|c: char| c.is_ascii_digit());
        let lower = letters.to_lowercase();
        if PAGE.contains(&lower.as_str()) {
            page = true;
        } else if !(letters.is_empty() || BETWEEN.contains(&lower.as_str())) {
            return false;
        }
        number |= letters.len() < part.len();
    }
    page && number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_is_gone_and_its_words_are_left() {
        let written = "# Report\n\nThe **first** _line_ goes\non with `code` and [a link](https://x.org/a_b).\n\n- one item\n* two items!\n1. three\n\n> quoted\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n---\n```\nx = 1\n```\n![picture](a.png) end";
        assert_eq!(
            plain(written, true),
            "Report.\nThe first line goes on with code and a link.\none item.\ntwo items!\nthree.\nquoted.\na, b.\n1, 2.\npicture end."
        );
    }

    #[test]
    fn addresses_are_not_spelled_out() {
        assert_eq!(plain("See https://www.gnu.org/software/octave/. Next.", true), "See the link. Next.");
        assert_eq!(plain("Siehe https://www.gnu.org/x.", false), "Siehe.");
        assert_eq!(
            plain("Octave (https://octave.org) and <https://a.b/c> or www.gnu.org.", true),
            "Octave and the link or the link."
        );
        assert_eq!(plain("[https://a.b/c](https://a.b/c) is it", true), "the link is it.");
    }

    #[test]
    fn page_references_are_words_or_gone() {
        assert_eq!(plain("It grew (p. 12), then fell [pp. 3–5, 9].", true), "It grew, then fell.");
        assert_eq!(plain("Es wuchs (S. 4 f.) und fiel (vgl. Seiten 7-9).", false), "Es wuchs und fiel.");
        assert_eq!(plain("See p. 12 and pp. 3-5, or p.7.", true), "See page 12 and pages 3 to 5, or page 7.");
        assert_eq!(plain("A note [12] and one [3, 4]; [sic].", true), "A note and one; sic.");
        assert_eq!(plain("Kept (in 2019) and (p < 0.05).", true), "Kept (in 2019) and (p < 0.05).");
    }

    #[test]
    fn marks_that_mean_something_stay() {
        assert_eq!(plain("3 * 4 < 5 and a < b, ~5 snake_case", true), "3 * 4 < 5 and a < b, ~5 snake case.");
        assert_eq!(plain("[[he1lo]] soft\u{ad}hyphen", true), "he1lo softhyphen.");
        assert_eq!(plain("「終わり」", false), "「終わり」。");
        assert_eq!(plain(" \n\n", true), "");
    }
}

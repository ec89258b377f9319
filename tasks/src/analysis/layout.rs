//! Turns the raw text of a page into paragraphs of running text, and keeps the page's furniture out of them.
//!
//! A page's text is a list of printed lines: running heads, page numbers, tables of contents with dotted lines, program
//! listings, and somewhere among them sentences. Only the sentences are worth summarising. Every character of a paragraph
//! remembers where it stood in the raw text, so that a passage can be pointed at.

use super::script::is_cjk;

/// What a page mostly is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageKind {
    /// Running text.
    #[default]
    Prose,
    /// A table of contents, a list of figures, an index.
    Listing,
    /// Program text, formulas or tables of numbers.
    Code,
    /// Nothing, or next to nothing.
    Blank,
}

/// Running text that belongs together.
#[derive(Debug, Default)]
pub(super) struct Paragraph {
    /// The text with line breaks and hyphenation undone.
    pub text: String,
    /// For each character of `text`, its place in the raw text.
    pub places: Vec<u32>,
    /// Whether it is an item of a list, which is seldom a whole sentence.
    pub item: bool,
}

/// A page taken apart.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Running text, in order.
    pub paragraphs: Vec<Paragraph>,
    /// Lines that look like headings, in order.
    pub headings: Vec<String>,
    /// What the page mostly is.
    pub kind: PageKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Blank,
    Furniture,
    Leader,
    Code,
    Heading,
    Prose,
    Bullet,
}

/// A printed line: a range of the raw text's characters without its white space.
#[derive(Debug, Clone, Copy)]
struct Line {
    start: usize,
    end: usize,
    kind: Kind,
}

/// Takes the raw text of a page apart.
pub(super) fn layout(raw: &[char]) -> Layout {
    let mut lines = lines(raw);
    mark_furniture(raw, &mut lines);
    mark_headings(raw, &mut lines);
    let count = |kind: Kind| lines.iter().filter(|line| line.kind == kind).map(|line| line.end - line.start).sum::<usize>();
    let (leader, code) = (count(Kind::Leader), count(Kind::Code));
    let prose = count(Kind::Prose) + count(Kind::Bullet);
    let heading = count(Kind::Heading);
    let kind = if leader > prose {
        PageKind::Listing
    } else if leader + code + prose + heading == 0 {
        PageKind::Blank
    } else if code > 2 * prose {
        PageKind::Code
    } else {
        PageKind::Prose
    };
    let headings = lines
        .iter()
        .filter(|line| line.kind == Kind::Heading && kind != PageKind::Listing)
        .map(|line| raw[line.start..line.end].iter().filter(|c| !c.is_control()).collect())
        .collect();
    Layout { paragraphs: join(raw, &lines), headings, kind }
}

fn lines(raw: &[char]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut from = 0;
    for at in 0..=raw.len() {
        if at < raw.len() && raw[at] != '\n' && raw[at] != '\r' {
            continue;
        }
        // `\r\n` ends one line, not two.
        let pair = at > 0 && at < raw.len() && raw[at] == '\n' && raw[at - 1] == '\r';
        if !pair {
            let (mut start, mut end) = (from, at);
            while start < end && raw[start].is_whitespace() {
                start += 1;
            }
            while end > start && raw[end - 1].is_whitespace() {
                end -= 1;
            }
            lines.push(Line { start, end, kind: kind(&raw[start..end]) });
        }
        from = at + 1;
    }
    lines
}

/// What a line looks like by itself.
fn kind(line: &[char]) -> Kind {
    let Some(first) = line.first() else { return Kind::Blank };
    let (mut ink, mut letters, mut dots, mut symbols, mut digits) = (0usize, 0usize, 0usize, 0usize, 0usize);
    for c in line {
        if c.is_alphabetic() {
            letters += 1;
            ink += 1;
        } else if !c.is_whitespace() {
            ink += 1;
            match c {
                '.' | '…' | '·' | '․' => dots += 1,
                '0'..='9' => digits += 1,
                '{' | '}' | '[' | ']' | '(' | ')' | '=' | ';' | '<' | '>' | '|' | '\\' | '_' | '^' | '~' | '$' | '#' | '@'
                | '*' | '+' | '/' | '&' | '%' | '`' => symbols += 1,
                _ => {}
            }
        }
    }
    let last = line[line.len() - 1];
    if dots >= 5 && dots * 4 >= ink {
        Kind::Leader
    } else if matches!(first, '•' | '▪' | '‣' | '◦' | '●' | '∙' | '○' | '■' | '◆' | '・' | '–') {
        Kind::Bullet
    } else if symbols * 100 > ink * 16
        || letters * 2 < ink
        || digits * 2 > ink
        || matches!(first, '>' | '$' | '#' | '%' | '{' | '}')
        || (matches!(last, ';' | '{' | '}') && symbols >= 1)
        || is_call(line, last)
    {
        Kind::Code
    } else {
        Kind::Prose
    }
}

/// `name (a, b)` or `x = y`: how manuals print the form of a call.
fn is_call(line: &[char], last: char) -> bool {
    let words_before = |at: usize| line[..at].split(|c| c.is_whitespace()).filter(|word| !word.is_empty()).count();
    let opens = line.iter().position(|c| *c == '(');
    if last == ')' && opens.is_some_and(|at| words_before(at) <= 3) {
        return true;
    }
    let equals = line.windows(3).position(|w| w == [' ', '=', ' ']);
    !is_terminal(last) && equals.is_some_and(|at| words_before(at) <= 2)
}

/// The running head and foot: a short first or last line with a page number at either end.
fn mark_furniture(raw: &[char], lines: &mut [Line]) {
    let inked: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].kind != Kind::Blank).collect();
    let ends = inked.first().into_iter().chain(inked.get(1).filter(|_| inked.len() > 3)).chain(inked.last());
    for &at in ends {
        let line = &raw[lines[at].start..lines[at].end];
        if line.len() > 90 {
            continue;
        }
        let text: String = line.iter().collect();
        let mut words = text.split_whitespace();
        let (first, last) = (words.next().unwrap_or_default(), words.next_back().unwrap_or_default());
        let alone = last.is_empty();
        if is_page_number(first) && (alone || !is_terminal(line[line.len() - 1])) || !alone && is_page_number(last) {
            lines[at].kind = Kind::Furniture;
        }
    }
}

fn is_page_number(word: &str) -> bool {
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
    let digits = (1..=4).contains(&bare.len()) && bare.bytes().all(|b| b.is_ascii_digit());
    let roman = (1..=7).contains(&bare.len()) && bare.bytes().all(|b| b"ivxlc".contains(&b));
    (digits || roman) && !word.ends_with('.')
}

/// A short line that starts like a sentence, does not end like one, and is not part of a running paragraph.
fn mark_headings(raw: &[char], lines: &mut [Line]) {
    let full = lines.iter().filter(|line| line.kind == Kind::Prose).map(|line| line.end - line.start).max().unwrap_or(0);
    for at in 0..lines.len() {
        if lines[at].kind != Kind::Prose {
            continue;
        }
        let text = &raw[lines[at].start..lines[at].end];
        let (first, last) = (text[0], text[text.len() - 1]);
        let short = text.len() <= 70 && text.split(|c| c.is_whitespace()).count() <= 9;
        let starts = first.is_uppercase() || first.is_ascii_digit() || is_cjk(first);
        if !short || !starts || is_terminal(last) || matches!(last, ',' | ':' | ';' | '-' | '、' | '，' | '：') {
            continue;
        }
        let before = at.checked_sub(1).map(|i| lines[i]);
        let after = lines.get(at + 1).copied();
        // A line of a paragraph goes on to the margin; after a short one something new begins.
        let open_before = before.is_some_and(|line| {
            let last = raw.get(line.end.wrapping_sub(1)).copied().unwrap_or('.');
            let long = (line.end - line.start) * 5 > full * 3;
            matches!(line.kind, Kind::Prose | Kind::Bullet) && long && last != ':' && !is_terminal(last)
        });
        let runs_on = after.is_some_and(|line| {
            matches!(line.kind, Kind::Prose) && {
                let next = raw[line.start];
                // Without capitals only the length tells: a heading is much shorter than the line below it.
                let same_text = is_cjk(next) && text.len() * 2 > line.end - line.start;
                same_text || !(next.is_uppercase() || is_cjk(next) || next.is_ascii_digit())
            }
        });
        // A word by itself is a title also above a sentence that begins small, such as one with the name of a function.
        let alone = text.len() >= 4 && text.iter().all(|c| c.is_alphabetic() && !is_cjk(*c));
        if !open_before && (alone || !runs_on) {
            lines[at].kind = Kind::Heading;
        }
    }
}

/// Joins the lines of running text to paragraphs.
fn join(raw: &[char], lines: &[Line]) -> Vec<Paragraph> {
    let full = lines.iter().filter(|line| line.kind == Kind::Prose).map(|line| line.end - line.start).max().unwrap_or(0);
    let mut paragraphs = Vec::new();
    let mut open = Paragraph::default();
    let mut short_end = false;
    for line in lines {
        let text = &raw[line.start..line.end];
        let (part, fresh) = match line.kind {
            Kind::Prose => (text, short_end && text[0].is_uppercase()),
            Kind::Bullet => (&text[1..], true),
            _ => (&text[..0], true),
        };
        if fresh && !open.text.is_empty() {
            paragraphs.push(std::mem::take(&mut open));
        }
        if !part.is_empty() {
            open.item |= line.kind == Kind::Bullet;
            open.append(part, line.end - part.len());
        }
        short_end = text.len() * 4 < full * 3 && text.last().is_some_and(|last| is_terminal(*last));
    }
    if !open.text.is_empty() {
        paragraphs.push(open);
    }
    paragraphs
}

impl Paragraph {
    /// Adds a line that begins at `start` of the raw text.
    fn append(&mut self, line: &[char], start: usize) {
        let mut before = self.text.chars().next_back();
        let first = line.iter().copied().find(|c| !c.is_whitespace());
        let broken_word = before.is_some_and(is_hyphen)
            && self.text.chars().rev().nth(1).is_some_and(char::is_lowercase)
            && first.is_some_and(char::is_lowercase);
        if broken_word {
            self.text.pop();
            self.places.pop();
        } else if let (Some(a), Some(b)) = (before, first)
            && !(is_cjk(a) && is_cjk(b))
        {
            self.push(' ', start.saturating_sub(1));
            before = Some(' ');
        }
        for (offset, c) in line.iter().enumerate() {
            // PDFium writes U+0002 or U+FFFE where a word was hyphenated, others the soft hyphen.
            let c = if c.is_whitespace() { ' ' } else { *c };
            if matches!(c, '\u{2}' | '\u{fffe}' | '\u{ad}') || c.is_control() || c == ' ' && before.is_none_or(|b| b == ' ') {
                continue;
            }
            self.push(c, start + offset);
            before = Some(c);
        }
    }

    fn push(&mut self, c: char, place: usize) {
        self.text.push(c);
        self.places.push(u32::try_from(place).unwrap_or(u32::MAX));
    }
}

fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{2010}' | '\u{ad}')
}

/// Whether a sentence can end with this character.
pub(super) fn is_terminal(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '…' | '。' | '！' | '？' | '．' | '”' | '»' | '」' | '』' | '।' | '؟' | '۔')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Layout {
        layout(&text.chars().collect::<Vec<_>>())
    }

    fn paragraphs(text: &str) -> Vec<String> {
        of(text).paragraphs.into_iter().map(|p| p.text).collect()
    }

    #[test]
    fn running_heads_and_page_numbers_are_not_text() {
        let text = "Chapter 3: Data Types 45\r\nMissing data can be represented explicitly in this\r\nlanguage by one value.\r\n12";
        assert_eq!(paragraphs(text), ["Missing data can be represented explicitly in this language by one value."]);
    }

    #[test]
    fn hyphenated_words_are_joined_and_places_still_point_at_them() {
        let text = "It is short for “Not Avail\u{2}able”. A long ex-\nample follows here.";
        let page = of(text);
        assert_eq!(page.paragraphs[0].text, "It is short for “Not Available”. A long example follows here.");
        let raw: Vec<char> = text.chars().collect();
        let paragraph = &page.paragraphs[0];
        for (c, place) in paragraph.text.chars().zip(&paragraph.places) {
            let there = raw[*place as usize];
            assert!(c == there || c == ' ' && there.is_whitespace(), "{c:?} {there:?}");
        }
    }

    #[test]
    fn contents_pages_are_listings_without_text() {
        let text = "iii\n6 Data Containers . . . . . . . . . . 111\n6.1 Structures. . . . . . . . . . . . . . 111\n6.1.1 Usage . . . . . . . 112";
        let page = of(text);
        assert_eq!(page.kind, PageKind::Listing);
        assert!(page.paragraphs.is_empty());
    }

    #[test]
    fn program_text_and_calls_are_left_out() {
        let text = "The function reads a value from the file.\nval = NA (n, m)\nisna (x)\nfor (i = 0; i < n; i++) {\n>> x = [1, 2; 3, 4]\nIt returns the number of values that were read.";
        assert_eq!(
            paragraphs(text),
            ["The function reads a value from the file.", "It returns the number of values that were read."]
        );
    }

    #[test]
    fn headings_are_kept_apart() {
        let page = of("3.1.2 Missing Data\nIt is possible to represent missing data explicitly by\na value.");
        assert_eq!(page.headings, ["3.1.2 Missing Data"]);
        assert_eq!(page.paragraphs.len(), 1);
    }

    #[test]
    fn lines_of_japanese_are_joined_without_spaces() {
        assert_eq!(paragraphs("システムの管理は管理者の\n仕事です。"), ["システムの管理は管理者の仕事です。"]);
    }

    #[test]
    fn nothing_is_blank() {
        assert_eq!(of("").kind, PageKind::Blank);
        assert_eq!(of(" \r\n \n").kind, PageKind::Blank);
    }
}

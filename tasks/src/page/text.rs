//! A page's text as people would copy it: without the marks that PDF and print leave in it.

use unicode_segmentation::UnicodeSegmentation;

/// Fewer letters and digits than this are a page number or a stamp, not a page's text.
const TOO_FEW: usize = 25;

/// The text with line ends as `\n`, words divided at a line's end put together, ligatures taken apart, and without what
/// nobody can see: control characters, soft hyphens, blanks at line ends, more than one empty line in a row.
pub fn clean(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // PDFium's mark for a hyphen that only divides a word: the word goes on in the next line.
            '\u{2}' | '\u{FFFE}' => while chars.next_if(|next| matches!(next, '\r' | '\n' | ' ')).is_some() {},
            '\r' => {
                chars.next_if_eq(&'\n');
                end_line(&mut out);
            }
            '\n' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => end_line(&mut out),
            '\t' | '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' => out.push(' '),
            '\u{fb00}'..='\u{fb06}' => out.push_str(ligature(c)),
            '\u{ad}' | '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{ffff}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// Ends a line: no blanks before it, and never a second empty line.
fn end_line(out: &mut String) {
    out.truncate(out.trim_end_matches(' ').len());
    if !out.is_empty() && !out.ends_with("\n\n") {
        out.push('\n');
    }
}

fn ligature(c: char) -> &'static str {
    match c {
        '\u{fb00}' => "ff",
        '\u{fb01}' => "fi",
        '\u{fb02}' => "fl",
        '\u{fb03}' => "ffi",
        '\u{fb04}' => "ffl",
        _ => "st",
    }
}

/// How many words the text has; in scripts without spaces each character that can stand alone is one.
pub fn words(text: &str) -> u32 {
    u32::try_from(text.unicode_words().count()).unwrap_or(u32::MAX)
}

/// Whether the text of a page (cleaned) is so little, or so unreadable, that its pictures should be read instead.
pub fn needs_ocr(text: &str, has_images: bool) -> bool {
    if !has_images {
        return false;
    }
    let (mut readable, mut unreadable) = (0usize, 0usize);
    for c in text.chars() {
        if c.is_alphanumeric() {
            readable += 1;
        } else if matches!(c, '\u{fffd}' | '\u{e000}'..='\u{f8ff}') {
            // A font that does not say what its glyphs mean leaves these.
            unreadable += 1;
        }
    }
    readable < TOO_FEW || unreadable > readable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_pdf_and_print_are_gone() {
        assert_eq!(
            clean("of\u{fb01}ce  \r\nhyphen\u{2}\r\nation\r\n\r\n\r\n\r\nnext\u{a0}page\u{c}\0"),
            "office\nhyphenation\n\nnext page"
        );
        assert_eq!(clean("\r\n\r\n  a\r\n"), "  a");
        assert_eq!(clean("soft\u{ad}ly"), "softly");
        assert_eq!(clean(""), "");
    }

    #[test]
    fn words_are_counted_in_every_script() {
        assert_eq!(words("Two words, and it's seven\nin all."), 7);
        assert!(words("設定を変更する") > 3);
        assert_eq!(words(" \n— …"), 0);
    }

    #[test]
    fn only_pages_without_readable_text_are_read_by_eye() {
        assert!(needs_ocr("", true));
        assert!(needs_ocr("Page 3 of 10", true));
        assert!(needs_ocr(&"\u{e012}".repeat(500), true));
        assert!(!needs_ocr("", false));
        assert!(!needs_ocr("This page has a text layer of its own and a figure.", true));
        assert!(!needs_ocr("日本語の文章がここにあります。設定ファイルを編集してください。", true));
    }
}

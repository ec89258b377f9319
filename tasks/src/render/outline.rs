//! A PDF's outline, read with limits: a hostile one can be endless, circular or broken.

use pdfium_render::prelude::{PdfBookmark, PdfDocument};

use super::OutlineEntry;

const MOST: usize = 2_000;
const DEEPEST: u32 = 8;
const LONGEST_TITLE: usize = 300;

/// The outline in reading order; what is past the limits is left out.
pub(super) fn read(document: &PdfDocument<'_>) -> Vec<OutlineEntry> {
    let mut entries = Vec::new();
    // One budget for all steps, so that circles of untitled entries end too.
    let mut steps = MOST * 2;
    // Each item: an entry and its level; siblings are pushed before children, so children come out first.
    let mut waiting: Vec<(PdfBookmark<'_>, u32)> = document.bookmarks().root().map(|root| (root, 1)).into_iter().collect();
    while let Some((bookmark, level)) = waiting.pop() {
        if steps == 0 || entries.len() == MOST {
            break;
        }
        steps -= 1;
        if let Some(title) = bookmark.title().map(|title| clean(&title)).filter(|title| !title.is_empty()) {
            entries.push(OutlineEntry { title, page: page(&bookmark), level });
        }
        waiting.extend(bookmark.next_sibling().map(|sibling| (sibling, level)));
        if level < DEEPEST {
            waiting.extend(bookmark.first_child().map(|child| (child, level + 1)));
        }
    }
    entries
}

fn page(bookmark: &PdfBookmark<'_>) -> Option<u32> {
    let direct = bookmark.destination().and_then(|destination| destination.page_index().ok());
    let index = direct.or_else(|| {
        let action = bookmark.action()?;
        action.as_local_destination_action()?.destination().ok()?.page_index().ok()
    })?;
    u32::try_from(index).ok().map(|index| index + 1)
}

fn clean(title: &str) -> String {
    let words: Vec<&str> = title.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(LONGEST_TITLE).collect()
}

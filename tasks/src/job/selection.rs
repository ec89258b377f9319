//! Which pages of a document are asked for: `1-25,40` as text, and as page numbers.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a selection of pages cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no selection of pages: write numbers and ranges from 1, such as 1-25,40 or 300-")]
pub struct SelectionError(String);

/// A selection of pages; without any range it is all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Selection {
    /// First and last page; without a last one, to the end.
    ranges: Vec<(u32, Option<u32>)>,
}

impl Selection {
    /// The pages of a document of `total` pages that are asked for, in order, each once.
    pub fn pages(&self, total: u32) -> Vec<u32> {
        if self.ranges.is_empty() {
            return (1..=total).collect();
        }
        let pages: BTreeSet<u32> = self
            .ranges
            .iter()
            .flat_map(|(first, last)| *first..=last.unwrap_or(total).min(total))
            .filter(|page| *page <= total)
            .collect();
        pages.into_iter().collect()
    }

    /// Whether all pages are asked for.
    pub fn is_all(&self) -> bool {
        self.ranges.is_empty()
    }
}

impl FromStr for Selection {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || SelectionError(text.to_owned());
        let number = |text: &str| text.trim().parse::<u32>().ok().filter(|page| *page > 0).ok_or_else(bad);
        let range = |part: &str| match part.split_once('-') {
            None => number(part).map(|page| (page, Some(page))),
            Some((first, last)) if last.trim().is_empty() => Ok((number(first)?, None)),
            Some((first, last)) => {
                let (first, last) = (number(first)?, number(last)?);
                if first <= last { Ok((first, Some(last))) } else { Err(bad()) }
            }
        };
        Ok(Self { ranges: text.split(',').map(range).collect::<Result<_, _>>()? })
    }
}

impl TryFrom<String> for Selection {
    type Error = SelectionError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() { Ok(Self::default()) } else { text.parse() }
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (first, last)) in self.ranges.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            match last {
                Some(last) if last == first => write!(f, "{comma}{first}")?,
                Some(last) => write!(f, "{comma}{first}-{last}")?,
                None => write!(f, "{comma}{first}-")?,
            }
        }
        Ok(())
    }
}

impl From<Selection> for String {
    fn from(selection: Selection) -> Self {
        selection.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(text: &str, total: u32) -> Vec<u32> {
        text.parse::<Selection>().unwrap().pages(total)
    }

    #[test]
    fn numbers_and_ranges_name_pages_once_and_in_order() {
        assert_eq!(pages("40,1-3,2", 100), [1, 2, 3, 40]);
        assert_eq!(pages("98-", 100), [98, 99, 100]);
        assert_eq!(pages("99-120", 100), [99, 100]);
        assert_eq!(pages("200", 100), [0u32; 0]);
        assert_eq!(Selection::default().pages(3), [1, 2, 3]);
        assert_eq!("1 - 3, 7".parse::<Selection>().unwrap().to_string(), "1-3,7");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["0", "3-1", "a", "1,,2", "-", "1-2-3", "1-4294967296"] {
            assert!(text.parse::<Selection>().is_err(), "{text}");
        }
    }
}

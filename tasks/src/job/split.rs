//! How the pages of a document are split: the direct way, or batches side by side.

use serde::{Deserialize, Serialize};

/// How many pages a batch has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SizeText", into = "SizeText")]
pub enum BatchSize {
    /// So many.
    Pages(u32),
    /// Chosen by the number of pages: small documents get small batches, so that all workers have some.
    Auto,
}

impl Default for BatchSize {
    fn default() -> Self {
        Self::Pages(25)
    }
}

/// A batch size as it is written: a number, or `auto`.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum SizeText {
    Number(u32),
    Text(String),
}

impl TryFrom<SizeText> for BatchSize {
    type Error = String;

    fn try_from(text: SizeText) -> Result<Self, String> {
        let wrong = |text: &dyn std::fmt::Display| Err(format!("batch_size is a number from 1 or \"auto\", not {text}"));
        match text {
            SizeText::Number(pages @ 1..) => Ok(Self::Pages(pages)),
            SizeText::Number(zero) => wrong(&zero),
            SizeText::Text(text) => text.parse(),
        }
    }
}

impl From<BatchSize> for SizeText {
    fn from(size: BatchSize) -> Self {
        match size {
            BatchSize::Pages(pages) => Self::Number(pages),
            BatchSize::Auto => Self::Text("auto".to_owned()),
        }
    }
}

impl std::str::FromStr for BatchSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "auto" => Ok(Self::Auto),
            other => match other.parse() {
                Ok(pages @ 1..) => Ok(Self::Pages(pages)),
                _ => Err(format!("batch_size is a number from 1 or \"auto\", not {other}")),
            },
        }
    }
}

impl BatchSize {
    /// The number of pages in each batch of a job of `pages` pages: what was asked for, or about forty batches of 10 to 50 pages.
    pub fn pages(self, pages: usize) -> usize {
        match self {
            Self::Pages(size) => size as usize,
            Self::Auto => pages.div_ceil(40).clamp(10, 50),
        }
    }
}

/// The batches of these pages, in order; the last may be short. `None`: the direct way, for at most `threshold` pages.
pub fn split(pages: &[u32], threshold: usize, size: BatchSize) -> Option<Vec<&[u32]>> {
    (pages.len() > threshold).then(|| pages.chunks(size.pages(pages.len())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn five_hundred_pages_are_twenty_batches_and_fifty_go_the_direct_way() {
        let pages: Vec<u32> = (1..=512).collect();
        let batches = split(&pages, 50, BatchSize::default()).unwrap();
        assert_eq!((batches.len(), batches[20].len()), (21, 12));
        assert_eq!(split(&pages[..50], 50, BatchSize::default()), None);
        assert_eq!(split(&pages[..51], 50, BatchSize::default()).unwrap().len(), 3);
    }

    #[test]
    fn a_size_is_read_from_numbers_and_from_auto_only() {
        let read = |text: &str| serde_json::from_str::<BatchSize>(text);
        assert_eq!(read("30").unwrap(), BatchSize::Pages(30));
        assert_eq!(read("\"auto\"").unwrap(), BatchSize::Auto);
        for bad in ["0", "\"many\"", "\"0\""] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn batches_partition_the_pages(count in 0u32..3000, threshold in 0usize..100, size in prop_oneof![Just(BatchSize::Auto), (1u32..200).prop_map(BatchSize::Pages)]) {
            let pages: Vec<u32> = (1..=count).collect();
            if let Some(batches) = split(&pages, threshold, size) {
                prop_assert!(batches.iter().all(|batch| !batch.is_empty()));
                prop_assert_eq!(batches.concat(), pages);
            } else {
                prop_assert!(pages.len() <= threshold);
            }
        }
    }
}

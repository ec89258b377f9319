//! The states of a job's pages: one letter a page, written run by run (`325o1f174o`) where they are kept.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The state of one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PageState {
    /// Not handed to a worker yet.
    Pending = b'.',
    /// In a queue.
    Queued = b'q',
    /// Some worker is on it.
    Running = b'r',
    /// Done.
    Ok = b'o',
    /// Done by an earlier run.
    Cached = b'c',
    /// Failed, and tried again.
    Retrying = b'y',
    /// Failed for good.
    Failed = b'f',
    /// Not asked for.
    Skipped = b's',
    /// Left out because the job was stopped.
    Cancelled = b'x',
}

impl PageState {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Queued,
        Self::Running,
        Self::Ok,
        Self::Cached,
        Self::Retrying,
        Self::Failed,
        Self::Skipped,
        Self::Cancelled,
    ];

    /// The letter.
    pub const fn letter(self) -> char {
        self as u8 as char
    }

    /// In a word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Ok => "ok",
            Self::Cached => "cached",
            Self::Retrying => "retrying",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }

    /// By its letter.
    pub fn of(letter: char) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.letter() == letter)
    }

    /// Whether the page is there.
    pub const fn is_done(self) -> bool {
        matches!(self, Self::Ok | Self::Cached)
    }

    /// Whether nothing more will happen to it in this run.
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Ok | Self::Cached | Self::Failed | Self::Cancelled)
    }
}

/// One state a page of the document, from page 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageStates(Vec<PageState>);

impl PageStates {
    /// So many pages, all in one state.
    pub fn new(pages: u32, state: PageState) -> Self {
        Self(vec![state; pages as usize])
    }

    /// The state of a page (from 1); `None` beyond the document.
    pub fn get(&self, page: u32) -> Option<PageState> {
        self.0.get((page as usize).checked_sub(1)?).copied()
    }

    /// Sets a page's state and gives the one before; a page beyond the document changes nothing.
    pub fn set(&mut self, page: u32, state: PageState) -> Option<PageState> {
        let place = self.0.get_mut((page as usize).checked_sub(1)?)?;
        Some(std::mem::replace(place, state))
    }

    /// Turns all pages in a state that fits into another. `false`: there is none.
    pub(super) fn turn(&mut self, fits: impl Fn(PageState) -> bool, into: PageState) -> bool {
        let mut any = false;
        for state in self.0.iter_mut().filter(|state| fits(**state)) {
            (*state, any) = (into, true);
        }
        any
    }

    /// Every page with its state.
    pub fn iter(&self) -> impl Iterator<Item = (u32, PageState)> {
        (1..).zip(self.0.iter().copied())
    }

    /// How many pages are in a state that fits.
    pub fn count(&self, fits: impl Fn(PageState) -> bool) -> u32 {
        u32::try_from(self.0.iter().filter(|state| fits(**state)).count()).unwrap_or(u32::MAX)
    }

    /// How many pages the document has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the document was not opened yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn runs(&self) -> String {
        use fmt::Write as _;
        self.0.chunk_by(|a, b| a == b).fold(String::new(), |mut text, run| {
            let _ = write!(text, "{}{}", run.len(), run[0].letter());
            text
        })
    }

    fn of_runs(text: &str) -> Option<Self> {
        let mut states = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|letter: char| !letter.is_ascii_digit())?;
            let state = PageState::of(rest[end..].chars().next()?)?;
            let count: u32 = rest[..end].parse().ok()?;
            states.resize(states.len() + count as usize, state);
            rest = &rest[end + 1..];
        }
        Some(Self(states))
    }
}

impl fmt::Display for PageStates {
    /// One letter a page.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|state| fmt::Write::write_char(f, state.letter()))
    }
}

impl Serialize for PageStates {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.runs())
    }
}

impl<'de> Deserialize<'de> for PageStates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::of_runs(&text).ok_or_else(|| D::Error::custom("these are no runs of page states"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_kept_as_runs_and_shown_one_by_one() {
        let mut states = PageStates::new(5, PageState::Pending);
        assert_eq!(states.set(2, PageState::Ok), Some(PageState::Pending));
        states.set(3, PageState::Ok);
        assert_eq!(states.set(6, PageState::Ok), None);
        assert_eq!(states.set(0, PageState::Ok), None);
        assert_eq!(states.to_string(), ".oo..");
        let kept = serde_json::to_string(&states).unwrap();
        assert_eq!(kept, r#""1.2o2.""#);
        assert_eq!(serde_json::from_str::<PageStates>(&kept).unwrap(), states);
    }

    #[test]
    fn what_is_no_run_is_refused() {
        for text in [r#""5""#, r#""o""#, r#""3z""#, r#""99999999999o""#] {
            assert!(serde_json::from_str::<PageStates>(text).is_err(), "{text}");
        }
    }
}

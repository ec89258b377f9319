//! How far a document is, as a person sees it: bars on a terminal, a line every 5 % elsewhere, always on standard error.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressStyle};

/// A document at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Snapshot {
    /// Whether documents are counted, not the pages of one.
    pub(crate) documents: bool,
    /// Pages asked for; 0 while the document is not opened yet.
    pub(crate) total: u32,
    /// Pages that ended, well or not.
    pub(crate) current: u32,
    /// Of them, those that failed.
    pub(crate) failed: u32,
    /// `pages`, `aggregate`, `summary`, `audio`.
    pub(crate) phase: String,
    /// Since the job began.
    pub(crate) pages_per_second: f64,
    /// As the job estimates it.
    pub(crate) seconds_left: Option<u64>,
    /// All batches; 0 on the direct way.
    pub(crate) batches: u32,
    /// Batches whose pages have all ended.
    pub(crate) batches_done: u32,
    /// The batches some page of which has begun, and not all ended.
    pub(crate) running: Vec<Batch>,
}

/// A running batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    /// From 1.
    pub(crate) number: u32,
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) done: u32,
    pub(crate) total: u32,
}

/// Shows one document.
pub(crate) enum Display {
    /// Bars on a terminal.
    Bars(Bars),
    /// A line every 5 %.
    Lines(Lines),
    /// Nothing.
    Silent,
}

impl Display {
    pub(crate) fn bars(bars: &MultiProgress, name: &str) -> Self {
        Self::Bars(Bars::new(bars.clone(), name))
    }

    pub(crate) fn lines(name: &str) -> Self {
        Self::Lines(Lines { name: name.into(), shown: None, phase: String::new() })
    }

    /// Shows a moment.
    pub(crate) fn show(&mut self, snapshot: &Snapshot) {
        match self {
            Self::Bars(bars) => bars.show(snapshot),
            Self::Lines(lines) => {
                if let Some(line) = lines.line(snapshot) {
                    // Progress that cannot be shown is no reason to stop.
                    let _ = writeln!(std::io::stderr().lock(), "{line}");
                }
            }
            Self::Silent => {}
        }
    }

    /// Takes the bars away.
    pub(crate) fn finish(self) {
        if let Self::Bars(bars) = self {
            bars.finish();
        }
    }
}

/// The document's bar, and one below it for each running batch.
pub(crate) struct Bars {
    all: MultiProgress,
    document: ProgressBar,
    batches: BTreeMap<u32, ProgressBar>,
}

/// More running batches than this are not shown one by one: the terminal has an end.
const BATCHES_SHOWN: usize = 8;

impl Bars {
    fn new(all: MultiProgress, name: &str) -> Self {
        let document = all.add(ProgressBar::new(0).with_prefix(shorten(name, 28)));
        document.set_style(style("{spinner:.cyan} {prefix:.bold} {wide_bar:.cyan/blue.dim} {pos}/{len} {msg}"));
        document.set_message("opening");
        document.enable_steady_tick(Duration::from_millis(120));
        Self { all, document, batches: BTreeMap::new() }
    }

    fn show(&mut self, snapshot: &Snapshot) {
        self.document.set_length(u64::from(snapshot.total));
        self.document.set_position(u64::from(snapshot.current));
        self.document.set_message(figures(snapshot));
        let shown: Vec<&Batch> = snapshot.running.iter().take(BATCHES_SHOWN).collect();
        self.batches.retain(|number, bar| {
            let runs = shown.iter().any(|batch| batch.number == *number);
            if !runs {
                bar.finish_and_clear();
            }
            runs
        });
        for batch in shown {
            let bar = self.batches.entry(batch.number).or_insert_with(|| {
                let bar = ProgressBar::new(u64::from(batch.total));
                bar.set_style(style("    {prefix:.dim} {bar:20.green/black.dim} {pos}/{len}"));
                bar.set_prefix(format!("batch {:>3}  pages {:>4}-{:<4}", batch.number, batch.first, batch.last));
                self.all.add(bar)
            });
            bar.set_position(u64::from(batch.done));
        }
    }

    fn finish(self) {
        for bar in self.batches.into_values() {
            bar.finish_and_clear();
        }
        self.document.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━─")
}

/// One line at the start, at every 5 %, and when another phase begins.
pub(crate) struct Lines {
    name: String,
    /// The last step of 5 % that was shown.
    shown: Option<u32>,
    phase: String,
}

impl Lines {
    fn line(&mut self, snapshot: &Snapshot) -> Option<String> {
        if snapshot.total == 0 {
            return None;
        }
        let percent = snapshot.current * 100 / snapshot.total;
        let step = percent / 5;
        let new_phase = snapshot.phase != self.phase && snapshot.current == snapshot.total;
        if self.shown.is_some_and(|shown| step <= shown) && !new_phase {
            return None;
        }
        self.shown = Some(step);
        self.phase.clone_from(&snapshot.phase);
        let (current, total) = (snapshot.current, snapshot.total);
        let line = format!("{}: {percent} % · {current} of {total} {} · {}", self.name, unit(snapshot), figures(snapshot));
        Some(line.trim_end_matches(" · ").to_owned())
    }
}

fn unit(snapshot: &Snapshot) -> &'static str {
    if snapshot.documents { "documents" } else { "pages" }
}

/// Speed, remaining time, failures, batches: what is known of them.
fn figures(snapshot: &Snapshot) -> String {
    if snapshot.total > 0 && snapshot.current == snapshot.total {
        return match snapshot.phase.as_str() {
            "pages" | "" => "putting together".into(),
            phase => phase.to_owned(),
        };
    }
    let mut text = String::new();
    if snapshot.pages_per_second > 0.0 {
        let _ = write!(text, "{:.1} {}/s", snapshot.pages_per_second, unit(snapshot));
    }
    if let Some(seconds) = snapshot.seconds_left {
        let _ = write!(text, " · {} left", HumanDuration(Duration::from_secs(seconds)));
    }
    if snapshot.batches > 0 {
        let _ = write!(text, " · batch {} of {}", snapshot.batches_done, snapshot.batches);
    }
    if snapshot.failed > 0 {
        let _ = write!(text, " · {} failed", snapshot.failed);
    }
    text.trim_start_matches(" · ").to_owned()
}

/// A name that fits; its end says most.
fn shorten(name: &str, width: usize) -> String {
    let length = name.chars().count();
    if length <= width { name.into() } else { format!("…{}", name.chars().skip(length - width + 1).collect::<String>()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(current: u32) -> Snapshot {
        Snapshot {
            total: 200,
            current,
            phase: "pages".into(),
            pages_per_second: 4.0,
            seconds_left: Some(30),
            ..Snapshot::default()
        }
    }

    #[test]
    fn away_from_a_terminal_a_line_comes_every_five_percent() {
        let mut lines = Lines { name: "a.pdf".into(), shown: None, phase: String::new() };
        assert_eq!(lines.line(&Snapshot::default()), None);
        let shown: Vec<String> = (0..=200).filter_map(|page| lines.line(&at(page))).collect();
        assert_eq!(shown.len(), 21);
        assert_eq!(shown[1], "a.pdf: 5 % · 10 of 200 pages · 4.0 pages/s · 30 seconds left");
        let summary = Snapshot { phase: "summary".into(), ..at(200) };
        assert_eq!(lines.line(&summary).as_deref(), Some("a.pdf: 100 % · 200 of 200 pages · summary"));
        assert_eq!(lines.line(&summary), None);
    }

    #[test]
    fn figures_say_what_is_known() {
        let text = figures(&Snapshot { failed: 2, batches: 8, batches_done: 3, ..at(50) });
        assert_eq!(text, "4.0 pages/s · 30 seconds left · batch 3 of 8 · 2 failed");
        assert_eq!(figures(&Snapshot { total: 5, batches: 2, ..Snapshot::default() }), "batch 0 of 2");
    }

    #[test]
    fn bars_follow_the_running_batches() {
        let mut bars = Bars::new(MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::hidden()), "a.pdf");
        let batch = |number, done| Batch { number, first: number * 25 - 24, last: number * 25, done, total: 25 };
        bars.show(&Snapshot { running: vec![batch(1, 5), batch(2, 0)], ..at(5) });
        assert_eq!(bars.batches.keys().copied().collect::<Vec<_>>(), [1, 2]);
        bars.show(&Snapshot { running: vec![batch(2, 9), batch(3, 0)], ..at(34) });
        assert_eq!(bars.batches.keys().copied().collect::<Vec<_>>(), [2, 3]);
        assert_eq!((bars.batches[&2].position(), bars.document.position()), (9, 34));
    }

    #[test]
    fn a_long_name_keeps_its_end() {
        assert_eq!(shorten("abcdefghij.pdf", 8), "…hij.pdf");
        assert_eq!(shorten("a.pdf", 8), "a.pdf");
    }
}

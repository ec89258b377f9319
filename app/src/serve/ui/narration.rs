//! The narration, and its words with the pages they come from.

use celeriac_tasks::ledger::Entry;
use celeriac_tasks::result::{AudioPart, Summary};
use celeriac_tasks::store::Key;

use super::place::Shell;
use super::summary::{PAGES, Point};
use super::words::{segment, size, spell};
use crate::jobs::{Desk, Refusal};

/// A narration.
#[derive(Debug, Default)]
pub(super) struct Narration {
    pub(super) note: String,
    pub(super) absent: String,
    pub(super) parts: Vec<Part>,
    pub(super) transcript: Vec<Point>,
}

/// A part of it.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) number: u32,
    pub(super) title: String,
    pub(super) duration: String,
    pub(super) size: String,
    pub(super) voice: String,
    pub(super) format: String,
    pub(super) url: String,
}

/// Of a job.
pub(super) async fn of(desk: &Desk, shell: &Shell, entry: &Entry) -> Result<Narration, Refusal> {
    let Some(result) = desk.result(&entry.job_id).await? else { return Ok(absent(entry, None)) };
    let Some(audio) = result.audio.filter(|audio| !audio.parts.is_empty()) else {
        let failed = result.errors.iter().find(|error| super::words::word(&error.stage) == "audio");
        return Ok(absent(entry, failed.map(|error| error.message.clone())));
    };
    let mut transcript = Vec::new();
    for part in &audio.parts {
        let Ok(key) = Key::parse(&part.transcript_ref) else { continue };
        let text = desk.store.get(&key).await?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        transcript
            .extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| said(line, result.summary.as_ref())));
    }
    let seconds: f64 = audio.parts.iter().map(|part| part.duration_s).sum();
    Ok(Narration {
        note: spell(seconds.round() as i64),
        absent: String::new(),
        parts: audio.parts.into_iter().map(|it| part(shell, &entry.job_id, it)).collect(),
        transcript,
    })
}

fn absent(entry: &Entry, failed: Option<String>) -> Narration {
    let wanted = entry.opened.as_ref().is_none_or(|opened| opened.audio);
    let absent = match (failed, wanted, entry.status.is_terminal()) {
        (Some(message), ..) => format!("There is no narration: {message}"),
        (None, false, _) => "No narration was asked for.".to_owned(),
        (None, true, true) => "There is no narration.".to_owned(),
        (None, true, false) => "The narration is spoken after the summary. It shows here then.".to_owned(),
    };
    Narration { absent, ..Narration::default() }
}

fn part(shell: &Shell, job_id: &str, part: AudioPart) -> Part {
    Part {
        number: part.part,
        url: format!("{}/jobs/{}/audio/{}", shell.api, segment(job_id), part.part),
        duration: spell(part.duration_s.round() as i64),
        size: size(part.bytes),
        title: part.title,
        voice: part.voice,
        format: part.format,
    }
}

/// A line that is spoken, with the pages of the key points in it.
fn said(line: &str, summary: Option<&Summary>) -> Point {
    let points = summary.into_iter().flat_map(|summary| &summary.key_points);
    let mut pages: Vec<u32> = points
        .filter(|point| !point.text.is_empty() && line.contains(point.text.trim_end_matches('.')))
        .flat_map(|point| point.pages.clone())
        .collect();
    pages.sort_unstable();
    pages.dedup();
    pages.truncate(PAGES);
    Point { text: line.to_owned(), pages }
}

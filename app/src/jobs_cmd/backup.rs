//! `jobs export` and `jobs import` (S4.32, S4.34): jobs with their results as JSON Lines, and into the archive of another deployment.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};

use celeriac::cli::terminal::{print, print_json, tell};
use celeriac::cli::{Exit, Failure};
use serde_json::json;

use super::client::{Client, refused};
use crate::args::{ExportArgs, ImportArgs};
use crate::jobs::{Imported, Kept, Refusal};

pub(super) async fn export(client: &Client, args: &ExportArgs) -> Result<Exit, Failure> {
    let query = super::chosen(&args.which)?;
    let name = args.output.display().to_string();
    let standard = name == "-";
    let mut out: Box<dyn Write> = if standard {
        Box::new(std::io::stdout())
    } else {
        Box::new(BufWriter::new(File::create(&args.output).map_err(|error| Failure::write(&name, &error))?))
    };
    let mut broken = None;
    let exported = client.desk.export(&query, |kept| {
        let written = serde_json::to_vec(kept).map_err(std::io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            out.write_all(&line)
        });
        written.map_err(|error| {
            let text = error.to_string();
            broken = Some(error);
            Refusal::Unavailable(text)
        })
    });
    let exported = exported.await;
    if let Some(error) = broken {
        return Err(Failure::write(if standard { "standard output" } else { &name }, &error));
    }
    let exported = exported.map_err(|refusal| refused(&refusal))?;
    out.flush().map_err(|error| Failure::write(&name, &error))?;
    if !client.quiet {
        tell(&format!("{exported} jobs exported\n"))?;
    }
    Ok(Exit::Ok)
}

/// How many lines came to what.
#[derive(Default)]
struct Counted {
    taken: u64,
    known: u64,
    older: u64,
    unfinished: u64,
}

pub(super) async fn import(client: &Client, args: &ImportArgs) -> Result<Exit, Failure> {
    let archive = client.archive().await?;
    let name = args.input.display().to_string();
    let unreadable = |error| Failure::new(Exit::Failure, format!("cannot read {name}")).why(error);
    let lines: Box<dyn BufRead> = if name == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(&args.input).map_err(unreadable)?))
    };
    let mut counted = Counted::default();
    for (number, line) in (1..).zip(lines.lines()) {
        let line = line.map_err(unreadable)?;
        if line.trim().is_empty() {
            continue;
        }
        let kept = Kept::read(&line).map_err(|why| {
            Failure::new(Exit::Failure, format!("line {number} of {name} cannot be taken; those before it are")).why(why)
        })?;
        match kept.import(&archive).await.map_err(|refusal| refused(&refusal))? {
            Imported::Taken => counted.taken += 1,
            Imported::Known => counted.known += 1,
            Imported::Older => counted.older += 1,
            Imported::Unfinished => counted.unfinished += 1,
        }
    }
    report(client, &counted)
}

fn report(client: &Client, counted: &Counted) -> Result<Exit, Failure> {
    let Counted { taken, known, older, unfinished } = counted;
    if client.json {
        print_json(&json!({"imported": taken, "known": known, "older": older, "unfinished": unfinished}))?;
    } else {
        let some = |count: &u64, words: &str| if *count > 0 { format!(", {count} {words}") } else { String::new() };
        print(&format!(
            "{taken} jobs imported{}{}{}\n",
            some(known, "were there"),
            some(older, "are there in a later state"),
            some(unfinished, "left out that had not ended"),
        ))?;
    }
    Ok(Exit::Ok)
}

//! From flags to what a job is asked for.

use celeriac::cli::Failure;
use celeriac_tasks::job::{Analysis, BatchSize, ProcessDocument, Selection};
use celeriac_tasks::page::OcrMode;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::args::{AnalysisMode, OcrMode as OcrFlag, ProcessArgs};
use crate::jobs::priority_step;

use super::sources::Input;

/// What is asked for every document, without its source and its job's id.
pub(crate) fn of(args: &ProcessArgs) -> Result<ProcessDocument, Failure> {
    let pages = args.pages.as_deref().map(str::parse::<Selection>).transpose();
    let pages = pages.map_err(|error| Failure::usage("--pages").why(error))?;
    let batch_size = args.batch_size.as_deref().map(str::parse::<BatchSize>).transpose();
    let batch_size = batch_size.map_err(|error| Failure::usage("--batch-size").why(error))?;
    Ok(ProcessDocument {
        password: args.password.clone(),
        pages,
        batch_size,
        dpi: args.dpi,
        ocr: args.ocr.map(|mode| match mode {
            OcrFlag::Auto => OcrMode::Auto,
            OcrFlag::Always => OcrMode::Always,
            OcrFlag::Never => OcrMode::Never,
        }),
        ocr_languages: args.lang.clone(),
        analysis: args.analysis.map(|mode| match mode {
            AnalysisMode::None => Analysis::None,
            AnalysisMode::Extractive => Analysis::Extractive,
            AnalysisMode::Openai => Analysis::Openai,
        }),
        summary: if args.no_summary { Some(false) } else { args.summary.then_some(true) },
        audio: if args.audio { Some(true) } else { args.no_audio.then_some(false) },
        voice: args.voice.clone(),
        max_cost_usd: args.max_cost_usd,
        priority: args.priority.clone(),
        ..ProcessDocument::default()
    })
}

/// The step of its queue, where one was asked for.
pub(crate) fn step(args: &ProcessArgs) -> Result<Option<i64>, Failure> {
    let asked = args.priority.as_deref().map(Value::from);
    asked.map(|asked| priority_step(Some(&asked))).transpose().map_err(|why| Failure::usage("--priority").why(why))
}

/// The job's id: the one given; with `--resume` one that the same place always has; else a new one.
pub(crate) fn job_id(args: &ProcessArgs, input: &Input) -> String {
    match (&args.job_id, args.resume) {
        (Some(id), _) => id.clone(),
        (None, true) => Sha256::digest(input.place()).iter().take(16).map(|byte| format!("{byte:02x}")).collect(),
        (None, false) => uuid::Uuid::new_v4().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sources::From;
    use super::*;
    use crate::args::{Cli, Command};
    use celeriac::cli::Exit;
    use clap::Parser;

    fn args(line: &str) -> ProcessArgs {
        let cli = Cli::try_parse_from(["celeriac", "process", "a.pdf"].into_iter().chain(line.split_whitespace())).unwrap();
        let Command::Process(args) = cli.command else { panic!("not process") };
        *args
    }

    #[test]
    fn flags_become_what_the_job_is_asked_for() {
        let asked =
            of(&args("--pages 1-25,40 --batch-size auto --ocr never --lang deu --analysis none --no-summary --audio --dpi 100"))
                .unwrap();
        assert_eq!(asked.pages.unwrap().to_string(), "1-25,40");
        assert_eq!((asked.batch_size, asked.ocr, asked.dpi), (Some(BatchSize::Auto), Some(OcrMode::Never), Some(100)));
        assert_eq!((asked.summary, asked.audio, asked.analysis), (Some(false), Some(true), Some(Analysis::None)));
        let silent = of(&args("")).unwrap();
        assert_eq!((silent.summary, silent.audio, silent.pages), (None, None, None));
    }

    #[test]
    fn pages_that_are_none_are_wrong_usage() {
        for line in ["--pages 0", "--pages 5-2", "--pages a", "--batch-size none"] {
            assert_eq!(of(&args(line)).unwrap_err().exit, Exit::Usage, "{line}");
        }
    }

    #[test]
    fn a_priority_is_one_of_the_apis_words() {
        let step = |line: &str| step(&args(line)).map_err(|failure| failure.exit);
        assert_eq!(
            (step(""), step("--submit --priority high"), step("--submit --priority -10")),
            (Ok(None), Ok(Some(0)), Ok(Some(9)))
        );
        assert_eq!(step("--submit --priority soon"), Err(Exit::Usage));
    }

    #[test]
    fn a_job_that_goes_on_has_the_same_id_again() {
        let input = |url: &str| Input { name: "a.pdf".into(), from: From::Url(url.into()) };
        let resumed = args("--resume");
        assert_eq!(job_id(&resumed, &input("x")), job_id(&resumed, &input("x")));
        assert_ne!(job_id(&resumed, &input("x")), job_id(&resumed, &input("y")));
        assert_ne!(job_id(&args(""), &input("x")), job_id(&args(""), &input("x")));
        assert_eq!(job_id(&args("--resume --job-id j"), &input("x")), "j");
    }
}

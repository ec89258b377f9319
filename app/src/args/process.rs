//! The flags of `process`.

use clap::{Args, ValueEnum};

use crate::jobs::Form;

/// `process`.
#[derive(Args, Debug)]
pub(crate) struct ProcessArgs {
    /// Documents: files, https addresses, folders (their documents), or - for standard input
    #[arg(required = true, value_name = "FILE|URL|DIR|-")]
    pub(crate) sources: Vec<String>,

    /// Send the work to the queues instead of doing it here
    #[arg(long, conflicts_with = "local")]
    pub(crate) submit: bool,
    /// Do the work here, in this process and its children; the default
    #[arg(long)]
    pub(crate) local: bool,
    /// With --submit: do not wait for the result
    #[arg(long, requires = "submit")]
    pub(crate) no_wait: bool,

    /// Which pages, such as 1-25,40 [default: all]
    #[arg(long, value_name = "PAGES")]
    pub(crate) pages: Option<String>,
    /// Pages a batch, or auto
    #[arg(long, value_name = "N|auto")]
    pub(crate) batch_size: Option<String>,
    /// Pages at once [default: the processors]
    #[arg(short = 'c', long, value_name = "N|auto")]
    pub(crate) concurrency: Option<String>,
    /// Dots an inch of the page images
    #[arg(long, value_name = "DPI")]
    pub(crate) dpi: Option<u16>,
    /// When to read pages by OCR
    #[arg(long, value_enum)]
    pub(crate) ocr: Option<OcrMode>,
    /// The languages for OCR, such as eng+deu
    #[arg(long, value_name = "LANG")]
    pub(crate) lang: Option<String>,
    /// How to analyse pages
    #[arg(long, value_enum)]
    pub(crate) analysis: Option<AnalysisMode>,
    /// The language model, with --analysis openai
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Make no summary
    #[arg(long, overrides_with = "summary")]
    pub(crate) no_summary: bool,
    /// Make a summary; the default
    #[arg(long, hide = true)]
    pub(crate) summary: bool,
    /// Narrate the summary
    #[arg(long, overrides_with = "no_audio")]
    pub(crate) audio: bool,
    /// Narrate nothing; the default
    #[arg(long, hide = true)]
    pub(crate) no_audio: bool,
    /// The narrating voice
    #[arg(long, value_name = "VOICE")]
    pub(crate) voice: Option<String>,
    /// What it may cost at most: when that is used up it ends with what is done
    #[arg(long, value_name = "DOLLARS", value_parser = dollars)]
    pub(crate) max_cost_usd: Option<f64>,
    /// With --submit: high, normal, low, or a number from -10 to 10
    #[arg(long, value_name = "PRIORITY", allow_hyphen_values = true, requires = "submit")]
    pub(crate) priority: Option<String>,
    /// The password of an encrypted PDF [env: CELERIAC_PDF_PASSWORD]
    #[arg(long, value_name = "PASSWORD", env = "CELERIAC_PDF_PASSWORD", hide_env = true)]
    pub(crate) password: Option<String>,

    /// Where to put the results: a folder, a file, or - for standard output [default: ./NAME.celeriac]
    #[arg(short, long, value_name = "DIR|FILE|-")]
    pub(crate) output: Option<String>,
    /// The form of the result; may be given more than once
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Vec<Form>,
    /// Go on where the same job stopped: do only what is missing
    #[arg(long)]
    pub(crate) resume: bool,
    /// The job's id [default: from the document and the options with --resume, else a new one]
    #[arg(long, value_name = "ID")]
    pub(crate) job_id: Option<String>,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<f64>,
}

/// When pages are read by OCR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OcrMode {
    /// Where a page has no text
    Auto,
    /// On every page
    Always,
    /// On none
    Never,
}

/// How pages are analysed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AnalysisMode {
    /// Not at all
    None,
    /// Offline: sentences, keywords and quotes are extracted
    Extractive,
    /// By a language model; needs OPENAI_API_KEY or OPENAI_BASE_URL
    Openai,
}

fn dollars(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|dollars: &f64| dollars.is_finite() && *dollars >= 0.0)
        .ok_or_else(|| "it is a number from 0 on".into())
}

#[cfg(test)]
mod tests {
    use super::super::{Cli, Command};
    use super::*;
    use clap::Parser;

    fn process(line: &str) -> Result<ProcessArgs, clap::Error> {
        let cli = Cli::try_parse_from(["celeriac", "process"].into_iter().chain(line.split_whitespace()))?;
        let Command::Process(args) = cli.command else { panic!("not process") };
        Ok(*args)
    }

    #[test]
    fn the_flags_of_the_readme_parse() {
        let args = process(
            "a.pdf b.pdf --pages 1-25,40 --batch-size auto --concurrency 2 --ocr never --analysis extractive --no-summary --audio \
             -o out --format json --format md --resume",
        )
        .unwrap();
        assert_eq!(args.sources, ["a.pdf", "b.pdf"]);
        assert_eq!(args.format, [Form::Json, Form::Md]);
        assert!(args.no_summary && args.audio && args.resume && !args.submit);
        assert_eq!(process("a.pdf --max-cost-usd 0.5").unwrap().max_cost_usd, Some(0.5));
        assert!(process("a.pdf --max-cost-usd -1").is_err() && process("a.pdf --max-cost-usd much").is_err());
    }

    #[test]
    fn waiting_is_a_question_of_submitting_only() {
        assert!(process("a.pdf --no-wait").is_err());
        assert!(process("a.pdf --submit --no-wait").is_ok());
        assert!(process("a.pdf --submit --local").is_err());
        assert!(process("a.pdf --priority high").is_err(), "here nothing waits for anything");
        assert_eq!(process("a.pdf --submit --priority -10").unwrap().priority.as_deref(), Some("-10"));
        assert!(process("").is_err());
    }
}

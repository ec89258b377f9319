//! The commands over jobs, and those that look at the system: `jobs`, `monitor`, `stats`, `healthcheck`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::jobs::Form;

/// `jobs`.
#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// Hand in documents: a job for each, or one for all of them; prints the ids
    Submit(SubmitArgs),
    /// List jobs, youngest first; with -q their ids alone
    List(ListArgs),
    /// Show a job as it is now
    Show(OneJob),
    /// Watch a job to its end; the code says how it ended
    Watch(WatchArgs),
    /// Print or write the result of a job
    Result(ResultArgs),
    /// Show how each page of a job is
    Pages(PagesArgs),
    /// Show what happened to a job
    Log(OneJob),
    /// Stop jobs: what is done stays
    Cancel(SomeJobs),
    /// Do again what is missing of a job that has ended
    Retry(RetryArgs),
    /// Go on with jobs where they stopped
    Resume(SomeJobs),
    /// Remove jobs with everything that is kept of them
    Delete(DeleteArgs),
    /// Send again what was entered and never sent, and end what nobody works on any more
    Recover,
    /// Remove jobs that ended long ago
    Prune(PruneArgs),
    /// Write jobs with their results and logs as lines of JSON
    Export(ExportArgs),
    /// Take what `jobs export` wrote into the archive
    Import(ImportArgs),
}

/// `monitor`: the words of an earlier program.
#[derive(Debug, Subcommand)]
pub(crate) enum MonitorCommand {
    /// The system's figures: as `stats`
    Stats {
        /// Again every other second, until Ctrl-C
        #[arg(short, long)]
        watch: bool,
    },
    /// A job: as `jobs show`
    Job {
        /// Its id
        job_id: String,
        /// To its end: as `jobs watch`
        #[arg(short, long)]
        watch: bool,
    },
    /// Stop a job: as `jobs cancel`
    Cancel {
        /// Its id
        job_id: String,
        /// And watch it to its end
        #[arg(short, long)]
        watch: bool,
    },
}

/// Which job.
#[derive(Args, Debug)]
pub(crate) struct OneJob {
    /// Its id
    pub(crate) job_id: String,
}

/// Which jobs.
#[derive(Args, Debug)]
pub(crate) struct SomeJobs {
    /// Their ids
    #[arg(required = true)]
    pub(crate) job_ids: Vec<String>,
}

/// `jobs submit`.
#[derive(Args, Debug)]
pub(crate) struct SubmitArgs {
    /// Documents: files, https addresses, folders (their documents), or - for standard input
    #[arg(required = true, value_name = "FILE|URL|DIR|-")]
    pub(crate) sources: Vec<String>,
    /// All of them as one job, with one more for each as its part
    #[arg(long)]
    pub(crate) together: bool,
    /// The job's id; the same id with the same words is the same job
    #[arg(long, value_name = "ID")]
    pub(crate) job_id: Option<String>,
    /// What kind of job: document, ocr, nlp, validation, preprocessing, audio
    #[arg(long, value_name = "TYPE")]
    pub(crate) job_type: Option<String>,
    /// high, normal, low, or a number from -10 to 10
    #[arg(long, value_name = "PRIORITY", allow_hyphen_values = true)]
    pub(crate) priority: Option<String>,
    /// What is made of them, as the API has it: '{"pages": "1-25", "audio": true}'
    #[arg(long, value_name = "JSON")]
    pub(crate) options: Option<String>,
    /// Whose jobs they are
    #[arg(long, value_name = "ID")]
    pub(crate) user: Option<String>,
    /// A word to find them by; may be given more than once
    #[arg(long)]
    pub(crate) tag: Vec<String>,
}

/// Which jobs.
#[derive(Args, Debug)]
pub(crate) struct WhichArgs {
    /// In one of these states, with commas between
    #[arg(long, value_delimiter = ',', value_name = "STATUS")]
    pub(crate) status: Vec<String>,
    /// Of this user
    #[arg(long, value_name = "ID")]
    pub(crate) user: Option<String>,
    /// With this tag
    #[arg(long)]
    pub(crate) tag: Option<String>,
}

/// `jobs list`.
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) which: WhichArgs,
    /// The documents of this job
    #[arg(long, value_name = "ID")]
    pub(crate) parent: Option<String>,
    /// Whose name, id, title, tag or metadata contains this
    #[arg(long, visible_alias = "query", value_name = "TEXT")]
    pub(crate) search: Option<String>,
    /// Only from the archive: also those that are kept nowhere else any more
    #[arg(long)]
    pub(crate) history: bool,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
    /// Where the list before ended
    #[arg(long)]
    pub(crate) cursor: Option<String>,
}

/// `jobs watch`.
#[derive(Args, Debug)]
pub(crate) struct WatchArgs {
    /// Its id
    pub(crate) job_id: String,
    /// For how many seconds at most; then it ends with 124
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<f64>,
}

/// `jobs result`.
#[derive(Args, Debug)]
pub(crate) struct ResultArgs {
    /// Its id
    pub(crate) job_id: String,
    /// As what
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Form,
    /// Only these pages, such as 1-25,40
    #[arg(long, value_name = "LIST")]
    pub(crate) pages: Option<String>,
    /// Into this file; - is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,
}

/// `jobs pages`.
#[derive(Args, Debug)]
pub(crate) struct PagesArgs {
    /// Its id
    pub(crate) job_id: String,
    /// Only in this state: pending, queued, running, ok, cached, retrying, failed, skipped, cancelled
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<String>,
}

/// `jobs retry`.
#[derive(Args, Debug)]
pub(crate) struct RetryArgs {
    /// Its id
    pub(crate) job_id: String,
    /// These pages, whether they are there or not, such as 3,17-20
    #[arg(long, value_name = "LIST", conflicts_with = "all")]
    pub(crate) pages: Option<String>,
    /// Every page
    #[arg(long)]
    pub(crate) all: bool,
}

/// `jobs delete`.
#[derive(Args, Debug)]
pub(crate) struct DeleteArgs {
    /// Their ids
    #[arg(required = true)]
    pub(crate) job_ids: Vec<String>,
    /// Do not ask
    #[arg(short = 'f', long, visible_alias = "yes")]
    pub(crate) force: bool,
}

/// `jobs prune`.
#[derive(Args, Debug)]
pub(crate) struct PruneArgs {
    /// Those that ended longer ago than this: a number of days, or 90m, 12h, 30d
    #[arg(long, value_name = "TIME", value_parser = age)]
    pub(crate) older_than: std::time::Duration,
    /// Only those that ended so, with commas between: completed, partial, failed, cancelled
    #[arg(long, value_delimiter = ',', value_name = "STATUS")]
    pub(crate) status: Vec<String>,
    /// Also out of the archive
    #[arg(long)]
    pub(crate) archive: bool,
    /// Do not ask
    #[arg(short = 'f', long, visible_alias = "yes")]
    pub(crate) force: bool,
}

/// `jobs export`.
#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// Into this file; - is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) which: WhichArgs,
}

/// `jobs import`.
#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// From this file; - is standard input
    #[arg(value_name = "FILE")]
    pub(crate) input: PathBuf,
}

/// `stats`.
#[derive(Args, Debug)]
pub(crate) struct StatsArgs {
    /// Again every so many seconds, until Ctrl-C
    #[arg(short, long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) watch: Option<u64>,
}

/// `healthcheck`.
#[derive(Args, Debug)]
pub(crate) struct HealthcheckArgs {
    /// A worker, by its node's name
    #[arg(long, value_name = "NAME", conflicts_with = "api")]
    pub(crate) worker: Option<String>,
    /// A service, by its address
    #[arg(long, value_name = "URL")]
    pub(crate) api: Option<String>,
}

/// A time as people write it.
fn age(text: &str) -> Result<std::time::Duration, String> {
    let (number, unit) = text.find(|c: char| c.is_alphabetic()).map_or((text, "d"), |at| text.split_at(at));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err("the units are s, m, h and d".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "write a number of days, or 90m, 12h, 30d".to_owned())?;
    number.checked_mul(seconds).map(std::time::Duration::from_secs).ok_or_else(|| "that is longer than there is time".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_days_unless_it_is_said() {
        let seconds = |text| age(text).map(|age| age.as_secs());
        assert_eq!((seconds("30"), seconds("30d"), seconds("12h")), (Ok(2_592_000), Ok(2_592_000), Ok(43_200)));
        assert_eq!((seconds("90m"), seconds("0"), seconds("5s")), (Ok(5400), Ok(0), Ok(5)));
        for wrong in ["", "h", "-1", "1w", "1.5d", "99999999999999999999"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
        assert!(age("18446744073709551615").is_err());
    }
}

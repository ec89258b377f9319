//! Where a value comes from, and what is wrong with one: the words of loading.

use std::fmt;

use crate::Error;

/// Where a value was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// A flag, or an override at the end of the command line.
    CommandLine,
    /// These environment variables.
    Environment(String),
    /// The part of the file that is for one environment.
    Overlay {
        /// Its name: the value of `ENVIRONMENT`.
        environment: String,
        /// The file.
        file: String,
        /// The line, where the format has lines.
        line: Option<usize>,
    },
    /// The file.
    File {
        /// Its name.
        file: String,
        /// The line, where the format has lines.
        line: Option<usize>,
    },
    /// Nowhere: the default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |f: &mut fmt::Formatter<'_>, file: &str, line: &Option<usize>| match line {
            Some(line) => write!(f, "{file}:{line}"),
            None => f.write_str(file),
        };
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Environment(names) => write!(f, "environment {names}"),
            Self::Overlay { environment, file, line } => {
                place(f, file, line)?;
                write!(f, " [env.{environment}]")
            }
            Self::File { file, line } => place(f, file, line),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Which mistake a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// The file cannot be read as TOML or JSON.
    Syntax,
    /// No setting has this name.
    Unknown,
    /// The value does not fit.
    Value,
}

/// One mistake in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which.
    pub kind: ProblemKind,
    /// The setting's name as it was written; empty for a file that cannot be read.
    pub name: String,
    /// Where.
    pub origin: Origin,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        match self.kind {
            ProblemKind::Value => write!(f, "{}: {}", self.name, self.message),
            ProblemKind::Syntax | ProblemKind::Unknown => f.write_str(&self.message),
        }
    }
}

/// All mistakes that were found, at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// True when nothing is wrong but names that no setting has.
    pub fn only_typos(&self) -> bool {
        self.0.iter().all(|problem| problem.kind == ProblemKind::Unknown)
    }
}

impl From<Problems> for Error {
    fn from(problems: Problems) -> Self {
        Self::config(problems.to_string())
    }
}

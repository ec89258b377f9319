//! Where results go: which files, in which forms, and writing them whole.

use std::io::Write;
use std::path::{Path, PathBuf};

use celeriac::cli::{Failure, terminal};

use crate::jobs::Form;

use super::sources::Input;

/// Where the results of all inputs go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A folder: for one input its own files, for several a folder for each.
    Folder(PathBuf),
    /// One file, in the form of its ending.
    File(PathBuf, Form),
    /// Standard output.
    Stdout,
    /// A folder for each input, beside where we are.
    Beside,
}

impl Target {
    /// Understands `-o`.
    pub(crate) fn parse(output: Option<&str>, inputs: usize, formats: &[Form]) -> Result<Self, Failure> {
        let Some(output) = output else { return Ok(Self::Beside) };
        let one = |what: &str| {
            if inputs > 1 {
                return Err(Failure::usage(format!("{what} holds one result, and there are {inputs} documents"))
                    .fix("name a folder with -o"));
            }
            if formats.len() > 1 {
                return Err(
                    Failure::usage(format!("{what} holds one form, and there are {}", formats.len())).fix("name a folder with -o")
                );
            }
            Ok(())
        };
        if output == "-" {
            one("standard output")?;
            return Ok(Self::Stdout);
        }
        let path = PathBuf::from(output);
        let by_ending = match path.extension().and_then(|ending| ending.to_str()) {
            Some("json") => Some(Form::Json),
            Some("md") => Some(Form::Md),
            Some("txt") => Some(Form::Txt),
            Some("ndjson") => Some(Form::Ndjson),
            Some("html") => Some(Form::Html),
            _ => None,
        };
        match by_ending {
            Some(format) if !path.is_dir() && !output.ends_with('/') => {
                one(output)?;
                Ok(Self::File(path, formats.first().copied().unwrap_or(format)))
            }
            _ => Ok(Self::Folder(path)),
        }
    }

    /// The folder of an input's files, if its results go into one.
    pub(crate) fn folder(&self, input: &Input, inputs: usize) -> Option<PathBuf> {
        match self {
            Self::Folder(folder) if inputs > 1 => Some(folder.join(input.stem())),
            Self::Folder(folder) => Some(folder.clone()),
            Self::Beside => Some(PathBuf::from(format!("{}.celeriac", input.stem()))),
            Self::File(..) | Self::Stdout => None,
        }
    }

    /// The forms that are made.
    pub(crate) fn formats(&self, asked: &[Form]) -> Vec<Form> {
        match (self, asked) {
            (Self::File(_, format), _) => vec![*format],
            (Self::Stdout, []) => vec![Form::Json],
            (_, []) => vec![Form::Json, Form::Md],
            (_, asked) => asked.to_vec(),
        }
    }
}

/// The file of a form inside a folder.
pub(crate) fn file_name(format: Form) -> &'static str {
    match format {
        Form::Json => "result.json",
        Form::Md => "document.md",
        Form::Txt => "document.txt",
        Form::Ndjson => "pages.ndjson",
        Form::Html => "document.html",
    }
}

/// Fails early: hours of work must not end at a folder that cannot be written.
pub(crate) fn prepare(folder: &Path) -> Result<(), Failure> {
    let probe = folder.join(format!(".celeriac-{}", std::process::id()));
    let tried =
        std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&probe, "")).and_then(|()| std::fs::remove_file(&probe));
    tried.map_err(|error| Failure::write(folder.display(), &error).fix("choose another place with -o"))
}

/// Writes a file whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let half = path.with_extension(format!("part-{}", std::process::id()));
    let written = std::fs::File::create(&half)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&half, path));
    written.map_err(|error| {
        let _ = std::fs::remove_file(&half);
        Failure::write(path.display(), &error)
    })
}

/// Writes to standard output.
pub(crate) fn write_stdout(text: &str) -> Result<(), Failure> {
    terminal::print(text)?;
    if text.ends_with('\n') { Ok(()) } else { terminal::print("\n") }
}

#[cfg(test)]
mod tests {
    use super::super::sources::From;
    use super::*;
    use celeriac::cli::Exit;

    #[test]
    fn a_target_is_a_folder_a_file_or_standard_output() {
        let parse = |output, inputs, formats: &[Form]| Target::parse(output, inputs, formats);
        assert_eq!(parse(None, 2, &[]).unwrap(), Target::Beside);
        assert_eq!(parse(Some("out"), 2, &[]).unwrap(), Target::Folder("out".into()));
        assert_eq!(parse(Some("x.md"), 1, &[]).unwrap(), Target::File("x.md".into(), Form::Md));
        assert_eq!(parse(Some("x.html"), 1, &[]).unwrap(), Target::File("x.html".into(), Form::Html));
        assert_eq!(parse(Some("x.json/"), 2, &[]).unwrap(), Target::Folder("x.json/".into()));
        assert_eq!(parse(Some("-"), 1, &[]).unwrap(), Target::Stdout);
        assert_eq!(parse(Some("-"), 2, &[]).unwrap_err().exit, Exit::Usage);
        assert_eq!(parse(Some("x.md"), 1, &[Form::Md, Form::Json]).unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn several_documents_share_a_folder_without_meeting() {
        let input = |name: &str| Input { name: name.into(), from: From::Url(String::new()) };
        let target = Target::Folder("out".into());
        assert_eq!(target.folder(&input("a.pdf"), 1), Some("out".into()));
        assert_eq!(target.folder(&input("a.pdf"), 2), Some("out/a".into()));
        assert_eq!(Target::Beside.folder(&input("a.pdf"), 1), Some("a.celeriac".into()));
        assert_eq!(Target::Stdout.formats(&[]), [Form::Json]);
        assert_eq!(target.formats(&[]), [Form::Json, Form::Md]);
    }

    #[test]
    fn a_file_is_written_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result.json");
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(write(&folder.path().join("no/result.json"), b"x").unwrap_err().exit, Exit::CannotWrite);
    }
}

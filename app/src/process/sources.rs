//! What is to be processed: the words of the command line as documents.

use std::io::Read;
use std::path::{Path, PathBuf};

/// One document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Input {
    /// What it is called in messages and outputs.
    pub(crate) name: String,
    pub(crate) from: From,
}

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// A file, by its real path.
    File(PathBuf),
    /// An address.
    Url(String),
}

/// The endings of documents that a folder is searched for.
const ENDINGS: &[&str] = &["pdf", "png", "jpg", "jpeg", "webp", "tif", "tiff"];

/// The documents that the words name. `spool` gets what comes from standard input.
pub(crate) fn expand(words: &[String], spool: &Path) -> Result<Vec<Input>, Failure> {
    let mut inputs = Vec::new();
    for word in words {
        if word == "-" {
            inputs.push(standard_input(spool)?);
        } else if word.starts_with("https://") || word.starts_with("http://") {
            let path = word.split(['?', '#']).next().unwrap_or(word);
            let name = path.rsplit('/').find(|part| !part.is_empty()).unwrap_or("document");
            inputs.push(Input { name: name.into(), from: From::Url(word.clone()) });
        } else if Path::new(word).is_dir() {
            inputs.extend(folder(Path::new(word))?);
        } else {
            inputs.push(file(Path::new(word))?);
        }
    }
    Ok(told_apart(inputs))
}

/// Documents of the same name get a number, so that their results do not meet.
fn told_apart(mut inputs: Vec<Input>) -> Vec<Input> {
    for at in 1..inputs.len() {
        let taken = |stem: &str, inputs: &[Input]| inputs[..at].iter().any(|input| input.stem() == stem);
        let stem = inputs[at].stem().to_owned();
        let ending = inputs[at].name.strip_prefix(&stem).unwrap_or_default().to_owned();
        let mut number = 2;
        while taken(inputs[at].stem(), &inputs) {
            inputs[at].name = format!("{stem}-{number}{ending}");
            number += 1;
        }
    }
    inputs
}

fn file(path: &Path) -> Result<Input, Failure> {
    let real =
        path.canonicalize().map_err(|error| Failure::new(Exit::Failure, format!("cannot read {}", path.display())).why(error))?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Ok(Input { name, from: From::File(real) })
}

/// The documents right inside a folder, by name.
fn folder(folder: &Path) -> Result<Vec<Input>, Failure> {
    let unreadable = |error| Failure::new(Exit::Failure, format!("cannot read the folder {}", folder.display())).why(error);
    let is_document = |path: &PathBuf| {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        path.is_file() && ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
    };
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_document).collect();
    paths.sort();
    if paths.is_empty() {
        return Err(Failure::new(Exit::Failure, format!("no document is in {}", folder.display()))
            .why(format!("looked for {}", ENDINGS.join(", "))));
    }
    paths.iter().map(|path| file(path)).collect()
}

fn standard_input(spool: &Path) -> Result<Input, Failure> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut bytes);
    read.map_err(|error| Failure::new(Exit::Failure, "cannot read standard input").why(error))?;
    let path = spool.join("stdin");
    std::fs::write(&path, bytes).map_err(|error| Failure::write(path.display(), &error))?;
    Ok(Input { name: "stdin".into(), ..file(&path)? })
}

impl Input {
    /// The name without its ending: what outputs are called after.
    pub(crate) fn stem(&self) -> &str {
        Path::new(&self.name).file_stem().and_then(|stem| stem.to_str()).unwrap_or("document")
    }

    /// The folder a worker must be allowed to read it from.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        match &self.from {
            From::File(path) => path.parent().map(Path::to_owned),
            From::Url(_) => None,
        }
    }

    /// What tells this input from others: where it is.
    pub(crate) fn place(&self) -> String {
        match &self.from {
            From::File(path) => path.display().to_string(),
            From::Url(url) => url.clone(),
        }
    }
}

use celeriac::cli::{Exit, Failure};
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_folders_and_addresses_become_inputs() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.PDF", "a.png", "notes.txt"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let words = [folder.path().display().to_string(), "https://host/dir/report.pdf?x=1".into()];
        let inputs = expand(&words, folder.path()).unwrap();
        assert_eq!(inputs.iter().map(|input| input.name.as_str()).collect::<Vec<_>>(), ["a.png", "b.PDF", "report.pdf"]);
        assert_eq!(inputs[1].stem(), "b");
        assert_eq!(inputs[2].from, From::Url(words[1].clone()));
    }

    #[test]
    fn documents_of_one_name_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let words: Vec<String> = ["https://a/x.pdf", "https://b/x.pdf", "https://c/x.png"].map(str::to_owned).to_vec();
        let names: Vec<String> = expand(&words, folder.path()).unwrap().into_iter().map(|input| input.name).collect();
        assert_eq!(names, ["x.pdf", "x-2.pdf", "x-3.png"]);
    }

    #[test]
    fn what_is_not_there_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let missing = expand(&[folder.path().join("no.pdf").display().to_string()], folder.path()).unwrap_err();
        assert!(missing.to_string().contains("no.pdf"), "{missing}");
        let empty = expand(&[folder.path().display().to_string()], folder.path()).unwrap_err();
        assert!(empty.to_string().contains("no document"), "{empty}");
    }
}

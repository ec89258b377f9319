//! Reading text from a page's picture with the `tesseract` program, one thread a page: workers are what it is scaled by.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::error::{Code, DocumentError, Stage};

/// Which pages are read by OCR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OcrMode {
    /// Those without a text layer.
    #[default]
    Auto,
    /// All.
    Always,
    /// None.
    Never,
}

impl OcrMode {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

/// How the program is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OcrOptions {
    /// The program: a path, or a name to look for in the system's folders.
    pub program: PathBuf,
    /// The languages to look for, as the program writes them: `eng+deu`.
    pub languages: String,
    /// The folder of the language files, where it is not the program's own.
    pub data: Option<PathBuf>,
    /// How long one page may take.
    pub time_limit: Duration,
}

impl Default for OcrOptions {
    fn default() -> Self {
        Self { program: "tesseract".into(), languages: "eng".into(), data: None, time_limit: Duration::from_secs(120) }
    }
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OcrText {
    /// The text, a line a line, an empty line between paragraphs.
    pub text: String,
    /// The mean confidence of its words, 0 to 1; 0 where there is none.
    pub confidence: f64,
}

/// The OCR program.
#[derive(Debug, Clone, Default)]
pub struct Ocr {
    options: OcrOptions,
}

impl Ocr {
    /// Reads with these options.
    pub fn new(options: OcrOptions) -> Self {
        Self { options }
    }

    /// The same program, for other languages.
    #[must_use]
    pub fn with_languages(&self, languages: &str) -> Self {
        Self { options: OcrOptions { languages: languages.to_owned(), ..self.options.clone() } }
    }

    /// Reads a picture (JPEG or PNG). Dropping the future ends the program.
    ///
    /// # Errors
    /// `ocr_unavailable` when the program or its languages are not here, `ocr_failed` when it fails, `page_timeout`.
    pub async fn read(&self, picture: &[u8], dpi: Option<u32>) -> Result<OcrText, DocumentError> {
        match tokio::time::timeout(self.options.time_limit, self.run(picture, dpi)).await {
            Ok(read) => read,
            Err(_) => {
                let message = format!("OCR took longer than {} s", self.options.time_limit.as_secs());
                Err(DocumentError::new(Code::PageTimeout, Stage::Ocr, message))
            }
        }
    }

    async fn run(&self, picture: &[u8], dpi: Option<u32>) -> Result<OcrText, DocumentError> {
        let mut child = self.command(dpi).spawn().map_err(|error| self.not_started(&error))?;
        let stdin = child.stdin.take();
        let feed = async {
            // A program that ends early closes the pipe; its exit status and words say more than that.
            if let Some(mut stdin) = stdin {
                let _ = stdin.write_all(picture).await;
            }
        };
        let ((), output) = tokio::join!(feed, child.wait_with_output());
        let output = output.map_err(|error| failed(&format!("OCR broke off: {error}")))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("Failed loading language") || said.contains("couldn't load any languages") {
            return Err(self.no_language(&said));
        }
        if !output.status.success() {
            return Err(failed(&format!("OCR failed ({}): {}", output.status, said.lines().last().unwrap_or("without a word"))));
        }
        Ok(parse(&String::from_utf8_lossy(&output.stdout)))
    }

    fn command(&self, dpi: Option<u32>) -> Command {
        let options = &self.options;
        let mut command = Command::new(&options.program);
        command.args(["stdin", "stdout", "-l", &options.languages]);
        if let Some(dpi) = dpi {
            command.args(["--dpi", &dpi.to_string()]);
        }
        // 1: whole pages, turned upright first.
        command.args(["--psm", "1", "tsv"]);
        // Nothing of this process's environment: it holds keys.
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LC_ALL", "C.UTF-8").env("OMP_THREAD_LIMIT", "1");
        if let Some(data) = &options.data {
            command.env("TESSDATA_PREFIX", data);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    fn not_started(&self, error: &io::Error) -> DocumentError {
        let program = self.options.program.display();
        match error.kind() {
            io::ErrorKind::NotFound => unavailable(format!(
                "the OCR program {program} is not here: install it (apt-get install tesseract-ocr) or set its path; pages without a text layer stay without text"
            )),
            _ => unavailable(format!("the OCR program {program} cannot be started: {error}")),
        }
    }

    fn no_language(&self, said: &str) -> DocumentError {
        let missing: Vec<&str> =
            said.split("Failed loading language '").skip(1).filter_map(|rest| rest.split('\'').next()).collect();
        let missing = if missing.is_empty() { self.options.languages.clone() } else { missing.join("+") };
        let packages: Vec<_> = missing.split('+').map(|language| format!("tesseract-ocr-{}", language.replace('_', "-"))).collect();
        unavailable(format!(
            "the OCR program has no language files for {missing}: install them (apt-get install {})",
            packages.join(" ")
        ))
    }
}

fn unavailable(message: String) -> DocumentError {
    DocumentError::new(Code::OcrUnavailable, Stage::Ocr, message)
}

fn failed(message: &str) -> DocumentError {
    DocumentError::new(Code::OcrFailed, Stage::Ocr, message)
}

/// Text and confidence from the program's table: level, page, block, paragraph, line, word, left, top, width, height,
/// confidence, text.
fn parse(table: &str) -> OcrText {
    let (mut text, mut line) = (String::new(), (0, 0, 0));
    let (mut sum, mut letters) = (0.0, 0.0);
    for row in table.lines() {
        let fields: Vec<&str> = row.split('\t').collect();
        let [level, _, block, paragraph, at, _, _, _, _, _, confidence, word] = fields[..] else { continue };
        let (number, word) = (|field: &str| field.parse::<u32>().unwrap_or(0), word.trim());
        if level != "5" || word.is_empty() {
            continue;
        }
        let here = (number(block), number(paragraph), number(at));
        if !text.is_empty() {
            let paragraph_goes_on = (here.0, here.1) == (line.0, line.1);
            text.push_str(if here == line {
                " "
            } else if paragraph_goes_on {
                "\n"
            } else {
                "\n\n"
            });
        }
        line = here;
        text.push_str(word);
        // Long words count more: a page's confidence is that of its characters.
        let weight = word.chars().count() as f64;
        sum += confidence.parse::<f64>().unwrap_or(0.0).clamp(0.0, 100.0) * weight;
        letters += weight;
    }
    OcrText { text, confidence: if letters > 0.0 { (sum / letters).round() / 100.0 } else { 0.0 } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_becomes_lines_and_paragraphs() {
        let table = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n\
            1\t1\t0\t0\t0\t0\t0\t0\t2550\t3300\t-1\t\n\
            5\t1\t1\t1\t1\t1\t0\t0\t9\t9\t90.5\tThe\n5\t1\t1\t1\t1\t2\t0\t0\t9\t9\t95\tscan\n\
            5\t1\t1\t1\t2\t1\t0\t0\t9\t9\t95\tgoes\n5\t1\t1\t2\t1\t1\t0\t0\t9\t9\t80\ton\n5\t1\t2\t1\t1\t1\t0\t0\t9\t9\t80\t \n";
        let read = parse(table);
        assert_eq!(read.text, "The scan\ngoes\n\non");
        assert!((read.confidence - 0.92).abs() < 0.011, "{}", read.confidence);
        assert_eq!(parse(""), OcrText::default());
    }

    #[tokio::test]
    async fn an_absent_program_says_how_to_install_it() {
        let ocr = Ocr::new(OcrOptions { program: "/nowhere/tesseract".into(), ..OcrOptions::default() });
        let error = ocr.read(b"", None).await.unwrap_err();
        assert_eq!(error.code, Code::OcrUnavailable);
        assert!(error.message.contains("apt-get install tesseract-ocr"), "{error}");
        assert!(!error.retryable());
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_ended_at_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("slow");
        std::fs::write(&program, "#!/bin/sh\nexec sleep 60\n").unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let ocr = Ocr::new(OcrOptions { program, time_limit: Duration::from_millis(100), ..OcrOptions::default() });
        assert_eq!(ocr.read(b"x", None).await.unwrap_err().code, Code::PageTimeout);
    }
}

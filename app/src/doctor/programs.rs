//! The programs beside us: OCR, speech, audio encoders.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::settings::{Audio, Documents};

use super::Check;

/// What a program prints on both streams, if it runs and ends well soon.
pub(super) async fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(10), command.output()).await.ok()?.ok()?;
    output.status.success().then(|| {
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        text
    })
}

/// The first line.
fn first(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim()
}

pub(super) async fn ocr(documents: &Documents) -> Check {
    let name = "ocr";
    let install = "install it: apt-get install tesseract-ocr, and tesseract-ocr-deu and so on for other languages";
    let Some(version) = output(&documents.tesseract, &["--version"]).await else {
        let detail = format!("{} does not run; pages without text stay without", documents.tesseract);
        return if documents.ocr == "always" { Check::fail(name, detail, install) } else { Check::warn(name, detail, install) };
    };
    let languages = output(&documents.tesseract, &["--list-langs"]).await.unwrap_or_default();
    let installed: Vec<&str> = languages.lines().skip(1).map(str::trim).filter(|line| !line.is_empty()).collect();
    let missing: Vec<&str> = documents.ocr_languages.split('+').filter(|language| !installed.contains(language)).collect();
    if missing.is_empty() {
        Check::ok(name, format!("{}, {}", first(&version), documents.ocr_languages))
    } else {
        let packages: Vec<String> = missing.iter().map(|language| format!("tesseract-ocr-{language}")).collect();
        let detail = format!("{} has no {}", first(&version), missing.join(", "));
        Check::warn(name, detail, format!("apt-get install {}, or change celeriac.documents.ocr_languages", packages.join(" ")))
    }
}

pub(super) async fn speech(audio: &Audio) -> Check {
    let name = "speech";
    match output(&audio.espeak, &["--version"]).await {
        Some(version) => Check::ok(name, first(&version)),
        None if audio.provider == "openai" => Check::ok(name, "by the OpenAI API"),
        None => {
            let detail = format!("{} does not run; no narration offline", audio.espeak);
            let install = "install it: apt-get install espeak-ng";
            if audio.enabled { Check::fail(name, detail, install) } else { Check::warn(name, detail, install) }
        }
    }
}

pub(super) async fn encoder(audio: &Audio) -> Check {
    let name = "encoder";
    let candidates: &[(&str, &str)] = match audio.format.as_str() {
        "opus" => &[("opusenc", "--version"), ("ffmpeg", "-version")],
        _ => &[("lame", "--version"), ("ffmpeg", "-version")],
    };
    for (program, flag) in candidates {
        if let Some(version) = output(program, &[flag]).await {
            return Check::ok(name, first(&version).to_owned());
        }
    }
    let install = "apt-get install lame (MP3), opus-tools (Opus) or ffmpeg (both)";
    match audio.format.as_str() {
        "auto" | "wav" => Check::ok(name, format!("none; narration is WAV ({install} for a smaller form)")),
        format => Check::fail(name, format!("none, and celeriac.audio.format is {format}"), install),
    }
}

//! Narration: makes the words to be spoken out of a summary, speaks them, and encodes the recording.
//!
//! It is apart from the task that uses it so that it can be tried without a runtime. Nothing here reads the environment:
//! programs are looked for by starting them in the system's folders, and a client for a model is handed in.
//!
//! - [`script`]: summary → text as it is spoken; [`chunks`]: text → pieces a speech model takes
//! - [`speak_offline`]: text → recording, by the `espeak-ng` program
//! - [`speak_openai`]: text → recording, by a speech model
//! - [`join`]: recordings → one; [`encode`]: WAV → MP3 or Opus where a program for it is present
//!
//! espeak-ng and the encoders are separate programs, not libraries: their licences and their faults stay outside.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Code, DocumentError, Stage};

mod chunks;
mod encode;
mod espeak;
mod openai;
mod plain;
mod program;
mod script;
mod wav;

pub use chunks::chunks;
pub use encode::encode;
pub use espeak::speak_offline;
pub use openai::speak_openai;
pub use script::script;
pub use wav::join;

/// How a recording is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AudioFormat {
    /// Uncompressed: about 2.6 MB a minute.
    Wav,
    /// About 0.4 MB a minute, played everywhere.
    Mp3,
    /// Opus in Ogg: about 0.3 MB a minute.
    Opus,
}

impl AudioFormat {
    /// The name, which is also the file's extension.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Mp3 => "mp3",
            Self::Opus => "opus",
        }
    }

    /// The media type of a file in this format.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Wav => "audio/wav",
            Self::Mp3 => "audio/mpeg",
            Self::Opus => "audio/ogg",
        }
    }
}

impl fmt::Display for AudioFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AudioFormat {
    type Err = DocumentError;

    fn from_str(name: &str) -> Result<Self, DocumentError> {
        [Self::Wav, Self::Mp3, Self::Opus]
            .into_iter()
            .find(|format| format.as_str().eq_ignore_ascii_case(name))
            .ok_or_else(|| failed(format!("there is no audio format {name}: wav, mp3 or opus")).permanent())
    }
}

/// How narration is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NarrationOptions {
    /// The program that speaks without a network: a path, or a name to look for in the system's folders.
    pub espeak: PathBuf,
    /// Its voice, as `espeak-ng --voices` lists them; chosen by the language when there is none.
    pub voice: Option<String>,
    /// The format asked for. None: MP3 where it can be made, WAV elsewhere.
    pub format: Option<AudioFormat>,
    /// Makes MP3.
    pub lame: PathBuf,
    /// Makes Opus.
    pub opusenc: PathBuf,
    /// Makes both, where the program of the format is not here.
    pub ffmpeg: PathBuf,
    /// How long one program, or one answer of a speech model, may take.
    pub time_limit: Duration,
}

impl Default for NarrationOptions {
    fn default() -> Self {
        Self {
            espeak: "espeak-ng".into(),
            voice: None,
            format: None,
            lame: "lame".into(),
            opusenc: "opusenc".into(),
            ffmpeg: "ffmpeg".into(),
            time_limit: Duration::from_secs(180),
        }
    }
}

/// A recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Spoken {
    /// The file.
    pub bytes: Bytes,
    /// `wav`, `mp3`, `opus`.
    pub format: String,
    /// Seconds.
    pub duration_s: f64,
    /// The voice that speaks; empty where it is not known.
    pub voice: String,
}

fn failed(message: impl Into<String>) -> DocumentError {
    DocumentError::new(Code::TtsFailed, Stage::Audio, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_have_the_names_the_result_uses() {
        for format in [AudioFormat::Wav, AudioFormat::Mp3, AudioFormat::Opus] {
            assert_eq!(format.to_string().parse::<AudioFormat>().unwrap(), format);
            assert_eq!(serde_json::to_value(format).unwrap(), format.as_str());
        }
        let error = "flac".parse::<AudioFormat>().unwrap_err();
        assert!(error.message.contains("flac") && !error.retryable(), "{error}");
    }
}

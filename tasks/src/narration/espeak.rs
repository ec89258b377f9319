//! Speech without a network, by the `espeak-ng` program: some hundred languages, far faster than it is spoken.

use super::program::{self, Failure};
use super::{NarrationOptions, Spoken, failed, wav};
use crate::error::DocumentError;

/// The voice where no language is known.
const DEFAULT_VOICE: &str = "en-us";

/// `text` spoken in its language (ISO 639, or a tag such as `pt-BR`) as WAV; [`super::encode`] makes it smaller.
///
/// Dropping the future ends the program.
///
/// # Errors
/// `tts_failed`: for good when the program or a voice for the language is not here, or there is nothing to say.
pub async fn speak_offline(text: &str, language: Option<&str>, options: &NarrationOptions) -> Result<Spoken, DocumentError> {
    if text.trim().is_empty() {
        return Err(failed("there is nothing to say").permanent());
    }
    let voice = voice(options.voice.as_deref(), language)?;
    let args = ["-b", "1", "-v", &voice, "--stdin", "--stdout"];
    match program::run(&options.espeak, &args, text.as_bytes(), options.time_limit).await {
        // The program writes its header before it knows the length.
        Ok(bytes) => wav::join(vec![bytes]).map(|spoken| Spoken { voice, ..spoken }),
        Err(Failure::Failed(said)) if said.contains("voice does not exist") => {
            let message = format!("espeak-ng has no voice {voice}: choose one that `espeak-ng --voices` lists");
            Err(failed(message).permanent())
        }
        Err(failure) => Err(not_spoken(failure, options)),
    }
}

/// The voice chosen, or the one of the language: the program takes tags, and a language for its regions.
fn voice(chosen: Option<&str>, language: Option<&str>) -> Result<String, DocumentError> {
    if let Some(voice) = chosen {
        return match is_name(voice) {
            true => Ok(voice.to_owned()),
            false => Err(failed(format!("{voice:?} is no name of a voice")).permanent()),
        };
    }
    let tag = language.unwrap_or_default().to_ascii_lowercase().replace('_', "-");
    Ok(match tag.as_str() {
        "en" | "eng" | "und" => DEFAULT_VOICE.to_owned(),
        tag if !is_name(tag) => DEFAULT_VOICE.to_owned(),
        _ => tag,
    })
}

/// Voices are files too: a name that is a path elsewhere is none.
fn is_name(voice: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "-+_/() ".contains(c);
    !voice.is_empty() && !voice.starts_with(['-', '/', ' ']) && voice.chars().all(plain)
}

fn not_spoken(failure: Failure, options: &NarrationOptions) -> DocumentError {
    let program = options.espeak.display();
    match failure {
        Failure::Absent => failed(format!(
            "the speech program {program} is not here: install it (apt-get install espeak-ng) or set its path; there is no narration without it"
        ))
        .permanent(),
        Failure::Broken(error) => failed(format!("the speech program {program} cannot be run: {error}")).permanent(),
        Failure::Failed(said) => failed(format!("speech failed ({said})")),
        Failure::TimedOut => failed(format!("speech took longer than {} s", options.time_limit.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_voice_is_that_of_the_language_unless_one_is_chosen() {
        for (language, expected) in
            [(None, "en-us"), (Some("en"), "en-us"), (Some("en-GB"), "en-gb"), (Some("pt_BR"), "pt-br"), (Some("ja"), "ja")]
        {
            assert_eq!(voice(None, language).unwrap(), expected);
        }
        assert_eq!(voice(Some("en+f3"), Some("ja")).unwrap(), "en+f3");
    }

    #[test]
    fn a_voice_is_never_a_path_elsewhere_or_an_option() {
        for name in ["../../secret", "/etc/passwd", "--path=/x", "", "a.b"] {
            assert!(voice(Some(name), None).is_err(), "{name}");
            assert_eq!(voice(None, Some(name)).unwrap(), "en-us", "{name}");
        }
    }
}

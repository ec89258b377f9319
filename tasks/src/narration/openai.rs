//! Speech by a model behind OpenAI's interface, OpenAI's own or a local server's.

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::types::audio::{CreateSpeechRequest, SpeechModel, SpeechResponseFormat, Voice};
use futures::{StreamExt, TryStreamExt, stream};

use super::{NarrationOptions, Spoken, chunks, encode, failed, join};
use crate::error::DocumentError;

/// What one request may hold.
const MAX_CHARS: usize = 4096;
/// The same for scripts in which a character is about a token: models count those too, up to 2,000.
const MAX_CHARS_DENSE: usize = 1500;
/// Requests at a time.
const AT_ONCE: usize = 3;

/// `text` spoken by `model` in `voice`, in the format that `options` ask for as far as it can be made here.
///
/// Long texts are spoken in parts, which are joined: WAV is what is asked of the server.
///
/// # Errors
/// `tts_failed`: to be tried again when the server is busy, broken or silent; for good when it refuses.
pub async fn speak_openai(
    client: &Client<OpenAIConfig>,
    model: &str,
    voice: &str,
    text: &str,
    options: &NarrationOptions,
) -> Result<Spoken, DocumentError> {
    let dense = text.len() > text.chars().count() * 3 / 2;
    let parts = chunks(text, if dense { MAX_CHARS_DENSE } else { MAX_CHARS });
    if parts.is_empty() {
        return Err(failed("there is nothing to say").permanent());
    }
    let requests = parts.into_iter().map(|part| speak_part(client, request(model, voice, part), options));
    let files: Vec<Vec<u8>> = stream::iter(requests).buffered(AT_ONCE).try_collect().await?;
    let recording = join(files)?;
    Ok(encode(Spoken { voice: voice.to_owned(), ..recording }, options).await)
}

fn request(model: &str, voice: &str, input: String) -> CreateSpeechRequest {
    CreateSpeechRequest {
        input,
        model: SpeechModel::Other(model.to_owned()),
        voice: Voice::Other(voice.to_owned()),
        response_format: Some(SpeechResponseFormat::Wav),
        ..CreateSpeechRequest::default()
    }
}

async fn speak_part(
    client: &Client<OpenAIConfig>,
    request: CreateSpeechRequest,
    options: &NarrationOptions,
) -> Result<Vec<u8>, DocumentError> {
    let answer = tokio::time::timeout(options.time_limit, client.audio().speech().create(request)).await;
    match answer {
        Ok(Ok(speech)) => Ok(speech.bytes.into()),
        Ok(Err(error)) => Err(not_spoken(&error)),
        Err(_) => Err(failed(format!("the speech model took longer than {} s", options.time_limit.as_secs()))),
    }
}

fn not_spoken(error: &OpenAIError) -> DocumentError {
    match error {
        OpenAIError::ApiError(answer) => {
            let (status, said) = (answer.status_code, shortened(&answer.api_error.message));
            let quota =
                [&answer.api_error.r#type, &answer.api_error.code].into_iter().flatten().any(|kind| kind == "insufficient_quota");
            match status.as_u16() {
                429 if quota => failed(format!("the account for speech is used up: {said}")).permanent(),
                429 => failed(format!("the speech model asks to slow down: {said}")),
                408 | 409 | 500.. => failed(format!("the speech model failed ({status}): {said}")),
                _ => failed(format!("the speech model refused ({status}): {said}")).permanent(),
            }
        }
        // An error's body that is not OpenAI's: the status is lost, so it may be worth another try.
        OpenAIError::JSONDeserialize(_, said) => failed(format!("the speech model failed: {}", shortened(said))),
        OpenAIError::InvalidArgument(said) => failed(format!("the speech model cannot be asked: {said}")).permanent(),
        // Without its address, which may hold a key.
        OpenAIError::Reqwest(error) if error.is_connect() => failed("the speech model cannot be reached"),
        OpenAIError::Reqwest(_) => failed("the connection to the speech model broke off"),
        other => failed(format!("the speech model could not be asked: {other}")),
    }
}

fn shortened(said: &str) -> String {
    let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(300) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None if line.is_empty() => "without a word".to_owned(),
        None => line,
    }
}

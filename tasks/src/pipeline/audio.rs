//! `tasks.generate_audio`: the narration of the summary. A narration that fails makes the result partial; the document stays.

use std::time::Instant;

use celeriac::protocol::value::Value;
use celeriac::task::{Context, TaskError};
use chrono::Utc;

use super::aggregate::{OfJob, conclude, load, stopped};
use super::documents::Documents;
use super::ending::{again, failed, tries};
use crate::error::{Code, DocumentError, Stage};
use crate::job::JobRecord;
use crate::narration::{self, NarrationOptions, Spoken};
use crate::result::{Audio, AudioPart, AudioStatus, DocumentResult, PartialReason, Phase};
use crate::store::Key;

/// The voice of the speech API when nobody chose one.
const USUAL_VOICE: &str = "alloy";

pub(super) async fn generate_audio(ctx: Context, OfJob { job_id, .. }: OfJob) -> Result<Value, TaskError> {
    let documents = ctx.state::<Documents>()?;
    let record = documents.job(&job_id).await.map_err(|error| failed(&ctx, error))?;
    let mut result = load(&documents, &job_id).await.map_err(|error| failed(&ctx, error))?;
    if stopped(&documents, &mut result).await.map_err(|error| failed(&ctx, error))?.is_some() {
        result.audio = Some(Audio { status: AudioStatus::Skipped, ..Audio::default() });
        return conclude(&ctx, &documents, result).await;
    }
    documents.tell_phase(&ctx, &record, Phase::Audio).await;
    let begun = Instant::now();
    let audio = match narrate(&documents, &record, &result).await {
        Ok(audio) => audio,
        Err(error) if again(&ctx, &error) => return Err(failed(&ctx, error)),
        Err(error) => without_audio(&ctx, &mut result, error),
    };
    result.timings.stages_ms.audio = u64::try_from(begun.elapsed().as_millis()).unwrap_or_default();
    result.usage.tts_characters += audio.1;
    result.audio = Some(audio.0);
    conclude(&ctx, &documents, result).await
}

/// A narration that cannot be had: said in its own place, and as a reason why the job is not whole.
fn without_audio(ctx: &Context, result: &mut DocumentResult, error: DocumentError) -> (Audio, u64) {
    tracing::warn!(job_id = result.job.job_id, %error, "no narration");
    result.add_reason(PartialReason::ProviderUnavailable);
    let error = error.record(tries(ctx), Utc::now());
    result.errors.push(error.clone());
    (Audio { status: AudioStatus::Failed, parts: Vec::new(), errors: vec![error] }, 0)
}

async fn narrate(documents: &Documents, record: &JobRecord, result: &DocumentResult) -> Result<(Audio, u64), DocumentError> {
    let nothing = || DocumentError::new(Code::TtsFailed, Stage::Audio, "there is no summary to narrate").permanent();
    let summary = result.summary.as_ref().ok_or_else(nothing)?;
    let language = result.document.language.as_deref();
    let script = narration::script(summary, result.document.title.as_deref(), language);
    if script.trim().is_empty() {
        return Ok((Audio { status: AudioStatus::Skipped, ..Audio::default() }, 0));
    }
    let spoken = speak(documents, record, &script, language).await?;
    let job_id = &record.job.job_id;
    let key = Key::job(job_id, &format!("audio/001.{}", spoken.format))?;
    let transcript = Key::job(job_id, "audio/001.txt")?;
    let characters = u64::try_from(script.chars().count()).unwrap_or_default();
    let part = AudioPart {
        part: 1,
        title: "Summary".to_owned(),
        url: key.as_str().to_owned(),
        duration_s: spoken.duration_s,
        bytes: spoken.bytes.len() as u64,
        format: spoken.format,
        voice: spoken.voice,
        transcript_ref: transcript.as_str().to_owned(),
    };
    documents.store.put(&transcript, script.into_bytes()).await?;
    documents.store.put(&key, spoken.bytes).await?;
    Ok((Audio { status: AudioStatus::Ok, parts: vec![part], errors: Vec::new() }, characters))
}

async fn speak(documents: &Documents, record: &JobRecord, script: &str, language: Option<&str>) -> Result<Spoken, DocumentError> {
    let options = NarrationOptions { voice: record.voice.clone(), ..documents.narration.clone() };
    match (&documents.openai, &documents.speech) {
        (Some(openai), Some(speech)) => {
            let voice = record.voice.as_deref().unwrap_or(USUAL_VOICE);
            let spoken = narration::speak_openai(openai.client(), speech.model(), voice, script, &options);
            let spoken = speech.ask(Stage::Audio, spoken).await?;
            speech.spoke(spoken.duration_s);
            Ok(spoken)
        }
        _ => Ok(narration::encode(narration::speak_offline(script, language, &options).await?, &options).await),
    }
}

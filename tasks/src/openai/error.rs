//! What a failed call means for the document: whether to try again, and when.

use async_openai::error::OpenAIError;

use super::http::{Wait, shortened};
use crate::error::{Code, DocumentError, Stage};

/// The library's error as ours. The key never stands in it: servers that repeat it are cut.
pub(super) fn document_error(error: &OpenAIError, stage: Stage, wait: &Wait) -> DocumentError {
    match error {
        OpenAIError::ApiError(answer) => {
            let said = without_keys(&shortened(&answer.api_error.message));
            let status = answer.status_code.as_u16();
            let kinds = [answer.api_error.code.as_deref(), answer.api_error.r#type.as_deref()];
            let is = |kind: &str| kinds.contains(&Some(kind));
            match status {
                429 if is("insufficient_quota") => {
                    DocumentError::new(Code::LlmFailed, stage, format!("the account for the model is used up: {said}")).permanent()
                }
                429 => {
                    let limited = DocumentError::new(Code::LlmRateLimited, stage, format!("the model asks to slow down: {said}"));
                    limited.after(wait.left())
                }
                400 if is("content_filter") || is("content_policy_violation") => {
                    DocumentError::new(Code::LlmRefused, stage, format!("the model declined to answer: {said}"))
                }
                408 | 409 | 425 | 500.. => {
                    DocumentError::new(Code::LlmFailed, stage, format!("the model's server failed ({status}): {said}"))
                        .after(wait.left())
                }
                401 | 403 => {
                    let advice = "check OPENAI_API_KEY and the model's name";
                    DocumentError::new(
                        Code::LlmFailed,
                        stage,
                        format!("the model's server did not let us in ({status}): {said}; {advice}"),
                    )
                    .permanent()
                }
                _ => DocumentError::new(
                    Code::LlmFailed,
                    stage,
                    format!("the model's server refused the question ({status}): {said}"),
                )
                .permanent(),
            }
        }
        OpenAIError::Reqwest(cause) => {
            let what = if cause.is_timeout() {
                "the model did not answer in time"
            } else if cause.is_connect() {
                "the model's server cannot be reached"
            } else {
                "the connection to the model's server broke"
            };
            DocumentError::new(Code::LlmFailed, stage, format!("{what}: {}", chain(cause)))
        }
        OpenAIError::JSONDeserialize(cause, _) => {
            DocumentError::new(Code::LlmFailed, stage, format!("the model's server did not answer with a completion: {cause}"))
        }
        other => DocumentError::new(Code::LlmFailed, stage, shortened(&other.to_string())).permanent(),
    }
}

/// The innermost cause says most, and has no address in it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    shortened(&deepest.to_string())
}

fn without_keys(said: &str) -> String {
    said.split(' ')
        .map(|word| if word.trim_start_matches(|c: char| !c.is_alphanumeric()).starts_with("sk-") { "…" } else { word })
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_an_error_is_not_repeated() {
        assert_eq!(without_keys("Incorrect API key provided: sk-abc123. You can"), "Incorrect API key provided: … You can");
    }
}

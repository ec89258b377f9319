//! One request, one answer: what async-openai sends through instead of its own retrying.
//!
//! Its default repeats a refused request three times within a second, which neither waits long enough nor is seen by
//! anybody; here repeating is the task's business. A failed answer keeps its status whatever its body looks like, and how long
//! the server asks to wait is remembered.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_openai::error::{ApiError, ApiErrorResponse, OpenAIError};
use async_openai::middleware::HttpRequestFactory;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use tower_service::Service;

/// A longer wait than this is somebody's mistake.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// When a server that asked to wait may be asked again.
#[derive(Debug, Clone, Default)]
pub(super) struct Wait(Arc<Mutex<Option<Instant>>>);

impl Wait {
    /// What is left of it.
    pub(super) fn left(&self) -> Option<Duration> {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.map(|until| until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    fn begin(&self, wait: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now().checked_add(wait.min(LONGEST_WAIT));
    }
}

/// Sends each request once.
#[derive(Debug, Clone)]
pub(super) struct Once {
    pub client: Client,
    pub wait: Wait,
}

impl Service<HttpRequestFactory> for Once {
    type Response = Response;
    type Error = OpenAIError;
    type Future = Pin<Box<dyn Future<Output = Result<Response, OpenAIError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OpenAIError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequestFactory) -> Self::Future {
        let Self { client, wait } = self.clone();
        Box::pin(async move {
            let response = client.execute(request.build().await?).await?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            if let Some(asked) = retry_after(response.headers()) {
                wait.begin(asked);
            }
            let body = response.text().await.unwrap_or_default();
            Err(OpenAIError::ApiError(ApiErrorResponse { status_code: status, api_error: api_error(status, &body) }))
        })
    }
}

/// Seconds, also with a fraction; the date form is not used by model servers.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let millis = headers.get("retry-after-ms").and_then(|value| value.to_str().ok()).and_then(|text| text.trim().parse().ok());
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|text| text.trim().parse::<f64>().ok());
    millis.map(Duration::from_millis).or_else(|| Duration::try_from_secs_f64(seconds?).ok())
}

/// `{"error": {…}}` as OpenAI says it, `{"error": "…"}`, `{"detail": "…"}` and plain text as others do.
fn api_error(status: StatusCode, body: &str) -> ApiError {
    let parsed: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    let error = parsed.get("error").unwrap_or(&Value::Null);
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let message = text(error.get("message"))
        .or_else(|| error.as_str().map(str::to_owned))
        .or_else(|| text(parsed.get("detail")))
        .or_else(|| text(parsed.get("message")))
        .unwrap_or_else(|| shortened(body));
    let message =
        if message.trim().is_empty() { status.canonical_reason().unwrap_or("no reason given").to_owned() } else { message };
    ApiError {
        message,
        r#type: text(error.get("type")),
        code: text(error.get("code")),
        param: text(error.get("param")),
        ..ApiError::default()
    }
}

/// The beginning of what a server said, on one line.
pub(super) fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_in_every_form_servers_use() {
        let status = StatusCode::BAD_REQUEST;
        let said = |body: &str| api_error(status, body).message;
        assert_eq!(said(r#"{"error":{"message":"too long","code":"x"}}"#), "too long");
        assert_eq!(said(r#"{"error":"model not found"}"#), "model not found");
        assert_eq!(said(r#"{"detail":"nope"}"#), "nope");
        assert_eq!(said("<html>\n Bad gateway </html>"), "<html> Bad gateway </html>");
        assert_eq!(said(""), "Bad Request");
    }

    #[test]
    fn a_wait_is_read_and_bounded() {
        let headers = |name: &'static str, value: &str| HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
        assert_eq!(retry_after(&headers("retry-after", "1.5")), Some(Duration::from_millis(1500)));
        assert_eq!(retry_after(&headers("retry-after-ms", "20")), Some(Duration::from_millis(20)));
        assert_eq!(retry_after(&headers("retry-after", "-3")), None);
        let wait = Wait::default();
        wait.begin(Duration::from_secs(1_000_000));
        assert!(wait.left().unwrap() <= LONGEST_WAIT);
    }
}

//! The id of a request: its caller's own, or a new one. The answer bears it, and so does each line of a JSON log that is written on the way.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;
use uuid::Uuid;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is taken over.
const LENGTH_MAX: usize = 128;

/// Around every route.
pub(super) async fn identified(request: Request, next: Next) -> Response {
    let id = given(request.headers()).unwrap_or_else(|| Uuid::new_v4().to_string());
    let span = tracing::info_span!("request", request_id = id);
    let mut response = next.run(request).instrument(span).await;
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, id);
    }
    response
}

/// What the caller calls it, if that may stand in a log as it is.
fn given(headers: &HeaderMap) -> Option<String> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.' | ':' | '@' | '/' | '+' | '=');
    let id = headers.get(HEADER)?.to_str().ok()?;
    ((1..=LENGTH_MAX).contains(&id.len()) && id.chars().all(fits)).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_over_that_may_stand_in_a_log() {
        let of = |id: &str| given(&HeaderMap::from_iter([(HEADER, HeaderValue::from_str(id).unwrap())]));
        for id in ["a", "6b1c-4f", "Root=1-67891233-abcdef012345678912345678", &"x".repeat(LENGTH_MAX)] {
            assert_eq!(of(id).as_deref(), Some(id));
        }
        for id in ["", "two words", "a\"b", "{a}", &"x".repeat(LENGTH_MAX + 1)] {
            assert_eq!(of(id), None, "{id}");
        }
        assert_eq!(given(&HeaderMap::new()), None);
    }
}

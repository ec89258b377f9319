//! A request that may be sent again: its caller's own key stands for a job's id.

use axum::http::HeaderMap;
use sha2::{Digest, Sha256};

use super::super::super::problem::Problem;

/// The header.
const HEADER: &str = "Idempotency-Key";
/// The longest key.
const KEY_MAX: usize = 255;

/// The key of a request: its header, or the field of its body.
pub(super) fn key(headers: &HeaderMap, field: Option<String>) -> Result<Option<String>, Problem> {
    let wrong = || Problem::invalid(format!("{HEADER} has 1 to {KEY_MAX} visible characters of ASCII and no space"));
    let header = headers.get(HEADER).map(|value| value.to_str().map(str::to_owned).map_err(|_| wrong())).transpose()?;
    if header.is_some() && field.is_some() && header != field {
        return Err(Problem::invalid(format!("idempotency and the header {HEADER} are two keys: give one of them")));
    }
    match header.or(field) {
        Some(key) if key.is_empty() || key.len() > KEY_MAX || !key.bytes().all(|byte| byte.is_ascii_graphic()) => Err(wrong()),
        key => Ok(key),
    }
}

/// The id of the job that a caller means by his key. Others, who may have the same key, mean another.
pub(super) fn job_id(caller: Option<&str>, key: &str) -> String {
    let sum = Sha256::digest(format!("{}\n{key}", caller.unwrap_or_default()));
    format!("key-{}", sum.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn a_key_is_said_once_and_is_its_callers_own() {
        let said = |header: Option<&[u8]>, field: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = header {
                headers.insert("idempotency-key", HeaderValue::from_bytes(value).unwrap());
            }
            key(&headers, field.map(str::to_owned)).map_err(|problem| problem.status)
        };
        assert_eq!(said(None, None), Ok(None));
        for (header, field) in [(Some(&b"k"[..]), None), (None, Some("k")), (Some(&b"k"[..]), Some("k"))] {
            assert_eq!(said(header, field), Ok(Some("k".to_owned())));
        }
        let long = "k".repeat(KEY_MAX + 1);
        for (header, field) in [
            (Some(&b"k"[..]), Some("l")),
            (Some(&b""[..]), None),
            (None, Some("a b")),
            (Some(&b"\xff"[..]), None),
            (None, Some(&long)),
        ] {
            assert_eq!(said(header, field), Err(422), "{header:?} {field:?}");
        }
        assert_eq!(job_id(Some("a"), "k"), job_id(Some("a"), "k"));
        assert_ne!(job_id(Some("a"), "k"), job_id(Some("b"), "k"));
        assert_ne!(job_id(Some("a"), "k"), job_id(Some("a"), "l"));
    }
}

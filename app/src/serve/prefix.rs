//! The path under which a proxy shows this service, where it takes that path away before it asks us.

use axum::http::HeaderMap;

/// As the proxy says it (`X-Forwarded-Prefix`), without a slash at its end; anything else than a plain path counts as none.
pub(super) fn told(headers: &HeaderMap) -> String {
    let told = headers.get("x-forwarded-prefix").and_then(|value| value.to_str().ok()).unwrap_or_default().trim_end_matches('/');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    if told.starts_with('/') && !told.starts_with("//") && told.bytes().all(plain) { told.to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_that_is_no_path_is_none() {
        let of = |text: &'static str| told(&[("x-forwarded-prefix".parse().unwrap(), text.parse().unwrap())].into_iter().collect());
        assert_eq!(of("/docs/"), "/docs");
        for wrong in ["//evil.example", "https://evil.example", "/a\" onload=\"x", "x"] {
            assert_eq!(of(wrong), "", "{wrong}");
        }
        assert_eq!(told(&HeaderMap::new()), "");
    }
}

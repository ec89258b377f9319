//! What the pages load: one style sheet, one module with what it stands on, one icon. They are part of the program.

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::super::problem::Problem;

/// Name, media type, contents.
const ASSETS: [(&str, &str, &str); 4] = [
    ("dashboard.css", "text/css; charset=utf-8", include_str!("assets/dashboard.css")),
    ("dashboard.js", "text/javascript; charset=utf-8", include_str!("assets/dashboard.js")),
    ("states.js", "text/javascript; charset=utf-8", include_str!("assets/states.js")),
    ("icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
];

/// One of them; a browser that has it already is told so.
pub(in super::super) async fn show(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some((_, media_type, text)) = ASSETS.iter().find(|(asset, ..)| *asset == name) else {
        return Problem::new(StatusCode::NOT_FOUND, "not_found", format!("there is no asset {name}")).into_response();
    };
    let tag = format!("\"{:x}\"", Sha256::digest(text).iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte)));
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|had| had.as_bytes() == tag.as_bytes());
    let about =
        [(header::ETAG, tag), (header::CACHE_CONTROL, "no-cache".to_owned()), (header::CONTENT_TYPE, (*media_type).to_owned())];
    if known {
        return (StatusCode::NOT_MODIFIED, about).into_response();
    }
    (about, *text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        for (name, _, text) in ASSETS {
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("@import"), "{name}");
        }
    }

    #[test]
    fn they_are_small_even_before_they_are_compressed() {
        assert!(ASSETS.iter().map(|(_, _, text)| text.len()).sum::<usize>() < 60_000);
    }

    #[tokio::test]
    async fn who_has_one_already_is_told_so() {
        let first = show(Path("dashboard.css".to_owned()), HeaderMap::new()).await;
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        assert_eq!(show(Path("dashboard.css".to_owned()), headers).await.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(show(Path("other".to_owned()), HeaderMap::new()).await.status(), StatusCode::NOT_FOUND);
    }
}

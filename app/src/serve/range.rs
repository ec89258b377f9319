//! Files as players and browsers ask for them: whole, in part by `Range`, or not at all where they have them.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::problem::Problem;

/// How long a browser may take a file for what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cached {
    /// It asks each time whether it has changed, and is told so in a line where it has not.
    Asking,
    /// For ever: its address names its content.
    Ever,
}

/// Answers a request for these bytes.
pub(crate) fn served(asked: &HeaderMap, bytes: Bytes, media_type: HeaderValue, cached: Cached) -> Result<Response, Problem> {
    let tag = tag(&bytes);
    let text = |name| asked.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let cache_control = match cached {
        Cached::Asking => "private, no-cache",
        Cached::Ever => "private, max-age=31536000, immutable",
    };
    let common = [
        (header::CONTENT_TYPE, media_type),
        (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache_control)),
        (header::ETAG, HeaderValue::from_str(&tag).unwrap_or_else(|_| HeaderValue::from_static("\"\""))),
    ];
    if is_known(asked, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    let same = text(header::IF_RANGE).is_none_or(|known| known == tag);
    let Some(range) = text(header::RANGE).filter(|_| same).and_then(|range| range.strip_prefix("bytes=")) else {
        return Ok((StatusCode::OK, common, Body::from(bytes)).into_response());
    };
    match part(range, bytes.len()) {
        // Several parts at once are given as a whole, which a caller must be ready for.
        Part::Whole => Ok((StatusCode::OK, common, Body::from(bytes)).into_response()),
        Part::Bytes(from, to) => {
            let place = format!("bytes {from}-{}/{}", to - 1, bytes.len());
            Ok((StatusCode::PARTIAL_CONTENT, common, [(header::CONTENT_RANGE, place)], Body::from(bytes.slice(from..to)))
                .into_response())
        }
        Part::None => {
            let text = format!("the file has {} bytes", bytes.len());
            let place = format!("bytes */{}", bytes.len());
            let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "invalid", text);
            Ok(([(header::CONTENT_RANGE, place)], problem).into_response())
        }
    }
}

/// Answers a request for what may change at any time: not again where the caller has it.
pub(crate) fn tagged(asked: &HeaderMap, bytes: Vec<u8>, media_type: &'static str) -> Response {
    let tag = tag(&bytes);
    let known = is_known(asked, &tag);
    let headers = [(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "private, no-cache"), (header::ETAG, &tag)];
    if known { (StatusCode::NOT_MODIFIED, headers).into_response() } else { (headers, bytes).into_response() }
}

/// What names these bytes.
fn tag(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    format!("\"{}\"", digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// Whether the caller says that he has what is named so. A proxy that packs an answer makes its name a weak one.
fn is_known(asked: &HeaderMap, tag: &str) -> bool {
    let known = asked.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    known.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == tag || one == "*")
}

/// What a range means for a file.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    /// From the first, up to and without the second.
    Bytes(usize, usize),
    None,
}

fn part(range: &str, size: usize) -> Part {
    let Some((from, to)) = range.split_once('-').filter(|_| !range.contains(',')) else { return Part::Whole };
    match (from.trim().parse::<usize>(), to.trim().parse::<usize>()) {
        (Err(_), Ok(last)) if from.trim().is_empty() && last > 0 && size > 0 => Part::Bytes(size.saturating_sub(last), size),
        (Err(_), Ok(_)) if from.trim().is_empty() => Part::None,
        (Ok(from), _) if from >= size => Part::None,
        (Ok(from), Ok(to)) if to >= from => Part::Bytes(from, size.min(to.saturating_add(1))),
        (Ok(from), Err(_)) if to.trim().is_empty() => Part::Bytes(from, size),
        _ => Part::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_rfc_9110_has_it() {
        for (range, expected) in [
            ("0-0", Part::Bytes(0, 1)),
            ("0-", Part::Bytes(0, 10)),
            ("5-100", Part::Bytes(5, 10)),
            ("-3", Part::Bytes(7, 10)),
            ("-100", Part::Bytes(0, 10)),
            ("-0", Part::None),
            ("10-", Part::None),
            ("5-2", Part::Whole),
            ("0-1,4-5", Part::Whole),
            ("x", Part::Whole),
        ] {
            assert_eq!(part(range, 10), expected, "{range}");
        }
    }
}

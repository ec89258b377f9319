//! The trace a message belongs to: the headers in which OpenTelemetry's context travels.
//!
//! # Celery
//! Has none; `opentelemetry-instrumentation-celery` writes them beside `task` and `id`. Older senders put a task's custom headers into a table
//! `headers` among them, where they are looked for, too.

use super::headers::Headers;
use super::value::{Map, Value};

/// The W3C's headers.
pub const TRACE_HEADERS: [&str; 3] = ["traceparent", "tracestate", "baggage"];

/// Those of a message; empty if it belongs to no trace.
pub fn trace_headers(headers: &Headers) -> Map {
    let custom = &headers.custom;
    let nested = custom.get("headers").and_then(Value::as_map);
    [Some(custom), nested].into_iter().flatten().map(own).find(|found| !found.is_empty()).unwrap_or_default()
}

fn own(map: &Map) -> Map {
    let text = |name: &str| map.get(name).filter(|value| value.as_str().is_some_and(|text| !text.is_empty()));
    TRACE_HEADERS.iter().filter_map(|name| Some(((*name).to_owned(), text(name)?.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_found_beside_the_task_or_among_its_custom_headers() {
        let parent = |text: &str| Map::from_iter([("traceparent".to_owned(), Value::from(text))]);
        let mut headers = Headers::new("t", "1");
        assert!(trace_headers(&headers).is_empty());
        headers.custom.insert("headers".to_owned(), Value::Map(parent("nested")));
        assert_eq!(trace_headers(&headers), parent("nested"));
        headers.custom.insert("traceparent".to_owned(), "top".into());
        headers.custom.insert("baggage".to_owned(), Value::Int(1));
        assert_eq!(trace_headers(&headers), parent("top"));
    }
}

//! Where a browser's request comes from: pages of other sites may neither act here with what a browser sends along by itself, nor
//! read, unless their origin is on the list.

use std::net::IpAddr;

use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use url::{Host, Url};

/// The header that no page of another site can send without being allowed to.
pub(super) const OWN_HEADER: &str = "x-celeriac-request";
/// What a page on the list may send, and may see of an answer.
const METHODS: &str = "GET, POST, DELETE";
const SENT: &str = "authorization, content-type, idempotency-key, last-event-id, range, x-api-key, x-celeriac-request";
const SEEN: &str = "accept-ranges, content-range, etag, location, retry-after";

/// Origins whose pages may call.
#[derive(Debug, Default)]
pub(super) struct Origins(Vec<String>);

impl Origins {
    /// Each as a browser writes it: `https://host` or `https://host:port`.
    pub(super) fn parse(entries: &[String]) -> Result<Self, String> {
        for entry in entries {
            let written = Url::parse(entry).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
            if written.is_none_or(|url| url.origin().ascii_serialization() != *entry) {
                return Err(format!("{entry:?} is no origin: write https://HOST or https://HOST:PORT, without a path; * is none"));
            }
        }
        Ok(Self(entries.to_vec()))
    }

    fn listed<'h>(&self, headers: &'h HeaderMap) -> Option<&'h HeaderValue> {
        headers.get(header::ORIGIN).filter(|origin| self.0.iter().any(|listed| listed.as_bytes() == origin.as_bytes()))
    }

    /// Whether a request is no other site's doing: it comes from a page of ours or on the list, or from no page at all.
    pub(super) fn trusts(&self, headers: &HeaderMap) -> bool {
        let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        if self.listed(headers).is_some() {
            return true;
        }
        match (text(HeaderName::from_static("sec-fetch-site")), text(header::ORIGIN)) {
            (Some(site), _) => matches!(site, "same-origin" | "none"),
            (None, None) => true,
            // A browser that does not say it, or one that reached us without TLS.
            (None, Some(origin)) => {
                let from = origin.split_once("://").map(|(_, host)| host);
                from.zip(text(header::HOST)).is_some_and(|(from, host)| from.eq_ignore_ascii_case(host))
            }
        }
    }

    /// The answer to a browser's question whether a page may send a request; `None` where this is no such question.
    pub(super) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response> {
        if method != Method::OPTIONS || !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        let allowed = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, SENT),
            (header::ACCESS_CONTROL_MAX_AGE, "600"),
        ];
        self.listed(headers).map(|_| (StatusCode::NO_CONTENT, allowed).into_response())
    }

    /// Lets a page on the list see the answer. Its browser's cookies are never for it: it sends a key.
    pub(super) fn share(&self, asked: Option<&HeaderValue>, answer: &mut HeaderMap) {
        if self.0.is_empty() {
            return;
        }
        answer.append(header::VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = asked.filter(|origin| self.0.iter().any(|listed| listed.as_bytes() == origin.as_bytes())) {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(SEEN));
        }
    }
}

/// Whether a request names this machine as its host. A page of another site whose name was made to lead here does not.
pub(super) fn names_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.and_then(|host| Url::parse(&format!("http://{host}/")).ok());
    match host.as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn another_sites_request_is_known() {
        let origins = Origins::parse(&["https://app.example".to_owned()]).unwrap();
        for (pairs, trusted) in [
            (&[("host", "h:8000")][..], true),
            (&[("host", "h:8000"), ("origin", "http://h:8000")], true),
            (&[("host", "H:8000"), ("origin", "http://h:8000")], true),
            (&[("host", "h:8000"), ("origin", "http://h:8001")], false),
            (&[("host", "h:8000"), ("origin", "http://evil.example")], false),
            (&[("host", "h:8000"), ("origin", "null")], false),
            (&[("host", "h:8000"), ("origin", "https://app.example")], true),
            (&[("host", "h:8000"), ("origin", "https://app.example.evil.example")], false),
            (&[("host", "inner:1"), ("origin", "https://outer.example"), ("sec-fetch-site", "same-origin")], true),
            (&[("host", "h:8000"), ("origin", "http://h:8000"), ("sec-fetch-site", "cross-site")], false),
            (&[("host", "h:8000"), ("sec-fetch-site", "same-site")], false),
            (&[("host", "h:8000"), ("sec-fetch-site", "none")], true),
            (&[("origin", "http://h:8000")], false),
        ] {
            assert_eq!(origins.trusts(&headers(pairs)), trusted, "{pairs:?}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for wrong in
            ["*", "app.example", "https://app.example/", "https://app.example/a", "null", "", "HTTPS://App.example", "file:///a"]
        {
            assert!(Origins::parse(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
        assert!(Origins::parse(&["http://localhost:3000".to_owned(), "https://app.example".to_owned()]).is_ok());
    }

    #[test]
    fn only_names_of_this_machine_are_its_own() {
        for (host, own) in [
            ("127.0.0.1:8000", true),
            ("127.9.9.9", true),
            ("[::1]:8000", true),
            ("localhost", true),
            ("LOCALHOST:1", true),
            ("a.localhost:1", true),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example:8000", false),
            ("10.0.0.1", false),
            ("user@localhost:80@evil.example", false),
            ("", false),
        ] {
            assert_eq!(names_this_machine(&headers(&[("host", host)])), own, "{host}");
        }
        assert!(!names_this_machine(&HeaderMap::new()));
    }
}

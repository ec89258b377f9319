//! Coming in with a key as a person, and going out again.

use askama::Template;
use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{HeaderName, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use chrono::Utc;
use serde::Deserialize;

use super::super::extract::Query;
use super::super::problem::Problem;
use super::super::{Api, prefix, ui};
use super::gate::known_since;
use super::session::COOKIE;

/// The most bytes of what the form sends.
const FORM_MAX: usize = 16 * 1024;
/// The page loads its look, and sends its form here alone.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

pub(super) fn routes() -> Router<Api> {
    // What the page looks like is open to all, as the page is; the dashboard's own assets are not.
    Router::new().route("/login", get(show).post(login)).route("/login/{name}", get(ui::asset)).route("/logout", post(logout))
}

/// The page.
#[derive(Template)]
#[template(path = "login.html")]
struct Page<'a> {
    root: &'a str,
    theme: &'a str,
    next: &'a str,
    wrong: &'a str,
}

/// Where to afterwards.
#[derive(Debug, Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

/// The form. Where there are no keys, everybody is in.
async fn show(State(api): State<Api>, Query(Next { next }): Query<Next>, headers: HeaderMap) -> Response {
    let next = led(&api, &headers, &next);
    if api.access.keys.is_empty() { Redirect::to(&next).into_response() } else { page(StatusCode::OK, &headers, &next, "") }
}

/// `key` and `next`, as the form sends them.
async fn login(State(api): State<Api>, request: Request) -> Result<Response, Problem> {
    let headers = request.headers().clone();
    let body = to_bytes(request.into_body(), FORM_MAX).await;
    let body = body.map_err(|_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the form is larger than a login"))?;
    let (key, next) = (field(&body, "key"), led(&api, &headers, &field(&body, "next")));
    let access = &api.access;
    let Some(key) = access.keys.find(key.trim()) else {
        return Ok(page(StatusCode::UNAUTHORIZED, &headers, &next, "This key is not known here."));
    };
    let now = u64::try_from(Utc::now().timestamp()).unwrap_or_default();
    let session = access.sessions.issue(key, now);
    let mut answer = (cookie(&session, access.sessions.age, &headers), Redirect::to(&next)).into_response();
    known_since(key, answer.extensions_mut());
    Ok(answer)
}

/// Ends the session in this browser.
async fn logout(headers: HeaderMap) -> Response {
    (cookie("", 0, &headers), Redirect::to(&format!("{}/login", prefix::told(&headers)))).into_response()
}

fn field(form: &Bytes, name: &str) -> String {
    url::form_urlencoded::parse(form).find(|(found, _)| found == name).map_or_else(String::new, |(_, value)| value.into_owned())
}

/// The cookie: no script sees it, no other site has it sent along, and where the page came by TLS it goes by nothing else.
fn cookie(value: &str, age: u64, headers: &HeaderMap) -> [(HeaderName, String); 2] {
    let secure = if came_by_tls(headers) { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}{secure}");
    [(header::SET_COOKIE, cookie), (header::CACHE_CONTROL, "no-store".to_owned())]
}

/// As the proxy before us says. Who lies about it harms himself alone.
fn came_by_tls(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").and_then(|proto| proto.to_str().ok()).is_some_and(|proto| {
        let first = proto.split(',').next().unwrap_or_default();
        first.trim().eq_ignore_ascii_case("https")
    })
}

/// Where somebody is led who is in: where he wanted to, if that is a path of ours, or to the first page.
fn led(api: &Api, headers: &HeaderMap, next: &str) -> String {
    let first = || format!("{}{}", prefix::told(headers), api.ui.as_deref().unwrap_or("/"));
    local(next).map_or_else(first, str::to_owned)
}

/// A path of ours, and nothing that leads elsewhere.
fn local(next: &str) -> Option<&str> {
    let elsewhere = |next: &str| next.starts_with("//") || next.contains('\\') || next.chars().any(|letter| letter.is_control());
    Some(next).filter(|next| next.starts_with('/') && !elsewhere(next) && HeaderValue::from_str(next).is_ok())
}

fn page(status: StatusCode, headers: &HeaderMap, next: &str, wrong: &str) -> Response {
    let page = Page { root: &prefix::told(headers), theme: ui::theme(headers), next, wrong };
    match page.render() {
        Ok(html) => {
            let headers = [(header::CONTENT_SECURITY_POLICY, POLICY), (header::CACHE_CONTROL, "no-store")];
            (status, headers, Html(html)).into_response()
        }
        Err(error) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_login_nobody_is_led_elsewhere() {
        for (next, led) in [
            ("/jobs?q=a&b=c", Some("/jobs?q=a&b=c")),
            ("", None),
            ("https://evil.example/", None),
            ("//evil.example/", None),
            ("/\\evil.example/", None),
            ("/\t/evil.example/", None),
            ("/a\r\nset-cookie: x", None),
            ("javascript:alert(1)", None),
        ] {
            assert_eq!(local(next), led, "{next:?}");
        }
        let page = Page { root: "", theme: "", next: "/\"><script>&", wrong: "" }.render().unwrap();
        assert!(!page.contains("<script>"), "{page}");
    }
}

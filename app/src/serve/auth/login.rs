//! Coming in with a key as a person, and going out again.

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{HeaderName, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use chrono::Utc;
use serde::Deserialize;

use super::super::Api;
use super::super::extract::Query;
use super::super::problem::Problem;
use super::gate::known_since;
use super::session::COOKIE;

/// The most bytes of what the form sends.
const FORM_MAX: usize = 16 * 1024;
/// The page loads nothing, and sends its form here alone.
const POLICY: &str = "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/login", get(show).post(login)).route("/logout", post(logout))
}

/// Where to afterwards.
#[derive(Debug, Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

/// The form. Where there are no keys, everybody is in.
async fn show(State(api): State<Api>, Query(Next { next }): Query<Next>) -> Response {
    if api.access.keys.is_empty() { Redirect::to(local(&next)).into_response() } else { page(StatusCode::OK, &next, "") }
}

/// `key` and `next`, as the form sends them.
async fn login(State(api): State<Api>, request: Request) -> Result<Response, Problem> {
    let headers = request.headers().clone();
    let body = to_bytes(request.into_body(), FORM_MAX).await;
    let body = body.map_err(|_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the form is larger than a login"))?;
    let (key, next) = (field(&body, "key"), field(&body, "next"));
    let access = &api.access;
    let Some(key) = access.keys.find(key.trim()) else {
        return Ok(page(StatusCode::UNAUTHORIZED, &next, "This key is not known here."));
    };
    let now = u64::try_from(Utc::now().timestamp()).unwrap_or_default();
    let session = access.sessions.issue(key, now);
    let mut answer = (cookie(&session, access.sessions.age, &headers), Redirect::to(local(&next))).into_response();
    known_since(key, answer.extensions_mut());
    Ok(answer)
}

/// Ends the session in this browser.
async fn logout(headers: HeaderMap) -> Response {
    (cookie("", 0, &headers), Redirect::to("/login")).into_response()
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

/// A path of ours; what leads elsewhere leads to the first page.
fn local(next: &str) -> &str {
    let elsewhere = |next: &str| next.starts_with("//") || next.contains('\\') || next.chars().any(|letter| letter.is_control());
    if next.starts_with('/') && !elsewhere(next) && HeaderValue::from_str(next).is_ok() { next } else { "/" }
}

fn page(status: StatusCode, next: &str, wrong: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Log in · celeriac</title>\n<h1>celeriac</h1>\n<p role=\"alert\">{wrong}</p>\n\
         <form method=\"post\" action=\"/login\">\n<input type=\"hidden\" name=\"next\" value=\"{}\">\n\
         <label>API key <input type=\"password\" name=\"key\" required autofocus autocomplete=\"current-password\"></label>\n\
         <button>Log in</button>\n</form>\n</html>\n",
        escaped(local(next))
    );
    let headers = [(header::CONTENT_SECURITY_POLICY, POLICY), (header::CACHE_CONTROL, "no-store")];
    (status, headers, Html(html)).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_login_nobody_is_led_elsewhere() {
        for (next, led) in [
            ("/jobs?q=a&b=c", "/jobs?q=a&b=c"),
            ("", "/"),
            ("https://evil.example/", "/"),
            ("//evil.example/", "/"),
            ("/\\evil.example/", "/"),
            ("/\t/evil.example/", "/"),
            ("/a\r\nset-cookie: x", "/"),
            ("javascript:alert(1)", "/"),
        ] {
            assert_eq!(local(next), led, "{next:?}");
        }
        assert_eq!(escaped("/\"><script>&"), "/&quot;&gt;&lt;script&gt;&amp;");
    }
}

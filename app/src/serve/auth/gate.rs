//! The way of a request: who is it, may he, does he come by himself; then its route; then a note of what it changed.

use std::net::SocketAddr;
use std::time::Instant;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{self, HeaderMap};
use axum::http::{Extensions, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use celeriac_tasks::timestamp;
use chrono::Utc;

use super::super::problem::Problem;
use super::super::{Api, prefix};
use super::audit::Deed;
use super::keys::{Key, Role};
use super::origin::{self, OWN_HEADER};
use super::{Access, rules, session};

/// How much of a path and its query the trail keeps.
const PATH_KEPT: usize = 300;

/// Who calls. Routes find it among a request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The name of the key; `local` where there are no keys; `None`: nobody known, on a route that is open to all.
    pub(crate) name: Option<String>,
    /// What he may do.
    pub(crate) role: Option<Role>,
    /// How he is known.
    by: By,
}

/// How a caller is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// Not at all.
    Nothing,
    /// There are no keys: whoever reaches the service may call.
    Reach,
    /// He sent a key.
    Key,
    /// His browser sent a session along.
    Session,
}

impl By {
    /// Whether a browser shows it for pages of other sites as well.
    const fn is_sent_along(self) -> bool {
        matches!(self, Self::Reach | Self::Session)
    }
}

impl Caller {
    fn nobody() -> Self {
        Self { name: None, role: None, by: By::Nothing }
    }

    fn of(key: &Key, by: By) -> Self {
        Self { name: Some(key.name.clone()), role: Some(key.role), by }
    }

    /// Whether he logged in and can log out.
    pub(crate) fn has_session(&self) -> bool {
        self.by == By::Session
    }
}

/// Lets a request through to its route, or answers in its place.
pub(in super::super) async fn pass(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let access = &api.access;
    let (method, uri) = (request.method().clone(), request.uri().clone());
    if let Some(answer) = access.origins.preflight(&method, request.headers()) {
        return shared(access, request.headers(), answer);
    }
    let asked = request.headers().clone();
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_string());
    let admitted = access.admit(&method, uri.path(), &asked);
    let (caller, answer) = match admitted {
        (caller, None) => {
            request.extensions_mut().insert(caller.clone());
            (caller, next.run(request).await)
        }
        (caller, Some(problem)) => (caller, refused(problem, &method, &uri, &asked)),
    };
    if rules::changes(&method) {
        access.trail.note(deed(&caller, address, &method, &uri, &answer)).await;
    }
    shared(access, &asked, answer)
}

fn shared(access: &Access, asked: &HeaderMap, mut answer: Response) -> Response {
    access.origins.share(asked.get(header::ORIGIN), answer.headers_mut());
    answer
}

impl Access {
    /// Whose a request is, and why it may not go on, if it may not.
    fn admit(&self, method: &Method, path: &str, headers: &HeaderMap) -> (Caller, Option<Problem>) {
        let open = path == "/metrics" && self.metrics_open;
        let needed = rules::needed(method, path).filter(|_| !open);
        let caller = match self.caller(headers) {
            Ok(caller) => caller,
            Err(_) if needed.is_none() => Caller::nobody(),
            Err(problem) => return (Caller::nobody(), Some(problem)),
        };
        let refused = self.allowed(&caller, needed, method, path, headers).err();
        (caller, refused)
    }

    /// Who calls: by the key he sends, else by his session. A wrong key is not made good by a session.
    fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        if self.own_names_only && !origin::names_this_machine(headers) {
            return Err(forbidden(
                "without API keys this service answers to localhost and 127.0.0.1 only, not to the host you named; set CELERIAC_API_KEYS",
            ));
        }
        if self.keys.is_empty() {
            return Ok(Caller { name: Some("local".into()), role: Some(Role::Admin), by: By::Reach });
        }
        if let Some(sent) = key_of(headers) {
            let key = self.keys.find(sent).ok_or_else(|| unauthorized("this API key is not known here"))?;
            return Ok(Caller::of(key, By::Key));
        }
        let now = u64::try_from(Utc::now().timestamp()).unwrap_or_default();
        let key = cookie(headers).and_then(|cookie| self.sessions.open(cookie, &self.keys, now));
        Ok(key.map_or_else(Caller::nobody, |key| Caller::of(key, By::Session)))
    }

    fn allowed(
        &self,
        caller: &Caller,
        needed: Option<Role>,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<(), Problem> {
        // A session that is made or ended, too, is made or ended by our own page.
        let acts = rules::changes(method) || headers.contains_key(header::UPGRADE);
        if acts && (caller.by.is_sent_along() || needed.is_none()) && !self.origins.trusts(headers) {
            return Err(forbidden(
                "this request comes from a page of another site; celeriac.api.cors_origins lists those that may call",
            ));
        }
        let Some(needed) = needed else { return Ok(()) };
        let (Some(name), Some(role)) = (&caller.name, caller.role) else {
            return Err(unauthorized("send an API key: Authorization: Bearer KEY, or X-API-Key: KEY"));
        };
        self.limit.take(name, Instant::now()).map_err(too_often)?;
        if caller.by == By::Session && rules::changes(method) && !headers.contains_key(OWN_HEADER) {
            return Err(forbidden("with a session, what changes something needs the header X-Celeriac-Request: 1"));
        }
        if role < needed {
            let text = format!("this needs the role {}, and {name} has {}", needed.as_str(), role.as_str());
            return Err(forbidden(text));
        }
        if self.read_only && rules::is_write(method, path) {
            return Err(forbidden("this service is read-only: nothing can be changed through it"));
        }
        Ok(())
    }
}

/// The key a request sends.
fn key_of(headers: &HeaderMap) -> Option<&str> {
    if let Some(sent) = headers.get(header::AUTHORIZATION) {
        // What is no bearer is a wrong key, and not none.
        let sent = sent.to_str().unwrap_or_default();
        let (scheme, key) = sent.split_once(' ').unwrap_or((sent, ""));
        return Some(if scheme.eq_ignore_ascii_case("bearer") { key.trim() } else { "" });
    }
    headers.get("x-api-key").map(|sent| sent.to_str().unwrap_or_default())
}

/// The session a request brings along.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == session::COOKIE).map(|(_, value)| value)
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
}

fn forbidden(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden", detail)
}

fn too_often(wait: std::time::Duration) -> Problem {
    let seconds = wait.as_secs() + 1;
    let text = format!("this key calls more often than celeriac.api.rate_limit_per_minute; try again in {seconds} s");
    Problem { retry_after: Some(seconds), ..Problem::new(StatusCode::TOO_MANY_REQUESTS, "busy", text) }
}

/// The answer to who may not: a person who looks at a page is led to where he can log in.
fn refused(problem: Problem, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
    if problem.status() != StatusCode::UNAUTHORIZED {
        return problem.into_response();
    }
    let wants_page =
        headers.get(header::ACCEPT).and_then(|kinds| kinds.to_str().ok()).is_some_and(|kinds| kinds.contains("text/html"));
    let is_page = ["/v1/", "/api/"].iter().all(|root| !uri.path().starts_with(root));
    if *method == Method::GET && wants_page && is_page && key_of(headers).is_none() {
        let (root, wanted) = (prefix::told(headers), uri.path_and_query().map_or("/", |wanted| wanted.as_str()));
        let next = format!("{root}{wanted}");
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", &next).finish();
        return Redirect::to(&format!("{root}/login?{query}")).into_response();
    }
    ([(header::WWW_AUTHENTICATE, "Bearer realm=\"celeriac\"")], problem).into_response()
}

fn deed(caller: &Caller, address: Option<String>, method: &Method, uri: &Uri, answer: &Response) -> Deed {
    // Who logs in is known only after his route.
    let caller = answer.extensions().get::<Caller>().unwrap_or(caller);
    let path = uri.path_and_query().map_or_else(String::new, |path| path.as_str().chars().take(PATH_KEPT).collect());
    Deed {
        at: timestamp::format(&Utc::now()),
        who: caller.name.clone(),
        role: caller.role,
        address,
        method: method.to_string(),
        path,
        status: answer.status().as_u16(),
        made: answer.headers().get(header::LOCATION).and_then(|place| place.to_str().ok()).map(str::to_owned),
    }
}

/// Marks an answer with who is known since it.
pub(super) fn known_since(key: &Key, extensions: &mut Extensions) {
    extensions.insert(Caller::of(key, By::Session));
}

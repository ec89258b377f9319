//! What only admins are shown: how the service is set up, whether all it needs is there, and who did what.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::super::Api;
use super::super::about::{Route, Shown};
use super::super::auth::Deed;
use super::super::problem::Problem;
use super::place::Shell;
use super::system::{Tab, tabs};
use super::words::NOTHING;
use super::{answer, wrong};
use crate::doctor::{Check, Status};

/// How many deeds are shown.
const DEEDS: usize = 200;
/// How much of a value is shown.
const LONGEST: usize = 200;

/// The page for who may not see it.
fn kept(shell: &Shell) -> Response {
    wrong(shell, Problem::new(StatusCode::FORBIDDEN, "forbidden", "this page is for admins: log in with a key of that role"))
}

#[derive(Template)]
#[template(path = "settings.html")]
struct Settings<'a> {
    shell: &'a Shell,
    tabs: Vec<Tab>,
    file: &'a str,
    said: Vec<Line>,
    defaults: Vec<Line>,
    routes: Vec<Route>,
    default_queue: String,
}

/// A setting.
#[derive(Debug)]
struct Line {
    name: String,
    value: String,
    origin: String,
}

impl From<Shown> for Line {
    fn from(shown: Shown) -> Self {
        let text = match shown.value {
            Value::Null => NOTHING.to_owned(),
            Value::String(text) => text,
            other => other.to_string(),
        };
        let value = if text.chars().count() > LONGEST { text.chars().take(LONGEST).chain(['…']).collect() } else { text };
        Self { name: shown.name, value, origin: shown.origin }
    }
}

pub(super) async fn settings(State(api): State<Api>, shell: Shell) -> Response {
    if !shell.powers.inspect {
        return kept(&shell);
    }
    let (defaults, said): (Vec<Shown>, Vec<Shown>) = api.about.settings().into_iter().partition(|shown| shown.default);
    let (routes, default_queue) = api.about.routes();
    let lines = |shown: Vec<Shown>| shown.into_iter().map(Line::from).collect();
    let page = Settings {
        shell: &shell,
        tabs: tabs(&shell, "/settings"),
        file: api.about.file().unwrap_or_default(),
        said: lines(said),
        defaults: lines(defaults),
        routes,
        default_queue,
    };
    answer(&shell, Ok(page))
}

#[derive(Template)]
#[template(path = "doctor.html")]
struct Doctor<'a> {
    shell: &'a Shell,
    tabs: Vec<Tab>,
    checks: Vec<Finding>,
}

/// A finding, as a badge has it.
#[derive(Debug)]
struct Finding {
    tone: &'static str,
    word: &'static str,
    check: Check,
}

fn finding(check: &Check) -> Finding {
    let (tone, word) = match check.status {
        Status::Ok => ("ok", "ok"),
        Status::Warn => ("partial", "warning"),
        Status::Fail => ("failed", "fails"),
    };
    Finding { tone, word, check: check.clone() }
}

pub(super) async fn doctor(State(api): State<Api>, shell: Shell) -> Response {
    if !shell.powers.inspect {
        return kept(&shell);
    }
    let page = api.about.checks().await.map(|checks| Doctor {
        shell: &shell,
        tabs: tabs(&shell, "/doctor"),
        checks: checks.iter().map(finding).collect(),
    });
    answer(&shell, page)
}

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit<'a> {
    shell: &'a Shell,
    tabs: Vec<Tab>,
    deeds: Vec<Done>,
}

/// Something somebody did.
#[derive(Debug)]
struct Done {
    deed: Deed,
    who: String,
    role: &'static str,
    clock: String,
    /// How it went.
    tone: &'static str,
}

impl From<Deed> for Done {
    fn from(deed: Deed) -> Self {
        Self {
            who: deed.who.clone().unwrap_or_else(|| NOTHING.to_owned()),
            role: deed.role.map_or("", super::super::auth::Role::as_str),
            clock: deed.at.get(..19).unwrap_or(&deed.at).replace('T', " "),
            tone: if deed.status < 400 { "ok" } else { "failed" },
            deed,
        }
    }
}

pub(super) async fn audit(State(api): State<Api>, shell: Shell) -> Response {
    if !shell.powers.inspect {
        return kept(&shell);
    }
    let deeds = api.access.deeds(DEEDS).await;
    let page = deeds.map(|deeds| Audit {
        shell: &shell,
        tabs: tabs(&shell, "/audit"),
        deeds: deeds.into_iter().map(Done::from).collect(),
    });
    answer(&shell, page)
}

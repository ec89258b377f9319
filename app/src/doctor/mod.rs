//! `doctor`: looks at everything documents need, one line each, and says how to get what is missing.

mod archive;
mod pages;
mod programs;
mod queues;
mod redis;
mod store;

use std::fmt::Write as _;

use celeriac::cli::settings::Surroundings;
use celeriac::cli::terminal::{colors, print, print_json};
use celeriac::cli::{Exit, Failure, GlobalArgs};
use celeriac::config::{Effect, Env, Loaded, Origin};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::args::DoctorArgs;
use crate::settings::{Analysis, Audio, Documents, load};

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// It is there.
    Ok,
    /// Something will not work, or not well.
    Warn,
    /// What was asked for cannot work.
    Fail,
}

/// One line.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Check {
    /// What was looked at.
    pub(crate) name: &'static str,
    /// How well it is.
    pub(crate) status: Status,
    /// What was found.
    pub(crate) detail: String,
    /// How to get what is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<String>,
}

impl Check {
    fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, detail: detail.into(), fix: None }
    }

    fn warn(name: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, status: Status::Warn, detail: detail.into(), fix: Some(fix.into()) }
    }

    fn fail(name: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, status: Status::Fail, detail: detail.into(), fix: Some(fix.into()) }
    }
}

/// Runs all checks; 0 when none failed, 1 otherwise.
pub(crate) fn run(args: &DoctorArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    let around = Surroundings::read(global)?;
    let (loaded, configuration) = configuration(&around, global)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Failure, "cannot start").why(error))?;
    let mut checks = vec![configuration];
    checks.extend(runtime.block_on(look(&loaded, &around.env))?);

    let worst = if checks.iter().any(|check| check.status == Status::Fail) { Exit::Failure } else { Exit::Ok };
    if global.json {
        print_json(&json!({"ok": worst == Exit::Ok, "version": env!("CARGO_PKG_VERSION"), "checks": checks}))?;
    } else {
        let terminal = std::io::IsTerminal::is_terminal(&std::io::stdout());
        print(&lines(&checks, args.fix_hints, colors(&around.env, global.no_color, terminal)))?;
    }
    Ok(worst)
}

/// A wrong file is the first finding; the rest is then looked at as the environment alone has it.
fn configuration(around: &Surroundings, global: &GlobalArgs) -> Result<(Loaded, Check), Failure> {
    let name = "configuration";
    match load(around, global, Vec::new()) {
        Ok(loaded) => {
            let file = around.file.as_ref().map_or("no file, environment and defaults", |(name, _)| name);
            let inert = loaded
                .values
                .iter()
                .filter(|value| value.origin != Origin::Default && value.setting.effect != Effect::Works)
                .count();
            let mut detail = file.to_owned();
            if inert > 0 {
                let _ = write!(detail, ", {inert} settings without effect yet (`celeriac config check` names them)");
            }
            Ok((loaded, Check::ok(name, detail)))
        }
        Err(failure) => {
            let alone = Surroundings { env: around.env.clone(), file: None };
            let Ok(loaded) = load(&alone, global, Vec::new()) else { return Err(failure) };
            let text = failure.to_string().replace("error: ", "").replace('\n', "; ");
            Ok((loaded, Check::fail(name, text, "correct it; `celeriac config show --all` has the names")))
        }
    }
}

/// Everything but the configuration itself.
pub(crate) async fn look(loaded: &Loaded, env: &Env) -> Result<Vec<Check>, Failure> {
    let documents: Documents = loaded.table(Documents::TABLE.path)?;
    let analysis: Analysis = loaded.table(Analysis::TABLE.path)?;
    let audio: Audio = loaded.table(Audio::TABLE.path)?;
    let mut checks = redis::checks(loaded).await;
    checks.extend(queues::check(loaded).await);
    checks.push(pages::pdfium(loaded, env, &documents).await);
    checks.push(programs::ocr(&documents).await);
    checks.push(programs::speech(&audio).await);
    checks.push(programs::encoder(&audio).await);
    checks.push(store::check(loaded).await);
    checks.extend(store::disk(loaded).await);
    checks.push(archive::check(loaded).await);
    checks.push(model(&analysis));
    if env.contains_key("MONGODB_URI") {
        checks.push(Check::warn(
            "mongodb",
            "MONGODB_URI is set and not used",
            "live jobs are in Redis, pages and results in the store",
        ));
    }
    Ok(checks)
}

fn model(analysis: &Analysis) -> Check {
    let name = "analysis";
    let configured = analysis.api_key.is_some() || analysis.base_url.is_some();
    match (analysis.provider.as_str(), configured) {
        ("openai", false) => {
            Check::fail(name, "openai is chosen, without a key", "set OPENAI_API_KEY, or OPENAI_BASE_URL for a server of your own")
        }
        ("openai" | "auto", true) => Check::ok(name, format!("openai, model {}", analysis.model)),
        ("none", _) => Check::ok(name, "off"),
        _ => Check::ok(name, "extractive, offline (OPENAI_API_KEY would bring a language model)"),
    }
}

fn lines(checks: &[Check], all_hints: bool, color: bool) -> String {
    let mut text = String::new();
    for check in checks {
        let (word, paint) = match check.status {
            Status::Ok => ("ok", "\x1b[32m"),
            Status::Warn => ("warn", "\x1b[33m"),
            Status::Fail => ("FAIL", "\x1b[1;31m"),
        };
        let (on, off) = if color { (paint, "\x1b[0m") } else { ("", "") };
        let _ = writeln!(text, "{on}{word:<5}{off}{:<14} {}", check.name, check.detail);
        if let Some(fix) = check.fix.as_ref().filter(|_| all_hints || check.status != Status::Ok) {
            let _ = writeln!(text, "{:20}fix: {fix}", "");
        }
    }
    text
}

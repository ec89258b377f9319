//! `healthcheck`: whether what runs here is well, for whoever asks by exit code: 0 or 1, within five seconds.

use std::time::Duration;

use celeriac::app::App;
use celeriac::cli::settings::Surroundings;
use celeriac::cli::terminal::print;
use celeriac::cli::{Exit, Failure, GlobalArgs, hostname};
use celeriac::config::Loaded;
use celeriac::control::{CallOptions, Matcher};
use celeriac::protocol::Map;

use crate::args::HealthcheckArgs;
use crate::settings::{Api, load};

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a service, or a worker, may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

pub(crate) fn run(args: &HealthcheckArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    // Whoever asks by exit code knows two: whatever is wrong is 1.
    let sick = |mut failure: Failure| {
        failure.exit = Exit::Failure;
        failure
    };
    let loaded = load(&Surroundings::read(global)?, global, Vec::new()).map_err(sick)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Failure, "cannot start").why(error))?;
    let well = runtime.block_on(async {
        let asked = tokio::time::timeout(PATIENCE, well(args, &loaded)).await;
        asked.unwrap_or_else(|_| Err(Failure::new(Exit::Failure, "no answer within 5 s")))
    });
    runtime.shutdown_background();
    let who = well.map_err(sick)?;
    if !global.quiet {
        print(&format!("{who} is well\n"))?;
    }
    Ok(Exit::Ok)
}

/// Who answered that he is well.
async fn well(args: &HealthcheckArgs, loaded: &Loaded) -> Result<String, Failure> {
    celeriac_tasks::tls::use_ring();
    match (&args.worker, &args.api) {
        (Some(name), _) => worker(loaded, name).await,
        (None, Some(url)) => service(url).await.map_err(|why| sick_service(url, why)),
        (None, None) => whoever(loaded).await,
    }
}

/// Whoever runs here: the service where one listens, else a worker of this host.
async fn whoever(loaded: &Loaded) -> Result<String, Failure> {
    let settings: Api = loaded.table(Api::TABLE.path)?;
    let host = match settings.host.as_str() {
        "0.0.0.0" => "127.0.0.1".to_owned(),
        "::" => "[::1]".to_owned(),
        host if host.contains(':') => format!("[{host}]"),
        host => host.to_owned(),
    };
    let url = format!("http://{host}:{}", settings.port);
    match service(&url).await {
        Ok(well) => Ok(well),
        Err(Sick::Answered(why)) => Err(sick_service(&url, Sick::Answered(why))),
        Err(Sick::Silent(why)) => {
            let pattern =
                CallOptions { pattern: Some((format!("*@{}", escaped(&hostname())), Matcher::Glob)), ..CallOptions::default() };
            ping(loaded, &pattern).await.map_err(|failure| {
                failure.fix(format!("no service listens on {url} either ({why}); name one with --api or --worker"))
            })
        }
    }
}

/// Why a service is not well.
enum Sick {
    /// It says so itself.
    Answered(String),
    /// It does not answer.
    Silent(String),
}

fn sick_service(url: &str, sick: Sick) -> Failure {
    let (Sick::Answered(why) | Sick::Silent(why)) = sick;
    Failure::new(Exit::Failure, format!("the service at {url} is not well")).why(why)
}

async fn service(url: &str) -> Result<String, Sick> {
    let silent = |error: reqwest::Error| Sick::Silent(celeriac::cli::exit::chain(&error.without_url()));
    // A proxy of the environment does not stand between us and ourselves.
    let client = reqwest::Client::builder().timeout(ANSWER).no_proxy().build().map_err(silent)?;
    let answer = client.get(format!("{}/readyz", url.trim_end_matches('/'))).send().await.map_err(silent)?;
    let status = answer.status();
    if status.is_success() {
        return Ok(format!("the service at {url}"));
    }
    let said = answer.text().await.unwrap_or_default();
    Err(Sick::Answered(format!("{status}: {}", said.chars().take(200).collect::<String>())))
}

async fn worker(loaded: &Loaded, name: &str) -> Result<String, Failure> {
    let name = if name.contains('@') { name.to_owned() } else { format!("celery@{name}") };
    let options = CallOptions { destination: vec![name.replace("%h", &hostname())], ..CallOptions::default() };
    ping(loaded, &options).await
}

async fn ping(loaded: &Loaded, options: &CallOptions) -> Result<String, Failure> {
    let app = App::builder(loaded.settings.clone()).connect()?;
    let options = CallOptions { timeout: ANSWER, limit: Some(1), ..options.clone() };
    let replies = app.control().call("ping", Map::default(), &options).await?;
    let who = replies.into_iter().next().map(|(name, _)| format!("worker {name}"));
    who.ok_or_else(|| {
        let asked = options.destination.first().cloned().or_else(|| Some(options.pattern.as_ref()?.0.clone()));
        Failure::new(Exit::Failure, format!("no worker {} answers", asked.unwrap_or_default()))
    })
}

/// A name of a host in a pattern.
fn escaped(host: &str) -> String {
    host.chars().map(|c| if matches!(c, '*' | '?' | '[') { format!("[{c}]") } else { c.to_string() }).collect()
}

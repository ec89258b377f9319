//! `serve`: the HTTP service. It hands in jobs and tells of them; workers do the work, elsewhere or, with `--with-worker`, here.

mod about;
mod auth;
mod compat;
mod document;
mod extract;
mod health;
mod intake;
mod metrics;
mod prefix;
mod problem;
mod range;
mod router;
mod ui;
mod v1;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use celeriac::cli::logging;
use celeriac::cli::settings::Surroundings;
use celeriac::cli::{Exit, Failure, GlobalArgs, terminal};
use futures::FutureExt;
use tokio::net::TcpListener;

use crate::archive::{self, Archive};
use crate::args::ServeArgs;
use crate::jobs::Desk;
use crate::metrics::Metrics;
use crate::settings::{Alerts, Api as ApiSettings, Documents, Features, Retention, Webhooks, load};
use crate::upkeep::{self, Teller};
use crate::worker::LocalWorker;

use self::about::About;
pub(crate) use self::router::router;

/// What every route has.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    /// Who may call.
    pub(crate) access: Arc<auth::Access>,
    pub(crate) desk: Desk,
    /// What this service was started with.
    pub(crate) about: Arc<About>,
    /// The name of the worker in this process, if there is one.
    pub(crate) own_worker: Option<&'static str>,
    /// How documents are split unless a job says otherwise.
    pub(crate) documents: Arc<Documents>,
    /// The largest file that is taken in a form.
    pub(crate) max_upload_bytes: u64,
    /// The same for `/api/documents/async-upload`.
    pub(crate) async_upload_max_bytes: u64,
    /// The largest JSON body with documents in it.
    pub(crate) max_json_bytes: u64,
    pub(crate) metrics: Metrics,
    /// Under which path the dashboard is; `None`: there is none.
    pub(crate) ui: Option<Arc<str>>,
}

/// What the worker in this process is called.
const OWN_WORKER: &str = "celery@serve";
/// How long requests may go on after the first signal.
const GRACE: Duration = Duration::from_secs(20);

/// Serves until a signal comes.
pub(crate) fn run(args: &ServeArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    run_until(&Surroundings::read(global)?, args, global, std::future::pending(), GRACE)
}

/// The same in these surroundings, until a signal comes or something else; requests may go on for the grace then.
pub(crate) fn run_until(
    around: &Surroundings,
    args: &ServeArgs,
    global: &GlobalArgs,
    stop: impl Future<Output = ()> + Send + 'static,
    grace: Duration,
) -> Result<Exit, Failure> {
    let loaded = load(around, global, args.settings())?;
    logging::install(&logging::options(&loaded, around, global, &["celeriac"]))?;
    let settings: ApiSettings = loaded.table(ApiSettings::TABLE.path)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Failure, "cannot start").why(error))?;
    let exit = runtime.block_on(async {
        let access = Arc::new(auth::Access::open(&loaded, args.insecure).await?);
        let (desk, readable) = Desk::open(&loaded, &around.env)?;
        let mut worker = match args.with_worker {
            true => Some(LocalWorker::start(&loaded, &around.env, &desk.app, readable, OWN_WORKER)?),
            false => None,
        };
        let desk = match archive::url(&loaded)? {
            Some(url) => desk.with_archive(Archive::open(&url).await?),
            None => desk,
        };
        let (webhooks, kept): (Webhooks, Retention) = (loaded.table(Webhooks::TABLE.path)?, loaded.table(Retention::TABLE.path)?);
        let metrics = Metrics::new(loaded.settings.celeriac.metrics_celery_compat, desk.counts.as_ref());
        // Ends with this block.
        let teller = Teller::new(&webhooks, metrics.deliveries());
        let mut upkeep = upkeep::start(&desk, teller.clone(), kept.completed_count);
        if loaded.table::<Features>(Features::TABLE.path)?.alerts {
            let limits: Alerts = loaded.table(Alerts::TABLE.path)?;
            upkeep.spawn(upkeep::alerts::Watch::new(&desk, &teller, limits, &loaded.settings)?.run());
        }
        upkeep.spawn(metrics.clone().count(desk.clone()));
        let listener = listen(&settings).await?;
        let documents = Arc::new(loaded.table(Documents::TABLE.path)?);
        let megabytes = |megabytes: u64| megabytes.saturating_mul(1_000_000);
        let api = Api {
            access,
            desk,
            about: Arc::new(About::new(&loaded, &around.env, around.file.as_ref().map(|(name, _)| name.clone()))),
            own_worker: args.with_worker.then_some(OWN_WORKER),
            documents,
            max_upload_bytes: megabytes(settings.max_upload_mb),
            async_upload_max_bytes: megabytes(settings.async_upload_max_mb),
            max_json_bytes: megabytes(settings.max_json_mb),
            metrics,
            ui: (!args.no_ui).then(|| settings.ui_path.as_str().into()),
        };
        serve(listener, api, &mut worker, stop, grace).await
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    exit
}

async fn listen(settings: &ApiSettings) -> Result<TcpListener, Failure> {
    let place = format!("{}:{}", settings.host, settings.port);
    TcpListener::bind((settings.host.as_str(), settings.port)).await.map_err(|error| {
        Failure::new(Exit::Failure, format!("cannot listen on {place}"))
            .why(error)
            .fix("choose another --host or --port, or end what listens there")
    })
}

async fn serve(
    listener: TcpListener,
    api: Api,
    worker: &mut Option<LocalWorker>,
    stop: impl Future<Output = ()> + Send + 'static,
    grace: Duration,
) -> Result<Exit, Failure> {
    let address = listener.local_addr().map_err(|error| Failure::new(Exit::Failure, "cannot listen").why(error))?;
    // Who starts us with port 0 reads the port here.
    terminal::print(&format!("listening on http://{address}\n"))?;
    tracing::info!(%address, "serving");
    let service = router(api).into_make_service_with_connect_info::<SocketAddr>();
    let stopped = async move {
        tokio::select! {
            () = signalled() => {}
            () = stop => {}
        }
    };
    let stopped = stopped.boxed().shared();
    let served = axum::serve(listener, service).with_graceful_shutdown(stopped.clone());
    tokio::select! {
        ended = served => ended.map_err(|error| Failure::new(Exit::Failure, "serving broke down").why(error))?,
        () = async { stopped.await; tokio::time::sleep(grace).await } => tracing::warn!("requests were cut off"),
        stopped = LocalWorker::stopped(worker) => return Err(stopped),
    }
    if let Some(worker) = worker.take() {
        worker.stop().await;
    }
    Ok(Exit::Ok)
}

/// TERM or Ctrl-C.
async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = term.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

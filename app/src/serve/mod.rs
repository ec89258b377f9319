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
mod request_id;
mod router;
mod ui;
mod v1;

use std::future::IntoFuture;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use celeriac::cli::logging;
use celeriac::cli::settings::Surroundings;
use celeriac::cli::{Exit, Failure, GlobalArgs, terminal};
use celeriac::config::{Loaded, Seconds};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

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
    /// Who tells others of a job's end.
    pub(crate) teller: Teller,
    /// Under which path the dashboard is; `None`: there is none.
    pub(crate) ui: Option<Arc<str>>,
    /// When the store last answered.
    pub(crate) store_answered: Arc<Mutex<Option<Instant>>>,
    /// Cancelled when the service begins to stop: what would go on without an end ends then.
    pub(crate) stopping: CancellationToken,
}

/// What the worker in this process is called.
const OWN_WORKER: &str = "celery@serve";
/// How long requests may go on after the first signal, at most.
const REQUESTS_GRACE: Duration = Duration::from_secs(20);

/// Serves until a signal comes.
pub(crate) fn run(args: &ServeArgs, global: &GlobalArgs) -> Result<Exit, Failure> {
    run_until(&Surroundings::read(global)?, args, global, std::future::pending(), None)
}

/// The same in these surroundings, until a signal comes or something else; the stop takes no longer than the grace, whatever the settings
/// say.
pub(crate) fn run_until(
    around: &Surroundings,
    args: &ServeArgs,
    global: &GlobalArgs,
    stop: impl Future<Output = ()> + Send + 'static,
    grace: Option<Duration>,
) -> Result<Exit, Failure> {
    let mut loaded = load(around, global, args.settings())?;
    if let Some(grace) = grace {
        loaded.settings.celeriac.shutdown_grace = Some(Seconds::new(grace.as_secs_f64()));
    }
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
            None => {
                tracing::warn!(
                    "finished jobs are not archived: the store is no folder; set DATABASE_URL to sqlite:FILE or postgres://…"
                );
                desk
            }
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
            teller,
            ui: (!args.no_ui).then(|| settings.ui_path.as_str().into()),
            store_answered: Arc::default(),
            stopping: CancellationToken::new(),
        };
        serve(listener, api, &mut worker, stop, requests_grace(&loaded)).await
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

/// Of what a stop may take, what requests may: the rest is for the answers to leave and for the worker to hand back.
fn requests_grace(loaded: &Loaded) -> Duration {
    let whole = loaded.settings.celeriac.shutdown_grace.and_then(Seconds::limit);
    whole.map_or(REQUESTS_GRACE, |whole| REQUESTS_GRACE.min(whole * 2 / 3))
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
    let stopping = api.stopping.clone();
    let service = router(api).into_make_service_with_connect_info::<SocketAddr>();
    let mut served = axum::serve(listener, service).with_graceful_shutdown(stopping.clone().cancelled_owned()).into_future();
    tokio::select! {
        ended = &mut served => return ended.map(|()| Exit::Ok).map_err(|error| broke_down(&error)),
        () = signalled() => {}
        () = stop => {}
        stopped = LocalWorker::stopped(worker) => return Err(stopped),
    }
    stopping.cancel();
    let requests = async {
        match tokio::time::timeout(grace, served).await {
            Ok(ended) => ended.map_err(|error| broke_down(&error)),
            Err(_) => {
                tracing::warn!("requests were cut off");
                Ok(())
            }
        }
    };
    let work = async {
        if let Some(worker) = worker.take() {
            worker.finish(signalled).await;
        }
    };
    tokio::join!(requests, work).0?;
    Ok(Exit::Ok)
}

fn broke_down(error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failure, "serving broke down").why(error)
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

//! A worker for all queues in this process, for a command that brings its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use celeriac::app::App;
use celeriac::cli::{Exit, Failure};
use celeriac::config::{Env, Loaded};
use celeriac::pool::ChildPool;
use celeriac::worker::{Shutdown, StopReason, Worker, WorkerOptions};
use celeriac_tasks::pipeline::QUEUES;
use tokio::task::{JoinError, JoinSet};

use crate::resources;

const CHILDREN_GRACE: Duration = Duration::from_millis(500);
/// Within this time the same signal counts once: process managers send one to a whole group, and shells pass it on.
const ONCE: Duration = Duration::from_millis(200);

/// The worker.
pub(crate) struct LocalWorker {
    shutdown: Shutdown,
    children: Arc<ChildPool>,
    ended: JoinSet<celeriac::Result<StopReason>>,
}

impl LocalWorker {
    /// Starts it; its children may read these folders.
    pub(crate) fn start(loaded: &Loaded, env: &Env, app: &App, readable: Vec<PathBuf>, nodename: &str) -> Result<Self, Failure> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let concurrency = loaded.settings.concurrency(processors);
        let children = Arc::new(resources::children(loaded, env, readable, concurrency)?);
        let options = WorkerOptions {
            queues: QUEUES.map(str::to_owned).to_vec(),
            concurrency,
            nodename: nodename.to_owned(),
            children: Some(Arc::clone(&children)),
        };
        let shutdown = Shutdown::new();
        let mut ended = JoinSet::new();
        ended.spawn(Worker::new(app.clone(), options).run(shutdown.clone()));
        Ok(Self { shutdown, children, ended })
    }

    /// Ends it; what still runs is cut off.
    pub(crate) async fn stop(self) {
        self.shutdown.cold();
        self.end().await;
    }

    /// Ends it when what runs is finished, within the settings' grace; each further signal takes the stop a stage on.
    pub(crate) async fn finish<S: Future<Output = ()>>(self, signal: impl Fn() -> S) {
        let shutdown = self.shutdown.clone();
        shutdown.warm();
        let hurried = async {
            loop {
                tokio::time::sleep(ONCE).await;
                signal().await;
                shutdown.escalate();
            }
        };
        tokio::select! {
            ended = self.end() => match ended {
                Some(Ok(Ok(StopReason::Warm))) => tracing::info!("worker: stopped"),
                _ => tracing::warn!("worker: stopped, with tasks cut off"),
            },
            () = hurried => {}
        }
    }

    async fn end(mut self) -> Option<Result<celeriac::Result<StopReason>, JoinError>> {
        let ended = self.ended.join_next().await;
        self.children.close(CHILDREN_GRACE).await;
        ended
    }

    /// Why the worker ended by itself, which it should not; never without a worker.
    pub(crate) async fn stopped(worker: &mut Option<Self>) -> Failure {
        let Some(worker) = worker else { return std::future::pending().await };
        match worker.ended.join_next().await {
            Some(Ok(Err(error))) => error.into(),
            Some(Err(error)) => Failure::new(Exit::Failure, "the worker broke down").why(error),
            Some(Ok(Ok(_))) | None => Failure::new(Exit::Failure, "the worker stopped by itself"),
        }
    }
}

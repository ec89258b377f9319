//! Runs jobs: a worker of our own on the memory broker, or somebody else's over Redis, and in both cases one task to wait for.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use celeriac::app::App;
use celeriac::cli::{Exit, Failure, terminal};
use celeriac::protocol::meta::Meta;
use celeriac::protocol::signature::Signature;
use celeriac_tasks::error::DocumentError;
use celeriac_tasks::job::{Analysis, ProcessDocument};
use celeriac_tasks::ledger::{Ledger, Submission};
use celeriac_tasks::pipeline::{QUEUES, names};
use celeriac_tasks::source::{self, Source, SourceOptions};
use celeriac_tasks::store::Store;
use tokio::task::JoinSet;

use crate::jobs::{Asked, accepted};
use crate::worker::LocalWorker;
use crate::{model, pipeline};

use super::ended::Ended;
use super::progress::Display;
use super::sources::{From, Input};
use super::watch::Watch;
use super::{Plan, asked, deliver};

/// No document takes longer.
const FOR_EVER: Duration = Duration::from_secs(30 * 24 * 3600);
const NODENAME: &str = "celery@process";
/// The name under which the store has the password of a document that is submitted.
const BY_COMMAND: &str = "process";

/// An app with somebody to run its tasks.
pub(super) struct Runner {
    app: App,
    store: Store,
    ledger: Ledger,
    /// Our own worker; none with `--submit`.
    worker: Option<LocalWorker>,
}

/// What came first.
enum Waited {
    Result(Box<Meta>),
    Interrupted,
    Timeout,
}

impl Runner {
    pub(super) fn start(plan: &Plan<'_>) -> Result<Self, Failure> {
        let folders: Vec<PathBuf> = plan.inputs.iter().filter_map(Input::folder).collect();
        let pipeline = pipeline::build(plan.loaded, &plan.around.env, folders)?;
        if plan.asked.max_cost_usd.is_some() {
            let said = plan.asked.analysis.map(Analysis::as_str);
            model::countable(pipeline.unpriced.as_deref(), &pipeline.analyzer, said).map_err(Failure::usage)?;
        }
        let app = pipeline.app.connect()?;
        let worker = if plan.args.submit {
            None
        } else {
            Some(LocalWorker::start(plan.loaded, &plan.around.env, &app, pipeline.readable, NODENAME)?)
        };
        Ok(Self { app, store: pipeline.store, ledger: pipeline.ledger, worker })
    }

    /// Processes one document and puts its results where they belong.
    pub(super) async fn process(&mut self, plan: &Plan<'_>, input: &Input) -> Result<Ended, Failure> {
        let job_id = asked::job_id(plan.args, input);
        let asked = ProcessDocument { job_id: Some(job_id.clone()), file_name: Some(input.name.clone()), ..plan.asked.clone() };
        let mut asked = self.sourced(asked, input).await?;
        if self.worker.is_some() {
            // Nobody else's document waits here.
            asked.page_parallelism = Some(0);
        } else if let Some(password) = asked.password.take() {
            // Messages are read by more than workers.
            let kept = ProcessDocument::keep_password(&self.store, &job_id, BY_COMMAND, password).await;
            kept.map_err(|error| Failure::new(Exit::CannotWrite, format!("cannot submit {}", input.name)).why(error.message))?;
            asked.password_ref = Some(BY_COMMAND.to_owned());
        }
        if self.worker.is_none() {
            self.enter(&job_id, &asked).await?;
        }
        let begun = Instant::now();
        let call = Signature::new(names::DOCUMENT).with(&asked)?.queue(QUEUES[1]);
        let sent = self.app.send(plan.step.into_iter().fold(call, Signature::priority)).await?;
        let task_id = sent.id().to_owned();
        self.ledger.sent(&job_id).await.map_err(unreachable)?;
        if plan.args.no_wait {
            return Ok(Ended::submitted(input, job_id, task_id));
        }
        let mut display = display(plan, input);
        let waited = self.wait(plan, &job_id, &task_id, &mut display).await;
        display.finish();
        let hint = match plan.args.submit {
            true => format!("the job goes on; `celeriac process --submit --job-id {job_id}` with the same document waits for it"),
            false => "what is done is kept: with --resume the same command goes on from there".to_owned(),
        };
        match waited? {
            Waited::Result(meta) => {
                let ended = Ended::new(input, job_id, task_id, begun.elapsed(), &meta);
                deliver::deliver(plan, &self.store, input, ended).await
            }
            Waited::Interrupted => Err(Failure::new(Exit::Interrupted, format!("{} interrupted", input.name)).fix(hint)),
            Waited::Timeout => {
                Err(Failure::new(Exit::Timeout, format!("{} is not done within the time given", input.name)).fix(hint))
            }
        }
    }

    /// Enters a job for workers elsewhere, so that it is told of, and its document kept, while it waits for one.
    async fn enter(&self, job_id: &str, asked: &ProcessDocument) -> Result<(), Failure> {
        let call = ProcessDocument { job_id: None, ..asked.clone() };
        let submission = accepted(Asked { call, submission: Submission::default() });
        let submission = submission.map_err(|refusal| Failure::usage("cannot submit this").why(refusal.message().to_owned()))?;
        self.ledger.create(job_id, submission).await.map(drop).map_err(unreachable)
    }

    /// With its source in it. Workers elsewhere cannot read our files: those go through the store.
    async fn sourced(&self, mut asked: ProcessDocument, input: &Input) -> Result<ProcessDocument, Failure> {
        match &input.from {
            From::Url(url) => asked.url = Some(url.clone()),
            From::File(path) if self.worker.is_some() => asked.path = Some(path.clone()),
            From::File(path) => {
                let options = SourceOptions { allowed_folders: input.folder().into_iter().collect(), ..SourceOptions::default() };
                let stored = source::fetch(&Source::Path(path.clone()), &self.store, &options).await;
                let key = stored.and_then(|document| document.page_file(1)).map(|(key, ..)| key);
                let key =
                    key.map_err(|error| Failure::new(Exit::JobFailed, format!("cannot submit {}", input.name)).why(error.message))?;
                asked.store_key = Some(key.as_str().to_owned());
            }
        }
        Ok(asked)
    }

    async fn wait(&mut self, plan: &Plan<'_>, job_id: &str, task_id: &str, display: &mut Display) -> Result<Waited, Failure> {
        let mut watch = Watch::new(&self.ledger, job_id);
        let mut ticks = tokio::time::interval(Duration::from_millis(if self.worker.is_some() { 150 } else { 500 }));
        // A task of its own: it may hold what a look needs (the turn to connect) and must go on while we look.
        let mut result = JoinSet::new();
        let (app, id) = (self.app.clone(), task_id.to_owned());
        result.spawn(async move { app.result(&id, FOR_EVER).await });
        let deadline = plan.args.timeout.map_or(FOR_EVER, |seconds| Duration::try_from_secs_f64(seconds).unwrap_or(FOR_EVER));
        let mut deadline = std::pin::pin!(tokio::time::sleep(deadline));
        let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
        loop {
            // A look that another branch overtakes is only a look less.
            tokio::select! {
                biased;
                Some(meta) = result.join_next() => {
                    let meta = meta.map_err(|error| Failure::new(Exit::Failure, "waiting for the result broke down").why(error))?;
                    if let Some(last) = watch.look().await {
                        display.show(&last);
                    }
                    return Ok(Waited::Result(Box::new(meta?)));
                }
                _ = &mut interrupted => return Ok(Waited::Interrupted),
                () = &mut deadline => return Ok(Waited::Timeout),
                stopped = LocalWorker::stopped(&mut self.worker) => return Err(stopped),
                _ = ticks.tick() => {
                    if let Some(snapshot) = watch.look().await {
                        display.show(&snapshot);
                    }
                }
            }
        }
    }

    /// Ends our own worker; what still runs is cut off.
    pub(super) async fn stop(self) {
        if let Some(worker) = self.worker {
            worker.stop().await;
        }
    }
}

fn display(plan: &Plan<'_>, input: &Input) -> Display {
    if plan.global.quiet {
        Display::Silent
    } else if terminal::bars(&plan.around.env) {
        Display::bars(&plan.bars, &input.name)
    } else {
        Display::lines(&input.name)
    }
}

/// A failure of the ledger.
fn unreachable(error: DocumentError) -> Failure {
    Failure::new(Exit::TryLater, error.message).fix("`celeriac doctor` tells what is wrong")
}

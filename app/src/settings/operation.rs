//! Settings of the deployment: retention, features, and the pools of workers under the names of the sources.

use celeriac::config::{Kind, Seconds, Var};

use crate::jobs::{Level, Levels};

celeriac::settings! {
    /// How long things are kept.
    pub(crate) struct Retention at "celeriac.retention" {
        /// Seconds the record of a finished job is kept in the ledger; the archive keeps it on.
        completed_age: Seconds = Seconds::new(2_592_000.0), Kind::Seconds;
        /// How many jobs that have ended the ledger keeps at most, one of several documents as one; those that ended longest ago go first, once the archive has them. Their files stay as long as `artifacts_age` says.
        completed_count: u64 = 10_000, Kind::Integer(0, i64::MAX);
        /// Seconds the record of a failed or cancelled job is kept in the ledger.
        failed_age: Seconds = Seconds::new(2_592_000.0), Kind::Seconds;
        /// Seconds the events of a job that has ended are kept: for whoever looks at it live, and for its log.
        events_age: Seconds = Seconds::new(3600.0), Kind::Seconds;
        /// Seconds the images and texts of a job's pages are kept in the store, and the document that was handed in for it.
        artifacts_age: Seconds = Seconds::new(604_800.0), Kind::Seconds;
    }
}

celeriac::settings! {
    /// The HTTP service.
    pub(crate) struct Api at "celeriac.api" {
        /// Where it listens.
        host: String = "127.0.0.1".into(), Kind::Text;
        /// On which port; 0: any that is free.
        port: u16 = 8000, Kind::Integer(0, 65_535), env: &[Var::Is("PORT")];
        /// The most megabytes a file in a form may have.
        max_upload_mb: u64 = 500, Kind::Integer(1, 1_000_000);
        /// The same for `/api/documents/async-upload`.
        async_upload_max_mb: u64 = 50, Kind::Integer(1, 1_000_000);
        /// The most megabytes a JSON body with documents in it may have.
        max_json_mb: u64 = 1024, Kind::Integer(1, 1_000_000);
        /// Who may call: `NAME:ROLE:KEY` or `NAME:ROLE:sha256=HEX`, with a role of `read`, `operate`, `admin`; none: whoever is on this machine, for all.
        keys: Vec<String> = Vec::new(), Kind::Names, env: &[Var::Is("CELERIAC_API_KEYS")], secret: true;
        /// What sessions of people are signed with, the same for all services behind one address; none: they end with the service.
        session_secret: Option<String> = None, Kind::Text, env: &[Var::Is("CELERIAC_SESSION_SECRET")], secret: true;
        /// Seconds until somebody logs in again.
        session_age: Seconds = Seconds::new(43_200.0), Kind::Seconds;
        /// Origins whose pages may call with a key, as `https://HOST`.
        cors_origins: Vec<String> = Vec::new(), Kind::Names;
        /// How many requests a key may send a minute to one service; 0: any number.
        rate_limit_per_minute: u32 = 0, Kind::Integer(0, 1_000_000);
        /// Whether nothing can be changed through the service.
        read_only: bool = false, Kind::Flag;
        /// Whether `/metrics` is read without a key.
        metrics_open: bool = false, Kind::Flag;
        /// Under which path the dashboard is; it is not shown with `serve --no-ui`.
        ui_path: String = "/".into(), Kind::Text;
    }
}

celeriac::settings! {
    /// How urgent jobs are whose callers do not say, and how urgent they may be.
    pub(crate) struct Priority at "celeriac.priority" {
        /// Of the jobs of these users, as `{ ann = "high" }`.
        users: Levels = Levels::new(), Kind::Mapping;
        /// Of jobs with these tags, where the user says nothing; of several the most urgent.
        tags: Levels = Levels::new(), Kind::Mapping;
        /// Of jobs of these kinds (`document`, `ocr`, `nlp`, `validation`, `preprocessing`, `audio`), where neither user nor tag says anything.
        job_types: Levels = Levels::new(), Kind::Mapping;
        /// The most urgent that jobs of these users may be, whatever they say; `*`: of all others, and of nobody.
        most: Levels = Levels::new(), Kind::Mapping;
        /// What is done again by `retry` is no more urgent than this; `high`: as urgent as it was.
        again: Level = Level::low(), Kind::Any;
    }
}

celeriac::settings! {
    /// Where finished jobs are kept for good.
    pub(crate) struct ArchiveSettings at "celeriac.archive" {
        /// `sqlite:FILE`, or `postgres://…`; none: a file in the store, where the store is a folder.
        url: Option<String> = None, Kind::Url, env: &[Var::Is("DATABASE_URL")], secret: true;
    }
}

celeriac::settings! {
    /// Who is told that a job has ended.
    pub(crate) struct Webhooks at "celeriac.webhooks" {
        /// What deliveries are signed with; none: they are not signed.
        secret: Option<String> = None, Kind::Text, env: &[Var::Is("CELERIAC_WEBHOOK_SECRET")], secret: true;
        /// Whether private and loopback addresses, and `http`, may be told.
        allow_private: bool = false, Kind::Flag;
        /// How often a delivery is tried.
        attempts: u32 = 5, Kind::Integer(1, 100);
        /// How long one try may take, a minute at most.
        timeout: Seconds = Seconds::new(10.0), Kind::Seconds;
    }
}

celeriac::settings! {
    /// When somebody is alerted (`features.alerts`), and where.
    pub(crate) struct Alerts at "celeriac.alerts" {
        /// Who is told, signed as webhooks are; none: only the log.
        url: Option<String> = None, Kind::Url, secret: true;
        /// The share of pages that may fail within a minute.
        error_rate: f64 = 0.1, Kind::Number;
        /// How many messages may wait in a queue.
        queue_len: u64 = 10_000, Kind::Integer(1, i64::MAX);
        /// How often is looked; what is wrong at two looks in a row is told.
        every: Seconds = Seconds::new(15.0), Kind::Seconds;
    }
}

celeriac::settings! {
    /// What is switched on.
    pub(crate) struct Features at "features" {
        /// Whether workers size their pools: between the bounds of `[worker_pools.QUEUE]`, or between one slot and `worker_concurrency`.
        autoscaling: bool = false, Kind::Flag;
        /// Whether workers tell of their tasks, by events, `/metrics` and the line of figures in the log.
        monitoring: bool = true, Kind::Flag;
        /// Whether alerts are sent.
        alerts: bool = false, Kind::Flag;
    }
}

celeriac::settings! {
    /// The pool of one queue; `ocr`, `nlp`, `validation` and `preprocessing` stand for that of the pages.
    pub(crate) struct WorkerPool at "worker_pools.*" {
        /// The fewest slots, with `features.autoscaling`.
        min_workers: u32 = 1, Kind::Integer(0, 10_000);
        /// The most slots; without `features.autoscaling` their number.
        max_workers: u32 = 8, Kind::Integer(1, 10_000);
        /// Megabytes a child process may have before it is replaced.
        memory_limit: u64 = 1024, Kind::Integer(1, i64::MAX);
        /// The share of the processors above which the pool does not grow, with `features.autoscaling`.
        cpu_limit: f64 = 0.8, Kind::Number;
        /// Seconds a task of the queue may take.
        timeout: Seconds = Seconds::new(300.0), Kind::Seconds;
    }
}

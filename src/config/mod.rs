//! Settings: their table, and how a file, the environment and the command line become one of each.
//!
//! Nothing here reads a file or the environment: both are handed in.
//!
//! # Celery
//! Answers to `celery.app.defaults` and `celery.app.utils.Settings`. Names, meanings and defaults are Celery's; the form is
//! TOML (or JSON) instead of a Python module, since a Rust program cannot import one.

mod annotations;
mod beat;
mod celeriac;
mod convert;
mod env;
mod file;
mod inert;
mod load;
mod names;
mod origin;
pub mod redact;
mod routes;
mod sentinel;
mod settings;
#[doc(hidden)]
pub mod table;
mod transport;
mod values;
mod walk;

pub use annotations::{Annotation, TaskAnnotations};
pub use beat::{BeatEntry, BeatSchedule};
pub use celeriac::Celeriac;
pub use inert::{INERT, Inert};
pub use load::{CORE, ConfigFile, Loaded, Sources, Value, load};
pub use names::nearest;
pub use origin::{Origin, Problem, ProblemKind, Problems};
pub use routes::{QueueOptions, Route, TaskQueues, TaskRoutes};
pub use sentinel::SentinelKwargs;
pub use settings::Settings;
pub use table::{Effect, Env, Kind, Setting, Table, Var};
pub use transport::{BrokerTransportOptions, FanoutPrefix, PublishRetryPolicy, QueueOrder, ResultTransportOptions};
pub use values::{Autoscale, Concurrency, Rate, RateScope, Seconds};

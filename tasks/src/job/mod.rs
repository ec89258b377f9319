//! A job: what was asked for one document, how its pages are split, and how far it is. Plain data and pure functions.
//!
//! The record lies in the store as `jobs/<job_id>/job.json`; messages carry its id and a page number, nothing more.

mod password;
mod progress;
mod record;
mod request;
mod selection;
mod split;

pub use progress::{Batches, Progress};
pub use record::JobRecord;
pub use request::{Analysis, ProcessDocument, Wanted};
pub use selection::{Selection, SelectionError};
pub use split::{BatchSize, split};

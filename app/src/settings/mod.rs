//! The program's own tables of settings, and how all settings are loaded from what this process was given.

mod documents;
mod load;
mod operation;

use celeriac::config::Table;

pub(crate) use documents::{Analysis, Audio, Documents, Storage};
pub(crate) use load::{Surroundings, load};
pub(crate) use operation::WorkerPool;
use operation::{Features, Retention};

/// The program's tables.
pub(crate) const TABLES: &[Table] =
    &[Documents::TABLE, Analysis::TABLE, Audio::TABLE, Storage::TABLE, Retention::TABLE, Features::TABLE, WorkerPool::TABLE];

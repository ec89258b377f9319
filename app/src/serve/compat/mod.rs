//! The routes of the systems that this one takes over from, with their own shapes: who called them calls them on.

mod files;
mod large;
mod process;
mod uploads;

use axum::Router;

use super::Api;

/// All of them.
pub(super) fn routes() -> Router<Api> {
    large::routes().merge(uploads::routes()).merge(process::routes()).merge(files::routes())
}

//! The routes of the systems that this one takes over from, with their own shapes: who called them calls them on.

mod files;
mod large;
mod process;
mod uploads;

use axum::Router;

use super::Api;

/// All of them; `body_max` is the largest body with documents in it.
pub(super) fn routes(body_max: u64) -> Router<Api> {
    let body_max = usize::try_from(body_max).unwrap_or(usize::MAX);
    large::routes(body_max).merge(uploads::routes(body_max)).merge(process::routes(body_max)).merge(files::routes())
}

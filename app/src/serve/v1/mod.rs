//! The native API.

mod about;
mod ask;
mod cluster;
mod content;
mod events;
mod jobs;
mod log;
mod purge;
mod submit;
mod system;
mod workers;

use utoipa_axum::router::OpenApiRouter;

use super::Api;

/// All of it.
pub(super) fn routes() -> OpenApiRouter<Api> {
    submit::routes()
        .merge(jobs::routes())
        .merge(content::routes())
        .merge(events::routes())
        .merge(cluster::routes())
        .merge(log::routes())
        .merge(system::routes())
        .merge(workers::routes())
        .merge(about::routes())
        .merge(purge::routes())
}

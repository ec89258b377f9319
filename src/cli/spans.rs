//! Spans of a command that runs until it is stopped: made where the standard `OTEL_…` variables name an endpoint, sent to their last at the end.
//!
//! # Celery
//! Has none; `opentelemetry-instrument celery worker` does it there.

use super::exit::Failure;
use crate::app::AppBuilder;
use crate::config::Env;

/// What makes the spans of this process, if anything does.
#[derive(Debug, Default)]
pub(super) struct Spans {
    #[cfg(feature = "otel")]
    traces: Option<crate::traces::Traces>,
}

impl Spans {
    /// Makes spans if the environment asks for them.
    #[cfg(feature = "otel")]
    pub(super) fn begin(app: &mut AppBuilder, env: &Env) -> Result<Self, Failure> {
        let traces = crate::traces::Traces::from_env(env)?;
        if let Some(traces) = &traces {
            tracing::info!("spans go to the OTLP endpoint of the environment");
            app.traces(traces.clone());
        }
        Ok(Self { traces })
    }

    /// Without the feature there is nothing to make.
    #[cfg(not(feature = "otel"))]
    pub(super) fn begin(_: &mut AppBuilder, _: &Env) -> Result<Self, Failure> {
        Ok(Self::default())
    }

    /// Sends the last of them.
    pub(super) async fn end(self) {
        #[cfg(feature = "otel")]
        if let Some(traces) = self.traces {
            let mut sending = tokio::task::JoinSet::new();
            sending.spawn_blocking(move || traces.shutdown());
            sending.join_all().await;
        }
    }
}

//! What this service was started with, without its secrets, and whether all it needs is there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use celeriac::config::{Env, Loaded, Origin};
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use crate::doctor::{self, Check};
use crate::jobs::Refusal;

/// How long a look at everything is good: it starts programs and writes to the store.
const FRESH: Duration = Duration::from_secs(30);

/// What the service knows of itself.
pub(crate) struct About {
    loaded: Loaded,
    env: Env,
    /// The configuration file.
    file: Option<String>,
    /// What was found when it was looked last.
    checked: Mutex<Option<(Instant, Arc<Vec<Check>>)>>,
}

impl std::fmt::Debug for About {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("About").field("file", &self.file).finish_non_exhaustive()
    }
}

/// A setting.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Shown {
    /// Its name.
    pub(crate) name: String,
    /// Its value; of passwords and keys only that they are there.
    #[schema(value_type = serde_json::Value)]
    pub(crate) value: serde_json::Value,
    /// Where it was said.
    pub(crate) origin: String,
    /// Whether nobody said it.
    pub(crate) default: bool,
}

/// Where the messages of a task go.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Route {
    /// The task, or a pattern of tasks.
    pub(crate) task: String,
    /// The queue.
    pub(crate) queue: String,
}

impl About {
    pub(super) fn new(loaded: &Loaded, env: &Env, file: Option<String>) -> Self {
        Self { loaded: loaded.clone(), env: env.clone(), file, checked: Mutex::default() }
    }

    /// The configuration file, if there is one.
    pub(super) fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// Every setting.
    pub(super) fn settings(&self) -> Vec<Shown> {
        let shown = |value: &celeriac::config::Value| Shown {
            name: value.name.clone(),
            value: value.shown(),
            origin: value.origin.to_string(),
            default: value.origin == Origin::Default,
        };
        self.loaded.values.iter().map(shown).collect()
    }

    /// Where tasks go; what is not named goes to the default queue.
    pub(super) fn routes(&self) -> (Vec<Route>, String) {
        let settings = &self.loaded.settings;
        let default = &settings.task_default_queue;
        let queue = |route: &celeriac::config::Route| route.queue.clone().unwrap_or_else(|| default.clone());
        let routes = settings.task_routes.iter().map(|(task, route)| Route { task: task.to_string(), queue: queue(route) });
        (routes.collect(), default.clone())
    }

    /// What `celeriac doctor` finds here.
    pub(super) async fn checks(&self) -> Result<Arc<Vec<Check>>, Refusal> {
        // Who comes while another looks takes what he finds.
        let mut checked = self.checked.lock().await;
        if let Some((_, checks)) = checked.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(Arc::clone(checks));
        }
        let found = doctor::look(&self.loaded, &self.env).await.map_err(|failure| Refusal::Unavailable(failure.to_string()))?;
        let found = Arc::new(found);
        *checked = Some((Instant::now(), Arc::clone(&found)));
        Ok(found)
    }
}

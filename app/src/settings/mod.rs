//! The program's own tables of settings.

mod documents;
mod operation;
mod pools;

use celeriac::cli::settings::Surroundings;
use celeriac::cli::{Failure, GlobalArgs};
use celeriac::config::{Loaded, Table};

pub(crate) use documents::{Analysis, Audio, Documents, Storage};
pub(crate) use operation::{Alerts, Api, ArchiveSettings, Features, Priority, Retention, Webhooks, WorkerPool};
pub(crate) use pools::apply;

/// The program's tables.
pub(crate) const TABLES: &[Table] = &[
    Documents::TABLE,
    Analysis::TABLE,
    Audio::TABLE,
    Storage::TABLE,
    Api::TABLE,
    Priority::TABLE,
    ArchiveSettings::TABLE,
    Webhooks::TABLE,
    Retention::TABLE,
    Alerts::TABLE,
    Features::TABLE,
    WorkerPool::TABLE,
];

/// Loads all settings; `flags` are those of the command, by the settings' names.
pub(crate) fn load(around: &Surroundings, global: &GlobalArgs, flags: Vec<(String, String)>) -> Result<Loaded, Failure> {
    let mut loaded = celeriac::cli::settings::load(around, global, flags, TABLES)?;
    apply(&mut loaded, &around.env)?;
    Ok(loaded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use celeriac::cli::Exit;
    use celeriac::config::Env;

    fn around(text: &str) -> Surroundings {
        Surroundings { env: Env::new(), file: Some(("celery_config.toml".into(), text.into())) }
    }

    #[test]
    fn the_shipped_configuration_is_right() {
        let text = include_str!("../../../celery_config.toml");
        let loaded = load(&around(text), &GlobalArgs::default(), Vec::new()).unwrap();
        let queue = |task: &str| loaded.settings.task_routes.route(task).and_then(|route| route.queue.clone());
        for (task, expected) in [
            ("tasks.process_document", "document_orchestration"),
            ("tasks.process_batch", "batch_processing"),
            ("tasks.collect_batch", "batch_processing"),
            ("tasks.process_page", "page_processing"),
            ("tasks.aggregate_document", "document_orchestration"),
            ("tasks.summarize_document", "document_orchestration"),
            ("tasks.generate_audio", "audio_generation"),
        ] {
            assert_eq!(queue(task).as_deref(), Some(expected), "{task}");
        }
        let queues = ["default", "page_processing", "document_orchestration", "batch_processing", "audio_generation"];
        assert_eq!(loaded.settings.celeriac.queues, queues);
        assert_eq!(loaded.settings.task_default_queue, "default");
        assert!(loaded.settings.task_acks_late && loaded.settings.task_soft_time_limit < loaded.settings.task_time_limit);
        let pools: std::collections::BTreeMap<String, WorkerPool> = loaded.table("worker_pools").unwrap();
        assert_eq!(pools["page_processing"].max_workers, 8);
    }

    #[test]
    fn a_batch_size_is_a_sane_number_or_auto() {
        let load =
            |size: &str| load(&around(&format!("[celeriac.documents]\nbatch_size = {size}")), &GlobalArgs::default(), Vec::new());
        assert_eq!(load("0").unwrap_err().exit, Exit::Config);
        assert_eq!(load("\"some\"").unwrap_err().exit, Exit::Config);
        let documents: Documents = load("\"auto\"").unwrap().table("celeriac.documents").unwrap();
        assert_eq!(documents.batch_size, celeriac_tasks::job::BatchSize::Auto);
    }
}

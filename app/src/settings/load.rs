//! Loading: the file, the environment and the flags of this very process, handed to the library as data.

use std::path::PathBuf;

use celeriac::config::{self, ConfigFile, Env, Loaded, Origin, Sources};

use crate::args::GlobalArgs;
use crate::exit::{Exit, Failure};

use super::TABLES;

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "celery_config.toml";

/// What this process was given, read once.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// The environment. Variables that are not text are left out.
    pub(crate) env: Env,
    /// The configuration file's name and text, if there is one.
    pub(crate) file: Option<(String, String)>,
}

impl Surroundings {
    /// Reads the environment and the configuration file, after changing to `--workdir`.
    pub(crate) fn read(global: &GlobalArgs) -> Result<Self, Failure> {
        if let Some(dir) = &global.workdir {
            std::env::set_current_dir(dir)
                .map_err(|error| Failure::usage(format!("cannot change to {}", dir.display())).why(error))?;
        }
        let env =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
        Ok(Self { env, file: read_file(global)? })
    }
}

fn read_file(global: &GlobalArgs) -> Result<Option<(String, String)>, Failure> {
    let path = global.config.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path.display().to_string(), text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && global.config.is_none() => Ok(None),
        Err(error) => Err(Failure::new(Exit::Config, format!("cannot read the configuration {}", path.display()))
            .why(error)
            .fix("`celeriac config init` writes one")),
    }
}

/// Loads all settings; `flags` are those of the command, by the settings' names.
pub(crate) fn load(around: &Surroundings, global: &GlobalArgs, flags: Vec<(String, String)>) -> Result<Loaded, Failure> {
    let mut overrides = flags;
    for (name, value) in [("broker_url", &global.broker), ("result_backend", &global.result_backend)] {
        overrides.extend(value.clone().map(|value| (name.to_owned(), value)));
    }
    let file = around.file.as_ref().map(|(name, text)| ConfigFile { name, text });
    let mut loaded = config::load(&Sources { file, env: &around.env, overrides, tables: TABLES })?;
    results_beside_messages(&mut loaded);
    Ok(loaded)
}

/// Without a result backend there are no chords, and documents need them: results then go where the messages are.
fn results_beside_messages(loaded: &mut Loaded) {
    if loaded.settings.result_backend.is_some() {
        return;
    }
    loaded.settings.result_backend.clone_from(&loaded.settings.broker_url);
    let broker = loaded.settings.broker_url.clone();
    if let Some(value) = loaded.values.iter_mut().find(|value| value.name == "result_backend" && value.origin == Origin::Default) {
        value.value = broker.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Documents, WorkerPool};

    fn around(text: &str) -> Surroundings {
        Surroundings { env: Env::new(), file: Some(("celery_config.toml".into(), text.into())) }
    }

    #[test]
    fn results_go_where_the_messages_are_unless_told_otherwise() {
        let global = GlobalArgs { broker: Some("redis://r/1".into()), ..GlobalArgs::default() };
        let loaded = load(&around(""), &global, Vec::new()).unwrap();
        assert_eq!(loaded.settings.result_backend.as_deref(), Some("redis://r/1"));
        let loaded = load(&around("result_backend = \"redis://r/2\""), &global, Vec::new()).unwrap();
        assert_eq!(loaded.settings.result_backend.as_deref(), Some("redis://r/2"));
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

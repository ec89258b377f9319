//! Loading: the file, the environment and the flags of this very process, handed to [`crate::config`] as data.

use std::path::PathBuf;

use super::args::GlobalArgs;
use super::exit::{Exit, Failure};
use crate::config::{self, ConfigFile, Env, Loaded, Origin, Sources, Table};

/// The configuration file where none is named.
pub const DEFAULT_FILE: &str = "celery_config.toml";

/// What this process was given, read once.
#[derive(Debug)]
pub struct Surroundings {
    /// The environment. Variables that are not text are left out.
    pub env: Env,
    /// The configuration file's name and text, if there is one.
    pub file: Option<(String, String)>,
}

impl Surroundings {
    /// Reads the environment and the configuration file, after changing to `--workdir`.
    pub fn read(global: &GlobalArgs) -> Result<Self, Failure> {
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
            .fix("name another with --config")),
    }
}

/// Loads all settings; `flags` are those of the command, by the settings' names, and `tables` the program's own.
pub fn load(around: &Surroundings, global: &GlobalArgs, flags: Vec<(String, String)>, tables: &[Table]) -> Result<Loaded, Failure> {
    let mut overrides = flags;
    for (name, value) in [("broker_url", &global.broker), ("result_backend", &global.result_backend)] {
        overrides.extend(value.clone().map(|value| (name.to_owned(), value)));
    }
    let file = around.file.as_ref().map(|(name, text)| ConfigFile { name, text });
    let mut loaded = config::load(&Sources { file, env: &around.env, overrides, tables })?;
    results_beside_messages(&mut loaded);
    Ok(loaded)
}

/// Without a result backend there are no chords, and canvases need them: results then go where the messages are.
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

    #[test]
    fn results_go_where_the_messages_are_unless_told_otherwise() {
        let around = |text: &str| Surroundings { env: Env::new(), file: Some(("celery_config.toml".into(), text.into())) };
        let global = GlobalArgs { broker: Some("redis://r/1".into()), ..GlobalArgs::default() };
        let loaded = load(&around(""), &global, Vec::new(), &[]).unwrap();
        assert_eq!(loaded.settings.result_backend.as_deref(), Some("redis://r/1"));
        let loaded = load(&around("result_backend = \"redis://r/2\""), &global, Vec::new(), &[]).unwrap();
        assert_eq!(loaded.settings.result_backend.as_deref(), Some("redis://r/2"));
    }
}

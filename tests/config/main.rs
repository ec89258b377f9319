//! Loading of settings, from outside: precedence, typos, old names, secrets.
#![allow(clippy::unwrap_used, clippy::panic)]

use celeriac::config::{ConfigFile, Env, Loaded, Origin, Problem, ProblemKind, Sources, Table, load};

mod mistakes;
mod precedence;
mod reference;
mod secrets;

/// Settings from a TOML text, an environment and overrides.
struct Given {
    file: String,
    name: &'static str,
    env: Env,
    overrides: Vec<(String, String)>,
    tables: Vec<Table>,
}

fn file(text: &str) -> Given {
    Given { file: text.into(), name: "celery_config.toml", env: Env::new(), overrides: Vec::new(), tables: Vec::new() }
}

impl Given {
    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    fn flag(mut self, name: &str, value: &str) -> Self {
        self.overrides.push((name.into(), value.into()));
        self
    }

    fn load(&self) -> Result<Loaded, Vec<Problem>> {
        let file = Some(ConfigFile { name: self.name, text: &self.file });
        load(&Sources { file, env: &self.env, overrides: self.overrides.clone(), tables: &self.tables })
            .map_err(|problems| problems.0)
    }

    #[track_caller]
    fn loaded(&self) -> Loaded {
        self.load().unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    #[track_caller]
    fn problem(&self) -> Problem {
        let mut problems = self.load().map(|_| ()).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.remove(0)
    }
}

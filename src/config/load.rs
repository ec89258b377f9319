//! From all sources to one value for each setting, each with its origin.
//!
//! From the strongest to the weakest: the command line, the environment (a setting's own names in order, then the generic one, then
//! that of its whole table, which holds JSON), the file's part for this `ENVIRONMENT`, the file, the default. A table whose keys the user chooses (`task_routes`) is
//! replaced as a whole, never mixed from two sources.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::file::{self, Parsed};
use super::names::nearest;
use super::origin::{Origin, Problem, ProblemKind, Problems};
use super::table::{Effect, Env, Setting, Table, Var};
use super::walk::{Layers, Path, Walk, Written, find};
use super::{BrokerTransportOptions, Celeriac, PublishRetryPolicy, ResultTransportOptions, Settings, convert, env, redact};

/// The runtime's own tables.
pub const CORE: &[Table] =
    &[Settings::TABLE, BrokerTransportOptions::TABLE, ResultTransportOptions::TABLE, PublishRetryPolicy::TABLE, Celeriac::TABLE];

/// A configuration file, read by whoever may read files.
#[derive(Clone, Copy, Debug)]
pub struct ConfigFile<'a> {
    /// Its name, for messages; one that ends in `.json` holds JSON, all else is TOML.
    pub name: &'a str,
    /// What it holds.
    pub text: &'a str,
}

/// Everything that settings are loaded from.
#[derive(Clone, Debug)]
pub struct Sources<'a> {
    /// The file, if there is one.
    pub file: Option<ConfigFile<'a>>,
    /// The environment.
    pub env: &'a Env,
    /// Names and texts of the command line; see [`Loaded`] for the forms a name may have.
    pub overrides: Vec<(String, String)>,
    /// The program's own tables.
    pub tables: &'a [Table],
}

/// One setting's value and where it was found.
#[derive(Clone, Debug)]
pub struct Value {
    /// The full name.
    pub name: String,
    /// The value; secrets are in it, see [`shown`](Self::shown).
    pub value: Json,
    /// Where it was found.
    pub origin: Origin,
    /// What it is.
    pub setting: Setting,
}

impl Value {
    /// The value as it may be shown: without passwords and keys.
    pub fn shown(&self) -> Json {
        redact::setting(&self.setting, &self.value)
    }
}

/// Settings, loaded.
///
/// A name on the command line may be a setting's full name (`celeriac.lease`), Celery's dotted form (`worker.prefetch_multiplier`),
/// or, as for a worker, the rest of one that begins with `worker_` (`prefetch_multiplier`).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Loaded {
    /// The runtime's settings.
    pub settings: Settings,
    /// Every setting, the program's too, in the order of their tables.
    pub values: Vec<Value>,
    /// What a person should know, although nothing is wrong: old names, settings without effect.
    pub notes: Vec<String>,
    tree: Map<String, Json>,
    inert: Map<String, Json>,
}

impl Loaded {
    /// What somebody has written, whether it differs from the default or not and whether it has an effect or not, without its secrets: what
    /// `inspect conf` shows (see [`crate::app::AppBuilder::written`]).
    pub fn written(&self) -> Map<String, Json> {
        let mut written: Map<String, Json> =
            self.inert.iter().map(|(name, value)| (name.clone(), redact::named(name, value))).collect();
        for value in self.values.iter().filter(|value| value.origin != Origin::Default) {
            let path: Path = value.name.split('.').map(str::to_owned).collect();
            insert(&mut written, &path, value.shown());
        }
        written
    }

    /// The settings of one of the program's tables.
    pub fn table<T: DeserializeOwned>(&self, path: &str) -> crate::Result<T> {
        let mut at = &self.tree;
        let empty = Map::new();
        for part in path.split('.') {
            at = at.get(part).and_then(Json::as_object).unwrap_or(&empty);
        }
        T::deserialize(Json::Object(at.clone())).map_err(|error| crate::Error::config(format!("[{path}]: {error}")))
    }

    /// A setting's value by its full name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|value| value.name == name)
    }
}

/// Loads all settings, or says everything that is wrong with them.
pub fn load(sources: &Sources<'_>) -> Result<Loaded, Problems> {
    let tables: Vec<Table> = CORE.iter().chain(sources.tables).copied().collect();
    let mut layers = Layers::default();
    if let Some(file) = sources.file {
        walk_file(file, &tables, sources.env, &mut layers);
    }
    table_variables(&tables, sources.env, &mut layers);
    let overrides = overrides(sources, &tables, &mut layers);

    let (mut values, mut tree) = (Vec::new(), Map::new());
    for (table, path, setting) in all_settings(&tables, &layers) {
        let value = choose(&table, &path, &setting, sources.env, &overrides, &mut layers);
        insert(&mut tree, &path, value.value.clone());
        if let (Effect::Nothing(reason), true) = (setting.effect, value.origin != Origin::Default) {
            layers.notes.push(format!("{}: `{}` has no effect: {reason}", value.origin, value.name));
        }
        values.push(value);
    }
    near_misses(sources.env, &tables, &mut layers.notes);

    let settings = Settings::deserialize(Json::Object(tree.clone())).unwrap_or_else(|error| {
        let message = error.to_string();
        let origin = Origin::Default;
        layers.problems.push(Problem { kind: ProblemKind::Value, name: "settings".into(), origin, message });
        Settings::default()
    });
    remarks(&settings, &mut layers.notes);
    if layers.problems.is_empty() {
        Ok(Loaded { settings, values, notes: layers.notes, tree, inert: layers.inert })
    } else {
        Err(Problems(layers.problems))
    }
}

fn walk_file(given: ConfigFile<'_>, tables: &[Table], env: &Env, layers: &mut Layers) {
    let parsed = match file::parse(given.name, given.text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let origin = Origin::File { file: given.name.into(), line: error.line };
            return layers.problems.push(Problem {
                kind: ProblemKind::Syntax,
                name: String::new(),
                origin,
                message: error.message,
            });
        }
    };
    let walk = |overlay, map: &Map<String, Json>, layers: &mut Layers| {
        Walk { tables, env, file: given.name, parsed: &parsed, overlay, layers }.table(map, &[]);
    };
    walk(None, &parsed.root, layers);
    let chosen = env.get("ENVIRONMENT").map(String::as_str);
    for (name, overlay) in overlays(&parsed, given.name, layers) {
        if Some(name) == chosen {
            walk(Some(name), overlay, layers);
        } else {
            // Walked only for its mistakes: they should not wait for the day it is used. Its variables may well be unset today.
            let mut aside = Layers::default();
            walk(Some(name), overlay, &mut aside);
            layers.problems.extend(aside.problems.into_iter().filter(|problem| problem.kind == ProblemKind::Unknown));
        }
    }
}

/// The variables that hold a whole table as JSON.
fn table_variables(tables: &[Table], env: &Env, layers: &mut Layers) {
    for table in tables {
        let Some(name) = env::of_table(table) else { continue };
        let Some(text) = env::text(env, &name) else { continue };
        let origin = Origin::Environment(name);
        let mut problem = |kind, name: String, message| {
            layers.problems.push(Problem { kind, name, origin: origin.clone(), message });
        };
        let Ok(written) = serde_json::from_str::<Map<String, Json>>(&text) else {
            problem(ProblemKind::Value, table.path.into(), "it is not a table written as JSON".into());
            continue;
        };
        for (key, value) in written {
            let path: Path = table.path.split('.').map(str::to_owned).chain([key]).collect();
            if find(tables, &path).is_some() {
                layers.written.insert(path, Written { value, origin: origin.clone() });
            } else {
                problem(ProblemKind::Unknown, path.join("."), format!("unknown setting `{}`", path.join(".")));
            }
        }
    }
}

fn overlays<'a>(parsed: &'a Parsed, file: &str, layers: &mut Layers) -> Vec<(&'a str, &'a Map<String, Json>)> {
    let mut wrong = |path: &[String]| {
        let origin = Origin::File { file: file.into(), line: parsed.line(path) };
        let message = "it is a table of environments: [env.production]".into();
        layers.problems.push(Problem { kind: ProblemKind::Value, name: path.join("."), origin, message });
    };
    match parsed.root.get("env") {
        None => Vec::new(),
        Some(Json::Object(all)) => all
            .iter()
            .filter_map(|(name, overlay)| {
                if overlay.is_object() {
                    return overlay.as_object().map(|map| (name.as_str(), map));
                }
                wrong(&["env".into(), name.clone()]);
                None
            })
            .collect(),
        Some(_) => {
            wrong(&["env".into()]);
            Vec::new()
        }
    }
}

/// The overrides by full name; a name that no setting has is a problem.
fn overrides(sources: &Sources<'_>, tables: &[Table], layers: &mut Layers) -> Vec<(Path, String)> {
    let mut found = Vec::new();
    for (name, text) in &sources.overrides {
        match override_path(name, tables) {
            Some(path) => found.push((path, text.clone())),
            None => {
                let known: Vec<String> =
                    tables.iter().flat_map(|table| table.settings.iter().map(|s| table.full_name(s))).collect();
                let lower = name.to_lowercase();
                let underscored = lower.replace('.', "_");
                let near = nearest(&lower, known.iter().map(String::as_str))
                    .or_else(|| nearest(&underscored, known.iter().map(String::as_str)))
                    .map_or("see `celeriac config show` for the names".into(), |name| format!("did you mean `{name}`?"));
                let message = format!("unknown setting `{name}`: {near}");
                let (kind, name, origin) = (ProblemKind::Unknown, name.clone(), Origin::CommandLine);
                layers.problems.push(Problem { kind, name, origin, message });
            }
        }
    }
    found
}

fn override_path(name: &str, tables: &[Table]) -> Option<Path> {
    let lower = name.to_lowercase();
    let bare = lower.trim_start_matches(['.', '_']);
    let dotted: Path = bare.split('.').map(str::to_owned).collect();
    let underscored = bare.replace('.', "_");
    [dotted, vec![underscored.clone()], vec![format!("worker_{underscored}")]].into_iter().find(|path| find(tables, path).is_some())
}

/// Every setting that exists, with its path: once for a plain table, once for each name in a keyed one.
fn all_settings(tables: &[Table], layers: &Layers) -> Vec<(Table, Path, Setting)> {
    let mut all = Vec::new();
    for table in tables {
        let places: Vec<Path> = if table.is_keyed() {
            layers.instances.iter().filter(|path| super::walk::stands_at(table, path)).cloned().collect()
        } else {
            vec![table.path.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect()]
        };
        for place in places {
            for setting in table.settings {
                let mut path = place.clone();
                path.push(setting.name.into());
                all.push((*table, path, *setting));
            }
        }
    }
    all
}

fn choose(table: &Table, path: &Path, setting: &Setting, env: &Env, overrides: &[(Path, String)], layers: &mut Layers) -> Value {
    let from_flag = || {
        let (_, text) = overrides.iter().rev().find(|(name, _)| name == path)?;
        Some((convert::text(setting, text), Origin::CommandLine))
    };
    let from_env = || {
        let found = env::find(table, setting, env)?;
        Some((convert::text(setting, &found.text), Origin::Environment(found.names)))
    };
    let from_file = || {
        let written = layers.written.get(path)?;
        Some((convert::value(setting, written.value.clone()), written.origin.clone()))
    };
    let (value, origin) =
        from_flag().or_else(from_env).or_else(from_file).unwrap_or_else(|| (Ok((setting.default)()), Origin::Default));
    let name = path.join(".");
    let value = value.unwrap_or_else(|message| {
        let message = if setting.secret { "the value does not fit".into() } else { redact::text(&message) };
        layers.problems.push(Problem { kind: ProblemKind::Value, name: name.clone(), origin: origin.clone(), message });
        (setting.default)()
    });
    Value { name, value, origin, setting: *setting }
}

fn insert(tree: &mut Map<String, Json>, path: &[String], value: Json) {
    match path {
        [] => {}
        [name] => {
            tree.insert(name.clone(), value);
        }
        [table, rest @ ..] => {
            let table = tree.entry(table).or_insert_with(|| Json::Object(Map::new()));
            if let Json::Object(table) = table {
                insert(table, rest, value);
            }
        }
    }
}

/// Variables that look like ours and are nobody's.
fn near_misses(env: &Env, tables: &[Table], notes: &mut Vec<String>) {
    let mut known: Vec<String> = Vec::new();
    for table in tables {
        known.extend(env::of_table(table));
        for setting in table.settings {
            known.extend(env::generic(table, setting));
            known.extend(setting.env.iter().filter_map(|var| match var {
                Var::Is(name) | Var::Megabytes(name) => Some((*name).to_owned()),
                Var::Composed(_) => None,
            }));
        }
    }
    known.extend(["CELERY_AUTOSCALE", "CELERY_AUTOSCALE_MAX", "CELERY_AUTOSCALE_MIN"].map(str::to_owned));
    for name in env.keys().filter(|name| name.starts_with("CELERY_") || name.starts_with("CELERIAC_")) {
        if !known.contains(name)
            && let Some(near) = nearest(name, known.iter().map(String::as_str)).filter(|near| strsim::levenshtein(near, name) <= 3)
        {
            notes.push(format!("environment {name}: no setting has this name; did you mean {near}?"));
        }
    }
}

/// What fits together badly although each value is right.
fn remarks(settings: &Settings, notes: &mut Vec<String>) {
    if let (Some(soft), Some(hard)) = (settings.task_soft_time_limit, settings.task_time_limit)
        && soft >= hard
    {
        notes.push(format!("task_soft_time_limit ({}) is not below task_time_limit ({})", soft.as_f64(), hard.as_f64()));
    }
    for name in settings.accept_content.iter().filter(|name| !matches!(name.as_str(), "json" | "application/json")) {
        notes.push(format!("accept_content: {name} is never read; the runtime reads JSON only"));
    }
    if matches!(settings.worker_pool.as_str(), "gevent" | "eventlet") {
        notes.push(format!("worker_pool: {} is Python's; `threads` is taken instead", settings.worker_pool));
    }
}

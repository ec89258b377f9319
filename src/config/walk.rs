//! One layer of a file, walked key by key: what it sets, by the settings' full names, and which keys mean nothing.

use indexmap::{IndexMap, IndexSet};
use serde_json::{Map, Value as Json};

use super::file::Parsed;
use super::names::{Modern, modern, nearest};
use super::origin::{Origin, Problem, ProblemKind};
use super::table::{Env, Kind, Setting, Table};
use super::{inert, redact};

/// A setting's place: the names from the top level down.
pub(super) type Path = Vec<String>;

/// A value as a file has it.
pub(super) struct Written {
    pub(super) value: Json,
    pub(super) origin: Origin,
}

/// What has been found so far; a later layer replaces what an earlier one set.
#[derive(Default)]
pub(super) struct Layers {
    pub(super) written: IndexMap<Path, Written>,
    /// Names of Celery's without effect, as they were written.
    pub(super) inert: Map<String, Json>,
    /// The tables that exist because the user named them.
    pub(super) instances: IndexSet<Path>,
    pub(super) problems: Vec<Problem>,
    pub(super) notes: Vec<String>,
}

/// One walk over one layer.
pub(super) struct Walk<'a> {
    pub(super) tables: &'a [Table],
    pub(super) env: &'a Env,
    pub(super) file: &'a str,
    pub(super) parsed: &'a Parsed,
    /// The environment this layer is for; none: the file itself.
    pub(super) overlay: Option<&'a str>,
    pub(super) layers: &'a mut Layers,
}

impl Walk<'_> {
    /// Walks a table that stands at a path.
    pub(super) fn table(&mut self, map: &Map<String, Json>, at: &[String]) {
        for (key, value) in map {
            let mut path = at.to_vec();
            path.push(key.clone());
            self.key(path, key, value, at);
        }
    }

    fn key(&mut self, path: Path, key: &str, value: &Json, at: &[String]) {
        if find(self.tables, &path).is_some() {
            let origin = self.origin(&path);
            self.set(path, value, origin);
        } else if let Some(base) = self.indirection(&path) {
            self.set_from_variable(base, &path, value);
        } else if self.tables.iter().any(|table| leads_to(table, &path)) {
            match value {
                Json::Object(map) => {
                    if self.tables.iter().any(|table| table.is_keyed() && stands_at(table, &path)) {
                        self.layers.instances.insert(path.clone());
                    }
                    self.table(map, &path);
                }
                _ => self.problem(ProblemKind::Value, &path, "it is a table: write its settings below it".into()),
            }
        } else if at.is_empty() {
            self.other_name(path, key, value);
        } else {
            self.unknown(&path, key, at);
        }
    }

    /// A top-level key that is no setting's name: an old one, one without effect, or a mistake.
    fn other_name(&mut self, path: Path, key: &str, value: &Json) {
        if key == "env" && self.overlay.is_none() {
            return;
        }
        let origin = self.origin(&path);
        match modern(key, self.tables) {
            Some(Modern::Setting(name)) => {
                self.layers.notes.push(format!("{origin}: {key} is the old name of `{name}`"));
                self.set(name.split('.').map(str::to_owned).collect(), value, origin);
            }
            Some(Modern::Inert(reason)) => {
                self.layers.notes.push(format!("{origin}: `{key}` is recognised and has no effect: {reason}"));
                self.layers.inert.insert(key.to_owned(), value.clone());
            }
            None => self.unknown(&path, key, &[]),
        }
    }

    fn set(&mut self, path: Path, value: &Json, origin: Origin) {
        match expand(value, self.env) {
            Ok(value) => {
                self.layers.written.insert(path, Written { value, origin });
            }
            Err(message) => self.problem(ProblemKind::Value, &path, message),
        }
    }

    /// The setting that `<name>_env` takes from a variable.
    fn indirection(&self, path: &[String]) -> Option<Path> {
        let (last, at) = path.split_last()?;
        let mut base = at.to_vec();
        base.push(last.strip_suffix("_env")?.to_owned());
        let (_, setting) = find(self.tables, &base)?;
        matches!(setting.kind, Kind::Text | Kind::Url).then_some(base)
    }

    fn set_from_variable(&mut self, base: Path, path: &Path, value: &Json) {
        let Some(variable) = value.as_str() else {
            return self.problem(ProblemKind::Value, path, "it must be the name of an environment variable".into());
        };
        // An unset variable leaves the setting as it is: the same file serves machines with and without the secret.
        if let Some(text) = self.env.get(variable).filter(|text| !text.is_empty()) {
            let origin = Origin::Environment(variable.to_owned());
            self.layers.written.insert(base, Written { value: text.clone().into(), origin });
        }
    }

    fn unknown(&mut self, path: &[String], key: &str, at: &[String]) {
        let known =
            self.tables.iter().filter(|table| stands_at(table, at)).flat_map(|table| table.settings).map(|setting| setting.name);
        let below = self.tables.iter().filter_map(|table| {
            let parts: Vec<&str> = table.path.split('.').collect();
            (parts.len() > at.len() && parts.iter().zip(at).all(|(part, at)| part == at)).then(|| parts[at.len()])
        });
        let inert = inert::INERT.iter().flat_map(|group| group.names).filter(|_| at.is_empty()).copied();
        let hint =
            match nearest(&key.to_lowercase(), known.chain(below.filter(|part| *part != "*" && !part.is_empty())).chain(inert)) {
                Some(name) => format!("did you mean `{name}`?"),
                None => "see `celeriac config show` for the names".into(),
            };
        let place = if at.is_empty() { String::new() } else { format!(" in [{}]", at.join(".")) };
        self.problem(ProblemKind::Unknown, path, format!("unknown setting `{key}`{place}: {hint}"));
    }

    fn problem(&mut self, kind: ProblemKind, path: &[String], message: String) {
        let origin = self.origin(path);
        self.layers.problems.push(Problem { kind, name: path.join("."), origin, message: redact::text(&message) });
    }

    fn origin(&self, path: &[String]) -> Origin {
        let file = self.file.to_owned();
        match self.overlay {
            None => Origin::File { file, line: self.parsed.line(path) },
            Some(environment) => {
                let mut place = vec!["env".to_owned(), environment.to_owned()];
                place.extend_from_slice(path);
                Origin::Overlay { environment: environment.to_owned(), file, line: self.parsed.line(&place) }
            }
        }
    }
}

/// The setting at a path.
pub(super) fn find(tables: &[Table], path: &[String]) -> Option<(Table, Setting)> {
    let (name, at) = path.split_last()?;
    tables.iter().filter(|table| stands_at(table, at)).find_map(|table| {
        let setting = table.settings.iter().find(|setting| setting.name == name)?;
        Some((*table, *setting))
    })
}

/// Whether a table stands at a path.
pub(super) fn stands_at(table: &Table, path: &[String]) -> bool {
    if table.path.is_empty() {
        return path.is_empty();
    }
    let parts: Vec<&str> = table.path.split('.').collect();
    parts.len() == path.len() && parts.iter().zip(path).all(|(part, at)| *part == "*" || part == at)
}

/// Whether a path is a table's, or on the way to it.
fn leads_to(table: &Table, path: &[String]) -> bool {
    let parts: Vec<&str> = table.path.split('.').collect();
    !table.path.is_empty() && parts.len() >= path.len() && parts.iter().zip(path).all(|(part, at)| *part == "*" || part == at)
}

/// Replaces `${NAME}` and `${NAME:-otherwise}` in every text of a value.
fn expand(value: &Json, env: &Env) -> Result<Json, String> {
    Ok(match value {
        Json::String(text) => expand_text(text, env)?.into(),
        Json::Array(values) => values.iter().map(|value| expand(value, env)).collect::<Result<_, _>>()?,
        Json::Object(map) => {
            let expanded = map.iter().map(|(key, value)| Ok((key.clone(), expand(value, env)?)));
            Json::Object(expanded.collect::<Result<_, String>>()?)
        }
        other => other.clone(),
    })
}

fn expand_text(text: &str, env: &Env) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, after) = (&rest[..start], &rest[start + 2..]);
        let Some((reference, tail)) = after.split_once('}') else {
            return Err("`${` without `}`".into());
        };
        let (name, otherwise) = reference.split_once(":-").map_or((reference, None), |(name, other)| (name, Some(other)));
        expanded.push_str(before);
        match (env.get(name).filter(|value| !value.is_empty()), otherwise) {
            (Some(value), _) => expanded.push_str(value),
            (None, Some(otherwise)) => expanded.push_str(otherwise),
            (None, None) => {
                return Err(format!("the environment variable {name} is not set; write ${{{name}:-default}} if it may be missing"));
            }
        }
        rest = tail;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

//! `config init`, `config check`, `config show`.

use std::fmt::Write as _;
use std::path::Path;

use celeriac::cli::settings::Surroundings;
use celeriac::cli::terminal::{print, print_json};
use celeriac::cli::{Exit, Failure, GlobalArgs};
use celeriac::config::{Loaded, Origin, Value};
use serde_json::{Map, Value as Json, json};

use crate::args::ConfigCommand;
use crate::settings::load;

/// What `config init` writes: this deployment's settings.
const SHIPPED: &str = include_str!("../../celery_config.toml");

pub(crate) fn run(command: &ConfigCommand, global: &GlobalArgs) -> Result<Exit, Failure> {
    match command {
        ConfigCommand::Init { file, force } => init(file, *force),
        ConfigCommand::Check => check(global),
        ConfigCommand::Show { origin, routes, all, name } => {
            let loaded = load(&Surroundings::read(global)?, global, Vec::new())?;
            if *routes {
                return show_routes(&loaded, global.json);
            }
            show(&loaded, global.json, *origin, *all, name.as_deref())
        }
    }
}

fn init(file: &Path, force: bool) -> Result<Exit, Failure> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let written = options.open(file).and_then(|mut file| file.write_all(SHIPPED.as_bytes()));
    written.map_err(|error| {
        let failure = Failure::write(file.display(), &error);
        if error.kind() == std::io::ErrorKind::AlreadyExists { failure.fix("--force replaces it") } else { failure }
    })?;
    print(&format!("{} written; `celeriac config check` tells what is wrong with it after you changed it\n", file.display()))?;
    Ok(Exit::Ok)
}

fn check(global: &GlobalArgs) -> Result<Exit, Failure> {
    let around = Surroundings::read(global)?;
    let loaded = load(&around, global, Vec::new())?;
    let file = around.file.as_ref().map(|(name, _)| name.as_str());
    if global.json {
        print_json(&json!({"ok": true, "file": file, "notes": loaded.notes}))?;
        return Ok(Exit::Ok);
    }
    let mut text = String::new();
    for note in &loaded.notes {
        let _ = writeln!(text, "note: {note}");
    }
    let _ = writeln!(text, "{}: no mistakes", file.unwrap_or("no configuration file, environment only"));
    print(&text)?;
    Ok(Exit::Ok)
}

fn show(loaded: &Loaded, json: bool, origin: bool, all: bool, name: Option<&str>) -> Result<Exit, Failure> {
    let asked = |value: &&Value| match name {
        Some(part) => value.name.contains(part),
        None => all || json || value.origin != Origin::Default,
    };
    let values: Vec<&Value> = loaded.values.iter().filter(asked).collect();
    if json {
        let shown: Map<String, Json> = values
            .into_iter()
            .map(|value| {
                let shown = value.shown();
                let entry = if origin { json!({"value": shown, "origin": value.origin.to_string()}) } else { shown };
                (value.name.clone(), entry)
            })
            .collect();
        print_json(&Json::Object(shown))?;
        return Ok(Exit::Ok);
    }
    let mut text = String::new();
    for value in values {
        let shown = match value.shown() {
            Json::Null => "none".to_owned(),
            shown => shown.to_string(),
        };
        let _ = if origin {
            writeln!(text, "{} = {shown}    # {}", value.name, value.origin)
        } else {
            writeln!(text, "{} = {shown}", value.name)
        };
    }
    print(&text)?;
    Ok(Exit::Ok)
}

fn show_routes(loaded: &Loaded, json: bool) -> Result<Exit, Failure> {
    let routes = &loaded.settings.task_routes;
    if json {
        let routes: Map<String, Json> =
            routes.iter().filter_map(|(name, route)| Some((name.into(), serde_json::to_value(route).ok()?))).collect();
        print_json(&json!({"default": loaded.settings.task_default_queue, "routes": routes}))?;
        return Ok(Exit::Ok);
    }
    let mut text = String::new();
    for (name, route) in routes.iter() {
        let target = route.queue.as_deref().or(route.exchange.as_deref()).unwrap_or("(default)");
        let _ = writeln!(text, "{name} -> {target}");
    }
    let _ = writeln!(text, "everything else -> {}", loaded.settings.task_default_queue);
    print(&text)?;
    Ok(Exit::Ok)
}

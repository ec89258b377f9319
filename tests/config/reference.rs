//! `docs/settings.md` is made from the tables of settings and cannot fall behind them.

use std::fmt::Write;
use std::path::Path;

use celeriac::config::{CORE, Effect, INERT};

const HEAD: &str = "# Settings

Every setting of Celery 5.7 and every one of the runtime's own: its default, and what it does here. A setting without effect is accepted, so that a
configuration can be shared with Python workers; `celeriac config check` names those that a file sets.

This page is written by `CELERIAC_WRITE_DOCS=1 cargo test -p celeriac --test config reference`.
";

#[test]
fn the_page_of_settings_says_what_the_tables_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/settings.md");
    let page = page();
    if std::env::var_os("CELERIAC_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "{} is out of date; its second paragraph says how to write it", path.display());
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for table in CORE {
        let (heading, form) = match table.path {
            "" => ("Top level".to_owned(), String::new()),
            path => (format!("`[{path}]`"), format!("{path}.")),
        };
        write!(page, "\n## {heading}\n\n| setting | default | effect |\n|---|---|---|\n").unwrap();
        for setting in table.settings {
            let effect = match setting.effect {
                Effect::Works => setting.doc.replace('\n', " "),
                Effect::Nothing(why) => format!("*none:* {why}"),
            };
            writeln!(page, "| `{form}{}` | `{}` | {} |", setting.name, (setting.default)(), cell(&effect)).unwrap();
        }
    }
    page.push_str("\n## Settings of Celery without effect\n\n| settings | why |\n|---|---|\n");
    for group in INERT {
        let names: Vec<String> = group.names.iter().map(|name| format!("`{name}`")).collect();
        writeln!(page, "| {} | {} |", names.join(", "), cell(group.reason)).unwrap();
    }
    page
}

/// Text that stays within its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

//! `docs/lifecycle.md` and the model say the same.

use std::path::Path;

use crate::table::TABLE;

#[test]
fn the_document_shows_the_table_of_the_model() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/lifecycle.md")).unwrap();
    let (_, after) = text.split_once("| step | from | to | who, and what it is in Redis |\n|---|---|---|---|\n").unwrap();
    let shown: Vec<&str> = after.lines().take_while(|line| line.starts_with('|')).collect();
    let row = |row: &crate::table::Row| format!("| {} | {} | {} | {} |", row.step, row.from.join(", "), row.to, row.by);
    let meant: Vec<String> = TABLE.iter().map(row).collect();
    assert_eq!(shown, meant, "docs/lifecycle.md should show\n{}", meant.join("\n"));
}

#[test]
fn the_scripts_the_table_names_exist() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/broker/redis");
    let named = TABLE.iter().flat_map(|row| row.by.split('`')).filter(|word| word.ends_with(".lua"));
    for name in named {
        assert!(scripts.join(name).exists(), "{name}");
    }
}

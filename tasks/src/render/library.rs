//! Finding and binding libpdfium: the program looks for it, each child binds it once, before its sandbox closes.

use std::path::{Path, PathBuf};

use pdfium_render::prelude::Pdfium;

/// Where libpdfium may be. The program fills this from its settings and environment.
#[derive(Debug, Clone, Default)]
pub struct PdfiumOptions {
    /// The library itself, or the folder it is in, as a setting says; then nothing else is searched.
    pub setting: Option<PathBuf>,
    /// The running program: the library may lie beside it, or in `pdfium/` beside it.
    pub executable: Option<PathBuf>,
    /// The user's data folder (`$XDG_DATA_HOME` or `~/.local/share`).
    pub data_dir: Option<PathBuf>,
    /// Folders in which Python packages are installed; pypdfium2 brings the library along.
    pub python_dirs: Vec<PathBuf>,
}

const NAME: &str = "libpdfium.so";

/// The library, by the order of search: the setting, beside the program, the user's data folder, the system's library folders,
/// an installed pypdfium2.
///
/// # Errors
/// Says where it looked and how to get it.
pub fn find_pdfium(options: &PdfiumOptions) -> Result<PathBuf, String> {
    if let Some(setting) = &options.setting {
        let file = if setting.is_dir() { setting.join(NAME) } else { setting.clone() };
        return if file.is_file() {
            Ok(file)
        } else {
            Err(format!("the PDFium setting names {}, which is no file", setting.display()))
        };
    }
    let places = places(options);
    places.iter().find(|place| place.is_file()).cloned().ok_or_else(|| {
        let list: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
        format!(
            "PDFium is not here: run scripts/get-pdfium, or set its path. Looked for {}; no installed pypdfium2 has one either",
            list.join(", ")
        )
    })
}

fn places(options: &PdfiumOptions) -> Vec<PathBuf> {
    let mut places = Vec::new();
    if let Some(folder) = options.executable.as_deref().and_then(Path::parent) {
        places.push(folder.join(NAME));
        places.push(folder.join("pdfium").join(NAME));
        // A program built by cargo lies one folder below the one scripts/get-pdfium writes to.
        places.extend(folder.parent().map(|target| target.join("pdfium").join(NAME)));
    }
    places.extend(options.data_dir.as_deref().map(|dir| dir.join("celeriac/pdfium").join(NAME)));
    for folder in ["/usr/local/lib", "/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"] {
        places.push(Path::new(folder).join(NAME));
    }
    places.extend(options.python_dirs.iter().map(|dir| dir.join("pypdfium2_raw").join(NAME)));
    places
}

/// Binds the library for the rest of the process's life.
///
/// Documents borrow the binding, and a child keeps documents between its calls: the binding is leaked, once a process.
pub(super) fn bind(path: &Path) -> Result<&'static Pdfium, String> {
    let bindings =
        Pdfium::bind_to_library(path).map_err(|error| format!("PDFium at {} cannot be used: {error:?}", path.display()))?;
    Ok(Box::leak(Box::new(Pdfium::new(bindings))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(files: &[&str]) -> (tempfile::TempDir, PdfiumOptions) {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let file = dir.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, b"").unwrap();
        }
        let at = |name: &str| Some(dir.path().join(name));
        let options = PdfiumOptions {
            setting: None,
            executable: at("target/debug/celeriac"),
            data_dir: at("data"),
            python_dirs: vec![dir.path().join("python")],
        };
        (dir, options)
    }

    #[test]
    fn nearer_places_win_and_a_setting_wins_over_all() {
        let all = ["target/pdfium/libpdfium.so", "data/celeriac/pdfium/libpdfium.so", "mine/libpdfium.so"];
        let (dir, mut options) = with(&all);
        assert_eq!(find_pdfium(&options).unwrap(), dir.path().join(all[0]));
        options.setting = Some(dir.path().join("mine"));
        assert_eq!(find_pdfium(&options).unwrap(), dir.path().join(all[2]));
        options.setting = Some(dir.path().join("nowhere.so"));
        assert!(find_pdfium(&options).unwrap_err().contains("nowhere.so"));
    }

    #[test]
    fn a_bound_library_that_is_none_is_an_error_in_words() {
        let (dir, _) = with(&["not/libpdfium.so"]);
        assert!(bind(&dir.path().join("not/libpdfium.so")).err().unwrap().contains("cannot be used"));
    }
}

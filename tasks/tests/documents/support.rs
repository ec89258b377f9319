//! What the tests share: PDFium, real inputs, and a writer of small PDFs.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock};

use celeriac_tasks::DocumentError;
use celeriac_tasks::render::{Kind, OpenArgs, Opened, PageArgs, PageOut, RenderOptions, Renderer};

/// The target folder, in which scripts put PDFium and the inputs.
fn target() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.ancestors().nth(3).unwrap().to_owned()
}

/// What to do without something the tests need: a line here, a failure in CI.
#[allow(clippy::disallowed_methods, clippy::print_stderr)]
fn absent(what: &str, script: &str) {
    assert!(std::env::var("CI").is_err(), "{what} is not here; {script} fetches it");
    eprintln!("skipped: {what} is not here; {script} fetches it");
}

/// One of the real documents that `scripts/fetch-inputs` fetches.
pub(crate) fn input(name: &str) -> Option<PathBuf> {
    let path = target().join("inputs").join(name);
    if path.is_file() {
        return Some(path);
    }
    absent(name, "scripts/fetch-inputs");
    None
}

/// Whether a program is installed.
pub(crate) fn program(name: &str) -> bool {
    let found = ["/usr/local/bin", "/usr/bin", "/bin"].iter().any(|folder| Path::new(folder).join(name).is_file());
    if !found {
        absent(name, "scripts/setup");
    }
    found
}

/// PDFium can be bound once a process: all tests of one process share it.
pub(crate) fn renderer() -> Option<MutexGuard<'static, Renderer>> {
    static RENDERER: OnceLock<Option<Mutex<Renderer>>> = OnceLock::new();
    let shared = RENDERER.get_or_init(|| Some(Mutex::new(Renderer::new(Some(&pdfium()?)))));
    shared.as_ref().map(|renderer| renderer.lock().unwrap())
}

#[allow(clippy::disallowed_methods)]
pub(crate) fn pdfium() -> Option<PathBuf> {
    let library = std::env::var_os("PDFIUM_LIB").map_or_else(|| target().join("pdfium/libpdfium.so"), PathBuf::from);
    if library.is_file() {
        return Some(library);
    }
    absent("PDFium", "scripts/get-pdfium");
    None
}

/// A file with these bytes; it lives as long as the folder.
pub(crate) struct Stored {
    pub args: OpenArgs,
    _dir: tempfile::TempDir,
}

pub(crate) fn stored(kind: Kind, bytes: &[u8]) -> Stored {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("source");
    std::fs::write(&path, bytes).unwrap();
    Stored { args: OpenArgs { path, kind, password: None }, _dir: dir }
}

pub(crate) fn open(renderer: &mut Renderer, kind: Kind, bytes: &[u8]) -> Result<Opened, DocumentError> {
    renderer.open(&stored(kind, bytes).args)
}

pub(crate) fn page(renderer: &mut Renderer, kind: Kind, bytes: &[u8], index: u32) -> Result<PageOut, DocumentError> {
    let document = stored(kind, bytes);
    renderer.page(&PageArgs { document: document.args.clone(), index, render: RenderOptions::default() })
}

/// A small PDF: each string is one object, numbered from 1; object 1 must be the catalogue.
pub(crate) fn pdf(objects: &[String], trailer: &str) -> Vec<u8> {
    let mut out = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec();
    let mut offsets = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        offsets.push(out.len());
        out.extend(format!("{} 0 obj\n{object}\nendobj\n", index + 1).into_bytes());
    }
    let start = out.len();
    out.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).into_bytes());
    for offset in offsets {
        out.extend(format!("{offset:010} 00000 n \n").into_bytes());
    }
    let size = objects.len() + 1;
    out.extend(format!("trailer\n<< /Size {size} /Root 1 0 R {trailer} >>\nstartxref\n{start}\n%%EOF\n").into_bytes());
    out
}

/// A PDF of one page with these page entries and this content.
pub(crate) fn one_page(entries: &str, content: &str) -> Vec<u8> {
    let font = "<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>";
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        format!("<< /Type /Page /Parent 2 0 R {entries} /Resources {font} /Contents 4 0 R >>"),
        format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len()),
    ];
    pdf(&objects, "")
}

/// The colours of a JPEG's pixels.
pub(crate) fn decoded(jpeg: &[u8]) -> image::RgbImage {
    image::load_from_memory_with_format(jpeg, image::ImageFormat::Jpeg).unwrap().into_rgb8()
}

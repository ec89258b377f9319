//! Pages rendered where they are rendered for real: in sandboxed children of this very program.
//!
//! `harness = false`, because the program must be able to become a child before a test harness reads its arguments.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::disallowed_methods)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use celeriac::pool::{
    CHILD_ARGUMENT, CallError, CallOptions, ChildPool, ChildPoolOptions, Functions, Isolated, Sandbox, Settings, child_main,
};
use celeriac_tasks::Code;
use celeriac_tasks::page::clean;
use celeriac_tasks::render::{Kind, OPEN, OpenArgs, PAGE, PDFIUM_SETTING, PageArgs, RenderOptions, functions};
use celeriac_tasks::source::{Source, SourceOptions, fetch};
use celeriac_tasks::store::{Key, Store};
use libtest_mimic::{Arguments, Trial};

/// Ends its child as a fault in a native library would.
const ABORT: Isolated<(), ()> = Isolated::new("tests.abort");

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(CHILD_ARGUMENT) {
        let all = functions(Functions::new()).with(&ABORT, |_| Ok(|()| std::process::abort()));
        return child_main(all);
    }
    let trials = vec![
        trial("a_document_is_rendered_and_read_inside_the_sandbox", whole_document),
        trial("a_page_that_kills_its_child_costs_one_call", one_call),
        trial("a_child_without_pdfium_says_what_is_missing", without_pdfium),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn trial(name: &str, test: impl AsyncFnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(120), test()).await })?;
        Ok(())
    })
}

/// PDFium and a real document, or a line that says why not; in CI their absence is a failure.
fn real() -> Option<(PathBuf, PathBuf)> {
    let target = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned();
    let library = std::env::var_os("PDFIUM_LIB").map_or_else(|| target.join("pdfium/libpdfium.so"), PathBuf::from);
    let document = target.join("inputs/debian-reference.ja.pdf");
    if library.is_file() && document.is_file() {
        return Some((library, document));
    }
    assert!(std::env::var_os("CI").is_none(), "PDFium or the documents are not here: scripts/get-pdfium, scripts/fetch-inputs");
    eprintln!("skipped: PDFium or the documents are not here; scripts/get-pdfium and scripts/fetch-inputs fetch them");
    None
}

fn pool(pdfium: Option<&PathBuf>, readable: Vec<PathBuf>) -> ChildPool {
    let mut options = ChildPoolOptions::this_program(1);
    options.sandbox = readable.into_iter().chain(["/usr/share/fonts".into()]).fold(Sandbox::strict(), Sandbox::readable);
    if let Some(pdfium) = pdfium {
        options.settings = Settings::default().with(PDFIUM_SETTING, pdfium).unwrap();
    }
    ChildPool::new(options)
}

async fn whole_document() {
    let Some((pdfium, real)) = real() else { return };
    let dir = tempfile::tempdir().unwrap();
    let store = Store::local(dir.path()).unwrap();
    let options = SourceOptions { allowed_folders: vec![real.parent().unwrap().to_owned()], ..SourceOptions::default() };
    let document = fetch(&Source::Path(real.clone()), &store, &options).await.unwrap();
    let path = store.local_path(&Key::source(&document.sha256).unwrap()).await.unwrap();
    let document = OpenArgs { path, kind: Kind::Pdf, password: None };
    let pool = pool(Some(&pdfium), store.local_folders());
    let near = || CallOptions::default().affinity("document");
    let opened = pool.call(&OPEN, document.clone(), near()).await.unwrap().unwrap();
    assert_eq!((opened.pages, opened.sizes.len()), (272, 272));
    assert!(!opened.pdf.unwrap().outline.is_empty());
    for index in [1, 100, 271] {
        let args = PageArgs { document: document.clone(), index, render: RenderOptions::default() };
        let page = pool.call(&PAGE, args, near()).await.unwrap().unwrap();
        assert!(
            page.image.starts_with(&[0xff, 0xd8]) && page.width > 1000 && !clean(&page.text).is_empty(),
            "page {index}: {} x {}, {:?}",
            page.width,
            page.height,
            page.text
        );
        // What describing all its pages left behind has gone; after that it stays open.
        assert_eq!(page.times.open > 0, index == 1, "page {index}");
    }
    // The sandbox lets nothing else be read.
    let outside = OpenArgs { path: real, kind: Kind::Pdf, password: None };
    assert_eq!(pool.call(&OPEN, outside, near()).await.unwrap().unwrap_err().code, Code::StorageFailed);
    pool.close(Duration::from_secs(5)).await;
}

async fn one_call() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("picture");
    let mut picture = std::io::Cursor::new(Vec::new());
    image::DynamicImage::new_rgb8(8, 8).write_to(&mut picture, image::ImageFormat::Png).unwrap();
    std::fs::write(&path, picture.into_inner()).unwrap();
    let pool = pool(None, vec![dir.path().to_owned()]);
    let args =
        PageArgs { document: OpenArgs { path, kind: Kind::Png, password: None }, index: 0, render: RenderOptions::default() };
    assert!(pool.call(&PAGE, args.clone(), CallOptions::default()).await.unwrap().is_ok());
    let lost = pool.call(&ABORT, (), CallOptions::default()).await.unwrap_err();
    assert!(matches!(lost, CallError::WorkerLost { .. }), "{lost}");
    assert!(pool.call(&PAGE, args, CallOptions::default()).await.unwrap().is_ok(), "the next call has a new child");
    pool.close(Duration::from_secs(5)).await;
}

async fn without_pdfium() {
    let dir = tempfile::tempdir().unwrap();
    let pool = pool(None, vec![dir.path().to_owned()]);
    let args = OpenArgs { path: dir.path().join("any.pdf"), kind: Kind::Pdf, password: None };
    let error = pool.call(&OPEN, args, CallOptions::default()).await.unwrap().unwrap_err();
    assert!(error.message.contains("scripts/get-pdfium"), "{error}");
    pool.close(Duration::from_secs(5)).await;
}

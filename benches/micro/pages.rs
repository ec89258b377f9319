//! What a page costs in a child: rendered, encoded with its thumbnail, and read.
//!
//! `BENCH_PDF` is the document (default: target/inputs/octave.pdf), `CELERIAC_PDFIUM` the library (default: target/pdfium).
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use celeriac_tasks::render::{Kind, OpenArgs, PageArgs, RenderOptions, Renderer};
use divan::{Bencher, counter::BytesCount};

thread_local! {
    /// One process can bind PDFium once only, and divan runs these on its main thread.
    static RENDERER: RefCell<Renderer> = RefCell::new(Renderer::new(Some(&path("CELERIAC_PDFIUM", "pdfium/libpdfium.so"))));
}

fn main() {
    divan::main();
}

fn path(variable: &str, default: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    std::env::var_os(variable).map_or_else(|| target.join(default), PathBuf::from)
}

fn args(index: u32, render: RenderOptions) -> PageArgs {
    PageArgs { document: OpenArgs { path: path("BENCH_PDF", "inputs/octave.pdf"), kind: Kind::Pdf, password: None }, index, render }
}

fn page(bencher: Bencher<'_, '_>, index: u32, render: RenderOptions) {
    let args = args(index, render);
    let size = RENDERER.with_borrow_mut(|renderer| renderer.page(&args)).unwrap().image.len();
    bencher.counter(BytesCount::new(size)).bench_local(|| RENDERER.with_borrow_mut(|renderer| renderer.page(&args)).unwrap());
}

/// Pages of the manual: a title, a list, prose with code, an index.
const PAGES: [u32; 4] = [0, 6, 120, 1140];

#[divan::bench(args = PAGES)]
fn render_encode_and_read_a_page_at_150_dpi(bencher: Bencher<'_, '_>, index: u32) {
    page(bencher, index, RenderOptions::default());
}

/// Next to no pixels: what is left is loading the page and reading its text.
#[divan::bench(args = PAGES)]
fn load_and_read_a_page_at_36_dpi(bencher: Bencher<'_, '_>, index: u32) {
    page(bencher, index, RenderOptions { dpi: 36, ..RenderOptions::default() });
}

#[divan::bench]
fn open_a_document_of_1158_pages(bencher: Bencher<'_, '_>) {
    let args = args(0, RenderOptions::default()).document;
    // A fresh renderer cannot be made (PDFium is bound once), but describing reads the outline and every page's size again.
    bencher.bench_local(|| RENDERER.with_borrow_mut(|renderer| renderer.open(&args)).unwrap());
}

//! What a child holds between its calls, and how it is registered as isolated functions.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use celeriac::pool::{Failure, Functions, Setup};
use pdfium_render::prelude::Pdfium;

use crate::error::{Code, DocumentError, Stage};

use super::documents::Documents;
use super::{Kind, OPEN, OpenArgs, Opened, PAGE, PageArgs, PageOut, library, pdf, picture};

/// The setting of a child that holds libpdfium's path.
pub const PDFIUM_SETTING: &str = "documents.pdfium";

/// Adds [`OPEN`] and [`PAGE`] to a program's isolated functions.
///
/// The children need the setting [`PDFIUM_SETTING`] (a path, from [`super::find_pdfium`]) for PDFs; without it images still work
/// and PDFs end in an error that says what is missing. Their sandbox must let them read the store's folders and the fonts.
#[must_use]
pub fn functions(functions: Functions) -> Functions {
    let shared: Rc<RefCell<Option<Rc<RefCell<Renderer>>>>> = Rc::default();
    let renderer = move |setup: &Setup| -> Result<Rc<RefCell<Renderer>>, Failure> {
        let pdfium: Option<PathBuf> = setup.get(PDFIUM_SETTING)?;
        // Both functions see the same open documents, and the library is bound once.
        let mut shared = shared.borrow_mut();
        Ok(shared.get_or_insert_with(|| Rc::new(RefCell::new(Renderer::new(pdfium.as_deref())))).clone())
    };
    let again = renderer.clone();
    functions
        .with(&OPEN, move |setup| {
            let renderer = renderer(setup)?;
            Ok(move |args: OpenArgs| Ok(renderer.borrow_mut().open(&args)))
        })
        .with(&PAGE, move |setup| {
            let renderer = again(setup)?;
            Ok(move |args: PageArgs| Ok(renderer.borrow_mut().page(&args)))
        })
}

/// Opens and renders, keeping documents and one buffer between calls.
///
/// It binds PDFium to the process it is made in, for good, and one process can have one only. It belongs into an isolated child;
/// only benchmarks and tests make one elsewhere.
pub struct Renderer {
    pdfium: Result<&'static Pdfium, String>,
    documents: Documents,
    buffer: Vec<u8>,
}

impl Renderer {
    /// Binds the library. A failure is kept and told when a PDF comes.
    pub fn new(pdfium: Option<&Path>) -> Self {
        let missing = || "PDFium is not here: run scripts/get-pdfium, or set its path".to_owned();
        let pdfium = pdfium.ok_or_else(missing).and_then(library::bind);
        Self { pdfium, documents: Documents::default(), buffer: Vec::new() }
    }

    /// What the document is.
    pub fn open(&mut self, args: &OpenArgs) -> Result<Opened, DocumentError> {
        if args.kind != Kind::Pdf {
            return picture::open(&args.path, args.kind);
        }
        let pdfium = self.pdfium()?;
        self.documents.describe(pdfium, args)
    }

    /// One page, rendered and read.
    pub fn page(&mut self, args: &PageArgs) -> Result<PageOut, DocumentError> {
        let document = &args.document;
        if document.kind != Kind::Pdf {
            return picture::page(&document.path, document.kind, args.index, &args.render)
                .map_err(|error| error.on_page(args.index + 1));
        }
        let pdfium = self.pdfium()?;
        let started = Instant::now();
        let (document, opened) = self.documents.get(pdfium, document)?;
        let open = if opened { picture::elapsed(started) } else { 0 };
        let mut page = pdf::page(document, args.index, &args.render, &mut self.buffer)?;
        page.times.open = open;
        Ok(page)
    }

    fn pdfium(&self) -> Result<&'static Pdfium, DocumentError> {
        self.pdfium.as_ref().map(|pdfium| *pdfium).map_err(|why| DocumentError::new(Code::Internal, Stage::Open, why.clone()))
    }
}

impl std::fmt::Debug for Renderer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renderer").field("pdfium", &self.pdfium.as_ref().map(|_| "bound")).finish_non_exhaustive()
    }
}

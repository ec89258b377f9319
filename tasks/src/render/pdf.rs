//! Pages of PDFs, by the way that costs least: one buffer for all pages, pixels encoded as PDFium leaves them, text by characters.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

use pdfium_render::prelude::{
    PdfBitmap, PdfBitmapFormat, PdfDocument, PdfDocumentMetadataTagType, PdfDocumentVersion, PdfPage, PdfPageObject,
    PdfPageObjectsCommon, PdfPageRenderRotation, PdfRenderConfig, PdfSecurityHandlerRevision, Pdfium, PdfiumError,
    PdfiumInternalError,
};

use crate::error::{Code, DocumentError, Stage};

use super::picture::{elapsed, encode, thumbnail};
use super::pixels::{self, Layout, Pixels};
use super::{Opened, PageOut, PageTimes, PdfInfo, RenderOptions, jpeg, outline};

/// A page with more text than this is not searched for images: nobody would read them for text.
const ENOUGH_TEXT: usize = 200;
/// A buffer above this is given back after its page; common pages take a tenth of it.
const KEEP_BUFFER: usize = 64 << 20;

/// Opens a PDF for as long as the child lives.
pub(super) fn load(pdfium: &'static Pdfium, path: &Path, password: Option<&str>) -> Result<PdfDocument<'static>, DocumentError> {
    let document = pdfium.load_pdf_from_file(path, password).map_err(|error| refused(&error, path, password.is_some()))?;
    if document.pages().is_empty() {
        return Err(corrupt("the PDF has no pages"));
    }
    Ok(document)
}

fn refused(error: &PdfiumError, path: &Path, with_password: bool) -> DocumentError {
    match error {
        PdfiumError::PdfiumLibraryInternalError(PdfiumInternalError::PasswordError | PdfiumInternalError::SecurityError) => {
            let message = if with_password {
                "the PDF is encrypted and the password is wrong"
            } else {
                "the PDF is encrypted: give its password"
            };
            DocumentError::new(Code::PdfEncrypted, Stage::Open, message)
        }
        PdfiumError::IoError(error) => DocumentError::new(
            Code::StorageFailed,
            Stage::Open,
            format!("cannot open the stored document {}: {error}", path.display()),
        ),
        PdfiumError::PdfiumLibraryInternalError(_) => corrupt("the PDF is broken: PDFium cannot read its structure"),
        other => corrupt(&format!("the PDF cannot be opened: {other:?}")),
    }
}

/// What the PDF says about itself.
pub(super) fn describe(document: &PdfDocument<'_>) -> Result<Opened, DocumentError> {
    let pages = document.pages();
    let count = u32::try_from(pages.len()).map_err(|_| corrupt("the PDF has no pages"))?;
    let metadata = |tag| document.metadata().get(tag).map(|tag| tag.value().trim().to_owned()).filter(|value| !value.is_empty());
    let sizes =
        pages.as_range().map(|index| pages.page_size(index).map_or((0.0, 0.0), |size| (size.width().value, size.height().value)));
    let revision = document.permissions().security_handler_revision();
    Ok(Opened {
        pages: count,
        title: metadata(PdfDocumentMetadataTagType::Title),
        authors: metadata(PdfDocumentMetadataTagType::Author).into_iter().collect(),
        sizes: sizes.collect(),
        pdf: Some(PdfInfo {
            version: version(document.version()),
            // A revision that is not known here belongs to an encryption too.
            encrypted: !matches!(revision, Ok(PdfSecurityHandlerRevision::Unprotected)),
            tagged: document.catalog().is_tagged(),
            // pdfium-render asserts on what broken outlines answer; a document without an outline is still a document.
            outline: catch_unwind(AssertUnwindSafe(|| outline::read(document))).unwrap_or_default(),
        }),
    })
}

fn version(version: PdfDocumentVersion) -> Option<String> {
    let number = match version {
        PdfDocumentVersion::Unset => return None,
        PdfDocumentVersion::Pdf1_0 => 10,
        PdfDocumentVersion::Pdf1_1 => 11,
        PdfDocumentVersion::Pdf1_2 => 12,
        PdfDocumentVersion::Pdf1_3 => 13,
        PdfDocumentVersion::Pdf1_4 => 14,
        PdfDocumentVersion::Pdf1_5 => 15,
        PdfDocumentVersion::Pdf1_6 => 16,
        PdfDocumentVersion::Pdf1_7 => 17,
        PdfDocumentVersion::Pdf2_0 => 20,
        PdfDocumentVersion::Other(number) => number,
    };
    Some(format!("{}.{}", number / 10, number % 10))
}

/// Renders and reads one page; `buffer` is the child's, used again for every page.
pub(super) fn page(
    document: &PdfDocument<'_>,
    index: u32,
    options: &RenderOptions,
    buffer: &mut Vec<u8>,
) -> Result<PageOut, DocumentError> {
    let started = Instant::now();
    let failed = |what: &str, error: PdfiumError| {
        DocumentError::new(Code::PageRenderFailed, Stage::Render, format!("{what}: {}", words(&error))).on_page(index + 1)
    };
    let number = i32::try_from(index).unwrap_or(i32::MAX);
    let page = document.pages().get(number).map_err(|error| failed("PDFium cannot load the page", error))?;
    let frame = Frame::of(&page, options);
    draw(&page, &frame, buffer).map_err(|error| failed("PDFium cannot draw the page", error))?;
    let pixels = Pixels { data: &buffer[..frame.bytes()], width: frame.width, height: frame.height, layout: Layout::Rgbx };
    let image = encode(&pixels, options.quality).map_err(|error| error.on_page(index + 1))?;
    let thumb = thumbnail(&pixels, options).map_err(|error| error.on_page(index + 1))?;
    if buffer.capacity() > KEEP_BUFFER {
        *buffer = Vec::new();
    }
    let render = elapsed(started);
    let started = Instant::now();
    let text = text(&page).map_err(|error| {
        let mut failed = failed("PDFium cannot read the page's text", error);
        failed.stage = Stage::Extract;
        failed
    })?;
    let has_images = text.len() < ENOUGH_TEXT && has_images(&page);
    Ok(PageOut {
        image,
        width: frame.width,
        height: frame.height,
        dpi: Some(frame.dpi),
        thumb,
        text,
        has_images,
        label: page.label().map(str::to_owned).filter(|label| !label.is_empty()),
        size: (page.width().value, page.height().value),
        rotation: page.rotation().map_or(0, degrees),
        reduced: frame.reduced,
        times: PageTimes { open: 0, render, extract: elapsed(started) },
    })
}

/// How large a page is drawn.
struct Frame {
    width: u32,
    height: u32,
    dpi: f32,
    reduced: bool,
}

impl Frame {
    /// The size at the wanted dots an inch, or the largest allowed: decided before a single byte is allocated.
    fn of(page: &PdfPage<'_>, options: &RenderOptions) -> Self {
        let side = |points: f32| {
            let pixels = f64::from(points) * f64::from(options.dpi.max(1)) / 72.0;
            if pixels.is_finite() { pixels.round().clamp(1.0, 10_000_000.0) as u32 } else { 1 }
        };
        let asked = (side(page.width().value), side(page.height().value));
        let (width, height) = pixels::fit(asked.0, asked.1, options.max_pixels, jpeg::MAX_SIDE);
        let reduced = (width, height) != asked;
        let dpi = f32::from(options.dpi) * width as f32 / asked.0 as f32;
        Self { width, height, dpi, reduced }
    }

    fn bytes(&self) -> usize {
        self.width as usize * self.height as usize * Layout::Rgbx.bytes()
    }
}

fn draw(page: &PdfPage<'_>, frame: &Frame, buffer: &mut Vec<u8>) -> Result<(), PdfiumError> {
    let (width, height) = (frame.width as i32, frame.height as i32);
    if buffer.len() < frame.bytes() {
        buffer.resize(frame.bytes(), 0);
    }
    // White paper, written faster than PDFium's own filling.
    buffer[..frame.bytes()].fill(0xff);
    let mut bitmap = PdfBitmap::from_bytes(width, height, PdfBitmapFormat::BGRx, buffer)?;
    // Not set_fixed_size: without form data that draws at 72 dots an inch in a corner.
    let config = PdfRenderConfig::new().set_target_size(width, height).clear_before_rendering(false);
    page.render_into_bitmap_with_config(&mut bitmap, &config)
}

/// The whole text layer. Not `text().all()`: that asks for a box at the origin and loses what a MediaBox or /Rotate puts elsewhere.
fn text(page: &PdfPage<'_>) -> Result<String, PdfiumError> {
    Ok(page.text()?.chars().iter().filter_map(|c| c.unicode_char()).collect())
}

fn has_images(page: &PdfPage<'_>) -> bool {
    fn image(object: &PdfPageObject<'_>) -> bool {
        match object {
            PdfPageObject::Image(_) => true,
            // What a form holds is not looked at: that it is there is enough to let OCR have a look.
            PdfPageObject::XObjectForm(_) | PdfPageObject::Shading(_) => true,
            _ => false,
        }
    }
    // Text drawn as outlines (thousands of paths, no characters) reads as a picture as well.
    page.objects().len() > 0 && (page.objects().iter().any(|object| image(&object)) || page.objects().len() > 500)
}

fn degrees(rotation: PdfPageRenderRotation) -> u16 {
    match rotation {
        PdfPageRenderRotation::None => 0,
        PdfPageRenderRotation::Degrees90 => 90,
        PdfPageRenderRotation::Degrees180 => 180,
        PdfPageRenderRotation::Degrees270 => 270,
    }
}

fn words(error: &PdfiumError) -> String {
    match error {
        PdfiumError::PdfiumLibraryInternalError(_) => "it gives no reason".into(),
        PdfiumError::PageIndexOutOfBounds => "the document has fewer pages".into(),
        other => format!("{other:?}"),
    }
}

fn corrupt(message: &str) -> DocumentError {
    DocumentError::new(Code::PdfCorrupt, Stage::Open, message)
}

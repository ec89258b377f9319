//! Rendering and reading pages, in isolated children only: PDFium and image decoders parse hostile input and may crash.
//!
//! Two functions: [`OPEN`] tells what a document is, [`PAGE`] gives one page as JPEG, thumbnail and text. A child keeps the
//! last documents open, so a page after the first does not pay for opening (call them with the document as affinity). Nothing
//! here knows a store or a job: paths in, bytes out.

mod child;
mod documents;
mod jpeg;
mod library;
mod outline;
mod pdf;
mod picture;
mod pixels;
mod tiff;

use std::path::PathBuf;

use bytes::Bytes;
use celeriac::pool::Isolated;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::DocumentError;

pub use child::{PDFIUM_SETTING, Renderer, functions};
pub use library::{PdfiumOptions, find_pdfium};

/// Opens a document and tells what it is.
pub const OPEN: Isolated<OpenArgs, Result<Opened, DocumentError>> = Isolated::new("documents.open");

/// Renders and reads one page.
pub const PAGE: Isolated<PageArgs, Result<PageOut, DocumentError>> = Isolated::new("documents.page");

/// What a document is, told by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A PDF.
    Pdf,
    /// A PNG image.
    Png,
    /// A JPEG image.
    Jpeg,
    /// A WebP image.
    Webp,
    /// A TIFF file of one or more images.
    Tiff,
}

impl Kind {
    /// What bytes that begin like this are, whatever their file is called.
    pub fn sniff(head: &[u8]) -> Option<Self> {
        // Readers accept a PDF header anywhere in the first kilobyte, and real files need it.
        let pdf = || head.get(..head.len().min(1024)).is_some_and(|head| head.windows(5).any(|window| window == b"%PDF-"));
        match head {
            [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::Webp),
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(Self::Tiff),
            _ if pdf() => Some(Self::Pdf),
            _ => None,
        }
    }

    /// The media type.
    pub const fn mime_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
            Self::Tiff => "image/tiff",
        }
    }
}

/// Which document to open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenArgs {
    /// The file.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// The password of an encrypted PDF.
    pub password: Option<String>,
}

/// What an opened document is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// How many pages it has; at least 1.
    pub pages: u32,
    /// Its title, if it says one.
    pub title: Option<String>,
    /// Its authors, as they stand in one field.
    pub authors: Vec<String>,
    /// Each page's width and height: points in a PDF, pixels in an image (of which only the first is measured).
    pub sizes: Vec<(f32, f32)>,
    /// What only a PDF has.
    pub pdf: Option<PdfInfo>,
}

/// What only a PDF has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PdfInfo {
    /// `1.7`.
    pub version: Option<String>,
    /// Whether it is encrypted (and was opened with the password given, or needs none for reading).
    pub encrypted: bool,
    /// Whether it says of itself that it is tagged.
    pub tagged: bool,
    /// Its outline in reading order, cut at a sane length.
    pub outline: Vec<OutlineEntry>,
}

/// One line of a PDF's outline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutlineEntry {
    /// The line.
    pub title: String,
    /// The page it leads to, from 1.
    pub page: Option<u32>,
    /// How deep it stands, from 1.
    pub level: u32,
}

/// Which page, and how to render it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageArgs {
    /// The document.
    pub document: OpenArgs,
    /// The page in that file, from 0.
    pub index: u32,
    /// How to render it.
    pub render: RenderOptions,
}

/// How pages are rendered.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RenderOptions {
    /// Dots an inch for PDF pages.
    pub dpi: u16,
    /// JPEG quality, 1 to 100.
    pub quality: u8,
    /// The most pixels a PDF page is rendered with; a larger page is rendered at fewer dots an inch.
    pub max_pixels: u32,
    /// The most pixels an image page keeps; a larger one is scaled down.
    pub max_image_pixels: u32,
    /// The thumbnail's width.
    pub thumb_width: u16,
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self { dpi: 150, quality: 85, max_pixels: 40_000_000, max_image_pixels: 9_000_000, thumb_width: 160 }
    }
}

/// A page, rendered and read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageOut {
    /// The page as JPEG.
    pub image: Bytes,
    /// Its width in pixels.
    pub width: u32,
    /// Its height in pixels.
    pub height: u32,
    /// The dots an inch it really has; fewer than asked for where the page is huge, `None` for an image.
    pub dpi: Option<f32>,
    /// The same page, small, as JPEG.
    pub thumb: Bytes,
    /// Its text layer, as it stands in the PDF; empty for an image.
    pub text: String,
    /// Whether something on it could hold text that is not in the text layer.
    pub has_images: bool,
    /// What the document calls the page (`iv`, `A-1`).
    pub label: Option<String>,
    /// Its width and height: points in a PDF, pixels in an image.
    pub size: (f32, f32),
    /// How far it is turned, degrees clockwise.
    pub rotation: u16,
    /// Whether the picture was made smaller than asked for.
    pub reduced: bool,
    /// How long the steps took.
    pub times: PageTimes,
}

/// How long the steps of one page took, microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageTimes {
    /// Opening the document, 0 when it was open already.
    pub open: u64,
    /// Loading and drawing the page, encoding it and its thumbnail.
    pub render: u64,
    /// Reading its text.
    pub extract: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_told_by_content_never_by_name() {
        assert_eq!(Kind::sniff(b"%PDF-1.7\n"), Some(Kind::Pdf));
        assert_eq!(Kind::sniff(b"\xef\xbb\xbf junk %PDF-1.4"), Some(Kind::Pdf));
        assert_eq!(Kind::sniff(b"RIFF\x24\0\0\0WEBPVP8 "), Some(Kind::Webp));
        assert_eq!(Kind::sniff(b"RIFF\x24\0\0\0WAVEfmt "), None);
        assert_eq!(Kind::sniff(b"MM\0*\0\0\0\x08"), Some(Kind::Tiff));
        assert_eq!(Kind::sniff(b"PK\x03\x04"), None);
        assert_eq!(Kind::sniff(b""), None);
    }
}

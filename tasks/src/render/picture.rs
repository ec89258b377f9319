//! Pages that are images: decoded with limits, turned upright, laid on white, and written as JPEG like any page.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::tiff::TiffDecoder;
use image::codecs::webp::WebPDecoder;
use image::{DynamicImage, ImageDecoder, ImageResult, Limits};

use crate::error::{Code, DocumentError, Stage};

use super::pixels::{self, Layout, Pixels, Samples};
use super::{Kind, Opened, PageOut, PageTimes, RenderOptions, jpeg, tiff};

/// The most pixels that are decoded: a picture tells its size before it is decoded, and a bomb's is here.
const MOST_PIXELS: u64 = 100_000_000;
/// The most memory a decoder may take.
const MOST_MEMORY: u64 = 512 << 20;

/// How many pages the file has, and how large the first is.
pub(super) fn open(path: &Path, kind: Kind) -> Result<Opened, DocumentError> {
    let pages = if kind == Kind::Tiff { u32::try_from(directories(path)?.len()).unwrap_or(u32::MAX) } else { 1 };
    if pages == 0 {
        return Err(corrupt(Stage::Open, "the TIFF file has no image in it"));
    }
    // An image that is broken further on is a page that fails, not a document that cannot be opened.
    let size = decoder(path, kind, 0).map(|decoder| decoder.dimensions()).unwrap_or_default();
    let sizes = vec![(size.0 as f32, size.1 as f32)];
    Ok(Opened { pages, title: None, authors: Vec::new(), sizes, pdf: None })
}

/// One image as a page.
pub(super) fn page(path: &Path, kind: Kind, index: u32, options: &RenderOptions) -> Result<PageOut, DocumentError> {
    let started = Instant::now();
    let picture = decode(path, kind, index)?;
    let (full_width, full_height) = (picture.width(), picture.height());
    let (layout, data) = plain(picture);
    let full = Pixels { data: &data, width: full_width, height: full_height, layout };
    let (width, height) = pixels::fit(full_width, full_height, options.max_image_pixels, jpeg::MAX_SIDE);
    let reduced = (width, height) != (full_width, full_height);
    let smaller = reduced.then(|| pixels::shrink(&full, width, height, Samples::All));
    let shown = smaller.as_deref().map_or(full, |data| Pixels { data, width, height, layout });
    let image = encode(&shown, options.quality)?;
    let thumb = thumbnail(&shown, options)?;
    let render = elapsed(started);
    Ok(PageOut {
        image,
        width,
        height,
        dpi: None,
        thumb,
        text: String::new(),
        has_images: true,
        label: None,
        size: (full_width as f32, full_height as f32),
        rotation: 0,
        reduced,
        times: PageTimes { open: 0, render, extract: 0 },
    })
}

/// A page's thumbnail, from the page's own pixels.
pub(super) fn thumbnail(page: &Pixels<'_>, options: &RenderOptions) -> Result<Bytes, DocumentError> {
    let width = u32::from(options.thumb_width).clamp(1, page.width);
    let height = (u64::from(page.height) * u64::from(width) / u64::from(page.width.max(1))).clamp(1, 4 * u64::from(width)) as u32;
    let data = pixels::shrink(page, width, height, Samples::Few(2));
    encode(&Pixels { data: &data, width, height, layout: page.layout }, options.quality)
}

/// A page as JPEG.
pub(super) fn encode(page: &Pixels<'_>, quality: u8) -> Result<Bytes, DocumentError> {
    let failed =
        |error| DocumentError::new(Code::PageRenderFailed, Stage::Render, format!("cannot encode the page as JPEG: {error}"));
    jpeg::encode(page, quality).map_err(failed)
}

/// Microseconds since `started`.
pub(super) fn elapsed(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn decode(path: &Path, kind: Kind, index: u32) -> Result<DynamicImage, DocumentError> {
    let broken = |error| corrupt(Stage::Render, &format!("the image cannot be decoded: {error}"));
    let mut decoder = decoder(path, kind, index)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(corrupt(Stage::Render, &format!("the image is too large to decode: {width} times {height} pixels")));
    }
    let orientation = decoder.orientation().map_err(broken)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(broken)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

fn decoder(path: &Path, kind: Kind, index: u32) -> Result<Box<dyn ImageDecoder>, DocumentError> {
    let broken = |error| corrupt(Stage::Render, &format!("the image cannot be read: {error}"));
    let file = BufReader::new(open_file(path)?);
    if kind != Kind::Tiff {
        return limited(kind, file).map_err(broken);
    }
    let start =
        *directories(path)?.get(index as usize).ok_or_else(|| corrupt(Stage::Render, "the file has fewer images than that"))?;
    let page = tiff::Page::new(file, start).map_err(|error| corrupt(Stage::Render, &error.to_string()))?;
    limited(kind, BufReader::new(page)).map_err(broken)
}

fn limited<R: BufRead + Seek + 'static>(kind: Kind, file: R) -> ImageResult<Box<dyn ImageDecoder>> {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MOST_MEMORY);
    let mut decoder: Box<dyn ImageDecoder> = match kind {
        Kind::Png => Box::new(PngDecoder::with_limits(file, limits.clone())?),
        Kind::Webp => Box::new(WebPDecoder::new(file)?),
        Kind::Tiff => Box::new(TiffDecoder::new(file)?),
        _ => Box::new(JpegDecoder::new(file)?),
    };
    decoder.set_limits(limits)?;
    Ok(decoder)
}

fn directories(path: &Path) -> Result<Vec<u64>, DocumentError> {
    let mut file = BufReader::new(open_file(path)?);
    tiff::directories(&mut file).map_err(|error| corrupt(Stage::Open, &format!("the TIFF file cannot be read: {error}")))
}

fn open_file(path: &Path) -> Result<File, DocumentError> {
    File::open(path).map_err(|error| {
        DocumentError::new(Code::StorageFailed, Stage::Open, format!("cannot open the stored document {}: {error}", path.display()))
    })
}

/// Eight bits a channel, without transparency: what is transparent shows white paper, not black.
fn plain(picture: DynamicImage) -> (Layout, Vec<u8>) {
    if !picture.color().has_alpha() {
        return if picture.color().has_color() {
            (Layout::Rgb, picture.into_rgb8().into_raw())
        } else {
            (Layout::Gray, picture.into_luma8().into_raw())
        };
    }
    let mut rgb = Vec::with_capacity(picture.width() as usize * picture.height() as usize * 3);
    for pixel in picture.into_rgba8().pixels() {
        let [red, green, blue, alpha] = pixel.0.map(u32::from);
        rgb.extend([red, green, blue].map(|channel| ((channel * alpha + 255 * (255 - alpha)) / 255) as u8));
    }
    (Layout::Rgb, rgb)
}

fn corrupt(stage: Stage, message: &str) -> DocumentError {
    DocumentError::new(Code::ImageCorrupt, stage, message)
}

//! JPEG from pixels as PDFium and the decoders leave them.

use bytes::Bytes;
use mozjpeg::{ColorSpace, Compress};

use super::pixels::{Layout, Pixels};

/// The longest side a JPEG can have.
pub(super) const MAX_SIDE: u32 = 65_500;

/// Encodes with libjpeg-turbo's speed: no trellis, no optimised Huffman tables, 4:2:0.
///
/// # Panics
/// mozjpeg unwinds on what libjpeg calls an error; sizes are checked before, and a child that panics is replaced.
pub(super) fn encode(pixels: &Pixels<'_>, quality: u8) -> std::io::Result<Bytes> {
    let mut compress = Compress::new(match pixels.layout {
        Layout::Rgbx => ColorSpace::JCS_EXT_RGBX,
        Layout::Rgb => ColorSpace::JCS_EXT_RGB,
        Layout::Gray => ColorSpace::JCS_GRAYSCALE,
    });
    compress.set_size(pixels.width as usize, pixels.height as usize);
    compress.set_fastest_defaults();
    compress.set_quality(f32::from(quality.clamp(1, 100)));
    // A page of text at quality 85 comes to about a tenth of its pixels' bytes.
    let out = Vec::with_capacity(pixels.width as usize * pixels.height as usize / 6 + 1024);
    let mut started = compress.start_compress(out)?;
    started.write_scanlines(pixels.data)?;
    Ok(Bytes::from(started.finish()?))
}

//! What happens to a page after it is rendered: its text made readable, or read from the picture where there is none.

mod ocr;
mod text;

pub use ocr::{Ocr, OcrMode, OcrOptions, OcrText};
pub use text::{clean, needs_ocr, words};

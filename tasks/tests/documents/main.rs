//! Documents, from where they come to what a page holds: real PDFium, real files, hostile ones among them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod images;
mod ocr;
mod pdf;
mod sources;
mod stores;
mod support;

//! Documents, from where they come to what a page holds: real PDFium, real files, hostile ones among them.

mod images;
mod ocr;
mod pdf;
mod sources;
mod stores;
mod support;

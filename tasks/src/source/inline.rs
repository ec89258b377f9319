//! Documents that come inside the message, as base64.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest, Sha256};

use crate::error::DocumentError;
use crate::render::Kind;
use crate::store::{Key, Spool, Store, hexadecimal, too_large};

use super::{Content, Document, PageImageFile, SourceOptions, unsupported};

const PADDING: GeneralPurposeConfig = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, PADDING);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, PADDING);

/// How many characters are decoded at once: whole groups of four.
const PIECE: usize = 256 * 1024;

/// Appends what `text` stands for.
pub(super) async fn decode_into(text: &str, spool: &mut Spool) -> Result<(), DocumentError> {
    // Decoded it is three quarters as long: what is too large is told before it is decoded.
    spool.announce(text.len() as u64 / 4 * 3)?;
    let (body, engine) = undressed(text).map_err(|why| unsupported(&why))?;
    let mut plain = body.bytes().filter(|byte| !byte.is_ascii_whitespace()).peekable();
    while plain.peek().is_some() {
        let piece: Vec<u8> = plain.by_ref().take(PIECE).collect();
        spool.write(&decoded(engine, piece).map_err(|why| unsupported(&why))?).await?;
    }
    Ok(())
}

/// A document of one image a page. An entry that is no image is a broken page, not a broken document.
pub(super) async fn images(images: &[String], store: &Store, options: &SourceOptions) -> Result<Document, DocumentError> {
    let mut set = ImageSet::new(store.clone(), options.max_bytes);
    for text in images {
        set.add(text).await?;
    }
    set.finish()
}

/// A document of one image a page that is being handed in, page after page: no more than one page is in memory at a time.
#[derive(Debug)]
pub struct ImageSet {
    store: Store,
    max_bytes: u64,
    pages: Vec<PageImageFile>,
    size_bytes: u64,
    sums: Sha256,
}

impl ImageSet {
    /// An empty one, of so many bytes at most.
    pub fn new(store: Store, max_bytes: u64) -> Self {
        Self { store, max_bytes, pages: Vec::new(), size_bytes: 0, sums: Sha256::new() }
    }

    /// How many pages it has.
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Takes in the next page, base64 with or without a `data:` prefix. What is no image is a broken page.
    pub async fn add(&mut self, text: &str) -> Result<(), DocumentError> {
        self.size_bytes += text.len() as u64 / 4 * 3;
        if self.size_bytes > self.max_bytes {
            return Err(too_large(self.max_bytes));
        }
        let page = one(text, self.pages.len() + 1, &self.store, self.max_bytes).await?;
        if let PageImageFile::Stored { sha256, .. } = &page {
            self.sums.update(sha256.as_bytes());
        }
        self.sums.update(b"\n");
        self.pages.push(page);
        Ok(())
    }

    /// The document.
    pub fn finish(self) -> Result<Document, DocumentError> {
        if self.pages.is_empty() {
            return Err(unsupported("images_base64 is empty: a document has at least one page"));
        }
        let sha256 = hexadecimal(&self.sums.finalize());
        let content = Content::Images { images: self.pages };
        Ok(Document { file_name: None, sha256, size_bytes: self.size_bytes, content })
    }
}

async fn one(text: &str, number: usize, store: &Store, max_bytes: u64) -> Result<PageImageFile, DocumentError> {
    let bytes = match decode(text) {
        Ok(bytes) if bytes.is_empty() => return Ok(broken(format!("image {number} is empty"))),
        Ok(bytes) => bytes,
        Err(why) => return Ok(broken(format!("image {number}: {why}"))),
    };
    let Some(kind) = Kind::sniff(&bytes) else {
        return Ok(broken(format!("image {number} is neither a PNG, JPEG, WebP or TIFF image nor a PDF")));
    };
    let mut spool = store.spool(max_bytes).await?;
    spool.write(&bytes).await?;
    let (_, sha256) = spool.finish().await?;
    store.adopt(spool, &Key::source(&sha256)?).await?;
    Ok(PageImageFile::Stored { sha256, kind })
}

fn broken(reason: String) -> PageImageFile {
    PageImageFile::Broken { reason }
}

/// Base64 as browsers and Python write it: with a `data:` prefix or none, padded or not, in one line or many, either alphabet.
fn decode(text: &str) -> Result<Vec<u8>, String> {
    let (body, engine) = undressed(text)?;
    decoded(engine, body.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect())
}

/// Without its prefix, and by which alphabet it is written.
fn undressed(text: &str) -> Result<(&str, &'static GeneralPurpose), String> {
    let body = match text.trim_start().strip_prefix("data:") {
        Some(rest) => {
            let (head, body) = rest.split_once(',').ok_or("a data: address without a comma")?;
            if !head.trim_end().ends_with(";base64") {
                return Err("a data: address that is not base64".into());
            }
            body
        }
        None => text,
    };
    Ok((body, if body.contains(['-', '_']) { &URL_SAFE } else { &STANDARD }))
}

fn decoded(engine: &GeneralPurpose, plain: Vec<u8>) -> Result<Vec<u8>, String> {
    engine.decode(plain).map_err(|error| format!("not base64: {error}").to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_in_every_usual_dress() {
        for text in [
            "aGVsbG8/Pz8+",
            "data:image/png;base64,aGVsbG8/Pz8+",
            " data:image/png;charset=x;base64,aGVsbG8/Pz8+",
            "aGVs\r\nbG8/\nPz8+",
            "aGVsbG8_Pz8-",
        ] {
            assert_eq!(decode(text).unwrap(), b"hello???>", "{text}");
        }
        assert_eq!(decode("aGk=").unwrap(), b"hi");
        assert_eq!(decode("aGk").unwrap(), b"hi");
        for text in ["!!!", "data:image/png;base64", "data:text/plain,hello", "a"] {
            assert!(decode(text).is_err(), "{text}");
        }
    }
}

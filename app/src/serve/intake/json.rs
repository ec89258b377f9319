//! A JSON body that may hold a document, or five hundred images: they go into the store one by one, and only the rest is kept.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::http::StatusCode;
use celeriac_tasks::error::DocumentError;
use celeriac_tasks::source::{Document, ImageSet, Source, SourceOptions, fetch};
use celeriac_tasks::store::Store;
use futures::TryStreamExt;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::super::problem::Problem;
use super::value::{Counted, VALUES_MAX};
use super::{FIELD_MAX, FIELDS_MAX};
use crate::jobs::Refusal;

/// The field with the images.
const IMAGES: &str = "images_base64";
/// The field with a whole document, by either of its names.
const PDF: [&str; 2] = ["pdf_base64", "file_base64"];
/// The field with many documents by reference.
const DOCUMENTS: &str = "documents";
/// The most bytes an image or a document may have: what is in memory at a time.
const DOCUMENT_MAX: u64 = 128 * 1024 * 1024;
/// The most bytes a list of documents by reference may have.
const DOCUMENTS_MAX: u64 = 64 * 1024 * 1024;

/// The most bytes a field may have, an image where it has many.
fn most(name: &str) -> u64 {
    match name {
        DOCUMENTS => DOCUMENTS_MAX,
        name if name == IMAGES || PDF.contains(&name) => DOCUMENT_MAX,
        _ => FIELD_MAX as u64,
    }
}

/// What a body said.
#[derive(Debug)]
pub(crate) struct Given {
    /// Every field but the document.
    pub(crate) fields: Map<String, Value>,
    /// The document that came with it, already in the store.
    pub(crate) document: Option<Document>,
}

/// Reads a body of at most `max_bytes`.
pub(crate) async fn read(body: Body, store: &Store, max_bytes: u64) -> Result<Given, Problem> {
    let stream = body.into_data_stream().map_err(io::Error::other);
    let reader = SyncIoBridge::new(StreamReader::new(stream));
    let inline = Inline { store: store.clone(), max_bytes, images: None, pdf: None, handle: Handle::current(), failed: None };
    let parsed = tokio::task::spawn_blocking(move || parse(reader, inline, max_bytes)).await;
    parsed.map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", format!("reading the body broke down: {error}"))
    })?
}

fn parse(reader: impl Read, mut inline: Inline, max_bytes: u64) -> Result<Given, Problem> {
    let meter = Arc::new(Meter::default());
    let metered = Metered { inner: reader, meter: Arc::clone(&meter), total: 0, max_bytes };
    let mut json = serde_json::Deserializer::from_reader(io::BufReader::with_capacity(64 * 1024, metered));
    let read = Fields { inline: &mut inline, meter: &meter }.deserialize(&mut json).and_then(|fields| json.end().map(|()| fields));
    match (read, inline.failed.take()) {
        (_, Some(error)) => Err(Refusal::from(error).into()),
        (Ok(fields), None) => Ok(Given { fields, document: inline.document()? }),
        (Err(error), None) => Err(broken(&error)),
    }
}

fn broken(error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    if text.contains(TOO_LARGE) {
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text);
    }
    let what = if error.is_io() { "the body broke off" } else { "the body is not the JSON it should be" };
    Problem::new(StatusCode::BAD_REQUEST, "invalid", format!("{what}: {text}"))
}

pub(super) const TOO_LARGE: &str = "is larger than this service takes";

/// How much was read of a value, and how much that may be.
#[derive(Debug)]
struct Meter {
    read: AtomicU64,
    most: AtomicU64,
}

impl Default for Meter {
    fn default() -> Self {
        Self { read: AtomicU64::new(0), most: AtomicU64::new(FIELD_MAX as u64) }
    }
}

impl Meter {
    /// A value begins.
    fn begin(&self, most: u64) {
        self.read.store(0, Ordering::Relaxed);
        self.most.store(most, Ordering::Relaxed);
    }
}

/// Measures what is read, in all and of each value.
struct Metered<R> {
    inner: R,
    meter: Arc<Meter>,
    total: u64,
    max_bytes: u64,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)? as u64;
        self.total += read;
        let so_far = self.meter.read.fetch_add(read, Ordering::Relaxed) + read;
        let most = self.meter.most.load(Ordering::Relaxed);
        if self.total > self.max_bytes {
            return Err(io::Error::other(format!("the body {TOO_LARGE}: {} MB", self.max_bytes / 1_000_000)));
        }
        if so_far > most {
            return Err(io::Error::other(format!("one value of the body {TOO_LARGE}: {} MB", most / 1_000_000)));
        }
        Ok(read as usize)
    }
}

/// The document that comes with a body, on its way into the store.
struct Inline {
    store: Store,
    max_bytes: u64,
    images: Option<ImageSet>,
    pdf: Option<Document>,
    handle: Handle,
    failed: Option<DocumentError>,
}

impl Inline {
    /// Takes in the next image.
    fn image(&mut self, text: &str) -> Result<(), DocumentError> {
        let set = self.images.get_or_insert_with(|| ImageSet::new(self.store.clone(), self.max_bytes));
        self.handle.block_on(set.add(text))
    }

    /// Takes in a whole document.
    fn pdf(&mut self, text: String) -> Result<(), DocumentError> {
        let options = SourceOptions { max_bytes: self.max_bytes, ..SourceOptions::default() };
        let fetched = self.handle.block_on(fetch(&Source::PdfBase64(text), &self.store, &options));
        self.pdf = Some(fetched?);
        Ok(())
    }

    /// What was refused ends the reading.
    fn taken<E: Error>(&mut self, taken: Result<(), DocumentError>) -> Result<(), E> {
        taken.map_err(|error| {
            self.failed = Some(error);
            E::custom("refused")
        })
    }

    /// The one document, once all is read.
    fn document(self) -> Result<Option<Document>, Problem> {
        let images = self.images.map(|images| images.finish().map_err(Refusal::from)).transpose()?;
        match (images, self.pdf) {
            (Some(_), Some(_)) => Err(Problem::invalid("images_base64 and pdf_base64 are two documents: give one of them")),
            (images, pdf) => Ok(images.or(pdf)),
        }
    }
}

/// The body's object.
struct Fields<'a> {
    inline: &'a mut Inline,
    meter: &'a Meter,
}

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut fields, left) = (Map::new(), Cell::new(VALUES_MAX));
        let counted = Counted { left: &left };
        while let Some(name) = map.next_key::<String>()? {
            self.meter.begin(most(&name));
            if name == IMAGES {
                map.next_value_seed(ImageList { inline: self.inline, meter: self.meter, counted })?;
            } else if PDF.contains(&name.as_str()) {
                let pdf = map.next_value::<Option<String>>()?;
                let taken = pdf.map_or(Ok(()), |text| self.inline.pdf(text));
                self.inline.taken(taken)?;
            } else {
                fields.insert(name, map.next_value_seed(counted)?);
            }
            if fields.len() > FIELDS_MAX {
                return Err(A::Error::custom(format!("the body {TOO_LARGE}: {FIELDS_MAX} fields")));
            }
            self.meter.begin(FIELD_MAX as u64);
        }
        Ok(fields)
    }
}

/// The list of images.
struct ImageList<'a> {
    inline: &'a mut Inline,
    meter: &'a Meter,
    counted: Counted<'a>,
}

impl<'de> DeserializeSeed<'de> for ImageList<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ImageList<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of base64 images")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { inline, meter, counted } = self;
        inline.images.get_or_insert_with(|| ImageSet::new(inline.store.clone(), inline.max_bytes));
        while let Some(image) = list.next_element::<String>()? {
            meter.begin(DOCUMENT_MAX);
            counted.count()?;
            let taken = inline.image(&image);
            inline.taken(taken)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    async fn given(body: String) -> (Result<Given, Problem>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::local(folder.path()).unwrap();
        (read(Body::from(body), &store, 1_000_000_000).await, folder)
    }

    #[tokio::test]
    async fn c14_a_document_in_the_body_is_in_the_store_and_not_among_the_fields() {
        let pdf: Vec<u8> = b"%PDF-1.4\n".iter().copied().chain((0..300_000_u32).map(|n| (n % 251) as u8)).collect();
        let text = STANDARD.encode(&pdf);
        for (name, prefix) in [("pdf_base64", ""), ("file_base64", "data:application/pdf;base64,")] {
            let (given, folder) = given(format!(r#"{{"user_id": "u", "{name}": "{prefix}{text}", "tags": ["t"]}}"#)).await;
            let Given { fields, document } = given.unwrap();
            assert_eq!(Value::from(fields), serde_json::json!({"user_id": "u", "tags": ["t"]}));
            let document = document.unwrap();
            let (key, ..) = document.page_file(1).unwrap();
            assert_eq!(std::fs::read(folder.path().join(key.as_str())).unwrap(), pdf);
        }
        let (refused, _) = given(r#"{"pdf_base64": "aGVsbG8="}"#.to_owned()).await;
        assert!(refused.unwrap_err().detail.contains("neither a PDF nor"));
        let (two, _) = given(format!(r#"{{"pdf_base64": "{text}", "images_base64": ["{text}"]}}"#)).await;
        assert!(two.unwrap_err().detail.contains("give one of them"));
        let (none, _) = given(r#"{"pdf_base64": null}"#.to_owned()).await;
        assert!(none.unwrap().document.is_none());
    }

    #[tokio::test]
    async fn what_is_kept_in_memory_of_a_body_has_an_end() {
        let long = "x".repeat(2 * FIELD_MAX);
        let many = |value: &str, count| vec![value; count].join(",");
        for (body, limit) in [
            (format!(r#"{{"metadata": {{"m": "{long}"}}}}"#), "1 MB"),
            (format!(r#"{{"{long}": 1}}"#), "1 MB"),
            (format!(r#"{{"images_base64": [], "metadata": "{long}"}}"#), "1 MB"),
            (format!(r#"{{"documents": [{}]}}"#, many("0", VALUES_MAX)), "1048576 values"),
            (format!(r#"{{"documents": [[{}], {{"a": [{}]}}]}}"#, many("0", VALUES_MAX / 2), many("[]", VALUES_MAX / 2)), "values"),
            (format!(r#"{{"images_base64": [{}]}}"#, many("\"\"", VALUES_MAX + 1)), "values"),
            (format!("{{{}}}", (0..=FIELDS_MAX).map(|n| format!("\"{n}\": 0")).collect::<Vec<_>>().join(",")), "100 fields"),
        ] {
            let refused = given(body).await.0.unwrap_err();
            assert_eq!((refused.status, refused.code), (413, "too_large"), "{}", refused.detail);
            assert!(refused.detail.contains(limit), "{}", refused.detail);
        }
        let (several, _) = given(format!(r#"{{"documents": [{}]}}"#, many(&format!("\"{}\"", "p".repeat(1000)), 4000))).await;
        assert_eq!(several.unwrap().fields["documents"].as_array().unwrap().len(), 4000);
        let (read, _) = given(r#"{"a": [1, -2, 0.5, true, null, "t", {"b": {}}]}"#.to_owned()).await;
        assert_eq!(Value::from(read.unwrap().fields), serde_json::json!({"a": [1, -2, 0.5, true, null, "t", {"b": {}}]}));
    }
}

//! A JSON body that may hold five hundred images: they go into the store one by one, and only the rest is kept.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::http::StatusCode;
use celeriac_tasks::error::DocumentError;
use celeriac_tasks::source::ImageSet;
use celeriac_tasks::store::Store;
use futures::TryStreamExt;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::super::problem::Problem;

/// The field with the images.
const IMAGES: &str = "images_base64";
/// The most bytes one value may have, an image among them: what is in memory at a time.
const VALUE_MAX: u64 = 128 * 1024 * 1024;

/// What a body said.
#[derive(Debug)]
pub(crate) struct Given {
    /// Every field but the images.
    pub(crate) fields: Map<String, Value>,
    /// The images, already in the store; `None`: the field was not there.
    pub(crate) images: Option<ImageSet>,
}

/// Reads a body of at most `max_bytes`.
pub(crate) async fn read(body: Body, store: &Store, max_bytes: u64) -> Result<Given, Problem> {
    let stream = body.into_data_stream().map_err(io::Error::other);
    let reader = SyncIoBridge::new(StreamReader::new(stream));
    let images = Images { store: store.clone(), max_bytes, set: None, handle: Handle::current(), failed: None };
    let parsed = tokio::task::spawn_blocking(move || parse(reader, images, max_bytes)).await;
    parsed.map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", format!("reading the body broke down: {error}"))
    })?
}

fn parse(reader: impl Read, mut images: Images, max_bytes: u64) -> Result<Given, Problem> {
    let since = Arc::new(AtomicU64::new(0));
    let metered = Metered { inner: reader, since: Arc::clone(&since), total: 0, max_bytes };
    let mut json = serde_json::Deserializer::from_reader(io::BufReader::with_capacity(64 * 1024, metered));
    let read = Fields { images: &mut images, since: &since }.deserialize(&mut json).and_then(|fields| json.end().map(|()| fields));
    match (read, images.failed) {
        (_, Some(error)) => Err(crate::jobs::Refusal::from(error).into()),
        (Ok(fields), None) => Ok(Given { fields, images: images.set }),
        (Err(error), None) if error.is_io() => Err(broken(&error)),
        (Err(error), None) => {
            Err(Problem::new(StatusCode::BAD_REQUEST, "invalid", format!("the body is not the JSON it should be: {error}")))
        }
    }
}

fn broken(error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    if text.contains(TOO_LARGE) {
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text);
    }
    Problem::new(StatusCode::BAD_REQUEST, "invalid", format!("the body broke off: {text}"))
}

const TOO_LARGE: &str = "is larger than this service takes";

/// Counts what is read, in all and since the last value.
struct Metered<R> {
    inner: R,
    since: Arc<AtomicU64>,
    total: u64,
    max_bytes: u64,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.total += read as u64;
        let since = self.since.fetch_add(read as u64, Ordering::Relaxed) + read as u64;
        let megabytes = |bytes: u64| bytes / 1_000_000;
        if self.total > self.max_bytes {
            return Err(io::Error::other(format!("the body {TOO_LARGE}: {} MB", megabytes(self.max_bytes))));
        }
        if since > VALUE_MAX {
            return Err(io::Error::other(format!("one value of the body {TOO_LARGE}: {} MB", megabytes(VALUE_MAX))));
        }
        Ok(read)
    }
}

/// Where images go.
struct Images {
    store: Store,
    max_bytes: u64,
    set: Option<ImageSet>,
    handle: Handle,
    failed: Option<DocumentError>,
}

/// The body's object.
struct Fields<'a> {
    images: &'a mut Images,
    since: &'a AtomicU64,
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
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            self.since.store(0, Ordering::Relaxed);
            if name == IMAGES {
                map.next_value_seed(ImageList { images: self.images, since: self.since })?;
            } else {
                let value = map.next_value()?;
                fields.insert(name, value);
            }
        }
        Ok(fields)
    }
}

/// The list of images.
struct ImageList<'a> {
    images: &'a mut Images,
    since: &'a AtomicU64,
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
        let Images { store, max_bytes, set, handle, failed } = self.images;
        let set = set.get_or_insert_with(|| ImageSet::new(store.clone(), *max_bytes));
        while let Some(image) = list.next_element::<String>()? {
            self.since.store(0, Ordering::Relaxed);
            if let Err(error) = handle.block_on(set.add(&image)) {
                *failed = Some(error);
                return Err(serde::de::Error::custom("refused"));
            }
        }
        Ok(())
    }
}

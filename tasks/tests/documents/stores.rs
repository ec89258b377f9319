//! The store: whole or nothing, in its place, and clear about what went wrong.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use celeriac_tasks::Code;
use celeriac_tasks::source::{Source, SourceOptions, fetch};
use celeriac_tasks::store::{Key, PageFile, Store, StoreOptions};
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result,
};

/// A store in memory whose disk is full.
#[derive(Debug)]
struct Full(InMemory);

fn full() -> object_store::Error {
    object_store::Error::Generic { store: "test", source: Box::new(io::Error::from(io::ErrorKind::StorageFull)) }
}

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("full")
    }
}

#[async_trait]
impl ObjectStore for Full {
    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(full())
    }
    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(full())
    }
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(location, options).await
    }
    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.0.get_ranges(location, ranges).await
    }
    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(locations)
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

/// Every kind of store, each with a folder of its own.
fn stores() -> (tempfile::TempDir, Vec<(&'static str, Store)>) {
    let dir = tempfile::tempdir().unwrap();
    let folder = format!("file://{}", dir.path().join("b").display());
    let stores = vec![
        ("folder", Store::local(dir.path().join("a")).unwrap()),
        ("file address", Store::open(&StoreOptions { url: folder, ..StoreOptions::default() }).unwrap()),
        ("memory", Store::memory(dir.path().join("spool"))),
    ];
    (dir, stores)
}

fn page(number: u32, file: PageFile) -> Key {
    Key::page("job-1", number, file).unwrap()
}

#[tokio::test]
async fn what_is_put_is_got_and_listed_and_gone_when_deleted() {
    let (_dir, stores) = stores();
    for (name, store) in stores {
        let key = page(7, PageFile::Text);
        assert_eq!(store.get(&key).await.unwrap(), None, "{name}");
        store.put(&key, "first").await.unwrap();
        store.put(&key, "second").await.unwrap();
        assert_eq!(store.get(&key).await.unwrap().unwrap(), "second", "{name}");
        assert_eq!(store.size(&key).await.unwrap(), Some(6));
        let other = Key::job("job-2", "result.json").unwrap();
        store.put(&other, "{}").await.unwrap();
        assert_eq!(store.list(&Key::job_prefix("job-1").unwrap()).await.unwrap(), std::slice::from_ref(&key), "{name}");
        store.delete_job("job-1").await.unwrap();
        store.delete(&key).await.unwrap();
        assert!(!store.exists(&key).await.unwrap() && store.exists(&other).await.unwrap(), "{name}");
    }
}

#[tokio::test]
async fn pages_whose_record_is_written_are_done() {
    let (_dir, stores) = stores();
    for (name, store) in stores {
        for number in [1000, 2, 25] {
            store.put(&page(number, PageFile::Image), "jpeg").await.unwrap();
            store.put(&page(number, PageFile::Record), "{}").await.unwrap();
        }
        // A page that was cut off before its record.
        store.put(&page(3, PageFile::Image), "jpeg").await.unwrap();
        store.put(&Key::page("job-10", 4, PageFile::Record).unwrap(), "{}").await.unwrap();
        assert_eq!(store.pages_done("job-1").await.unwrap(), [2, 25, 1000], "{name}");
        assert_eq!(store.pages_done("job-none").await.unwrap(), [0u32; 0], "{name}");
    }
}

#[tokio::test]
async fn a_stored_document_is_a_file_for_a_child() {
    let (_dir, stores) = stores();
    for (name, store) in stores {
        let source = Source::PdfBase64("JVBERi0xLjc=".into());
        let document = fetch(&source, &store, &SourceOptions::default()).await.unwrap();
        let key = Key::source(&document.sha256).unwrap();
        let path = store.local_path(&key).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"%PDF-1.7", "{name}");
        assert!(store.local_folders().iter().any(|folder| path.starts_with(folder)), "{name}: a sandbox must know {path:?}");
        assert_eq!(store.local_path(&key).await.unwrap(), path);
        let missing = Key::source(&"0".repeat(64)).unwrap();
        assert_eq!(store.local_path(&missing).await.unwrap_err().code, Code::SourceMissing);
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_passes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::over(Arc::new(Full(InMemory::new())), dir.path());
    let error = store.put(&page(1, PageFile::Image), "jpeg").await.unwrap_err();
    assert_eq!((error.code, error.retryable()), (Code::StorageFailed, true));
    assert!(error.message.contains("no space left") && error.message.contains("000001/image.jpg"), "{error}");
    let source = Source::PdfBase64("JVBERi0xLjc=".into());
    let error = fetch(&source, &store, &SourceOptions::default()).await.unwrap_err();
    assert_eq!((error.code, error.message.contains("no space left")), (Code::StorageFailed, true), "{error}");
}

#[tokio::test]
async fn a_file_where_a_folder_must_be_is_said_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::local(dir.path()).unwrap();
    std::fs::write(dir.path().join("jobs"), b"in the way").unwrap();
    let error = store.put(&page(1, PageFile::Image), "jpeg").await.unwrap_err();
    assert_eq!((error.code, error.retryable()), (Code::StorageFailed, false), "{error}");
    std::fs::write(dir.path().join(".spool"), b"in the way").unwrap();
    let error = fetch(&Source::PdfBase64("JVBERi0xLjc=".into()), &store, &SourceOptions::default()).await.unwrap_err();
    assert_eq!(error.code, Code::StorageFailed);
    assert!(Store::local(dir.path().join("jobs/below")).is_err());
}

#[test]
fn an_address_that_is_no_stores_is_refused_in_words() {
    let open = |url: &str| Store::open(&StoreOptions { url: url.into(), ..StoreOptions::default() });
    for url in ["", "ftp://host/x", "https://host/x", "redis://host", "s3://bucket"] {
        let error = open(url).expect_err(url);
        assert_eq!((error.code, error.retryable()), (Code::StorageFailed, false), "{url}");
    }
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        url: "s3://bucket/prefix".into(),
        spool: dir.path().into(),
        s3_access_key_id: Some("id".into()),
        s3_secret_access_key: Some("very secret".into()),
        ..StoreOptions::default()
    };
    assert!(Store::open(&options).is_ok());
    assert!(!format!("{options:?}").contains("very secret"));
}

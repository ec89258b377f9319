//! Sources: what each lets in, what it refuses, and that the refusal says why.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use celeriac_tasks::render::{Kind, PageArgs, RenderOptions, Renderer};
use celeriac_tasks::source::{Content, Document, PageImageFile, Resolver, Source, SourceOptions, fetch};
use celeriac_tasks::store::{Key, Store};
use celeriac_tasks::{Code, DocumentError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::images::png;

struct House {
    dir: tempfile::TempDir,
    store: Store,
    options: SourceOptions,
}

/// A store, and a folder `in` from which documents may come.
fn house() -> House {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("in")).unwrap();
    let store = Store::local(dir.path().join("store")).unwrap();
    let options = SourceOptions { allowed_folders: vec![dir.path().join("in")], ..SourceOptions::default() };
    House { dir, store, options }
}

impl House {
    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    async fn path(&self, path: impl AsRef<Path>) -> Result<Document, DocumentError> {
        fetch(&Source::Path(path.as_ref().to_owned()), &self.store, &self.options).await
    }

    async fn url(&self, url: &str) -> Result<Document, DocumentError> {
        fetch(&Source::Url(url.into()), &self.store, &self.options).await
    }

    async fn refusal(&self, url: &str) -> Code {
        self.url(url).await.expect_err(url).code
    }
}

#[test]
fn sources_read_as_a_python_caller_writes_them() {
    let cases = [
        (r#"{"path": "/data/a.pdf"}"#, Source::Path("/data/a.pdf".into())),
        (r#"{"url": "https://x.org/a.pdf"}"#, Source::Url("https://x.org/a.pdf".into())),
        (r#"{"file_url": "https://x.org/a.pdf"}"#, Source::Url("https://x.org/a.pdf".into())),
        (r#"{"store_key": "uploads/a"}"#, Source::StoreKey("uploads/a".into())),
        (r#"{"file_key": "uploads/a"}"#, Source::StoreKey("uploads/a".into())),
        (r#"{"images_base64": ["aGk="]}"#, Source::ImagesBase64(vec!["aGk=".into()])),
        (r#"{"pdf_base64": "aGk="}"#, Source::PdfBase64("aGk=".into())),
    ];
    for (text, source) in cases {
        assert_eq!(serde_json::from_str::<Source>(text).unwrap(), source, "{text}");
    }
    let shown = format!("{:?}", Source::Url("https://me:pw@x.org/a?token=t".into()));
    assert!(!shown.contains("pw") && !shown.contains("token"), "{shown}");
}

#[tokio::test]
async fn a_file_in_an_allowed_folder_is_copied_by_its_content() {
    let house = house();
    // Called a PDF, but known by what it is.
    let path = house.write("in/picture.pdf", &png(3, 2));
    let document = house.path(&path).await.unwrap();
    assert_eq!(document.content, Content::File { kind: Kind::Png });
    assert_eq!((document.file_name.as_deref(), document.file_type().as_str()), (Some("picture.pdf"), "PNG"));
    let key = Key::source(&document.sha256).unwrap();
    assert_eq!(house.store.get(&key).await.unwrap().unwrap(), png(3, 2));
    assert_eq!(house.path(&path).await.unwrap(), document, "and again it is the same document");
}

#[tokio::test]
async fn a_path_cannot_leave_the_allowed_folders() {
    let house = house();
    house.write("secret.pdf", b"%PDF-1.7 secret");
    house.write("in/good.pdf", b"%PDF-1.7 good");
    std::fs::create_dir(house.dir.path().join("in/sub")).unwrap();
    std::fs::create_dir(house.dir.path().join("in-other")).unwrap();
    house.write("in-other/near.pdf", b"%PDF-1.7 near");
    let inside = house.dir.path().join("in");
    std::os::unix::fs::symlink(house.dir.path().join("secret.pdf"), inside.join("link.pdf")).unwrap();
    std::os::unix::fs::symlink(house.dir.path(), inside.join("up")).unwrap();
    let paths = [
        "../secret.pdf",
        "sub/../../secret.pdf",
        "link.pdf",
        "up/secret.pdf",
        "up/in-other/near.pdf",
        "/etc/passwd",
        "/etc/nothing-here",
        "../in-other/near.pdf",
        "../nothing.pdf",
        "/proc/self/environ",
        "/dev/zero",
        "a\0b",
    ];
    for path in paths {
        let error = house.path(inside.join(path)).await.expect_err(path);
        assert_eq!((error.code, error.retryable()), (Code::SourceRefused, false), "{path}: {error}");
    }
    assert_eq!(house.path("in/good.pdf").await.unwrap_err().code, Code::SourceRefused, "relative to nobody knows where");
    assert!(house.path(inside.join("sub/../good.pdf")).await.is_ok());
    assert!(house.path(inside.join("up/in/good.pdf")).await.is_ok(), "a link that leads back inside is inside");
    let closed = SourceOptions::default();
    let error = fetch(&Source::Path(inside.join("good.pdf")), &house.store, &closed).await.unwrap_err();
    assert_eq!(error.code, Code::SourceRefused);
}

#[tokio::test]
async fn what_is_no_document_says_so() {
    let mut house = house();
    let cases = [("empty.pdf", &b""[..]), ("text.pdf", b"only text"), ("zip.pdf", b"PK\x03\x04")];
    for (name, bytes) in cases {
        let path = house.write(&format!("in/{name}"), bytes);
        assert_eq!(house.path(path).await.expect_err(name).code, Code::SourceUnsupported, "{name}");
    }
    let inside = house.dir.path().join("in");
    assert_eq!(house.path(&inside).await.unwrap_err().code, Code::SourceUnsupported, "a folder");
    assert_eq!(house.path(inside.join("not-here.pdf")).await.unwrap_err().code, Code::SourceMissing);
    let path = house.write("in/large.pdf", &[b"%PDF-1.7".as_slice(), &[0; 5000]].concat());
    house.options.max_bytes = 4000;
    assert_eq!(house.path(path).await.unwrap_err().code, Code::SourceTooLarge);
    let left = std::fs::read_dir(house.dir.path().join("store/.spool")).unwrap().count();
    assert_eq!(left, 0, "refused documents leave nothing behind");
}

#[tokio::test]
async fn a_store_key_stays_in_the_store() {
    let house = house();
    house.write("secret.pdf", b"%PDF-1.7 secret");
    for key in ["../secret.pdf", "/etc/passwd", "a/../../secret.pdf", "..", "", ".spool/x", "uploads\\..\\x"] {
        let error = fetch(&Source::StoreKey(key.into()), &house.store, &house.options).await.expect_err(key);
        assert_eq!(error.code, Code::SourceRefused, "{key}");
    }
    let missing = fetch(&Source::StoreKey("uploads/none.pdf".into()), &house.store, &house.options).await.unwrap_err();
    assert_eq!(missing.code, Code::SourceMissing);
    house.store.put(&Key::parse("uploads/a.pdf").unwrap(), b"%PDF-1.7".as_slice()).await.unwrap();
    let document = fetch(&Source::StoreKey("uploads/a.pdf".into()), &house.store, &house.options).await.unwrap();
    assert_eq!((document.content, document.file_name.as_deref()), (Content::File { kind: Kind::Pdf }, Some("a.pdf")));
}

#[tokio::test]
async fn an_unreadable_image_among_good_ones_fails_alone() {
    let house = house();
    let good = STANDARD.encode(png(3, 2));
    let images = vec![
        format!("data:image/png;base64,{good}"),
        "!!! not base64".into(),
        STANDARD.encode(b"text"),
        good.clone(),
        STANDARD.encode(&png(9, 9)[..40]),
    ];
    let document = fetch(&Source::ImagesBase64(images), &house.store, &house.options).await.unwrap();
    assert_eq!((document.known_pages(), document.file_type().as_str()), (Some(5), "IMAGES"));
    let Content::Images { images } = &document.content else { panic!("{document:?}") };
    assert!(matches!(images[1], PageImageFile::Broken { .. }) && images[0] == images[3]);
    let mut renderer = Renderer::new(None);
    for (page, wanted) in
        [(1, None), (2, Some(Code::ImageCorrupt)), (3, Some(Code::ImageCorrupt)), (4, None), (5, Some(Code::ImageCorrupt))]
    {
        let rendered = match document.page_file(page) {
            Ok((key, kind, index)) => {
                let path = house.store.local_path(&key).await.unwrap();
                let document = celeriac_tasks::render::OpenArgs { path, kind, password: None };
                renderer.page(&PageArgs { document, index, render: RenderOptions::default() }).map_err(|error| error.on_page(page))
            }
            Err(error) => Err(error),
        };
        let code = rendered.err().map(|error| (error.code, error.page));
        assert_eq!(code, wanted.map(|code| (code, Some(page))), "page {page}");
    }
    assert!(document.page_file(0).is_err() && document.page_file(6).is_err());
    assert!(fetch(&Source::ImagesBase64(Vec::new()), &house.store, &house.options).await.is_err());
}

#[tokio::test]
async fn addresses_that_are_not_the_public_internet_are_refused() {
    let house = house();
    let urls = [
        "http://example.com/a.pdf",
        "ftp://example.com/a.pdf",
        "file:///etc/passwd",
        "redis://127.0.0.1:6379/",
        "gopher://127.0.0.1/",
        "data:application/pdf;base64,aGk=",
        "//example.com/a",
        "not an address",
        "",
        "https://",
        "javascript:alert(1)",
        "https://127.0.0.1/a",
        "https://127.1/a",
        "https://2130706433/a",
        "https://0x7f000001/a",
        "https://017700000001/a",
        "https://0/a",
        "https://localhost/a",
        "https://localhost./a",
        "https://10.0.0.5/a",
        "https://172.16.9.9/a",
        "https://192.168.1.1/a",
        "https://100.64.0.1/a",
        "https://169.254.169.254/latest/meta-data/",
        "https://169.254.170.2/v2/credentials",
        "https://168.63.129.16/",
        "https://[::1]/a",
        "https://[::]/a",
        "https://[::ffff:127.0.0.1]/a",
        "https://[::ffff:a9fe:a9fe]/a",
        "https://[64:ff9b::a9fe:a9fe]/a",
        "https://[fd00:ec2::254]/a",
        "https://[fe80::1]/a",
        "https://[2002:7f00:1::]/a",
        "https://[2001:0:53aa:64c::1]/a",
        "https://[ff02::1]/a",
        "https://224.0.0.1/a",
        "https://255.255.255.255/a",
        "https://user:password@8.8.8.8/a",
        "https://0.0.0.0:6379/a",
        "https://[::7f00:1]/a",
    ];
    for url in urls {
        assert_eq!(house.refusal(url).await, Code::SourceRefused, "{url}");
    }
}

/// Answers from a list, one after the other, and counts.
struct Fickle {
    answers: Vec<&'static str>,
    asked: AtomicUsize,
}

#[async_trait]
impl Resolver for Fickle {
    async fn resolve(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers.get(turn).or(self.answers.last()).unwrap();
        Ok(answer.split(' ').map(|address| SocketAddr::new(address.parse().unwrap(), port)).collect())
    }
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_even_beside_a_good_address() {
    for answer in ["127.0.0.1", "8.8.8.8 10.0.0.1", "2606:4700::1111 ::1"] {
        let mut house = house();
        house.options.resolver = Arc::new(Fickle { answers: vec![answer], asked: AtomicUsize::new(0) });
        assert_eq!(house.refusal("https://rebind.example/a.pdf").await, Code::SourceRefused, "{answer}");
    }
}

/// A server on this machine that answers every connection with what `answer` makes of the path, and the port it has.
async fn server(answer: impl Fn(&str, u16) -> Vec<u8> + Send + 'static) -> (u16, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                if socket.read_buf(&mut request).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            assert!(!request.to_lowercase().contains("authorization") && !request.to_lowercase().contains("referer"), "{request}");
            let path = request.split(' ').nth(1).unwrap_or("/").to_owned();
            // The client may have hung up on a document that is too large.
            let _ = socket.write_all(&answer(&path, port)).await;
        }
    });
    (port, tasks)
}

fn reply(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n").as_bytes(), body].concat()
}

#[tokio::test]
async fn a_document_is_downloaded_through_redirects_and_refused_where_they_lead_astray() {
    let (port, _server) = server(|path, port| match path {
        "/report.pdf?token=x" => reply("200 OK", "Content-Length: 13\r\n", b"%PDF-1.7 good"),
        "/once" => reply("302 Found", "Location: /report.pdf?token=x\r\n", b""),
        "/metadata" => reply("302 Found", "Location: http://169.254.169.254/latest/\r\n", b""),
        "/https-metadata" => reply("307 Temporary Redirect", "Location: https://169.254.169.254/\r\n", b""),
        "/file" => reply("302 Found", "Location: file:///etc/passwd\r\n", b""),
        "/nowhere" => reply("302 Found", "", b""),
        "/loop" => reply("301 Moved", &format!("Location: http://127.0.0.1:{port}/loop\r\n"), b""),
        "/cut" => reply("200 OK", "Content-Length: 5000\r\n", b"%PDF-1.7 and then nothing"),
        "/says-large" => reply("200 OK", "Content-Length: 99999999\r\n", b"%PDF"),
        "/is-large" => reply("200 OK", "", &[b"%PDF-1.7".as_slice(), &[0; 50_000]].concat()),
        "/forbidden" => reply("403 Forbidden", "", b""),
        "/busy" => reply("503 Busy", "", b""),
        _ => reply("404 Not Found", "", b""),
    })
    .await;
    let mut house = house();
    house.options.max_bytes = 20_000;
    let base = format!("http://127.0.0.1:{port}");
    assert_eq!(house.refusal(&format!("{base}/report.pdf?token=x")).await, Code::SourceRefused, "only where it is allowed");
    house.options.allow_loopback_http = true;
    let document = house.url(&format!("{base}/once")).await.unwrap();
    assert_eq!(
        (document.content, document.file_name.as_deref(), document.size_bytes),
        (Content::File { kind: Kind::Pdf }, Some("report.pdf"), 13)
    );
    let wanted = [
        ("/metadata", Code::SourceRefused),
        ("/https-metadata", Code::SourceRefused),
        ("/file", Code::SourceRefused),
        ("/nowhere", Code::SourceUnreachable),
        ("/loop", Code::SourceRefused),
        ("/cut", Code::SourceUnreachable),
        ("/says-large", Code::SourceTooLarge),
        ("/is-large", Code::SourceTooLarge),
        ("/forbidden", Code::SourceRefused),
        ("/busy", Code::SourceUnreachable),
        ("/none", Code::SourceMissing),
    ];
    for (path, code) in wanted {
        assert_eq!(house.refusal(&format!("{base}{path}")).await, code, "{path}");
    }
    assert!(house.url(&format!("{base}/busy")).await.unwrap_err().retryable());
}

#[tokio::test]
async fn the_connection_is_made_to_the_address_that_was_checked() {
    // The name is asked for once; had it been asked again for connecting, it would lead to an address that refuses.
    let (port, _server) = server(|_, _| reply("200 OK", "", b"%PDF-1.7")).await;
    let mut house = house();
    let resolver = Arc::new(Fickle { answers: vec!["127.0.0.1", "192.0.2.1"], asked: AtomicUsize::new(0) });
    house.options.resolver = resolver.clone();
    house.options.allow_loopback_http = true;
    assert!(house.url(&format!("http://pinned.example:{port}/a.pdf")).await.is_ok());
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_server_that_never_answers_is_left_at_the_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut house = house();
    house.options.allow_loopback_http = true;
    house.options.fetch_timeout = Duration::from_millis(200);
    let error = house.url(&format!("http://{}/a.pdf", listener.local_addr().unwrap())).await.unwrap_err();
    assert_eq!((error.code, error.retryable()), (Code::SourceUnreachable, true));
}

//! A worker of the document pipeline over memory, a store in a temporary folder, and PDFs made for the tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use celeriac::app::App;
use celeriac::broker::memory::{self, MemoryBroker};
use celeriac::config::Settings;
use celeriac::pool::{ChildPool, ChildPoolOptions, Failure, Functions, Setup};
use celeriac::protocol::meta::Meta;
use celeriac::protocol::signature::Signature;
use celeriac::worker::{Shutdown, Worker, WorkerOptions};
use celeriac_tasks::ledger::Ledger;
use celeriac_tasks::pipeline::{self, Documents, QUEUES, names};
use celeriac_tasks::render::{OPEN, OpenArgs, PAGE, PDFIUM_SETTING, PageArgs, Renderer};
use celeriac_tasks::result::DocumentResult;
use celeriac_tasks::store::{Key, Store};
use serde_json::Value;
use tokio::task::JoinHandle;

/// A page whose text is this makes its child abort, as a fault in native code does.
pub const ABORTS: &str = "this page aborts its child";
/// A page whose text is this keeps its child busy for a second, so that a test can kill it there.
pub const SLOW: &str = "this page takes its time";
pub const SLOWER: &str = "this page takes much more time";

/// The library, where scripts put it.
pub fn pdfium() -> Option<PathBuf> {
    let target = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned();
    let library = std::env::var_os("PDFIUM_LIB").map_or_else(|| target.join("pdfium/libpdfium.so"), PathBuf::from);
    library.is_file().then_some(library)
}

/// The children's functions, with faults where a page asks for them.
pub fn functions() -> Functions {
    let renderer = |setup: &Setup| -> Result<Renderer, Failure> {
        let pdfium: Option<PathBuf> = setup.get(PDFIUM_SETTING)?;
        Ok(Renderer::new(pdfium.as_deref()))
    };
    // One binding a process: opening and rendering share it by being one closure's state each in its own child role.
    let shared = std::rc::Rc::new(std::cell::RefCell::new(None::<Renderer>));
    let again = std::rc::Rc::clone(&shared);
    Functions::new()
        .with(&OPEN, move |setup| {
            let made = shared.borrow_mut().take().map_or_else(|| renderer(setup), Ok)?;
            *shared.borrow_mut() = Some(made);
            let shared = std::rc::Rc::clone(&shared);
            Ok(move |args: OpenArgs| Ok(shared.borrow_mut().as_mut().unwrap().open(&args)))
        })
        .with(&PAGE, move |setup| {
            if again.borrow().is_none() {
                let made = renderer(setup)?;
                *again.borrow_mut() = Some(made);
            }
            let shared = std::rc::Rc::clone(&again);
            Ok(move |args: PageArgs| {
                let made = shared.borrow_mut().as_mut().unwrap().page(&args);
                if let Ok(page) = &made {
                    fault(&page.text);
                }
                Ok(made)
            })
        })
}

fn fault(text: &str) {
    match text.trim() {
        ABORTS => std::process::abort(),
        SLOW => std::thread::sleep(Duration::from_secs(1)),
        SLOWER => std::thread::sleep(Duration::from_secs(4)),
        _ => {}
    }
}

/// What a test has.
pub struct House {
    pub app: App,
    pub broker: MemoryBroker,
    pub store: Store,
    pub ledger: Ledger,
    pub folder: tempfile::TempDir,
    pub children: Arc<ChildPool>,
    shutdown: Shutdown,
    worker: Option<JoinHandle<()>>,
}

impl House {
    /// With a worker that runs.
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// With settings of the test's own.
    pub fn with(change: impl FnOnce(&mut Documents)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("in")).unwrap();
        let store = Store::local(folder.path().join("store")).unwrap();
        let mut documents = Documents::new(store.clone());
        documents.sources.allowed_folders = vec![folder.path().join("in")];
        change(&mut documents);
        let (readable, ledger) = (documents.readable_folders(), documents.ledger.clone());
        let (broker, backend) = memory::pair();
        let mut app = App::builder(Settings::default());
        pipeline::register(&mut app, documents);
        let app = app.connect_with(Arc::new(broker.clone()), Arc::new(backend));
        let children = Arc::new(children(&readable));
        let mut house = Self { app, broker, store, ledger, folder, children, shutdown: Shutdown::new(), worker: None };
        house.start();
        house
    }

    fn start(&mut self) {
        let options = WorkerOptions {
            queues: QUEUES.map(ToOwned::to_owned).to_vec(),
            concurrency: 4,
            nodename: "celery@test".to_owned(),
            children: Some(Arc::clone(&self.children)),
        };
        let run = Worker::new(self.app.clone(), options).run(self.shutdown.clone());
        self.worker = Some(tokio::spawn(async move {
            let _reason = run.await.unwrap();
        }));
    }

    /// A file in the folder that paths may name.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("in").join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Sends a job and waits for its end.
    pub async fn process(&self, asked: Value) -> Meta {
        let id = self.send(asked).await;
        self.app.result(&id, Duration::from_secs(100)).await.unwrap()
    }

    /// Sends a job as a Python caller does: keyword arguments only.
    pub async fn send(&self, asked: Value) -> String {
        let kwargs = asked.as_object().unwrap().clone();
        let call = kwargs.into_iter().fold(Signature::new(names::DOCUMENT), |call, (name, value)| {
            call.kwarg(name, celeriac::protocol::value::Value::from(value))
        });
        self.app.send(call.queue(QUEUES[1])).await.unwrap().id().to_owned()
    }

    /// The whole result of a job.
    pub async fn result(&self, job_id: &str) -> DocumentResult {
        self.store.get_json(&Key::job(job_id, "result.json").unwrap()).await.unwrap().unwrap()
    }

    /// Stops the worker and checks that it held nothing back.
    pub async fn close(mut self) {
        self.shutdown.warm();
        self.worker.take().unwrap().await.unwrap();
        assert_eq!(self.broker.leased_len(), 0, "something was left unsettled");
    }
}

/// Two children, sandboxed as shipped.
fn children(readable: &[PathBuf]) -> ChildPool {
    let mut options = ChildPoolOptions::this_program(2);
    for folder in readable.iter().map(PathBuf::as_path).chain([Path::new("/usr/share/fonts")]) {
        options.sandbox = options.sandbox.readable(folder);
    }
    options.settings = options.settings.with(PDFIUM_SETTING, &pdfium()).unwrap();
    ChildPool::new(options)
}

/// The compact result of a job that ended well.
pub fn compact(meta: &Meta) -> Value {
    assert_eq!(meta.status.as_str(), "SUCCESS", "{:?} {:?}", meta.exception(), meta.traceback);
    Value::from(meta.result.clone())
}

/// A PDF of pages with one line of text each.
pub fn pdf(lines: &[String]) -> Vec<u8> {
    let kids: Vec<String> = (0..lines.len()).map(|n| format!("{} 0 R", 4 + 2 * n)).collect();
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!("<< /Type /Pages /Count {} /Kids [{}] >>", lines.len(), kids.join(" ")),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    for (n, line) in lines.iter().enumerate() {
        let content = format!("BT /F1 12 Tf 72 720 Td ({line}) Tj ET");
        let resources = "/Resources << /Font << /F1 3 0 R >> >>";
        objects.push(format!("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] {resources} /Contents {} 0 R >>", 5 + 2 * n));
        objects.push(format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len()));
    }
    let mut out = b"%PDF-1.4\n".to_vec();
    let mut offsets = Vec::new();
    for (n, object) in objects.iter().enumerate() {
        offsets.push(out.len());
        out.extend(format!("{} 0 obj\n{object}\nendobj\n", n + 1).bytes());
    }
    let start = out.len();
    out.extend(format!("xref\n0 {}\n0000000000 65535 f \n", offsets.len() + 1).bytes());
    for offset in &offsets {
        out.extend(format!("{offset:010} 00000 n \n").bytes());
    }
    out.extend(format!("trailer << /Size {} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n", offsets.len() + 1).bytes());
    out
}

/// Pages that each say their number.
pub fn numbered(pages: usize) -> Vec<String> {
    (1..=pages).map(|page| format!("This is page {page}, and it says that the answer to its question is {}.", page * 7)).collect()
}

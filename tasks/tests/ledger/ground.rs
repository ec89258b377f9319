//! Where a test stands.

use std::io::{Read, Write};
use std::net::TcpStream;

use celeriac::config::Settings;
use celeriac_tasks::job::BatchSize;
use celeriac_tasks::ledger::{Ledger, Opened, Opening, Retention, Submission};
use celeriac_tasks::result::Phase;

use crate::redis_server::RedisServer;

/// A ledger, and what it stands on.
pub(crate) struct Ground {
    pub(crate) ledger: Ledger,
    settings: Option<Settings>,
    server: Option<RedisServer>,
}

impl Ground {
    pub(crate) fn memory() -> Self {
        Self { ledger: Ledger::memory(), settings: None, server: None }
    }

    pub(crate) fn redis() -> Option<Self> {
        let server = RedisServer::start()?;
        let mut settings = Settings::default();
        settings.result_backend = Some(server.url(1));
        settings.result_backend_transport_options.global_keyprefix = "tenant.".to_owned();
        let ledger = Ledger::open(&settings, Retention::default()).unwrap();
        Some(Self { ledger, settings: Some(settings), server: Some(server) })
    }

    /// The same ledger, kept so; in memory an empty one.
    pub(crate) fn kept(&self, retention: Retention) -> Ledger {
        match &self.settings {
            Some(settings) => Ledger::open(settings, retention).unwrap(),
            None => Ledger::in_memory(retention),
        }
    }

    /// The same ledger as another process sees it.
    pub(crate) fn other(&self) -> Ledger {
        self.settings.as_ref().map_or_else(|| self.ledger.clone(), |settings| Ledger::open(settings, Retention::default()).unwrap())
    }

    /// Lets an entry expire before anybody has looked for what is over. In memory none does.
    pub(crate) fn expire(&self, job_id: &str) -> bool {
        let Some(server) = &self.server else { return false };
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        write!(stream, "SELECT 1\r\nDEL tenant.celeriac:job:{job_id}\r\nQUIT\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "+OK\r\n:1\r\n+OK\r\n");
        true
    }

    /// A job that was entered, begun and opened.
    pub(crate) async fn running(&self, job_id: &str, pages: u32) {
        self.ledger.begin(job_id, Phase::Upload, Submission::default).await.unwrap();
        self.ledger.opened(job_id, opening(pages)).await.unwrap();
    }
}

/// A document of so many pages, in batches of 25.
pub(crate) fn opening(pages: u32) -> Opening {
    let opened = Opened {
        total_pages: pages,
        threshold: 50,
        batch_size: BatchSize::default(),
        title: Some("Annual Report".into()),
        analyzer: "offline".into(),
        summary: true,
        audio: false,
    };
    Opening { opened, cached: Vec::new(), asked: (1..=pages).collect() }
}

//! A private master with one replica, and the sentinels that watch them. Included by path, beside `redis_server.rs`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::redis_server::RedisServer;

/// The name the master is watched by.
pub const MASTER: &str = "mymaster";

/// Two servers under watch; ended when it is dropped.
#[derive(Debug)]
pub struct Watched {
    /// The first master.
    pub first: RedisServer,
    /// Its replica.
    pub second: RedisServer,
    sentinels: Vec<Sentinel>,
    _folder: TempDir,
}

/// One sentinel.
#[derive(Debug)]
pub struct Sentinel {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Watched {
    /// Starts all, and waits until every sentinel knows the replica and the other sentinels; `None` if there is no redis-server here.
    pub fn start(sentinels: usize) -> Option<Self> {
        // A replica writes what it is sent into a file first.
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().display().to_string();
        let options = |port: u16| ["--port".to_owned(), port.to_string(), "--dir".to_owned(), dir.clone()].to_vec();
        let first = RedisServer::start_with(options)?;
        let of_first = ["--replicaof".to_owned(), "127.0.0.1".to_owned(), first.port().to_string()];
        let second = RedisServer::start_with(|port| [options(port), of_first.to_vec()].concat())?;
        let mut watched = Self { first, second, sentinels: Vec::new(), _folder: folder };
        // A sentinel asks for replicas when it starts, and then every ten seconds.
        watched.until_in_step();
        let (master, quorum) = (watched.first.port(), sentinels / 2 + 1);
        watched.sentinels = (0..sentinels).map(|_| Sentinel::start(master, quorum, "")).collect();
        for sentinel in &watched.sentinels {
            sentinel.until("num-slaves", 1);
            sentinel.until("num-other-sentinels", sentinels - 1);
        }
        Some(watched)
    }

    /// The URL of a database of the master.
    pub fn url(&self, db: u32) -> String {
        self.sentinels.iter().map(|sentinel| format!("sentinel://127.0.0.1:{}/{db}", sentinel.port)).collect::<Vec<_>>().join(";")
    }

    /// Waits until the replica has what the master has, and goes on to get it.
    pub fn until_in_step(&self) {
        let replication = || raw(self.second.port(), &["INFO", "replication"]);
        wait("the replica follows", || replication().contains("master_link_status:up"));
        let (set, waited) = (["SET", "in-step", "1", "EX", "60"], ["WAIT", "1", "10000"]);
        let mut master = redis::Client::open(self.first.url(0)).unwrap().get_connection().unwrap();
        redis::cmd(set[0]).arg(&set[1..]).exec(&mut master).unwrap();
        let in_step: usize = redis::cmd(waited[0]).arg(&waited[1..]).query(&mut master).unwrap();
        assert_eq!(in_step, 1, "the replica has it");
    }

    /// Asks for a change of places while both live.
    pub fn fail_over(&self) {
        let ask = ["SENTINEL", "FAILOVER", MASTER];
        // It has not yet heard of the replica what it must know of one that is to be promoted.
        wait("the sentinel begins", || raw(self.sentinels[0].port, &ask).starts_with("+OK"));
    }

    /// Lets them change places, unknown to the sentinels.
    pub fn swap(&self) {
        let master = self.second.port().to_string();
        assert!(raw(self.second.port(), &["REPLICAOF", "NO", "ONE"]).starts_with("+OK"));
        assert!(raw(self.first.port(), &["REPLICAOF", "127.0.0.1", &master]).starts_with("+OK"));
    }

    /// Waits until the second is the master and all sentinels say so, which takes them up to two seconds, and tells since when.
    pub fn until_second_is_master(&self) -> Instant {
        wait("the replica is promoted", || raw(self.second.port(), &["INFO", "replication"]).contains("role:master"));
        let (ask, port) = (["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER], format!("\r\n{}\r\n", self.second.port()));
        wait("the sentinels know it", || self.sentinels.iter().all(|sentinel| raw(sentinel.port, &ask).contains(&port)));
        Instant::now()
    }
}

impl Sentinel {
    /// One that watches the server on `master`.
    pub fn start(master: u16, quorum: usize, more: &str) -> Self {
        // Somebody else may take the port between the look and the start: then look again.
        (0..5).find_map(|_| Self::try_start(master, quorum, more)).expect("a sentinel starts")
    }

    fn try_start(master: u16, quorum: usize, more: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = folder.path().join("sentinel.conf");
        let settings = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor {MASTER} 127.0.0.1 {master} {quorum}\n\
             sentinel down-after-milliseconds {MASTER} 3000\nsentinel failover-timeout {MASTER} 10000\n{more}\n"
        );
        std::fs::write(&path, settings).unwrap();
        let mut child = Command::new("redis-server")
            .arg(&path)
            .arg("--sentinel")
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server starts");
        let own = format!("process_id:{}\r", child.id());
        // One with a password says no more than that it has one.
        let ours = |told: &str| told.contains(&own) || told.starts_with("-NOAUTH");
        wait("the sentinel listens", || child.try_wait().unwrap().is_some() || ours(&raw(port, &["INFO", "server"])));
        child.try_wait().unwrap().is_none().then(|| Self { child, port, _folder: folder })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn until(&self, field: &str, number: usize) {
        let says = || raw(self.port, &["SENTINEL", "MASTER", MASTER]);
        let expected = format!("{field}\r\n${}\r\n{number}\r\n", number.to_string().len());
        wait(field, || says().contains(&expected));
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// What a server answers, as it is on the wire; nothing if it does not.
fn raw(port: u16, command: &[&str]) -> String {
    let ask = || -> std::io::Result<String> {
        let mut connection = TcpStream::connect(("127.0.0.1", port))?;
        connection.set_read_timeout(Some(Duration::from_secs(5)))?;
        connection.write_all(format!("{}\r\n", command.join(" ")).as_bytes())?;
        // A sentinel knows no QUIT.
        connection.shutdown(Shutdown::Write)?;
        let mut told = Vec::new();
        connection.read_to_end(&mut told)?;
        Ok(String::from_utf8_lossy(&told).into_owned())
    };
    ask().unwrap_or_default()
}

fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

//! A private redis-server on a free port, killed when it is dropped. Included by path where a test binary needs one.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it, and some have it as a private module")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The server.
#[derive(Debug)]
pub struct RedisServer {
    child: Child,
    port: u16,
    listen: Vec<String>,
}

impl RedisServer {
    /// Starts one; `None` if there is no redis-server here, which is an error under CI.
    pub fn start() -> Option<Self> {
        Self::start_with(|port| vec!["--port".to_owned(), port.to_string()])
    }

    /// Starts one with other ways in, as `listen` says for a port.
    pub fn start_with(listen: impl Fn(u16) -> Vec<String>) -> Option<Self> {
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).spawn().and_then(|mut asked| asked.wait()).is_err() {
            assert!(std::env::var_os("CI").is_none(), "redis-server is not installed");
            eprintln!("skipped: redis-server is not installed");
            return None;
        }
        // Somebody else may take the port between the look and the start: then look again.
        let server = (0..5).find_map(|_| {
            let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
            let mut server = Self { child: spawn(&listen(port)), port, listen: listen(port) };
            server.is_ready().then_some(server)
        });
        // A server that is here and does not start is no reason to skip what is tested on it.
        assert!(server.is_some(), "redis-server does not start with {:?}", listen(0));
        server
    }

    /// The URL of a database.
    pub fn url(&self, db: u32) -> String {
        format!("redis://127.0.0.1:{}/{db}", self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it: everything in it is lost.
    pub fn kill(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }

    /// Starts an empty one on the same port.
    pub fn start_again(&mut self) {
        self.kill();
        self.child = spawn(&self.listen);
        assert!(self.is_ready(), "redis-server did not come back");
    }

    /// Lets it stand still (`STOP`) or go on (`CONT`).
    pub fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().expect("kill is installed");
        assert!(sent.success());
    }

    fn is_ready(&mut self) -> bool {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            if self.answers() {
                return true;
            }
            if !self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

impl RedisServer {
    /// True if our own server listens, and not somebody who took the port before it.
    fn answers(&self) -> bool {
        let Ok(mut connection) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        if self.listen.iter().any(|option| option == "--tls-port") {
            return true;
        }
        let mut told = Vec::new();
        let asked = connection
            .set_read_timeout(Some(Duration::from_secs(5)))
            .and_then(|()| connection.write_all(b"INFO server\r\nQUIT\r\n"))
            .and_then(|()| connection.read_to_end(&mut told));
        asked.is_ok() && String::from_utf8_lossy(&told).contains(&format!("process_id:{}\r", self.child.id()))
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(listen: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--save", "", "--appendonly", "no", "--bind", "127.0.0.1"])
        .args(listen)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server starts")
}

//! A private Postgres on a free port, killed when it is dropped. Included by path where a test needs one.

use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Postgres refuses to run as root: there it runs as nobody.
const NOBODY: u32 = 65_534;

/// The server.
#[derive(Debug)]
pub struct PostgresServer {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl PostgresServer {
    /// Starts one; `None` if there is no Postgres here, which is an error under CI.
    pub fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(std::env::var_os("CI").is_none(), "Postgres is not installed (scripts/setup postgres)");
            eprintln!("skipped: Postgres is not installed (scripts/setup postgres)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let is_root = is_roots(folder.path());
        if is_root {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let run = |name: &str| {
            let mut command = Command::new(programs.join(name));
            command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            if is_root {
                command.uid(NOBODY).gid(NOBODY);
            }
            command
        };
        let made = ["-D", "data", "-U", "celeriac", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"];
        assert!(run("initdb").args(made).status().unwrap().success(), "initdb makes a cluster");
        // Somebody else may take the port between the look and the start: then look again.
        let (child, port) = (0..5).find_map(|_| {
            let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
            let listen = ["-D", "data", "-h", "127.0.0.1", "-F", "-p", &port.to_string(), "-k"].map(str::to_owned);
            let mut child = run("postgres").args(listen).arg(folder.path()).spawn().ok()?;
            let ready =
                || run("pg_isready").args(["-h", "127.0.0.1", "-p", &port.to_string()]).status().is_ok_and(|it| it.success());
            answers(&mut child, ready).then_some((child, port))
        })?;
        Some(Self { child, port, _folder: folder })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("postgres://celeriac@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn answers(child: &mut Child, ready: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        if ready() {
            return true;
        }
        if !child.try_wait().is_ok_and(|ended| ended.is_none()) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// The folder of its programs: Debian has one for each version of it.
fn programs() -> Option<PathBuf> {
    let of_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|version| version.path().join("bin"));
    let whole = |folder: &Path| ["initdb", "postgres", "pg_isready"].iter().all(|name| folder.join(name).exists());
    versions.chain(of_path).find(|folder| whole(folder))
}

/// Whether we run as root: then what we make is root's.
fn is_roots(made: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(made).unwrap().uid() == 0
}

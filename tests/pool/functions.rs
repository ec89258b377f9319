//! What the children of these tests can do: well-behaved, failing, dying, greedy and nosy functions.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, abort, exit, id};

use bytes::Bytes;
use celeriac::pool::{Failure, Functions, Isolated, Setup};
use celeriac::protocol::{Map, Value};
use rustix::process::{Signal, getpid, kill_process};

pub const ECHO: Isolated<Bytes, Bytes> = Isolated::new("test.echo");
pub const COUNT: Isolated<u64, u64> = Isolated::new("test.count");
pub const REPEAT: Isolated<(String, usize), String> = Isolated::new("test.repeat");
pub const PID: Isolated<(), u32> = Isolated::new("test.pid");
pub const FAIL: Isolated<String, ()> = Isolated::new("test.fail");
pub const PANIC: Isolated<(), ()> = Isolated::new("test.panic");
pub const ABORT: Isolated<(), ()> = Isolated::new("test.abort");
pub const SIGNAL: Isolated<i32, ()> = Isolated::new("test.signal");
pub const EXIT: Isolated<i32, ()> = Isolated::new("test.exit");
pub const SPIN: Isolated<(), ()> = Isolated::new("test.spin");
pub const WAIT: Isolated<(), ()> = Isolated::new("test.wait");
pub const ALLOCATE: Isolated<usize, usize> = Isolated::new("test.allocate");
pub const HOARD: Isolated<usize, u32> = Isolated::new("test.hoard");
pub const READ: Isolated<PathBuf, usize> = Isolated::new("test.read");
pub const WRITE: Isolated<PathBuf, ()> = Isolated::new("test.write");
pub const CONNECT: Isolated<SocketAddr, ()> = Isolated::new("test.connect");
pub const EXECUTE: Isolated<(), ()> = Isolated::new("test.execute");
pub const ENVIRONMENT: Isolated<(), Vec<String>> = Isolated::new("test.environment");
pub const PRINT: Isolated<(), ()> = Isolated::new("test.print");
pub const UNREADY: Isolated<(), ()> = Isolated::new("test.unready");
pub const UNREGISTERED: Isolated<(), ()> = Isolated::new("test.unregistered");

/// A function whose name is found at run time, with values of any shape.
pub fn dynamic() -> Isolated<Value, Value> {
    Isolated::named(format!("test.{}", "dynamic"))
}

pub fn all() -> Functions {
    nosy(dying(
        Functions::new()
            .with(&ECHO, |_| Ok(Ok))
            .with(&REPEAT, |_| Ok(|(text, times): (String, usize)| Ok(text.repeat(times))))
            .with(&COUNT, count)
            .with(&PID, |_| Ok(|()| Ok(id())))
            .with(&FAIL, |_| Ok(|text: String| Err(Failure::new("ValueError", text))))
            .with(&HOARD, hoard)
            .with(&dynamic(), |_| Ok(|value| Ok(Value::Map(Map::from_iter([("given".to_owned(), value)])))))
            .with(&UNREADY, |_| Err::<fn(()) -> Result<(), Failure>, _>(Failure::new("OSError", "libmissing.so not found"))),
    ))
}

fn dying(functions: Functions) -> Functions {
    functions
        .with(&PANIC, |_| Ok(|()| -> Result<(), Failure> { panic!("at the disco") }))
        .with(&ABORT, |_| Ok(|()| -> Result<(), Failure> { abort() }))
        .with(&SIGNAL, |_| Ok(signal))
        .with(&EXIT, |_| Ok(|code| -> Result<(), Failure> { exit(code) }))
        .with(&SPIN, spin)
        .with(&WAIT, wait)
        .with(&ALLOCATE, |_| Ok(|bytes| Ok(vec![1_u8; bytes].iter().map(|&byte| usize::from(byte)).sum())))
}

fn nosy(functions: Functions) -> Functions {
    functions
        .with(&READ, |_| Ok(|path: PathBuf| Ok(std::fs::read(path)?.len())))
        .with(&WRITE, |_| Ok(|path: PathBuf| Ok(std::fs::write(path, "x")?)))
        .with(&CONNECT, |_| Ok(|to: SocketAddr| Ok(TcpStream::connect(to).map(|_| ())?)))
        .with(&EXECUTE, |_| Ok(|()| Ok(Command::new("/bin/true").status().map(|_| ())?)))
        .with(&ENVIRONMENT, |_| Ok(|()| Ok(std::env::vars().map(|(name, _)| name).collect())))
        .with(&PRINT, |_| Ok(print))
}

/// Fills standard output and standard error far beyond what a pipe holds.
fn print(_: ()) -> Result<(), Failure> {
    let line = [b'x'; 1024];
    for _ in 0..1024 {
        std::io::stdout().write_all(&line)?;
        std::io::stderr().write_all(&line)?;
    }
    Ok(())
}

/// Sends itself a signal, twice: Rust's own handler of SIGSEGV lets the first pass and expects the fault to come again.
fn signal(number: i32) -> Result<(), Failure> {
    let signal = Signal::from_named_raw(number).ok_or_else(|| Failure::new("ValueError", "no such signal"))?;
    kill_process(getpid(), signal)?;
    Ok(kill_process(getpid(), signal)?)
}

/// Keeps a sum between calls, beginning with the setting `first`.
fn count(setup: &Setup) -> Result<impl FnMut(u64) -> Result<u64, Failure> + use<>, Failure> {
    let mut sum = setup.get::<u64>("first")?.unwrap_or(0);
    Ok(move |more| {
        sum += more;
        Ok(sum)
    })
}

/// Keeps what it allocates; says who it is.
fn hoard(_: &Setup) -> Result<impl FnMut(usize) -> Result<u32, Failure> + use<>, Failure> {
    let mut kept = Vec::new();
    Ok(move |bytes| {
        kept.push(vec![1_u8; bytes]);
        Ok(id())
    })
}

/// A file writes and reads with system calls that the filter allows; a socket may not.
fn beacon(setup: &Setup, of: &str) -> Result<Option<File>, Failure> {
    let path = setup.get::<PathBuf>(of)?;
    Ok(path.map(UnixStream::connect).transpose()?.map(|stream| File::from(OwnedFd::from(stream))))
}

/// Says on the beacon that it has begun, then never returns, as native code that hangs.
fn spin(setup: &Setup) -> Result<impl FnMut(()) -> Result<(), Failure> + use<>, Failure> {
    let mut beacon = beacon(setup, "spin")?;
    Ok(move |()| {
        if let Some(beacon) = &mut beacon {
            writeln!(beacon, "{}", id())?;
        }
        loop {
            std::hint::spin_loop();
        }
    })
}

/// Says on the beacon that it has begun, and returns when it is answered.
fn wait(setup: &Setup) -> Result<impl FnMut(()) -> Result<(), Failure> + use<>, Failure> {
    let mut beacon = beacon(setup, "wait")?;
    Ok(move |()| {
        if let Some(beacon) = &mut beacon {
            writeln!(beacon, "{}", id())?;
            beacon.read_exact(&mut [0])?;
        }
        Ok(())
    })
}

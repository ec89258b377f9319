//! A child's side: sets the functions up, closes the sandbox, serves one call at a time, and ends with its parent.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use bytes::Bytes;

use super::error::Failure;
use super::frame::{self, CallHead, Hello, ReplyHead, Start};
use super::function::{Body, Functions, Keep, Setup};

/// The hidden first argument that makes a program a child: its `main` then calls [`child_main`] before anything else.
pub const CHILD_ARGUMENT: &str = "--isolated-child";

/// How long the main thread of a child may take to end after its parent has closed the socket.
const LAST_BREATH: Duration = Duration::from_secs(2);
const READER_STACK: usize = 256 << 10;
/// When memory runs out the kernel shall end a child, whose work is repeated, rather than the worker.
const OOM_SCORE: &str = "500";

/// Serves the calls of the parent, whose socket is standard input, until the parent closes it or dies.
pub fn child_main(functions: Functions) -> ExitCode {
    match serve(functions) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error is the parent's pipe, which it logs.
            let _ = writeln!(io::stderr(), "isolated child: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(functions: Functions) -> io::Result<()> {
    let mut socket = take_socket()?;
    let start = frame::read(&mut socket, u64::from(u32::MAX))?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let start: Start = rmp_serde::from_slice(&start).map_err(io::Error::other)?;
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    if start.nice != 0 {
        let _ = rustix::process::nice(start.nice);
    }
    let mut functions = functions.start(&Setup { settings: start.settings });
    let mut missing = start.sandbox.restrict();
    let (calls, busy) = listen(socket.try_clone()?, start.max_frame)?;
    missing.extend(start.sandbox.filter());
    let hello = Hello { missing, unready: unready(&functions) };
    socket.write_all(&frame::bare(&hello).map_err(io::Error::other)?)?;
    while let Ok(call) = calls.recv() {
        let (reply, keep) = run(&mut functions, &call);
        // Before the reply: who has it may close the socket at once, and that is then no death under a call.
        busy.store(false, Ordering::SeqCst);
        socket.write_all(&capped(reply, start.max_frame))?;
        if keep == Keep::No {
            break;
        }
    }
    Ok(())
}

/// Takes the parent's socket away from standard input, so that nothing else in this process or below it can read calls.
fn take_socket() -> io::Result<File> {
    let socket = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(socket)
}

/// Starts the thread that reads calls. When the parent has gone, no native code can keep the process alive: it is killed at
/// once under a running call, and shortly after otherwise.
fn listen(mut socket: File, max_frame: u64) -> io::Result<(Receiver<Bytes>, Arc<AtomicBool>)> {
    let (calls, received) = channel();
    let (running, started) = channel();
    let busy = Arc::new(AtomicBool::new(false));
    let marks = Arc::clone(&busy);
    thread::Builder::new().stack_size(READER_STACK).spawn(move || {
        let _ = running.send(());
        pass_on(&mut socket, max_frame, &calls, &marks);
        drop(calls);
        if !marks.load(Ordering::SeqCst) {
            thread::sleep(LAST_BREATH);
        }
        // No exit handlers: the main thread may be in the middle of the very code they would tear down.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    })?;
    // The filter must find the thread past the system calls that only its start makes.
    started.recv().map_err(io::Error::other)?;
    Ok((received, busy))
}

fn pass_on(socket: &mut File, max_frame: u64, calls: &Sender<Bytes>, busy: &AtomicBool) {
    while let Ok(Some(call)) = frame::read(socket, max_frame) {
        // Marked before it is handed over: a call that lies in the channel when the parent goes counts as begun.
        busy.store(true, Ordering::SeqCst);
        if calls.send(call).is_err() {
            break;
        }
    }
}

type Ready = HashMap<String, Result<Body, Failure>>;

fn unready(functions: &Ready) -> Vec<(String, Failure)> {
    let failure = |(name, body): (&String, &Result<Body, Failure>)| Some((name.clone(), body.as_ref().err()?.clone()));
    functions.iter().filter_map(failure).collect()
}

fn run(functions: &mut Ready, call: &Bytes) -> (Vec<u8>, Keep) {
    let (head, payload) = match frame::head::<CallHead>(call) {
        Ok(parts) => parts,
        Err(error) => return (frame::reply(&ReplyHead::Codec(format!("call: {error}"))), Keep::Yes),
    };
    match functions.get_mut(&head.function) {
        Some(Ok(body)) => body(&payload),
        Some(Err(failure)) => (frame::reply(&ReplyHead::Unready(failure.clone())), Keep::Yes),
        None => (frame::reply(&ReplyHead::NotRegistered), Keep::Yes),
    }
}

fn capped(reply: Vec<u8>, max_frame: u64) -> Vec<u8> {
    match frame::body_len(&reply) {
        bytes if bytes > max_frame => frame::reply(&ReplyHead::TooLarge { bytes, limit: max_frame }),
        _ => reply,
    }
}

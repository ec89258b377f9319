//! One child process and the task that owns it, from its start to its reaping.
//!
//! The owner is the only one who talks to the child, kills it and waits for it. What it learns it tells the dispatcher
//! before it answers the call, so that a caller's next call finds the pool as this one left it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::ends::Ends;
use super::error::{CallError, human_status};
use super::frame::{self, Hello, ReplyHead, Start};
use super::options::ChildPoolOptions;

/// How long a child may take to end after its socket was closed or it was killed.
const GRACE: Duration = Duration::from_secs(3);
/// A child in which a function could not be set up is replaced when the function is called after this time.
const SETUP_RETRY: Duration = Duration::from_secs(30);
/// Standard error of a child goes to the log, so much of it.
const LOGGED_BYTES: usize = 64 << 10;

/// A call on its way to a child.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: u64,
    pub(super) function: String,
    pub(super) frame: Vec<u8>,
    pub(super) affinity: Option<String>,
    pub(super) time_limit: Option<Duration>,
    pub(super) reply: oneshot::Sender<Result<Bytes, CallError>>,
    /// How often a later call was served first.
    pub(super) passed: u32,
}

/// What became of a child.
#[derive(Debug)]
pub(super) enum Event {
    /// It serves from now on.
    Ready { seat: u64, pid: Option<u32>, hello: Hello },
    /// It has served a call and takes the next.
    Idle { seat: u64 },
    /// It serves no more; a job it was given but has not begun comes back.
    Gone { seat: u64, returned: Option<Job> },
    /// It could not be started.
    NotStarted { seat: u64, error: String },
}

/// The task that owns a child.
pub(super) struct Owner {
    pub(super) seat: u64,
    pub(super) options: Arc<ChildPoolOptions>,
    pub(super) jobs: mpsc::Receiver<Job>,
    pub(super) events: mpsc::UnboundedSender<Event>,
    pub(super) kill: CancellationToken,
    pub(super) ends: Arc<Ends>,
}

struct Process {
    child: Child,
    socket: UnixStream,
    born: Instant,
}

/// What the end of a call means for its child.
enum Next {
    Serve,
    Retire,
    /// Dead or killed.
    Dead,
}

impl Owner {
    /// Starts the child, serves jobs with it until there are no more or it ends, and reaps it.
    pub(super) async fn run(mut self) {
        let mut process = match spawn(&self.options) {
            Ok(process) => process,
            Err(error) => return self.not_started(format!("{}: {error}", self.options.program.display())),
        };
        let stderr = process.child.stderr.take();
        let pid = process.child.id();
        let mut log = pin!(log_stderr(stderr, pid));
        let mut life = pin!(self.live(process));
        tokio::select! {
            biased;
            () = &mut life => { let _ = timeout(GRACE / 10, log).await; }
            () = &mut log => life.await,
        }
    }

    async fn live(&mut self, mut process: Process) {
        let start_timeout = self.options.start_timeout;
        let greeting = tokio::select! {
            biased;
            () = self.kill.cancelled() => Err("the pool was closed".to_owned()),
            greeting = timeout(start_timeout, greet(&mut process, &self.options)) => {
                greeting.map_err(|_| format!("not ready after {start_timeout:?}"))
            }
        };
        let (error, status) = match greeting {
            Ok(Ok(hello)) => {
                self.tell(Event::Ready { seat: self.seat, pid: process.child.id(), hello });
                return self.serve(process).await;
            }
            Ok(Err(error)) => (error, process.ended().await),
            Err(error) => (error, process.kill().await),
        };
        self.not_started(format!("{error} ({})", human_status(status)));
    }

    async fn serve(&mut self, mut process: Process) {
        let mut runs = 0;
        loop {
            let job = tokio::select! {
                biased;
                status = process.child.wait() => return self.died_idle(status.ok(), None),
                () = self.kill.cancelled() => None,
                job = self.jobs.recv() => job,
            };
            let Some(job) = job else { break };
            if let Ok(Some(status)) = process.child.try_wait() {
                return self.died_idle(Some(status), Some(job));
            }
            runs += 1;
            match self.call(&mut process, job, runs).await {
                Next::Serve => {}
                Next::Retire => break,
                Next::Dead => return,
            }
        }
        self.jobs.close();
        let returned = self.jobs.try_recv().ok();
        self.tell(Event::Gone { seat: self.seat, returned });
        process.retire().await;
    }

    async fn call(&self, process: &mut Process, job: Job, runs: u64) -> Next {
        let Job { id, function, frame, time_limit, mut reply, .. } = job;
        let limit = async {
            match time_limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        let max_frame = self.options.max_frame;
        let outcome = tokio::select! {
            biased;
            body = exchange(&mut process.socket, &frame, max_frame) => body.and_then(|body| parse(&body, &function)),
            () = limit => Err(Broken::Killed(CallError::TimeLimit(time_limit.unwrap_or_default()))),
            () = reply.closed() => Err(Broken::Killed(CallError::Cancelled)),
            () = self.kill.cancelled() => Err(Broken::Killed(CallError::Closed)),
        };
        let (next, answer) = match outcome {
            Ok((keep, answer)) => match keep && !self.is_worn(process, runs, &answer) {
                true => (Next::Serve, answer),
                false => (Next::Retire, answer),
            },
            Err(Broken::Killed(error)) => {
                Ends::count(&self.ends.killed);
                process.kill().await;
                (Next::Dead, Err(error))
            }
            Err(Broken::Lost) => {
                Ends::count(&self.ends.died);
                (Next::Dead, Err(CallError::lost(process.ended().await, id)))
            }
        };
        match next {
            Next::Serve => self.tell(Event::Idle { seat: self.seat }),
            Next::Retire => Ends::count(&self.ends.retired),
            Next::Dead => self.tell(Event::Gone { seat: self.seat, returned: None }),
        }
        let _ = reply.send(answer);
        next
    }

    fn is_worn(&self, process: &Process, runs: u64, answer: &Result<Bytes, CallError>) -> bool {
        let too_many = self.options.max_tasks_per_child.is_some_and(|max| runs >= max);
        let too_big = || self.options.max_memory_per_child.is_some_and(|max| process.resident_kib().is_some_and(|kib| kib > max));
        let unready = || matches!(answer, Err(CallError::Start(_))) && process.born.elapsed() > SETUP_RETRY;
        too_many || unready() || too_big()
    }

    fn died_idle(&mut self, status: Option<ExitStatus>, job: Option<Job>) {
        tracing::warn!(status = human_status(status), "isolated child ended while idle");
        Ends::count(&self.ends.died);
        self.jobs.close();
        let returned = job.or_else(|| self.jobs.try_recv().ok());
        self.tell(Event::Gone { seat: self.seat, returned });
    }

    fn not_started(&self, error: String) {
        self.tell(Event::NotStarted { seat: self.seat, error });
    }

    fn tell(&self, event: Event) {
        // The dispatcher outlives its children; if it was aborted, nobody is left to tell.
        let _ = self.events.send(event);
    }
}

impl Process {
    /// Kills and reaps. Gives up on a process the kernel cannot end (stuck in a file system): it is reaped when it does end.
    async fn kill(&mut self) -> Option<ExitStatus> {
        let _ = self.child.start_kill();
        timeout(GRACE, self.child.wait()).await.ok()?.ok()
    }

    /// Reaps a child that has closed its socket.
    async fn ended(&mut self) -> Option<ExitStatus> {
        match timeout(GRACE, self.child.wait()).await {
            Ok(status) => status.ok(),
            Err(_) => self.kill().await,
        }
    }

    /// Closes the socket, which ends the child, and reaps it.
    async fn retire(mut self) {
        drop(self.socket);
        if timeout(GRACE, self.child.wait()).await.is_err() {
            let _ = self.child.start_kill();
            let _ = timeout(GRACE, self.child.wait()).await;
        }
    }

    fn resident_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    }
}

fn spawn(options: &ChildPoolOptions) -> io::Result<Process> {
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let socket = UnixStream::from_std(ours)?;
    let mut command = Command::new(&options.program);
    command.args(&options.args);
    if !options.inherit_environment {
        command.env_clear();
    }
    command.envs(options.envs.iter().map(|(name, value)| (name, value)));
    // A group of its own: Ctrl-C on the worker's terminal is the worker's to handle.
    command.process_group(0).kill_on_drop(true);
    command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(Stdio::piped());
    // The command holds the child's end of the socket; it must go, or the child's death would not show as its end.
    let child = command.spawn()?;
    drop(command);
    Ok(Process { child, socket, born: Instant::now() })
}

async fn greet(process: &mut Process, options: &ChildPoolOptions) -> Result<Hello, String> {
    let start = Start {
        sandbox: options.sandbox.clone(),
        settings: options.settings.clone(),
        nice: options.nice,
        max_frame: options.max_frame,
    };
    let start = frame::bare(&start).map_err(|error| error.to_string())?;
    // It may end before it has read anything, or after; neither says more than that it ended.
    let ended = "it ended before it was ready";
    process.socket.write_all(&start).await.map_err(|_| ended)?;
    match frame::read_async(&mut process.socket, options.max_frame).await {
        Ok(Some(hello)) => rmp_serde::from_slice(&hello).map_err(|error| error.to_string()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(error.to_string()),
        Ok(None) | Err(_) => Err(ended.to_owned()),
    }
}

/// Why there is no answer.
enum Broken {
    /// The child has gone, or what it says makes no sense: it must go.
    Lost,
    /// The call is over by somebody's will.
    Killed(CallError),
}

async fn exchange(socket: &mut UnixStream, frame: &[u8], max: u64) -> Result<Bytes, Broken> {
    socket.write_all(frame).await.map_err(|_| Broken::Lost)?;
    match frame::read_async(socket, max).await {
        Ok(Some(body)) => Ok(body),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(Broken::Killed(CallError::Codec(error.to_string()))),
        Ok(None) | Err(_) => Err(Broken::Lost),
    }
}

type Answer = (bool, Result<Bytes, CallError>);

fn parse(body: &Bytes, function: &str) -> Result<Answer, Broken> {
    let (head, payload) =
        frame::head::<ReplyHead>(body).map_err(|error| Broken::Killed(CallError::Codec(format!("reply: {error}"))))?;
    Ok(match head {
        ReplyHead::Done => (true, Ok(payload)),
        ReplyHead::Failed(failure) => (true, Err(CallError::Failed(failure))),
        ReplyHead::Panicked(failure) => (false, Err(CallError::Failed(failure))),
        ReplyHead::Unready(failure) => (true, Err(CallError::Start(format!("{function}: {failure}")))),
        ReplyHead::NotRegistered => (true, Err(CallError::NotRegistered(function.to_owned()))),
        ReplyHead::Codec(error) => (true, Err(CallError::Codec(error))),
        ReplyHead::TooLarge { bytes, limit } => (true, Err(CallError::TooLarge { bytes, limit })),
    })
}

/// Passes on what the child and its native libraries print, up to a limit a child; the rest is read and forgotten.
async fn log_stderr(stderr: Option<impl AsyncRead + Unpin>, pid: Option<u32>) {
    let Some(mut stderr) = stderr else { return };
    let mut buffer = vec![0; 4096];
    let mut logged = 0;
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        if logged < LOGGED_BYTES {
            let text = String::from_utf8_lossy(&buffer[..read]);
            text.lines().filter(|line| !line.is_empty()).for_each(|line| tracing::warn!(pid, "isolated child: {line}"));
        }
        logged += read;
    }
}

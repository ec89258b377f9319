//! A way to Redis that breaks at the n-th command of a worker, over all of its connections: before it reaches the server, or after it was
//! carried out, with its answer lost. Nothing gets through from then on.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::fate::{Fate, Side};

/// Open as long as it is held.
pub(crate) struct Proxy {
    port: u16,
    _connections: JoinSet<()>,
}

impl Proxy {
    /// Opens a way to a local server.
    pub(crate) async fn start(server: u16, fate: &Arc<Fate>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, fate, mut listening) = (listener.local_addr().unwrap().port(), Arc::clone(fate), JoinSet::new());
        listening.spawn(async move {
            let mut connections = JoinSet::new();
            while !fate.dead.is_cancelled() {
                let (client, _) = listener.accept().await.unwrap();
                let fate = Arc::clone(&fate);
                connections.spawn(async move {
                    let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                    connect(client, server, &fate).await;
                });
            }
            while connections.join_next().await.is_some() {}
        });
        Self { port, _connections: listening }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

/// Carries commands one way and answers the other, until one side closes or the worker dies.
async fn connect(client: TcpStream, server: TcpStream, fate: &Fate) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let commands = async {
        let mut read = Vec::new();
        while from_client.read_buf(&mut read).await.is_ok_and(|count| count > 0) {
            while let Some(length) = command(&read) {
                let side = fate.next();
                if side != Some(Side::Before) && !fate.dead.is_cancelled() {
                    to_server.write_all(&read[..length]).await.unwrap();
                }
                if let Some(side) = side {
                    return Some(side);
                }
                read.drain(..length);
            }
        }
        None
    };
    let side = tokio::select! {
        biased;
        () = fate.dead.cancelled() => return,
        side = commands => side,
        _ = tokio::io::copy(&mut from_server, &mut to_client) => return,
    };
    if side == Some(Side::After) {
        // The server closes when it has carried out all that came before.
        to_server.shutdown().await.unwrap();
        let _closed = tokio::io::copy(&mut from_server, &mut sink()).await;
    }
    if side.is_some() {
        fate.dead.cancel();
    }
}

/// The length of the command that these bytes begin with: `*n`, then n times `$length` and as many bytes.
fn command(bytes: &[u8]) -> Option<usize> {
    let line = |from: usize| -> Option<(usize, usize)> {
        let end = from + bytes.get(from..)?.windows(2).position(|pair| pair == b"\r\n")?;
        let number = std::str::from_utf8(&bytes[from + 1..end]).unwrap().parse().unwrap();
        Some((number, end + 2))
    };
    let (count, mut at) = line(0)?;
    for _ in 0..count {
        let (length, begin) = line(at)?;
        at = begin + length + 2;
    }
    (at <= bytes.len()).then_some(at)
}

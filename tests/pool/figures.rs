//! What a call costs. Run with `cargo test --release --test pool -- --ignored --nocapture figures`.

use std::time::{Duration, Instant};

use bytes::Bytes;
use celeriac::pool::CallOptions;
use libtest_mimic::Trial;

use crate::functions::{ECHO, REPEAT};
use crate::support::{pid, pool};
use crate::trial;

const CALLS: u32 = 2000;

pub fn trials() -> Vec<Trial> {
    vec![trial("figures::what_a_call_costs", figures).with_ignored_flag(true)]
}

async fn figures() {
    let began = Instant::now();
    let pool = pool(1);
    pid(&pool).await;
    println!("start of a child and the first call: {:?}", began.elapsed());
    let empty = per_call(async || {
        pid(&pool).await;
    });
    println!("empty call: {:?}", empty.await);
    let reply = per_call(async || drop(pool.call(&REPEAT, ("x".to_owned(), 250 << 10), CallOptions::default()).await.unwrap()));
    println!("a reply of 250 KiB: {:?}", reply.await);
    for kib in [1, 250, 1024] {
        let bytes = Bytes::from(vec![7; kib << 10]);
        let echo = async || drop(pool.call(&ECHO, bytes.clone(), CallOptions::default()).await.unwrap());
        println!("{kib} KiB there and back: {:?}", per_call(echo).await);
    }
}

async fn per_call(call: impl AsyncFn()) -> Duration {
    let began = Instant::now();
    for _ in 0..CALLS {
        call().await;
    }
    began.elapsed() / CALLS
}

//! How a consumer waits for messages: told by the server, or asking from time to time.

use std::time::Duration;

use redis::{PushInfo, PushKind};
use tokio::sync::mpsc;

/// A fetch that nothing asked for: covers watches and wakes that were lost on the way.
const SAFETY: Duration = Duration::from_secs(10);
const FIRST_POLL: Duration = Duration::from_millis(5);
const LAST_POLL: Duration = Duration::from_millis(250);
/// How far wakes are spread when many idle workers watch the same queue.
const LAST_SPREAD: Duration = Duration::from_millis(64);

/// The server's pushes to one consumer, and how eagerly it answers them.
#[derive(Debug)]
pub(super) struct Waiting {
    pushes: mpsc::UnboundedReceiver<PushInfo>,
    spread: Duration,
    poll: Duration,
    /// The last wait ended with a wake whose fetch is not known yet.
    woken: bool,
}

impl Waiting {
    pub(super) fn new(pushes: mpsc::UnboundedReceiver<PushInfo>) -> Self {
        Self { pushes, spread: Duration::ZERO, poll: FIRST_POLL, woken: false }
    }

    /// Forgets wakes that a fetch from now on would answer anyway.
    pub(super) fn forget(&mut self) {
        while self.pushes.try_recv().is_ok() {}
    }

    /// Learns what a fetch brought: many workers that are woken for one message should not all ask at once.
    pub(super) fn fetched(&mut self, something: bool) {
        if something {
            self.poll = FIRST_POLL;
        }
        if std::mem::take(&mut self.woken) {
            self.spread = match (something, self.spread / 2) {
                (false, _) => (self.spread * 2).clamp(Duration::from_millis(1), LAST_SPREAD),
                (true, half) if half < Duration::from_micros(500) => Duration::ZERO,
                (true, half) => half,
            };
        }
    }

    /// Waits until the server says that a watched list changed, the connection broke, or it is time to look anyway.
    pub(super) async fn watch(&mut self) {
        let wake = async {
            while let Some(push) = self.pushes.recv().await {
                match push.kind {
                    PushKind::Invalidate => return true,
                    PushKind::Disconnection => return false,
                    _ => {}
                }
            }
            false
        };
        // recv is cancel-safe: a wake that comes as the time runs out is read by the next wait or forgotten by the next fetch.
        self.woken = tokio::time::timeout(SAFETY, wake).await.unwrap_or(false);
        if self.woken && !self.spread.is_zero() {
            tokio::time::sleep(self.spread.mul_f64(fastrand::f64())).await;
        }
    }

    /// Waits for the next look at a server that tells nothing.
    pub(super) async fn poll(&mut self) {
        tokio::time::sleep(self.poll).await;
        self.poll = (self.poll * 2).min(LAST_POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting() -> (mpsc::UnboundedSender<PushInfo>, Waiting) {
        let (sender, pushes) = mpsc::unbounded_channel();
        (sender, Waiting::new(pushes))
    }

    fn push(kind: PushKind) -> PushInfo {
        PushInfo { kind, data: Vec::new() }
    }

    #[tokio::test(start_paused = true)]
    async fn wakes_that_find_nothing_spread_the_next_ones_and_finds_draw_them_together() {
        let (sender, mut waiting) = waiting();
        for _ in 0..20 {
            sender.send(push(PushKind::Invalidate)).unwrap();
            waiting.watch().await;
            waiting.fetched(false);
        }
        assert_eq!(waiting.spread, LAST_SPREAD);
        for _ in 0..20 {
            sender.send(push(PushKind::Invalidate)).unwrap();
            waiting.watch().await;
            waiting.fetched(true);
        }
        assert_eq!(waiting.spread, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_wake_costs_no_more_than_the_safety_time() {
        let (_sender, mut waiting) = waiting();
        let start = tokio::time::Instant::now();
        waiting.watch().await;
        assert_eq!(start.elapsed(), SAFETY);
        waiting.fetched(false);
        assert_eq!(waiting.spread, Duration::ZERO, "no wake, no collision");
    }

    #[tokio::test(start_paused = true)]
    async fn polling_slows_down_to_its_limit_and_a_find_makes_it_quick_again() {
        let (_sender, mut waiting) = waiting();
        for _ in 0..10 {
            waiting.poll().await;
        }
        assert_eq!(waiting.poll, LAST_POLL);
        waiting.fetched(true);
        assert_eq!(waiting.poll, FIRST_POLL);
    }
}

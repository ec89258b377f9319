//! The table of a message's life, as `docs/lifecycle.md` shows it: from where to where each step brings a message.

/// One step.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) step: &'static str,
    pub(crate) from: &'static [&'static str],
    pub(crate) to: &'static str,
    /// Who does it, and what it is in Redis.
    pub(crate) by: &'static str,
}

const fn row(step: &'static str, from: &'static [&'static str], to: &'static str, by: &'static str) -> Row {
    Row { step, from, to, by }
}

/// All of them. What is `leased`, `running`, `ended`, `joining` or `orphaned` lies in `unacked`.
pub(crate) const TABLE: &[Row] = &[
    row("publish", &["new"], "queued", "a producer, once or twice: `LPUSH`"),
    row("fetch", &["queued"], "leased", "`fetch.lua`"),
    row("fetch, unheard", &["queued"], "orphaned", "`fetch.lua`, its answer lost"),
    row("park", &["leased"], "parked", "`move.lua`: its ETA is far"),
    row("due", &["parked"], "queued", "any worker: `due.lua`, then `restore.lua`"),
    row("defer", &["leased"], "limited", "`turn.lua`: no turn is left"),
    row("admit", &["limited"], "queued", "any worker: `turn.lua`"),
    row("put back", &["leased", "running"], "queued", "`restore.lua`: no slot, or the worker stops"),
    row("start", &["leased"], "running", "no call: a slot is free"),
    row("discard", &["leased"], "ended", "no call: revoked, expired, or no such task"),
    row("give up", &["leased"], "ended", "no call: delivered too often"),
    row("end", &["running"], "ended", "no call: the task's code has ended"),
    row("settle", &["ended"], "settled", "`settle.lua`"),
    row("retry", &["ended"], "queued", "`settle.lua`: a new message, and the ack of the old"),
    row("requeue", &["ended"], "queued", "`settle.lua`: its child died, or it was rejected"),
    row("bury", &["ended"], "dead", "`settle.lua`: it was given up"),
    row("claim", &["ended"], "joining", "`settle.lua`: its part completes a chord"),
    row("close", &["joining"], "settled", "`settle.lua`: the body is pushed, the chord closed"),
    row("close and bury", &["joining"], "dead", "`settle.lua`: the same, of one that was given up"),
    row("claim lost", &["joining"], "ended", "`settle.lua`: another has the claim by now"),
    row("crash", &["leased", "running", "ended", "joining"], "orphaned", "the worker is no more"),
    row(
        "restore",
        &["leased", "running", "ended", "joining", "orphaned"],
        "queued",
        "any worker, when its lease has run out: `page.lua`, then `restore.lua`",
    ),
    row("requeue from the dead", &["dead"], "queued", "a person: `requeue.lua`"),
];

/// Every single move of the table.
pub(crate) fn moves() -> Vec<(&'static str, &'static str, &'static str)> {
    TABLE.iter().flat_map(|row| row.from.iter().map(|from| (row.step, *from, row.to))).collect()
}

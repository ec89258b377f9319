//! The process by the names that every Prometheus client uses, as far as the system tells (Linux).

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::families::{Number, added};

/// Clock ticks of Linux a second, as `/proc` counts them.
const TICKS: f64 = 100.0;

/// The process's own figures, for a registry of the caller's.
#[derive(Debug)]
pub struct Process {
    cpu: Counter<f64, AtomicU64>,
    resident: Number,
    virtual_size: Number,
    open_fds: Number,
    max_fds: Number,
    threads: Number,
    start_time: Number,
}

impl Process {
    /// Enters them.
    pub fn register(registry: &mut Registry) -> Self {
        let cpu = added(registry, "process_cpu_seconds", "Processor time of the process", Counter::default());
        let mut number = |name: &str, help: &str| added(registry, name, help, Number::default());
        Self {
            cpu,
            resident: number("process_resident_memory_bytes", "Resident memory"),
            virtual_size: number("process_virtual_memory_bytes", "Virtual memory"),
            open_fds: number("process_open_fds", "Open file descriptors"),
            max_fds: number("process_max_fds", "How many file descriptors may be open"),
            threads: number("process_threads", "Threads"),
            start_time: number("process_start_time_seconds", "When the process started, since the epoch"),
        }
    }

    /// Looks anew. What the system does not tell stays as it was.
    pub fn read(&self) {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let (stat, status, limits) = (read("/proc/self/stat"), read("/proc/self/status"), read("/proc/self/limits"));
        // The name in brackets may hold anything; the fields after it begin with the third.
        let fields: Vec<f64> = stat
            .rsplit_once(')')
            .map_or("", |(_, rest)| rest)
            .split_whitespace()
            .map(|field| field.parse().unwrap_or(0.0))
            .collect();
        let field = |number: usize| fields.get(number - 3).copied();
        if let (Some(user), Some(system)) = (field(14), field(15)) {
            self.cpu.inner().store(((user + system) / TICKS).to_bits(), Ordering::Relaxed);
        }
        let kib =
            |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<f64>().ok());
        let fds = std::fs::read_dir("/proc/self/fd").ok().map(|open| open.count() as f64 - 1.0);
        let max_fds = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok());
        let booted = || read("/proc/stat").lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<f64>().ok());
        let started = field(22).and_then(|ticks| Some(booted()? + ticks / TICKS));
        for (gauge, value) in [
            (&self.resident, kib("VmRSS:").map(|kib| kib * 1024.0)),
            (&self.virtual_size, kib("VmSize:").map(|kib| kib * 1024.0)),
            (&self.threads, kib("Threads:")),
            (&self.open_fds, fds),
            (&self.max_fds, max_fds),
            (&self.start_time, started),
        ] {
            if let Some(value) = value {
                gauge.set(value);
            }
        }
    }
}

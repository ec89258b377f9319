//! What a child may still do once its functions are set up: limits of the kernel, files it may read, system calls it may make.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The restrictions of a child. Each is applied as far as the running kernel can; what it cannot is logged once by the pool.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sandbox {
    /// Most address space, bytes: an allocation beyond it fails.
    pub max_address_space: Option<u64>,
    /// Most processor time of the child's whole life, seconds. Off by default: the time limit of a call is what guards.
    pub max_cpu_seconds: Option<u64>,
    /// Most open files.
    pub max_open_files: Option<u64>,
    /// Whether files may be written at all.
    pub write_files: bool,
    /// Files and folders that may be read; `None` leaves the file system as it is. Missing ones are ignored.
    pub read_only: Option<Vec<PathBuf>>,
    /// Whether sockets and connections are possible.
    pub network: bool,
    /// Whether system calls outside a short list kill the child.
    pub system_calls: bool,
}

impl Sandbox {
    /// All restrictions, no readable path.
    pub fn strict() -> Self {
        Self {
            max_address_space: Some(1 << 30),
            max_cpu_seconds: None,
            max_open_files: Some(64),
            write_files: false,
            read_only: Some(Vec::new()),
            network: false,
            system_calls: true,
        }
    }

    /// No restriction but core dumps: for tasks that do what any program does.
    pub fn none() -> Self {
        Self {
            max_address_space: None,
            max_cpu_seconds: None,
            max_open_files: None,
            write_files: true,
            read_only: None,
            network: true,
            system_calls: false,
        }
    }

    /// Lets the child read `path` and what lies under it.
    #[must_use]
    pub fn readable(mut self, path: impl Into<PathBuf>) -> Self {
        self.read_only.get_or_insert_default().push(path.into());
        self
    }
}

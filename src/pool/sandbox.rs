//! What a child may still do once its functions are set up: limits of the kernel, files it may read, system calls it may make.
//!
//! Every part is best effort: a kernel without landlock, or a container that forbids seccomp, runs the child with less, and
//! the child says so in its first frame. Limits and landlock are the thread's own and are inherited by threads started
//! later, so [`Sandbox::restrict`] comes before the child's second thread; the filter covers all threads at once.

use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
    Scope, path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::system_calls;

/// The newest landlock whose rights are asked for; older kernels give what they have.
const LANDLOCK: ABI = ABI::V6;

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
    /// The size beyond which no file can be written, bytes.
    pub max_file_size: Option<u64>,
    /// Files and folders that may be read, and nothing else; `None` leaves the file system as it is. Missing ones are ignored.
    pub read_only: Option<Vec<PathBuf>>,
    /// Whether connections are possible.
    pub network: bool,
    /// Whether a system call outside a short list kills the child.
    pub system_calls: bool,
}

impl Sandbox {
    /// All restrictions, no readable path.
    pub fn strict() -> Self {
        Self {
            max_address_space: Some(1 << 30),
            max_cpu_seconds: None,
            max_open_files: Some(64),
            max_file_size: Some(0),
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
            max_file_size: None,
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

    /// Limits the calling thread, and so the threads it starts from now on; returns what could not be had.
    pub(super) fn restrict(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if let Err(error) = rustix::thread::set_no_new_privs(true) {
            missing.push(format!("no_new_privs: {error}"));
        }
        missing.extend(self.landlock());
        missing.extend(self.limits());
        missing
    }

    /// Filters the system calls of all threads; returns why it could not.
    pub(super) fn filter(&self) -> Option<String> {
        let filter = || system_calls::filter_all_threads(self.network).err();
        self.system_calls.then(filter).flatten().map(|error| format!("seccomp: {error}"))
    }

    fn limits(&self) -> Vec<String> {
        let limits = [
            ("core dumps", Resource::Core, Some(0)),
            ("address space", Resource::As, self.max_address_space),
            ("processor time", Resource::Cpu, self.max_cpu_seconds),
            ("open files", Resource::Nofile, self.max_open_files),
            ("file size", Resource::Fsize, self.max_file_size),
        ];
        let set = |(name, resource, limit): (&str, Resource, Option<u64>)| {
            let wanted = limit?;
            // A lower limit that is already there stays; it cannot be raised, and asking for that would fail.
            let limit = getrlimit(resource).maximum.map_or(wanted, |hard| hard.min(wanted));
            let error = setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) }).err()?;
            Some(format!("limit of {name}: {error}"))
        };
        limits.into_iter().filter_map(set).collect()
    }

    fn landlock(&self) -> Option<String> {
        if self.read_only.is_none() && self.network {
            return None;
        }
        match self.landlock_ruleset() {
            Ok(status) if status.ruleset == RulesetStatus::FullyEnforced => None,
            Ok(status) if status.ruleset == RulesetStatus::PartiallyEnforced => Some("landlock: only partly".to_owned()),
            Ok(_) => Some("landlock: not available".to_owned()),
            Err(error) => Some(format!("landlock: {error}")),
        }
    }

    fn landlock_ruleset(&self) -> Result<RestrictionStatus, RulesetError> {
        let mut ruleset = Ruleset::default();
        if self.read_only.is_some() {
            ruleset = ruleset.handle_access(AccessFs::from_all(LANDLOCK))?;
        }
        if !self.network {
            ruleset = ruleset.handle_access(AccessNet::from_all(LANDLOCK))?.scope(Scope::from_all(LANDLOCK))?;
        }
        let readable = self.read_only.iter().flatten();
        let reading = AccessFs::ReadFile | AccessFs::ReadDir;
        ruleset.create()?.add_rules(path_beneath_rules(readable, reading))?.restrict_self()
    }
}

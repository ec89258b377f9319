//! The system calls a sandboxed child may make; any other ends it with SIGSYS.
//!
//! The list is what PDFium, the allocator and Rust's standard library were seen to call in a set-up child, plus what they
//! call when something goes wrong (a panic, an abort), so that a crash shows as what it is.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

const READING: [i64; 17] = [
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_openat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getdents64,
    libc::SYS_readlinkat,
    libc::SYS_getcwd,
];

const MEMORY_AND_TIME: [i64; 13] = [
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
];

const PROCESS: [i64; 19] = [
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getrusage,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_set_robust_list,
];

const NETWORK: [i64; 15] = [
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept4,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_shutdown,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_ppoll,
];

#[cfg(target_arch = "x86_64")]
const OLD_NAMES: [i64; 5] = [libc::SYS_open, libc::SYS_stat, libc::SYS_lstat, libc::SYS_access, libc::SYS_readlink];
#[cfg(not(target_arch = "x86_64"))]
const OLD_NAMES: [i64; 0] = [];

/// "Is this a terminal?": C's standard library asks it before it prints for the first time.
const TCGETS: u64 = 0x5401;

/// Installs the filter for every thread of this process.
pub(super) fn filter_all_threads(network: bool) -> Result<(), seccompiler::Error> {
    seccompiler::apply_filter_all_threads(&program(network)?)
}

fn program(network: bool) -> Result<BpfProgram, BackendError> {
    let own_process = || only_if(0, u64::from(std::process::id()));
    let network: &[i64] = if network { &NETWORK } else { &[] };
    let listed = READING.iter().chain(&MEMORY_AND_TIME).chain(&PROCESS).chain(&OLD_NAMES).chain(network);
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = listed.map(|&call| (call, Vec::new())).collect();
    rules.insert(libc::SYS_kill, vec![own_process()?]);
    rules.insert(libc::SYS_tgkill, vec![own_process()?]);
    rules.insert(libc::SYS_ioctl, vec![only_if(1, TCGETS)?]);
    let machine = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, machine)?.try_into()
}

fn only_if(argument: u8, value: u64) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)?])
}

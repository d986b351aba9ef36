//! Processes: a command that can never outlive its permission to run, and what PID 1 owes to the others.
//!
//! `elect` starts a *guard*, a small second process of the same binary, and the guard starts the command in a process
//! group of its own. The guard is told through a pipe until when the command may run. It kills the command and all
//! that descends from it when that moment passes without a later one, or when the pipe closes: so the command ends in
//! time also if `elect` was killed, is stopped, or hangs. Should the guard itself be killed, the kernel kills the
//! command (`PR_SET_PDEATHSIG`), and what the command had started becomes `elect`'s, which kills it.
//!
//! Knows nothing of leases and clusters.

pub mod command;
pub mod exec;
pub mod family;
pub mod init;
pub mod signals;
pub mod supervisor;

/// The program that runs here, even if its file was replaced meanwhile.
const THIS_PROGRAM: &str = "/proc/self/exe";

//! Processes: a command that never outlives its permission to run, and the duties of PID 1.
//!
//! `elect` starts a *supervisor*, a small second process of the same binary. The supervisor starts
//! the command in a process group of its own. `elect` tells it through a pipe until when the
//! command may run.
//!
//! The supervisor kills the command and all its descendants in two cases: that moment passes
//! without a later one, or the pipe closes. So the command ends in time also if `elect` was killed,
//! is stopped, or hangs.
//!
//! If the supervisor itself is killed, the kernel kills the command (`PR_SET_PDEATHSIG`). The
//! processes that the command started become children of `elect`, which kills them.
//!
//! This module knows nothing of Leases and clusters.

pub mod command;
pub mod exec;
pub mod init;
pub mod process_tree;
pub mod signals;
pub mod sole;
pub mod supervisor;

/// The running program, even if its file was replaced meanwhile.
const THIS_PROGRAM: &str = "/proc/self/exe";

//! The last step before the command: a process that ties its life to its supervisor, and then
//! becomes the command.
//!
//! It is a step of its own, as no safe code can run between fork and exec.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::lines::complain;

/// The exit codes of shells: the command was not found, or cannot be executed.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// The arguments of the hidden command.
#[derive(Debug, clap::Args)]
pub struct ExecArgs {
    /// The process that started this one.
    #[arg(long)]
    parent: i32,

    /// The command and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// Becomes the command. Returns only if that fails.
#[must_use]
pub fn run(args: &ExecArgs) -> ExitCode {
    let Some((program, arguments)) = args.command.split_first() else { return ExitCode::FAILURE };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        complain(&format!("error: cannot tie {} to its parent: {error}", program.display()));
        return ExitCode::from(NOT_EXECUTABLE);
    }
    // A parent that died before the line above left no signal behind.
    if getppid().map(Pid::as_raw_pid) != Some(args.parent) {
        return ExitCode::FAILURE;
    }
    let error = Command::new(program).args(arguments).exec();
    complain(&format!("error: cannot run {}: {error}", program.display()));
    ExitCode::from(if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE })
}

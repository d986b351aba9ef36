//! A program under test, as a process.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

/// A running process. Dropping it kills it.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts it.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let child = command.spawn();
        Self(
            child.unwrap_or_else(|error| {
                panic!("{} cannot be started: {error}", command.get_program().display())
            }),
        )
    }

    /// Ends it as a crash does: nothing more is sent.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub fn kill(&mut self) {
        self.0.kill().expect("a process can be killed");
        self.0.wait().expect("a killed process ends");
    }

    /// How it ended, if it has.
    ///
    /// # Panics
    /// If the system does not tell.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("a process can be waited for")
    }

    /// Stops it where it is: what it had decided, it will go on with. Or lets it go on.
    pub fn freeze(&self, frozen: bool) {
        self.signal(if frozen { "STOP" } else { "CONT" });
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.0.id()
    }

    /// Sends it a signal: `TERM`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        send(name, self.0.id());
    }

    /// Text that the kernel has about it: `status`, `stat`. None where the system does not tell.
    #[must_use]
    pub fn kernel_says(&self, file: &str) -> Option<String> {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.0.id())).ok()
    }

    /// Its memory in bytes, as the kernel names it: `VmRSS`, `VmHWM`. None where the system does
    /// not tell.
    #[must_use]
    pub fn memory(&self, name: &str) -> Option<u64> {
        let status = self.kernel_says("status")?;
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a signal to one process.
///
/// # Panics
/// If that cannot be done.
pub fn send(signal: &str, number: u32) {
    let command = format!("kill -s {signal} {number}");
    let status = Command::new("sh").args(["-c", &command]).status().expect("a shell can be run");
    assert!(status.success(), "cannot send SIG{signal} to {number}");
}

/// The command `run` of the operator's program, with the rights of a kubeconfig and on a port of
/// its own choice.
#[must_use]
pub fn operator(program: &Path, kubeconfig: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .arg("run")
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(["--http-addr", "127.0.0.1:0"])
        .env_remove("KUBECONFIG")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

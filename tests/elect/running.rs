//! A process under test: its output, its end, and the processes that it leaves alive.

use std::io::{PipeReader, PipeWriter, Write, pipe};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

/// How long a test waits before it fails. It is long, because the tests share few cores.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A process of this project's binary.
///
/// Dropping it closes its input and kills it. A guard is not killed: it has to clean up, which it
/// does when its input closes.
pub(crate) struct Running {
    child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    stdout: Option<Lines<BufReader<ChildStdout>>>,
    stderr: Option<Lines<BufReader<ChildStderr>>>,
    /// The lines of its output that were read so far.
    pub(crate) printed: Vec<String>,
}

pub(crate) fn binary(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_election-operator"));
    command.args(arguments);
    for variable in ["KUBECONFIG", "POD_NAME", "POD_NAMESPACE", "POD_UID"] {
        command.env_remove(variable);
    }
    command.kill_on_drop(arguments.first() != Some(&"guard"));
    command
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(binary(arguments))
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::piped());
        Self::spawn_at(command)
    }

    /// Starts `command` with the input that it already has.
    pub(crate) fn spawn_at(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("it has an output")).lines();
        let stderr = child.stderr.take().map(|stderr| BufReader::new(stderr).lines());
        Self { child, stdin, stdout: Some(stdout), stderr, printed: Vec::new() }
    }

    /// Starts `command` with the output that it already has.
    pub(crate) fn spawn_as_it_is(mut command: Command) -> Self {
        let child = command.stdin(Stdio::null()).spawn().expect("it starts");
        Self { child, stdin: None, stdout: None, stderr: None, printed: Vec::new() }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().and_then(|id| i32::try_from(id).ok()).expect("it is running")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// The next line of its output; none at the end of the output.
    pub(crate) async fn line(&mut self) -> Option<String> {
        let next = self.stdout.as_mut().expect("its output is read").next_line();
        let line = tokio::time::timeout(PATIENCE, next).await.expect("it prints in time");
        let line = line.expect("its output is text");
        self.printed.extend(line.clone());
        line
    }

    /// Closes the reading end of its output.
    pub(crate) fn stop_reading(&mut self) {
        self.stdout = None;
    }

    /// The next line of its standard error, which must be piped; none at the end.
    pub(crate) async fn next_stderr(&mut self) -> Option<String> {
        let next = self.stderr.as_mut().expect("its errors are read").next_line();
        tokio::time::timeout(PATIENCE, next).await.expect("it says something in time").expect("it is text")
    }

    /// Reads its standard error until a line contains `text`.
    pub(crate) async fn until_stderr(&mut self, text: &str) {
        while !self.next_stderr().await.expect("it goes on").contains(text) {}
    }

    /// Reads its output until a line contains `text`.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        loop {
            let line = self.line().await;
            let line = line.unwrap_or_else(|| panic!("it ended without «{text}»: {:#?}", self.printed));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Signals the process until it ends, and returns its exit code, or 128 plus the signal.
    ///
    /// The process takes a signal soon after the same one for an echo, so one signal may not be
    /// enough.
    pub(crate) async fn end_by(&mut self, signal: Signal) -> i32 {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            self.signal(signal);
            if tokio::time::timeout(Duration::from_millis(100), self.child.wait()).await.is_ok() {
                break;
            }
        }
        self.end().await
    }

    /// Waits for the end of the process: its exit code, or 128 plus the signal.
    pub(crate) async fn end(&mut self) -> i32 {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it ends in time");
        let status = status.expect("it can be waited for");
        status
            .code()
            .or_else(|| std::os::unix::process::ExitStatusExt::signal(&status).map(|s| 128 + s))
            .unwrap()
    }
}

pub(crate) fn send(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).expect("a process"), signal).expect("it can be signalled");
}

/// Signals a process that may have ended by now, as of another signal.
pub(crate) fn send_if_alive(pid: i32, signal: Signal) {
    match kill_process(Pid::from_raw(pid).expect("a process"), signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => panic!("it can be signalled: {error}"),
    }
}

/// Whether a process exists and is no zombie.
pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// The PID at the end of a line.
pub(crate) fn pid_in(line: &str) -> i32 {
    line.rsplit(' ').next().and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("no pid: {line}"))
}

/// Waits until a process has ended. It polls, because the system does not report the end of a
/// process that is no child.
pub(crate) async fn until_dead(pid: i32) {
    eventually(&format!("the end of process {pid}"), || (!is_alive(pid)).then_some(())).await;
}

/// Probes again and again until there is a result.
pub(crate) async fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A reader that does not read an output.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reader {
    /// The reader has closed its end.
    Gone,
    /// The reader does not read, and the pipe is full.
    Asleep,
}

impl Reader {
    /// The end to write to, and the other end, to be held meanwhile.
    pub(crate) fn pipe(self) -> (PipeWriter, Option<PipeReader>) {
        let (read_end, mut write_end) = pipe().expect("a pipe");
        if matches!(self, Self::Gone) {
            return (write_end, None);
        }
        let flags = fcntl_getfl(&write_end).expect("it has flags");
        fcntl_setfl(&write_end, flags | OFlags::NONBLOCK).expect("they can be set");
        while write_end.write(&[b'.'; 512]).is_ok() {}
        while write_end.write(b".").is_ok() {}
        fcntl_setfl(&write_end, flags).expect("they can be set");
        (write_end, Some(read_end))
    }
}

/// A process that stays after it was killed, like one that waits for a disk: its tracer does not
/// reap it.
pub(crate) struct Unreaped(Running);

/// A script that calls `PTRACE_SEIZE`; its first argument is the system call's number.
const SEIZE: &str = r#"
    syscall($ARGV[0], 0x4206, $ARGV[1] + 0, 0, 0) == 0 or die "cannot trace: $!";
    $| = 1; print "seized\n"; my $line = <STDIN>;"#;

impl Unreaped {
    /// None if this machine does not allow tracing, or lacks the tool for it.
    pub(crate) async fn seize(pid: i32) -> Option<Self> {
        let ptrace = if cfg!(target_arch = "x86_64") { "101" } else { "117" };
        let mut perl = Command::new("perl");
        perl.args(["-e", SEIZE, ptrace, &pid.to_string()]).kill_on_drop(true);
        let mut tracer = match Command::new("perl").arg("-v").stdout(Stdio::null()).status().await {
            Ok(status) if status.success() => Running::spawn(perl),
            _ => return None,
        };
        if tracer.line().await.as_deref() == Some("seized") {
            return Some(Self(tracer));
        }
        eprintln!("skipped: no process can be traced here");
        None
    }

    /// Lets the process end.
    pub(crate) async fn let_go(mut self) {
        self.0.stdin = None;
        self.0.end().await;
    }
}

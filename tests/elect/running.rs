//! A process under test: what it prints, how it ends, and whether somebody is still alive.

use std::io::{PipeReader, PipeWriter, Write, pipe};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

/// How long anything may take before it counts as not happening. Long, as the tests share few cores.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// This project's binary, started with arguments. Dropping it closes its input, and kills it unless it is a guard: that
/// has to clean up, and does so then.
pub(crate) struct Running {
    child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    stdout: Option<Lines<BufReader<ChildStdout>>>,
    stderr: Option<Lines<BufReader<ChildStderr>>>,
    /// What it printed and was read so far.
    pub(crate) printed: Vec<String>,
}

pub(crate) fn binary(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_election-operator"));
    command.args(arguments).env_remove("KUBECONFIG").env_remove("POD_NAME");
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

    /// With the input that `command` has already.
    pub(crate) fn spawn_at(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("it has an output")).lines();
        let stderr = child.stderr.take().map(|stderr| BufReader::new(stderr).lines());
        Self { child, stdin, stdout: Some(stdout), stderr, printed: Vec::new() }
    }

    /// With the output that `command` has already.
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

    /// The next line it prints; none: it has closed its output.
    pub(crate) async fn line(&mut self) -> Option<String> {
        let next = self.stdout.as_mut().expect("its output is read").next_line();
        let line = tokio::time::timeout(PATIENCE, next).await.expect("it prints in time");
        let line = line.expect("its output is text");
        self.printed.extend(line.clone());
        line
    }

    /// Closes the other end of its output.
    pub(crate) fn stop_reading(&mut self) {
        self.stdout = None;
    }

    /// The next line of its standard error, which was piped; none: it has closed it.
    pub(crate) async fn next_stderr(&mut self) -> Option<String> {
        let next = self.stderr.as_mut().expect("its errors are read").next_line();
        tokio::time::timeout(PATIENCE, next).await.expect("it says something in time").expect("it is text")
    }

    /// Reads its standard error until a line contains `text`.
    pub(crate) async fn until_stderr(&mut self, text: &str) {
        while !self.next_stderr().await.expect("it goes on").contains(text) {}
    }

    /// Reads on until a line contains `text`.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        loop {
            let line = self.line().await;
            let line = line.unwrap_or_else(|| panic!("it ended without «{text}»: {:#?}", self.printed));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Signals it until it ends: one that comes soon after the same one counts as its echo. The exit code, or 128 and the
    /// signal.
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

    /// Waits for its end: the exit code, or 128 and the signal.
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

/// Whether a process runs: not gone, and no zombie.
pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// The process whose number a line ends with.
pub(crate) fn pid_in(line: &str) -> i32 {
    line.rsplit(' ').next().and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("no pid: {line}"))
}

/// Waits until a process runs no more. Nothing tells a stranger's end: so this asks.
pub(crate) async fn until_dead(pid: i32) {
    eventually(&format!("the end of process {pid}"), || (!is_alive(pid)).then_some(())).await;
}

/// Asks again and again until there is an answer.
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

/// Who should read an output, and does not.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reader {
    /// It has closed its end.
    Gone,
    /// It does not read, and the pipe is full.
    Asleep,
}

impl Reader {
    /// The end to write to, and what is to be held meanwhile.
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

/// A process that stays when it is killed, as if it waited for a disk: a tracer does not ask how it ended.
pub(crate) struct Unreaped(Running);

/// `PTRACE_SEIZE`, by the number of ptrace.
const SEIZE: &str = r#"
    syscall($ARGV[0], 0x4206, $ARGV[1] + 0, 0, 0) == 0 or die "cannot trace: $!";
    $| = 1; print "seized\n"; my $line = <STDIN>;"#;

impl Unreaped {
    /// None: nobody may trace a process here, or there is nothing to do it with.
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

    /// Now it can be gone.
    pub(crate) async fn let_go(mut self) {
        self.0.stdin = None;
        self.0.end().await;
    }
}

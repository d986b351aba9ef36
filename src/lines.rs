//! Output that never waits for its reader, and never fails without one.
//!
//! A full pipe makes a write wait: a pager may rest, a log driver may hang. A pipe without a reader
//! makes a write fail. An election must suffer from neither. So each target has a thread that
//! writes. Lines that do not fit into its queue are dropped and counted.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

/// How many bytes may wait for a reader before further lines are dropped.
const ROOM_BYTES: usize = 1 << 20;

/// How long the end of the process waits for all readers together.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long the thread pauses if its target is non-blocking and refuses a write.
const REST: Duration = Duration::from_millis(10);

/// A target of lines. Clones are the same target.
#[derive(Clone, Debug)]
pub struct Lines(Arc<Target>);

#[derive(Debug, Default)]
struct Target {
    waiting: Mutex<Waiting>,
    more: Condvar,
    done: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    is_writing: bool,
    lost: usize,
}

/// All targets, to wait for at the end of the process.
static TARGETS: Mutex<Vec<Lines>> = Mutex::new(Vec::new());

impl Lines {
    /// Writes lines to `target`, each in one write. `name` is its name in the log.
    #[must_use]
    pub fn to(name: &'static str, target: impl Write + Send + 'static) -> Self {
        let lines = Self(Arc::default());
        let writer = lines.clone();
        // Without a thread nothing is written. A process that cannot start a thread has larger
        // problems.
        let _ = thread::Builder::new().name("lines".to_owned()).spawn(move || writer.write_all(name, target));
        TARGETS.lock().unwrap_or_else(PoisonError::into_inner).push(lines.clone());
        lines
    }

    /// Queues a line, which must end with a line break.
    pub fn tell(&self, line: impl Into<Vec<u8>>) {
        let line = line.into();
        let mut waiting = self.waiting();
        if waiting.bytes + line.len() > ROOM_BYTES {
            waiting.lost += 1;
            return;
        }
        waiting.bytes += line.len();
        waiting.lines.push_back(line);
        drop(waiting);
        self.0.more.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all(&self, name: &str, mut target: impl Write) {
        let mut has_failed = false;
        loop {
            let (line, lost) = self.next();
            if let Err(error) = write_line(&mut target, &line)
                && !std::mem::replace(&mut has_failed, true)
            {
                tracing::warn!(%error, "nobody reads {name} any more");
            }
            if lost > 0 {
                tracing::warn!(lines = lost, "lines for {name} were lost: nobody read them in time");
            }
            self.waiting().is_writing = false;
            self.0.done.notify_all();
        }
    }

    fn next(&self) -> (Vec<u8>, usize) {
        let mut waiting = self.waiting();
        loop {
            if let Some(line) = waiting.lines.pop_front() {
                waiting.bytes -= line.len();
                waiting.is_writing = true;
                return (line, std::mem::take(&mut waiting.lost));
            }
            waiting = self.0.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until all is written, for `patience` at most.
    fn flush(&self, patience: Duration) {
        let is_pending = |waiting: &mut Waiting| waiting.is_writing || !waiting.lines.is_empty();
        drop(self.0.done.wait_timeout_while(self.waiting(), patience, is_pending));
    }
}

fn write_line(target: &mut impl Write, mut line: &[u8]) -> io::Result<()> {
    while !line.is_empty() {
        match target.write(line) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => line = line.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(REST),
            Err(error) => return Err(error),
        }
    }
    target.flush()
}

/// Standard error: the log and error messages.
pub fn stderr() -> &'static Lines {
    static STDERR: OnceLock<Lines> = OnceLock::new();
    STDERR.get_or_init(|| Lines::to("standard error", io::stderr()))
}

/// Standard output, without the buffer that would split one line into two writes.
///
/// # Errors
/// If the process has no file descriptor left.
pub fn stdout() -> io::Result<Lines> {
    Ok(Lines::to("standard output", File::from(io::stdout().as_fd().try_clone_to_owned()?)))
}

/// Appends to a file, and creates it if needed.
///
/// # Errors
/// If the file cannot be opened.
pub fn append_to(file: &Path) -> io::Result<Lines> {
    Ok(Lines::to("the events", File::options().append(true).create(true).open(file)?))
}

/// Writes a line to standard error.
pub fn complain(line: &str) {
    stderr().tell(format!("{line}\n"));
}

/// Waits for the lines that are still queued. Call it before the process ends.
pub fn flush() {
    let targets = TARGETS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let share = PATIENCE / u32::try_from(targets.len().max(1)).unwrap_or(u32::MAX);
    for target in targets {
        target.flush(share);
    }
}

/// Ends the process at once, after its queued lines.
pub fn exit(code: i32) -> ! {
    flush();
    std::process::exit(code)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, pipe};

    use super::*;

    #[test]
    fn lines_come_whole_and_in_order() {
        let (mut reader, writer) = pipe().unwrap();
        let lines = Lines::to("a test", writer);
        for number in 0..3 {
            lines.tell(format!("{number}\n"));
        }
        let mut read = [0; 6];
        reader.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"0\n1\n2\n");
    }

    /// Lines of other processes on the same pipe come between lines, not into them.
    #[test]
    fn each_line_is_one_write() {
        #[derive(Clone, Default)]
        struct Writes(Arc<Mutex<Vec<String>>>);
        impl Write for Writes {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().push(String::from_utf8(bytes.to_vec()).unwrap());
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let writes = Writes::default();
        let lines = Lines::to("a test", writes.clone());
        lines.tell("one\n");
        lines.tell("two\n");
        lines.flush(Duration::from_secs(60));
        assert_eq!(*writes.0.lock().unwrap(), ["one\n", "two\n"]);
    }

    #[test]
    fn whoever_tells_waits_for_no_reader_and_what_has_no_room_is_lost() {
        let (mut reader, writer) = pipe().unwrap();
        let lines = Lines::to("a test", writer);
        let line = "x".repeat(1023) + "\n";
        // One room waits, one may be on its way to the reader, and the pipe has some.
        for _ in 0..4 * ROOM_BYTES / line.len() {
            lines.tell(line.as_str());
        }
        let waiting = lines.waiting();
        assert!(waiting.bytes <= ROOM_BYTES && waiting.lost > 0, "{waiting:?}");
        drop(waiting);
        let mut read = vec![0; line.len()];
        reader.read_exact(&mut read).unwrap();
        assert_eq!(read, line.as_bytes());
    }

    #[test]
    fn a_reader_that_is_gone_is_no_trouble() {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let lines = Lines::to("a test", writer);
        lines.tell("nobody reads this\n");
        lines.flush(Duration::from_secs(60));
        assert!(!lines.waiting().is_writing);
    }
}

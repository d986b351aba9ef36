//! The socket that makes a companion the only one of its pod.

use super::*;
use crate::running::PATIENCE;

/// The same command, which may have so many files open and no more.
fn with_files(command: &Command, files: usize) -> Command {
    let command = command.as_std();
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n \"$0\" && exec \"$@\"", &files.to_string()]);
    limited.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited.kill_on_drop(true);
    limited
}

/// After the address to serve, the socket is what the companion opens last before it looks at the
/// Lease. With one file less than it needs it comes so far and no further.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_companion_that_cannot_bind_its_socket_ends_and_says_what_to_check() {
    let (server, pod) = (Server::start().await, Pod::new("orders-1"));
    create(&server);
    nominate(&server, &pod, 7);
    for files in 3.. {
        let flags = ["--http-addr", "127.0.0.1:0"];
        let mut command = with_files(&pod.command(&server, &flags, POLITE), files);
        let ended = tokio::time::timeout(PATIENCE, command.output()).await;
        let output = ended.expect("it ends: it cannot open what it needs").unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{error}");
        assert_eq!(holder(&server.lease("orders")), "");
        let last = error.lines().last().unwrap_or_default();
        if last.starts_with("error: cannot bind the socket @election-operator/") {
            assert_eq!(output.status.code(), Some(1), "{error}");
            assert!(last.contains(&pod.uid) && last.contains("seccomp"), "{error}");
            return;
        }
    }
}

//! The commands: their arguments, and how they are put together.

pub mod connect;
pub mod elect;
pub mod follow;
pub mod go_duration;
pub mod operator_election;
pub mod output;
pub mod own_pod;
mod proxy;
pub mod run;
pub mod signals;
pub mod watch;

use clap::{Parser, Subcommand};

use crate::process::{exec, supervisor};

/// Elects one pod of a group, holds its Lease, and labels it as the leader.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
pub struct Cli {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The error of a command line in one line.
#[must_use]
pub fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let problem = text.lines().take_while(|line| !line.trim().is_empty());
    problem.map(str::trim).collect::<Vec<_>>().join(" ")
}

/// The commands of the program.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator.
    Run(run::RunArgs),
    /// Take part in an election, and run a command while leading.
    Elect(Box<elect::ElectArgs>),
    /// Tell a pod whether it leads, and run a command while it does.
    Follow(Box<follow::FollowArgs>),
    /// Follow Leases and print each new holder, release and expiry.
    Watch(watch::WatchArgs),
    /// Print the `CustomResourceDefinition`, to be piped into `kubectl apply -f -`.
    Crd,
    /// Run a command under a supervisor: `elect` starts it.
    #[command(name = "guard", hide = true)]
    Supervise(supervisor::SupervisorArgs),
    /// Become a command that dies with its parent: `guard` starts it.
    #[command(hide = true)]
    Exec(exec::ExecArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}

//! The commands: arguments and wiring.

pub mod run;

use clap::{Parser, Subcommand};

/// Elects one pod of a group, holds its Lease, and labels it as the leader.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator.
    Run(run::Args),
    /// Print the `CustomResourceDefinition`, to be piped into `kubectl apply -f -`.
    Crd,
}

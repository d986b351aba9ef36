//! `election-operator elect`: one process that takes part in an election.

pub mod flags;

use std::process::ExitCode;

/// The arguments of `elect`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// x
pub async fn run(_args: Args) -> ExitCode {
    ExitCode::SUCCESS
}

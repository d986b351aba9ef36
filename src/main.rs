//! The `election-operator` command.

use std::process::ExitCode;

use clap::Parser;
use election_operator::api;
use election_operator::commands::{Cli, Command, run};

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Crd => print_crd(),
        Command::Run(args) => in_runtime(run::run(args)),
    }
}

fn print_crd() -> ExitCode {
    match api::crd_yaml() {
        Ok(yaml) => {
            print!("{yaml}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cannot print the CRD: {error}");
            ExitCode::FAILURE
        }
    }
}

fn in_runtime(command: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => {
            eprintln!("cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}

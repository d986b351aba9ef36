//! The `election-operator` command.

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use election_operator::api;
use election_operator::commands::{Cli, Command, elect, one_line, run, watch};
use election_operator::process::{exec, guard, init};
use tokio::runtime::Builder;

/// What a wrong command line ends with.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error)
            if error.use_stderr() && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand =>
        {
            eprintln!("{}", one_line(&error));
            return ExitCode::from(USAGE);
        }
        Err(help) => help.exit(),
    };
    match cli.command {
        Command::Crd => print_crd(),
        Command::Run(args) => on_threads(run::run(args)),
        Command::Watch(args) => on_threads(watch::run(args)),
        Command::Elect(_) if init::is_needed() => alone(init::run()),
        Command::Elect(args) => on_threads(elect::run(args)),
        Command::Guard(args) => alone(guard::run(args)),
        Command::Exec(args) => exec::run(&args),
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

fn on_threads(command: impl Future<Output = ExitCode>) -> ExitCode {
    in_runtime(Builder::new_multi_thread(), command)
}

fn alone(command: impl Future<Output = ExitCode>) -> ExitCode {
    in_runtime(Builder::new_current_thread(), command)
}

fn in_runtime(mut runtime: Builder, command: impl Future<Output = ExitCode>) -> ExitCode {
    match runtime.enable_all().build() {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => {
            eprintln!("cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}

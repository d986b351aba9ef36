//! The `election-operator` command.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use election_operator::api;
use election_operator::commands::go_duration::with_two_dashes;
use election_operator::commands::{Cli, Command, elect, follow, one_line, run, watch};
use election_operator::lines::{self, complain};
use election_operator::process::{exec, init, supervisor};
use tokio::runtime::Builder;

/// The exit code for a wrong command line.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = with_two_dashes(std::env::args_os(), &Cli::command());
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error)
            if error.use_stderr() && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand =>
        {
            complain(&one_line(&error));
            lines::flush();
            return ExitCode::from(USAGE);
        }
        Err(help) => help.exit(),
    };
    let ended = match cli.command {
        Command::Crd => print_crd(),
        Command::Run(args) => on_threads(run::run(args)),
        Command::Watch(args) => on_threads(watch::run(args)),
        Command::Elect(_) | Command::Follow(_) if init::is_needed() => alone(init::run()),
        Command::Elect(args) => on_threads(elect::run(*args)),
        Command::Follow(args) => on_threads(follow::run(*args)),
        Command::Supervise(args) => alone(supervisor::run(args)),
        Command::Exec(args) => exec::run(&args),
    };
    lines::flush();
    ended
}

fn print_crd() -> ExitCode {
    // A reader that closes the pipe early has what it wanted.
    let _ = io::stdout().write_all(api::CRD_YAML.as_bytes());
    ExitCode::SUCCESS
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
            complain(&format!("error: cannot start: {error}"));
            ExitCode::FAILURE
        }
    }
}

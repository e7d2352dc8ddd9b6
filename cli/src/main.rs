//! The command line, one file per subcommand.
//!
//! Results go to standard output, progress and logs to standard error. Every command takes `--json`; a failure is
//! then an object too. The exit codes are those of [`failure::Code`].

mod cache;
mod commands;
mod console;
mod directives;
mod failure;
mod gather;
mod input;
mod interrupt;
mod limits;
mod output;

use std::process::ExitCode;

use clap::Parser;

use commands::Cli;
use console::Console;

fn main() -> ExitCode {
    let cli = Cli::parse();
    interrupt::listen();
    let console = Console::new(cli.json);
    match commands::dispatch(cli.command, &console) {
        Ok(outcome) => outcome.exit_code(),
        Err(failure) => {
            console.failure(&failure);
            ExitCode::from(failure.code as u8)
        }
    }
}

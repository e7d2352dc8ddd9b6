//! The command line, one file per subcommand.
//!
//! Results go to standard output, progress and logs to standard error. Every command takes `--json`; a failure is
//! then an object too. The exit codes are those of [`failure::Code`].

mod accuracy;
mod cache;
mod commands;
mod console;
mod directives;
mod failure;
mod gather;
mod input;
mod interrupt;
mod limits;
mod oracle;
mod output;
mod rounding;

use std::process::ExitCode;

use clap::Parser;

use commands::Cli;
use console::Console;
use failure::{Code, Failure};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
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

/// Prints why the command line is not understood, or the help that was asked for.
fn usage(error: &clap::Error) -> ExitCode {
    // What was not understood cannot say whether results are JSON.
    let json = std::env::args_os().any(|argument| argument == "--json");
    if json && error.use_stderr() {
        let text = error.to_string();
        let message = text.split("\n\n").next().unwrap_or_default();
        let message = message.strip_prefix("error: ").unwrap_or(message);
        let help = "`tilewright help` lists the commands, and `--help` the options of one";
        Console::new(json).failure(&Failure::usage(message, help));
        return ExitCode::from(Code::Usage as u8);
    }
    match error.print() {
        Ok(()) => ExitCode::from(error.exit_code() as u8),
        Err(_) => ExitCode::from(Code::Resource as u8),
    }
}

//! The subcommands, one file each.

pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod compile;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod explore;
pub(crate) mod generate;
pub(crate) mod map;
mod map_tree;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod text;
pub(crate) mod verify;
pub(crate) mod zoo;

use clap::{Parser, Subcommand};

use crate::console::Console;
use crate::failure::{Failure, Outcome};

const EXIT_CODES: &str = "\
Exit codes: 0 good, 1 a check failed, 2 wrong usage, 3 bad input file, 4 tool missing, 5 tool failed or timed out, \
6 device unavailable, 7 disk or other resource, 130 interrupted.";

/// From a quantised network and a description of hardware to an accelerator you can trust
#[derive(Debug, Parser)]
#[command(name = "tilewright", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    /// Print the result as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(demo::Args),
    Check(check::Args),
    Map(map::Args),
    Compile(compile::Args),
    Generate(generate::Args),
    Run(run::Args),
    Verify(verify::Args),
    Build(build::Args),
    Explore(explore::Args),
    Report(report::Args),
    Doctor(doctor::Args),
    Zoo(zoo::Args),
    Completions(text::CompletionsArgs),
    Man(text::ManArgs),
    Reference(text::ReferenceArgs),
}

/// Runs the command.
pub(crate) fn dispatch(command: Command, console: &Console) -> Result<Outcome, Failure> {
    match command {
        Command::Demo(args) => demo::run(&args, console),
        Command::Check(args) => check::run(&args, console),
        Command::Map(args) => map::run(&args, console),
        Command::Compile(args) => compile::run(&args, console),
        Command::Generate(args) => generate::run(&args, console),
        Command::Run(args) => run::run(&args, console),
        Command::Verify(args) => verify::run(&args, console),
        Command::Build(args) => build::run(&args, console),
        Command::Explore(args) => explore::run(&args, console),
        Command::Report(args) => report::run(&args, console),
        Command::Doctor(args) => doctor::run(&args, console),
        Command::Zoo(args) => zoo::run(&args, console),
        Command::Completions(args) => text::completions(&args),
        Command::Man(args) => text::man(&args),
        Command::Reference(args) => text::reference(&args),
    }
}

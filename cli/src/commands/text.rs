//! Text made from the definition of the command line: completions, man pages, and the reference page.

use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};

use super::Cli;
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::output;

/// Print completions for a shell
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: clap_complete::Shell,
}

pub(crate) fn completions(args: &CompletionsArgs) -> Result<Outcome, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tilewright", &mut text);
    print(&text)
}

/// Write the man pages
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// The folder
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

pub(crate) fn man(args: &ManArgs) -> Result<Outcome, Failure> {
    output::folder(&args.output)?;
    let mut command = Cli::command();
    command.build();
    page(&command, "tilewright", &args.output)?;
    for subcommand in visible(&command) {
        // The definition lives as long as the program, so its names may too.
        page(
            subcommand,
            format!("tilewright-{}", subcommand.get_name()).leak(),
            &args.output,
        )?;
    }
    Ok(Outcome::Good)
}

fn page(command: &Command, name: &'static str, folder: &Path) -> Result<(), Failure> {
    let path = folder.join(format!("{name}.1"));
    let mut text = Vec::new();
    let named = command.clone().name(name);
    clap_mangen::Man::new(named)
        .render(&mut text)
        .map_err(|error| Failure::write(&path, error))?;
    output::write(&path, text)
}

/// Print the reference page, `docs/reference/cli.md`
#[derive(Debug, clap::Args)]
pub(crate) struct ReferenceArgs {}

pub(crate) fn reference(_: &ReferenceArgs) -> Result<Outcome, Failure> {
    let mut command = Cli::command().term_width(100);
    command.build();
    let mut text = "# Command line\n\nPrinted by `tilewright reference`; do not edit.\n".to_owned();
    text += &format!("\n```\n{}```\n", help(&command));
    for subcommand in visible(&command) {
        text += &format!(
            "\n## `tilewright {}`\n\n```\n{}```\n",
            subcommand.get_name(),
            help(subcommand)
        );
    }
    print(text.as_bytes())
}

fn help(command: &Command) -> String {
    let text = command
        .clone()
        .term_width(100)
        .render_long_help()
        .to_string();
    text.lines()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|subcommand| !subcommand.is_hide_set() && subcommand.get_name() != "help")
}

fn print(text: &[u8]) -> Result<Outcome, Failure> {
    Console::new(false).print(&String::from_utf8_lossy(text))?;
    Ok(Outcome::Good)
}

//! Directives from the command line: files, and single ones as options.

use std::path::PathBuf;

use ir::directive::{self, Placed};
use ir::network::Network;
use serde_json::{Value, json};

use crate::console::Console;
use crate::failure::{Code, Failure};
use crate::input;

/// What the user decides of mappings.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct DirectiveArgs {
    /// A file of directives, which keep parts of mappings; the search completes the rest
    #[arg(long = "directives", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// One directive, as a line of such a file, such as `operator=conv r=3: tile_rows=4`
    #[arg(long = "pin", value_name = "DIRECTIVE")]
    pins: Vec<String>,
}

/// Files above this size are no files of directives.
const FILE_BYTES: u64 = 1 << 20;

impl DirectiveArgs {
    /// Whether any is given.
    pub(crate) fn is_given(&self) -> bool {
        !self.files.is_empty() || !self.pins.is_empty()
    }

    /// Reads all directives; what they leave unsaid about `network` goes to standard error.
    pub(crate) fn read(&self, network: &Network, console: &Console) -> Result<Directed, Failure> {
        let mut directives = Vec::new();
        for path in &self.files {
            let text = input::text(path, FILE_BYTES)?;
            directives.extend(directive::read(&path.display().to_string(), &text)?);
        }
        for pin in &self.pins {
            let placed = directive::read_one("--pin", pin);
            directives.push(placed.map_err(|error| Failure::new(Code::Usage, error))?);
        }
        let idle = mapper::idle(network, &directives);
        for idle in &idle {
            let placed = &idle.directive;
            console.note(&format!(
                "warning: {} `{}` says nothing about `{}`: {}",
                placed.place, placed.directive, network.name, idle.reason
            ));
        }
        let without_effect = idle.iter().map(|idle| {
            let place = &idle.directive.place;
            json!({
                "directive": idle.directive.directive.to_string(), "file": place.file(),
                "line": place.line(), "column": place.column(), "reason": idle.reason,
            })
        });
        Ok(Directed {
            json: json!({
                "given": directives.len(), "without_effect": idle.len(),
                "unmatched": without_effect.collect::<Vec<_>>(),
            }),
            directives,
        })
    }
}

/// The directives of a command.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directed {
    /// All of them.
    pub(crate) directives: Vec<Placed>,
    /// How many, and which say nothing.
    pub(crate) json: Value,
}

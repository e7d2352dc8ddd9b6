//! `tilewright compile`: one artifact for every device.

use std::path::PathBuf;

use host_runtime::Artifact;
use serde_json::json;

use super::map::MappingArgs;
use crate::console::{Console, thousands};
use crate::failure::{Failure, Outcome};
use crate::input::NetworkArgs;
use crate::output;
use crate::rounding::Rounding;

/// Compile a network for an arch, into one artifact for every device
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    mapping: MappingArgs,
    /// The artifact to write
    #[arg(short, long, value_name = "ART", value_parser = output::file)]
    output: PathBuf,
    /// Also write the instructions as text
    #[arg(long, value_name = "FILE", value_parser = output::file)]
    listing: Option<PathBuf>,
    /// Also store every tensor between layers to memory, so that devices can be compared
    #[arg(long)]
    keep_all: bool,
}

pub(crate) fn run(args: &Args, console: &Console) -> Result<Outcome, Failure> {
    let arch = args.mapping.arch()?;
    let loaded = args.network.load()?;
    let directed = args.mapping.directed(&loaded.network, console)?;
    let (network, keep_all) = (&loaded.network, args.keep_all);
    let compiled = args
        .mapping
        .compile(network, &arch, keep_all, &directed, console)?;
    let artifact = Artifact {
        network: loaded.network,
        arch,
        program: compiled.program,
    };
    artifact.check()?;
    let bytes = artifact.to_bytes();
    output::write(&args.output, &bytes)?;
    if let Some(path) = &args.listing {
        output::write(path, artifact.program.disassembly())?;
    }
    let rounding = Rounding::of(&artifact.network)?;
    let result = json!({
        "network": artifact.network.name,
        "network_hash": loaded.hash,
        "arch": artifact.arch.name,
        "arch_hash": format!("{:016x}", artifact.arch.hash()),
        "artifact": args.output,
        "bytes": bytes.len(),
        "instructions": artifact.program.instructions.len(),
        "memory_words": artifact.program.memory_words,
        "rounding": rounding,
        "directives": directed.json,
    });
    console.result("compile", &result, || {
        let program = &artifact.program;
        format!(
            "wrote `{}`: {} B, `{}` on `{}`, {} instructions, {} of {} words of memory\n{}",
            args.output.display(),
            thousands(bytes.len() as u64),
            ir::text::cell(&artifact.network.name),
            artifact.arch.name,
            thousands(program.instructions.len() as u64),
            thousands(program.memory_words.into()),
            thousands(artifact.arch.memory.words.into()),
            rounding.text(),
        )
    })?;
    Ok(Outcome::Good)
}

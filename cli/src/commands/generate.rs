//! `tilewright generate`: the accelerator as SystemVerilog.

use std::path::PathBuf;

use hw::Technology;
use serde_json::json;

use crate::console::{Console, thousands};
use crate::failure::{Failure, Outcome};
use crate::{input, output};

/// Generate the accelerator as commented SystemVerilog
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The arch: `nano`, `edge`, `both`, or a file
    #[arg(long, value_name = "ARCH")]
    arch: String,
    /// The folder to write to: a new one, an empty one, or what `generate` wrote before
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Write to the folder whatever it holds; what has another name stays
    #[arg(long)]
    force: bool,
    /// Which multipliers and memories to use
    #[arg(long, default_value = "generic")]
    technology: TechnologyArg,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum TechnologyArg {
    /// Behavioural models that every tool reads
    Generic,
    /// Multipliers and memories of the iCE40 UltraPlus
    Ice40,
}

pub(crate) fn run(args: &Args, console: &Console) -> Result<Outcome, Failure> {
    let arch = input::arch(&args.arch)?;
    let technology = match args.technology {
        TechnologyArg::Generic => Technology::Generic,
        TechnologyArg::Ice40 => Technology::Ice40,
    };
    output::claim(&args.output, "generate", args.force)?;
    let design = hw::generate(&arch, technology);
    let names: Vec<&str> = design.files.iter().map(|(name, _)| name.as_str()).collect();
    let mut files = design.files.clone();
    files.push(("files.f".to_owned(), names.join("\n") + "\n"));
    files.push(("arch.toml".to_owned(), arch.to_toml()));
    output::fill(&args.output, "generate", &files)?;
    let lines: usize = design
        .files
        .iter()
        .map(|(_, text)| text.lines().count())
        .sum();
    let memory_bits: u64 = arch.memory_bits().iter().map(|(_, bits)| bits).sum();
    let result = json!({
        "arch": arch.name,
        "arch_hash": format!("{:016x}", design.arch_hash),
        "technology": format!("{technology:?}").to_lowercase(),
        "top": design.top,
        "output": args.output,
        "files": names,
        "lines": lines,
        "macs_per_cycle": arch.macs_per_cycle(),
        "memory_bits": arch.memory_bits().into_iter().map(|(name, bits)| (name.to_owned(), json!(bits))).collect::<serde_json::Map<_, _>>(),
    });
    console.result("generate", &result, || {
        format!(
            "wrote {} files, {} lines of SystemVerilog, to `{}`\ntop `{}`, {} MACs a cycle, {} bits of memory; `files.f` lists the files in order\n",
            names.len(),
            thousands(lines as u64),
            args.output.display(),
            design.top,
            arch.macs_per_cycle(),
            thousands(memory_bits),
        )
    })?;
    Ok(Outcome::Good)
}

//! `tilewright map`: the best mapping of each layer, with its cost and what the search proves.

use std::fmt::Write as _;
use std::path::PathBuf;

use ir::arch::{Arch, Dataflow};
use ir::memory::MemoryModel;
use ir::network::Network;
use mapper::{Compiled, LayerReport, Objective, Pin};
use serde::Serialize;
use serde_json::{Value, json};

use crate::console::{Console, thousands};
use crate::failure::{Failure, Outcome};
use crate::input::{self, NetworkArgs, memory_model};
use crate::output;

/// Find the best mapping of each layer, with its cost and a certificate
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    mapping: MappingArgs,
    /// Also write the loop nests to a schedule file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Options of every command that maps a network.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct MappingArgs {
    /// The arch: `nano`, `edge`, `both`, or a file
    #[arg(long, value_name = "ARCH")]
    pub(crate) arch: String,
    /// What is made small
    #[arg(long, default_value = "cycles")]
    objective: ObjectiveArg,
    /// Part of a mapping to keep, such as `conv0:dataflow=output_stationary,tile_rows=4`
    #[arg(long = "pin", value_name = "LAYER:KEY=VALUE,..", value_parser = pin)]
    pins: Vec<Pin>,
    /// The memory behind the port that the cost model assumes: `m0`, `m1` or `m2`
    #[arg(long, value_name = "MODEL", default_value = "m1", value_parser = memory_model)]
    memory: MemoryModel,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ObjectiveArg {
    /// Cycles, then traffic
    Cycles,
    /// Words moved between memory and chip, then cycles
    Traffic,
}

impl MappingArgs {
    pub(crate) fn options(&self, keep_all: bool) -> mapper::Options {
        let objective = match self.objective {
            ObjectiveArg::Cycles => Objective::Cycles,
            ObjectiveArg::Traffic => Objective::Traffic,
        };
        mapper::Options {
            keep_all,
            objective,
            pins: self.pins.clone(),
            memory: self.memory,
        }
    }

    pub(crate) fn memory(&self) -> MemoryModel {
        self.memory
    }

    pub(crate) fn arch(&self) -> Result<Arch, Failure> {
        input::arch(&self.arch)
    }

    /// Maps and lowers the network.
    pub(crate) fn compile(
        &self,
        network: &Network,
        arch: &Arch,
        keep_all: bool,
        console: &Console,
    ) -> Result<Compiled, Failure> {
        let known = |pin: &Pin| {
            network
                .einsums
                .iter()
                .any(|einsum| einsum.name == pin.einsum)
        };
        if let Some(pin) = self.pins.iter().find(|pin| !known(pin)) {
            let help = "`tilewright check` lists the layers";
            return Err(Failure::usage(
                format!(
                    "`--pin` names `{}`, which is no layer of `{}`",
                    pin.einsum, network.name
                ),
                help,
            ));
        }
        let spinner = console.spinner(&format!("mapping {} to {}", network.name, arch.name));
        let compiled = mapper::compile(network, arch, &self.options(keep_all))?;
        spinner.finish_and_clear();
        Ok(compiled)
    }
}

fn pin(text: &str) -> Result<Pin, String> {
    // Layer names may hold colons themselves, keys never do.
    let (layer, parts) = text
        .rsplit_once(':')
        .ok_or("it must be LAYER:KEY=VALUE,..")?;
    let mut pin = Pin {
        einsum: layer.to_owned(),
        rows: None,
        dataflow: None,
        tile_rows: None,
        tile_cols: None,
        group_tiles: None,
    };
    for part in parts.split(',') {
        let (key, value) = part
            .split_once('=')
            .ok_or_else(|| format!("`{part}` is not KEY=VALUE"))?;
        let number = || {
            value
                .parse()
                .map(Some)
                .map_err(|_| format!("`{value}` is not a number"))
        };
        match key {
            "rows" => pin.rows = Some(value.parse()?),
            "dataflow" => pin.dataflow = Some(dataflow(value)?),
            "tile_rows" => pin.tile_rows = number()?,
            "tile_cols" => pin.tile_cols = number()?,
            "group_tiles" => pin.group_tiles = number()?,
            _ => {
                return Err(format!(
                    "`{key}` is not `rows`, `dataflow`, `tile_rows`, `tile_cols` or `group_tiles`"
                ));
            }
        }
    }
    Ok(pin)
}

fn dataflow(text: &str) -> Result<Dataflow, String> {
    match text {
        "weight_stationary" => Ok(Dataflow::WeightStationary),
        "output_stationary" => Ok(Dataflow::OutputStationary),
        _ => Err(format!(
            "`{text}` is not `weight_stationary` or `output_stationary`"
        )),
    }
}

#[derive(Serialize)]
struct Mapped<'a> {
    network: &'a str,
    network_hash: String,
    arch: &'a str,
    arch_hash: String,
    /// Cycles of one run, by the closed-form model.
    modelled_cycles: u64,
    instructions: usize,
    memory_words: u32,
    layers: Vec<Value>,
}

pub(crate) fn run(args: &Args, console: &Console) -> Result<Outcome, Failure> {
    let arch = args.mapping.arch()?;
    let loaded = args.network.load()?;
    let compiled = args
        .mapping
        .compile(&loaded.network, &arch, false, console)?;
    if let Some(path) = &args.output {
        output::write(path, compiled.schedule.to_string())?;
    }
    let mapped = Mapped {
        network: &loaded.network.name,
        network_hash: loaded.hash.clone(),
        arch: &arch.name,
        arch_hash: format!("{:016x}", arch.hash()),
        modelled_cycles: compiled.predicted_cycles(),
        instructions: compiled.program.instructions.len(),
        memory_words: compiled.program.memory_words,
        layers: compiled
            .layers
            .iter()
            .zip(&compiled.schedule.mappings)
            .map(|(layer, mapping)| layer_json(layer, &mapping.to_string()))
            .collect(),
    };
    console.result("map", &mapped, || text(&mapped, &compiled, &arch))?;
    Ok(Outcome::Good)
}

fn layer_json(layer: &LayerReport, loop_nest: &str) -> Value {
    let cost = layer.cost;
    let cost = json!({
        "cycles": cost.cycles, "exec": cost.exec, "vec": cost.vec, "load": cost.load, "store": cost.store,
        "fetch": cost.fetch, "traffic_words": cost.traffic_words, "instructions": cost.instructions,
    });
    json!({
        "name": layer.name, "operator": layer.kind, "macs": layer.macs, "instructions": layer.instructions,
        "modelled_cost": cost, "certificate": layer.certificate, "loop_nest": loop_nest,
    })
}

fn text(mapped: &Mapped, compiled: &Compiled, arch: &Arch) -> String {
    let mut text = format!("network `{}` on arch `{}`\n", mapped.network, mapped.arch);
    for (layer, mapping) in compiled.layers.iter().zip(&compiled.schedule.mappings) {
        let _ = write!(text, "\n{mapping}");
        let cost = layer.cost;
        let busy = [
            ("exec", cost.exec),
            ("vec", cost.vec),
            ("load", cost.load),
            ("store", cost.store),
            ("fetch", cost.fetch),
        ];
        let busy: Vec<String> = busy
            .iter()
            .map(|(name, cycles)| format!("{name} {}", thousands(*cycles)))
            .collect();
        let useful =
            layer.macs as f64 / (cost.cycles.max(1) as f64 * f64::from(arch.macs_per_cycle()));
        let _ = writeln!(
            text,
            "  # modelled: {} cycles, {:.1} % of peak",
            thousands(cost.cycles),
            useful * 100.0
        );
        let _ = writeln!(
            text,
            "  # busy: {}; {} words moved",
            busy.join(", "),
            thousands(cost.traffic_words)
        );
        if let Some(certificate) = &layer.certificate {
            let _ = writeln!(text, "  # certificate: {}", certificate.sentence());
        }
    }
    let instructions = thousands(mapped.instructions as u64);
    let words = thousands(mapped.memory_words.into());
    let _ = writeln!(
        text,
        "\n{} cycles an image (modelled); {instructions} instructions, {words} words of memory",
        thousands(mapped.modelled_cycles)
    );
    text
}

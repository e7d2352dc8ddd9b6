//! `tilewright check`: what a network is made of and whether it can run, before anything slow.

use std::fmt::Write as _;

use ir::arch::Arch;
use ir::network::{HostType, Network, TensorId};
use ir::op::Kind;
use ir::text::{cell, line};
use mapper::{Fits, Hooks, LayerFit, MapError};
use miette::Diagnostic;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cache::CacheArgs;
use crate::console::{Console, Table, count, diagnostic_json, thousands};
use crate::failure::{Failure, Outcome};
use crate::input::{self, NetworkArgs, PRESETS, Source};
use crate::interrupt;
use crate::rounding::Rounding;

/// Show a network's layers, and everything that keeps it from running
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    network: NetworkArgs,
    /// The arch that the network has to fit: `nano`, `edge`, `both`, or a file; without one, whichever preset it fits
    #[arg(long, value_name = "ARCH")]
    arch: Option<String>,
    #[command(flatten)]
    cache: CacheArgs,
}

#[derive(Serialize)]
struct Layer {
    name: String,
    operator: &'static str,
    inputs: Vec<[usize; 3]>,
    output: [usize; 3],
    macs: u64,
    weight_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fit: Option<Value>,
}

#[derive(Serialize)]
struct Boundary {
    name: String,
    shape: Vec<usize>,
    #[serde(rename = "type")]
    host_type: &'static str,
    /// Scale and zero point of an input; outputs are as the file states them.
    #[serde(skip_serializing_if = "Option::is_none")]
    quant: Option<Quant>,
}

#[derive(Serialize)]
struct Quant {
    scale: f32,
    zero_point: i8,
}

#[derive(Serialize)]
struct Checked {
    network: String,
    network_hash: String,
    arch: Option<String>,
    supported: bool,
    /// Without an arch: which presets the network fits.
    presets: Vec<Preset>,
    inputs: Vec<Boundary>,
    outputs: Vec<Boundary>,
    layers: Vec<Layer>,
    macs: u64,
    weight_bytes: u64,
    rounding: Rounding,
    host_steps: Vec<String>,
    operators: Value,
    problems: Vec<Value>,
}

/// Whether the network fits an arch that comes with the program.
#[derive(Serialize)]
struct Preset {
    arch: &'static str,
    fits: bool,
    problems: Vec<Value>,
    /// The first problem, for people.
    #[serde(skip)]
    reason: String,
}

pub(crate) fn run(args: &Args, console: &Console) -> Result<Outcome, Failure> {
    let arch = args.arch.as_deref().map(input::arch).transpose()?;
    let source = Source::find(&args.network.network)?;
    let report = source.check(&args.network.options()?)?;
    let network = report.network.as_ref();
    let fits = match (network, &arch) {
        (Some(network), Some(arch)) => Some(fits(network, arch, &args.cache, console)?),
        _ => None,
    };
    let presets = match (network, &arch) {
        (Some(network), None) => presets(network, &args.cache, console)?,
        _ => Vec::new(),
    };
    let problems: Vec<&(dyn Diagnostic + 'static)> = report
        .problems
        .iter()
        .map(|problem| problem as &(dyn Diagnostic + 'static))
        .chain(
            fits.iter()
                .flat_map(|fits| &fits.problems)
                .map(|problem| problem as &(dyn Diagnostic + 'static)),
        )
        .collect();
    let layers = report.network.as_ref().map_or_else(Vec::new, |network| {
        layers(network, fits.as_ref().map(|fits| fits.layers.as_slice()))
    });
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    if let Some(network) = &report.network {
        inputs.extend(network.inputs.iter().map(|id| input(network, *id)));
        outputs.extend(self::outputs(network)?);
    }
    let rounding = report.network.as_ref().map(Rounding::of).transpose()?;
    let checked = Checked {
        network: report.name.clone(),
        network_hash: source.hash(&report.external)?,
        arch: arch.as_ref().map(|arch| arch.name.clone()),
        supported: problems.is_empty()
            && (presets.is_empty() || presets.iter().any(|preset| preset.fits)),
        presets,
        inputs,
        outputs,
        macs: layers.iter().map(|layer| layer.macs).sum(),
        weight_bytes: layers.iter().map(|layer| layer.weight_bytes).sum(),
        rounding: rounding.unwrap_or_default(),
        host_steps: report
            .network
            .iter()
            .flat_map(|network| network.left_to_host())
            .map(|step| format!("{} (`{}`)", step.operator.name(), step.name))
            .collect(),
        layers,
        operators: json!(report.operators),
        problems: problems
            .iter()
            .map(|problem| diagnostic_json(*problem))
            .collect(),
    };
    console.result("check", &checked, || text(&checked, &problems))?;
    Ok(Outcome::good_if(checked.supported))
}

fn fits(
    network: &Network,
    arch: &Arch,
    cache: &CacheArgs,
    console: &Console,
) -> Result<Fits, Failure> {
    let spinner = console.spinner(&format!("checking {} on {}", network.name, arch.name));
    let cache = cache.open(console);
    let hooks = Hooks {
        cache: &*cache,
        stop: &interrupt::requested,
        ..Hooks::default()
    };
    let fits = mapper::compiles(network, arch, &hooks);
    spinner.finish_and_clear();
    if fits.problems.contains(&MapError::Stopped) {
        return Err(Failure::interrupted());
    }
    Ok(fits)
}

fn presets(
    network: &Network,
    cache: &CacheArgs,
    console: &Console,
) -> Result<Vec<Preset>, Failure> {
    let preset = |&(name, _): &(&'static str, _)| {
        let problems = fits(network, &input::arch(name)?, cache, console)?.problems;
        let reason = match problems.as_slice() {
            [] => String::new(),
            [only] => only.to_string(),
            [first, more @ ..] => format!("{first} (and {} more)", more.len()),
        };
        Ok(Preset {
            arch: name,
            fits: problems.is_empty(),
            problems: problems
                .iter()
                .map(|problem| diagnostic_json(problem))
                .collect(),
            reason,
        })
    };
    PRESETS.iter().map(preset).collect()
}

fn input(network: &Network, id: TensorId) -> Boundary {
    let tensor = network.tensor(id);
    let view = tensor.host.as_ref();
    Boundary {
        name: view.map_or_else(|| tensor.name.clone(), |view| view.name.clone()),
        shape: view.map_or_else(|| tensor.shape().to_vec(), |view| view.shape.clone()),
        host_type: type_name(view.map_or(HostType::Int8, |view| view.host_type)),
        quant: Some(Quant {
            scale: tensor.scale,
            zero_point: tensor.zero_point,
        }),
    }
}

fn outputs(network: &Network) -> Result<Vec<Boundary>, Failure> {
    let types = network.result_types()?.into_iter();
    let boundary = |(name, shape, host_type)| Boundary {
        name,
        shape,
        host_type: type_name(host_type),
        quant: None,
    };
    Ok(types.map(boundary).collect())
}

fn type_name(host_type: HostType) -> &'static str {
    match host_type {
        HostType::Float32 => "float32",
        HostType::Int8 => "int8",
        HostType::Uint8 => "uint8",
        HostType::Int64 => "int64",
    }
}

fn layers(network: &Network, fits: Option<&[LayerFit]>) -> Vec<Layer> {
    let shape = |id: &TensorId| network.tensor(*id).shape();
    network
        .einsum_ids()
        .map(|id| {
            let einsum = network.einsum(id);
            Layer {
                name: einsum.name.clone(),
                operator: operator(&einsum.kind),
                inputs: einsum.inputs.iter().map(shape).collect(),
                output: shape(&einsum.output),
                macs: network.macs(id),
                weight_bytes: weight_bytes(&einsum.kind),
                fit: fits.and_then(|fits| fits.get(id.index())).map(fit_json),
            }
        })
        .collect()
}

fn operator(kind: &Kind) -> &'static str {
    match kind {
        Kind::Conv(conv) if conv.is_depthwise() => "depthwise conv",
        _ => kind.name(),
    }
}

fn weight_bytes(kind: &Kind) -> u64 {
    match kind {
        Kind::Conv(conv) => conv.weights.len() as u64,
        _ => 0,
    }
}

fn fit_json(fit: &LayerFit) -> Value {
    json!({
        "weight_words": fit.weight_words, "tile_weight_words": fit.tile_weight_words,
        "parameter_channels": fit.parameter_channels, "input_words": fit.input_words,
        "output_words": fit.output_words, "split": fit.split,
    })
}

fn text(checked: &Checked, problems: &[&(dyn Diagnostic + 'static)]) -> String {
    let mut text = format!(
        "network `{}`, {:.16}\n",
        cell(&checked.network),
        checked.network_hash
    );
    for (what, side) in [("input", &checked.inputs), ("output", &checked.outputs)] {
        for tensor in side {
            let Boundary {
                name,
                shape,
                host_type,
                quant,
            } = tensor;
            let name = cell(name);
            let _ = write!(text, "{what} `{name}`: {host_type} {shape:?}");
            if let Some(Quant { scale, zero_point }) = quant {
                let _ = write!(text, ", scale {scale}, zero point {zero_point}");
            }
            text.push('\n');
        }
    }
    if !checked.layers.is_empty() {
        let _ = write!(text, "\n{}", table(checked));
        let n_layers = count(checked.layers.len() as u64, "layer");
        let _ = writeln!(
            text,
            "\n{n_layers}, {} MACs, {} B of weights",
            thousands(checked.macs),
            thousands(checked.weight_bytes)
        );
        text += &checked.rounding.text();
    } else if let Some(operators) = checked.operators.as_object() {
        let list = operators
            .iter()
            .map(|(name, n)| format!("{n} {}", cell(name)))
            .collect::<Vec<_>>();
        let _ = writeln!(text, "operators: {}", list.join(", "));
    }
    for step in &checked.host_steps {
        let _ = writeln!(text, "left to the host: {}", cell(step));
    }
    match (problems.len() as u64, &checked.arch) {
        (0, None) => {
            text += if checked.supported {
                "supported: every operator\n"
            } else {
                "every operator is known, but no preset is large enough or has all units\n"
            };
            for Preset {
                arch, fits, reason, ..
            } in &checked.presets
            {
                let fits = if *fits { "fits" } else { "does not fit" };
                let colon = if reason.is_empty() { "" } else { ": " };
                let _ = writeln!(text, "  arch `{arch}`: {fits}{colon}{reason}");
            }
            if !checked.supported {
                text += "`tilewright check --arch` says all that is in the way, and what to change in an arch of your own\n";
            }
        }
        (0, Some(arch)) => {
            text += &format!("supported: every operator, and it fits arch `{arch}`\n")
        }
        (n, _) => {
            let _ = writeln!(text, "\nnot supported: {}", count(n, "problem"));
            let mut helped = None;
            for problem in problems {
                let code = problem
                    .code()
                    .map_or_else(String::new, |code| format!(" [{code}]"));
                let _ = writeln!(text, "  {}{code}", line(&problem.to_string()));
                // A list of what is supported is not said twice in a row.
                let help = problem
                    .help()
                    .map(|help| help.to_string())
                    .filter(|help| helped.as_ref() != Some(help));
                if let Some(help) = help {
                    let _ = writeln!(text, "    help: {}", line(&help));
                    helped = Some(help);
                }
            }
        }
    }
    text
}

fn table(checked: &Checked) -> Table {
    let shape = |shape: &[usize; 3]| format!("{}x{}x{}", shape[0], shape[1], shape[2]);
    let mut table = match checked.arch {
        None => Table::new(["layer", "operator", "input", "output", "MACs", "weights B"]),
        Some(_) => Table::new([
            "layer",
            "operator",
            "input",
            "output",
            "MACs",
            "weights B",
            "weight words",
            "output words",
            "reduction",
        ]),
    };
    for layer in &checked.layers {
        let inputs: Vec<String> = layer.inputs.iter().map(shape).collect();
        let mut cells = vec![
            layer.name.clone(),
            layer.operator.to_owned(),
            inputs.join(" + "),
            shape(&layer.output),
            thousands(layer.macs),
            thousands(layer.weight_bytes),
        ];
        if let Some(fit) = &layer.fit {
            let number = |key: &str| thousands(fit[key].as_u64().unwrap_or(0));
            cells.extend([number("weight_words"), number("output_words")]);
            cells.push(
                if fit["split"] == true {
                    "split"
                } else {
                    "whole"
                }
                .to_owned(),
            );
        }
        table.row(cells);
    }
    table
}

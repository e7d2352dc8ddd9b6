//! `tilewright zoo`: standard networks with seeded weights.

use std::path::PathBuf;

use ir::network::{Network, TensorId};
use serde_json::{Value, json};

use crate::console::{Console, Table, thousands};
use crate::failure::{Failure, Outcome};
use crate::{input, interrupt, output};

/// Write a standard network as int8 ONNX, with seeded weights and calibrated scales
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its name; `--list` shows all
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// List the networks
    #[arg(long, conflicts_with_all = ["name", "output", "ranges"])]
    list: bool,
    /// The ONNX file to write
    #[arg(short, long, value_name = "NET", required_unless_present_any = ["list", "ranges"], value_parser = output::file)]
    output: Option<PathBuf>,
    /// The seed of the weights
    #[arg(long, default_value_t = input::SEED)]
    seed: u64,
    /// Run seeded images through the network, and show how many codes each layer uses and how many saturate
    #[arg(long)]
    ranges: bool,
}

/// Images that ranges are measured on, drawn from another seed than the calibration's.
const RANGE_IMAGES: usize = 8;

pub(crate) fn run(args: &Args, console: &Console) -> Result<Outcome, Failure> {
    let Some(name) = &args.name else {
        return list(console);
    };
    let spinner = console.spinner(&format!("calibrating {name}"));
    let (network, bytes) = onnx::zoo::build(name, args.seed)?;
    spinner.finish_and_clear();
    interrupt::check()?;
    if let Some(path) = &args.output {
        output::write(path, &bytes)?;
    }
    let ranges = if args.ranges {
        Some(ranges(&network, args.seed.wrapping_add(1000), console)?)
    } else {
        None
    };
    let result = json!({
        "network": name, "seed": args.seed, "output": args.output, "bytes": bytes.len(),
        "network_hash": input::hash_of(&bytes), "layers": network.einsums.len(), "macs": network.total_macs(),
        "ranges": ranges,
    });
    console.result("zoo", &result, || {
        let (layers, macs) = (network.einsums.len(), thousands(network.total_macs()));
        let mut text = match &args.output {
            Some(path) => format!(
                "wrote `{}`: {} B, {layers} layers, {macs} MACs, seed {}\n",
                path.display(),
                thousands(bytes.len() as u64),
                args.seed
            ),
            None => format!(
                "`{name}`: {layers} layers, {macs} MACs, seed {}\n",
                args.seed
            ),
        };
        if let Some(ranges) = &ranges {
            text += &format!("\n{}", range_table(ranges));
        }
        text
    })?;
    Ok(Outcome::Good)
}

fn list(console: &Console) -> Result<Outcome, Failure> {
    let entries: Vec<Value> = onnx::zoo::ENTRIES
        .iter()
        .map(|entry| json!({"name": entry.name, "description": entry.description}))
        .collect();
    console.result("zoo", &json!({"networks": entries}), || {
        let mut table = Table::new(["name", "is"]);
        for entry in onnx::zoo::ENTRIES {
            table.row([entry.name.to_owned(), entry.description.to_owned()]);
        }
        table.to_string()
    })?;
    Ok(Outcome::Good)
}

/// For each layer the number of different values of its output, and the share at an end of the range.
fn ranges(network: &Network, seed: u64, console: &Console) -> Result<Vec<Value>, Failure> {
    let images = onnx::zoo::images(
        network.tensor(network.inputs[0]).shape(),
        RANGE_IMAGES,
        seed,
    );
    let bar = console.bar(images.len() as u64, "measuring ranges");
    let mut histograms = vec![[0u64; 256]; network.tensors.len()];
    for image in images {
        interrupt::check()?;
        for (histogram, values) in histograms.iter_mut().zip(network.reference(&[image])?) {
            for value in values {
                histogram[(i16::from(value) + 128) as usize] += 1;
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let of = |id: TensorId| {
        let histogram = &histograms[id.index()];
        let codes = histogram.iter().filter(|n| **n > 0).count();
        let total: u64 = histogram.iter().sum();
        (codes, 100.0 * histogram[255] as f64 / total.max(1) as f64)
    };
    Ok(network
        .einsums
        .iter()
        .map(|einsum| {
            let (codes, high) = of(einsum.output);
            json!({"layer": einsum.name, "codes": codes, "saturated_percent": high})
        })
        .collect())
}

fn range_table(ranges: &[Value]) -> Table {
    let mut table = Table::new(["layer", "codes", "at 127"]);
    for range in ranges {
        let percent = range["saturated_percent"].as_f64().unwrap_or(0.0);
        table.row([
            range["layer"].as_str().unwrap_or("").to_owned(),
            range["codes"].to_string(),
            format!("{percent:.2} %"),
        ]);
    }
    table
}

//! Prints how far the cost model is from the simulator: each layer alone and each network as a whole, for the presets.
//!
//! `bench/model/run` writes it to `bench/model/results.md`.

use std::error::Error;
use std::io::Write;
use std::path::Path;

use explore::alone;
use ir::arch::Arch;
use ir::network::Network;
use mapper::Options;

const NETWORKS: [&str; 6] = [
    "ds_cnn",
    "resnet8",
    "mobilenet_v1_025",
    "resnet18",
    "mobilenet_v2",
    "resnet50",
];

fn main() -> Result<(), Box<dyn Error>> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let digits = examples.join("networks/digits_int8.onnx");
    let mut networks = vec![onnx::import(&digits, &onnx::Options::default())?];
    for name in NETWORKS {
        networks.push(onnx::zoo::build(name, 1)?.0);
    }
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "| network | arch | layers alone | refused | median | worst | modelled | simulated | difference |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|---|")?;
    for network in &networks {
        for name in ["nano", "edge", "both"] {
            let text = std::fs::read_to_string(examples.join(format!("archs/{name}.toml")))?;
            let arch = ir::arch::read(name, &text)?;
            writeln!(out, "{}", row(network, &arch))?;
        }
    }
    Ok(())
}

fn row(network: &Network, arch: &Arch) -> String {
    let options = Options::default();
    let layers = alone::layers(network, arch, &options);
    let refused = layers.iter().filter(|layer| layer.is_err()).count();
    let mut differences: Vec<f64> = layers
        .iter()
        .flatten()
        .map(|cycles| cycles.difference_percent().abs())
        .collect();
    differences.sort_by(f64::total_cmp);
    let worst_cycles = layers
        .iter()
        .flatten()
        .map(|cycles| cycles.modelled.abs_diff(cycles.simulated))
        .max();
    let percent = |at: Option<usize>| match at.and_then(|at| differences.get(at)) {
        Some(difference) => format!("{difference:.2} %"),
        None => "-".to_owned(),
    };
    let n = differences.len();
    let whole = match mapper::compile(network, arch, &options) {
        Ok(compiled) => {
            let cycles = alone::cycles(&compiled, arch, options.memory);
            format!(
                "{} | {} | {:.2} %",
                cycles.modelled,
                cycles.simulated,
                cycles.difference_percent()
            )
        }
        Err(_) => "refused | - | -".to_owned(),
    };
    format!(
        "| {} | {} | {n} | {refused} | {} | {}{} | {whole} |",
        network.name,
        arch.name,
        percent(Some(n / 2)),
        percent(n.checked_sub(1)),
        worst_cycles.map_or(String::new(), |cycles| format!(" ({cycles} cycles)")),
    )
}

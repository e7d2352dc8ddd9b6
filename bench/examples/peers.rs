//! Runs the exact mapper on one problem of `bench/peers`, and prints one JSON object per run:
//! `cargo run --release -p tilewright-bench --example peers -- REQUEST`, with the request of `bench/peers/accelforge/driver.py`.

use std::error::Error;
use std::path::Path;

use ir::workload::Einsum;
use mapper::exact::{Found, Mapped, Model, Objective, StopReason};
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use serde_json::{Value, json};

/// What `bench/peers/run` asks for.
#[derive(Deserialize)]
struct Request {
    arch: String,
    workload: String,
    sizes: std::collections::BTreeMap<String, u64>,
    objectives: Vec<String>,
}

/// AccelForge's model, without reductions on columns that do not sum, which our files of its architectures exclude.
const ACCELFORGE: Model = Model {
    free_first_terms: false,
    ..Model::ACCELFORGE
};

/// The spaces that are searched: AccelForge's, and that with memories entered in any order and tiles of any size.
const SPACES: [(&str, Model); 2] = [
    ("accelforge", ACCELFORGE),
    (
        "wide",
        Model {
            perfect: false,
            ordered: false,
            ..ACCELFORGE
        },
    ),
];

/// A search is repeated until so much CPU time is spent, for a time that the clock can resolve.
const LEAST_CPU_S: f64 = 0.05;

fn main() -> Result<(), Box<dyn Error>> {
    let Some(text) = std::env::args().nth(1) else {
        return Err("usage: peers REQUEST".into());
    };
    let request: Request = serde_json::from_str(&text)?;
    let archs = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/tilewright/archs");
    let file = archs.join(format!("{}.toml", request.arch));
    let tree = ir::tree::read(&file.to_string_lossy(), &std::fs::read_to_string(&file)?)?;
    let einsum = einsum(&request)?;
    let mut start = "cold";
    for name in &request.objectives {
        let objective = match name.as_str() {
            "energy" => Objective::Energy,
            "latency" => Objective::Latency,
            "edp" => Objective::EnergyDelay,
            other => return Err(format!("no objective `{other}`").into()),
        };
        for (space, model) in SPACES {
            let search = || mapper::exact::map(&einsum, &tree, model, objective, &mut |_| false);
            let (first_s, found) = timed(&search)?;
            let mut times_s = vec![first_s];
            while times_s.iter().sum::<f64>() < LEAST_CPU_S {
                times_s.push(timed(&search)?.0);
            }
            times_s.sort_by(f64::total_cmp);
            let mut run = record(&found, times_s[times_s.len() / 2])?;
            run["objective"] = json!(name);
            run["space"] = json!(space);
            run["first_cpu_s"] = json!(first_s);
            run["start"] = json!(start);
            #[expect(clippy::print_stdout, reason = "the run is what this program is for")]
            {
                println!("{run}");
            }
            start = "warm";
        }
    }
    Ok(())
}

/// The problem in this project's own terms; the same as the file in `bench/peers/accelforge/workloads`.
fn einsum(request: &Request) -> Result<Einsum, Box<dyn Error>> {
    let stride = request.sizes.get("stride").copied().unwrap_or(1);
    let equation = match request.workload.as_str() {
        "gemm" => "O[m, n] += I[m, k] * W[k, n]".to_owned(),
        "conv" => format!("O[k, p, q] += I[c, {stride}*p+r, {stride}*q+s] * W[k, c, r, s]"),
        "depthwise" => format!("O[g, p, q] += I[g, {stride}*p+r, {stride}*q+s] * W[g, r, s]"),
        other => return Err(format!("no workload `{other}`").into()),
    };
    let ranks: Vec<String> = request
        .sizes
        .iter()
        .filter(|(name, _)| *name != "stride")
        .map(|(name, size)| format!("{name} = {size}"))
        .collect();
    let text = format!(
        "format = 1\nname = \"peers\"\n[[einsum]]\nname = \"problem\"\nequation = \"{equation}\"\nranks = {{ {} }}\n",
        ranks.join(", ")
    );
    let mut workload = ir::workload::read("request", &text)?;
    Ok(workload.einsums.remove(0))
}

/// CPU seconds of a search, and its result.
fn timed<E: Error + 'static>(
    search: &impl Fn() -> Result<Found, E>,
) -> Result<(f64, Found), Box<dyn Error>> {
    let before = cpu_s();
    let found = search()?;
    Ok((cpu_s() - before, found))
}

/// CPU seconds of this process so far; the machine may be loaded, so that a clock on the wall says little.
fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The most memory this process ever had, in MB.
fn peak_rss_mb() -> Result<f64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line
        .and_then(|line| line.split_whitespace().nth(1))
        .ok_or("no VmHWM")?;
    Ok(kib.parse::<f64>()? / 1024.0)
}

fn record(found: &Found, cpu_s: f64) -> Result<Value, Box<dyn Error>> {
    let Mapped { mapping, cost } = found
        .best
        .as_ref()
        .ok_or("a complete search finds a nest")?;
    let certificate = &found.certificate;
    // Every tensor is 8 bits wide in DRAM, which is memory 0.
    let dram = cost.accesses.iter().filter(|access| access.memory == 0);
    let dram_bits: u64 = dram
        .map(|access| 8 * (access.total.reads + access.total.updates))
        .sum();
    let lines: Vec<String> = mapping.to_string().lines().map(str::to_owned).collect();
    Ok(json!({
        "energy_pj": cost.energy_pj,
        "latency_cycles": cost.cycles,
        "edp_js": cost.energy_pj * 1e-12 * cost.cycles * 1e-9,
        "dram_bits": dram_bits,
        "mapping": lines,
        "certificate": certificate,
        "proven": certificate.stop == StopReason::Exhausted,
        "evaluated": certificate.leaves,
        "cpu_s": cpu_s,
        "peak_rss_mb": peak_rss_mb()?,
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

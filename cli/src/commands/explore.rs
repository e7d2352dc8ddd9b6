//! `tilewright explore`: a grid of archs, mapped and simulated, and its Pareto front.

use std::path::PathBuf;

use explore::{Metrics, Outcome as PointOutcome, Point, Space, front, print};
use ir::arch::{Dataflow, Reduction};
use ir::memory::MemoryModel;
use serde_json::{Value, json};

use crate::console::{Console, count, thousands};
use crate::directives::DirectiveArgs;
use crate::failure::{Failure, Outcome};
use crate::input::{self, NetworkArgs, memory_model};
use crate::{interrupt, output};

/// Map and simulate a network on a grid of archs, and show the Pareto front
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    network: NetworkArgs,
    /// The arch that the grid is around: `nano`, `edge`, `both`, or a file
    #[arg(long, value_name = "ARCH", default_value = "edge")]
    arch: String,
    #[command(flatten)]
    space: SpaceArgs,
    #[command(flatten)]
    directives: DirectiveArgs,
    /// The memory behind the port: `m0`, `m1` or `m2`
    #[arg(long, value_name = "MODEL", default_value = "m1", value_parser = memory_model)]
    memory: MemoryModel,
    /// Also write every point, one JSON object a line; `report --points` reads it
    #[arg(short, long, value_name = "FILE", value_parser = output::file)]
    output: Option<PathBuf>,
}

/// The grid: a file, or axes; with neither, the standard grid.
#[derive(Debug, clap::Args)]
struct SpaceArgs {
    /// A space file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rows", "cols", "reductions", "dataflows", "banks", "activation_words", "weight_words", "accumulator_pixels"])]
    space: Option<PathBuf>,
    /// Values of `array.rows`, such as `8,16`
    #[arg(long, value_delimiter = ',', value_name = "N,..")]
    rows: Vec<u32>,
    /// Values of `array.cols`
    #[arg(long, value_delimiter = ',', value_name = "N,..")]
    cols: Vec<u32>,
    /// Values of `array.reduction`
    #[arg(long = "reduction", value_delimiter = ',', value_name = "REDUCTION,..")]
    reductions: Vec<ReductionArg>,
    /// Values of `array.dataflows`
    #[arg(long, value_delimiter = ',', value_name = "DATAFLOW,..")]
    dataflows: Vec<DataflowArg>,
    /// Values of `activations.banks`
    #[arg(long, value_delimiter = ',', value_name = "N,..")]
    banks: Vec<u32>,
    /// Values of `activations.words`
    #[arg(long, value_delimiter = ',', value_name = "N,..")]
    activation_words: Vec<u32>,
    /// Values of `weights.words`
    #[arg(long, value_delimiter = ',', value_name = "N,..")]
    weight_words: Vec<u32>,
    /// Values of `accumulators.pixels`
    #[arg(long, value_delimiter = ',', value_name = "N,..")]
    accumulator_pixels: Vec<u32>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ReductionArg {
    /// Partial sums hop from row to row
    Systolic,
    /// An adder tree
    Dot,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum DataflowArg {
    /// Weight-stationary
    Ws,
    /// Output-stationary
    Os,
    /// Both in one design
    Both,
}

/// Space files above this size are no space files.
const SPACE_BYTES: u64 = 1 << 20;

impl SpaceArgs {
    fn space(&self) -> Result<Space, Failure> {
        if let Some(path) = &self.space {
            return Ok(Space::read(
                &path.display().to_string(),
                &input::text(path, SPACE_BYTES)?,
            )?);
        }
        let reduction = |arg: &ReductionArg| match arg {
            ReductionArg::Systolic => Reduction::Systolic,
            ReductionArg::Dot => Reduction::Dot,
        };
        let dataflows = |arg: &DataflowArg| match arg {
            DataflowArg::Ws => vec![Dataflow::WeightStationary],
            DataflowArg::Os => vec![Dataflow::OutputStationary],
            DataflowArg::Both => vec![Dataflow::WeightStationary, Dataflow::OutputStationary],
        };
        let space = Space {
            format: explore::space::FORMAT,
            name: "command line".to_owned(),
            rows: self.rows.clone(),
            cols: self.cols.clone(),
            reduction: self.reductions.iter().map(reduction).collect(),
            dataflows: self.dataflows.iter().map(dataflows).collect(),
            activation_banks: self.banks.clone(),
            activation_words: self.activation_words.clone(),
            weight_words: self.weight_words.clone(),
            accumulator_pixels: self.accumulator_pixels.clone(),
        };
        if space.len() > explore::space::LIMIT {
            return Err(explore::SpaceError::Size {
                points: space.len(),
            })
            .map_err(|error| Box::new(error).into());
        }
        Ok(if space.is_base() {
            Space::standard()
        } else {
            space
        })
    }
}

pub(crate) fn run(args: &Args, console: &Console) -> Result<Outcome, Failure> {
    if let Some(path) = &args.output {
        output::probe(path)?;
    }
    let base = input::arch(&args.arch)?;
    let space = args.space.space()?;
    let loaded = args.network.load()?;
    let directed = args.directives.read(&loaded.network, console)?;
    // A point that is under way ends before the points so far are saved.
    interrupt::allow(60);
    let bar = console.bar(
        space.len() as u64,
        &format!("exploring {} points", space.len()),
    );
    let options = explore::Options {
        memory: args.memory,
        directives: directed.directives,
    };
    let points = explore::run(
        &space,
        &loaded.network,
        &base,
        &options,
        &|progress| bar.set_position(progress.done as u64),
        &interrupt::requested,
    );
    bar.finish_and_clear();
    if points
        .iter()
        .all(|point| matches!(point.outcome, PointOutcome::Illegal { .. }))
    {
        let reasons = print::rejected(&points).into_iter();
        let reasons = reasons.map(|(_, reason, _)| reason).collect::<Vec<_>>();
        let reasons = reasons.join("; ");
        return Err(Box::new(explore::SpaceError::Illegal { reasons }).into());
    }
    if let Some(path) = &args.output {
        let subject = print::Subject {
            network_hash: loaded.hash.clone(),
            memory: args.memory.name().to_owned(),
        };
        output::write(path, print::to_jsonl(&subject, &points))?;
        if interrupt::requested() {
            let reached = points
                .iter()
                .filter(|point| !matches!(point.outcome, PointOutcome::NotReached))
                .count();
            console.note(&format!(
                "saved {reached} of {} points to `{}`",
                points.len(),
                path.display()
            ));
        }
    }
    interrupt::check()?;
    let front = front(&points);
    let result = json!({
        "network": loaded.network.name, "network_hash": loaded.hash, "arch": base.name, "space": space,
        "memory": args.memory.name(), "points": points.len(),
        "front": front.iter().map(|&index| &points[index]).collect::<Vec<_>>(),
        "rejected": rejected(&points), "directives": directed.json, "output": args.output,
    });
    console.result("explore", &result, || {
        let n = thousands(points.len() as u64);
        let of = count(points.len() as u64, "point").replace(&n, "").trim().to_owned();
        format!(
            "network `{}`, {n} {of} around arch `{}`, memory {} (all numbers simulated in timing mode)\n\n{}",
            ir::text::cell(&loaded.network.name),
            base.name,
            args.memory.name(),
            print::table(&points)
        )
    })?;
    let runs = |point: &Point| point.metrics().is_some();
    Ok(Outcome::good_if(points.iter().any(runs)))
}

fn rejected(points: &[Point]) -> Vec<Value> {
    print::rejected(points)
        .into_iter()
        .map(|(kind, reason, n)| json!({"kind": kind, "reason": reason, "points": n}))
        .collect()
}

/// Points as the report states them.
pub(crate) fn for_report(space: &str, points: &[Point]) -> bench::report::Exploration {
    let front = front(points);
    let design = |(index, point): (usize, &Point)| {
        let Metrics {
            cycles,
            utilisation,
            multipliers,
            memory_bits,
            traffic_bytes,
            ..
        } = *point.metrics()?;
        let on_front = front.contains(&index);
        Some(bench::report::ExploredDesign {
            name: point.name.clone(),
            cycles,
            utilisation,
            multipliers,
            memory_bits,
            traffic_bytes,
            on_front,
        })
    };
    let rejected = print::rejected(points).into_iter();
    bench::report::Exploration {
        space: space.to_owned(),
        points_in_space: points.len() as u64,
        designs: points.iter().enumerate().filter_map(design).collect(),
        rejected: rejected
            .map(|(kind, reason, n)| bench::report::Rejected {
                reason: format!("{kind}: {reason}"),
                points: n as u64,
            })
            .collect(),
    }
}

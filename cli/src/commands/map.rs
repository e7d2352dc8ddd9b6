//! `tilewright map`: the best mapping of each layer, with its cost and what the search proves.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::PathBuf;

use explore::alone;
use ir::arch::Arch;
use ir::memory::MemoryModel;
use ir::network::Network;
use mapper::explain::{Alternative, Explanation};
use mapper::{Compiled, Hooks, LayerReport, MapError, Objective, Proof};
use serde::Serialize;
use serde_json::{Value, json};

use super::map_tree;
use crate::cache::CacheArgs;
use crate::console::{Console, thousands};
use crate::directives::{Directed, DirectiveArgs};
use crate::failure::{Failure, Outcome};
use crate::input::{self, NetworkArgs, memory_model};
use crate::limits::LimitArgs;
use crate::output;
use crate::rounding::Rounding;

/// Find the best mapping of each layer, with its cost and a certificate
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    mapping: MappingArgs,
    /// Say for each layer what binds its mapping, what the next best would cost, and which limit stands before a better
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    tree: map_tree::TreeArgs,
    /// Also write the loop nests to a schedule file
    #[arg(short, long, value_name = "FILE", value_parser = output::file)]
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
    pub(crate) objective: ObjectiveArg,
    #[command(flatten)]
    directives: DirectiveArgs,
    /// The memory behind the port that the cost model assumes: `m0`, `m1` or `m2`; `m1` unless given
    #[arg(long, value_name = "MODEL", value_parser = memory_model)]
    memory: Option<MemoryModel>,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    cache: CacheArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum ObjectiveArg {
    /// Cycles, then traffic
    Cycles,
    /// Words moved between memory and chip, then cycles
    Traffic,
    /// Energy, then cycles; on trees only
    Energy,
    /// Energy times cycles; on trees only
    EnergyDelay,
}

impl MappingArgs {
    fn options(&self) -> mapper::Options {
        let objective = match self.objective {
            ObjectiveArg::Traffic => Objective::Traffic,
            _ => Objective::Cycles,
        };
        mapper::Options {
            objective,
            memory: self.memory(),
            ..mapper::Options::default()
        }
    }

    /// The directives, for a network.
    pub(crate) fn directed(
        &self,
        network: &Network,
        console: &Console,
    ) -> Result<Directed, Failure> {
        self.directives.read(network, console)
    }

    pub(crate) fn memory(&self) -> MemoryModel {
        self.memory.unwrap_or(MemoryModel::M1)
    }

    pub(crate) fn arch(&self) -> Result<Arch, Failure> {
        if matches!(
            self.objective,
            ObjectiveArg::Energy | ObjectiveArg::EnergyDelay
        ) {
            let help = "use `--objective cycles` or `traffic`, or map to a tree (`examples/trees`)";
            return Err(Failure::usage(
                "archs of the template family have no energy model".to_owned(),
                help,
            ));
        }
        input::arch(&self.arch)
    }

    /// Maps and lowers the network.
    pub(crate) fn compile(
        &self,
        network: &Network,
        arch: &Arch,
        keep_all: bool,
        directed: &Directed,
        console: &Console,
    ) -> Result<Compiled, Failure> {
        let options = mapper::Options {
            keep_all,
            directives: directed.directives.clone(),
            ..self.options()
        };
        compile(network, arch, &options, self, console)
    }
}

/// Maps and lowers the network, with a progress bar, until it is done, a limit is reached or the user has enough.
fn compile(
    network: &Network,
    arch: &Arch,
    options: &mapper::Options,
    MappingArgs { limits, cache, .. }: &MappingArgs,
    console: &Console,
) -> Result<Compiled, Failure> {
    let bar = console.bar(
        network.einsums.len() as u64,
        &format!("mapping {} to {}", network.name, arch.name),
    );
    let cache = cache.open(console);
    let budget = limits.start();
    let hooks = Hooks {
        cache: &*cache,
        progress: &|progress| bar.set_position(progress.done as u64),
        stop: &|| budget.is_spent(),
    };
    let compiled = mapper::compile_with(network, arch, options, &hooks);
    bar.finish_and_clear();
    match compiled {
        Err(MapError::Stopped) => Err(budget.nothing_found()),
        compiled => Ok(compiled?),
    }
}

#[derive(Serialize)]
struct Mapped<'a> {
    network: &'a str,
    network_hash: String,
    arch: &'a str,
    arch_hash: String,
    /// Cycles of one run, by the cost model.
    modelled_cycles: u64,
    /// Cycles of one run, by the simulator.
    simulated_cycles: u64,
    instructions: usize,
    memory_words: u32,
    directives: Value,
    rounding: Rounding,
    /// What is proven of where activations lie; none if nothing is.
    residency: Option<Value>,
    /// The layers of each run that goes depth first.
    depth_first: Vec<Vec<&'a str>>,
    layers: Vec<Value>,
}

/// An option that the other kind of `--arch` has.
fn no_effect(option: &str, here: &str, there: &str) -> Failure {
    Failure::usage(
        format!("`{option}` has no effect on {here}"),
        format!("leave `{option}` out, or give `--arch` {there}, which takes it"),
    )
}

impl Args {
    /// Refuses options that only archs have.
    fn takes_tree(&self) -> Result<(), Failure> {
        let given = [
            (self.explain, "--explain"),
            (self.mapping.directives.is_given(), "--directives or --pin"),
            (self.mapping.memory.is_some(), "--memory"),
        ];
        match given.iter().find(|(is_given, _)| *is_given) {
            Some((_, option)) => Err(no_effect(
                option,
                "a tree",
                "an arch of the template family (`nano`, `edge`, `both` or a file)",
            )),
            None => Ok(()),
        }
    }
}

pub(crate) fn run(args: &Args, console: &Console) -> Result<Outcome, Failure> {
    let mut ignored = Vec::new();
    if let Some(tree) = input::tree(&args.mapping.arch, &mut ignored)? {
        args.takes_tree()?;
        let search = map_tree::Search {
            objective: args.mapping.objective,
            args: &args.tree,
            limits: &args.mapping.limits,
            cache: &args.mapping.cache,
            file: args.output.as_deref(),
        };
        return map_tree::run(&args.network, &tree, ignored, &search, console);
    }
    let arch = args.mapping.arch()?;
    if let Some(option) = args.tree.given() {
        return Err(no_effect(option, "an arch", "a tree"));
    }
    let loaded = args.network.load()?;
    let directed = args.mapping.directed(&loaded.network, console)?;
    let options = mapper::Options {
        directives: directed.directives,
        explain: args.explain,
        ..args.mapping.options()
    };
    let compiled = compile(&loaded.network, &arch, &options, &args.mapping, console)?;
    if let Some(path) = &args.output {
        output::write(path, compiled.schedule.to_string())?;
    }
    let memory = args.mapping.memory();
    let whole = alone::cycles(&compiled, &arch, memory);
    // Each layer is compiled once more for it.
    let layers_alone = if console.is_json() {
        let options = mapper::Options {
            memory,
            ..mapper::Options::default()
        };
        alone::layers(&loaded.network, &arch, &options)
    } else {
        Vec::new()
    };
    let names = |run: &Range<usize>| {
        let layers = compiled.layers[run.clone()].iter();
        layers.map(|layer| layer.name.as_str()).collect()
    };
    let mapped = Mapped {
        network: &loaded.network.name,
        network_hash: loaded.hash.clone(),
        arch: &arch.name,
        arch_hash: format!("{:016x}", arch.hash()),
        modelled_cycles: whole.modelled,
        simulated_cycles: whole.simulated,
        instructions: compiled.program.instructions.len(),
        memory_words: compiled.program.memory_words,
        directives: directed.json,
        rounding: Rounding::of(&loaded.network)?,
        residency: compiled.residency.as_ref().map(residency_json),
        depth_first: compiled.depth_first.iter().map(names).collect(),
        layers: compiled
            .layers
            .iter()
            .zip(&compiled.schedule.mappings)
            .zip(&layers_alone)
            .map(|((layer, mapping), alone)| layer_json(layer, &mapping.to_string(), alone))
            .collect(),
    };
    console.result("map", &mapped, || text(&mapped, &compiled, &arch))?;
    Ok(Outcome::Good)
}

fn residency_json(proof: &Proof) -> Value {
    json!({
        "plans": proof.plans, "states": proof.states, "parts": proof.parts, "costed": proof.costed, "runs": proof.runs,
        "pruned": proof.pruned(), "objective": proof.objective, "best": proof.best, "gap_per_mille": 0,
        "taken": proof.taken,
    })
}

fn layer_json(
    layer: &LayerReport,
    loop_nest: &str,
    alone: &Result<alone::Cycles, String>,
) -> Value {
    let cost = layer.cost;
    let cost = json!({
        "cycles": cost.cycles, "exec": cost.exec, "vec": cost.vec, "load": cost.load, "store": cost.store,
        "fetch": cost.fetch, "traffic_words": cost.traffic_words, "instructions": cost.instructions,
    });
    let mut json = json!({
        "name": layer.name, "operator": layer.kind, "macs": layer.macs, "instructions": layer.instructions,
        "modelled_cost": cost, "certificate": layer.certificate, "loop_nest": loop_nest,
    });
    json["alone"] = match alone {
        Ok(cycles) => json!({
            "modelled_cycles": cycles.modelled, "simulated_cycles": cycles.simulated,
            "difference_percent": cycles.difference_percent(),
        }),
        Err(reason) => json!({ "refused": reason }),
    };
    if let Some(explanation) = &layer.explanation {
        json["explanation"] = json!(explanation);
    }
    json
}

fn text(mapped: &Mapped, compiled: &Compiled, arch: &Arch) -> String {
    let mut text = format!(
        "network `{}` on arch `{}`\n",
        ir::text::cell(mapped.network),
        mapped.arch
    );
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
        for line in layer.explanation.iter().flat_map(reasons) {
            let _ = writeln!(text, "  # {line}");
        }
    }
    let proven = match &compiled.residency {
        Some(proof) => proof.sentence(),
        None => "nothing is proven, as the space of plans is too large or has none".to_owned(),
    };
    let _ = writeln!(text, "\nresidency: {proven}");
    for run in &mapped.depth_first {
        let _ = writeln!(text, "depth first: {}", ir::text::line(&run.join(", ")));
    }
    text += &mapped.rounding.text();
    let instructions = thousands(mapped.instructions as u64);
    let words = thousands(mapped.memory_words.into());
    let _ = writeln!(
        text,
        "{} cycles an image (modelled), {} (simulated); {instructions} instructions, {words} words of memory",
        thousands(mapped.modelled_cycles),
        thousands(mapped.simulated_cycles)
    );
    text
}

/// An explanation, line by line.
fn reasons(explanation: &Explanation) -> Vec<String> {
    let bound = explanation.bound;
    let mut lines = vec![format!(
        "bound by: {}, busy {} of {} cycles",
        bound.by.name(),
        thousands(bound.cycles),
        thousands(bound.of)
    )];
    if let Some(array) = explanation.array {
        lines.push(format!(
            "array edge: {} of {} steps lost ({} of {} row lanes, {} of {} columns used)",
            thousands(array.edge_cycles()),
            thousands(array.steps),
            array.rows.0,
            array.rows.1,
            array.cols.0,
            array.cols.1
        ));
    }
    if let Some(strips) = explanation.strips {
        lines.push(format!(
            "capacity: strips of {} of {} rows; {} words pass, a bank holds {}",
            strips.rows,
            strips.of,
            thousands(strips.words),
            thousands(strips.bank_words)
        ));
    }
    match &explanation.next_best {
        Some(next) => lines.push(format!("next best: {}", alternative(next))),
        None => lines.push("next best: no other mapping fits".to_owned()),
    }
    for other in explanation
        .others
        .iter()
        .filter(|other| Some(*other) != explanation.next_best.as_ref())
    {
        lines.push(format!("  or: {}", alternative(other)));
    }
    if let Some(blocked) = &explanation.blocked {
        lines.push(format!(
            "capacity: {}; {}",
            alternative(&blocked.alternative),
            blocked.limit
        ));
    }
    lines
}

fn alternative(alternative: &Alternative) -> String {
    let signed = |n: i64| {
        format!(
            "{}{}",
            if n < 0 { "-" } else { "+" },
            thousands(n.unsigned_abs())
        )
    };
    format!(
        "{}: {} cycles, {} words, bound by {}",
        alternative.differs.join(" "),
        signed(alternative.more_cycles),
        signed(alternative.more_words),
        alternative.bound.by.name()
    )
}

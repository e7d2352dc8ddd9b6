//! Network x Arch to Mapspace to Mapping to Program.
//!
//! [`compile`] is the whole way; [`fits`] says beforehand what every layer needs and what stands in the way.
//!
//! - `sums`: what convolution and pooling ask of the array, in one form.
//! - `directives`: what the user decides, checked against each other and the arch.
//! - `plan`: which tensors stay in a bank, and in how many rows at a time the others go through.
//! - `depth_first`: layers that take turns, strip by strip.
//! - `residency`: the best plan of a network, with proof.
//! - [`mapspace`], [`cost`], [`search`]: the mappings of one layer, what they cost, and the best of them.
//! - [`explain`]: why the best is the best.
//! - `layers`, [`cache`]: all layers, equal ones once and different ones in parallel.
//! - `lower`: the operations of all layers, in the order of their meaning, with every memory range they touch.
//! - `order`, `sync`: program order, and the tokens that keep its meaning on engines that run at once.
//! - [`check`]: an independent check of mappings in their text form, `ir::mapping`.
//! - `encode`, `assemble`: instructions, with registers written only when they change, and the program.
//!
//! Deliberately not here: running a program; that is `sim` and `hw`.

#![cfg_attr(
    not(test),
    warn(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss
    )
)]
#![expect(
    clippy::result_large_err,
    reason = "an error ends a compilation, so its size does not matter"
)]

mod assemble;
mod depth_first;
mod directives;
mod encode;
mod error;
mod fits;
mod layers;
mod lower;
mod mapping;
mod op;
mod order;
mod plan;
mod residency;
mod sums;
mod sync;

#[cfg(test)]
extern crate self as mapper;
#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod common;

pub mod cache;
pub mod check;
pub mod cost;
pub mod exact;
pub mod explain;
pub mod mapspace;
pub mod search;

pub use directives::{Idle, idle};
pub use error::{Conflict, Elsewhere, MapError};
pub use fits::{Fits, LayerFit, fits};
use ir::fit::Fit;
pub use residency::Proof;

use std::collections::BTreeMap;
use std::ops::Range;

use ir::arch::Arch;
use ir::directive::{Directive, Placed, Residency, Selector, Setting};
use ir::mapping::{RowMapping, Schedule};
use ir::memory::MemoryModel;
use ir::network::{Network, TensorId};
use ir::op::Kind;
use ir::program::Program;
use serde::{Deserialize, Serialize};

use crate::cache::{Cache, NoCache};
use crate::cost::Cost;
use crate::depth_first::Runs;
use crate::directives::settle;
use crate::explain::Explanation;
use crate::layers::{Context, map_layer, map_layers};
use crate::lower::{Layer, Work};
use crate::mapspace::{Choice, Constants};
use crate::plan::{EinsumPlan, Given, PackedSize};
use crate::search::{Certificate, Found};
use crate::sums::Sums;

/// What is made small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Cycles, then traffic.
    #[default]
    Cycles,
    /// Words moved between memory and chip, then cycles.
    Traffic,
}

/// What the user decides about a compilation.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether every tensor between layers is also stored to memory, so that devices can be compared.
    pub keep_all: bool,
    /// What is made small.
    pub objective: Objective,
    /// Parts of mappings that are given; the search completes the rest.
    pub directives: Vec<Placed>,
    /// The memory that the cost model assumes behind a port.
    pub memory: MemoryModel,
    /// Whether each layer says why its mapping is the best.
    pub explain: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            keep_all: false,
            objective: Objective::Cycles,
            directives: Vec::new(),
            memory: MemoryModel::M1,
            explain: false,
        }
    }
}

/// What surrounds a compilation, without influence on its result.
pub struct Hooks<'a> {
    /// Remembers what was found.
    pub cache: &'a dyn Cache,
    /// Called after each layer, from any thread.
    pub progress: &'a (dyn Fn(Progress) + Sync),
    /// Asked before each layer; once it returns true, the compilation ends with [`MapError::Stopped`].
    pub stop: &'a (dyn Fn() -> bool + Sync),
}

impl Default for Hooks<'_> {
    fn default() -> Self {
        Hooks {
            cache: &NoCache,
            progress: &|_| {},
            stop: &|| false,
        }
    }
}

/// How far a compilation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Layers done.
    pub done: usize,
    /// Layers in all.
    pub layers: usize,
}

/// What compilation knows about one layer.
#[derive(Clone, Debug)]
pub struct LayerReport {
    /// Name of the einsum.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Multiply-accumulates of the network.
    pub macs: u64,
    /// The cost that the model predicts.
    pub cost: Cost,
    /// The mapping that the search chose, for layers on the array.
    pub choice: Option<Choice>,
    /// The next best mappings, closer than the error of the model.
    pub runners_up: Vec<Choice>,
    /// What the search proves, for layers on the array.
    pub certificate: Option<Certificate>,
    /// Why the mapping is the best, for layers on the array, if that was asked for.
    pub explanation: Option<Explanation>,
    /// Instructions of the layer.
    pub instructions: usize,
}

impl LayerReport {
    fn take(&mut self, found: Found) {
        self.cost = found.cost;
        self.choice = Some(found.choice);
        self.runners_up = found.runners_up;
        self.certificate = Some(found.certificate);
    }

    fn found(&self) -> Option<Found> {
        Some(Found {
            choice: self.choice?,
            cost: self.cost,
            certificate: self.certificate.clone()?,
            runners_up: self.runners_up.clone(),
        })
    }

    /// The better of the same layer mapped in two ways.
    fn join(mut self, other: LayerReport, objective: Objective) -> LayerReport {
        if let (Some(mine), Some(theirs)) = (self.found(), other.found()) {
            let best = mine.clone().join(theirs.clone(), objective);
            let loser = if Some(best.choice) == self.choice {
                theirs
            } else {
                self.explanation = other.explanation;
                mine
            };
            if let Some(explanation) = &mut self.explanation {
                explanation.compare_rows(&best, &loser);
            }
            self.take(best);
        }
        self
    }
}

/// A program and what is known about it.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The loop nest of each layer.
    pub schedule: Schedule,
    /// Instructions, constants and layout.
    pub program: Program,
    /// The layers, in order.
    pub layers: Vec<LayerReport>,
    /// The layers that run depth first: each strip goes through all of a range before the next strip.
    pub depth_first: Vec<Range<usize>>,
    /// What the search of the plan proves; none if its space is too large or has no plan.
    pub residency: Option<Proof>,
    cycles: u64,
}

impl Compiled {
    /// The cycles that the cost model predicts for one run.
    pub fn predicted_cycles(&self) -> u64 {
        self.cycles
    }
}

/// Compiles `network` for `arch`.
///
/// The same arguments always give the same program. The program has passed [`Program::check`].
///
/// # Errors
/// The first [`MapError`]; [`fits`] lists all of those that can be known before mapping, [`compiles`] all of them.
pub fn compile(network: &Network, arch: &Arch, options: &Options) -> Result<Compiled, MapError> {
    compile_with(network, arch, options, &Hooks::default())
}

/// Compiles as [`compile`], with the same result, for a caller who waits.
///
/// Layers are mapped in parallel, on the surrounding rayon pool.
///
/// # Errors
/// As [`compile`], and [`MapError::Stopped`] when a hook says so.
pub fn compile_with(
    network: &Network,
    arch: &Arch,
    options: &Options,
    hooks: &Hooks,
) -> Result<Compiled, MapError> {
    let fits = fits(network, arch);
    if let Some(problem) = fits.problems.into_iter().next() {
        return Err(problem);
    }
    in_context(network, arch, options, hooks, best)
}

/// Finds, as [`fits`], everything that keeps `network` from running on `arch`, and what only a program shows: words of
/// memory, semaphores, and fields of instructions.
///
/// There are no problems exactly where [`compile`] succeeds with default options. Where a hook stops it, the only
/// problem is [`MapError::Stopped`].
pub fn compiles(network: &Network, arch: &Arch, hooks: &Hooks) -> Fits {
    let mut fits = fits(network, arch);
    if fits.problems.is_empty() {
        let program = in_context(network, arch, &Options::default(), hooks, |ctx| {
            let (given, mapped) = mapped(ctx)?;
            lowered(ctx, mapped, &|index| given.packed.contains_key(&index))
        });
        fits.problems.extend(program.err());
    }
    fits
}

/// Calls `then` with what all steps of a compilation share.
fn in_context<T>(
    network: &Network,
    arch: &Arch,
    options: &Options,
    hooks: &Hooks,
    then: impl FnOnce(&Context) -> Result<T, MapError>,
) -> Result<T, MapError> {
    let sums: Vec<Option<Sums>> = (0..network.einsums.len())
        .map(|i| sums_of(network, i))
        .collect();
    let taps: Vec<Result<Sums, String>> = (0..network.einsums.len())
        .map(|i| taps_of(network, arch, i))
        .collect();
    let runs = runs_of(network, arch, &sums);
    let settled = &settle(network, arch, &options.directives, &taps, &runs)?;
    let ctx = Context {
        network,
        arch,
        options,
        hooks,
        settled,
        sums: &sums,
        taps: &taps,
        runs: &runs,
    };
    then(&ctx)
}

/// Plans all einsums and maps them.
fn mapped(ctx: &Context) -> Result<(plan::Given, residency::Mapped), MapError> {
    let (plans, given, known) = plan_rows(ctx)?;
    let packs = |index: usize| given.packed.contains_key(&index);
    let layers = map_layers(ctx, &plans, &packs, &known)?;
    Ok((given, (plans, layers)))
}

/// The best program that the search finds.
fn best(ctx: &Context) -> Result<Compiled, MapError> {
    let (given, mapped) = mapped(ctx)?;
    let packs = |index: usize| given.packed.contains_key(&index);
    let searched = residency::search(ctx, &given, &mapped)?;
    let first = lowered(ctx, mapped, &packs)?;
    let Some((found, proof)) = searched else {
        return Ok(first);
    };
    let key = |compiled: &Compiled| {
        let words: u64 = compiled.layers.iter().map(|l| l.cost.traffic_words).sum();
        match ctx.options.objective {
            Objective::Cycles => (compiled.cycles, words),
            Objective::Traffic => (words, compiled.cycles),
        }
    };
    // The search adds up parts; a program overlaps them, and needs room for what spills. So the best plan without
    // depth-first runs has its chance, and the plan that takes what fits.
    let mut best = Compiled {
        residency: Some(proof),
        ..first
    };
    for (at, mapped) in found.into_iter().enumerate().rev() {
        match lowered(ctx, mapped, &packs) {
            Err(error @ MapError::Check(_)) => return Err(error),
            Ok(other) if key(&other) <= key(&best) => {
                let taken = at == 0;
                let residency = Some(Proof { taken, ..proof });
                best = Compiled { residency, ..other };
            }
            _ => {}
        }
    }
    Ok(best)
}

/// Lowers all einsums with their plans and mappings.
fn lowered(
    ctx: &Context,
    (plans, mut layers): residency::Mapped,
    packs: &dyn Fn(usize) -> bool,
) -> Result<Compiled, MapError> {
    let (network, arch, options) = (ctx.network, ctx.arch, ctx.options);
    let mut work = Vec::new();
    let mut mappings = Vec::new();
    for (index, (plan, layer)) in plans.iter().zip(&layers).enumerate() {
        let (one, mapping) = match (ctx.sums(index, packs(index)), layer.choice) {
            (Some(sums), Some(choice)) => {
                let mapspace = ctx.mapspace(index, sums, plan);
                let mapping = mapping::sums(&layer.name, arch, plan, &mapspace, &choice);
                (Work::Sums(sums, choice), mapping)
            }
            _ => (Work::Vector, mapping::vector(network, arch, plan, index)),
        };
        work.push(one);
        mappings.push(mapping);
    }
    let work = plans.iter().zip(work).enumerate();
    let lowering: Vec<Layer> = work
        .map(|(index, (plan, work))| Layer { index, plan, work })
        .collect();
    let mut depth_first = lower::runs(network, &lowering);
    depth_first.retain(|run| run.len() > 1);
    // Constant tensors come first: their values follow those of the other constants.
    let constants = network.constants.iter().map(|constant| constant.tensor);
    let first: Vec<TensorId> = constants.chain(network.inputs.iter().copied()).collect();
    let lowered = lower::lower(network, arch, &first, &lowering);
    let program = assemble::program(network, arch, lowered)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        layer.instructions = program
            .layer_of
            .iter()
            .filter(|l| **l as usize == index)
            .count();
    }
    program.check(arch).map_err(MapError::Check)?;
    let schedule = Schedule {
        network: network.name.clone(),
        arch: arch.name.clone(),
        mappings,
    };
    let cycles = cost::timeline(&program.instructions, arch, options.memory).cycles;
    Ok(Compiled {
        schedule,
        program,
        layers,
        depth_first,
        residency: None,
        cycles,
    })
}

/// Compiles, then tries each layer's runners-up with `cost`, such as the cycles of a simulation, and keeps what is less.
///
/// # Errors
/// As [`compile`]; a runner-up that does not compile is left out.
pub fn compile_ranked(
    network: &Network,
    arch: &Arch,
    options: &Options,
    cost: &mut dyn FnMut(&Program) -> u64,
) -> Result<Compiled, MapError> {
    let mut best = compile(network, arch, options)?;
    let mut best_cost = cost(&best.program);
    let mut options = options.clone();
    for index in 0..best.layers.len() {
        for choice in best.layers[index].runners_up.clone() {
            let directive = exactly(&best.layers[index].name, &choice);
            options.directives.push(directive);
            match compile(network, arch, &options)
                .map(|compiled| (cost(&compiled.program), compiled))
            {
                Ok((cycles, compiled)) if cycles < best_cost => {
                    (best_cost, best) = (cycles, compiled);
                    break;
                }
                _ => drop(options.directives.pop()),
            }
        }
    }
    Ok(best)
}

/// The directive that decides everything about the mapping of one einsum.
pub fn exactly(einsum: &str, choice: &Choice) -> Placed {
    let directive = Directive {
        selectors: vec![Selector::Name(einsum.to_owned())],
        settings: vec![
            Setting::Rows(choice.rows),
            Setting::Dataflow(choice.dataflow),
            Setting::Order(choice.order),
            Setting::TileRows(choice.tile_rows),
            Setting::TileCols(choice.tile_cols),
            Setting::GroupTiles(choice.group_tiles),
        ],
    };
    Placed::of(directive, "runner-up")
}

/// The einsums that can run depth first.
fn runs_of(network: &Network, arch: &Arch, sums: &[Option<Sums>]) -> Runs {
    depth_first::runs(network, arch, &|index| match &sums[index] {
        // In groups of one tile they take the most.
        Some(sums) => Constants::new(sums, arch, 1),
        None => Some(Constants::default()),
    })
}

/// The sums of an einsum that runs on the array.
pub(crate) fn sums_of(network: &Network, index: usize) -> Option<Sums<'_>> {
    let einsum = &network.einsums[index];
    let (input, output) = (
        network.tensor(einsum.inputs[0]),
        network.tensor(einsum.output),
    );
    let sums = match &einsum.kind {
        Kind::Conv(op) => Sums::conv(op, input, output),
        Kind::AveragePool(op) => Sums::average_pool(op, input, output),
        Kind::Select(op) => return Sums::select(op, input, output),
        Kind::MaxPool(_)
        | Kind::Add(_)
        | Kind::Concat(_)
        | Kind::Table(_)
        | Kind::Mul(_)
        | Kind::ConvAdd(_) => return None,
    };
    Some(sums.expect("a valid network has scales that the parameter word holds"))
}

/// The same with the row mapping `taps`: a convolution of an image that nothing else reads. Otherwise the reason.
fn taps_of<'a>(network: &'a Network, arch: &Arch, index: usize) -> Result<Sums<'a>, String> {
    let einsum = &network.einsums[index];
    let Kind::Conv(op) = &einsum.kind else {
        return Err("it is no convolution".to_owned());
    };
    let input = einsum.inputs[0];
    let tensor = network.tensor(input);
    if !network.inputs.contains(&input) || network.outputs.contains(&input) {
        return Err(format!(
            "`{}` does not come from the host alone",
            tensor.name
        ));
    }
    if network.consumers(input).count() != 1 {
        return Err(format!("`{}` has other readers", tensor.name));
    }
    let sums = Sums::conv_taps(op, tensor, network.tensor(einsum.output), arch)
        .expect("a valid network has scales that the parameter word holds")?;
    if mapspace::is_whole(&sums, arch) {
        Ok(sums)
    } else {
        Err(format!(
            "one column tile's weights exceed the {} words of arch `{}`",
            arch.weights.words, arch.name
        ))
    }
}

/// The plans of all einsums, which of them pack taps, and the layers that are mapped already.
type Planned = (Vec<EinsumPlan>, Given, BTreeMap<usize, LayerReport>);

/// Plans all einsums and decides which of them pack taps.
///
/// A layer packs taps if that is better for itself and no other tensor is reached less directly, or if it is given.
fn plan_rows(ctx: &Context) -> Result<Planned, MapError> {
    let (network, arch, keep_all) = (ctx.network, ctx.arch, ctx.options.keep_all);
    let size = |index: usize| {
        let sums = ctx.sums(index, true).expect("it can pack taps");
        let image = sums.taps.as_ref().expect("it packs taps");
        PackedSize {
            image_words: image.image_words(arch),
            row_words: sums.input.channels.fit::<u32>() / arch.array.rows
                * sums.input.width.fit::<u32>(),
        }
    };
    let mut given = ctx.settled.given(network, &size);
    let plan = |given: &Given| plan::plan(network, arch, keep_all, ctx.runs, given);
    let mut plans = plan(&given).map_err(|error| {
        let plan = |given: &Given| plan(given).map(drop);
        ctx.settled.no_plan(network, error, &size, &plan)
    })?;
    let mut found: BTreeMap<usize, LayerReport> = BTreeMap::new();
    for index in 0..network.einsums.len() {
        let image = network.einsums[index].inputs[0];
        let is_open = ctx.settled.rows(index).is_none()
            && given.residency.get(&image) != Some(&Residency::Spills);
        if ctx.taps[index].is_err() || !is_open {
            continue;
        }
        let mut more = given.clone();
        more.packed.insert(index, size(index));
        let Ok(trial) = plan(&more) else {
            continue;
        };
        let pairs = || trial.iter().zip(&plans).enumerate();
        let fits = pairs().all(|(i, (new, old))| {
            if i == index {
                new.output_as_good_as(old)
            } else {
                // What was mapped before must still be right.
                new.as_good_as(old) && (!found.contains_key(&i) || old.as_good_as(new))
            }
        });
        if !fits {
            continue;
        }
        let one = |packs, plan| map_layer(ctx, index, ctx.sums(index, packs), plan);
        let layer = match (one(true, &trial[index]), one(false, &plans[index])) {
            (Ok(packing), Ok(plain)) => packing.join(plain, ctx.options.objective),
            (Ok(packing), Err(_)) => packing,
            (Err(_), _) => continue,
        };
        if layer.choice.is_some_and(|c| c.rows == RowMapping::Taps) {
            (given, plans) = (more, trial);
        }
        found.insert(index, layer);
    }
    Ok((plans, given, found))
}

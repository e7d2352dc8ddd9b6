//! The mapping of every layer: equal layers once, different ones in parallel, always with the same result.

use ir::fit::Fit;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use ir::arch::Arch;
use ir::network::{EinsumId, Network, TensorId};
use rayon::prelude::*;

use crate::cache;
use crate::cost::{Boundary, Cost, Recurrence};
use crate::depth_first::Runs;
use crate::directives::Settled;
use crate::explain::{Strips, explain};
use crate::mapspace::Mapspace;
use crate::plan::{self, EinsumPlan, operand_rows, row_words};
use crate::search::{BestFirst, Found, Problem, Search};
use crate::sums::Sums;
use crate::{Hooks, LayerReport, MapError, Options, Progress};

/// What a compilation works on.
pub(crate) struct Context<'a> {
    pub(crate) network: &'a Network,
    pub(crate) arch: &'a Arch,
    pub(crate) options: &'a Options,
    pub(crate) hooks: &'a Hooks<'a>,
    pub(crate) settled: &'a Settled,
    /// The sums of each einsum that runs on the array.
    pub(crate) sums: &'a [Option<Sums<'a>>],
    /// The same with packed taps, or why not.
    pub(crate) taps: &'a [Result<Sums<'a>, String>],
    /// The einsums that can run depth first.
    pub(crate) runs: &'a Runs,
}

impl<'a> Context<'a> {
    /// The sums of an einsum, with packed taps or not.
    pub(crate) fn sums(&self, index: usize, packs: bool) -> Option<&'a Sums<'a>> {
        if packs {
            self.taps[index].as_ref().ok()
        } else {
            self.sums[index].as_ref()
        }
    }

    pub(crate) fn mapspace(
        &self,
        index: usize,
        sums: &'a Sums<'a>,
        plan: &EinsumPlan,
    ) -> Mapspace<'a> {
        let passes = |access: &plan::Access| matches!(access, plan::Access::Passes { .. });
        let in_order = matches!(plan.output, plan::Access::Strips(_))
            || plan.inputs.iter().chain([&plan.output]).any(passes);
        let decided = self.settled.decided(index);
        Mapspace::new(sums, self.arch, plan.strips, in_order, decided)
    }

    /// The model of the cost of one einsum.
    pub(crate) fn model(&self, index: usize, plan: &'a EinsumPlan) -> Recurrence<'a> {
        Recurrence {
            network: self.network,
            arch: self.arch,
            memory: self.options.memory,
            index,
            plan,
        }
    }
}

/// Maps all layers that `known` lacks. Layers that differ in nothing but constants are searched once.
pub(crate) fn map_layers(
    ctx: &Context,
    plans: &[EinsumPlan],
    packs: &dyn Fn(usize) -> bool,
    known: &BTreeMap<usize, LayerReport>,
) -> Result<Vec<LayerReport>, MapError> {
    let n_layers = plans.len();
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    let mut same_as: Vec<usize> = (0..n_layers).collect();
    for (index, plan) in plans.iter().enumerate() {
        let sums = ctx.sums(index, packs(index));
        if let Some(sums) = sums.filter(|_| !known.contains_key(&index)) {
            let problem = statement(ctx, index, sums, plan);
            same_as[index] = *first.entry(problem).or_insert(index);
        }
    }
    let distinct: Vec<(usize, bool)> = (0..n_layers)
        .filter(|index| same_as[*index] == *index)
        .map(|index| (index, packs(index)))
        .collect();
    let done = AtomicUsize::new(n_layers - distinct.len());
    let one = |(index, packs): (usize, bool)| {
        if (ctx.hooks.stop)() {
            return Err(MapError::Stopped);
        }
        let layer = match known.get(&index) {
            Some(layer) => Ok(layer.clone()),
            None => map_layer(ctx, index, ctx.sums(index, packs), &plans[index]),
        };
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        (ctx.hooks.progress)(Progress {
            done,
            layers: n_layers,
        });
        layer
    };
    let mapped: Vec<Result<LayerReport, MapError>> =
        distinct.par_iter().copied().map(one).collect();
    let mut layers: Vec<Option<LayerReport>> = vec![None; n_layers];
    for ((index, _), layer) in distinct.into_iter().zip(mapped) {
        layers[index] = Some(layer?);
    }
    let named = |index: usize| LayerReport {
        name: ctx.network.einsums[index].name.clone(),
        ..layers[same_as[index]]
            .clone()
            .expect("the first of its kind is mapped")
    };
    Ok((0..n_layers).map(named).collect())
}

/// Everything that the search of one layer depends on.
pub(crate) fn statement(ctx: &Context, index: usize, sums: &Sums, plan: &EinsumPlan) -> String {
    let mapspace = ctx.mapspace(index, sums, plan);
    format!(
        "{} arch {:016x} {:?} {:?} {:?} {:?} {:?} {}",
        BestFirst.name(),
        ctx.arch.hash(),
        ctx.options.memory,
        ctx.options.objective,
        mapspace.decided,
        plan::canonical(std::slice::from_ref(plan), ctx.arch),
        boundary(ctx.network, ctx.arch, index, plan),
        sums.shape(),
    )
}

/// Maps one layer whose sums are given if it runs on the array, and explains its mapping if that is asked for.
pub(crate) fn map_layer(
    ctx: &Context,
    index: usize,
    sums: Option<&Sums>,
    plan: &EinsumPlan,
) -> Result<LayerReport, MapError> {
    let mut layer = search_layer(ctx, index, sums, plan)?;
    explain_layer(ctx, index, sums, plan, &mut layer);
    Ok(layer)
}

/// Maps one layer without an explanation.
pub(crate) fn search_layer(
    ctx: &Context,
    index: usize,
    sums: Option<&Sums>,
    plan: &EinsumPlan,
) -> Result<LayerReport, MapError> {
    let network = ctx.network;
    let einsum = &network.einsums[index];
    let mut layer = LayerReport {
        name: einsum.name.clone(),
        kind: einsum.kind.name(),
        macs: network.macs(EinsumId(index.fit::<u32>())),
        cost: Cost::default(),
        choice: None,
        runners_up: Vec::new(),
        certificate: None,
        explanation: None,
        instructions: 0,
    };
    let model = ctx.model(index, plan);
    let Some(sums) = sums else {
        layer.cost = model.vector()?;
        return Ok(layer);
    };
    let mapspace = ctx.mapspace(index, sums, plan);
    let statement = statement(ctx, index, sums, plan);
    let cached: Option<Found> = cache::get(ctx.hooks.cache, &statement);
    let found = match cached.filter(|found| is_of(&mapspace, found)) {
        Some(found) => found,
        None => {
            let found = BestFirst.find(&problem(ctx, &mapspace, &model));
            let found = found.ok_or_else(|| ctx.settled.no_mapping(network, index, &mapspace))?;
            cache::put(ctx.hooks.cache, &statement, &found);
            found
        }
    };
    layer.take(found);
    Ok(layer)
}

/// Says why the mapping of a layer is the best, if that is asked for and not said yet.
pub(crate) fn explain_layer(
    ctx: &Context,
    index: usize,
    sums: Option<&Sums>,
    plan: &EinsumPlan,
    layer: &mut LayerReport,
) {
    let (Some(sums), Some(found)) = (sums, layer.found()) else {
        return;
    };
    if ctx.options.explain && layer.explanation.is_none() {
        let mapspace = ctx.mapspace(index, sums, plan);
        let model = ctx.model(index, plan);
        let strips = strips_of(ctx.network, ctx.arch, index, plan);
        let problem = problem(ctx, &mapspace, &model);
        layer.explanation = Some(explain(&problem, &found, strips));
    }
}

fn problem<'a>(
    ctx: &Context,
    mapspace: &'a Mapspace<'a>,
    model: &'a Recurrence<'a>,
) -> Problem<'a> {
    Problem {
        mapspace,
        boundary: boundary(ctx.network, ctx.arch, model.index, model.plan),
        model,
        objective: ctx.options.objective,
        macs: ctx.network.macs(EinsumId(model.index.fit::<u32>())),
    }
}

/// The strips of an einsum, if tensors pass in them.
fn strips_of(network: &Network, arch: &Arch, index: usize, plan: &EinsumPlan) -> Option<Strips> {
    let einsum = &network.einsums[index];
    let ids = einsum.inputs.iter().chain([&einsum.output]);
    let accesses = plan.inputs.iter().chain([&plan.output]);
    let passing = ids.zip(accesses).filter(|(_, access)| {
        matches!(
            access,
            plan::Access::Strips(_) | plan::Access::Passes { .. }
        )
    });
    let words = |id: &TensorId| {
        u64::from(row_words(network, arch, *id)) * network.tensor(*id).height as u64
    };
    Some(Strips {
        rows: plan.strips.tallest() as u64,
        of: network.tensor(einsum.output).height as u64,
        words: passing.map(|(id, _)| words(id)).max()?,
        bank_words: arch.activations.words.into(),
    })
}

/// Whether what a cache gives are mappings of this space that fit.
fn is_of(mapspace: &Mapspace, found: &Found) -> bool {
    let choices = mapspace.choices();
    let mut given = found.runners_up.iter().chain([&found.choice]);
    given.all(|choice| choices.contains(choice) && mapspace.infeasible(choice).is_none())
}

/// What a layer moves besides its constants.
fn boundary(network: &Network, arch: &Arch, index: usize, plan: &EinsumPlan) -> Boundary {
    let einsum = &network.einsums[index];
    let strips = plan.strips.ranges();
    let mut boundary = Boundary::default();
    for (&id, access) in einsum.inputs.iter().zip(&plan.inputs) {
        let row = u64::from(row_words(network, arch, id));
        match access {
            plan::Access::Bank(_) | plan::Access::Passes { .. } => {}
            plan::Access::Fetch(area) => {
                boundary.load_words += u64::from(area.words);
            }
            plan::Access::Strips(_) => {
                boundary.load_words += strips
                    .iter()
                    .map(|s| operand_rows(network, index, s).len() as u64 * row)
                    .sum::<u64>();
            }
        }
    }
    if plan.stored {
        boundary.store_words = u64::from(row_words(network, arch, einsum.output))
            * network.tensor(einsum.output).height as u64;
    }
    boundary
}

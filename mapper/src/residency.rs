//! Which tensors stay on chip, and in what strips the others pass: the best way through the network, with proof.
//!
//! A partial plan of the first einsums matters to the rest only by what it leaves in the banks, its `State`. So the
//! plans of a network are the paths of a graph whose nodes are states between einsums and whose edges are plans of one
//! einsum. An edge weighs what its layer costs alone, so that the lightest path is the best plan *in this model and
//! space*. Equal layers with equal plans are costed once.
//!
//! Most edges are never costed: each first weighs the least bound of its mappings. The edges of the lightest path are
//! costed until it has only costed ones; then no path is lighter.
//!
//! What packs taps is decided before and not part of the space, nor is an einsum that loads one operand whole and
//! another in strips.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use crate::cost::{Cost, CostModel};
use crate::layers::{Context, explain_layer, search_layer, statement};
use crate::plan::{self, EinsumPlan, Given, State};
use crate::sums::Sums;
use crate::{LayerReport, MapError, Objective};

/// States after one einsum above which the search gives up.
const MAX_STATES: usize = 400;

/// What the search of a plan proves, in this model and space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Plans of the network, all of which are excluded by the best; `u64::MAX` stands for that and more.
    pub plans: u64,
    /// States of the banks between einsums, in which those plans meet.
    pub states: usize,
    /// Different layers, each with a plan of its own.
    pub layers: usize,
    /// Layers whose cost was needed; their bounds excluded the others.
    pub costed: usize,
    /// What was made small.
    pub objective: Objective,
    /// The sum of what the layers of the best plan cost alone: cycles or words, by the objective.
    pub best: u64,
    /// Whether the best plan is the one that was taken; if not, another has the better program, in which layers overlap.
    pub taken: bool,
}

impl Proof {
    /// Layers that were never costed, as their bounds excluded them.
    pub fn pruned(&self) -> usize {
        self.layers - self.costed
    }

    /// One sentence that says what is proven and where it holds.
    pub fn sentence(&self) -> String {
        let plans = match self.plans {
            u64::MAX => "more than 10^19".to_owned(),
            plans => plans.to_string(),
        };
        let unit = match self.objective {
            Objective::Cycles => "cycles",
            Objective::Traffic => "words",
        };
        let taken = match self.taken {
            true => "",
            false => "; not taken, as another has the better program",
        };
        format!(
            "best of {plans} plans in this model and space: {} {unit} as the sum of layers, gap 0 %; {} of {} layer \
             plans costed{taken}",
            self.best, self.costed, self.layers
        )
    }
}

/// The plan of all einsums, and their layers.
pub(crate) type Mapped = (Vec<EinsumPlan>, Vec<LayerReport>);

/// An edge of the graph.
struct Step {
    to: usize,
    plan: EinsumPlan,
    layer: usize,
}

/// A layer with one plan.
struct Weight {
    index: usize,
    plan: EinsumPlan,
    /// The least bound, until the layer is mapped; none if none of its mappings has a program.
    value: Option<u64>,
    mapped: Option<LayerReport>,
}

/// The steps from each state between two einsums, einsum by einsum.
type Graph = Vec<Vec<Vec<Step>>>;

/// The different layers, by what their search depends on; none where no mapping fits.
#[derive(Default)]
struct Layers {
    weights: Vec<Weight>,
    known: BTreeMap<String, Option<usize>>,
}

/// The best plans of all einsums, as far as they are not given, with the layers mapped; none if the space is too large.
///
/// What is mapped already is not searched again.
pub(crate) fn search(
    ctx: &Context,
    given: &Given,
    mapped: &Mapped,
) -> Result<Option<(Mapped, Proof)>, MapError> {
    let mut layers = Layers::default();
    for (index, (plan, layer)) in mapped.0.iter().zip(&mapped.1).enumerate() {
        let key = key(ctx, given, index, plan);
        if !layers.known.contains_key(&key) {
            let weight = Weight {
                index,
                plan: plan.clone(),
                value: Some(value(ctx, &layer.cost)),
                mapped: Some(layer.clone()),
            };
            layers.insert(key, Some(weight));
        }
    }
    let Some(graph) = graph(ctx, given, &mut layers)? else {
        return Ok(None);
    };
    loop {
        let weights = &mut layers.weights;
        let Some(path) = lightest(&graph, weights) else {
            return Ok(None);
        };
        let used: BTreeSet<usize> = path.iter().map(|step| step.layer).collect();
        let is_open = |layer: &usize| weights[*layer].mapped.is_none();
        let open: Vec<usize> = used.iter().copied().filter(is_open).collect();
        if open.is_empty() {
            let layers = weights.par_iter_mut().enumerate();
            layers
                .filter(|(layer, _)| used.contains(layer))
                .for_each(|(_, weight)| explain(ctx, given, weight));
            return Ok(Some(result(ctx, &graph, &path, weights)));
        }
        let found: Vec<Result<LayerReport, MapError>> = open
            .par_iter()
            .map(|layer| {
                if (ctx.hooks.stop)() {
                    return Err(MapError::Stopped);
                }
                let Weight { index, plan, .. } = &weights[*layer];
                search_layer(ctx, *index, sums(ctx, given, *index), plan)
            })
            .collect();
        for (layer, found) in open.into_iter().zip(found) {
            if let Err(MapError::Stopped) = found {
                return Err(MapError::Stopped);
            }
            let found = found.ok();
            weights[layer].value = found.as_ref().map(|found| value(ctx, &found.cost));
            weights[layer].mapped = found;
        }
    }
}

fn explain(ctx: &Context, given: &Given, weight: &mut Weight) {
    let Weight {
        index,
        plan,
        mapped,
        ..
    } = weight;
    let layer = mapped.as_mut().expect("it is costed");
    explain_layer(ctx, *index, sums(ctx, given, *index), plan, layer);
}

fn result(ctx: &Context, graph: &Graph, path: &[&Step], weights: &[Weight]) -> (Mapped, Proof) {
    let steps = || graph.iter().flatten().flatten();
    let used: BTreeSet<usize> = steps().map(|step| step.layer).collect();
    let is_costed = |layer: &&usize| {
        let weight = &weights[**layer];
        weight.mapped.is_some() || weight.value.is_none()
    };
    let proof = Proof {
        plans: n_paths(graph),
        states: 1 + graph.iter().map(|level| n_ends(level)).sum::<usize>(),
        layers: used.len(),
        costed: used.iter().filter(is_costed).count(),
        objective: ctx.options.objective,
        best: path
            .iter()
            .filter_map(|step| weights[step.layer].value)
            .sum(),
        taken: false,
    };
    let named = |(index, step): (usize, &&Step)| LayerReport {
        name: ctx.network.einsums[index].name.clone(),
        ..weights[step.layer].mapped.clone().expect("it is costed")
    };
    let layers = path.iter().enumerate().map(named).collect();
    let plans = path.iter().map(|step| step.plan.clone()).collect();
    ((plans, layers), proof)
}

/// All states and steps; none if they are too many.
fn graph(ctx: &Context, given: &Given, layers: &mut Layers) -> Result<Option<Graph>, MapError> {
    let mut states = vec![State::empty(ctx.arch)];
    let mut graph = Graph::new();
    for index in 0..ctx.network.einsums.len() {
        if (ctx.hooks.stop)() {
            return Err(MapError::Stopped);
        }
        let keyed: Vec<Vec<(String, EinsumPlan, State)>> = states
            .par_iter()
            .map(|state| {
                let keep_all = ctx.options.keep_all;
                let steps = plan::steps(ctx.network, ctx.arch, keep_all, given, index, state);
                let key = |(plan, state)| (key(ctx, given, index, &plan), plan, state);
                steps.into_iter().map(key).collect()
            })
            .collect();
        let fresh: BTreeMap<&String, &EinsumPlan> = keyed
            .iter()
            .flatten()
            .filter(|(key, ..)| !layers.known.contains_key(key))
            .map(|(key, plan, _)| (key, plan))
            .collect();
        let weighed: Vec<(String, Option<Weight>)> = fresh
            .into_par_iter()
            .map(|(key, plan)| (key.clone(), weigh(ctx, given, index, plan)))
            .collect();
        for (key, weight) in weighed {
            layers.insert(key, weight);
        }
        let mut next: BTreeMap<State, usize> = BTreeMap::new();
        let mut level = Vec::new();
        for steps in keyed {
            let mut edges = Vec::new();
            for (key, plan, state) in steps {
                if let Some(layer) = layers.known[&key] {
                    let fresh = next.len();
                    let to = *next.entry(state).or_insert(fresh);
                    edges.push(Step { to, plan, layer });
                }
            }
            level.push(edges);
        }
        graph.push(level);
        let mut ordered: Vec<(State, usize)> = next.into_iter().collect();
        ordered.sort_by_key(|(_, at)| *at);
        states = ordered.into_iter().map(|(state, _)| state).collect();
        if states.is_empty() || states.len() > MAX_STATES {
            return Ok(None);
        }
    }
    Ok(Some(graph))
}

impl Layers {
    fn insert(&mut self, key: String, weight: Option<Weight>) {
        let id = weight.map(|weight| {
            self.weights.push(weight);
            self.weights.len() - 1
        });
        self.known.insert(key, id);
    }
}

fn sums<'a>(ctx: &Context<'a>, given: &Given, index: usize) -> Option<&'a Sums<'a>> {
    ctx.sums(index, given.packed.contains_key(&index))
}

fn key(ctx: &Context, given: &Given, index: usize, plan: &EinsumPlan) -> String {
    match sums(ctx, given, index) {
        Some(sums) => statement(ctx, index, sums, plan),
        None => format!("{index} {:?}", plan.relative(ctx.arch)),
    }
}

/// A layer with the least bound of its mappings; none if no mapping fits.
fn weigh(ctx: &Context, given: &Given, index: usize, plan: &EinsumPlan) -> Option<Weight> {
    let weight = |value, mapped| Weight {
        index,
        plan: plan.clone(),
        value,
        mapped,
    };
    let Some(sums) = sums(ctx, given, index) else {
        let mapped = search_layer(ctx, index, None, plan).ok()?;
        return Some(weight(Some(value(ctx, &mapped.cost)), Some(mapped)));
    };
    let mapspace = ctx.mapspace(index, sums, plan);
    let model = ctx.model(index, plan);
    let choices = mapspace.choices();
    let fitting = choices
        .iter()
        .filter(|choice| mapspace.infeasible(choice).is_none());
    let bounds = fitting.map(|choice| value(ctx, &model.bound(&mapspace, choice)));
    Some(weight(Some(bounds.min()?), None))
}

fn value(ctx: &Context, cost: &Cost) -> u64 {
    match ctx.options.objective {
        Objective::Cycles => cost.cycles,
        Objective::Traffic => cost.traffic_words,
    }
}

/// The states that the steps of one einsum lead to.
fn n_ends(level: &[Vec<Step>]) -> usize {
    let last = level.iter().flatten().map(|step| step.to).max();
    last.map_or(0, |last| last + 1)
}

fn n_paths(graph: &Graph) -> u64 {
    let mut after: Vec<u64> = Vec::new();
    for (at, level) in graph.iter().enumerate().rev() {
        let rest = |step: &Step| match at + 1 == graph.len() {
            true => 1,
            false => after[step.to],
        };
        let here = |steps: &Vec<Step>| steps.iter().map(rest).fold(0, u64::saturating_add);
        after = level.iter().map(here).collect();
    }
    after[0]
}

/// The lightest path through all einsums.
fn lightest<'a>(graph: &'a Graph, weights: &[Weight]) -> Option<Vec<&'a Step>> {
    // The least weight of a path from each state to the end, and its first step.
    let mut after: Vec<Option<(u64, usize)>> = Vec::new();
    let mut choices: Vec<Vec<Option<(u64, usize)>>> = Vec::new();
    for (at, level) in graph.iter().enumerate().rev() {
        let rest = |to: usize| {
            if at + 1 == graph.len() {
                Some(0)
            } else {
                after[to].map(|(weight, _)| weight)
            }
        };
        let best = |edges: &Vec<Step>| {
            let paths = edges.iter().enumerate().filter_map(|(which, step)| {
                Some((weights[step.layer].value? + rest(step.to)?, which))
            });
            paths.min()
        };
        after = level.iter().map(best).collect();
        choices.push(after.clone());
    }
    choices.reverse();
    let mut state = 0;
    let mut path = Vec::new();
    for (level, choices) in graph.iter().zip(&choices) {
        let (_, which) = choices[state]?;
        let step = &level[state][which];
        path.push(step);
        state = step.to;
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use ir::arch::Arch;
    use ir::network::Network;

    use super::*;
    use crate::common::{Random, random_arch, random_network};
    use crate::directives::settle;
    use crate::{Hooks, Options};

    /// All plans of a network, one by one, with all mappings of their layers.
    struct All<'a> {
        ctx: &'a Context<'a>,
        given: &'a Given,
        /// The least cost of an einsum, by its position and plan.
        costs: BTreeMap<String, Option<Option<u64>>>,
        n_plans: u64,
    }

    impl All<'_> {
        /// The least sum of the einsums from `index` on.
        fn least(&mut self, index: usize, state: &State) -> Option<u64> {
            let ctx = self.ctx;
            if index == ctx.network.einsums.len() {
                self.n_plans += 1;
                return Some(0);
            }
            let keep_all = ctx.options.keep_all;
            let steps = plan::steps(ctx.network, ctx.arch, keep_all, self.given, index, state);
            let sums = steps.into_iter().filter_map(|(plan, next)| {
                let cost = self.cost(index, &plan)?;
                let rest = self.least(index + 1, &next);
                Some(cost? + rest?)
            });
            sums.min()
        }

        /// The least of all mappings; none if none fits, and none in it if none has a program.
        fn cost(&mut self, index: usize, plan: &EinsumPlan) -> Option<Option<u64>> {
            let (ctx, given) = (self.ctx, self.given);
            let all = || {
                let model = ctx.model(index, plan);
                let Some(sums) = sums(ctx, given, index) else {
                    return Some(Some(value(ctx, &model.vector().ok()?)));
                };
                let mapspace = ctx.mapspace(index, sums, plan);
                let choices = mapspace.choices();
                let fitting = || choices.iter().filter(|c| mapspace.infeasible(c).is_none());
                fitting().next()?;
                let costs = fitting().filter_map(|choice| model.cost(&mapspace, choice).ok());
                Some(costs.map(|cost| value(ctx, &cost)).min())
            };
            let key = format!("{index} {plan:?}");
            *self.costs.entry(key).or_insert_with(all)
        }
    }

    /// Compares the search with all plans, if the network fits.
    fn check(network: &Network, arch: &Arch, objective: Objective) -> Option<Proof> {
        let n = network.einsums.len();
        let of_sums: Vec<_> = (0..n).map(|i| crate::sums_of(network, i)).collect();
        let taps: Vec<_> = (0..n).map(|i| crate::taps_of(network, arch, i)).collect();
        let options = Options {
            objective,
            ..Options::default()
        };
        let settled = settle(network, arch, &[], &taps).ok()?;
        let ctx = Context {
            network,
            arch,
            options: &options,
            hooks: &Hooks::default(),
            settled: &settled,
            sums: &of_sums,
            taps: &taps,
        };
        let (plans, given, known) = crate::plan_rows(&ctx).ok()?;
        let packs = |index: usize| given.packed.contains_key(&index);
        let layers = crate::map_layers(&ctx, &plans, &packs, &known).ok()?;
        let searched = search(&ctx, &given, &(plans, layers)).expect("nobody stops it");
        let ((_, layers), proof) = searched?;
        let mut all = All {
            ctx: &ctx,
            given: &given,
            costs: BTreeMap::new(),
            n_plans: 0,
        };
        let least = all.least(0, &State::empty(arch));
        let found: u64 = layers.iter().map(|layer| value(&ctx, &layer.cost)).sum();
        let of = format!("`{}` on {arch:?}", network.name);
        assert_eq!(Some(found), least, "{of}");
        assert_eq!((proof.best, proof.plans), (found, all.n_plans), "{of}");
        Some(proof)
    }

    #[test]
    fn no_plan_is_better_than_the_one_found() {
        let (mut n, mut spills, mut pruned) = (0, 0, 0);
        let mut random = Random(3);
        for seed in 0..120 {
            let network = random_network(seed, 5, true);
            let mut arch = random_arch(random.next());
            arch.activations.words = random.pick(&[32, 64, 128, 256]);
            let objective = random.pick(&[Objective::Cycles, Objective::Traffic]);
            if network.einsums.len() < 3 || !crate::fits(&network, &arch).problems.is_empty() {
                continue;
            }
            if let Some(proof) = check(&network, &arch, objective) {
                n += 1;
                spills += usize::from(proof.plans > 1);
                pruned += proof.pruned();
            }
        }
        let figures = format!("{n} networks, {spills} with a choice, {pruned} layers pruned");
        assert!(n >= 15 && spills >= 10 && pruned >= 20, "{figures}");
    }
}

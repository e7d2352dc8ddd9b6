//! Which tensors stay on chip, and in what strips the others pass: the best way through the network, with proof.
//!
//! A partial plan of the first einsums matters to the rest only by what it leaves in the banks, its `State`. So the
//! plans of a network are the paths of a graph whose nodes are states between einsums and whose edges are plans of one
//! einsum. An edge weighs what its layer costs alone, so that the lightest path is the best plan *in this model and
//! space*. Equal layers with equal plans are costed once.
//!
//! Most edges are never costed: each first weighs the least bound of its mappings. The edges of the lightest path are
//! costed until it has only costed ones; then no path is lighter.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::cost::{Cost, CostModel};
use crate::layers::{Context, map_layer, statement};
use crate::plan::{self, EinsumPlan, Given, State};
use crate::{LayerReport, Objective};

/// States after one einsum above which the search gives up.
const MAX_STATES: usize = 400;

/// What the search of a plan proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// States between einsums.
    pub states: usize,
    /// Plans of one einsum, each after one state.
    pub steps: usize,
    /// Different layers among them.
    pub layers: usize,
    /// Layers whose cost was needed; the bound excluded the others.
    pub costed: usize,
    /// The sum of the costs of the best plan: cycles or words, by the objective.
    pub best: u64,
}

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
    /// The least bound, until the layer is mapped.
    value: u64,
    mapped: Option<LayerReport>,
}

/// The best plans of all einsums, as far as they are not given, with the layers mapped; none if the space is too large.
pub(crate) fn search(
    ctx: &Context,
    given: &Given,
) -> Option<(Vec<EinsumPlan>, Vec<LayerReport>, Proof)> {
    let n = ctx.network.einsums.len();
    let mut states = vec![State::empty(ctx.arch)];
    let mut n_states = 1;
    let mut weights: Vec<Weight> = Vec::new();
    let mut known: BTreeMap<String, Option<usize>> = BTreeMap::new();
    let mut graph: Vec<Vec<Vec<Step>>> = Vec::new();
    for index in 0..n {
        let found: Vec<Vec<(EinsumPlan, State)>> = states
            .par_iter()
            .map(|state| {
                let keep_all = ctx.options.keep_all;
                plan::steps(ctx.network, ctx.arch, keep_all, given, index, state)
            })
            .collect();
        let keyed: Vec<Vec<(String, EinsumPlan, State)>> = found
            .into_iter()
            .map(|steps| {
                let key = |(plan, state)| (key(ctx, index, &plan), plan, state);
                steps.into_iter().map(key).collect()
            })
            .collect();
        let mut fresh: BTreeMap<&String, &EinsumPlan> = BTreeMap::new();
        for (key, plan, _) in keyed.iter().flatten() {
            if !known.contains_key(key) {
                fresh.entry(key).or_insert(plan);
            }
        }
        let fresh: Vec<(&String, &EinsumPlan)> = fresh.into_iter().collect();
        let weighed: Vec<Option<Weight>> = fresh
            .par_iter()
            .map(|(_, plan)| weigh(ctx, index, plan))
            .collect();
        for ((key, _), weight) in fresh.into_iter().zip(weighed) {
            let id = weight.map(|weight| {
                weights.push(weight);
                weights.len() - 1
            });
            known.insert(key.clone(), id);
        }
        let mut next: BTreeMap<State, usize> = BTreeMap::new();
        let mut level = Vec::new();
        for steps in keyed {
            let mut edges = Vec::new();
            for (key, plan, state) in steps {
                let Some(layer) = known[&key] else {
                    continue;
                };
                let fresh = next.len();
                let to = *next.entry(state).or_insert(fresh);
                edges.push(Step { to, plan, layer });
            }
            level.push(edges);
        }
        graph.push(level);
        let mut ordered: Vec<(State, usize)> = next.into_iter().collect();
        ordered.sort_by_key(|(_, at)| *at);
        states = ordered.into_iter().map(|(state, _)| state).collect();
        n_states += states.len();
        if states.is_empty() || states.len() > MAX_STATES || (ctx.hooks.stop)() {
            return None;
        }
    }
    loop {
        let path = lightest(&graph, &weights)?;
        let mut open: Vec<usize> = path.iter().map(|step| step.layer).collect();
        open.sort_unstable();
        open.dedup();
        open.retain(|layer| weights[*layer].mapped.is_none());
        if open.is_empty() {
            let layers = path.iter().enumerate().map(|(index, step)| LayerReport {
                name: ctx.network.einsums[index].name.clone(),
                ..weights[step.layer].mapped.clone().expect("it is costed")
            });
            let proof = Proof {
                states: n_states,
                steps: graph.iter().flatten().map(Vec::len).sum(),
                layers: weights.len(),
                costed: weights.iter().filter(|w| w.mapped.is_some()).count(),
                best: path.iter().map(|step| weights[step.layer].value).sum(),
            };
            let layers = layers.collect();
            let plans = path.iter().map(|step| step.plan.clone()).collect();
            return Some((plans, layers, proof));
        }
        let mapped: Vec<Option<LayerReport>> = open
            .par_iter()
            .map(|layer| {
                let Weight { index, plan, .. } = &weights[*layer];
                let sums = ctx.sums(*index, given.packed.contains_key(index));
                map_layer(ctx, *index, sums, plan).ok()
            })
            .collect();
        for (layer, mapped) in open.into_iter().zip(mapped) {
            let weight = &mut weights[layer];
            weight.value = mapped
                .as_ref()
                .map_or(u64::MAX / 2, |report| value(ctx, &report.cost));
            weight.mapped = Some(mapped?);
        }
    }
}

fn key(ctx: &Context, index: usize, plan: &EinsumPlan) -> String {
    match ctx.sums(index, !plan.packed.is_empty()) {
        Some(sums) => statement(ctx, index, sums, plan),
        None => format!("{index} {:?}", plan.relative(ctx.arch)),
    }
}

/// A layer with the least bound of its mappings; none if no mapping fits.
fn weigh(ctx: &Context, index: usize, plan: &EinsumPlan) -> Option<Weight> {
    let sums = ctx.sums(index, !plan.packed.is_empty());
    let weight = |value, mapped| Weight {
        index,
        plan: plan.clone(),
        value,
        mapped,
    };
    let Some(sums) = sums else {
        let mapped = map_layer(ctx, index, None, plan).ok()?;
        return Some(weight(value(ctx, &mapped.cost), Some(mapped)));
    };
    let mapspace = ctx.mapspace(index, sums, plan);
    let model = ctx.model(index, plan);
    let choices = mapspace.choices();
    let fitting = choices
        .iter()
        .filter(|choice| mapspace.infeasible(choice).is_none());
    let bounds = fitting.map(|choice| value(ctx, &model.bound(&mapspace, choice)));
    Some(weight(bounds.min()?, None))
}

fn value(ctx: &Context, cost: &Cost) -> u64 {
    match ctx.options.objective {
        Objective::Cycles => cost.cycles,
        Objective::Traffic => cost.traffic_words,
    }
}

/// The lightest path through all einsums.
fn lightest<'a>(graph: &'a [Vec<Vec<Step>>], weights: &[Weight]) -> Option<Vec<&'a Step>> {
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
                Some((weights[step.layer].value + rest(step.to)?, which))
            });
            paths.min()
        };
        let here: Vec<Option<(u64, usize)>> = level.iter().map(best).collect();
        choices.push(here.clone());
        after = here;
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

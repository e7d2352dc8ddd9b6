//! Which tensors stay on chip, which pass from layer to layer, and in what strips: the best way through the network,
//! with proof.
//!
//! A partial plan of the first einsums matters to the rest only by what it leaves in the banks, its `State`. So the
//! plans of a network are the paths of a graph whose nodes are states between einsums and whose edges are plans of one
//! einsum, or of a depth-first run of einsums. An edge weighs what its layers cost alone, those of a run together, so
//! that the lightest path is the best plan *in this model and space*. Equal layers with equal plans are costed once.
//!
//! Most edges are never costed: each first weighs the least bound of its mappings. The edges of the lightest path are
//! costed until it has only costed ones; then no path is lighter.
//!
//! What packs taps is decided before and not part of the space, nor is an einsum that loads one operand whole and
//! another in strips. A run has at most `depth_first::LONGEST` einsums, which all keep their constants, and each has the
//! mapping that is the best for its strips alone.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use crate::cost::{Cost, CostModel, together};
use crate::depth_first;
use crate::layers::{Context, explain_layer, search_layer, statement};
use crate::lower::{Layer, Work};
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
    /// Different layers and depth-first runs of layers, each with a plan of its own.
    pub parts: usize,
    /// Parts whose cost was needed; their bounds excluded the others.
    pub costed: usize,
    /// Depth-first runs in the best plan.
    pub runs: usize,
    /// What was made small.
    pub objective: Objective,
    /// The sum of what the parts of the best plan cost alone: cycles or words, by the objective.
    pub best: u64,
    /// Whether the best plan is the one that was taken; if not, another has the better program, in which parts overlap.
    pub taken: bool,
}

impl Proof {
    /// Parts that were never costed, as their bounds excluded them.
    pub fn pruned(&self) -> usize {
        self.parts - self.costed
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
        let runs = match self.runs {
            0 => "no layers depth first".to_owned(),
            1 => "1 run of layers depth first".to_owned(),
            runs => format!("{runs} runs of layers depth first"),
        };
        let taken = match self.taken {
            true => "",
            false => "; not taken, as another has the better program",
        };
        format!(
            "best of {plans} plans in this model and space: {} {unit} as the sum of parts, {runs}, gap 0 %; {} of {} \
             parts costed{taken}",
            self.best, self.costed, self.parts
        )
    }
}

/// The plan of all einsums, and their layers.
pub(crate) type Mapped = (Vec<EinsumPlan>, Vec<LayerReport>);

/// An edge of the graph.
struct Step {
    /// The einsums planned after it.
    end: usize,
    /// The state after it.
    to: usize,
    plans: Vec<EinsumPlan>,
    part: usize,
}

/// What an edge weighs: a layer or a run, with its plan.
struct Part {
    /// The layers, each by its place in [`Parts::layers`].
    layers: Vec<usize>,
    plans: Vec<EinsumPlan>,
    /// A bound, until it is costed; none if it has no program.
    value: Option<u64>,
    is_costed: bool,
}

/// A layer with one plan.
struct OneLayer {
    index: usize,
    plan: EinsumPlan,
    /// The least of each part of the bounds of all mappings.
    bound: Cost,
    /// The best mapping once it is searched; none in it if none has a program.
    mapped: Option<Option<LayerReport>>,
}

/// The steps from each state between two einsums, einsum by einsum.
type Graph = Vec<Vec<Vec<Step>>>;

/// The different layers and parts, by what their cost depends on; none where no mapping fits.
#[derive(Default)]
struct Parts {
    layers: Vec<OneLayer>,
    known_layers: BTreeMap<String, Option<usize>>,
    parts: Vec<Part>,
    known: BTreeMap<String, Option<usize>>,
}

/// The best plans of all einsums, as far as they are not given, with the layers mapped: the best of all, and the best
/// without depth-first runs if that is another. None if the space is too large.
///
/// What is mapped already is not searched again.
pub(crate) fn search(
    ctx: &Context,
    given: &Given,
    mapped: &Mapped,
) -> Result<Option<(Vec<Mapped>, Proof)>, MapError> {
    let mut parts = Parts::default();
    for (index, (plan, layer)) in mapped.0.iter().zip(&mapped.1).enumerate() {
        let fresh = OneLayer {
            index,
            plan: plan.clone(),
            bound: layer.cost,
            mapped: Some(Some(layer.clone()).filter(has_program)),
        };
        parts.insert(layer_key(ctx, given, index, plan), Some(fresh));
    }
    let Some(graph) = graph(ctx, given, &mut parts)? else {
        return Ok(None);
    };
    let mut found: Vec<Mapped> = Vec::new();
    let mut proof = None;
    for longest in [depth_first::LONGEST, 1] {
        let Some(path) = best(ctx, given, &graph, &mut parts, longest)? else {
            continue;
        };
        proof = proof.or_else(|| Some(proven(ctx, &graph, &path, &parts.parts)));
        let one = plan_of(ctx, given, &path, &mut parts);
        if !found.iter().any(|(plans, _)| *plans == one.0) {
            found.push(one);
        }
    }
    Ok(proof.map(|proof| (found, proof)))
}

/// The lightest path of parts with at most `longest` einsums; all of it is costed.
fn best<'a>(
    ctx: &Context,
    given: &Given,
    graph: &'a Graph,
    parts: &mut Parts,
    longest: usize,
) -> Result<Option<Vec<&'a Step>>, MapError> {
    loop {
        let Some(path) = lightest(graph, &parts.parts, longest) else {
            return Ok(None);
        };
        let used: BTreeSet<usize> = path.iter().map(|step| step.part).collect();
        let is_open = |part: &usize| !parts.parts[*part].is_costed;
        let open: Vec<usize> = used.into_iter().filter(is_open).collect();
        if open.is_empty() {
            return Ok(Some(path));
        }
        let layers = open.iter().flat_map(|part| &parts.parts[*part].layers);
        let unmapped: BTreeSet<usize> = layers
            .copied()
            .filter(|layer| parts.layers[*layer].mapped.is_none())
            .collect();
        let found: Vec<(usize, Result<LayerReport, MapError>)> = unmapped
            .into_par_iter()
            .map(|layer| {
                let OneLayer { index, plan, .. } = &parts.layers[layer];
                let sums = sums(ctx, given, *index);
                let found = match (ctx.hooks.stop)() {
                    true => Err(MapError::Stopped),
                    false => search_layer(ctx, *index, sums, plan),
                };
                (layer, found)
            })
            .collect();
        for (layer, found) in found {
            if let Err(MapError::Stopped) = found {
                return Err(MapError::Stopped);
            }
            parts.layers[layer].mapped = Some(found.ok().filter(has_program));
        }
        let values: Vec<(usize, Option<u64>)> = open
            .into_par_iter()
            .map(|part| (part, cost(ctx, given, parts, part)))
            .collect();
        for (part, value) in values {
            parts.parts[part].value = value;
            parts.parts[part].is_costed = true;
        }
    }
}

/// Whether a layer can run at all; where no mapping has a program, a search gives one without a cost.
fn has_program(layer: &LayerReport) -> bool {
    layer.cost.cycles > 0
}

/// What a part costs whose layers are mapped; none if it has no program.
fn cost(ctx: &Context, given: &Given, parts: &Parts, part: usize) -> Option<u64> {
    let Part { layers, plans, .. } = &parts.parts[part];
    let layers: Vec<&OneLayer> = layers.iter().map(|layer| &parts.layers[*layer]).collect();
    let mapped = layers.iter().map(|layer| layer.mapped.as_ref()?.as_ref());
    let mapped: Vec<&LayerReport> = mapped.collect::<Option<_>>()?;
    if let [layer] = mapped.as_slice() {
        return Some(value(ctx, &layer.cost));
    }
    let run = layers.iter().zip(plans).zip(mapped);
    let run: Vec<Layer> = run
        .map(|((layer, plan), mapped)| Layer {
            index: layer.index,
            plan,
            work: match (sums(ctx, given, layer.index), mapped.choice) {
                (Some(sums), Some(choice)) => Work::Sums(sums, choice),
                _ => Work::Vector,
            },
        })
        .collect();
    let cost = together(ctx.network, ctx.arch, ctx.options.memory, &run);
    cost.ok().map(|cost| value(ctx, &cost))
}

/// The plans and layers of a path.
fn plan_of(ctx: &Context, given: &Given, path: &[&Step], parts: &mut Parts) -> Mapped {
    let Parts { layers, parts, .. } = parts;
    let used = path.iter().flat_map(|step| &parts[step.part].layers);
    let used: Vec<usize> = used.copied().collect();
    let open: BTreeSet<usize> = used.iter().copied().collect();
    let to_explain = layers.par_iter_mut().enumerate();
    to_explain
        .filter(|(layer, _)| open.contains(layer))
        .for_each(|(_, layer)| explain(ctx, given, layer));
    let named = |(index, layer): (usize, usize)| LayerReport {
        name: ctx.network.einsums[index].name.clone(),
        ..layers[layer].report().clone()
    };
    let reports = used.into_iter().enumerate().map(named).collect();
    let plans = path.iter().flat_map(|step| step.plans.clone()).collect();
    (plans, reports)
}

impl OneLayer {
    fn report(&self) -> &LayerReport {
        let mapped = self.mapped.as_ref();
        mapped.and_then(Option::as_ref).expect("it is costed")
    }
}

fn explain(ctx: &Context, given: &Given, layer: &mut OneLayer) {
    let OneLayer {
        index,
        plan,
        mapped: Some(Some(report)),
        ..
    } = layer
    else {
        return;
    };
    explain_layer(ctx, *index, sums(ctx, given, *index), plan, report);
}

fn proven(ctx: &Context, graph: &Graph, path: &[&Step], parts: &[Part]) -> Proof {
    let steps = || graph.iter().flatten().flatten();
    let used: BTreeSet<usize> = steps().map(|step| step.part).collect();
    let ends: BTreeSet<(usize, usize)> = steps().map(|step| (step.end, step.to)).collect();
    Proof {
        plans: n_paths(graph),
        states: 1 + ends.len(),
        parts: used.len(),
        costed: used.iter().filter(|part| parts[**part].is_costed).count(),
        runs: path.iter().filter(|step| step.plans.len() > 1).count(),
        objective: ctx.options.objective,
        best: path.iter().filter_map(|step| parts[step.part].value).sum(),
        taken: false,
    }
}

/// All states and steps; none if they are too many.
fn graph(ctx: &Context, given: &Given, parts: &mut Parts) -> Result<Option<Graph>, MapError> {
    let n = ctx.network.einsums.len();
    let mut states: Vec<BTreeMap<State, usize>> = vec![BTreeMap::new(); n + 1];
    states[0].insert(State::empty(ctx.arch), 0);
    let mut graph = Graph::new();
    for index in 0..n {
        if (ctx.hooks.stop)() {
            return Err(MapError::Stopped);
        }
        if states[index].len() > MAX_STATES {
            return Ok(None);
        }
        let mut ordered: Vec<(&State, usize)> = states[index]
            .iter()
            .map(|(state, at)| (state, *at))
            .collect();
        ordered.sort_by_key(|(_, at)| *at);
        let keyed: Vec<Vec<(Vec<String>, plan::Step)>> = ordered
            .par_iter()
            .map(|(state, _)| {
                let keep_all = ctx.options.keep_all;
                let (network, arch, runs) = (ctx.network, ctx.arch, ctx.runs);
                let steps = plan::steps(network, arch, keep_all, runs, given, index, state);
                let keys = |plans: &[EinsumPlan]| {
                    let plans = plans.iter().enumerate();
                    plans
                        .map(|(at, plan)| layer_key(ctx, given, index + at, plan))
                        .collect()
                };
                let keyed = |step: plan::Step| (keys(&step.0), step);
                steps.into_iter().map(keyed).collect()
            })
            .collect();
        let mut fresh: BTreeMap<&String, (usize, &EinsumPlan)> = BTreeMap::new();
        for (keys, (plans, _)) in keyed.iter().flatten() {
            for (at, (key, plan)) in keys.iter().zip(plans).enumerate() {
                if !parts.known_layers.contains_key(key) {
                    fresh.insert(key, (index + at, plan));
                }
            }
        }
        let weighed: Vec<(String, Option<OneLayer>)> = fresh
            .into_par_iter()
            .map(|(key, (index, plan))| (key.clone(), weigh(ctx, given, index, plan)))
            .collect();
        for (key, layer) in weighed {
            parts.insert(key, layer);
        }
        let mut level = Vec::new();
        for steps in keyed {
            let mut edges = Vec::new();
            for (keys, (plans, state)) in steps {
                if let Some(part) = parts.part(ctx, &keys, &plans) {
                    let end = index + plans.len();
                    let fresh = states[end].len();
                    let to = *states[end].entry(state).or_insert(fresh);
                    edges.push(Step {
                        end,
                        to,
                        plans,
                        part,
                    });
                }
            }
            level.push(edges);
        }
        graph.push(level);
    }
    Ok((!states[n].is_empty()).then_some(graph))
}

impl Parts {
    /// What is known already stays.
    fn insert(&mut self, key: String, layer: Option<OneLayer>) {
        let next = self.layers.len();
        self.known_layers.entry(key).or_insert_with(|| {
            let layer = layer?;
            self.layers.push(layer);
            Some(next)
        });
    }

    /// The part with these plans of layers, with its bound.
    fn part(&mut self, ctx: &Context, keys: &[String], plans: &[EinsumPlan]) -> Option<usize> {
        let key = match plans.len() {
            1 => keys[0].clone(),
            _ => format!("{keys:?} {:?}", plan::canonical(plans, ctx.arch)),
        };
        if let Some(part) = self.known.get(&key) {
            return *part;
        }
        let layers = keys.iter().map(|key| self.known_layers[key]);
        let layers: Option<Vec<usize>> = layers.collect();
        let part = layers.map(|layers| {
            let bounds = layers.iter().map(|layer| self.layers[*layer].bound);
            let bound = bounds.reduce(one_after_the_other).expect("it has layers");
            self.parts.push(Part {
                value: Some(value(ctx, &bound)),
                is_costed: false,
                layers,
                plans: plans.to_vec(),
            });
            self.parts.len() - 1
        });
        self.known.insert(key, part);
        part
    }
}

/// A bound of what layers cost together: each engine works for all of them.
fn one_after_the_other(a: Cost, b: Cost) -> Cost {
    let (exec, vec) = (a.exec + b.exec, a.vec + b.vec);
    let (load, store) = (a.load + b.load, a.store + b.store);
    Cost {
        cycles: exec.max(vec).max(load).max(store),
        exec,
        vec,
        load,
        store,
        fetch: 0,
        traffic_words: a.traffic_words + b.traffic_words,
        instructions: a.instructions + b.instructions,
    }
}

fn sums<'a>(ctx: &Context<'a>, given: &Given, index: usize) -> Option<&'a Sums<'a>> {
    ctx.sums(index, given.packed.contains_key(&index))
}

fn layer_key(ctx: &Context, given: &Given, index: usize, plan: &EinsumPlan) -> String {
    match sums(ctx, given, index) {
        Some(sums) => statement(ctx, index, sums, plan),
        None => {
            let plan = plan::canonical(std::slice::from_ref(plan), ctx.arch);
            format!("{index} {plan:?}")
        }
    }
}

/// A layer with the least bounds of its mappings; none if no mapping fits.
fn weigh(ctx: &Context, given: &Given, index: usize, plan: &EinsumPlan) -> Option<OneLayer> {
    let layer = |bound, mapped| OneLayer {
        index,
        plan: plan.clone(),
        bound,
        mapped,
    };
    let Some(sums) = sums(ctx, given, index) else {
        let mapped = search_layer(ctx, index, None, plan).ok()?;
        return Some(layer(mapped.cost, Some(Some(mapped))));
    };
    let mapspace = ctx.mapspace(index, sums, plan);
    let model = ctx.model(index, plan);
    let choices = mapspace.choices();
    let fitting = choices
        .iter()
        .filter(|choice| mapspace.infeasible(choice).is_none());
    let bounds = fitting.map(|choice| model.bound(&mapspace, choice));
    Some(layer(bounds.reduce(least)?, None))
}

/// The lesser of each part of two costs.
fn least(a: Cost, b: Cost) -> Cost {
    Cost {
        cycles: a.cycles.min(b.cycles),
        exec: a.exec.min(b.exec),
        vec: a.vec.min(b.vec),
        load: a.load.min(b.load),
        store: a.store.min(b.store),
        fetch: a.fetch.min(b.fetch),
        traffic_words: a.traffic_words.min(b.traffic_words),
        instructions: a.instructions.min(b.instructions),
    }
}

fn value(ctx: &Context, cost: &Cost) -> u64 {
    match ctx.options.objective {
        Objective::Cycles => cost.cycles,
        Objective::Traffic => cost.traffic_words,
    }
}

fn n_paths(graph: &Graph) -> u64 {
    let mut after: Vec<Vec<u64>> = vec![Vec::new(); graph.len()];
    for (at, level) in graph.iter().enumerate().rev() {
        let rest = |step: &Step| match step.end == graph.len() {
            true => 1,
            false => after[step.end][step.to],
        };
        let here = |steps: &Vec<Step>| steps.iter().map(rest).fold(0, u64::saturating_add);
        after[at] = level.iter().map(here).collect();
    }
    after[0][0]
}

/// The lightest path through all einsums, in parts of at most `longest` einsums.
fn lightest<'a>(graph: &'a Graph, parts: &[Part], longest: usize) -> Option<Vec<&'a Step>> {
    // The least weight of a path from each state to the end, and its first step.
    let mut after: Vec<Vec<Option<(u64, usize)>>> = vec![Vec::new(); graph.len()];
    for (at, level) in graph.iter().enumerate().rev() {
        let rest = |step: &Step| match step.end == graph.len() {
            true => Some(0),
            false => after[step.end][step.to].map(|(weight, _)| weight),
        };
        let best = |edges: &Vec<Step>| {
            let edges = edges.iter().enumerate();
            let edges = edges.filter(|(_, step)| step.plans.len() <= longest);
            let paths = edges
                .filter_map(|(which, step)| Some((parts[step.part].value? + rest(step)?, which)));
            paths.min()
        };
        after[at] = level.iter().map(best).collect();
    }
    let (mut at, mut state) = (0, 0);
    let mut path = Vec::new();
    while at < graph.len() {
        let (_, which) = after[at][state]?;
        let step = &graph[at][state][which];
        path.push(step);
        (at, state) = (step.end, step.to);
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use ir::arch::Arch;
    use ir::network::Network;

    use super::*;
    use crate::common::{Random, random_arch, random_chain, random_network};
    use crate::directives::settle;
    use crate::mapspace::Choice;
    use crate::{Hooks, Options};

    /// The best mapping of a layer, in a test.
    type Best = Option<(Cost, Option<Choice>)>;

    /// All plans of a network, one by one, with all mappings of their layers.
    struct All<'a> {
        ctx: &'a Context<'a>,
        given: &'a Given,
        /// The best of each layer, by its position and plan; none in it if none has a program, nothing if none fits.
        layers: BTreeMap<String, Option<Best>>,
        n_plans: u64,
        n_with_runs: u64,
    }

    impl All<'_> {
        /// The least sum of the einsums from `index` on.
        fn least(&mut self, index: usize, state: &State, has_runs: bool) -> Option<u64> {
            let ctx = self.ctx;
            if index == ctx.network.einsums.len() {
                self.n_plans += 1;
                self.n_with_runs += u64::from(has_runs);
                return Some(0);
            }
            let keep_all = ctx.options.keep_all;
            let (network, arch, runs) = (ctx.network, ctx.arch, ctx.runs);
            let steps = plan::steps(network, arch, keep_all, runs, self.given, index, state);
            let sums = steps.into_iter().filter_map(|(plans, next)| {
                let cost = self.cost(index, &plans)?;
                let rest = self.least(index + plans.len(), &next, has_runs || plans.len() > 1);
                Some(cost? + rest?)
            });
            sums.min()
        }

        /// The cost of a layer or a run; none in it if it has no program, nothing if no mapping fits.
        fn cost(&mut self, index: usize, plans: &[EinsumPlan]) -> Option<Option<u64>> {
            let layers = plans.iter().enumerate();
            let layers = layers.map(|(at, plan)| self.layer(index + at, plan));
            let best = layers.collect::<Option<Vec<Best>>>()?;
            let Some(best) = best.into_iter().collect::<Option<Vec<_>>>() else {
                return Some(None);
            };
            let ctx = self.ctx;
            if let [(cost, _)] = best.as_slice() {
                return Some(Some(value(ctx, cost)));
            }
            let run = best.into_iter().zip(plans).enumerate();
            let run = run.map(|(at, ((_, choice), plan))| Layer {
                index: index + at,
                plan,
                work: match (sums(ctx, self.given, index + at), choice) {
                    (Some(sums), Some(choice)) => Work::Sums(sums, choice),
                    _ => Work::Vector,
                },
            });
            let run: Vec<Layer> = run.collect();
            let cost = together(ctx.network, ctx.arch, ctx.options.memory, &run);
            Some(cost.ok().map(|cost| value(ctx, &cost)))
        }

        fn layer(&mut self, index: usize, plan: &EinsumPlan) -> Option<Best> {
            let (ctx, given) = (self.ctx, self.given);
            let all = || {
                let model = ctx.model(index, plan);
                let Some(sums) = sums(ctx, given, index) else {
                    return Some(Some((model.vector().ok()?, None)));
                };
                let mapspace = ctx.mapspace(index, sums, plan);
                let choices = mapspace.choices();
                let fitting = || choices.iter().filter(|c| mapspace.infeasible(c).is_none());
                fitting().next()?;
                let costs = fitting().filter_map(|choice| {
                    Some((model.cost(&mapspace, choice).ok()?, Some(*choice)))
                });
                let objective = ctx.options.objective;
                Some(
                    costs.min_by_key(|(cost, choice)| objective.key(&choice.expect("given"), cost)),
                )
            };
            let key = format!("{index} {plan:?}");
            *self.layers.entry(key).or_insert_with(all)
        }
    }

    /// Compares the search with all plans, if the network fits; gives the proof, and how many plans have runs.
    fn check(network: &Network, arch: &Arch, objective: Objective) -> Option<(Proof, u64)> {
        let n = network.einsums.len();
        let of_sums: Vec<_> = (0..n).map(|i| crate::sums_of(network, i)).collect();
        let taps: Vec<_> = (0..n).map(|i| crate::taps_of(network, arch, i)).collect();
        let runs = crate::runs_of(network, arch, &of_sums);
        let options = Options {
            objective,
            ..Options::default()
        };
        let settled = settle(network, arch, &[], &taps, &runs).ok()?;
        let ctx = Context {
            network,
            arch,
            options: &options,
            hooks: &Hooks::default(),
            settled: &settled,
            sums: &of_sums,
            taps: &taps,
            runs: &runs,
        };
        let (plans, given, known) = crate::plan_rows(&ctx).ok()?;
        let packs = |index: usize| given.packed.contains_key(&index);
        let layers = crate::map_layers(&ctx, &plans, &packs, &known).ok()?;
        let searched = search(&ctx, &given, &(plans, layers)).expect("nobody stops it");
        let (_, proof) = searched?;
        let mut all = All {
            ctx: &ctx,
            given: &given,
            layers: BTreeMap::new(),
            n_plans: 0,
            n_with_runs: 0,
        };
        let least = all.least(0, &State::empty(arch), false);
        let of = format!("`{}` on {arch:?}", network.name);
        assert_eq!(
            (Some(proof.best), proof.plans),
            (least, all.n_plans),
            "{of}"
        );
        Some((proof, all.n_with_runs))
    }

    #[test]
    fn no_plan_is_better_than_the_one_found() {
        let (mut n, mut spills, mut pruned, mut with_runs, mut runs) = (0, 0, 0, 0, 0);
        let mut random = Random(3);
        for seed in 0..300 {
            let network = match seed % 2 {
                0 => random_network(seed, 5, true),
                _ => random_chain(seed, 3, true),
            };
            let mut arch = random_arch(random.next());
            arch.activations.words = random.pick(&[32, 64, 128, 256]);
            if random.chance(50) {
                arch.weights.words = arch.weights.words.max(128 * arch.array.cols);
            }
            let objective = random.pick(&[Objective::Cycles, Objective::Traffic]);
            if network.einsums.len() < 3 || !crate::fits(&network, &arch).problems.is_empty() {
                continue;
            }
            if let Some((proof, n_with_runs)) = check(&network, &arch, objective) {
                n += 1;
                spills += usize::from(proof.plans > 1);
                pruned += proof.pruned();
                with_runs += usize::from(n_with_runs > 0);
                runs += proof.runs;
            }
        }
        let figures = format!(
            "{n} networks, {spills} with a choice, {with_runs} of them with runs, {runs} runs in the best plans, \
             {pruned} parts pruned"
        );
        assert!(n >= 15 && spills >= 10 && pruned >= 20, "{figures}");
        assert!(with_runs >= 5 && runs >= 3, "{figures}");
    }
}

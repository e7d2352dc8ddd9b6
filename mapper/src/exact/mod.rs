//! The best loop nest of any einsum on any tree of memories, with proof.
//!
//! [`map`] finds it; [`evaluate`] counts what a given one costs.
//!
//! - `problem`: one einsum on one tree, in dense form.
//! - `nest`, `cost`: loop nests and what they cost.
//! - `space`: what is kept where, how ranks are unrolled, which sizes tiles can have.
//! - `bound`: lower bounds of cost from loops that are only partly known.
//! - `search`, `goal`, `certificate`: branch and bound, what it keeps, and what it proves.
//! - `recall`: what was found before.
//! - `fuse`: schedules of several einsums, with what stays on chip between them.
//! - `limits`: what no nest can beat.
//! - `text`: nests as [`ir::mapping::Mapping`]s, and back.
//! - `walk`: a second count of what a nest does, that runs its loops.
//!
//! The crate's other half maps networks to the machine that can be generated, with that machine's own cycles.
//! This half knows any machine that a [`Tree`] describes, and moves of data rather than cycles of engines.

mod bound;
mod certificate;
mod cost;
mod fuse;
mod goal;
mod limits;
mod nest;
mod problem;
mod recall;
mod search;
mod space;
mod text;
mod walk;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ir::mapping::Mapping;
use ir::tree::Tree;
use ir::workload::{Einsum, Workload};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::cache::{Cache, NoCache};
use bound::MAX_NODES;
use goal::{Best, Front};
use problem::Problem;
use search::Point;

pub use certificate::{Certificate, StopReason};
pub use cost::{Access, Cost, Moves};
pub use fuse::{Fused, FusionCertificate, Step as FusedStep, fuse};
pub use goal::Objective;
pub use limits::{Binds, Limits, binds, buffer_bounds, limits};
pub use text::NestError;
pub use walk::Counts;

/// What is charged, and which nests there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// Tiles divide the bound of their rank; otherwise the last tile may be smaller.
    pub perfect: bool,
    /// Double buffers take twice the room, the first tiles and the last results are waited for, and fills of memories
    /// that are not double-buffered stop compute; otherwise everything overlaps and takes no room.
    pub phases: bool,
    /// Sums that leave for the outermost memory before they are complete keep their full width there.
    pub wide_spills: bool,
    /// Memories are entered in the order of the tree, whatever they keep, and every loop above a tile fetches it again.
    pub ordered: bool,
    /// Where copies are not summed on the way up, each adds its first term without reading what it adds to.
    pub free_first_terms: bool,
}

impl Model {
    /// What a machine does.
    pub const MACHINE: Model = Model {
        perfect: false,
        phases: true,
        wide_spills: true,
        ordered: false,
        free_first_terms: false,
    };
    /// The assumptions of AccelForge 1.0: `docs/rationale/accelforge-assumptions.md`.
    pub const ACCELFORGE: Model = Model {
        perfect: true,
        phases: false,
        wide_spills: false,
        ordered: true,
        free_first_terms: true,
    };
}

impl Default for Model {
    fn default() -> Self {
        Model::MACHINE
    }
}

/// Asked now and then with the number of nodes searched so far, also while what is to be searched is listed; true stops
/// the search.
pub type Stop<'a> = dyn FnMut(u64) -> bool + 'a;

/// Small steps of work, such as choices that are listed, after some of which `stop` is asked.
struct Steps<'a, 's> {
    stop: &'a mut Stop<'s>,
    nodes: u64,
    taken: u64,
}

impl<'a, 's> Steps<'a, 's> {
    /// Steps after `nodes` nodes of a search.
    fn new(nodes: u64, stop: &'a mut Stop<'s>) -> Steps<'a, 's> {
        let taken = 0;
        Steps { stop, nodes, taken }
    }

    /// Takes a step, unless it is time to stop.
    fn take(&mut self) -> Option<()> {
        self.taken += 1;
        match self.taken.is_multiple_of(STEPS) {
            true => self.ask(),
            false => Some(()),
        }
    }

    /// Asks at once, before a long step.
    fn ask(&mut self) -> Option<()> {
        (!(self.stop)(self.nodes)).then_some(())
    }
}

/// Steps between two questions, which read a clock: some steps take no longer than that, and some a thousand times as long.
const STEPS: u64 = 64;

/// A mapping with its cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapped {
    /// The loop nest.
    pub mapping: Mapping,
    /// What it costs.
    pub cost: Cost,
}

/// All nests that no other beats in energy and cycles, least energy first, and what is proven about them.
pub type Pareto = Result<(Vec<Mapped>, Certificate), Infeasible>;

/// The result of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The best mapping; none if the search was stopped before it found one.
    pub best: Option<Mapped>,
    /// What is proven.
    pub certificate: Certificate,
}

/// Why no nest can be found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum Infeasible {
    /// None exists: a memory is too small for tiles of one value of each tensor that it must keep.
    #[error(
        "no nest fits: `{memory}` must keep at least {needed} bits{buffers}, and has {available} bits"
    )]
    #[diagnostic(
        code(mapper::infeasible),
        help("raise `size_bits` of `{memory}`, or let tensors pass it by with `may_bypass`")
    )]
    Room {
        /// The memory.
        memory: String,
        /// Bits of the smallest tiles.
        needed: u64,
        /// Its size.
        available: u64,
        /// Whether it needs the room twice.
        buffers: &'static str,
    },
    /// The tree is too deep for the search.
    #[error(
        "einsum `{einsum}` has {kept} tiles in the memories of the tree, and {most} can be searched"
    )]
    #[diagnostic(
        code(mapper::deep),
        help("leave memories out of the tree, or tensors out of what they keep with `keeps`")
    )]
    Deep {
        /// The einsum.
        einsum: String,
        /// Memories that keep each tensor, summed over tensors.
        kept: usize,
        /// The most of them.
        most: usize,
    },
}

/// What surrounds the searches of a workload, without influence on what they prove.
pub struct Hooks<'a> {
    /// Remembers what searches that came to their end have found.
    pub cache: &'a dyn Cache,
    /// Asked by each search with its own number of nodes so far; true stops it.
    pub stop: &'a (dyn Fn(u64) -> bool + Sync),
}

impl Default for Hooks<'_> {
    fn default() -> Self {
        Hooks {
            cache: &NoCache,
            stop: &|_| false,
        }
    }
}

/// What is looked for among the nests of an einsum.
#[derive(Clone, Copy, Debug)]
enum Sought {
    /// The best one.
    Best(Objective),
    /// All that no other beats in energy and cycles, least energy first.
    Front,
}

/// The nests that a search found, and what it proved.
type Searched = Result<(Vec<Point>, Certificate), Infeasible>;

/// Finds the best nest of `einsum` on `tree`.
///
/// The same arguments give the same result, if `stop` depends on nothing but the number of nodes.
///
/// # Errors
/// If tiles of one value do not fit.
pub fn map(
    einsum: &Einsum,
    tree: &Tree,
    model: Model,
    objective: Objective,
    stop: &mut Stop,
) -> Result<Found, Infeasible> {
    let searched = search(einsum, tree, model, Sought::Best(objective), stop);
    best(einsum, tree, searched)
}

/// Finds all nests of `einsum` on `tree` that no other beats in energy and cycles, least energy first.
///
/// # Errors
/// If tiles of one value do not fit.
pub fn pareto(einsum: &Einsum, tree: &Tree, model: Model, stop: &mut Stop) -> Pareto {
    let searched = search(einsum, tree, model, Sought::Front, stop);
    named(einsum, tree, searched)
}

fn search(einsum: &Einsum, tree: &Tree, model: Model, sought: Sought, stop: &mut Stop) -> Searched {
    let problem = Problem::new(einsum, tree, model);
    let kept = problem
        .memories
        .iter()
        .map(|m| m.keeps.count_ones() as usize);
    let (kept, most) = (kept.sum(), MAX_NODES.saturating_sub(problem.operands.len()));
    if kept > most {
        let einsum = einsum.name.clone();
        return Err(Infeasible::Deep { einsum, kept, most });
    }
    let none = |no_nest| infeasible(&problem, tree, no_nest);
    match sought {
        Sought::Best(objective) => {
            let mut goal = Best::new(objective);
            let certificate = search::search(&problem, &mut goal, stop).map_err(none)?;
            Ok((goal.point.into_iter().collect(), certificate))
        }
        Sought::Front => {
            let mut goal = Front::default();
            let certificate = search::search(&problem, &mut goal, stop).map_err(none)?;
            let mut points = goal.points;
            points.sort_by(|a, b| a.cost.energy_pj.total_cmp(&b.cost.energy_pj));
            Ok((points, certificate))
        }
    }
}

/// Finds the best nest of each einsum of `workload` on `tree`, in its order; equal ones are searched once, different ones
/// in parallel.
pub fn map_workload(
    workload: &Workload,
    tree: &Tree,
    model: Model,
    objective: Objective,
    hooks: &Hooks,
) -> Vec<Result<Found, Infeasible>> {
    let found = search_each(workload, tree, model, Sought::Best(objective), hooks);
    let best = |(einsum, searched): (&Einsum, Searched)| best(einsum, tree, searched);
    workload.einsums.iter().zip(found).map(best).collect()
}

/// Finds all nests that no other beats, for each einsum of `workload`, as [`map_workload`] does.
pub fn pareto_workload(
    workload: &Workload,
    tree: &Tree,
    model: Model,
    hooks: &Hooks,
) -> Vec<Pareto> {
    let found = search_each(workload, tree, model, Sought::Front, hooks);
    let named = |(einsum, searched): (&Einsum, Searched)| named(einsum, tree, searched);
    workload.einsums.iter().zip(found).map(named).collect()
}

fn search_each(
    workload: &Workload,
    tree: &Tree,
    model: Model,
    sought: Sought,
    hooks: &Hooks,
) -> Vec<Searched> {
    of_shapes(workload, |einsum| {
        recall::points(einsum, tree, model, sought, hooks)
    })
}

/// What `find` finds for each einsum; equal ones are searched once, different ones in parallel.
fn of_shapes<T: Clone + Send>(workload: &Workload, find: impl Fn(&Einsum) -> T + Sync) -> Vec<T> {
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    let of: Vec<usize> = workload
        .einsums
        .iter()
        .enumerate()
        .map(|(i, e)| *first.entry(e.shape()).or_insert(i))
        .collect();
    let distinct: Vec<usize> = first.into_values().collect();
    let found: BTreeMap<usize, T> = distinct
        .into_par_iter()
        .map(|i| (i, find(&workload.einsums[i])))
        .collect();
    of.iter().map(|of| found[of].clone()).collect()
}

/// Counts what `mapping` costs.
///
/// # Errors
/// If it is not a nest of `einsum` on `tree`, or does not fit.
pub fn evaluate(
    einsum: &Einsum,
    tree: &Tree,
    model: Model,
    mapping: &Mapping,
) -> Result<Cost, NestError> {
    let problem = Problem::new(einsum, tree, model);
    let nest = text::nest(einsum, tree, &problem, mapping)?;
    let cost = cost::evaluate(&problem, &nest);
    text::check_room(tree, &problem, &cost)?;
    Ok(cost)
}

/// Counts what `mapping` does by running its loops; it takes time in proportion to the operations.
///
/// # Errors
/// If it is not a nest of `einsum` on `tree`.
pub fn walk(
    einsum: &Einsum,
    tree: &Tree,
    model: Model,
    mapping: &Mapping,
) -> Result<Counts, NestError> {
    let problem = Problem::new(einsum, tree, model);
    let nest = text::nest(einsum, tree, &problem, mapping)?;
    Ok(walk::walk(&problem, &nest))
}

/// The best that was found, with the names of the einsum.
fn best(einsum: &Einsum, tree: &Tree, searched: Searched) -> Result<Found, Infeasible> {
    let (mut best, certificate) = named(einsum, tree, searched)?;
    let best = best.pop();
    Ok(Found { best, certificate })
}

/// What was found, with the names of the einsum.
fn named(einsum: &Einsum, tree: &Tree, searched: Searched) -> Pareto {
    let mapped = |point: Point| Mapped {
        mapping: text::mapping(einsum, tree, &point.nest),
        cost: point.cost,
    };
    let (points, certificate) = searched?;
    Ok((points.into_iter().map(mapped).collect(), certificate))
}

/// The first memory that is too small for tiles of one value of each tensor that it must keep.
///
/// If there were none, those tiles everywhere and all loops in time above them would be a nest.
fn infeasible(problem: &Problem, tree: &Tree, _: search::NoNest) -> Infeasible {
    let must = |(index, memory): (usize, &problem::Memory)| -> u64 {
        let operands = problem::members(memory.keeps & !memory.may_bypass);
        let bits = |o: usize| problem.held_bits(index, o, 1, problem.operands[o].n_values > 1);
        operands.map(bits).sum()
    };
    let mut memories = tree.memories().zip(problem.memories.iter().enumerate());
    let ((_, component), memory) = memories
        .find(|(_, m)| m.1.size_bits.is_some_and(|size| must(*m) > size))
        .expect("tiles of one value fit unless a memory is too small for them");
    Infeasible::Room {
        memory: component.name.clone(),
        needed: must(memory),
        available: memory.1.size_bits.unwrap_or(0),
        buffers: match problem.buffers(memory.0) {
            1 => "",
            _ => " in double buffers",
        },
    }
}

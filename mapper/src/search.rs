//! Search for the best mapping of one layer, with a certificate of what was looked at.

use ir::fit::Fit;
use serde::{Deserialize, Serialize};

use crate::Objective;
use crate::cost::{Boundary, Cost, CostModel};
use crate::mapspace::{Choice, Infeasible, Mapspace};

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Every point was costed or pruned.
    Exhausted,
}

/// What a search proves, in this model and space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Name of the search.
    pub search: String,
    /// Name of the cost model.
    pub model: String,
    /// Points of the space.
    pub candidates: u64,
    /// Points that do not fit the accumulators.
    pub pruned_by_accumulators: u64,
    /// Points that do not fit the weight memory.
    pub pruned_by_weights: u64,
    /// Points that do not fit the parameter memory.
    pub pruned_by_parameters: u64,
    /// Points whose dataflow cannot split the reduction.
    pub pruned_by_reduction: u64,
    /// Given points that do not go with the strips or a split reduction.
    pub pruned_by_plan: u64,
    /// Points that a bound excludes without their full cost.
    pub pruned_by_bound: u64,
    /// Points with a full cost.
    pub costed: u64,
    /// Cycles of the best point.
    pub best_cycles: u64,
    /// How far, in per mille of the best, the unexplored rest could be better; 0 when exhausted.
    pub gap_per_mille: u32,
    /// Why the search ended.
    pub stop: StopReason,
    /// Cycles that the multipliers need at full use.
    pub compute_bound_cycles: u64,
    /// Words that must be moved at least: constants, and tensors that are in memory.
    pub compulsory_words: u64,
}

impl Found {
    /// The better of the best of two spaces, proven for both together.
    pub(crate) fn join(self, other: Found, objective: Objective) -> Found {
        let all = self.certificate.join(&other.certificate);
        let key = |found: &Found| objective.key(&found.choice, &found.cost);
        let (mut best, rest) = if key(&self) <= key(&other) {
            (self, other)
        } else {
            (other, self)
        };
        let close = |cost: &Cost| {
            let first = |cost: &Cost| objective.key(&best.choice, cost).0;
            first(cost) <= first(&best.cost) + first(&best.cost) / NEAR
        };
        if close(&rest.cost) {
            best.runners_up.insert(0, rest.choice);
            best.runners_up.truncate(MAX_RUNNERS_UP);
        }
        best.certificate = Certificate {
            best_cycles: best.cost.cycles,
            ..all
        };
        best
    }
}

impl Certificate {
    /// What two searches prove together, but for the best.
    fn join(&self, other: &Certificate) -> Certificate {
        Certificate {
            candidates: self.candidates + other.candidates,
            pruned_by_accumulators: self.pruned_by_accumulators + other.pruned_by_accumulators,
            pruned_by_weights: self.pruned_by_weights + other.pruned_by_weights,
            pruned_by_parameters: self.pruned_by_parameters + other.pruned_by_parameters,
            pruned_by_reduction: self.pruned_by_reduction + other.pruned_by_reduction,
            pruned_by_plan: self.pruned_by_plan + other.pruned_by_plan,
            pruned_by_bound: self.pruned_by_bound + other.pruned_by_bound,
            costed: self.costed + other.costed,
            compulsory_words: self.compulsory_words.min(other.compulsory_words),
            ..self.clone()
        }
    }

    /// The larger of the roofline's two bounds: multipliers, and one word a cycle.
    pub fn roofline_cycles(&self) -> u64 {
        self.compute_bound_cycles.max(self.compulsory_words)
    }

    /// One sentence that says what is proven and where it holds.
    pub fn sentence(&self) -> String {
        format!(
            "best of {} mappings in this model and space: {} cycles, gap {}.{} %, roofline {} cycles",
            self.candidates,
            self.best_cycles,
            self.gap_per_mille / 10,
            self.gap_per_mille % 10,
            self.roofline_cycles()
        )
    }
}

/// The result of a search.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The best point.
    pub choice: Choice,
    /// Its cost.
    pub cost: Cost,
    /// The proof.
    pub certificate: Certificate,
    /// The next best points that were costed, best first: closer than the model's error, so worth a second opinion.
    pub runners_up: Vec<Choice>,
}

/// A way to look through a mapspace; the seam for the general exact search.
pub trait Search {
    /// The name used on the command line and in reports.
    fn name(&self) -> &'static str;
    /// The best point, if there is one.
    fn find(&self, problem: &Problem) -> Option<Found>;
}

/// What is searched, and for what.
pub struct Problem<'a> {
    /// The space.
    pub mapspace: &'a Mapspace<'a>,
    /// What a layer moves besides constants.
    pub boundary: Boundary,
    /// The model of cost.
    pub model: &'a dyn CostModel,
    /// What is made small first.
    pub objective: Objective,
    /// Multiply-accumulates of the layer.
    pub macs: u64,
}

/// Mappings that differ by less than one part in this many are worth a second opinion: neighbours of a layer in a
/// program change its cycles by as much.
const NEAR: u64 = 20;
/// The most points that are kept beside the best.
const MAX_RUNNERS_UP: usize = 4;

/// Costs points by ascending bound until no bound is below the best cost.
pub struct BestFirst;

impl Search for BestFirst {
    fn name(&self) -> &'static str {
        "best-first branch and bound"
    }

    fn find(&self, problem: &Problem) -> Option<Found> {
        let choices = problem.mapspace.choices();
        let mut certificate = problem.certificate(self.name(), choices.len() as u64);
        let mut open: Vec<Key> = Vec::new();
        for choice in choices {
            if let Some(reason) = problem.mapspace.infeasible(&choice) {
                *certificate.counter(reason) += 1;
                continue;
            }
            let bound = problem.model.bound(problem.mapspace, &choice);
            open.push(problem.objective.key(&choice, &bound));
        }
        open.sort_unstable();
        let mut best: Option<(Key, Cost)> = None;
        let mut costed: Vec<Key> = Vec::new();
        let mut failed = None;
        for (at, bound) in open.iter().enumerate() {
            if best.as_ref().is_some_and(|(key, _)| bound >= key) {
                certificate.pruned_by_bound = (open.len() - at) as u64;
                break;
            }
            let choice = bound.3;
            certificate.costed += 1;
            let Ok(cost) = problem.model.cost(problem.mapspace, &choice) else {
                failed.get_or_insert(choice);
                continue;
            };
            let key = problem.objective.key(&choice, &cost);
            costed.push(key);
            if best.as_ref().is_none_or(|(other, _)| key < *other) {
                best = Some((key, cost));
            }
        }
        // Where nothing has a program, assembly says why.
        let nothing = failed.map(|choice| ((0, 0, 0, choice), Cost::default()));
        let ((first, _, _, choice), cost) = best.or(nothing)?;
        costed.retain(|key| key.3 != choice && key.0 <= first + first / NEAR);
        costed.sort_unstable();
        let runners_up = costed
            .iter()
            .take(MAX_RUNNERS_UP)
            .map(|key| key.3)
            .collect();
        certificate.best_cycles = cost.cycles;
        Some(Found {
            choice,
            cost,
            certificate,
            runners_up,
        })
    }
}

/// What points are compared by: objective first, then the other, then instructions, then a fixed order.
type Key = (u64, u64, u64, Choice);

impl Objective {
    pub(crate) fn key(self, choice: &Choice, cost: &Cost) -> Key {
        let (first, second) = match self {
            Objective::Cycles => (cost.cycles, cost.traffic_words),
            Objective::Traffic => (cost.traffic_words, cost.cycles),
        };
        (first, second, cost.instructions, *choice)
    }
}

impl Problem<'_> {
    fn certificate(&self, search: &str, candidates: u64) -> Certificate {
        let arch = self.mapspace.arch;
        let all = 0..self.mapspace.sums.n_tiles(arch);
        let constants = self.mapspace.group_words(&all) as u64
            + u64::from(arch.parameter_words(self.mapspace.group_parameters(&all).fit::<u32>()));
        Certificate {
            search: search.to_owned(),
            model: self.model.name().to_owned(),
            candidates,
            pruned_by_accumulators: 0,
            pruned_by_weights: 0,
            pruned_by_parameters: 0,
            pruned_by_reduction: 0,
            pruned_by_plan: 0,
            pruned_by_bound: 0,
            costed: 0,
            best_cycles: 0,
            gap_per_mille: 0,
            stop: StopReason::Exhausted,
            compute_bound_cycles: self.macs.div_ceil(u64::from(arch.macs_per_cycle())),
            compulsory_words: constants + self.boundary.load_words + self.boundary.store_words,
        }
    }
}

impl Certificate {
    fn counter(&mut self, reason: Infeasible) -> &mut u64 {
        match reason {
            Infeasible::Accumulators => &mut self.pruned_by_accumulators,
            Infeasible::Weights => &mut self.pruned_by_weights,
            Infeasible::Parameters => &mut self.pruned_by_parameters,
            Infeasible::Reduction => &mut self.pruned_by_reduction,
            Infeasible::Strip | Infeasible::Group | Infeasible::Order => &mut self.pruned_by_plan,
        }
    }
}

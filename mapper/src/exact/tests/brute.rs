//! The search against counting every nest of tiny problems.
//!
//! All placements, splits and orders, and loops of all sizes in all blocks, whether canonical or not; a fan-out is unrolled
//! directly above the first node below it, and each rank has one loop at most in each block.
//! The last long run (`CASES=10000 SEED=1000`, release): 7263 problems with 8,181,317 nests, all optima and fronts equal.

use crate::exact::cost::{Cost, evaluate, held_bits};
use crate::exact::goal::{Best, Front, Goal};
use crate::exact::nest::{Nest, Step};
use crate::exact::problem::Problem;
use crate::exact::search::{Leaf, search};
use crate::exact::space::{Node, Sizes, Split, placements, splits};
use crate::exact::{Model, Objective, text};

use super::cases;
use super::random::{Random, einsum, tree};

/// The most nests that are counted for one problem; problems with more are passed over.
const MOST: usize = 20_000;

const OBJECTIVES: [Objective; 3] = [
    Objective::Energy,
    Objective::Latency,
    Objective::EnergyDelay,
];

#[test]
fn search_finds_the_best_of_all_nests() {
    let (mut counted, mut nests, mut without) = (0, 0, 0);
    for seed in cases(100) {
        let mut random = Random::new(seed);
        let einsum = einsum(&mut random, 6, 72);
        let tree = tree(&mut random, 2);
        let model = match random.below(4) {
            0 => Model::ACCELFORGE,
            _ => Model::MACHINE,
        };
        let problem = Problem::new(&einsum, &tree, model);
        let Some(all) = Brute::all(&problem) else {
            continue;
        };
        let context = || format!("seed {seed}: {}\n{}", einsum.shape(), tree.to_toml());
        counted += 1;
        nests += all.len();
        if all.is_empty() {
            without += 1;
        }
        for objective in [
            Objective::Energy,
            Objective::Latency,
            Objective::EnergyDelay,
        ] {
            let rank = |cost: &Cost| objective.rank(cost.energy_pj, cost.cycles);
            let mut goal = Best::new(objective);
            let found = search(&problem, &mut goal, &mut |_| false);
            assert_eq!(found.is_ok(), !all.is_empty(), "{}", context());
            let Some(best) = all
                .iter()
                .min_by(|a, b| rank(&a.1).partial_cmp(&rank(&b.1)).expect("numbers"))
            else {
                continue;
            };
            let point = goal.point.expect("found");
            let (found, best_rank) = (rank(&point.cost).0, rank(&best.1).0);
            // Of all that are as good as the best, what comes second is least too.
            let as_good = all.iter().map(|(_, cost)| rank(cost));
            let as_good = as_good.filter(|r| r.0 <= best_rank * (1.0 + 1e-15));
            let second = as_good.map(|r| r.1).fold(f64::INFINITY, f64::min);
            assert!(
                (found - best_rank).abs() <= 1e-9 * best_rank
                    && rank(&point.cost).1 <= second * (1.0 + 1e-9),
                "{}\n{objective:?}: found {found}\n{}\n{:?}\nbest {best_rank}\n{}\n{:?}",
                context(),
                text::mapping(&einsum, &tree, &point.nest),
                point.cost,
                text::mapping(&einsum, &tree, &best.0),
                best.1,
            );
        }
        let mut front = Front::default();
        if search(&problem, &mut front, &mut |_| false).is_err() {
            continue;
        }
        for point in &front.points {
            for objective in OBJECTIVES {
                let mut target = Target {
                    objective,
                    energy_pj: point.cost.energy_pj,
                    cycles: point.cost.cycles,
                    is_reached: false,
                };
                let found = search(&problem, &mut target, &mut |_| false);
                assert!(
                    found.is_ok() && target.is_reached,
                    "bound for {objective:?}: {}\n{}\n{:?}",
                    context(),
                    text::mapping(&einsum, &tree, &point.nest),
                    point.cost,
                );
            }
        }
        for (nest, cost) in &all {
            let is_reached = front.points.iter().any(|p| {
                p.cost.energy_pj <= cost.energy_pj * (1.0 + 1e-9)
                    && p.cost.cycles <= cost.cycles * (1.0 + 1e-9)
            });
            assert!(
                is_reached,
                "{}\n{}\n{cost:?}",
                context(),
                text::mapping(&einsum, &tree, nest)
            );
        }
    }
    println!("{counted} problems, {without} of them without a nest that fits, {nests} nests");
}

/// Wants nothing but what is as good as a given point: a bound above that anywhere on the way to it loses it.
struct Target {
    objective: Objective,
    energy_pj: f64,
    cycles: f64,
    is_reached: bool,
}

impl Target {
    fn allows(&self, energy_pj: f64, cycles: f64) -> bool {
        energy_pj <= self.energy_pj * (1.0 + 1e-9) && cycles <= self.cycles * (1.0 + 1e-9)
    }
}

impl Goal for Target {
    fn rank(&self, energy_pj: f64, cycles: f64) -> (f64, f64) {
        self.objective.rank(energy_pj, cycles)
    }

    fn is_hopeless_rank(&self, rank: (f64, f64)) -> bool {
        rank.0 > self.rank(self.energy_pj, self.cycles).0 * (1.0 + 1e-9)
    }

    fn is_hopeless(&self, energy_pj: f64, cycles: f64) -> bool {
        !self.allows(energy_pj, cycles)
    }

    fn offer(&mut self, leaf: &Leaf<'_>) {
        let cost = leaf.count().cost;
        self.is_reached |= self.allows(cost.energy_pj, cost.cycles);
    }
}

/// Enumerates nests, whether they are any good or not.
struct Brute<'a> {
    problem: &'a Problem,
    sizes: Vec<Sizes>,
    nodes: &'a [Node],
    split: &'a Split,
    steps: Nest,
    tile: Vec<u64>,
    found: Vec<(Nest, Cost)>,
    counted: usize,
}

impl Brute<'_> {
    /// All nests that fit, with their costs; none if there are too many.
    fn all(problem: &Problem) -> Option<Vec<(Nest, Cost)>> {
        let mut found = Vec::new();
        let mut counted = 0;
        let splits = splits(problem, &mut |_| false).expect("nothing stops it");
        for nodes in &placements(problem).collect::<Vec<_>>() {
            for split in &splits {
                let sizes = problem.sizes.iter();
                let mut brute = Brute {
                    problem,
                    sizes: sizes
                        .map(|&n| Sizes::new(n, problem.model.perfect))
                        .collect(),
                    nodes,
                    split,
                    steps: Vec::new(),
                    tile: problem.sizes.clone(),
                    found: std::mem::take(&mut found),
                    counted,
                };
                let outermost: Vec<usize> = (0..nodes.len())
                    .filter(|&i| nodes[i].parent.is_none())
                    .collect();
                let mut placed = 0;
                for &index in &outermost {
                    brute.keep(index);
                    placed |= 1 << index;
                }
                brute.block(placed, 0, 0)?;
                (found, counted) = (brute.found, brute.counted);
            }
        }
        Some(found)
    }

    fn keep(&mut self, index: usize) {
        let Node {
            memory, operand, ..
        } = self.nodes[index];
        self.steps.push(Step::Keep { memory, operand });
    }

    /// More loops in this block, over ranks not yet `cut` in it, or its end.
    fn block(&mut self, placed: u32, fanouts: usize, cut: u32) -> Option<()> {
        for rank in 0..self.tile.len() {
            if cut >> rank & 1 == 1 {
                continue;
            }
            let tile = self.tile[rank];
            let from = self.sizes[rank].position(tile).expect("a possible size");
            for to in self.sizes[rank].cuts[from as usize].clone() {
                let smaller = self.sizes[rank].values[to as usize];
                self.tile[rank] = smaller;
                self.steps.push(Step::Time {
                    rank,
                    tile: smaller,
                });
                self.block(placed, fanouts, cut | 1 << rank)?;
                self.steps.pop();
                self.tile[rank] = tile;
            }
        }
        self.end_of_block(placed, fanouts)
    }

    fn end_of_block(&mut self, placed: u32, fanouts: usize) -> Option<()> {
        let open: Vec<usize> = (0..self.nodes.len())
            .filter(|i| placed >> i & 1 == 0)
            .collect();
        let depth = |i: &usize| self.problem.memories[self.nodes[*i].memory].below_fanouts;
        let Some(least) = open.iter().map(depth).min() else {
            let (mark, tile) = (self.steps.len(), self.tile.clone());
            let inside = fanouts..self.problem.fanouts.len();
            for rank in 0..self.tile.len() {
                // The innermost loop goes by what the copies take at once, be it one of the sizes or not.
                let copies = self.split.along(rank, inside.clone());
                if self.tile[rank] > copies {
                    self.tile[rank] = copies;
                    self.steps.push(Step::Time { rank, tile: copies });
                }
            }
            if self.cross(inside) && self.tile.iter().all(|t| *t == 1) {
                self.count()?;
            }
            self.steps.truncate(mark);
            self.tile = tile;
            return Some(());
        };
        for &index in &open {
            let node = self.nodes[index];
            let parent = node.parent.expect("outermost ones are placed");
            let ordered = !self.problem.model.ordered
                || open.iter().all(|i| self.nodes[*i].memory >= node.memory);
            if depth(&index) != least || placed >> parent & 1 == 0 || !ordered {
                continue;
            }
            let (mark, tile) = (self.steps.len(), self.tile.clone());
            if self.cross(fanouts..least) {
                self.keep(index);
                self.block(placed | 1 << index, least, 0)?;
            }
            self.steps.truncate(mark);
            self.tile = tile;
        }
        Some(())
    }

    /// Unrolls as the split says; false if there is not enough to unroll.
    fn cross(&mut self, fanouts: std::ops::Range<usize>) -> bool {
        for fanout in fanouts {
            for rank in 0..self.tile.len() {
                let copies = self.split.copies[fanout][rank];
                if copies == 1 {
                    continue;
                }
                let tile = self.tile[rank].div_ceil(copies);
                if self.tile[rank] < copies {
                    return false;
                }
                self.tile[rank] = tile;
                self.steps.push(Step::Space {
                    fanout,
                    rank,
                    copies,
                    tile,
                });
            }
        }
        true
    }

    fn count(&mut self) -> Option<()> {
        self.counted += 1;
        if self.counted > MOST {
            return None;
        }
        let cost = evaluate(self.problem, &self.steps);
        let held = held_bits(self.problem, &cost.accesses);
        let mut memories = self.problem.memories.iter().zip(held);
        if memories.all(|(m, held)| m.size_bits.is_none_or(|size| held <= size)) {
            self.found.push((self.steps.clone(), cost));
        }
        Some(())
    }
}

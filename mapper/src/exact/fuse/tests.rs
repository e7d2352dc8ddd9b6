//! The join against an exhaustive walk of small chains, written without bounds, keys or facts about good nests.

use std::rc::Rc;

use ir::tree::Tree;
use ir::workload::Workload;

use super::super::certificate::Certificate;
use super::super::cost::{evaluate, held_bits};
use super::super::goal::Goal;
use super::super::nest::{Step, tile};
use super::super::problem::Problem;
use super::super::search::{Frame, Leaf, Plan, Scope};
use super::super::space::{Node, splits};
use super::super::{Hooks, Mapped, Model, Objective, map, pareto};
use super::flow::Flow;
use super::hull::Aim;
use super::part::{Parts, Wanted};
use super::{Fused, FusionCertificate, fuse};

fn tree(size_bits: u64) -> Tree {
    let text = format!(
        r#"
format = 1
kind = "tree"
name = "small"
description = "one buffer and one multiplier"
clock_hz = 1_000_000
[[component]]
class = "memory"
name = "dram"
read_pj_per_bit = 10.0
write_pj_per_bit = 11.0
ports = [{{ bits_per_cycle = 8 }}]
[[component]]
class = "memory"
name = "buffer"
size_bits = {size_bits}
read_pj_per_bit = 0.1
write_pj_per_bit = 0.2
ports = [{{ bits_per_cycle = 64 }}]
[[component]]
class = "compute"
name = "mac"
pj_per_operation = 0.2
"#
    );
    ir::tree::read("small", &text).unwrap_or_else(|e| panic!("{e}"))
}

fn workload(einsums: &[(&str, &str)]) -> Workload {
    let mut text = "format = 1\nname = \"chain\"\n".to_owned();
    for (index, (equation, ranks)) in einsums.iter().enumerate() {
        text += &format!(
            "[[einsum]]\nname = \"e{index}\"\nequation = \"{equation}\"\nranks = {{ {ranks} }}\npartial_bits = 8\n"
        );
    }
    ir::workload::read("chain", &text).unwrap_or_else(|e| panic!("{e}"))
}

fn chain() -> Workload {
    workload(&[
        ("S[m, p] += Q[m, e] * K[p, e]", "m = 4, p = 4, e = 2"),
        ("O[n, f] += S[n, k] * V[k, f]", "n = 4, k = 4, f = 2"),
    ])
}

fn fused(workload: &Workload, tree: &Tree, model: Model, objective: Objective) -> Fused {
    let fused = fuse(workload, tree, model, objective, &Hooks::default());
    fused
        .unwrap_or_else(|e| panic!("{e}"))
        .expect("a search that is not stopped finds a schedule")
}

/// All nests that begin with `steps`, with `open` operands still to be kept in the buffer.
fn walk(problem: &Problem, steps: &mut Vec<Step>, open: &[usize], offer: &mut dyn FnMut(&[Step])) {
    let tile = tile(problem, &*steps);
    if open.is_empty() && tile.iter().all(|t| *t == 1) {
        return offer(steps);
    }
    for (at, operand) in open.iter().enumerate() {
        let left: Vec<usize> = open
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != at)
            .map(|(_, o)| *o)
            .collect();
        steps.push(Step::Keep {
            memory: 1,
            operand: *operand,
        });
        walk(problem, steps, &left, offer);
        steps.pop();
    }
    for (rank, size) in tile.iter().enumerate() {
        for piece in (1..*size).filter(|t| size % t == 0) {
            steps.push(Step::Time { rank, tile: piece });
            walk(problem, steps, open, offer);
            steps.pop();
        }
    }
}

/// The costs of einsum `index` that no other beats, with `S` exchanged below `loops` and others held at the given depths.
fn costs(
    workload: &Workload,
    tree: &Tree,
    index: usize,
    loops: &[(usize, u64)],
    held: &[Option<usize>],
    taken: u64,
) -> Vec<(f64, f64)> {
    let shared = if index == 0 { 2 } else { 0 };
    let mut problem = Problem::new(&workload.einsums[index], tree, Model::ACCELFORGE);
    problem.exchange(shared, 1, 8);
    let free: Vec<usize> = (0..3)
        .filter(|o| *o != shared && held[*o].is_none())
        .collect();
    for depth in 0..=loops.len() {
        if depth == loops.len() {
            problem.outer.push(Step::Keep {
                memory: 1,
                operand: shared,
            });
        }
        for operand in (0..3).filter(|o| held[*o] == Some(depth)) {
            problem.outer.push(Step::Keep { memory: 1, operand });
        }
        if let Some(&(rank, tile)) = loops.get(depth) {
            problem.outer.push(Step::Time { rank, tile });
        }
    }
    let roots = (0..3).filter(|o| *o != shared);
    let mut steps: Vec<Step> = roots
        .map(|operand| Step::Keep { memory: 0, operand })
        .collect();
    steps.extend(problem.outer.clone());
    let mut found: Vec<(f64, f64)> = Vec::new();
    walk(&problem, &mut steps, &free, &mut |nest| {
        let cost = evaluate(&problem, nest);
        let held = held_bits(&problem, &cost.accesses)[1];
        let size = problem.memories[1].size_bits;
        let cost = (cost.energy_pj, cost.cycles);
        let beats = |a: (f64, f64), b: (f64, f64)| a.0 <= b.0 && a.1 <= b.1;
        if held + taken <= size.expect("the buffer has a size")
            && !found.iter().any(|known| beats(*known, cost))
        {
            found.retain(|known| !beats(cost, *known));
            found.push(cost);
        }
    });
    found
}

/// The bits of held operands of einsum `index`, that the other einsum finds taken.
fn taken(workload: &Workload, index: usize, loops: &[(usize, u64)], held: &[Option<usize>]) -> u64 {
    let einsum = &workload.einsums[index];
    let bits = |operand: usize, depth: usize| {
        let tile = |name: &str| {
            let rank = einsum
                .ranks
                .iter()
                .position(|r| r.name == name)
                .expect("a rank");
            let inner = loops[..depth].iter().rfind(|l| l.0 == rank);
            inner.map_or(einsum.ranks[rank].size, |l| l.1)
        };
        let extents = einsum.operands[operand]
            .dimensions
            .iter()
            .map(|d| d.extent(tile));
        extents.product::<u64>() * 8
    };
    (0..3)
        .filter_map(|o| held[o].map(|depth| bits(o, depth)))
        .sum()
}

fn exhaustive(workload: &Workload, tree: &Tree, objective: Objective) -> f64 {
    let least = |of: &[Vec<(f64, f64)>; 2]| {
        let sums = of[0]
            .iter()
            .flat_map(|a| of[1].iter().map(|b| (a.0 + b.0, a.1 + b.1)));
        sums.map(|sum| objective.rank(sum.0, sum.1).0)
            .fold(f64::INFINITY, f64::min)
    };
    let alone = [0, 1].map(|index| {
        let einsum = &workload.einsums[index];
        let found = pareto(einsum, tree, Model::ACCELFORGE, &mut |_| false);
        let cost = |found: &Mapped| (found.cost.energy_pj, found.cost.cycles);
        found.map_or(Vec::new(), |(found, _)| found.iter().map(cost).collect())
    });
    let mut best = least(&alone);
    let mut lists: Vec<Vec<(usize, u64)>> = vec![vec![]];
    for tile in [1, 2] {
        lists.extend([vec![(0, tile)], vec![(1, tile)]]);
        for other in [1, 2] {
            lists.extend([vec![(0, tile), (1, other)], vec![(1, tile), (0, other)]]);
        }
    }
    for loops in lists {
        let depths: Vec<Option<usize>> = [None]
            .into_iter()
            .chain((0..loops.len()).map(Some))
            .collect();
        let pairs: Vec<_> = depths
            .iter()
            .flat_map(|a| depths.iter().map(move |b| (*a, *b)))
            .collect();
        for &(q, k) in &pairs {
            for &(v, o) in &pairs {
                let (first, second) = ([q, k, None], [None, v, o]);
                let other = [
                    taken(workload, 1, &loops, &second),
                    taken(workload, 0, &loops, &first),
                ];
                let both = [
                    costs(workload, tree, 0, &loops, &first, other[0]),
                    costs(workload, tree, 1, &loops, &second, other[1]),
                ];
                best = best.min(least(&both));
            }
        }
    }
    best
}

#[test]
fn the_join_finds_what_an_exhaustive_walk_finds() {
    for objective in [
        Objective::Energy,
        Objective::Latency,
        Objective::EnergyDelay,
    ] {
        for values in [4, 6, 8, 11, 14, 18, 24, 40, 64] {
            let (workload, tree) = (chain(), tree(values * 8));
            let found = fused(&workload, &tree, Model::ACCELFORGE, objective);
            let found = objective.rank(found.energy_pj, found.cycles).0;
            let expected = exhaustive(&workload, &tree, objective);
            assert!(
                (found - expected).abs() <= 1e-9 * expected,
                "{objective:?} {values}: {found} {expected}"
            );
        }
    }
}

#[test]
fn einsums_that_exchange_nothing_are_mapped_alone() {
    let chain = workload(&[
        ("S[m, p] += Q[m, e] * K[p, e]", "m = 8, p = 6, e = 4"),
        ("O[n, f] += I[n, k] * V[k, f]", "n = 8, k = 6, f = 2"),
    ]);
    let tree = tree(256);
    for model in [Model::MACHINE, Model::ACCELFORGE] {
        let found = fused(&chain, &tree, model, Objective::Energy);
        let alone = |e| {
            map(e, &tree, model, Objective::Energy, &mut |_| false)
                .ok()
                .and_then(|f| f.best)
        };
        let alone: f64 = chain
            .einsums
            .iter()
            .map(|e| alone(e).expect("it fits").cost.energy_pj)
            .sum();
        assert!((found.energy_pj - alone).abs() <= 1e-9 * alone);
    }
}

/// `S` is read by the last einsum too, so its tile lives through the middle one.
#[test]
fn room_is_taken_while_a_tensor_lives() {
    let chain = workload(&[
        ("S[m] = Q[m]", "m = 4"),
        ("T[m] = S[m]", "m = 4"),
        ("U[m] = T[m]", "m = 4"),
        ("Y[m] = U[m] * S[m]", "m = 4"),
    ]);
    // One value of S beside one of T and one of U, below a loop over m.
    let enough = fused(&chain, &tree(24), Model::ACCELFORGE, Objective::Energy);
    assert_eq!(enough.outermost_bits, 2 * 4 * 8);
    assert!(enough.steps.iter().all(|s| s.shared_loops == 1));
    // Y needs room for three operands anyway; with a second reader of T more is alive in the step of U.
    let wide = workload(&[
        ("S[m] = Q[m]", "m = 4"),
        ("T[m] = S[m]", "m = 4"),
        ("U[m] = T[m]", "m = 4"),
        ("R[m] = U[m] * T[m]", "m = 4"),
        ("Y[m] = R[m] * S[m]", "m = 4"),
    ]);
    let tight = fused(&wide, &tree(24), Model::ACCELFORGE, Objective::Energy);
    let room = fused(&wide, &tree(32), Model::ACCELFORGE, Objective::Energy);
    assert_eq!(room.outermost_bits, 2 * 4 * 8);
    assert!(tight.outermost_bits > room.outermost_bits);
}

const ARRAY: &str = r#"
format = 1
kind = "tree"
name = "array"
description = "two buffers above an array with registers"
clock_hz = 1_000_000
[[component]]
class = "memory"
name = "dram"
read_pj_per_bit = 10.0
write_pj_per_bit = 11.0
ports = [{ bits_per_cycle = 8 }]
[[component]]
class = "memory"
name = "buffer"
size_bits = 400
keeps = ["input", "output"]
double_buffered = true
read_pj_per_bit = 0.5
write_pj_per_bit = 0.6
ports = [{ bits_per_cycle = 16 }]
[[component]]
class = "memory"
name = "weights"
size_bits = 200
keeps = ["weights"]
may_bypass = ["weights"]
read_pj_per_bit = 0.5
write_pj_per_bit = 0.6
ports = [{ bits_per_cycle = 16 }]
[[component]]
class = "fanout"
name = "columns"
size = 2
[[component]]
class = "fanout"
name = "rows"
size = 2
[[component]]
class = "memory"
name = "registers"
size_bits = 48
keeps = ["weights", "output"]
may_bypass = ["output"]
read_pj_per_bit = 0.01
write_pj_per_bit = 0.02
ports = [{ bits_per_cycle = 16 }]
[[component]]
class = "compute"
name = "mac"
pj_per_operation = 0.2
"#;

/// Keeps the best of all nests, and prunes none.
struct All {
    objective: Objective,
    rank: Option<(f64, f64)>,
}

impl Goal for All {
    fn rank(&self, energy_pj: f64, cycles: f64) -> (f64, f64) {
        self.objective.rank(energy_pj, cycles)
    }

    fn is_hopeless_rank(&self, _: (f64, f64)) -> bool {
        false
    }

    fn is_hopeless(&self, _: f64, _: f64) -> bool {
        false
    }

    fn offer(&mut self, leaf: &Leaf<'_>) {
        let point = leaf.count();
        let cost = &point.cost;
        let rank = self.rank(cost.energy_pj, cost.cycles);
        let (energy, cycles) = leaf.bound;
        let is_least =
            energy <= cost.energy_pj * (1.0 + 1e-9) && cycles <= cost.cycles * (1.0 + 1e-9);
        assert!(is_least, "{:?} is no bound of {cost:?}", leaf.bound);
        if self.rank.is_none_or(|best| rank < best) {
            self.rank = Some(rank);
        }
    }
}

/// Below any shared loops the refined bounds of choices lose nothing that walks of all of them find.
#[test]
fn bounds_below_shared_loops_are_admissible() {
    let tree = ir::tree::read("array", ARRAY).unwrap_or_else(|e| panic!("{e}"));
    let gemm = workload(&[("O[m, n] += I[m, k] * W[k, n]", "m = 6, n = 4, k = 8")]);
    let time = |rank, tile| Step::Time { rank, tile };
    let keep = |memory, operand| Step::Keep { memory, operand };
    let outers = [
        vec![time(0, 2), keep(1, 2)],
        vec![time(0, 3), time(1, 2), keep(1, 2)],
        vec![time(1, 1), keep(1, 2)],
        vec![keep(1, 0), time(1, 2), keep(1, 2)],
        vec![time(1, 2), keep(2, 1), time(0, 2), keep(1, 2)],
        vec![keep(2, 1), time(0, 1), keep(1, 2)],
    ];
    for (model, objective) in [Model::MACHINE, Model::ACCELFORGE]
        .iter()
        .flat_map(|model| {
            [Objective::Energy, Objective::Latency].map(|objective| (*model, objective))
        })
    {
        for outer in &outers {
            for reserved in [0, 100] {
                let mut problem = Problem::new(&gemm.einsums[0], &tree, model);
                problem.exchange(2, 1, 8);
                for memory in &mut problem.memories[1..2] {
                    memory.size_bits = memory.size_bits.map(|size| size - reserved);
                }
                let mut stop = |_| false;
                let splits = splits(&problem, &mut stop).expect("nothing stops it");
                let plan = Plan::new(&problem, Rc::new(splits), &mut stop);
                let plan = plan.expect("nothing stops it");
                problem.outer.clone_from(outer);
                let is_kept = |nodes: &[Node]| {
                    outer.iter().all(|step| match *step {
                        Step::Keep { memory, operand } => nodes
                            .iter()
                            .any(|n| (n.memory, n.operand) == (memory, operand)),
                        _ => true,
                    })
                };
                let mut all = All {
                    objective,
                    rank: None,
                };
                for choice in &plan.choices {
                    let frame = Frame {
                        problem: &problem,
                        sizes: &plan.sizes,
                        nodes: &plan.placements[choice.placement],
                        split: &plan.splits[choice.split],
                        registers: &[],
                        limit: f64::INFINITY,
                    };
                    if is_kept(frame.nodes) {
                        let mut counts = Certificate::default();
                        frame.walk(Scope::All, &mut all, &mut |_| false, &mut counts);
                    }
                }
                let mut parts = Parts::new(&gemm, &tree, model, Aim::new(objective));
                let flow = Flow {
                    producer: 0,
                    consumers: Vec::new(),
                    memory: Some(1),
                    n_values: 24,
                    bits: 8,
                };
                let part = parts.exchanging(0, std::iter::once(&flow), &mut |_| false);
                let part = part.expect("nothing stops it");
                let found = parts.parts[part].search(
                    outer,
                    &[0, reserved, 0, 0],
                    Wanted {
                        is_hopeless: &|_, _| false,
                        most: f64::INFINITY,
                    },
                    &mut FusionCertificate::default(),
                    &mut |_| false,
                );
                let ranks = found
                    .corners()
                    .iter()
                    .map(|c| objective.rank(c.energy, c.cycles));
                let expected = all.rank;
                assert_eq!(
                    ranks.collect::<Vec<_>>(),
                    Vec::from_iter(expected),
                    "{model:?} {objective:?} {outer:?}"
                );
            }
        }
    }
}

/// With other names of ranks nothing is found to be equal, and all is searched anew.
#[test]
fn what_is_equal_is_found_again() {
    let one = ("T[m, p] += S[m, k] * K[k, p]", "m = 4, p = 4, k = 4");
    let two = ("U[m, p] += T[m, k] * L[k, p]", "m = 4, p = 4, k = 4");
    let three = ("V[m, p] += U[m, k] * M[k, p]", "m = 4, p = 4, k = 4");
    let other = ("U[a, b] += T[a, c] * L[c, b]", "a = 4, b = 4, c = 4");
    let last = ("V[d, e] += U[d, f] * M[f, e]", "d = 4, e = 4, f = 4");
    for objective in [
        Objective::Energy,
        Objective::Latency,
        Objective::EnergyDelay,
    ] {
        for values in [8, 16, 24, 40, 56, 80] {
            let cost = |einsums: &[(&str, &str)]| {
                let found = fused(
                    &workload(einsums),
                    &tree(values * 8),
                    Model::MACHINE,
                    objective,
                );
                objective.rank(found.energy_pj, found.cycles).0
            };
            let (equal, different) = (cost(&[one, two, three]), cost(&[one, other, last]));
            assert!(
                (equal - different).abs() <= 1e-9 * different,
                "{objective:?} {values}: {equal} {different}"
            );
        }
    }
}

#[test]
fn the_same_schedule_every_time() {
    let text = |f: &Fused| {
        f.steps
            .iter()
            .map(|s| s.mapping.to_string())
            .collect::<Vec<_>>()
    };
    let run = || fused(&chain(), &tree(160), Model::MACHINE, Objective::EnergyDelay);
    let (a, b) = (run(), run());
    assert_eq!(text(&a), text(&b));
    assert_eq!(a.certificate, b.certificate);
}

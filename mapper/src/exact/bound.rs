//! The cost of a nest as a linear form in its fills, which is what makes lower bounds cheap.
//!
//! With the memories and the unrolling decided, energy and the load of each port are a constant plus, for each node, a
//! coefficient times each of two numbers: the values that are *filled* into its tiles, over all copies, and those that
//! are *seen* by the memory above it, where copies that share a value count once.
//! Both only grow as loops are added above a node, so the form at what is known so far is a lower bound of every
//! completion; at a finished nest with perfect factors it is the cost that [`super::cost`] counts.
//! Both are given per copy on average, so that one number bounds them as long as a node is not placed.

use ir::fit::Fit;
use std::collections::BTreeMap;
use std::ops::Range;

use super::problem::{Mask, Memory, Problem, Width, members};
use super::space::{Node, Split};

/// Sums that are made side by side.
const LANES: usize = 8;

/// The most nodes of a placement, together with operands.
pub(crate) const MAX_NODES: usize = 28;

/// What moves between each node and the memory above it.
#[derive(Clone, Copy)]
pub(crate) struct Traffic {
    /// Values filled over all copies, divided by `Form::copies`.
    pub(super) filled: [f64; MAX_NODES],
    /// Values seen by the memory above, divided by `Form::seen`.
    pub(super) seen: [f64; MAX_NODES],
}

impl Traffic {
    /// At least `least` of each node, both filled and seen.
    pub(crate) fn at_least(least: &[f64]) -> Traffic {
        let mut filled = [0.0; MAX_NODES];
        filled[..least.len()].copy_from_slice(least);
        Traffic {
            filled,
            seen: filled,
        }
    }

    /// Whether nothing of it is less than of `other`.
    pub(super) fn covers(&self, other: &Traffic) -> bool {
        let covers = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| a >= b);
        covers(&self.filled, &other.filled) && covers(&self.seen, &other.seen)
    }

    /// At least `values` of node `index`.
    pub(super) fn set(&mut self, index: usize, values: f64) {
        (self.filled[index], self.seen[index]) = (values, values);
    }

    /// `ratio` times as much of node `index`.
    pub(super) fn scale(&mut self, index: usize, ratio: f64) {
        self.filled[index] *= ratio;
        self.seen[index] *= ratio;
    }
}

/// Energy and cycles from traffic.
pub(crate) struct Form {
    energy: f64,
    energy_of: Vec<Of>,
    /// Cycles of compute, whatever the loops.
    pub(super) compute: f64,
    ports: Vec<Line>,
    /// Cycles in which compute waits for a memory that is not double-buffered.
    exposed: Vec<f64>,
    /// The energy, the cycles in which compute waits, and the cycles of each port, side by side: first what is
    /// constant, then what each node from `first` on adds per value filled and per value seen.
    rows: Vec<[f64; LANES]>,
    /// Nodes before this one have no traffic: they are outermost.
    first: usize,
    /// Operands of which edge tiles ask for more than whole ones.
    pub(super) ragged: Vec<Ragged>,
    /// Cycles per bit of a first or last tile, for each memory.
    ends: Vec<f64>,
    /// Copies of a value that each node holds, on average.
    pub(super) copies: Vec<f64>,
    /// How many of them the memory above serves apart.
    pub(super) seen: Vec<f64>,
}

/// An operand of which copies along some ranks share what compute asks for. Where a tile does not fill them all, fewer
/// share; what is asked for beyond whole tiles is as the fills of one more node.
pub(super) struct Ragged {
    /// The position of that node.
    pub(super) at: usize,
    /// Ranks along which all copies share.
    pub(super) ranks: Mask,
    /// Values that are asked for, divided by the cycles of compute along each of these ranks.
    pub(super) per_cycle: f64,
    /// The least that is asked for, which is counted as a constant.
    pub(super) least: f64,
}

/// What a node adds per value filled and per value seen.
#[derive(Clone, Copy, Default)]
struct Of {
    filled: f64,
    seen: f64,
}

impl Of {
    /// What is added per value that is filled and seen.
    fn sum(&self) -> f64 {
        self.filled + self.seen
    }

    fn add(&mut self, other: Of, factor: f64) {
        self.filled += other.filled * factor;
        self.seen += other.seen * factor;
    }
}

/// One sum, such as the cycles of a port.
#[derive(Clone)]
struct Line {
    constant: f64,
    of: Vec<Of>,
}

impl Line {
    /// Whether this is at least `other`, whatever the traffic.
    fn covers(&self, other: &Line) -> bool {
        let mut of = self.of.iter().zip(&other.of);
        self.constant >= other.constant && of.all(|(a, b)| a.filled >= b.filled && a.seen >= b.seen)
    }
}

/// What one node adds, per value of traffic.
#[derive(Clone, Copy, Default)]
struct Per {
    constant: f64,
    of: Of,
}

impl Form {
    pub(crate) fn new(problem: &Problem, nodes: &[Node], split: &Split) -> Form {
        let mut form = Form::of(problem, nodes, split, |_| true);
        form.energy += problem.n_operations() as f64 * problem.pj_per_operation;
        if !problem.model.perfect {
            for node in nodes.iter().filter(|node| node.is_lowest) {
                form.add_ragged(problem, split, node);
            }
        }
        form.drop_idle_ports();
        form.align();
        form
    }

    /// Arranges all that bounds sum up side by side.
    fn align(&mut self) {
        let of = |filled: &f64| Of {
            filled: *filled,
            seen: 0.0,
        };
        let energy = Line {
            constant: self.energy,
            of: self.energy_of.clone(),
        };
        let waits = Line {
            constant: 0.0,
            of: self.exposed.iter().map(of).collect(),
        };
        let mut lines = vec![energy, waits];
        lines.extend_from_slice(&self.ports);
        for lines in lines.chunks(LANES) {
            let row = |of: &dyn Fn(&Line) -> f64| {
                let mut row = [0.0; LANES];
                row.iter_mut().zip(lines).for_each(|(to, l)| *to = of(l));
                row
            };
            self.rows.push(row(&|line| line.constant));
            for index in self.first..self.energy_of.len() {
                self.rows.push(row(&|line| line.of[index].filled));
                self.rows.push(row(&|line| line.of[index].seen));
            }
        }
    }

    /// What those of `nodes` add that are `wanted`; each memory has its ports one after the other.
    fn of(
        problem: &Problem,
        nodes: &[Node],
        split: &Split,
        wanted: impl Fn(&Node) -> bool,
    ) -> Form {
        let copies = |node: &Node| {
            let here = problem.memories[node.memory].below_fanouts;
            other_copies(problem, split, node.operand, 0..here)
        };
        let seen = |node: &Node| match node.parent {
            Some(parent) => {
                let depth = |memory: usize| problem.memories[memory].below_fanouts;
                let (there, here) = (depth(nodes[parent].memory), depth(node.memory));
                seen_copies(problem, split, node.operand, there, here)
            }
            None => 0.0,
        };
        let ends = |memory: &Memory| match memory.write_bits_per_cycle() {
            write if problem.model.phases && write > 0.0 => 1.0 / write,
            _ => 0.0,
        };
        let n_ports = problem.memories.iter().map(|m| m.ports.len()).sum();
        let mut form = Form {
            energy: 0.0,
            energy_of: vec![Of::default(); nodes.len()],
            compute: compute_cycles(problem, split),
            ports: vec![
                Line {
                    constant: 0.0,
                    of: vec![Of::default(); nodes.len()],
                };
                n_ports
            ],
            exposed: vec![0.0; nodes.len()],
            rows: Vec::new(),
            first: nodes.iter().take_while(|n| n.parent.is_none()).count(),
            ragged: Vec::new(),
            ends: problem.memories.iter().map(ends).collect(),
            copies: nodes.iter().map(copies).collect(),
            seen: nodes.iter().map(seen).collect(),
        };
        for (index, node) in nodes.iter().enumerate() {
            if wanted(node) {
                form.add(problem, nodes, split, index);
            }
        }
        form
    }

    /// A lower bound of energy in pJ and of cycles, for nodes with at least this traffic, whatever the loops.
    pub(crate) fn least(&self, traffic: &[f64]) -> (f64, f64) {
        let traffic = Traffic::at_least(traffic);
        self.bound(&traffic, &traffic, self.compute)
    }

    /// The same for the larger of two in each number of traffic, where compute takes at
    /// least `compute` cycles.
    pub(crate) fn bound(&self, one: &Traffic, other: &Traffic, compute: f64) -> (f64, f64) {
        let n_nodes = self.energy_of.len() - self.first;
        let mut cycles: f64 = 0.0;
        let mut first = None;
        for rows in self.rows.chunks_exact(1 + 2 * n_nodes) {
            let mut sums = rows[0];
            for (at, of) in rows[1..].chunks_exact(2).enumerate() {
                let index = self.first + at;
                let filled = one.filled[index].max(other.filled[index]);
                let seen = one.seen[index].max(other.seen[index]);
                for lane in 0..LANES {
                    sums[lane] += of[0][lane] * filled + of[1][lane] * seen;
                }
            }
            let ports = match first {
                None => {
                    first = Some((sums[0], compute + sums[1]));
                    &sums[2..]
                }
                Some(_) => &sums,
            };
            cycles = ports.iter().copied().fold(cycles, f64::max);
        }
        let (energy, busy) = first.expect("energy is always there");
        (energy, cycles.max(busy))
    }

    /// Cycles in which a first or last tile of `bits` moves into or out of `memory`, beside all others.
    pub(crate) fn ends(&self, memory: usize, bits: u64) -> f64 {
        bits as f64 * self.ends[memory]
    }

    /// Drops ports that are never busier than another one or than compute.
    fn drop_idle_ports(&mut self) {
        let mut ports: Vec<Line> = Vec::with_capacity(self.ports.len());
        for port in self.ports.drain(..) {
            let is_idle = port.constant <= self.compute
                && port.of.iter().all(|of| of.filled <= 0.0 && of.seen <= 0.0);
            if is_idle || ports.iter().any(|other| other.covers(&port)) {
                continue;
            }
            ports.retain(|other| !port.covers(other));
            ports.push(port);
        }
        self.ports = ports;
    }

    /// Adds what `memory` reads and writes on account of node `of`.
    fn charge(
        &mut self,
        problem: &Problem,
        split: &Split,
        of: usize,
        memory: usize,
        reads: Per,
        writes: Per,
    ) {
        let component = &problem.memories[memory];
        let copies = split.used(0..component.below_fanouts) as f64;
        self.energy += reads.constant * component.read_pj + writes.constant * component.write_pj;
        self.energy_of[of].add(reads.of, component.read_pj);
        self.energy_of[of].add(writes.of, component.write_pj);
        let ports_above = problem.memories[..memory].iter().map(|m| m.ports.len());
        let lines = self.ports[ports_above.sum()..].iter_mut();
        for (port, line) in component.ports.iter().zip(lines) {
            for (does, per) in [(port.reads, reads), (port.writes, writes)] {
                if does {
                    line.constant += per.constant / copies / port.bits_per_cycle;
                    line.of[of].add(per.of, 1.0 / copies / port.bits_per_cycle);
                }
            }
        }
    }

    /// Adds what edge tiles ask of the lowest `node` of an operand beyond whole ones, if that can be told from the cycles
    /// of compute.
    fn add_ragged(&mut self, problem: &Problem, split: &Split, node: &Node) {
        let here = problem.memories[node.memory].below_fanouts;
        let below = here..problem.fanouts.len();
        let shares = |f: usize| problem.fanouts[f].shares >> node.operand & 1 == 1;
        let is_shared = |rank: &usize| {
            let copies = |f: usize| split.copies[f][*rank];
            let all = (0..problem.fanouts.len())
                .all(|f| below.contains(&f) && shares(f) || copies(f) == 1);
            all && split.along(*rank, below.clone()) > 1
        };
        let ranks = other_ranks(problem, node.operand).filter(is_shared);
        let ranks = ranks.fold(0, |mask, rank| mask | 1 << rank);
        if ranks == 0 {
            return;
        }
        let least = asked(problem, split, node.operand, below);
        let cycles = |rank: usize| {
            problem.sizes[rank].div_ceil(split.along(rank, 0..problem.fanouts.len())) as f64
        };
        self.ragged.push(Ragged {
            at: self.energy_of.len(),
            ranks,
            per_cycle: least / members(ranks).map(cycles).product::<f64>(),
            least,
        });
        self.energy_of.push(Of::default());
        self.exposed.push(0.0);
        for line in &mut self.ports {
            line.of.push(Of::default());
        }
        let width = problem.memories[node.memory].bits[node.operand];
        let per = |bits: u64| Per {
            constant: 0.0,
            of: Of {
                filled: bits as f64,
                seen: 0.0,
            },
        };
        let written = match (problem.operands[node.operand].is_output, node.parent) {
            (false, _) => 0,
            (true, None) if !problem.model.wide_spills => width.complete,
            (true, _) => width.partial,
        };
        let at = self.energy_of.len() - 1;
        self.charge(
            problem,
            split,
            at,
            node.memory,
            per(width.partial),
            per(written),
        );
    }

    /// Adds what node `index` does, and what it makes the memory above it do.
    fn add(&mut self, problem: &Problem, nodes: &[Node], split: &Split, index: usize) {
        let node = nodes[index];
        let operand = &problem.operands[node.operand];
        let memory = &problem.memories[node.memory];
        let width = memory.bits[node.operand];
        let here = memory.below_fanouts;
        let n_values = operand.n_values as f64;
        let spill = |width: Width| if problem.model.wide_spills { width.partial } else { width.complete } as f64;
        // Per value of traffic: values into all copies here, and values that the memory above sees.
        let (fills, seen) = (self.copies[index], self.seen[index]);
        let mut charge = |of: usize, memory: usize, reads: Per, writes: Per| {
            self.charge(problem, split, of, memory, reads, writes);
        };
        let constant = |constant: f64| Per {
            constant,
            of: Of::default(),
        };
        let per = |constant: f64, filled: f64, seen: f64| Per {
            constant,
            of: Of { filled, seen },
        };
        if node.is_lowest {
            let first = first_terms(problem, split, node.operand, here..problem.fanouts.len());
            let asked = asked(problem, split, node.operand, here..problem.fanouts.len());
            if !operand.is_output {
                charge(
                    index,
                    node.memory,
                    constant(asked * width.partial as f64),
                    Per::default(),
                );
            } else if node.parent.is_none() {
                let writes = n_values * width.complete as f64 + (asked - n_values) * spill(width);
                charge(
                    index,
                    node.memory,
                    constant((asked - first * n_values) * width.partial as f64),
                    constant(writes),
                );
            } else {
                let bits = asked * width.partial as f64;
                charge(index, node.memory, constant(bits), constant(bits));
            }
        }
        let Some(parent) = node.parent else { return };
        let above = nodes[parent].memory;
        let up = problem.memories[above].bits[node.operand];
        let there = problem.memories[above].below_fanouts;
        if !operand.is_output {
            charge(
                index,
                node.memory,
                Per::default(),
                per(0.0, fills * width.partial as f64, 0.0),
            );
            charge(
                index,
                above,
                per(0.0, 0.0, seen * up.partial as f64),
                Per::default(),
            );
        } else {
            // The innermost memory reads an old value for each term, or the value on its way out, but for first terms.
            let first = first_terms(problem, split, node.operand, here..problem.fanouts.len());
            let (drains, again) = match node.is_lowest {
                false => (fills * width.partial as f64, 0.0),
                true => (
                    (1.0 - first) * fills * width.partial as f64,
                    first * width.partial as f64,
                ),
            };
            // Old values that come back here, and that are read above, per value filled and seen, less those that
            // start.
            let partial = width.partial as f64;
            let ((filled, back, starts), (read, starts_above)) = if problem.model.free_first_terms {
                ((fills, 0.0, fills), (seen, seen))
            } else {
                // Where copies above are summed, all but one of them start anew: at least this part of what is seen.
                let least = seen / shared_copies(problem, split, node.operand, 0..there);
                ((0.0, least, 1.0), (least, 1.0))
            };
            charge(
                index,
                node.memory,
                per(
                    -n_values * starts * again,
                    drains + filled * again,
                    back * again,
                ),
                per(
                    -n_values * starts * partial,
                    filled * partial,
                    back * partial,
                ),
            );
            let complete = if nodes[parent].parent.is_none() {
                up.complete as f64
            } else {
                spill(up)
            };
            charge(
                index,
                above,
                per(-n_values * starts_above * spill(up), 0.0, read * spill(up)),
                per(n_values * (complete - spill(up)), 0.0, seen * spill(up)),
            );
        }
        let write = memory.write_bits_per_cycle();
        if problem.model.phases
            && memory.size_bits.is_some()
            && !memory.double_buffered
            && write > 0.0
            && !operand.is_output
        {
            self.exposed[index] = fills * width.partial as f64 / split.used(0..here) as f64 / write;
        }
    }
}

/// The least that each unrolling allows, for one choice of what is kept where.
///
/// What an operand adds depends on the copies along the ranks that do not index it alone, of which there are few: its
/// *parts*. A part has the energy, and for each memory the cycles of its ports and those in which compute waits for it, of
/// all its copies; each is a constant and what it is per value of traffic of each node of the operand.
pub(crate) struct Bounds {
    /// The energy of compute.
    energy: f64,
    /// The nodes of each operand.
    nodes: Vec<Vec<usize>>,
    /// The parts of each operand, one after the other, each line by line.
    parts: Vec<Vec<f64>>,
    /// For each unrolling the part of each operand.
    part_of: Vec<u32>,
    /// For each unrolling the copies of each memory.
    copies: Vec<f64>,
    /// For each unrolling the cycles of compute.
    compute: Vec<f64>,
    /// The ports of each memory.
    n_ports: Vec<usize>,
}

/// What the parts of each operand add at some traffic, one after the other.
pub(crate) struct Added(Vec<Vec<f64>>);

impl Bounds {
    /// Of all `splits`, with what `nodes` says kept.
    pub(crate) fn new(problem: &Problem, nodes: &[Node], splits: &[Split]) -> Bounds {
        let nodes_of = |operand: usize| {
            let all = nodes.iter().enumerate().filter(|n| n.1.operand == operand);
            all.map(|(index, _)| index).collect()
        };
        let mut bounds = Bounds {
            energy: problem.n_operations() as f64 * problem.pj_per_operation,
            nodes: (0..problem.operands.len()).map(nodes_of).collect(),
            parts: vec![Vec::new(); problem.operands.len()],
            part_of: Vec::with_capacity(splits.len() * problem.operands.len()),
            copies: Vec::with_capacity(splits.len() * problem.memories.len()),
            compute: Vec::with_capacity(splits.len()),
            n_ports: problem.memories.iter().map(|m| m.ports.len()).collect(),
        };
        let mut known: Vec<BTreeMap<Vec<u64>, u32>> = vec![BTreeMap::new(); bounds.nodes.len()];
        let mut key = Vec::new();
        for split in splits {
            for (operand, known) in known.iter_mut().enumerate() {
                key.clear();
                for copies in &split.copies {
                    key.extend(other_ranks(problem, operand).map(|rank| copies[rank]));
                }
                let part = known.get(&key).copied().unwrap_or_else(|| {
                    bounds.add(problem, nodes, split, operand);
                    known.insert(key.clone(), known.len().fit::<u32>());
                    known.len().fit::<u32>() - 1
                });
                bounds.part_of.push(part);
            }
            let copies = |m: &Memory| split.used(0..m.below_fanouts) as f64;
            bounds.copies.extend(problem.memories.iter().map(copies));
            bounds.compute.push(compute_cycles(problem, split));
        }
        bounds
    }

    /// Adds a part of `operand`.
    fn add(&mut self, problem: &Problem, nodes: &[Node], split: &Split, operand: usize) {
        let form = Form::of(problem, nodes, split, |n| n.operand == operand);
        let (part, nodes_of) = (&mut self.parts[operand], &self.nodes[operand]);
        part.push(form.energy);
        part.extend(nodes_of.iter().map(|i| form.energy_of[*i].sum()));
        let mut ports = form.ports.iter();
        for (index, memory) in problem.memories.iter().enumerate() {
            let copies = split.used(0..memory.below_fanouts) as f64;
            for line in ports.by_ref().take(memory.ports.len()) {
                part.push(line.constant * copies);
                part.extend(nodes_of.iter().map(|i| line.of[*i].sum() * copies));
            }
            part.push(0.0);
            part.extend(nodes_of.iter().map(|i| match nodes[*i].memory == index {
                true => form.exposed[*i] * copies,
                false => 0.0,
            }));
        }
    }

    /// The lines of a part.
    fn n_lines(&self) -> usize {
        1 + self.n_ports.iter().map(|ports| ports + 1).sum::<usize>()
    }

    /// What each part adds at `traffic` of each node.
    pub(crate) fn added(&self, traffic: &[f64]) -> Added {
        let of_operand = |(parts, nodes): (&Vec<f64>, &Vec<usize>)| {
            let lines = parts.chunks_exact(1 + nodes.len());
            lines.map(|line| at(line, nodes, traffic)).collect()
        };
        Added(self.parts.iter().zip(&self.nodes).map(of_operand).collect())
    }

    /// A lower bound of energy in pJ and of cycles of unrolling `split`.
    pub(crate) fn least(&self, split: usize, added: &Added) -> (f64, f64) {
        let n_lines = self.n_lines();
        self.sum_up(split, |operand, part, line| {
            added.0[operand][part * n_lines + line]
        })
    }

    /// The same at `traffic`, for one of few.
    pub(crate) fn least_at(&self, split: usize, traffic: &[f64]) -> (f64, f64) {
        let n_lines = self.n_lines();
        self.sum_up(split, |operand, part, line| {
            let nodes = &self.nodes[operand];
            let width = 1 + nodes.len();
            let line = &self.parts[operand][(part * n_lines + line) * width..][..width];
            at(line, nodes, traffic)
        })
    }

    /// `of`: what a part of an operand adds to a line.
    fn sum_up(&self, split: usize, of: impl Fn(usize, usize, usize) -> f64) -> (f64, f64) {
        let n_operands = self.nodes.len();
        let parts = &self.part_of[split * n_operands..][..n_operands];
        let sum = |line: usize| -> f64 {
            let parts = parts.iter().enumerate();
            parts
                .map(|(operand, part)| of(operand, *part as usize, line))
                .sum()
        };
        let compute = self.compute[split];
        let (mut busiest, mut waits) = (compute, compute);
        let mut line = 1;
        let copies = &self.copies[split * self.n_ports.len()..];
        for (n_ports, copies) in self.n_ports.iter().zip(copies) {
            for _ in 0..*n_ports {
                busiest = busiest.max(sum(line) / copies);
                line += 1;
            }
            waits += sum(line) / copies;
            line += 1;
        }
        (self.energy + sum(0), busiest.max(waits))
    }

    /// The least energy per value of traffic of node `index`, however ranks are unrolled.
    pub(crate) fn least_energy_of(&self, index: usize) -> f64 {
        let mut least = f64::INFINITY;
        for (parts, nodes) in self.parts.iter().zip(&self.nodes) {
            let Some(at) = nodes.iter().position(|node| *node == index) else {
                continue;
            };
            let energies = parts.chunks_exact(self.n_lines() * (1 + nodes.len()));
            least = energies.map(|part| part[1 + at]).fold(least, f64::min);
        }
        least
    }
}

/// A line of a part at `traffic`.
fn at(line: &[f64], nodes: &[usize], traffic: &[f64]) -> f64 {
    let of = line[1..].iter().zip(nodes);
    line[0] + of.map(|(of, node)| of * traffic[*node]).sum::<f64>()
}

fn compute_cycles(problem: &Problem, split: &Split) -> f64 {
    match problem.lanes {
        Some(lanes) => {
            let rounds = problem.rounds(&problem.outer);
            (rounds * (problem.n_operations() / rounds).div_ceil(lanes)) as f64
        }
        None => (0..problem.sizes.len())
            .map(|rank| {
                problem.sizes[rank].div_ceil(split.along(rank, 0..problem.fanouts.len())) as f64
            })
            .product(),
    }
}

/// Terms that start a sum: one, or one of each copy that is not summed on the way up.
fn first_terms(problem: &Problem, split: &Split, operand: usize, fanouts: Range<usize>) -> f64 {
    if !problem.model.free_first_terms {
        return 1.0;
    }
    let apart = fanouts.filter(|f| problem.fanouts[*f].shares >> operand & 1 == 0);
    apart
        .flat_map(|f| {
            other_ranks(problem, operand).map(move |rank| split.along(rank, f..f + 1) as f64)
        })
        .product()
}

/// How many copies in `fanouts` hold the same values of `operand`, on average where the last of them have less to do.
fn other_copies(problem: &Problem, split: &Split, operand: usize, fanouts: Range<usize>) -> f64 {
    let copies = |rank: usize| {
        let size = problem.sizes[rank];
        size as f64 / size.div_ceil(split.along(rank, fanouts.clone())) as f64
    };
    other_ranks(problem, operand).map(copies).product()
}

/// The values of `operand` that compute asks for, if copies in `fanouts` that share a value ask once.
fn asked(problem: &Problem, split: &Split, operand: usize, fanouts: Range<usize>) -> f64 {
    let shared = |rank: usize| -> u64 {
        let indexes = problem.operands[operand].ranks >> rank & 1 == 1;
        let shared = fanouts
            .clone()
            .filter(|f| !indexes && problem.fanouts[*f].shares >> operand & 1 == 1);
        shared.map(|f| split.along(rank, f..f + 1)).product()
    };
    (0..problem.sizes.len())
        .map(|rank| problem.sizes[rank].div_ceil(shared(rank)) as f64)
        .product()
}

/// How many of them one read reaches, or are summed on the way up.
fn shared_copies(problem: &Problem, split: &Split, operand: usize, fanouts: Range<usize>) -> f64 {
    let shared = fanouts.filter(|f| problem.fanouts[*f].shares >> operand & 1 == 1);
    shared
        .flat_map(|f| {
            other_ranks(problem, operand).map(move |rank| split.along(rank, f..f + 1) as f64)
        })
        .product()
}

/// How many copies above fan-out `here` the memory above fan-out `there` serves apart, on average.
///
/// Where all copies along a rank share, the memory above sees the first of them, which has at least the average to do.
fn seen_copies(problem: &Problem, split: &Split, operand: usize, there: usize, here: usize) -> f64 {
    let along = |rank: usize| {
        let all = split.along(rank, 0..here);
        let is_shared = |f: &usize| problem.fanouts[*f].shares >> operand & 1 == 1;
        let shared = (there..here).filter(is_shared);
        let shared: u64 = shared.map(|f| split.along(rank, f..f + 1)).product();
        if shared == all {
            return 1.0;
        }
        let size = problem.sizes[rank];
        size as f64 / size.div_ceil(all) as f64 / shared as f64
    };
    other_ranks(problem, operand).map(along).product()
}

/// The ranks that do not index `operand`.
fn other_ranks(problem: &Problem, operand: usize) -> impl Iterator<Item = usize> {
    (0..problem.sizes.len()).filter(move |rank| problem.operands[operand].ranks >> rank & 1 == 0)
}

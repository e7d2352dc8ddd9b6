//! One einsum on one tree, in the dense form that counting and search work on.

use ir::tree::{Component, Direction, Overlap, Tree};
use ir::workload::{Einsum, Role};

use super::Model;
use super::nest::Step;

/// A set of ranks, operands or memories, by position.
pub(crate) type Mask = u32;

/// An einsum and a tree, with positions instead of names.
pub(crate) struct Problem {
    /// The bound of each rank.
    pub(crate) sizes: Vec<u64>,
    pub(crate) operands: Vec<Operand>,
    /// From the outermost inwards; the first keeps everything.
    pub(crate) memories: Vec<Memory>,
    /// From the outermost inwards.
    pub(crate) fanouts: Vec<Fanout>,
    pub(crate) pj_per_operation: f64,
    /// Operations a cycle beside the fan-outs, for einsums of the vector engine.
    pub(crate) lanes: Option<u64>,
    pub(crate) model: Model,
    /// The start of every nest: loops shared with other einsums, and what is kept above and between them.
    pub(crate) outer: Vec<Step>,
}

pub(crate) struct Operand {
    pub(crate) is_output: bool,
    /// The outermost memory that has it.
    pub(crate) root: usize,
    /// The ranks that index it.
    pub(crate) ranks: Mask,
    /// Those of them that are an index together with another.
    pub(crate) sliding: Mask,
    /// Factor and rank of each term of each dimension.
    pub(crate) dimensions: Vec<Vec<(u64, usize)>>,
    /// All its values.
    pub(crate) n_values: u64,
}

pub(crate) struct Memory {
    /// How many fan-outs stand above it.
    pub(crate) below_fanouts: usize,
    pub(crate) size_bits: Option<u64>,
    /// The operands that it keeps.
    pub(crate) keeps: Mask,
    /// The operands that may pass it by.
    pub(crate) may_bypass: Mask,
    pub(crate) double_buffered: bool,
    pub(crate) reuses_overlap: bool,
    /// Bits of a value of each operand: complete, and while terms are missing.
    pub(crate) bits: Vec<Width>,
    pub(crate) read_pj: f64,
    pub(crate) write_pj: f64,
    pub(crate) ports: Vec<Port>,
}

#[derive(Clone, Copy)]
pub(crate) struct Width {
    pub(crate) complete: u64,
    pub(crate) partial: u64,
}

pub(crate) struct Port {
    pub(crate) reads: bool,
    pub(crate) writes: bool,
    pub(crate) bits_per_cycle: f64,
}

pub(crate) struct Fanout {
    pub(crate) size: u64,
    /// Ranks that may be unrolled.
    pub(crate) ranks: Mask,
    /// Operands that one read delivers to all copies, and outputs that are summed on the way up.
    pub(crate) shares: Mask,
}

impl Operand {
    /// The ranks along which neighbouring tiles may overlap: those that slide, and index nothing else.
    pub(crate) fn overlaps(&self) -> Mask {
        if self.sliding == 0 {
            return 0;
        }
        let indexes = |d: &Vec<(u64, usize)>, rank: usize| d.iter().any(|(_, r)| *r == rank);
        let dimensions = |rank: usize| self.dimensions.iter().filter(|d| indexes(d, rank)).count();
        let several = members(self.sliding).filter(|rank| dimensions(*rank) > 1);
        several.fold(self.sliding, |mask, rank| mask & !(1 << rank))
    }
}

impl Operand {
    /// Whether it is indexed as before if each rank takes the place of the one that `renaming` has for it.
    pub(crate) fn is_same(&self, renaming: &[usize]) -> bool {
        let sorted = |rename: &dyn Fn(usize) -> usize| {
            let dimension = |terms: &Vec<(u64, usize)>| {
                let mut terms: Vec<_> = terms.iter().map(|(f, rank)| (*f, rename(*rank))).collect();
                terms.sort_unstable();
                terms
            };
            let mut dimensions: Vec<_> = self.dimensions.iter().map(dimension).collect();
            dimensions.sort_unstable();
            dimensions
        };
        sorted(&|rank| rank) == sorted(&|rank| renaming[rank])
    }
}

impl Memory {
    /// Bits that its widest port writes in a cycle; 0 if it is never waited for.
    pub(crate) fn write_bits_per_cycle(&self) -> f64 {
        self.ports
            .iter()
            .filter(|p| p.writes)
            .map(|p| p.bits_per_cycle)
            .fold(0.0, f64::max)
    }
}

impl Problem {
    /// Whether all that a step names is there.
    pub(crate) fn has(&self, step: &Step) -> bool {
        match *step {
            Step::Keep { memory, operand } => {
                memory < self.memories.len() && operand < self.operands.len()
            }
            Step::Time { rank, .. } => rank < self.sizes.len(),
            Step::Space { fanout, rank, .. } => {
                fanout < self.fanouts.len() && rank < self.sizes.len()
            }
        }
    }

    pub(crate) fn new(einsum: &Einsum, tree: &Tree, model: Model) -> Problem {
        let rank_of = |name: &str| {
            einsum
                .ranks
                .iter()
                .position(|r| r.name == name)
                .expect("terms name ranks")
        };
        let operands: Vec<Operand> = einsum
            .operands
            .iter()
            .map(|operand| {
                let dimension = |d: &ir::mapping::Dimension| {
                    let terms = d
                        .terms
                        .iter()
                        .map(|(factor, rank)| (*factor, rank_of(rank)));
                    let terms: Vec<_> = terms
                        .filter(|(_, rank)| einsum.ranks[*rank].size > 1)
                        .collect();
                    match terms.as_slice() {
                        // The values between those that a single strided index reaches are never touched.
                        [(_, rank)] => vec![(1, *rank)],
                        _ => terms,
                    }
                };
                let dimensions: Vec<Vec<(u64, usize)>> =
                    operand.dimensions.iter().map(dimension).collect();
                let size = |d: &Vec<(u64, usize)>| {
                    d.iter()
                        .map(|(f, r)| f * (einsum.ranks[*r].size - 1))
                        .sum::<u64>()
                        + 1
                };
                let ranks = |least: usize| {
                    let terms = dimensions.iter().filter(|d| d.len() >= least).flatten();
                    terms.fold(0, |mask, (_, rank)| mask | 1 << rank)
                };
                Operand {
                    is_output: operand.role == Role::Output,
                    root: 0,
                    ranks: ranks(1),
                    sliding: ranks(2),
                    n_values: dimensions.iter().map(size).product(),
                    dimensions,
                }
            })
            .collect();
        let mut problem = Problem {
            sizes: einsum.ranks.iter().map(|r| r.size).collect(),
            operands,
            memories: Vec::new(),
            fanouts: Vec::new(),
            pj_per_operation: tree.compute().pj_per_operation,
            lanes: None,
            model,
            outer: Vec::new(),
        };
        if einsum.unit == ir::workload::Unit::Vector
            && let Some(vector) = &tree.compute().vector
        {
            problem.pj_per_operation = vector.pj_per_operation;
            problem.lanes = Some(vector.lanes);
        }
        for component in &tree.components {
            problem.add(einsum, component);
        }
        problem
    }

    fn add(&mut self, einsum: &Einsum, component: &Component) {
        let of_roles =
            |roles: &[Role]| mask(einsum.operands.iter().map(|o| roles.contains(&o.role)));
        match component {
            Component::Memory(memory) => {
                let outermost = self.memories.is_empty();
                let width =
                    |operand: &ir::workload::Operand| match memory.value_bits.get(&operand.role) {
                        Some(bits) => Width {
                            complete: (*bits).into(),
                            partial: (*bits).into(),
                        },
                        // Sums are complete when they leave for the outermost memory; inside they are as wide as they grow.
                        None if outermost => Width {
                            complete: operand.bits.into(),
                            partial: operand.partial_bits.into(),
                        },
                        None => Width {
                            complete: operand.partial_bits.into(),
                            partial: operand.partial_bits.into(),
                        },
                    };
                self.memories.push(Memory {
                    below_fanouts: self.fanouts.len(),
                    size_bits: memory.size_bits,
                    keeps: of_roles(&memory.keeps),
                    may_bypass: of_roles(&memory.may_bypass),
                    double_buffered: memory.double_buffered,
                    reuses_overlap: memory.overlap == Overlap::Reuse,
                    bits: einsum.operands.iter().map(width).collect(),
                    read_pj: memory.read_pj_per_bit,
                    write_pj: memory.write_pj_per_bit,
                    ports: memory
                        .ports
                        .iter()
                        .map(|port| Port {
                            reads: port.does.contains(&Direction::Read),
                            writes: port.does.contains(&Direction::Write),
                            bits_per_cycle: port.bits_per_cycle,
                        })
                        .collect(),
                });
            }
            Component::Fanout(fanout) => {
                let output = of_roles(&[Role::Output]);
                let listed = |name: &String| {
                    fanout
                        .ranks
                        .as_ref()
                        .is_none_or(|ranks| ranks.contains(name))
                };
                let mut ranks = mask(einsum.ranks.iter().map(|r| listed(&r.name)));
                for (index, operand) in einsum.operands.iter().enumerate() {
                    if fanout.shares.contains(&operand.role) {
                        ranks &= !self.operands[index].ranks;
                    }
                }
                // The vector engine stands beside the fan-outs.
                let size = if self.lanes.is_some() { 1 } else { fanout.size };
                let sums = if fanout.reduces { output } else { 0 };
                let shares = of_roles(&fanout.multicasts) & !output | sums;
                self.fanouts.push(Fanout {
                    size,
                    ranks,
                    shares,
                });
            }
            Component::Compute(_) => {}
        }
    }

    /// The bits that a tile of `values` takes; twice as many if the next is filled beside it.
    pub(crate) fn held_bits(
        &self,
        memory: usize,
        operand: usize,
        values: u64,
        changes: bool,
    ) -> u64 {
        values
            * self.memories[memory].bits[operand].partial
            * if changes { self.buffers(memory) } else { 1 }
    }

    /// Tiles of a tensor that `memory` holds while they change.
    pub(crate) fn buffers(&self, memory: usize) -> u64 {
        if self.model.phases && self.memories[memory].double_buffered {
            2
        } else {
            1
        }
    }

    /// Takes `operand` from `memory`, or leaves it there, with no traffic further out.
    pub(crate) fn exchange(&mut self, operand: usize, memory: usize, complete_bits: u64) {
        self.operands[operand].root = memory;
        for outer in &mut self.memories[..memory] {
            outer.keeps &= !(1 << operand);
            outer.may_bypass &= !(1 << operand);
        }
        let root = &mut self.memories[memory];
        root.may_bypass &= !(1 << operand);
        root.bits[operand].complete = root.bits[operand].complete.min(complete_bits);
    }

    /// How many loops are shared with other einsums.
    pub(crate) fn n_shared(&self) -> usize {
        let is_loop = |step: &&Step| matches!(step, Step::Time { .. });
        self.outer.iter().filter(is_loop).count()
    }

    /// How often all loops in time of `outer` run; shared tiles divide their rank.
    pub(crate) fn rounds(&self, outer: &[Step]) -> u64 {
        let mut tile = self.sizes.clone();
        let mut rounds = 1;
        for step in outer {
            if let Step::Time { rank, tile: size } = *step {
                rounds *= tile[rank] / size;
                tile[rank] = size;
            }
        }
        rounds
    }

    pub(crate) fn n_operations(&self) -> u64 {
        self.sizes.iter().product()
    }
}

fn mask(bits: impl Iterator<Item = bool>) -> Mask {
    bits.enumerate()
        .fold(0, |mask, (i, bit)| mask | Mask::from(bit) << i)
}

/// The positions in a set.
pub(crate) fn members(mask: Mask) -> impl Iterator<Item = usize> {
    (0..Mask::BITS as usize).filter(move |i| mask >> i & 1 == 1)
}

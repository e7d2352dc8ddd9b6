//! Random einsums, trees and nests, small and nasty.

use ir::tree::{Component, Compute, Direction, FORMAT, Fanout, Kind, Memory, Overlap, Port, Tree};
use ir::workload::{Einsum, Role};

use crate::exact::nest::{Nest, Step};
use crate::exact::problem::Problem;
use crate::exact::space::{Node, placements};

/// SplitMix64.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0xD6E8_FEB8_6659_FD93))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// 0 to `n - 1`.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    fn roles(&mut self, from: &[Role]) -> Vec<Role> {
        from.iter().filter(|_| self.one_in(2)).copied().collect()
    }
}

const EQUATIONS: [&str; 17] = [
    "O[m, n] += I[m, k] * W[k, n]",
    "O[m, n] += I[m, k] * W[k, n]",
    "O[b, m, n] += I[b, m, k] * W[b, k, n]",
    "O[m, p] += I[c, S*p+D*r] * W[m, c, r]",
    "O[m, p] += I[c, S*p+D*r] * W[m, c, r]",
    "O[p, q] += I[S*p+D*r, q+s] * W[r, s]",
    "O[p, q] += I[S*p+D*r, S*q+D*s] * W[r, s]",
    "O[g, p] += I[g, S*p+D*r] * W[g, r]",
    "O[g, m, p] += I[g, c, p+r] * W[g, m, c, r]",
    "O[m, p] += I[c, S*p] * W[m, c]",
    "O[a, b] = I[a, b] * J[a, b]",
    "O[a, b] = I[a, b] * W[b]",
    "O[m, n] += I[m, k] * W[k, n] * V[m]",
    "O[i, j] += A[i, k, l] * B[k, j] * C[l, j]",
    "O[m] += I[m, k]",
    "O[p] += I[S*p+D*r]",
    "O[p, t] += I[S*p+D*r+t, c] * W[r, c]",
];

/// An einsum of at most `most` operations, with ranks up to `bound`.
pub(super) fn einsum(random: &mut Random, bound: u64, most: u64) -> Einsum {
    let equation = *random.pick(&EQUATIONS);
    let stride = *random.pick(&[1, 1, 2, 3]);
    let dilation = *random.pick(&[1, 1, 1, 2, 3]);
    let names: Vec<char> = ('a'..='z').filter(|c| equation.contains(*c)).collect();
    let sizes = loop {
        let sizes: Vec<u64> = names.iter().map(|_| 1 + random.below(bound)).collect();
        if sizes.iter().product::<u64>() <= most {
            break sizes;
        }
    };
    let ranks: Vec<String> = names
        .iter()
        .zip(sizes)
        .map(|(name, size)| format!("{name} = {size}"))
        .collect();
    let text = format!(
        "format = 1\nname = \"random\"\n[[einsum]]\nname = \"random\"\nequation = \"{}\"\nranks = {{ {} }}\nunit = \"{}\"\npartial_bits = {}\n",
        equation
            .replace('S', &stride.to_string())
            .replace('D', &dilation.to_string()),
        ranks.join(", "),
        if random.one_in(12) { "vector" } else { "mac" },
        random.pick(&[8, 16, 32]),
    );
    let mut workload = ir::workload::read("random", &text).expect("the text is a workload");
    workload.einsums.remove(0)
}

/// A tree of up to two memories below the outermost for each tensor, and up to two fan-outs.
pub(super) fn tree(random: &mut Random, most_memories: u64) -> Tree {
    let mut components = vec![memory(random, "dram".to_owned(), true)];
    for index in 0..random.below(most_memories + 1) {
        components.push(memory(random, format!("memory{index}"), false));
    }
    for index in 0..random.below(3) {
        let at = 1 + random.below(components.len() as u64) as usize;
        let fanout = Component::Fanout(Fanout {
            name: format!("fanout{index}"),
            size: 2 + random.below(4),
            ranks: None,
            shares: if random.one_in(4) {
                vec![*random.pick(&Role::ALL)]
            } else {
                Vec::new()
            },
            multicasts: random.roles(&[Role::Input, Role::Weights]),
            reduces: random.one_in(2),
        });
        components.insert(at, fanout);
    }
    components.push(Component::Compute(Compute {
        name: "mac".to_owned(),
        pj_per_operation: 0.5,
        vector: random.one_in(2).then_some(ir::tree::VectorUnit {
            lanes: 4,
            pj_per_operation: 0.25,
        }),
    }));
    let tree = Tree {
        format: FORMAT,
        kind: Kind::Tree,
        name: "random".to_owned(),
        description: "random".to_owned(),
        clock_hz: 1_000_000_000,
        components,
    };
    ir::tree::read("random", &tree.to_toml()).expect("the tree is in order")
}

fn memory(random: &mut Random, name: String, outermost: bool) -> Component {
    let keeps = loop {
        let keeps = if outermost || random.one_in(3) {
            Role::ALL.to_vec()
        } else {
            random.roles(&Role::ALL)
        };
        if !keeps.is_empty() {
            break keeps;
        }
    };
    let port = |does: &[Direction], bits_per_cycle| Port {
        does: does.to_vec(),
        bits_per_cycle,
    };
    let rates = [3.0, 8.0, 16.0, 40.0];
    let ports = match random.below(3) {
        0 => Vec::new(),
        1 => vec![port(
            &[Direction::Read, Direction::Write],
            *random.pick(&rates),
        )],
        _ => vec![
            port(&[Direction::Read], *random.pick(&rates)),
            port(&[Direction::Write], *random.pick(&rates)),
        ],
    };
    let energies = [0.0, 0.01, 0.13, 1.7, 11.0];
    Component::Memory(Memory {
        name,
        size_bits: (!outermost && !random.one_in(4)).then(|| 8 << random.below(9)),
        may_bypass: if outermost || random.one_in(2) {
            Vec::new()
        } else {
            random.roles(&keeps)
        },
        value_bits: if !outermost && keeps.contains(&Role::Output) && random.one_in(3) {
            [(Role::Output, 24)].into()
        } else {
            [].into()
        },
        keeps,
        double_buffered: random.one_in(2),
        overlap: if random.one_in(2) {
            Overlap::Reuse
        } else {
            Overlap::Refetch
        },
        read_pj_per_bit: *random.pick(&energies),
        write_pj_per_bit: *random.pick(&energies),
        ports,
    })
}

/// Any nest, whether it fits or not: loops anywhere, of any sizes.
pub(super) fn nest(random: &mut Random, problem: &Problem) -> Nest {
    let placements: Vec<_> = placements(problem).collect();
    let nodes = random.pick(&placements).clone();
    let mut draft = Draft {
        problem,
        tile: problem.sizes.clone(),
        steps: Vec::new(),
    };
    let mut open: Vec<Node> = Vec::new();
    for node in &nodes {
        if node.parent.is_none() {
            draft.keep(*node);
        } else {
            open.push(*node);
        }
    }
    let mut passed = 0;
    while !open.is_empty() {
        draft.loops(random);
        let depth = |node: &Node| problem.memories[node.memory].below_fanouts;
        let least = open.iter().map(depth).min().expect("one is open");
        let is_first = |node: &Node| {
            !open
                .iter()
                .any(|o| o.operand == node.operand && o.memory < node.memory)
        };
        let ordered =
            |node: &Node| !problem.model.ordered || open.iter().all(|o| o.memory >= node.memory);
        let next: Vec<usize> = (0..open.len())
            .filter(|&i| depth(&open[i]) == least && is_first(&open[i]) && ordered(&open[i]))
            .collect();
        draft.spaces(random, passed..least);
        passed = least;
        let node = open.remove(*random.pick(&next));
        draft.keep(node);
    }
    draft.loops(random);
    draft.spaces(random, passed..problem.fanouts.len());
    draft.finish(random);
    draft.steps
}

struct Draft<'a> {
    problem: &'a Problem,
    tile: Vec<u64>,
    steps: Nest,
}

impl Draft<'_> {
    fn keep(&mut self, node: Node) {
        let Node {
            memory, operand, ..
        } = node;
        self.steps.push(Step::Keep { memory, operand });
    }

    fn loops(&mut self, random: &mut Random) {
        while !random.one_in(3) {
            let rank = random.below(self.tile.len() as u64) as usize;
            let tile = 1 + random.below(self.tile[rank]);
            self.cut(rank, tile);
        }
    }

    fn cut(&mut self, rank: usize, tile: u64) {
        let is_whole = self.tile[rank].is_multiple_of(tile) || !self.problem.model.perfect;
        if tile < self.tile[rank] && is_whole {
            self.tile[rank] = tile;
            self.steps.push(Step::Time { rank, tile });
        }
    }

    fn spaces(&mut self, random: &mut Random, fanouts: std::ops::Range<usize>) {
        for fanout in fanouts {
            let mut room = self.problem.fanouts[fanout].size;
            while !random.one_in(3) {
                let rank = random.below(self.tile.len() as u64) as usize;
                let copies = 1 + random.below(room.min(self.tile[rank]));
                let may = self.problem.fanouts[fanout].ranks >> rank & 1 == 1;
                let is_whole =
                    self.tile[rank].is_multiple_of(copies) || !self.problem.model.perfect;
                if copies > 1 && may && is_whole {
                    room /= copies;
                    let tile = self.tile[rank].div_ceil(copies);
                    self.tile[rank] = tile;
                    self.steps.push(Step::Space {
                        fanout,
                        rank,
                        copies,
                        tile,
                    });
                }
                self.loops(random);
            }
        }
    }

    fn finish(&mut self, random: &mut Random) {
        self.loops(random);
        let first = random.below(self.tile.len() as u64) as usize;
        for at in 0..self.tile.len() {
            self.cut((first + at) % self.tile.len(), 1);
        }
    }
}

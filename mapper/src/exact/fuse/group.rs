//! The best structures of a group of einsums: shared loops, what is held above them, and the nests below.

use std::collections::{BTreeMap, BTreeSet};

use ir::tree::Tree;
use ir::workload::Workload;

use super::super::Stop;
use super::super::cost::extent;
use super::super::nest::{Step, last_loop, tile};
use super::super::problem::Problem;
use super::super::search::Point;
use super::FusionCertificate;
use super::flow::Flow;
use super::hull::{Corner, Hull};
use super::part::{Parts, Sum, Wanted, operands};

/// Einsums `first..=last`, beside tensors that are on chip whole before or after.
pub(crate) struct Group<'a> {
    pub(crate) first: usize,
    pub(crate) last: usize,
    pub(crate) residents: BTreeSet<usize>,
    pub(crate) flows: &'a [Flow],
}

/// One way to run a group.
#[derive(Clone)]
pub(crate) struct Choice {
    pub(crate) steps: Vec<Found>,
}

/// The nest of one einsum.
#[derive(Clone)]
pub(crate) struct Found {
    pub(crate) point: Point,
    pub(crate) n_shared: usize,
}

/// What the best choices of a group depend on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    shapes: Vec<String>,
    flows: Vec<FlowKey>,
    reserved: Vec<u64>,
}

/// A flow, with einsums relative to the group.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct FlowKey {
    producer: Option<usize>,
    consumers: Vec<(usize, usize)>,
    resident: bool,
}

/// A loop over tiles of `tile` of one class of ranks, around einsums `first..=last`.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Loop {
    class: usize,
    tile: u64,
    first: usize,
    last: usize,
}

impl Loop {
    fn holds(&self, einsum: usize) -> bool {
        (self.first..=self.last).contains(&einsum)
    }
}

/// Ranks of several einsums that are one index of what they exchange.
struct Class {
    size: u64,
    /// The rank of each einsum of the group, if it has one.
    ranks: Vec<Option<usize>>,
}

/// A rank of a producer and one of a consumer that are one index of what they exchange: einsum and rank of each.
type Joined = ((usize, usize), (usize, usize));

/// One einsum below the loops of a structure, with a choice of what is held.
struct Held {
    outer: Vec<Step>,
    /// Operand, memory and how many loops stand above.
    held: Vec<(usize, usize, usize)>,
    least: (f64, f64),
}

struct Context<'g, 'p, 'w> {
    group: &'g Group<'g>,
    parts: &'p mut Parts<'w>,
    /// The part of each einsum.
    part: Vec<usize>,
    joined: Vec<Joined>,
    classes: Vec<Class>,
    /// What the other einsums cost at least.
    rest: (f64, f64),
    upper: f64,
    front: Hull<Choice>,
}

impl Group<'_> {
    fn holds(&self, einsum: usize) -> bool {
        (self.first..=self.last).contains(&einsum)
    }

    /// Produced here and consumed only here.
    fn is_internal(&self, flow: &Flow) -> bool {
        self.holds(flow.producer) && self.holds(flow.last())
    }

    pub(crate) fn key(&self, workload: &Workload, tree: &Tree) -> Key {
        let mut key = Key {
            shapes: (self.first..=self.last)
                .map(|e| workload.einsums[e].shape() + &format!(" x{}", workload.einsums[e].repeat))
                .collect(),
            flows: Vec::new(),
            reserved: vec![0; tree.memories().count()],
        };
        for (index, flow) in self.flows.iter().enumerate() {
            let resident = self.residents.contains(&index);
            let consumers = flow.consumers.iter().filter(|c| self.holds(c.0));
            let consumers: Vec<_> = consumers.map(|c| (c.0 - self.first, c.1)).collect();
            let producer = self
                .holds(flow.producer)
                .then(|| flow.producer - self.first);
            if (producer.is_some() || !consumers.is_empty()) && (resident || self.is_internal(flow))
            {
                key.flows.push(FlowKey {
                    producer,
                    consumers,
                    resident,
                });
            } else if let (true, Some(memory)) = (resident, flow.memory) {
                key.reserved[memory] += flow.n_values * flow.bits;
            }
        }
        key
    }
}

/// The choices for `group` that no other beats, of those that can be part of a schedule of at most `upper`.
///
/// `rest` is what the other einsums of the workload cost at least.
pub(crate) fn best(
    group: &Group,
    parts: &mut Parts,
    rest: (f64, f64),
    upper: f64,
    certificate: &mut FusionCertificate,
    stop: &mut Stop,
) -> Hull<Choice> {
    let part = (group.first..=group.last)
        .map(|einsum| {
            let n = parts.workload.einsums[einsum].operands.len();
            let mut roots = vec![0; n];
            for (index, flow) in group.flows.iter().enumerate() {
                if !group.is_internal(flow) && !group.residents.contains(&index) {
                    continue;
                }
                let memory = flow.memory.expect("what is exchanged on chip has a memory");
                if flow.producer == einsum {
                    roots[n - 1] = memory;
                }
                for (_, operand) in flow.consumers.iter().filter(|c| c.0 == einsum) {
                    roots[*operand] = memory;
                }
            }
            parts.get(einsum, roots)
        })
        .collect();
    let objective = parts.objective;
    let mut context = Context {
        group,
        parts,
        part,
        joined: Vec::new(),
        classes: Vec::new(),
        rest,
        upper,
        front: Hull::new(objective),
    };
    context.joined = context.joined();
    context.classes = context.classes();
    // Least bound first; of equal ones the last found, which has most loops.
    let mut open: BTreeMap<(u64, u64), (Vec<Loop>, Sum)> = BTreeMap::new();
    let mut found = 0;
    if let Some(least) = context.least(&[]) {
        open.insert((0, u64::MAX), (Vec::new(), least));
    }
    while let Some((_, (loops, least))) = open.pop_first() {
        if stop(certificate.nodes) {
            certificate.stop = super::StopReason::Stopped;
            break;
        }
        if context.is_hopeless(least.0, least.1) {
            certificate.pruned_by_bound += 1;
            continue;
        }
        certificate.keys += 1;
        if group.first == group.last || !loops.is_empty() {
            context.evaluate(&loops, certificate, stop);
        }
        for next in context.extensions(&loops) {
            let loops: Vec<Loop> = loops.iter().copied().chain([next]).collect();
            match context.least(&loops) {
                Some((energy, cycles)) if !context.is_hopeless(energy, cycles) => {
                    found += 1;
                    let rank = context.parts.objective.rank(energy, cycles).0;
                    let key = (rank.to_bits(), u64::MAX - found);
                    open.insert(key, (loops, (energy, cycles)));
                }
                _ => certificate.pruned_by_bound += 1,
            }
        }
    }
    context.front
}

impl Context<'_, '_, '_> {
    fn problem(&self, einsum: usize) -> &Problem {
        &self.parts.parts[self.part[einsum - self.group.first]].problem
    }

    fn repeat(&self, einsum: usize) -> f64 {
        self.parts.workload.einsums[einsum].repeat as f64
    }

    fn is_hopeless(&self, energy: f64, cycles: f64) -> bool {
        let objective = self.parts.objective;
        objective.rank(energy + self.rest.0, cycles + self.rest.1).0 > self.upper
            || self.front.is_needless(energy, cycles)
    }

    /// The flows that are exchanged on chip and touch the group, and whether they are internal.
    fn exchanged(&self) -> impl Iterator<Item = (&Flow, bool)> {
        let flows = self.group.flows.iter().enumerate();
        flows.filter_map(|(index, flow)| {
            let internal = self.group.is_internal(flow);
            (internal || self.group.residents.contains(&index)).then_some((flow, internal))
        })
    }

    /// The ranks that each internal flow joins: producer's rank, then consumer and its rank.
    fn joined(&self) -> Vec<Joined> {
        let mut joined = Vec::new();
        for (flow, _) in self.exchanged().filter(|f| f.1) {
            let from = &self.problem(flow.producer).operands;
            let from = &from[from.len() - 1].dimensions;
            for &(consumer, operand) in &flow.consumers {
                let to = &self.problem(consumer).operands[operand].dimensions;
                if from.len() != to.len() {
                    continue;
                }
                for (a, b) in from.iter().zip(to) {
                    if let ([(_, a)], [(_, b)]) = (a.as_slice(), b.as_slice())
                        && self.problem(flow.producer).sizes[*a] == self.problem(consumer).sizes[*b]
                    {
                        joined.push(((flow.producer, *a), (consumer, *b)));
                    }
                }
            }
        }
        joined
    }

    fn classes(&self) -> Vec<Class> {
        let first = self.group.first;
        let mut sets: Vec<BTreeSet<(usize, usize)>> = Vec::new();
        for &(a, b) in &self.joined {
            let (with, without): (Vec<_>, Vec<_>) = sets
                .into_iter()
                .partition(|s| s.contains(&a) || s.contains(&b));
            sets = without;
            sets.push(with.into_iter().flatten().chain([a, b]).collect());
        }
        sets.sort();
        let class = |set: BTreeSet<(usize, usize)>| {
            let mut ranks = vec![None; self.part.len()];
            for &(einsum, rank) in &set {
                if ranks[einsum - first].replace(rank).is_some() {
                    return None;
                }
            }
            let (einsum, rank) = *set.first()?;
            Some(Class {
                size: self.problem(einsum).sizes[rank],
                ranks,
            })
        };
        sets.into_iter().filter_map(class).collect()
    }

    fn rank(&self, class: usize, einsum: usize) -> Option<usize> {
        self.classes[class].ranks[einsum - self.group.first]
    }

    /// Whether a loop over `class` may hold exactly these einsums.
    fn may_hold(&self, class: usize, first: usize, last: usize) -> bool {
        let inside = |e: &usize| (first..=last).contains(e);
        (first..=last).all(|e| self.rank(class, e).is_some())
            && self
                .exchanged()
                .filter(|f| f.1 && inside(&f.0.producer))
                .all(|(flow, _)| {
                    let consumers = flow.consumers.iter().map(|c| c.0).filter(inside);
                    consumers.into_iter().all(|consumer| {
                        let pair = |e| (e, self.rank(class, e).expect("all have a rank"));
                        self.joined.contains(&(pair(flow.producer), pair(consumer)))
                    })
                })
    }

    /// The loops that may be added below `loops`.
    fn extensions(&self, loops: &[Loop]) -> Vec<Loop> {
        let above = loops.last();
        let (first, last) =
            above.map_or((self.group.first, self.group.last), |l| (l.first, l.last));
        let mut found = Vec::new();
        for class in (0..self.classes.len()).filter(|c| loops.iter().all(|l| l.class != *c)) {
            let may = |a: usize, b: usize| self.may_hold(class, a, b);
            for (a, b) in (first..last).flat_map(|a| (a + 1..=last).map(move |b| (a, b))) {
                let longest =
                    may(a, b) && !(a > first && may(a - 1, b)) && !(b < last && may(a, b + 1));
                let whole = (a, b) == (first, last);
                if !longest
                    || (loops.is_empty() && !whole)
                    || above.is_some_and(|l| whole && self.belongs_above(class, l))
                {
                    continue;
                }
                let size = self.classes[class].size;
                let tiles = (1..=size / 2).filter(|tile| size.is_multiple_of(*tile));
                found.extend(tiles.map(|tile| Loop {
                    class,
                    tile,
                    first: a,
                    last: b,
                }));
            }
        }
        found
    }

    /// Whether a loop over `class` around the same einsums is as good, or the same, directly above `l`.
    ///
    /// Above, it leaves smaller tiles of what it indexes; if it indexes everything it repeats nothing.
    fn belongs_above(&self, class: usize, l: &Loop) -> bool {
        let indexes = |class: usize, e: usize, o: usize| {
            let rank = self.rank(class, e).expect("it holds the einsum");
            self.problem(e).operands[o].ranks >> rank & 1 == 1
        };
        let all = |of: &dyn Fn(usize, usize) -> bool| {
            (l.first..=l.last).all(|e| (0..self.problem(e).operands.len()).all(|o| of(e, o)))
        };
        let same = all(&|e, o| indexes(class, e, o) == indexes(l.class, e, o));
        let universal = all(&|e, o| indexes(class, e, o));
        if same { class < l.class } else { universal }
    }

    /// How many of `loops` hold all einsums of a flow.
    fn depth(&self, loops: &[Loop], flow: &Flow, internal: bool) -> usize {
        let holds =
            |l: &&Loop| l.holds(flow.producer) && flow.consumers.iter().all(|c| l.holds(c.0));
        if internal {
            loops.iter().take_while(holds).count()
        } else {
            0
        }
    }

    /// The given steps of `einsum`'s nest.
    fn outer(&self, loops: &[Loop], einsum: usize, held: &[(usize, usize, usize)]) -> Vec<Step> {
        let mut steps = Vec::new();
        let n_shared = loops.iter().take_while(|l| l.holds(einsum)).count();
        for depth in 0..=n_shared {
            for (flow, internal) in self.exchanged() {
                let at = self.depth(loops, flow, internal);
                let memory = flow.memory.expect("it is exchanged on chip");
                if at != depth {
                    continue;
                }
                let output = self.problem(einsum).operands.len() - 1;
                let consumed = flow.consumers.iter().filter(|c| c.0 == einsum).map(|c| c.1);
                let produced = (flow.producer == einsum).then_some(output);
                steps.extend(
                    consumed
                        .chain(produced)
                        .map(|operand| Step::Keep { memory, operand }),
                );
            }
            for &(operand, memory, _) in held.iter().filter(|h| h.2 == depth) {
                steps.push(Step::Keep { memory, operand });
            }
            if let Some(l) = loops[..n_shared].get(depth) {
                let rank = self
                    .rank(l.class, einsum)
                    .expect("a loop holds einsums with its rank");
                steps.push(Step::Time { rank, tile: l.tile });
            }
        }
        steps
    }

    fn least(&mut self, loops: &[Loop]) -> Option<(f64, f64)> {
        let mut sum = (0.0, 0.0);
        for einsum in self.group.first..=self.group.last {
            let outer = self.outer(loops, einsum, &[]);
            let part = &mut self.parts.parts[self.part[einsum - self.group.first]];
            let (energy, cycles) = part.least(outer, true)?;
            sum.0 += energy * self.repeat(einsum);
            sum.1 += cycles * self.repeat(einsum);
        }
        Some(sum)
    }

    /// The choices of what `einsum` holds above shared loops.
    fn options(&mut self, loops: &[Loop], einsum: usize) -> Vec<Held> {
        let problem = self.problem(einsum);
        let n_shared = loops.iter().take_while(|l| l.holds(einsum)).count();
        let indexes = |depth: usize, operand: usize| {
            let rank = self
                .rank(loops[depth].class, einsum)
                .expect("it holds the einsum");
            problem.operands[operand].ranks >> rank & 1 == 1
        };
        let mut choices: Vec<Vec<(usize, usize, usize)>> = vec![Vec::new()];
        for operand in operands(problem, false) {
            // A tile directly above a loop that indexes it is better below that loop: smaller, and fetched as often.
            let depths = (0..n_shared)
                .filter(|d| (*d == 0 || indexes(d - 1, operand)) && !indexes(*d, operand));
            for depth in depths.collect::<Vec<_>>() {
                for (memory, form) in problem.memories.iter().enumerate().skip(1) {
                    if form.below_fanouts > 0 || form.keeps >> operand & 1 == 0 {
                        continue;
                    }
                    for choice in choices.clone() {
                        if choice.iter().all(|c| c.0 != operand) {
                            choices.push(
                                choice
                                    .into_iter()
                                    .chain([(operand, memory, depth)])
                                    .collect(),
                            );
                        }
                    }
                }
            }
        }
        let repeat = self.repeat(einsum);
        let mut options = Vec::new();
        for held in choices {
            let outer = self.outer(loops, einsum, &held);
            let part = &mut self.parts.parts[self.part[einsum - self.group.first]];
            if let Some(least) = part.least(outer.clone(), false) {
                options.push(Held {
                    outer,
                    held,
                    least: (least.0 * repeat, least.1 * repeat),
                });
            }
        }
        options
    }

    /// Finds the best choices with these shared loops.
    fn evaluate(&mut self, loops: &[Loop], certificate: &mut FusionCertificate, stop: &mut Stop) {
        let options: Vec<Vec<Held>> = (self.group.first..=self.group.last)
            .map(|e| self.options(loops, e))
            .collect();
        let mut combinations: Vec<(Vec<usize>, (f64, f64))> = vec![(Vec::new(), (0.0, 0.0))];
        for of_einsum in &options {
            let extend = |(chosen, sum): &(Vec<usize>, (f64, f64))| {
                let chosen = chosen.clone();
                let sum = *sum;
                of_einsum
                    .iter()
                    .enumerate()
                    .map(move |(index, option)| {
                        let chosen = chosen.iter().copied().chain([index]).collect();
                        (chosen, (sum.0 + option.least.0, sum.1 + option.least.1))
                    })
                    .collect::<Vec<_>>()
            };
            combinations = combinations.iter().flat_map(extend).collect();
        }
        let objective = self.parts.objective;
        let rank = |c: &(f64, f64)| objective.rank(c.0, c.1);
        combinations.sort_by(|a, b| {
            rank(&a.1)
                .partial_cmp(&rank(&b.1))
                .expect("costs are numbers")
        });
        for (chosen, least) in combinations {
            if self.is_hopeless(least.0, least.1) {
                continue;
            }
            let chosen: Vec<&Held> = chosen.iter().zip(&options).map(|(i, o)| &o[*i]).collect();
            match self.reserved(loops, &chosen) {
                Some(reserved) => self.join(&chosen, &reserved, least, certificate, stop),
                None => certificate.pruned_by_capacity += 1,
            }
        }
    }

    /// Bits of each memory that others take in each step; none if something does not fit.
    fn reserved(&self, loops: &[Loop], chosen: &[&Held]) -> Option<Vec<Vec<u64>>> {
        let first = self.group.first;
        let n_memories = self.problem(first).memories.len();
        let mut reserved = vec![vec![0; n_memories]; chosen.len()];
        let mut own = reserved.clone();
        let above = |e: usize, depth: usize| {
            let outer = &chosen[e - first].outer;
            let loops = outer.iter().filter(|s| matches!(s, Step::Time { .. }));
            loops.take(depth).copied().collect::<Vec<Step>>()
        };
        for (flow, internal) in self.exchanged() {
            let memory = flow.memory.expect("it is exchanged on chip");
            let depth = self.depth(loops, flow, internal);
            let users: Vec<usize> = flow
                .consumers
                .iter()
                .map(|c| c.0)
                .chain([flow.producer])
                .filter(|e| self.group.holds(*e))
                .collect();
            let mut live = match internal {
                true => (flow.producer, flow.last()),
                false => (first, self.group.last),
            };
            // What is used inside deeper loops is there in each of their iterations.
            let deeper = loops
                .get(depth)
                .filter(|l| users.iter().any(|e| l.holds(*e)));
            if let Some(l) = deeper {
                live = (live.0.min(l.first), live.1.max(l.last));
            }
            let sums = deeper.is_some_and(|l| l.holds(flow.producer));
            let bits = if self.group.holds(flow.producer) {
                let problem = self.problem(flow.producer);
                let operand = problem.operands.len() - 1;
                let values = extent(
                    problem,
                    operand,
                    &tile(problem, &above(flow.producer, depth)),
                );
                values
                    * if sums {
                        problem.memories[memory].bits[operand].partial
                    } else {
                        flow.bits
                    }
            } else {
                flow.n_values * flow.bits
            };
            for einsum in live.0..=live.1 {
                if !users.contains(&einsum) {
                    reserved[einsum - first][memory] += bits;
                }
            }
        }
        for (index, option) in chosen.iter().enumerate() {
            let problem = self.problem(first + index);
            for (at, step) in option.outer.iter().enumerate() {
                let Step::Keep { memory, operand } = *step else {
                    continue;
                };
                let before = &option.outer[..at];
                let values = extent(problem, operand, &tile(problem, before));
                let held = option.held.iter().find(|h| h.0 == operand);
                let changes =
                    held.is_some() && last_loop(before, problem.operands[operand].ranks).is_some();
                let bits = problem.held_bits(memory, operand, values, changes);
                own[index][memory] += bits;
                let Some(&(_, _, depth)) = held else { continue };
                let others =
                    (loops[depth].first..=loops[depth].last).filter(|e| *e != first + index);
                others.for_each(|e| reserved[e - first][memory] += bits);
            }
        }
        let sizes = self.parts.size_bits();
        let fits = |(own, reserved): (&Vec<u64>, &Vec<u64>)| {
            let sums = own.iter().zip(reserved).map(|(a, b)| a + b);
            sums.zip(&sizes)
                .all(|(sum, size)| size.is_none_or(|size| sum <= size))
        };
        own.iter().zip(&reserved).all(fits).then_some(reserved)
    }

    /// Searches the nests below and adds what is best together.
    fn join(
        &mut self,
        chosen: &[&Held],
        reserved: &[Vec<u64>],
        least: (f64, f64),
        certificate: &mut FusionCertificate,
        stop: &mut Stop,
    ) {
        let objective = self.parts.objective;
        let mut sum = least;
        let mut joined = Hull::new(objective);
        joined.add(0.0, 0.0, Choice { steps: Vec::new() });
        for (index, option) in chosen.iter().enumerate() {
            let einsum = self.group.first + index;
            let repeat = self.repeat(einsum);
            let others = (sum.0 - option.least.0, sum.1 - option.least.1);
            let (front, rest, upper) = (&self.front, self.rest, self.upper);
            let is_hopeless = |energy: f64, cycles: f64| {
                let (energy, cycles) = (others.0 + energy * repeat, others.1 + cycles * repeat);
                objective.rank(energy + rest.0, cycles + rest.1).0 > upper
                    || front.is_needless(energy, cycles)
            };
            let wanted = Wanted {
                objective,
                is_hopeless: &is_hopeless,
            };
            let part = &mut self.parts.parts[self.part[index]];
            let points = part.search(&option.outer, &reserved[index], wanted, certificate, stop);
            if points.corners().is_empty() {
                return;
            }
            let least = |of: fn(&Corner<Point>) -> f64| {
                points
                    .corners()
                    .iter()
                    .map(of)
                    .fold(f64::INFINITY, f64::min)
            };
            sum = (
                others.0 + least(|c| c.energy) * repeat,
                others.1 + least(|c| c.cycles) * repeat,
            );
            let n_shared = option
                .outer
                .iter()
                .filter(|s| matches!(s, Step::Time { .. }))
                .count();
            let mut next = Hull::new(objective);
            for from in joined.corners() {
                for corner in points.corners() {
                    let energy = from.energy + corner.energy * repeat;
                    let cycles = from.cycles + corner.cycles * repeat;
                    if next.is_needless(energy, cycles) {
                        continue;
                    }
                    let mut choice = from.item.clone();
                    choice.steps.push(Found {
                        point: corner.item.clone(),
                        n_shared,
                    });
                    next.add(energy, cycles, choice);
                }
            }
            joined = next;
        }
        for corner in joined.corners() {
            if !self.is_hopeless(corner.energy, corner.cycles) {
                self.front
                    .add(corner.energy, corner.cycles, corner.item.clone());
            }
        }
    }
}

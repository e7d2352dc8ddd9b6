//! The best structures of a group of einsums: shared loops, what is held above them, and the nests below.

use std::collections::{BTreeMap, BTreeSet};

use super::super::cost::{extent, held_bits};
use super::super::goal::SAME;
use super::super::nest::{Step, Tile, last_loop, tile};
use super::super::problem::{Problem, members};
use super::super::search::Point;
use super::super::{Steps, Stop};
use super::FusionCertificate;
use super::flow::Flow;
use super::hull::{Aim, Corner, Hull};
use super::part::{Parts, Sum, Wanted, operands};
use super::target::Target;

/// Einsums `first..=last`, beside tensors that are on chip whole before or after.
pub(crate) struct Group<'a> {
    pub(crate) first: usize,
    pub(crate) last: usize,
    exchanged: Vec<Exchange<'a>>,
}

/// A flow that is exchanged on chip while a group runs.
struct Exchange<'a> {
    flow: &'a Flow,
    /// Produced in the group and consumed only there.
    internal: bool,
    resident: bool,
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
    /// Bits that each memory has left in its step.
    pub(crate) room: Vec<u64>,
}

/// What a group has to be to help a schedule.
#[derive(Clone)]
pub(crate) struct Need {
    /// What the other einsums cost at least.
    pub(crate) rest: Sum,
    /// The most that the whole may have of the objective.
    pub(crate) upper: f64,
    pub(crate) target: Option<Target>,
}

impl Need {
    /// Whether all that is needed for `other` is needed for this, if it is not later.
    fn covers(&self, other: &Need) -> bool {
        self.rest.0 <= other.rest.0 * (1.0 + SAME)
            && self.rest.1 <= other.rest.1 * (1.0 + SAME)
            && match (&self.target, &other.target) {
                (None, _) => true,
                (Some(mine), Some(theirs)) => mine.is_as_far(theirs),
                (Some(_), None) => false,
            }
    }

    pub(crate) fn is_hopeless(&self, aim: Aim, energy: f64, cycles: f64) -> bool {
        let target = self.target.as_ref();
        aim.is_beyond(self.upper, energy + self.rest.0, cycles + self.rest.1)
            || target.is_some_and(|target| target.is_missed(aim, energy, cycles))
    }

    /// The most of what parts are ranked by that is needed beside `energy` and `cycles` of the rest of the group, for energy
    /// times cycles.
    fn most_beside(&self, aim: Aim, energy: f64, cycles: f64) -> f64 {
        let whole = aim.most_beside(self.upper, energy + self.rest.0, cycles + self.rest.1);
        let target = self.target.as_ref();
        target.map_or(whole, |target| {
            whole.min(target.most_beside(energy, cycles))
        })
    }
}

/// The choices of a group, and where else they are the best.
pub(crate) struct Known {
    /// Bits of each memory that residents which do not touch the group took.
    pub(crate) reserved: Vec<u64>,
    /// How many more they may take until a choice no longer fits.
    pub(crate) room: Vec<u64>,
    pub(crate) need: Need,
    pub(crate) choices: Hull<Choice>,
}

impl Known {
    pub(crate) fn new(reserved: Vec<u64>, need: Need, choices: Hull<Choice>) -> Known {
        let mut room = vec![u64::MAX; reserved.len()];
        for found in choices.corners().iter().flat_map(|c| &c.item.steps) {
            for (left, step) in room.iter_mut().zip(&found.room) {
                *left = (*left).min(*step);
            }
        }
        Known {
            reserved,
            room,
            need,
            choices,
        }
    }

    /// Whether it holds for these residents: with less room there is nothing better, and all of it fits.
    pub(crate) fn answers(&self, reserved: &[u64], need: &Need) -> bool {
        let fits =
            |((before, room), now): ((&u64, &u64), &u64)| before <= now && now - before <= *room;
        let mut memories = self.reserved.iter().zip(&self.room).zip(reserved);
        memories.all(fits) && self.need.covers(need)
    }
}

/// What the best choices of a group depend on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// The shape of each einsum, and how often it occurs.
    shapes: Vec<(usize, u64)>,
    flows: Vec<FlowKey>,
}

/// A flow, with einsums relative to the group.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct FlowKey {
    producer: Option<usize>,
    consumers: Vec<(usize, usize)>,
    resident: bool,
    memory: usize,
    /// Bits of the whole.
    bits: u64,
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
    /// Producers and consumers that exchange a tensor of which these ranks are not one index.
    apart: Vec<(usize, usize)>,
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
    classes: Vec<Class>,
    need: &'g Need,
    front: Hull<Choice>,
}

impl Choice {
    /// The nest `point` of an einsum, as part `part`, beside which nothing is on chip.
    pub(crate) fn alone(parts: &Parts, part: usize, point: Point) -> Choice {
        let held = held_bits(&parts.parts[part].problem, &point.cost.accesses);
        let found = Found {
            room: parts.left(held.into_iter()),
            point,
            n_shared: 0,
        };
        Choice { steps: vec![found] }
    }
}

impl<'a> Group<'a> {
    /// The einsums `first` to `last`, while those of `flows` that are `residents` stay on chip.
    pub(crate) fn new(
        first: usize,
        last: usize,
        residents: &BTreeSet<usize>,
        flows: &'a [Flow],
    ) -> Group<'a> {
        let holds = |einsum: usize| (first..=last).contains(&einsum);
        let exchange = |(index, flow): (usize, &'a Flow)| Exchange {
            flow,
            internal: holds(flow.producer) && holds(flow.last()),
            resident: residents.contains(&index),
        };
        let all = flows.iter().enumerate().map(exchange);
        Group {
            first,
            last,
            exchanged: all.filter(|e| e.internal || e.resident).collect(),
        }
    }

    fn holds(&self, einsum: usize) -> bool {
        (self.first..=self.last).contains(&einsum)
    }

    /// The key of what is found for the group, and bits of each memory that residents take which do not touch it.
    pub(crate) fn key(&self, parts: &Parts) -> (Key, Vec<u64>) {
        let repeat = |e: usize| parts.workload.einsums[e].repeat;
        let mut key = Key {
            shapes: (self.first..=self.last)
                .map(|e| (parts.shapes[e], repeat(e)))
                .collect(),
            flows: Vec::new(),
        };
        let mut reserved = vec![0; parts.size_bits.len()];
        for &Exchange { flow, resident, .. } in &self.exchanged {
            let memory = flow.memory.expect("what is exchanged on chip has a memory");
            let bits = flow.n_values * flow.bits;
            if !self.touches(flow) {
                reserved[memory] += bits;
                continue;
            }
            let consumers = flow.consumers.iter().filter(|c| self.holds(c.0));
            key.flows.push(FlowKey {
                producer: self
                    .holds(flow.producer)
                    .then(|| flow.producer - self.first),
                consumers: consumers.map(|c| (c.0 - self.first, c.1)).collect(),
                resident,
                memory,
                bits,
            });
        }
        (key, reserved)
    }

    fn touches(&self, flow: &Flow) -> bool {
        self.holds(flow.producer) || flow.consumers.iter().any(|c| self.holds(c.0))
    }

    /// The flows that are exchanged on chip, and whether they are internal.
    fn exchanged(&self) -> impl Iterator<Item = (&Flow, bool)> {
        self.exchanged.iter().map(|e| (e.flow, e.internal))
    }

    /// The part of each einsum; none if it was stopped.
    pub(crate) fn parts(&self, parts: &mut Parts, stop: &mut Stop) -> Option<Vec<usize>> {
        let flows = || self.exchanged().map(|(flow, _)| flow);
        (self.first..=self.last)
            .map(|einsum| parts.exchanging(einsum, flows(), stop))
            .collect()
    }
}

/// The choices for `group`, whose einsums are `part`, that no other beats, of those that are needed.
///
/// If it is stopped, `certificate` says so, and the choices are those found so far.
pub(crate) fn best(
    group: &Group,
    part: Vec<usize>,
    parts: &mut Parts,
    need: &Need,
    certificate: &mut FusionCertificate,
    stop: &mut Stop,
) -> Hull<Choice> {
    let aim = parts.aim;
    let mut context = Context {
        group,
        parts,
        part,
        classes: Vec::new(),
        need,
        front: Hull::new(aim),
    };
    context.classes = context.classes();
    // Least bound first; of equal ones the last found, which has most loops.
    let mut open: BTreeMap<(u64, u64), (Vec<Loop>, Sum)> = BTreeMap::new();
    let mut found = 0;
    if let Some(least) = context.least(&[]) {
        open.insert((0, u64::MAX), (Vec::new(), least));
    }
    let mut evaluated = Some(());
    while let Some((_, (loops, least))) = open.pop_first() {
        if evaluated.is_none() || stop(certificate.nodes) {
            certificate.stop = super::StopReason::Stopped;
            break;
        }
        if context.is_hopeless(least.0, least.1) {
            certificate.pruned_by_bound += 1;
            continue;
        }
        certificate.keys += 1;
        if !loops.is_empty() && !context.may_fit(&loops, true) {
            certificate.pruned_by_capacity += 1;
            continue;
        }
        if (group.first == group.last || !loops.is_empty()) && context.may_fit(&loops, false) {
            evaluated = context.evaluate(&loops, certificate, stop);
        }
        for next in context.extensions(&loops) {
            if stop(certificate.nodes) {
                evaluated = None;
                break;
            }
            let loops: Vec<Loop> = loops.iter().copied().chain([next]).collect();
            match context.least(&loops) {
                Some((energy, cycles)) if !context.is_hopeless(energy, cycles) => {
                    found += 1;
                    let rank = context.parts.aim.rank(energy, cycles).0;
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
        self.need.is_hopeless(self.parts.aim, energy, cycles)
            || self.front.is_needless(energy, cycles)
    }

    /// The ranks that each internal flow joins: producer's rank, then consumer and its rank.
    fn joined(&self) -> Vec<Joined> {
        let mut joined = Vec::new();
        for (flow, _) in self.group.exchanged().filter(|f| f.1) {
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
        let joined = self.joined();
        let mut sets: Vec<BTreeSet<(usize, usize)>> = Vec::new();
        for &(a, b) in &joined {
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
            let rank_of = |einsum: usize| ranks[einsum - first].map(|rank| (einsum, rank));
            let pairs = self
                .group
                .exchanged()
                .filter(|f| f.1)
                .flat_map(|(flow, _)| flow.consumers.iter().map(|c| (flow.producer, c.0)));
            let is_apart = |pair: &(usize, usize)| {
                let ranks = rank_of(pair.0).zip(rank_of(pair.1));
                ranks.is_some_and(|ranks| !joined.contains(&ranks))
            };
            Some(Class {
                size: self.problem(einsum).sizes[rank],
                apart: pairs.filter(is_apart).collect(),
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
        let inside = |e: usize| (first..=last).contains(&e);
        let Class { ranks, apart, .. } = &self.classes[class];
        ranks[first - self.group.first..=last - self.group.first]
            .iter()
            .all(Option::is_some)
            && !apart.iter().any(|pair| inside(pair.0) && inside(pair.1))
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
            for (flow, internal) in self.group.exchanged() {
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

    /// The choices of what `einsum` holds above shared loops; none if it was stopped.
    fn options(&mut self, loops: &[Loop], einsum: usize, steps: &mut Steps) -> Option<Vec<Held>> {
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
                        steps.take()?;
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
            // A bound of each is a walk over all choices of its plan.
            steps.ask()?;
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
        Some(options)
    }

    /// Finds the best choices with these shared loops; none if it was stopped.
    fn evaluate(
        &mut self,
        loops: &[Loop],
        certificate: &mut FusionCertificate,
        stop: &mut Stop,
    ) -> Option<()> {
        let mut steps = Steps::new(certificate.nodes, stop);
        let options: Vec<Vec<Held>> = (self.group.first..=self.group.last)
            .map(|e| self.options(loops, e, &mut steps))
            .collect::<Option<_>>()?;
        // At least what the einsums after each add.
        let mut rest = vec![(0.0, 0.0)];
        for of_einsum in options.iter().rev() {
            let least = |of: fn(&Sum) -> f64| {
                let costs = of_einsum.iter().map(|option| of(&option.least));
                costs.fold(f64::INFINITY, f64::min)
            };
            let after: Sum = rest[rest.len() - 1];
            rest.push((after.0 + least(|c| c.0), after.1 + least(|c| c.1)));
        }
        let mut combinations: Vec<(Vec<usize>, Sum)> = vec![(Vec::new(), (0.0, 0.0))];
        for (of_einsum, rest) in options.iter().zip(rest.iter().rev().skip(1)) {
            let mut longer = Vec::new();
            for (chosen, sum) in &combinations {
                for (index, Held { least, .. }) in of_einsum.iter().enumerate() {
                    steps.take()?;
                    let sum = (sum.0 + least.0, sum.1 + least.1);
                    if !self.is_hopeless(sum.0 + rest.0, sum.1 + rest.1) {
                        longer.push((chosen.iter().copied().chain([index]).collect(), sum));
                    }
                }
            }
            combinations = longer;
        }
        let aim = self.parts.aim;
        let rank = |c: &(f64, f64)| aim.rank(c.0, c.1);
        combinations.sort_by(|a, b| {
            rank(&a.1)
                .partial_cmp(&rank(&b.1))
                .expect("costs are numbers")
        });
        for (chosen, least) in combinations {
            Steps::new(certificate.nodes, stop).ask()?;
            if self.is_hopeless(least.0, least.1) {
                continue;
            }
            let chosen: Vec<&Held> = chosen.iter().zip(&options).map(|(i, o)| &o[*i]).collect();
            match self.reserved(loops, &chosen, false) {
                Some(reserved) => self.join(&chosen, &reserved, least, certificate, stop),
                None => certificate.pruned_by_capacity += 1,
            }
        }
        Some(())
    }

    /// Whether what is exchanged fits with these shared loops, or, with `more`, could with others below them, if there
    /// are any.
    fn may_fit(&self, loops: &[Loop], more: bool) -> bool {
        let nothing = |einsum| Held {
            outer: self.outer(loops, einsum, &[]),
            held: Vec::new(),
            least: (0.0, 0.0),
        };
        let chosen: Vec<Held> = (self.group.first..=self.group.last).map(nothing).collect();
        let chosen: Vec<&Held> = chosen.iter().collect();
        self.reserved(loops, &chosen, more).is_some()
    }

    /// The tiles of `einsum` below the first `depth` of the shared loops, as given by `outer`.
    ///
    /// With `more`, below all that may still be added if these are all loops there are.
    fn tile(
        &self,
        loops: &[Loop],
        einsum: usize,
        outer: &[Step],
        depth: usize,
        more: bool,
    ) -> Tile {
        let problem = self.problem(einsum);
        let loops_of = outer.iter().filter(|s| matches!(s, Step::Time { .. }));
        let mut tile = tile(problem, loops_of.take(depth));
        if more && depth == loops.len() {
            let open = (0..self.classes.len()).filter(|c| loops.iter().all(|l| l.class != *c));
            for rank in open.filter_map(|class| self.rank(class, einsum)) {
                tile[rank] = 1;
            }
        }
        tile
    }

    /// Bits of each memory that others take in each step; none if something does not fit.
    ///
    /// With `more` the least of it that other shared loops below these could make of it, if nothing is held above them.
    fn reserved(&self, loops: &[Loop], chosen: &[&Held], more: bool) -> Option<Vec<Vec<u64>>> {
        let first = self.group.first;
        let n_memories = self.problem(first).memories.len();
        let mut reserved = vec![vec![0; n_memories]; chosen.len()];
        let mut own = reserved.clone();
        for (flow, internal) in self.group.exchanged() {
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
                let outer = &chosen[flow.producer - first].outer;
                let tile = self.tile(loops, flow.producer, outer, depth, more);
                let partial = problem.memories[memory].bits[operand].partial;
                extent(problem, operand, &tile) * if sums { partial } else { flow.bits }
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
            let einsum = first + index;
            let problem = self.problem(einsum);
            // What is kept below the shared loops takes a value of each operand at least.
            for (memory, form) in problem.memories.iter().enumerate() {
                let below = members(form.keeps & !form.may_bypass).filter(|&operand| {
                    memory > problem.operands[operand].root
                        && !option.outer.contains(&Step::Keep { memory, operand })
                });
                own[index][memory] += below
                    .map(|o| problem.held_bits(memory, o, 1, false))
                    .sum::<u64>();
            }
            for (at, step) in option.outer.iter().enumerate() {
                let Step::Keep { memory, operand } = *step else {
                    continue;
                };
                let before = &option.outer[..at];
                let depth = before
                    .iter()
                    .filter(|s| matches!(s, Step::Time { .. }))
                    .count();
                let held = option.held.iter().find(|h| h.0 == operand);
                let tile = self.tile(loops, einsum, before, depth, more);
                let values = extent(problem, operand, &tile);
                let changes =
                    held.is_some() && last_loop(before, problem.operands[operand].ranks).is_some();
                let bits = problem.held_bits(memory, operand, values, changes);
                own[index][memory] += bits;
                let Some(&(_, _, depth)) = held else { continue };
                let others = (loops[depth].first..=loops[depth].last).filter(|e| *e != einsum);
                others.for_each(|e| reserved[e - first][memory] += bits);
            }
        }
        let sizes = &self.parts.size_bits;
        let fits = |(own, reserved): (&Vec<u64>, &Vec<u64>)| {
            let sums = own.iter().zip(reserved).map(|(a, b)| a + b);
            sums.zip(sizes)
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
        let aim = self.parts.aim;
        let mut sum = least;
        let mut joined = Hull::new(aim);
        joined.add(0.0, 0.0, Choice { steps: Vec::new() });
        for (index, option) in chosen.iter().enumerate() {
            let einsum = self.group.first + index;
            let repeat = self.repeat(einsum);
            let others = (sum.0 - option.least.0, sum.1 - option.least.1);
            let (front, need) = (&self.front, self.need);
            let is_hopeless = |energy: f64, cycles: f64| {
                let (energy, cycles) = (others.0 + energy * repeat, others.1 + cycles * repeat);
                need.is_hopeless(aim, energy, cycles) || front.is_needless(energy, cycles)
            };
            let most = need.most_beside(aim, others.0, others.1);
            let wanted = Wanted {
                is_hopeless: &is_hopeless,
                most: most.min(front.most_beside(others.0, others.1)) / repeat,
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
            let room = |point: &Point| -> Vec<u64> {
                let held = held_bits(
                    &self.parts.parts[self.part[index]].problem,
                    &point.cost.accesses,
                );
                self.parts
                    .left(held.iter().zip(&reserved[index]).map(|(a, b)| a + b))
            };
            let mut next = Hull::new(aim);
            for from in joined.corners() {
                for corner in points.corners() {
                    let energy = from.energy + corner.energy * repeat;
                    let cycles = from.cycles + corner.cycles * repeat;
                    if next.is_needless(energy, cycles) {
                        continue;
                    }
                    let mut choice = from.item.clone();
                    choice.steps.push(Found {
                        room: room(&corner.item),
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

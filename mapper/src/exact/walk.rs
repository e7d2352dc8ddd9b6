//! An independent check of [`super::cost`]: walks a nest tile by tile and counts what moves.
//!
//! Nothing here is a formula. Every loop runs, every copy of every memory holds a set of values, and a value counts when
//! it moves. So it takes time in proportion to operations times copies: it is for tests, and for asking about one mapping.
//!
//! What is walked is a static program, as a machine without tags would run it:
//!
//! - Copies run in step: those whose loop has ended, at an edge, wait. A step of all of them is a cycle of compute.
//! - A tile arrives where the innermost loop over one of its ranks moves on, or any loop outside of a fan-out or a memory
//!   that stands further out than its own, and is all fetched, whatever was held. Where
//!   the memory reuses overlap, what the tile before in that same loop had stays, unless that rank is also unrolled between
//!   the loop and the memory, so that the tiles of one copy are no neighbours.
//! - A tile is all positions between its first and last of each dimension, those that a stride leaves out included.
//! - Copies that want the same tile at the same time share one read where all fan-outs between deliver to all.
//!   Tiles that merely overlap are not the same.
//! - A sum starts where nobody above has a part of it. Where copies are summed on the way up, the first of them gets the
//!   old part, and the others start; where they are not, they take turns, the first of them last.

use std::collections::{BTreeMap, BTreeSet};

use super::cost::{Access, Moves};
use super::nest::Step;
use super::problem::Problem;

/// What was seen on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Cycles in which compute works.
    pub compute_cycles: u64,
    /// What each memory does for each operand, in the order of the nest.
    pub accesses: Vec<Access>,
}

/// A value, by its index in each dimension.
type Value = Vec<u64>;

/// Which copy, by its index along each loop in space from the outermost inwards.
type Copy = Vec<u64>;

/// Counts what `nest` does by doing it.
pub(crate) fn walk(problem: &Problem, nest: &[Step]) -> Counts {
    let whole = Lane {
        copy: Copy::new(),
        ranges: problem.sizes.iter().map(|&size| (0, size)).collect(),
    };
    let mut walker = Walker {
        problem,
        nest,
        held: nest.iter().map(|_| BTreeMap::new()).collect(),
        trip: vec![0; nest.len()],
        steps: 0,
    };
    walker.run(0, &[whole]);
    walker.counts()
}

/// One path through the copies, with the indices of each rank at hand.
#[derive(Clone)]
struct Lane {
    copy: Copy,
    ranges: Vec<(u64, u64)>,
}

/// What one copy of a memory has of an operand.
#[derive(Default)]
struct Held {
    tile: BTreeSet<Value>,
    /// Sums of which it has a part.
    started: BTreeSet<Value>,
    /// Sums that it ever had.
    ever: BTreeSet<Value>,
    /// Sums that copies below which are not summed on the way up have added to, with which of them.
    terms: BTreeSet<(Value, Copy)>,
    /// Sums of which a part came from above.
    returned: BTreeSet<Value>,
    moves: Moves,
    largest: u64,
    changes: bool,
}

struct Walker<'a> {
    problem: &'a Problem,
    nest: &'a [Step],
    /// For each step that keeps a tile, what its copies have.
    held: Vec<BTreeMap<Copy, Held>>,
    /// For each loop in time, how often it has moved on.
    trip: Vec<u64>,
    steps: u64,
}

impl Walker<'_> {
    fn run(&mut self, at: usize, lanes: &[Lane]) {
        match self.nest.get(at) {
            None => {
                self.steps += 1;
                for operand in 0..self.problem.operands.len() {
                    self.compute(operand, lanes);
                }
            }
            Some(Step::Keep { operand, .. }) => {
                if self.moved_on(at, *operand) {
                    self.arrive(at, *operand, lanes);
                }
                self.run(at + 1, lanes);
            }
            Some(&Step::Time { rank, tile }) => {
                self.trip[at] = 0;
                loop {
                    let start = |lane: &Lane| lane.ranges[rank].0 + self.trip[at] * tile;
                    let inside: Vec<Lane> = lanes
                        .iter()
                        .filter_map(|lane| lane.piece(rank, start(lane), tile))
                        .collect();
                    if inside.is_empty() {
                        break;
                    }
                    self.run(at + 1, &inside);
                    self.trip[at] += 1;
                }
            }
            Some(&Step::Space {
                rank, copies, tile, ..
            }) => {
                let copy = |lane: &Lane, index: u64| {
                    let mut piece = lane.piece(rank, lane.ranges[rank].0 + index * tile, tile)?;
                    piece.copy.push(index);
                    Some(piece)
                };
                let inside: Vec<Lane> = lanes
                    .iter()
                    .flat_map(|lane| (0..copies).filter_map(move |index| copy(lane, index)))
                    .collect();
                self.run(at + 1, &inside);
            }
        }
    }

    /// Whether the tile of step `at` comes anew, instead of being where the step before left it.
    fn moved_on(&self, at: usize, operand: usize) -> bool {
        if self.problem.model.ordered {
            return true;
        }
        let ranks = self.problem.operands[operand].ranks;
        let mut directly_above = (0..at).rev().take_while(|&above| match self.nest[above] {
            Step::Time { rank, .. } => ranks >> rank & 1 == 0,
            _ => !self.stands_outside(above, at),
        });
        directly_above.all(|above| self.trip[above] == 0)
    }

    /// Whether step `above` is a fan-out, or keeps something further outside than step `at` does.
    fn stands_outside(&self, above: usize, at: usize) -> bool {
        let depth = |step: Step| match step {
            Step::Keep { memory, .. } => self.problem.memories[memory].below_fanouts,
            _ => usize::MAX,
        };
        let is_space = matches!(self.nest[above], Step::Space { .. });
        is_space || depth(self.nest[above]) < depth(self.nest[at])
    }

    /// The tile of every copy at step `at` comes, and leaves in time.
    fn arrive(&mut self, at: usize, operand: usize, lanes: &[Lane]) {
        let above = self.above(at, operand);
        let stays = self.overlap_stays(at, operand);
        for lane in lanes.iter().rev() {
            let tile = self.tile(operand, lane);
            let held = self.held[at].entry(lane.copy.clone()).or_default();
            let new: Vec<Value> = tile
                .iter()
                .filter(|value| !(stays && held.tile.contains(*value)))
                .cloned()
                .collect();
            held.changes |= held.largest > 0 && held.tile != tile;
            held.largest = held.largest.max(tile.len() as u64);
            held.tile = tile;
            let (mine, returned) = (&held.tile, &mut held.returned);
            held.started
                .retain(|value| mine.contains(value) && !new.contains(value));
            returned.retain(|value| mine.contains(value) && !new.contains(value));
            let Some(above) = above else { continue };
            if self.problem.operands[operand].is_output {
                self.start_sums(above, at, operand, lane, &new);
            } else {
                self.copy_at(at, lane).moves.fills += new.len() as u64;
                if self.asks(above, operand, lane) {
                    self.copy_at(above, lane).moves.reads += new.len() as u64;
                }
            }
        }
    }

    /// The sums `new` come from `above` as far as they are started there, and go back.
    fn start_sums(&mut self, above: usize, at: usize, operand: usize, lane: &Lane, new: &[Value]) {
        let asks = self.asks(above, operand, lane);
        let is_free = self.problem.model.free_first_terms;
        for value in new {
            let here = self.copy_at(at, lane);
            here.moves.drains += 1;
            let comes_back = !here.ever.insert(value.clone());
            if is_free && comes_back {
                here.moves.fills += 1;
            }
            if !asks {
                continue;
            }
            let source = self.copy_at(above, lane);
            source.moves.updates += 1;
            let is_first = source.started.insert(value.clone());
            if is_free {
                source.moves.reads += u64::from(comes_back);
            } else if !is_first || source.returned.contains(value) {
                source.moves.reads += 1;
                let here = self.copy_at(at, lane);
                here.moves.fills += 1;
                here.returned.insert(value.clone());
            }
        }
    }

    /// One operation in every copy.
    fn compute(&mut self, operand: usize, lanes: &[Lane]) {
        let above = self
            .above(self.nest.len(), operand)
            .expect("the outermost memory keeps everything");
        for lane in lanes {
            if !self.asks(above, operand, lane) {
                continue;
            }
            let tile = self.tile(operand, lane);
            let value = tile
                .into_iter()
                .next()
                .expect("an operation takes one value");
            let is_output = self.problem.operands[operand].is_output;
            let free = self.problem.model.free_first_terms;
            let apart = free.then(|| self.apart(above, operand, lane));
            let moves = self.copy_at(above, lane);
            if !is_output {
                moves.moves.reads += 1;
                continue;
            }
            moves.moves.updates += 1;
            let is_new = moves.started.insert(value.clone());
            let is_first = match &apart {
                Some(copy) => moves.terms.insert((value.clone(), copy.clone())),
                None => is_new,
            };
            if !is_first || moves.returned.contains(&value) {
                moves.moves.add_reads += 1;
            }
        }
    }

    /// The step above `at` that keeps the same operand.
    fn above(&self, at: usize, operand: usize) -> Option<usize> {
        let mut outwards = (0..at).rev();
        outwards.find(|&i| matches!(self.nest[i], Step::Keep { operand: o, .. } if o == operand))
    }

    /// Whether this lane is the one that speaks with `above` for those that share with it: the first of them.
    fn asks(&self, above: usize, operand: usize, lane: &Lane) -> bool {
        let operand_ranks = self.problem.operands[operand].ranks;
        let shares = |step: &&Step| {
            matches!(**step, Step::Space { fanout, rank, .. }
                if operand_ranks >> rank & 1 == 0
                    && self.problem.fanouts[fanout].shares >> operand & 1 == 1
                    && !self.stands_above(fanout, above))
        };
        self.along_spaces(lane)
            .filter(|(step, _)| shares(step))
            .all(|(_, index)| index == 0)
    }

    /// Which of the copies below `above` that are not summed on the way up.
    fn apart(&self, above: usize, operand: usize, lane: &Lane) -> Copy {
        let is_apart = |step: &Step| {
            matches!(*step, Step::Space { fanout, .. }
                if self.problem.fanouts[fanout].shares >> operand & 1 == 0
                    && !self.stands_above(fanout, above))
        };
        self.along_spaces(lane)
            .filter(|(step, _)| is_apart(step))
            .map(|(_, index)| index)
            .collect()
    }

    /// Whether fan-out `fanout` stands above the memory of step `at`.
    fn stands_above(&self, fanout: usize, at: usize) -> bool {
        let Step::Keep { memory, .. } = self.nest[at] else {
            unreachable!("only memories keep tiles")
        };
        fanout < self.problem.memories[memory].below_fanouts
    }

    /// The loops in space above a lane, with its index along each.
    fn along_spaces<'b>(&'b self, lane: &'b Lane) -> impl Iterator<Item = (&'b Step, u64)> {
        let spaces = self.nest.iter().filter(|s| matches!(s, Step::Space { .. }));
        spaces.zip(lane.copy.iter().copied())
    }

    /// The copy of step `at` that `lane` goes through.
    fn copy_at(&mut self, at: usize, lane: &Lane) -> &mut Held {
        let spaces = self.nest[..at]
            .iter()
            .filter(|s| matches!(s, Step::Space { .. }));
        let copy = lane.copy[..spaces.count()].to_vec();
        self.held[at].entry(copy).or_default()
    }

    /// Whether values stay that the tile before has too.
    fn overlap_stays(&self, at: usize, operand: usize) -> bool {
        let Step::Keep { memory, .. } = self.nest[at] else {
            unreachable!("only memories keep tiles")
        };
        let form = &self.problem.operands[operand];
        let (mut unrolled, mut is_outside) = (0, self.problem.model.ordered);
        for above in (0..at).rev() {
            is_outside |= self.stands_outside(above, at);
            match self.nest[above] {
                Step::Space { rank, .. } => unrolled |= 1 << rank,
                Step::Time { rank, .. } if is_outside || form.ranks >> rank & 1 == 1 => {
                    return self.problem.memories[memory].reuses_overlap
                        && form.overlaps() >> rank & 1 == 1
                        && unrolled >> rank & 1 == 0
                        && self.trip[above] > 0;
                }
                _ => {}
            }
        }
        false
    }

    fn tile(&self, operand: usize, lane: &Lane) -> BTreeSet<Value> {
        let mut values = BTreeSet::from([Value::new()]);
        for terms in &self.problem.operands[operand].dimensions {
            let ends = terms.iter().map(|&(factor, rank)| {
                let (start, end) = lane.ranges[rank];
                (factor * start, factor * (end - 1))
            });
            let (first, last) = ends.fold((0, 0), |sum, end| (sum.0 + end.0, sum.1 + end.1));
            let with = |index: u64| {
                let longer = move |value: &Value| [value.as_slice(), &[index]].concat();
                values.iter().map(longer)
            };
            values = (first..=last).flat_map(with).collect();
        }
        values
    }

    fn counts(self) -> Counts {
        let mut accesses = Vec::new();
        for (step, copies) in self.nest.iter().zip(&self.held) {
            let Step::Keep { memory, operand } = *step else {
                continue;
            };
            let mut access = Access {
                memory,
                operand,
                total: Moves::default(),
                busiest: Moves::default(),
                tile_values: 0,
                changes: false,
            };
            for held in copies.values() {
                let mut moves = held.moves;
                if memory == 0 && self.problem.operands[operand].is_output {
                    moves.complete = held.started.len() as u64;
                }
                for (total, busiest, one) in fields(&mut access, &moves) {
                    *total += one;
                    *busiest = one.max(*busiest);
                }
                access.tile_values = access.tile_values.max(held.largest);
                access.changes |= held.changes;
            }
            accesses.push(access);
        }
        let compute_cycles = match self.problem.lanes {
            Some(lanes) => self.steps.div_ceil(lanes),
            None => self.steps,
        };
        Counts {
            compute_cycles,
            accesses,
        }
    }
}

/// Each kind of move, in all, of the busiest copy, and of one copy.
fn fields<'a>(
    access: &'a mut Access,
    one: &Moves,
) -> impl Iterator<Item = (&'a mut u64, &'a mut u64, u64)> {
    let Access { total, busiest, .. } = access;
    [
        (&mut total.fills, &mut busiest.fills, one.fills),
        (&mut total.reads, &mut busiest.reads, one.reads),
        (&mut total.updates, &mut busiest.updates, one.updates),
        (&mut total.add_reads, &mut busiest.add_reads, one.add_reads),
        (&mut total.drains, &mut busiest.drains, one.drains),
        (&mut total.complete, &mut busiest.complete, one.complete),
    ]
    .into_iter()
}

impl Lane {
    /// The part of it from `start` on, at most `size` of `rank`; none if nothing is left.
    fn piece(&self, rank: usize, start: u64, size: u64) -> Option<Lane> {
        let end = self.ranges[rank].1;
        let mut piece = self.clone();
        piece.ranges[rank] = (start, end.min(start + size));
        (start < end).then_some(piece)
    }
}

//! The einsums of a run, strip by strip: each is a [`Job`], so that they can take turns.

use ir::fit::Fit;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use ir::mapping::Order;
use ir::numerics::{Clamp, FRACTION_BITS};
use ir::op::Kind;

use super::{Constant, Group, Layer, Lower, Packing, Span, View, Work};
use crate::mapspace::{Choice, chunks, is_whole, max_steps, pack_pieces, pixel_tiles, stays};
use crate::plan::EinsumPlan;
use crate::sums::{Chunk, Sums};
use ir::operation::Space;

/// An einsum in the middle of being lowered.
struct Job<'a> {
    index: usize,
    plan: &'a EinsumPlan,
    strips: Vec<Range<usize>>,
    part: Part<'a>,
}

/// What an einsum keeps from strip to strip.
enum Part<'a> {
    Whole(WholeSums<'a>),
    Split(SplitSums<'a>),
    /// The tables of a layer of the vector engine.
    Vector(Vec<Span>),
}

/// Sums that one run of the array completes.
struct WholeSums<'a> {
    sums: &'a Sums<'a>,
    choice: Choice,
    groups: Vec<Group>,
    /// Whether the constants of all groups are loaded once.
    stays: bool,
    loaded: BTreeSet<usize>,
    last_group: Option<usize>,
    /// The strip at hand, its operand and its result.
    at: Option<(usize, View, View)>,
    packing: Packing,
}

/// Sums whose reduction does not fit the weight memory: each tile of pixels loads the weights part by part.
struct SplitSums<'a> {
    sums: &'a Sums<'a>,
    choice: Choice,
    parameters: Vec<Span>,
    /// The parts of the reduction of all column tiles with the same weights.
    parts: BTreeMap<usize, Vec<(Chunk, Span)>>,
}

impl<'a> Lower<'a> {
    /// Lowers one einsum, or those of a depth-first run.
    pub(super) fn run(&mut self, layers: &[Layer<'a>]) {
        self.passes.clear();
        self.passing.clear();
        let mut jobs: Vec<Job> = layers.iter().map(|layer| self.job(layer)).collect();
        self.reserve(&mut jobs);
        if let [job] = jobs.as_mut_slice()
            && let Part::Whole(whole) = &mut job.part
            && whole.choice.order == Order::WeightsOuter
        {
            self.layer = job.index.fit::<u16>();
            for group in 0..whole.groups.len() {
                for (at, strip) in job.strips.iter().enumerate() {
                    self.whole_sums(job.index, job.plan, whole, (at, strip), group);
                }
            }
            return;
        }
        for at in 0..jobs[0].strips.len() {
            for job in &mut jobs {
                self.layer = job.index.fit::<u16>();
                self.strip(job, at);
            }
        }
    }

    fn job(&mut self, layer: &Layer<'a>) -> Job<'a> {
        let part = match layer.work {
            Work::Sums(sums, choice) if is_whole(sums, self.arch) => {
                let n_tiles = sums.n_tiles(self.arch);
                let tiles = (0..n_tiles).step_by(choice.group_tiles);
                let groups = tiles
                    .map(|first| self.group(sums, first..(first + choice.group_tiles).min(n_tiles)))
                    .collect();
                Part::Whole(WholeSums {
                    sums,
                    choice,
                    groups,
                    stays: stays(
                        sums,
                        self.arch,
                        choice.group_tiles,
                        layer.plan.strips.count(),
                    ),
                    loaded: BTreeSet::new(),
                    last_group: None,
                    at: None,
                    packing: Packing {
                        image: 0,
                        pieces: VecDeque::new(),
                        end: 0,
                    },
                })
            }
            Work::Sums(sums, choice) => Part::Split(self.split_sums(sums, choice)),
            Work::Vector => Part::Vector(self.tables(layer.index)),
        };
        Job {
            index: layer.index,
            plan: layer.plan,
            strips: layer.plan.strips.ranges(),
            part,
        }
    }

    /// Takes room for the constants of all groups that stay, one after the other.
    fn reserve(&mut self, jobs: &mut [Job]) {
        let whole = jobs.iter_mut().filter_map(|job| match &mut job.part {
            Part::Whole(whole) if whole.stays => Some(whole),
            _ => None,
        });
        let mut groups: Vec<&mut Group> = whole.flat_map(|whole| &mut whole.groups).collect();
        let words = |of: fn(&Group) -> u32| groups.iter().map(|group| of(group)).sum();
        let mut weight = self.weights.take(words(|group| group.weights.words));
        let mut parameter = self.parameters.take(words(|group| group.parameters.words));
        for group in &mut groups {
            group.weights.local = weight;
            group.parameters.local = parameter;
            weight += group.weights.words;
            parameter += group.parameters.words;
        }
    }

    fn strip(&mut self, job: &mut Job<'a>, at: usize) {
        let strip = &job.strips[at];
        match &mut job.part {
            Part::Whole(whole) => {
                for group in 0..whole.groups.len() {
                    self.whole_sums(job.index, job.plan, whole, (at, strip), group);
                }
            }
            Part::Split(split) => self.split_strip(job.index, job.plan, split, strip),
            Part::Vector(tables) => self.vector(job.index, job.plan, tables, strip),
        }
    }

    /// All tiles of pixels of one strip for one group of column tiles.
    fn whole_sums(
        &mut self,
        index: usize,
        plan: &EinsumPlan,
        job: &mut WholeSums<'a>,
        (at, strip): (usize, &Range<usize>),
        group: usize,
    ) {
        let WholeSums { sums, choice, .. } = *job;
        self.step += 1;
        if !job.stays && job.last_group != Some(group) {
            job.loaded.clear();
            let group = &mut job.groups[group];
            group.parameters.local = self.parameters.take(group.parameters.words);
            group.weights.local = self.weights.take(group.weights.words);
        }
        job.last_group = Some(group);
        if job.at.is_none_or(|(before, ..)| before != at) {
            let input = match &sums.taps {
                Some(taps) => {
                    let (view, image) = self.packed(index, plan, sums, taps, strip);
                    job.packing = Packing {
                        image,
                        pieces: pack_pieces(sums, strip, &choice).into(),
                        end: strip.start,
                    };
                    view
                }
                None => self.operands(index, plan, strip)[0],
            };
            job.at = Some((at, input, self.result(index, plan, strip)));
        }
        if job.loaded.insert(group) {
            let group = &job.groups[group];
            self.load_constant(&group.parameters, Space::Parameters);
            self.load_constant(&group.weights, Space::Weights);
        }
        let (_, input, result) = job.at.expect("set above");
        let packing = &mut job.packing;
        let tiles = pixel_tiles(&sums.regions, strip, &choice);
        for (position, tile) in tiles.iter().enumerate() {
            let mut ahead = VecDeque::new();
            if let Some(taps) = &sums.taps {
                for run in Self::pack_runs(taps, packing, tile.rows.end) {
                    self.pack(sums, taps, packing.image, &input, &run);
                }
                let next = tiles.get(position + 1).map_or(0, |next| next.rows.end);
                ahead = Self::pack_runs(taps, packing, next);
            }
            let group = &job.groups[group];
            let image = packing.image;
            self.tile(sums, &choice, group, tile, &input, &result, image, ahead);
        }
        if plan.stored && group + 1 == job.groups.len() {
            self.store_rows(self.network.einsums[index].output, &result, strip);
        }
    }

    fn split_sums(&mut self, sums: &'a Sums<'a>, choice: Choice) -> SplitSums<'a> {
        // Half of the memory, so that the next part is loaded while this one is used.
        let steps = (max_steps(self.arch) / 2).max(1);
        let mut parameters = Vec::new();
        let mut parts: BTreeMap<usize, Vec<(Chunk, Span)>> = BTreeMap::new();
        for n in 0..sums.n_tiles(self.arch) {
            parameters.push(self.constant(Constant::Parameters(sums, n..n + 1)));
            let key = sums.same_weights(self.arch, n);
            if let std::collections::btree_map::Entry::Vacant(entry) = parts.entry(key) {
                let list = chunks(sums, self.arch, n, steps).into_iter().map(|chunk| {
                    let span = self.constant(Constant::Weights(sums, n, chunk.clone()));
                    (chunk, span)
                });
                entry.insert(list.collect());
            }
        }
        SplitSums {
            sums,
            choice,
            parameters,
            parts,
        }
    }

    fn split_strip(
        &mut self,
        index: usize,
        plan: &EinsumPlan,
        job: &SplitSums<'a>,
        strip: &Range<usize>,
    ) {
        let SplitSums { sums, choice, .. } = job;
        let cols = self.arch.array.cols;
        let views = self.operands(index, plan, strip);
        let result = self.result(index, plan, strip);
        for (n, parameters) in job.parameters.iter().enumerate() {
            let mut parameters = *parameters;
            parameters.local = self.parameters.take(parameters.words);
            self.step += 1;
            self.load_constant(&parameters, Space::Parameters);
            let own_blocks = sums.blocks(self.arch, n);
            let list = &job.parts[&sums.same_weights(self.arch, n)];
            for tile in pixel_tiles(&sums.regions, strip, choice) {
                let block_shift = own_blocks.start - list[0].0.blocks.start;
                for (position, (chunk, span)) in list.iter().enumerate() {
                    let mut span = *span;
                    span.local = self.weights.take(span.words);
                    self.step += 1;
                    self.load_constant(&span, Space::Weights);
                    let mut chunk = chunk.clone();
                    chunk.blocks = chunk.blocks.start + block_shift..chunk.blocks.end + block_shift;
                    let first = span.local / cols;
                    let goes_on = position > 0;
                    self.exec(sums, choice, &chunk, &tile, &views[0], first, goes_on);
                }
                let channel = tile.set.fit::<u32>() * cols;
                self.requantise(sums, n, &tile, &result, &parameters, channel);
            }
        }
        if plan.stored {
            self.store_rows(self.network.einsums[index].output, &result, strip);
        }
    }

    fn tables(&mut self, index: usize) -> Vec<Span> {
        match &self.network.einsums[index].kind {
            Kind::Add(op) => vec![self.table(&op.tables[0], &op.tables[1])],
            Kind::Table(op) => vec![self.byte_table(&op.values)],
            Kind::Concat(op) => op
                .tables
                .iter()
                .map(|table| self.byte_table(table))
                .collect(),
            _ => Vec::new(),
        }
    }

    fn vector(&mut self, index: usize, plan: &EinsumPlan, tables: &[Span], strip: &Range<usize>) {
        let einsum = &self.network.einsums[index];
        self.step += 1;
        let views = self.operands(index, plan, strip);
        let result = self.result(index, plan, strip);
        match &einsum.kind {
            Kind::Add(op) => {
                self.use_table(&tables[0]);
                let meaning = (op.clamp, op.fraction_bits);
                self.lookup(&views, &result, strip, meaning);
            }
            Kind::Table(_) => {
                self.use_table(&tables[0]);
                let meaning = (Clamp::FULL, FRACTION_BITS);
                self.lookup(&views, &result, strip, meaning);
            }
            Kind::Concat(op) => self.concat(op, tables, &views, &result, strip),
            Kind::MaxPool(op) => {
                let height = self.network.tensor(einsum.inputs[0]).height;
                self.max_pool(&op.window, &views[0], height, &result, strip);
            }
            Kind::Select(op) => self.repeat(op, &views[0], &result, strip),
            Kind::Conv(_) | Kind::AveragePool(_) => unreachable!("sums run on the array"),
            Kind::Mul(_) | Kind::ConvAdd(_) => unreachable!("what fits has been checked"),
        }
        if plan.stored {
            self.store_rows(einsum.output, &result, strip);
        }
    }
}

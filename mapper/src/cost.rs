//! The cost of a mapping: its layer alone on the machine, from the doorbell to the last store.
//!
//! The layer is lowered as if it were the whole network, with its operands where the plan has them, and `timing` says
//! how long that takes. So the cost has no error of its own: what it leaves out is only what neighbours do to a layer
//! in a program.
//!
//! Lowering a layer takes most of the time of a search. `bound` is a sum over the loads, tiles and stores that is
//! never above the cost, so that few mappings are lowered.

use ir::fit::Fit;
use std::ops::Range;

use ir::arch::{Arch, Attachment};
use ir::isa::{Engine, Instruction, Opcode};
use ir::mapping::Order;
use ir::memory::{Channel, MemoryModel};
use ir::network::{Network, TensorId};
use ir::operation::{Operation, Registers};
use ir::timing::Timeline;
use serde::{Deserialize, Serialize};

use crate::assemble;
use crate::error::MapError;
use crate::lower::{self, Layer, Work};
use crate::mapspace::{Choice, Mapspace, PixelTile, chunks, max_steps, pixel_tiles, stays};
use crate::plan::{Access, EinsumPlan, operand_rows, row_words};

/// What a mapping costs, part by part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Cycles in all, from the doorbell to the last store.
    pub cycles: u64,
    /// Busy cycles of EXEC.
    pub exec: u64,
    /// Busy cycles of VEC.
    pub vec: u64,
    /// Busy cycles of LOAD.
    pub load: u64,
    /// Busy cycles of STORE.
    pub store: u64,
    /// Cycles in which FETCH dispatches or waits for memory.
    pub fetch: u64,
    /// Words moved between memory and the local memories.
    pub traffic_words: u64,
    /// Instructions.
    pub instructions: u64,
}

/// What a layer moves besides its constants, given by the plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Boundary {
    /// Words of one pass over the operands that come from memory, halos included.
    pub load_words: u64,
    /// Words stored.
    pub store_words: u64,
}

/// Gives a mapping a cost; the seam for another model, or for the simulator itself.
pub trait CostModel {
    /// The name used on the command line and in reports.
    fn name(&self) -> &'static str;
    /// A cost whose parts that an [`Objective`](crate::Objective) compares are never above those of [`Self::cost`].
    fn bound(&self, mapspace: &Mapspace, choice: &Choice) -> Cost;
    /// What `choice`, a feasible point of `mapspace`, costs.
    ///
    /// # Errors
    /// Why it has no program.
    fn cost(&self, mapspace: &Mapspace, choice: &Choice) -> Result<Cost, MapError>;
}

/// The recurrence of the machine on the layer as it is lowered.
pub(crate) struct Recurrence<'a> {
    pub(crate) network: &'a Network,
    pub(crate) arch: &'a Arch,
    /// How memory behind a port answers; memory on chip has its own timing.
    pub(crate) memory: MemoryModel,
    pub(crate) index: usize,
    pub(crate) plan: &'a EinsumPlan,
}

impl CostModel for Recurrence<'_> {
    fn name(&self) -> &'static str {
        "recurrence"
    }

    fn bound(&self, mapspace: &Mapspace, choice: &Choice) -> Cost {
        bound(self, mapspace, choice)
    }

    fn cost(&self, mapspace: &Mapspace, choice: &Choice) -> Result<Cost, MapError> {
        self.lowered(Work::Sums(mapspace.sums, *choice))
    }
}

impl Recurrence<'_> {
    /// What a layer of the vector engine costs.
    ///
    /// # Errors
    /// Why it has no program.
    pub(crate) fn vector(&self) -> Result<Cost, MapError> {
        self.lowered(Work::Vector)
    }

    fn lowered(&self, work: Work) -> Result<Cost, MapError> {
        let layer = Layer {
            index: self.index,
            plan: self.plan,
            work,
        };
        together(self.network, self.arch, self.memory, &[layer])
    }

    /// Words and number of the loads that bring the operands of `strip`; `first` if it is the first strip.
    fn operand_loads(&self, strip: &Range<usize>, first: bool) -> (u64, u64) {
        let einsum = &self.network.einsums[self.index];
        let (mut words, mut loads) = (0, 0);
        for (at, (&id, access)) in einsum.inputs.iter().zip(&self.plan.inputs).enumerate() {
            if einsum.inputs[..at].contains(&id) {
                continue;
            }
            match access {
                Access::Fetch(area) if first => {
                    words += u64::from(area.words);
                    loads += 1;
                }
                Access::Bank(_) | Access::Fetch(_) | Access::Passes { .. } => {}
                Access::Strips(_) => {
                    let rows = operand_rows(self.network, self.index, strip).len() as u64;
                    words += rows * u64::from(row_words(self.network, self.arch, id));
                    loads += 1;
                }
            }
        }
        (words, loads)
    }
}

/// What the layers of a run cost, alone on the machine.
///
/// # Errors
/// Why they have no program.
pub(crate) fn together(
    network: &Network,
    arch: &Arch,
    memory: MemoryModel,
    layers: &[Layer],
) -> Result<Cost, MapError> {
    // A packed image has a layout of its own; other operands get their place with their first load.
    let packing = layers.iter().filter(|layer| !layer.plan.packed.is_empty());
    let images = packing.map(|layer| network.einsums[layer.index].inputs[0]);
    let first: Vec<TensorId> = images.collect();
    let mut lowered = lower::lower(network, arch, &first, layers);
    let code = assemble::instructions(network, arch, &mut lowered)?.code;
    let timeline = timeline(&code.instructions, arch, memory);
    let moved = timeline
        .bursts
        .iter()
        .filter(|burst| burst.engine.is_some());
    Ok(Cost {
        cycles: timeline.cycles,
        exec: timeline.busy(Engine::Exec),
        vec: timeline.busy(Engine::Vec),
        load: timeline.busy(Engine::Load),
        store: timeline.busy(Engine::Store),
        fetch: timeline.fetching(),
        traffic_words: moved.map(|burst| u64::from(burst.words)).sum(),
        instructions: code.instructions.len() as u64,
    })
}

/// What the instructions of this crate do when, on a machine after reset.
pub(crate) fn timeline(code: &[Instruction], arch: &Arch, memory: MemoryModel) -> Timeline {
    let operations = Operation::all(code, &mut Registers::default(), arch);
    let operations = operations.expect("a program of this crate has operands");
    Timeline::of(code, &operations, arch, memory)
}

/// The least time that transfers take, with a beat in every cycle.
struct Bursts {
    /// Cycles from acceptance to the first beat.
    read_latency: u64,
    write_latency: u64,
    /// Cycles from the last beat to the write response.
    response: u64,
    words: u64,
    outstanding: u64,
}

impl Bursts {
    fn new(arch: &Arch, memory: MemoryModel) -> Bursts {
        let [read_latency, write_latency, response] = match (arch.memory.attachment, memory) {
            (Attachment::OnChip, _) => [2, 1, 1],
            (Attachment::Port, MemoryModel::Jitter { latency, .. }) => {
                [latency.max(1), latency.max(1), 1].map(u64::from)
            }
            (Attachment::Port, model) => {
                let [read, write] =
                    [Channel::Read, Channel::Write].map(|channel| model.burst(channel, 0));
                [read.latency, write.latency, write.response]
            }
        };
        Bursts {
            read_latency,
            write_latency,
            response,
            words: arch.memory.burst_words.into(),
            outstanding: arch.load.outstanding.into(),
        }
    }

    /// Cycles of a LOAD from its start to its last cycle: no fewer than its beats take, nor than a request for each
    /// burst after the last beat of the burst `outstanding` before it.
    fn load(&self, words: u64) -> u64 {
        let links = (words.div_ceil(self.words) - 1) / self.outstanding;
        let chain = links * (2 + self.read_latency) + links.saturating_sub(1) * (self.words - 1);
        3 + self.read_latency + chain.max(words - 1)
    }

    /// Cycles of a STORE from its start to its last cycle; its bursts follow each other.
    fn store(&self, words: u64) -> u64 {
        let bursts = words.div_ceil(self.words);
        3 + bursts * self.write_latency + words - 1 + self.response
    }
}

/// A cost of `choice` whose cycles, traffic and instructions are never above those of the recurrence.
///
/// Four chains, each a sum: what the array must do from the first weights on, what the vector engine must do from the
/// first sums on, all loads with what must follow the last of them, and the dispatch of the instructions.
fn bound(model: &Recurrence, mapspace: &Mapspace, choice: &Choice) -> Cost {
    let (arch, sums) = (model.arch, mapspace.sums);
    let bursts = Bursts::new(arch, model.memory);
    let strips = mapspace.strips.ranges();
    let n_tiles = sums.n_tiles(arch);
    let groups: Vec<Range<usize>> = (0..n_tiles)
        .step_by(choice.group_tiles)
        .map(|first| first..(first + choice.group_tiles).min(n_tiles))
        .collect();
    let parts: Vec<Vec<u64>> = (0..n_tiles)
        .map(|n| {
            if mapspace.split {
                let parts = chunks(sums, arch, n, (max_steps(arch) / 2).max(1));
                parts.iter().map(|chunk| chunk.steps() as u64).collect()
            } else {
                vec![sums.whole(arch, n).steps() as u64]
            }
        })
        .collect();
    let exec = |pixels: u64, n: usize| -> u64 {
        let cycles = |steps: &u64| 1 + arch.exec_cycles(choice.dataflow, pixels, *steps);
        parts[n].iter().map(cycles).sum()
    };
    let requantise = |pixels: u64| arch.vec_cycles(Opcode::Requantise, pixels);

    // The array and the vector engine, over all tiles of pixels; most tiles are equal.
    let mut pixels_of: Vec<(u64, u64)> = Vec::new();
    let mut last = Vec::new();
    let mut first_pixels = 0;
    for strip in &strips {
        last = pixel_tiles(&sums.regions, strip, choice);
        for tile in &last {
            let pixels = tile.pixels() as u64;
            match pixels_of.iter_mut().find(|(p, _)| *p == pixels) {
                Some((_, n)) => *n += 1,
                None => pixels_of.push((pixels, 1)),
            }
            if first_pixels == 0 {
                first_pixels = pixels;
            }
        }
    }
    let n_pixel_tiles: u64 = pixels_of.iter().map(|(_, n)| n).sum();
    let all = |pixels: u64| -> u64 { (0..n_tiles).map(|n| exec(pixels, n)).sum() };
    let exec_all: u64 = pixels_of.iter().map(|(p, n)| n * all(*p)).sum();
    let vec_all: u64 = pixels_of
        .iter()
        .map(|(p, n)| n * n_tiles as u64 * (1 + requantise(*p)))
        .sum();
    let last_group = groups.last().expect("a layer has a column tile").clone();
    let last_pixels = last.last().map_or(1, |tile| tile.pixels() as u64);
    let exec_last: u64 = if mapspace.split {
        let steps = parts[n_tiles - 1].last().expect("a sum has a part");
        1 + arch.exec_cycles(choice.dataflow, last_pixels, *steps)
    } else {
        let of = |tile: &PixelTile| -> u64 {
            let pixels = tile.pixels() as u64;
            last_group.clone().map(|n| exec(pixels, n)).sum()
        };
        last.iter().map(of).sum()
    };
    // A new tile of pixels has another origin and starts again at the first weights of its group.
    let changes = groups.len() as u64 * (n_pixel_tiles - strips.len() as u64);
    let exec_all = exec_all + changes * if mapspace.split { 1 } else { 2 };
    // Each result goes elsewhere.
    let vec_all = vec_all + n_pixel_tiles * n_tiles as u64 - 1;

    // Loads: of operands for each pass over the strips, of constants for each group.
    let passes = match choice.order {
        Order::WeightsOuter if !mapspace.split => groups.len() as u64,
        Order::StripsOuter | Order::WeightsOuter => 1,
    };
    let (mut load, mut load_words, mut n_loads) = (0, 0, 0);
    let mut first_load = 0;
    let mut add = |words: u64, loads: u64, times: u64| {
        if words == 0 {
            return 0;
        }
        // Several loads take at least as long as one, and a start and a latency each.
        let cycles = 1 + bursts.load(words) + (loads - 1) * (3 + bursts.read_latency);
        load += times * cycles;
        load_words += times * words;
        n_loads += times * loads;
        cycles
    };
    for (at, strip) in strips.iter().enumerate() {
        let (words, loads) = model.operand_loads(strip, at == 0);
        let fetched = matches!(model.plan.inputs[0], Access::Fetch(_));
        let cycles = add(words, loads, if fetched { 1 } else { passes });
        if at == 0 {
            first_load = cycles;
        }
    }
    let stays = stays(sums, arch, choice.group_tiles, strips.len());
    let reloads = match (
        mapspace.split,
        stays || choice.order == Order::WeightsOuter || groups.len() == 1,
    ) {
        (true, _) | (false, false) => strips.len() as u64,
        (false, true) => 1,
    };
    for (at, tiles) in groups.iter().enumerate() {
        let parameters = arch.parameter_words(mapspace.group_parameters(tiles).fit::<u32>());
        let cycles = add(parameters.into(), 1, reloads);
        if at == 0 {
            first_load += cycles;
        }
        if mapspace.split {
            let pixel_tiles = n_pixel_tiles / strips.len() as u64;
            for (part, steps) in parts[tiles.start].iter().enumerate() {
                let cycles = add(steps * u64::from(arch.array.cols), 1, reloads * pixel_tiles);
                if at == 0 && part == 0 {
                    first_load += cycles;
                }
            }
        } else {
            let cycles = add(mapspace.group_words(tiles) as u64, 1, reloads);
            if at == 0 {
                first_load += cycles;
            }
        }
    }

    let mut store = 0;
    let mut last_store = 0;
    let mut store_words = 0;
    if model.plan.stored {
        let row = u64::from(row_words(
            model.network,
            arch,
            model.network.einsums[model.index].output,
        ));
        for strip in &strips {
            let words = row * strip.len() as u64;
            last_store = 1 + bursts.store(words);
            store += last_store;
            store_words += words;
        }
    }

    let n_exec = n_pixel_tiles * parts.iter().map(|parts| parts.len() as u64).sum::<u64>();
    let n_vec = n_pixel_tiles * n_tiles as u64;
    let n_stores = if model.plan.stored {
        strips.len() as u64
    } else {
        0
    };
    let instructions = n_exec + changes + 2 * n_vec + 2 * n_loads + 2 * n_stores;
    // The first chunk is accepted in cycle 2; a LOAD comes after three `configure`s.
    let fetched = 2 + bursts.read_latency + 1;
    let loading = fetched + 3 + 1;
    let drain = arch.exec_drain_cycles() + 1;
    let tail = drain + requantise(last_pixels) + last_store;
    let chunk = u64::from(arch.fetch.chunk_words * arch.instructions_per_word());
    let rounds = (instructions.div_ceil(chunk) - 1) / u64::from(arch.fetch.chunks);
    let dispatch = fetched + rounds * (chunk + bursts.read_latency + 2);
    let array = loading + first_load + exec_all;
    let first_exec = exec(first_pixels, 0);
    let cycles = [
        array + tail - 1,
        loading + first_load + first_exec + drain + vec_all + last_store - 2,
        loading + load + exec_last + tail - 1,
        loading + first_load + first_exec + drain + requantise(first_pixels) + store - 1,
        dispatch,
    ];
    Cost {
        cycles: cycles.into_iter().max().unwrap_or(0),
        exec: exec_all,
        vec: vec_all,
        load,
        store,
        fetch: dispatch,
        traffic_words: load_words + store_words,
        instructions,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directives::settle;
    use crate::layers::Context;
    use crate::search::{BestFirst, Problem, Search};
    use crate::{Hooks, Objective, Options};

    fn preset(name: &str) -> Arch {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("../examples/archs/{name}.toml"));
        let text = std::fs::read_to_string(path).expect("the preset is there");
        ir::arch::read(name, &text).expect("presets are legal")
    }

    /// Costs every point of every layer: no bound is above its cost, and the search finds the least; gives the points.
    fn check(network: &Network, arch: &Arch, memory: MemoryModel) -> usize {
        let n = network.einsums.len();
        let sums: Vec<_> = (0..n).map(|i| crate::sums_of(network, i)).collect();
        let taps: Vec<_> = (0..n).map(|i| crate::taps_of(network, arch, i)).collect();
        let options = Options {
            memory,
            ..Options::default()
        };
        let runs = vec![Vec::new(); n];
        let settled = settle(network, arch, &[], &taps, &runs).expect("nothing is decided");
        let ctx = Context {
            network,
            arch,
            options: &options,
            hooks: &Hooks::default(),
            settled: &settled,
            sums: &sums,
            taps: &taps,
            runs: &runs,
        };
        let Ok((plans, given, _)) = crate::plan_rows(&ctx) else {
            return 0;
        };
        let mut points = 0;
        for (index, plan) in plans.iter().enumerate() {
            let Some(sums) = ctx.sums(index, given.packed.contains_key(&index)) else {
                continue;
            };
            let mapspace = ctx.mapspace(index, sums, plan);
            let model = ctx.model(index, plan);
            let mut least = None;
            for choice in mapspace.choices() {
                if mapspace.infeasible(&choice).is_some() {
                    continue;
                }
                let bound = model.bound(&mapspace, &choice);
                let Ok(cost) = model.cost(&mapspace, &choice) else {
                    continue;
                };
                let parts = |cost: &Cost| [cost.cycles, cost.traffic_words, cost.instructions];
                let holds = parts(&bound).iter().zip(parts(&cost)).all(|(b, c)| *b <= c);
                let name = &network.einsums[index].name;
                assert!(holds, "{name} {choice:?}\n{bound:?}\n{cost:?}\n{plan:?}");
                let key = (parts(&cost), choice);
                least = Some(least.map_or(key, |least: ([u64; 3], Choice)| least.min(key)));
                points += 1;
            }
            let problem = Problem {
                mapspace: &mapspace,
                boundary: Boundary::default(),
                model: &model,
                objective: Objective::Cycles,
                macs: 0,
            };
            let found = BestFirst.find(&problem);
            assert_eq!(found.map(|f| f.choice), least.map(|(_, choice)| choice));
        }
        points
    }

    #[test]
    fn bounds_are_below_costs_and_the_search_finds_the_least() {
        let memories = [MemoryModel::M1, MemoryModel::Ideal, MemoryModel::M2];
        let mut points = 0;
        {
            let network = onnx::zoo::build("ds_cnn", 1).expect("the zoo has it").0;
            for base in ["edge", "both", "nano"] {
                let mut arch = preset(base);
                // Strips, groups and split sums come with small memories.
                for (at, (banks, weights)) in [(1, 1), (1, 8), (2, 4), (4, 64)].iter().enumerate() {
                    arch.activations.words = preset(base).activations.words / banks;
                    arch.weights.words =
                        (preset(base).weights.words / weights).max(arch.array.cols);
                    arch.load.outstanding = [4, 1, 2, 4][at];
                    let memory = memories[at % memories.len()];
                    for id in network.einsum_ids().take(3) {
                        points += check(&network.alone(id), &arch, memory);
                    }
                    points += check(&network, &arch, memory);
                }
            }
        }
        assert!(points > 2000, "{points} points");
    }
}

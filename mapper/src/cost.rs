//! The closed-form cost of a mapping: cycles of the machine as `docs/concepts/timing.md` states them.
//!
//! The time of each engine is summed over its runs, with the formulas of the timing contract; engines overlap, so the
//! slowest decides, plus what comes before its first run and after its last.
//! Deliberately not here: contention of FETCH and LOAD, and waiting for a single late token. The simulator has both.

use std::ops::Range;

use ir::arch::{Arch, Attachment, Dataflow};
use ir::isa::Opcode;
use ir::mapping::Order;
use ir::memory::{Channel, MemoryModel};
use serde::{Deserialize, Serialize};

use crate::mapspace::{
    Choice, Mapspace, PixelTile, chunks, max_steps, pack_pieces, pixel_tiles, stays,
};
use crate::plan::strips;

/// What a mapping costs, part by part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Cycles in all, from the first load to the last store.
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
    /// Cycles of loads before the first work can start.
    pub front: u64,
    /// Cycles from then on, if loads never hold it up.
    pub compute: u64,
    /// Cycles of work that are left when the last load has arrived.
    pub tail: u64,
    /// Words moved between memory and the local memories.
    pub traffic_words: u64,
    /// Instructions, estimated.
    pub instructions: u64,
}

/// Gives a mapping a cost; the seam for another model, or for the simulator itself.
pub trait CostModel {
    /// The name used on the command line and in reports.
    fn name(&self) -> &'static str;
    /// What `choice`, a feasible point of `mapspace`, costs.
    fn cost(&self, mapspace: &Mapspace, choice: &Choice, boundary: &Boundary) -> Cost;
}

/// What a layer moves besides its constants, given by the plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Boundary {
    /// Words of one pass over the operands that come from memory, halos included.
    pub load_words: u64,
    /// Loads of one pass.
    pub loads: u64,
    /// Words stored.
    pub store_words: u64,
    /// Stores.
    pub stores: u64,
}

/// The closed form.
#[derive(Clone, Copy, Debug)]
pub struct ClosedForm {
    /// How memory behind a port answers; memory on chip has its own timing.
    pub memory: MemoryModel,
}

impl CostModel for ClosedForm {
    fn name(&self) -> &'static str {
        "closed-form"
    }

    fn cost(&self, mapspace: &Mapspace, choice: &Choice, boundary: &Boundary) -> Cost {
        let arch = mapspace.arch;
        let sums = mapspace.sums;
        let n_tiles = sums.n_tiles(arch);
        let strips = strips(sums.output.height, mapspace.strip_rows);
        let mut cost = Cost::default();
        let (mut first_exec, mut last_vec) = (0, 0);
        for strip in &strips {
            for tile in pixel_tiles(&sums.regions, strip, choice) {
                for n in 0..n_tiles {
                    let steps = sums.whole(arch, n).steps() as u64;
                    let runs = if mapspace.split {
                        chunks(sums, arch, n, (max_steps(arch) / 2).max(1)).len() as u64
                    } else {
                        1
                    };
                    let exec = exec_cycles(arch, choice.dataflow, tile.pixels() as u64, steps)
                        + (runs - 1) * (arch.exec_fill_cycles() + 1);
                    let vec = requantise_cycles(arch, &tile);
                    cost.exec += exec;
                    cost.vec += vec;
                    cost.instructions += 4 + 3 * (runs - 1);
                    if first_exec == 0 {
                        first_exec = exec;
                    }
                    last_vec = vec;
                }
                cost.instructions += 3;
            }
        }
        let (first_load, exposed) =
            self.constants(mapspace, choice, strips.len() as u64, &mut cost);
        let passes = if choice.order == Order::WeightsOuter {
            n_tiles.div_ceil(choice.group_tiles) as u64
        } else {
            1
        };
        let first_pack = pack(mapspace, choice, &strips, passes, &mut cost);
        let n_loads = boundary.loads * passes;
        cost.load += self.transfer(arch, Channel::Read, boundary.load_words * passes, n_loads);
        cost.store += self.transfer(arch, Channel::Write, boundary.store_words, boundary.stores);
        cost.traffic_words += boundary.load_words * passes + boundary.store_words;
        cost.instructions += 3 * n_loads + 3 * boundary.stores + 20;
        cost.fetch = self.fetch(arch, cost.instructions);
        let one = |channel, words: u64, n: u64| {
            let each = words.checked_div(n);
            each.map_or(0, |words| self.transfer(arch, channel, words, 1))
        };
        let input = one(Channel::Read, boundary.load_words, boundary.loads);
        let output = one(Channel::Write, boundary.store_words, boundary.stores);
        let drain = arch.exec_drain_cycles();
        cost.front = input + first_load;
        cost.tail = first_pack + first_exec + drain + last_vec + output;
        cost.compute = [
            first_pack + exposed + cost.exec + drain + last_vec + output,
            first_exec + drain + cost.vec + output,
            first_pack + first_exec + drain + cost.store,
            cost.fetch,
        ]
        .into_iter()
        .max()
        .unwrap_or(0);
        cost.cycles = (cost.front + cost.compute).max(cost.load + cost.tail);
        cost
    }
}

/// Adds the packing of all strips in each of `passes`; gives the cycles of the first piece, which EXEC waits for.
fn pack(
    mapspace: &Mapspace,
    choice: &Choice,
    strips: &[Range<usize>],
    passes: u64,
    cost: &mut Cost,
) -> u64 {
    let Some(taps) = &mapspace.sums.taps else {
        return 0;
    };
    let groups = taps.groups() as u64;
    let width = mapspace.sums.output.width as u64;
    // One strip stays packed for all groups of weights.
    let passes = if strips.len() == 1 { 1 } else { passes };
    let mut first = 0;
    for piece in strips
        .iter()
        .flat_map(|strip| pack_pieces(mapspace.sums, strip, choice))
    {
        let cycles =
            groups * vector_busy(mapspace.arch, Opcode::Pack, piece.len() as u64 * width, 1);
        cost.vec += passes * cycles;
        cost.instructions += passes * groups * 5;
        if first == 0 {
            first = cycles;
        }
    }
    first
}

impl ClosedForm {
    /// Adds the loads of weights and parameters; gives the cycles of the first, and of those that find the memory
    /// still in use by the group before.
    fn constants(
        &self,
        mapspace: &Mapspace,
        choice: &Choice,
        n_strips: u64,
        cost: &mut Cost,
    ) -> (u64, u64) {
        let arch = mapspace.arch;
        let n_tiles = mapspace.sums.n_tiles(arch);
        let groups: Vec<Range<usize>> = (0..n_tiles)
            .step_by(choice.group_tiles)
            .map(|n| n..(n + choice.group_tiles).min(n_tiles))
            .collect();
        let words: Vec<u64> = groups
            .iter()
            .map(|tiles| mapspace.group_words(tiles) as u64)
            .collect();
        let parameters = |tiles: &Range<usize>| {
            u64::from(arch.parameter_words(mapspace.group_parameters(tiles) as u32))
        };
        let stays = stays(mapspace.sums, arch, n_strips as usize);
        let tiles_per_strip =
            pixel_tiles(&mapspace.sums.regions, &(0..mapspace.strip_rows), choice).len() as u64;
        let passes = match (
            mapspace.split,
            stays || choice.order == Order::WeightsOuter || groups.len() == 1,
        ) {
            (true, _) => n_strips * tiles_per_strip,
            (false, true) => 1,
            (false, false) => n_strips,
        };
        let (mut first, mut exposed, mut before) = (0, 0, 0);
        for (tiles, words) in groups.iter().zip(words) {
            let cycles = self.transfer(arch, Channel::Read, words, 1)
                + self.transfer(arch, Channel::Read, parameters(tiles), 1);
            if first == 0 {
                first = cycles;
            } else if before + words > u64::from(arch.weights.words) {
                exposed += passes * cycles;
            }
            before = words;
            cost.load += passes * cycles;
            cost.traffic_words += passes * (words + parameters(tiles));
            cost.instructions += passes * 6;
        }
        (first, exposed)
    }

    /// What a layer of the vector engine costs, with `busy` cycles of VEC in `runs` runs.
    pub fn vector(&self, arch: &Arch, busy: u64, runs: u64, boundary: &Boundary) -> Cost {
        let mut cost = Cost {
            vec: busy,
            instructions: 4 * runs + 3 * boundary.loads + 3 * boundary.stores + 15,
            ..Cost::default()
        };
        cost.load = self.transfer(arch, Channel::Read, boundary.load_words, boundary.loads);
        cost.store = self.transfer(arch, Channel::Write, boundary.store_words, boundary.stores);
        cost.traffic_words = boundary.load_words + boundary.store_words;
        cost.fetch = self.fetch(arch, cost.instructions);
        cost.front = cost.load / boundary.loads.max(1);
        cost.tail = busy / runs.max(1) + cost.store / boundary.stores.max(1);
        cost.compute = (busy + cost.store / boundary.stores.max(1))
            .max(cost.store)
            .max(cost.fetch);
        cost.cycles = (cost.front + cost.compute).max(cost.load + cost.tail);
        cost
    }

    /// Cycles of `n` loads or stores of `words` in all.
    fn transfer(&self, arch: &Arch, channel: Channel, words: u64, n: u64) -> u64 {
        if n == 0 {
            return 0;
        }
        let burst_words = u64::from(arch.memory.burst_words);
        let bursts = words.div_ceil(burst_words).max(n);
        match arch.memory.attachment {
            // The next burst of a load is asked for when the last one has arrived.
            Attachment::OnChip if channel == Channel::Read => {
                words + bursts * if arch.load.outstanding > 1 { 1 } else { 5 } + n * 6
            }
            Attachment::OnChip => words + bursts * 2 + n * 5,
            Attachment::Port => {
                let burst = self.memory.burst(channel, 0);
                let beats = words * burst.beat_gap;
                match channel {
                    Channel::Read => {
                        let round_trip =
                            burst.latency + 3 + burst_words.min(words) * burst.beat_gap;
                        let window =
                            u64::from(arch.load.outstanding) * burst_words * burst.beat_gap;
                        beats.max(beats * round_trip / window) + n * (burst.latency + 4)
                    }
                    Channel::Write => {
                        beats
                            + bursts * burst.latency.min(2)
                            + n * (burst.latency + burst.response + 4)
                    }
                }
            }
        }
    }

    /// Cycles that FETCH takes for `n` instructions.
    fn fetch(&self, arch: &Arch, n: u64) -> u64 {
        let chunk_words = u64::from(arch.fetch.chunk_words);
        let round_trip = match arch.memory.attachment {
            Attachment::OnChip => 5 + chunk_words,
            Attachment::Port => {
                let burst = self.memory.burst(Channel::Read, 0);
                burst.latency + 3 + chunk_words * burst.beat_gap
            }
        };
        let per_chunk = chunk_words * u64::from(arch.instructions_per_word());
        let in_flight = per_chunk * u64::from(arch.fetch.chunks);
        // A chunk is asked for when the one two before is dispatched.
        n.max(n * (round_trip + per_chunk) / in_flight)
    }
}

/// Cycles of one EXEC, its start included.
pub(crate) fn exec_cycles(arch: &Arch, dataflow: Dataflow, pixels: u64, steps: u64) -> u64 {
    match dataflow {
        Dataflow::OutputStationary => 1 + pixels * steps,
        Dataflow::WeightStationary => {
            1 + arch.exec_fill_cycles() + (steps - 1) * arch.exec_step_cycles(pixels) + pixels
        }
    }
}

/// Cycles of one requantise, its start included.
fn requantise_cycles(arch: &Arch, tile: &PixelTile) -> u64 {
    let (slot, tail) = arch.vector_cycles(Opcode::Requantise);
    2 + (tile.pixels() as u64 - 1) * slot + tail
}

/// Cycles of a network whose layers follow each other: loads run one layer ahead of the work.
pub fn pipeline(layers: &[Cost]) -> u64 {
    let (mut loaded, mut started, mut done) = (0, 0, 0);
    for layer in layers {
        let load_start = u64::max(loaded, started);
        loaded = load_start + layer.load;
        started = u64::max(done, load_start + layer.front);
        done = u64::max(started + layer.compute, loaded + layer.tail);
    }
    done
}

/// Busy cycles of VEC for `n` words or window elements in `runs` runs of `opcode`.
pub(crate) fn vector_busy(arch: &Arch, opcode: Opcode, n: u64, runs: u64) -> u64 {
    let (slot, tail) = arch.vector_cycles(opcode);
    n.saturating_sub(runs) * slot + runs * (tail + 2)
}

//! Network x Arch to Mapspace to Mapping to Program.
//!
//! [`compile`] is the whole way; [`fits`] says beforehand what every layer needs and what stands in the way.
//!
//! - `sums`: what convolution and pooling ask of the array, in one form.
//! - `plan`: which tensors stay in a bank, and in how many rows at a time the others pass through.
//! - [`mapspace`], [`cost`], [`search`]: the mappings of one layer, what they cost, and the best of them.
//! - `lower`: the operations of all layers, in the order of their meaning, with every memory range they touch.
//! - `order`, `sync`: program order, and the tokens that keep its meaning on engines that run at once.
//! - [`check`]: an independent check of mappings in their text form, `ir::mapping`.
//! - `encode`: instructions, with registers written only when they change.
//!
//! Deliberately not here: running a program, or knowing how long it really takes; that is `sim` and `hw`.

#![expect(
    clippy::result_large_err,
    reason = "an error ends a compilation, so its size does not matter"
)]

mod encode;
mod error;
mod fits;
mod lower;
mod mapping;
mod op;
mod order;
mod plan;
mod sums;
mod sync;

pub mod check;
pub mod cost;
pub mod exact;
pub mod mapspace;
pub mod search;

pub use error::MapError;
pub use fits::{Fits, LayerFit, fits};

use std::collections::BTreeMap;

use ir::arch::{Arch, Dataflow};
use ir::isa::Opcode;
use ir::mapping::{RowMapping, Schedule};
use ir::memory::MemoryModel;
use ir::network::{EinsumId, Network};
use ir::op::Kind;
use ir::program::{Program, TensorImage, instruction_words};
use serde::{Deserialize, Serialize};

use crate::cost::{Boundary, ClosedForm, Cost};
use crate::encode::Bases;
use crate::lower::{Lowered, Work};
use crate::mapspace::{Choice, Mapspace};
use crate::plan::{EinsumPlan, operand_rows, row_words, strips};
use crate::search::{Certificate, Exhaustive, Found, Problem, Search};
use crate::sums::Sums;

/// What is made small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Cycles, then traffic.
    #[default]
    Cycles,
    /// Words moved between memory and chip, then cycles.
    Traffic,
}

/// A part of a mapping that the user decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Name of the einsum.
    pub einsum: String,
    /// What the rows of the array stand for.
    pub rows: Option<RowMapping>,
    /// What stays in the array.
    pub dataflow: Option<Dataflow>,
    /// Output rows of a tile.
    pub tile_rows: Option<usize>,
    /// Output columns of a tile.
    pub tile_cols: Option<usize>,
    /// Column tiles whose weights are loaded together.
    pub group_tiles: Option<usize>,
}

impl Pin {
    /// Decides everything but the order of the outer loops.
    pub fn exactly(einsum: &str, choice: &Choice) -> Pin {
        Pin {
            einsum: einsum.to_owned(),
            rows: Some(choice.rows),
            dataflow: Some(choice.dataflow),
            tile_rows: Some(choice.tile_rows),
            tile_cols: Some(choice.tile_cols),
            group_tiles: Some(choice.group_tiles),
        }
    }

    fn allows(&self, choice: &Choice) -> bool {
        self.rows.is_none_or(|rows| rows == choice.rows)
            && self.dataflow.is_none_or(|d| d == choice.dataflow)
            && self.tile_rows.is_none_or(|n| n == choice.tile_rows)
            && self.tile_cols.is_none_or(|n| n == choice.tile_cols)
            && self.group_tiles.is_none_or(|n| n == choice.group_tiles)
    }
}

/// What the user decides about a compilation.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether every tensor between layers is also stored to memory, so that devices can be compared.
    pub keep_all: bool,
    /// What is made small.
    pub objective: Objective,
    /// Parts of mappings that are given; the search completes the rest.
    pub pins: Vec<Pin>,
    /// The memory that the cost model assumes behind a port.
    pub memory: MemoryModel,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            keep_all: false,
            objective: Objective::Cycles,
            pins: Vec::new(),
            memory: MemoryModel::M1,
        }
    }
}

/// What compilation knows about one layer.
#[derive(Clone, Debug)]
pub struct LayerReport {
    /// Name of the einsum.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Multiply-accumulates of the network.
    pub macs: u64,
    /// The cost that the model predicts.
    pub cost: Cost,
    /// The mapping that the search chose, for layers on the array.
    pub choice: Option<Choice>,
    /// The next best mappings, closer than the error of the model.
    pub runners_up: Vec<Choice>,
    /// What the search proves, for layers on the array.
    pub certificate: Option<Certificate>,
    /// Instructions of the layer.
    pub instructions: usize,
}

impl LayerReport {
    fn take(&mut self, found: Found) {
        self.cost = found.cost;
        self.choice = Some(found.choice);
        self.runners_up = found.runners_up;
        self.certificate = Some(found.certificate);
    }

    fn found(&self) -> Option<Found> {
        Some(Found {
            choice: self.choice?,
            cost: self.cost,
            certificate: self.certificate.clone()?,
            runners_up: self.runners_up.clone(),
        })
    }

    /// The better of the same layer mapped in two ways.
    fn join(mut self, other: LayerReport, objective: Objective) -> LayerReport {
        if let (Some(mine), Some(theirs)) = (self.found(), other.found()) {
            self.take(mine.join(theirs, objective));
        }
        self
    }
}

/// A program and what is known about it.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The loop nest of each layer.
    pub schedule: Schedule,
    /// Instructions, constants and layout.
    pub program: Program,
    /// The layers, in order.
    pub layers: Vec<LayerReport>,
}

impl Compiled {
    /// The cycles that the cost model predicts for one run.
    pub fn predicted_cycles(&self) -> u64 {
        let costs: Vec<Cost> = self.layers.iter().map(|layer| layer.cost).collect();
        cost::pipeline(&costs)
    }
}

/// Compiles `network` for `arch`.
///
/// The same arguments always give the same program. The program has passed [`Program::check`].
///
/// # Errors
/// The first [`MapError`]; [`fits`] lists all of those that can be known before mapping.
pub fn compile(network: &Network, arch: &Arch, options: &Options) -> Result<Compiled, MapError> {
    let fits = fits(network, arch);
    if let Some(problem) = fits.problems.into_iter().next() {
        return Err(problem);
    }
    let sums: Vec<Option<Sums>> = (0..network.einsums.len())
        .map(|i| sums_of(network, i))
        .collect();
    let taps: Vec<Option<Sums>> = (0..network.einsums.len())
        .map(|i| taps_of(network, arch, i))
        .collect();
    let (plans, taps_found) = plan_rows(network, arch, options, &sums, &taps)?;
    let mut layers = Vec::new();
    let mut work = Vec::new();
    let mut mappings = Vec::new();
    for (index, plan) in plans.iter().enumerate() {
        let layer = match taps_found.get(&index) {
            Some(layer) => layer.clone(),
            None => map_layer(network, arch, options, index, sums[index].as_ref(), plan)?,
        };
        let packs = layer.choice.is_some_and(|c| c.rows == RowMapping::Taps);
        let chosen = if packs { &taps[index] } else { &sums[index] };
        let (one, mapping) = match (chosen, layer.choice) {
            (Some(sums), Some(choice)) => {
                let mapspace = mapspace(arch, sums, plan);
                let name = &network.einsums[index].name;
                let mapping = mapping::sums(name, arch, plan, &mapspace, &choice);
                (Work::Sums(sums, choice), mapping)
            }
            _ => (Work::Vector, mapping::vector(network, arch, plan, index)),
        };
        work.push(one);
        layers.push(layer);
        mappings.push(mapping);
    }
    let lowered = lower::lower(network, arch, &plans, &work);
    let program = assemble(network, arch, lowered)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        layer.instructions = program
            .layer_of
            .iter()
            .filter(|l| **l as usize == index)
            .count();
    }
    program.check(arch).map_err(MapError::Check)?;
    let schedule = Schedule {
        network: network.name.clone(),
        arch: arch.name.clone(),
        mappings,
    };
    Ok(Compiled {
        schedule,
        program,
        layers,
    })
}

/// Compiles, then tries each layer's runners-up with `cost`, such as the cycles of a simulation, and keeps what is less.
///
/// # Errors
/// As [`compile`]; a runner-up that does not compile is left out.
pub fn compile_ranked(
    network: &Network,
    arch: &Arch,
    options: &Options,
    cost: &mut dyn FnMut(&Program) -> u64,
) -> Result<Compiled, MapError> {
    let mut best = compile(network, arch, options)?;
    let mut best_cost = cost(&best.program);
    let mut options = options.clone();
    for index in 0..best.layers.len() {
        for choice in best.layers[index].runners_up.clone() {
            let pin = Pin::exactly(&best.layers[index].name, &choice);
            options.pins.push(pin);
            match compile(network, arch, &options)
                .map(|compiled| (cost(&compiled.program), compiled))
            {
                Ok((cycles, compiled)) if cycles < best_cost => {
                    (best_cost, best) = (cycles, compiled);
                    break;
                }
                _ => drop(options.pins.pop()),
            }
        }
    }
    Ok(best)
}

/// The sums of an einsum that runs on the array.
pub(crate) fn sums_of(network: &Network, index: usize) -> Option<Sums<'_>> {
    let einsum = &network.einsums[index];
    let (input, output) = (
        network.tensor(einsum.inputs[0]),
        network.tensor(einsum.output),
    );
    let sums = match &einsum.kind {
        Kind::Conv(op) => Sums::conv(op, input, output),
        Kind::AveragePool(op) => Sums::average_pool(op, input, output),
        Kind::MaxPool(_) | Kind::Add(_) | Kind::Concat(_) | Kind::Table(_) => return None,
    };
    Some(sums.expect("a valid network has scales that the parameter word holds"))
}

/// The same with the row mapping `taps`: a convolution of an image that nothing else reads.
fn taps_of<'a>(network: &'a Network, arch: &Arch, index: usize) -> Option<Sums<'a>> {
    let einsum = &network.einsums[index];
    let Kind::Conv(op) = &einsum.kind else {
        return None;
    };
    let input = einsum.inputs[0];
    let alone = network.inputs.contains(&input)
        && !network.outputs.contains(&input)
        && network.consumers(input).count() == 1;
    if !alone {
        return None;
    }
    Sums::conv_taps(
        op,
        network.tensor(input),
        network.tensor(einsum.output),
        arch,
    )
    .expect("a valid network has scales that the parameter word holds")
    .filter(|sums| mapspace::is_whole(sums, arch))
}

/// Plans all einsums and decides which of them pack taps; these are mapped already.
///
/// A layer packs taps if that is better for itself and no other tensor is reached less directly.
fn plan_rows(
    network: &Network,
    arch: &Arch,
    options: &Options,
    sums: &[Option<Sums>],
    taps: &[Option<Sums>],
) -> Result<(Vec<EinsumPlan>, BTreeMap<usize, LayerReport>), MapError> {
    let mut packed = BTreeMap::new();
    let mut plans = plan::plan(network, arch, options.keep_all, &packed)?;
    let mut found = BTreeMap::new();
    for (index, candidate) in taps.iter().enumerate() {
        let Some(candidate) = candidate else {
            continue;
        };
        let image = candidate.taps.as_ref().expect("it packs taps");
        let size = plan::PackedSize {
            image_words: image.image_words(arch),
            row_words: candidate.input.channels as u32 / arch.array.rows
                * candidate.input.width as u32,
        };
        let mut more = packed.clone();
        more.insert(index, size);
        let Ok(trial) = plan::plan(network, arch, options.keep_all, &more) else {
            continue;
        };
        let pairs = || trial.iter().zip(&plans).enumerate();
        let fits = pairs().all(|(i, (new, old))| {
            if i == index {
                new.output_as_good_as(old)
            } else {
                // What was mapped before must still be right.
                new.as_good_as(old) && (!found.contains_key(&i) || old.as_good_as(new))
            }
        });
        if !fits {
            continue;
        }
        let one = |sums: &[Option<Sums>], plan| {
            map_layer(network, arch, options, index, sums[index].as_ref(), plan)
        };
        let layer = match (one(taps, &trial[index]), one(sums, &plans[index])) {
            (Ok(packing), Ok(plain)) => packing.join(plain, options.objective),
            (Ok(packing), Err(_)) => packing,
            (Err(_), _) => continue,
        };
        if layer.choice.is_some_and(|c| c.rows == RowMapping::Taps) {
            (packed, plans) = (more, trial);
        }
        found.insert(index, layer);
    }
    Ok((plans, found))
}

fn mapspace<'a>(arch: &'a Arch, sums: &'a Sums<'a>, plan: &EinsumPlan) -> Mapspace<'a> {
    let passes = matches!(plan.output, plan::Access::Strips(_));
    Mapspace::new(sums, arch, plan.strip_rows, passes)
}

fn map_layer(
    network: &Network,
    arch: &Arch,
    options: &Options,
    index: usize,
    sums: Option<&Sums>,
    plan: &EinsumPlan,
) -> Result<LayerReport, MapError> {
    let einsum = &network.einsums[index];
    let mut layer = LayerReport {
        name: einsum.name.clone(),
        kind: einsum.kind.name(),
        macs: network.macs(EinsumId(index as u32)),
        cost: Cost::default(),
        choice: None,
        runners_up: Vec::new(),
        certificate: None,
        instructions: 0,
    };
    let model = ClosedForm {
        memory: options.memory,
    };
    let boundary = boundary(network, arch, index, plan);
    let Some(sums) = sums else {
        layer.cost = vector_cost(network, arch, index, plan, &model, &boundary);
        return Ok(layer);
    };
    let mapspace = mapspace(arch, sums, plan);
    let problem = Problem {
        mapspace: &mapspace,
        boundary,
        model: &model,
        objective: options.objective,
        macs: layer.macs,
    };
    let pins: Vec<&Pin> = options
        .pins
        .iter()
        .filter(|pin| pin.einsum == einsum.name)
        .collect();
    let allowed = |choice: &Choice| pins.iter().all(|pin| pin.allows(choice));
    let found = Exhaustive
        .find(&problem, &allowed)
        .map_err(|reasons| no_mapping(network, arch, index, &pins, &reasons))?;
    layer.take(found);
    Ok(layer)
}

/// The cost of a layer of the vector engine.
fn vector_cost(
    network: &Network,
    arch: &Arch,
    index: usize,
    plan: &EinsumPlan,
    model: &ClosedForm,
    boundary: &Boundary,
) -> Cost {
    let einsum = &network.einsums[index];
    let output = network.tensor(einsum.output);
    let words = u64::from(row_words(network, arch, einsum.output)) * output.height as u64;
    let runs = strips(output.height, plan.strip_rows).len() as u64 * 2;
    let busy = match &einsum.kind {
        Kind::MaxPool(op) => cost::vector_busy(
            arch,
            Opcode::MaxPool,
            words * op.window.n_taps() as u64,
            runs,
        ),
        Kind::Concat(_) if arch.vector.max_pool => {
            cost::vector_busy(arch, Opcode::MaxPool, words, runs)
        }
        _ => cost::vector_busy(arch, Opcode::Lookup, words, runs),
    };
    model.vector(arch, busy, runs, boundary)
}

fn no_mapping(
    network: &Network,
    arch: &Arch,
    index: usize,
    pins: &[&Pin],
    reasons: &[mapspace::Infeasible],
) -> MapError {
    let einsum = network.einsums[index].name.clone();
    match pins.first() {
        Some(pin) => MapError::Pin {
            einsum,
            pin: format!("{pin:?}"),
            help: format!(
                "remove the pin, or use sizes of its mapspace; what did not fit: {reasons:?}"
            ),
        },
        None => MapError::Unsupported {
            einsum,
            reason: format!("no mapping fits arch `{}`: {reasons:?}", arch.name),
            help: "raise the memories that did not fit".to_owned(),
        },
    }
}

/// What a layer moves besides its constants.
fn boundary(network: &Network, arch: &Arch, index: usize, plan: &EinsumPlan) -> Boundary {
    let einsum = &network.einsums[index];
    let strips = strips(network.tensor(einsum.output).height, plan.strip_rows);
    let mut boundary = Boundary::default();
    for (&id, access) in einsum.inputs.iter().zip(&plan.inputs) {
        let row = u64::from(row_words(network, arch, id));
        match access {
            plan::Access::Bank(_) => {}
            plan::Access::Fetch(area) => {
                boundary.load_words += u64::from(area.words);
                boundary.loads += 1;
            }
            plan::Access::Strips(_) => {
                boundary.load_words += strips
                    .iter()
                    .map(|s| operand_rows(network, index, s).len() as u64 * row)
                    .sum::<u64>();
                boundary.loads += strips.len() as u64;
            }
        }
    }
    if plan.stored {
        boundary.store_words = u64::from(row_words(network, arch, einsum.output))
            * network.tensor(einsum.output).height as u64;
        boundary.stores = strips.len() as u64;
    }
    boundary
}

/// Makes a program of the lowered operations.
fn assemble(network: &Network, arch: &Arch, lowered: Lowered) -> Result<Program, MapError> {
    let ops = order::order(lowered.ops);
    let tokens = sync::synchronise(&ops, arch).map_err(|needed| MapError::Semaphores {
        network: network.name.clone(),
        arch: arch.name.clone(),
        needed,
        available: arch.semaphores.count,
    })?;
    let field = |(layer, overflow): (u16, _)| MapError::Field {
        einsum: network.einsums[layer as usize].name.clone(),
        overflow,
    };
    let constant_words = (lowered.constants.len() / arch.word_bytes() as usize) as u64;
    let memory = |needed: u64| MapError::Memory {
        network: network.name.clone(),
        arch: arch.name.clone(),
        needed,
        available: arch.memory.words.into(),
    };
    let data_words = constant_words + lowered.tensor_words;
    if data_words > arch.memory.words.into() {
        return Err(memory(data_words));
    }
    // Addresses have a register of their own, so the number of instructions does not depend on them.
    let draft = encode::encode(
        &ops,
        &tokens,
        arch,
        Bases {
            constants: 0,
            tensors: constant_words as u32,
        },
    )
    .map_err(field)?;
    let constants_word = instruction_words(arch, draft.0.len());
    let memory_words = u64::from(constants_word) + data_words;
    if memory_words > arch.memory.words.into() {
        return Err(memory(memory_words));
    }
    let bases = Bases {
        constants: constants_word,
        tensors: constants_word + constant_words as u32,
    };
    let (instructions, layer_of) = encode::encode(&ops, &tokens, arch, bases).map_err(field)?;
    assert_eq!(
        instructions.len(),
        draft.0.len(),
        "addresses must not change the number of instructions"
    );
    let image = |id: &ir::network::TensorId| {
        let image = lowered.images[id].clone();
        TensorImage {
            word: image.word + bases.tensors,
            ..image
        }
    };
    let between =
        |id: &&ir::network::TensorId| !network.inputs.contains(id) && !network.outputs.contains(id);
    Ok(Program {
        network: network.name.clone(),
        arch_hash: arch.hash(),
        instructions,
        layer_of,
        layers: network.einsums.iter().map(|e| e.name.clone()).collect(),
        semaphores: tokens.semaphores,
        constants_word,
        constants: lowered.constants,
        memory_words: memory_words as u32,
        inputs: network.inputs.iter().map(image).collect(),
        outputs: network.outputs.iter().map(image).collect(),
        intermediates: lowered.images.keys().filter(between).map(image).collect(),
    })
}

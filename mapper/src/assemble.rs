//! From lowered operations to instructions and to the program.

use ir::arch::Arch;
use ir::fit::Fit;
use ir::network::{Network, TensorId};
use ir::program::{Program, SemaphoreUse, TensorImage, instruction_words};

use crate::encode::{self, Code};
use crate::error::MapError;
use crate::lower::Lowered;
use crate::{order, sync};

/// Instructions as they lie in memory.
pub(crate) struct Assembled {
    pub(crate) code: Code,
    pub(crate) semaphores: Vec<SemaphoreUse>,
    /// The first word after the instructions, that of the constants.
    pub(crate) constants_word: u32,
}

/// Orders the operations, synchronises and encodes them.
pub(crate) fn instructions(
    network: &Network,
    arch: &Arch,
    lowered: &mut Lowered,
) -> Result<Assembled, MapError> {
    let ops = order::order(std::mem::take(&mut lowered.ops));
    let tokens = sync::synchronise(&ops, arch).map_err(|needed| MapError::Semaphores {
        network: network.name.clone(),
        arch: arch.name.clone(),
        needed,
        available: arch.semaphores.count,
    })?;
    let memory = |needed: u64| MapError::Memory {
        network: network.name.clone(),
        arch: arch.name.clone(),
        needed,
        available: arch.memory.words.into(),
    };
    let data_words = u64::from(lowered.constant_words) + lowered.tensor_words;
    if data_words > arch.memory.words.into() {
        return Err(memory(data_words));
    }
    let mut code = encode::encode(&ops, &tokens, arch, lowered.constant_words).map_err(
        |(layer, overflow)| MapError::Field {
            einsum: network.einsums[layer as usize].name.clone(),
            overflow,
        },
    )?;
    let constants_word = instruction_words(arch, code.instructions.len());
    let memory_words = u64::from(constants_word) + data_words;
    if memory_words > arch.memory.words.into() {
        return Err(memory(memory_words));
    }
    code.relocate(constants_word);
    Ok(Assembled {
        code,
        semaphores: tokens.semaphores,
        constants_word,
    })
}

/// Makes a program of the lowered operations of all einsums.
pub(crate) fn program(
    network: &Network,
    arch: &Arch,
    mut lowered: Lowered,
) -> Result<Program, MapError> {
    let assembled = instructions(network, arch, &mut lowered)?;
    let tensors = assembled.constants_word + lowered.constant_words;
    let image = |id: &TensorId| {
        let image = lowered.images[id].clone();
        TensorImage {
            word: image.word + tensors,
            ..image
        }
    };
    let given = network.constants.iter().map(|constant| constant.tensor);
    let given: Vec<TensorId> = given.chain(network.inputs.iter().copied()).collect();
    let between = |id: &&TensorId| !given.contains(id) && !network.outputs.contains(id);
    let mut constants = Vec::with_capacity((lowered.constant_words * arch.word_bytes()) as usize);
    for constant in &lowered.constants {
        constants.extend_from_slice(&constant.bytes(arch));
    }
    for constant in &network.constants {
        let image = &lowered.images[&constant.tensor];
        constants.extend(image.pack(arch.word_bytes(), &constant.values));
    }
    Ok(Program {
        network: network.name.clone(),
        arch_hash: arch.hash(),
        instructions: assembled.code.instructions,
        layer_of: assembled.code.layer_of,
        layers: network.einsums.iter().map(|e| e.name.clone()).collect(),
        semaphores: assembled.semaphores,
        constants_word: assembled.constants_word,
        constants,
        memory_words: tensors + lowered.tensor_words.fit::<u32>(),
        inputs: network.inputs.iter().map(image).collect(),
        outputs: network.outputs.iter().map(image).collect(),
        intermediates: lowered.images.keys().filter(between).map(image).collect(),
    })
}

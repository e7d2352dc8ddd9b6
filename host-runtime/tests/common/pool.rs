//! The smallest artifact: one max-pool, written by hand.

use host_runtime::Artifact;
use ir::arch::Arch;
use ir::isa::Engine;
use ir::network::{Einsum, Network, Tensor, TensorId};
use ir::op::{Kind, MaxPool, Window};
use ir::program::{Layout, Program, SemaphoreUse, TensorImage};

const TEXT: &str = "
load.memory address=12
load.destination address=0 space=0
load.length words=16
load signal=0
vec.source address=0
vec.origin x=0 y=0
vec.extent width=4 height=4
vec.step stride_x=2 stride_y=2 dilation_x=1 dilation_y=1
vec.window kernel_x=2 kernel_y=2 blocks=1
vec.pixels x=2 y=2
vec.delta_kernel_x address=1
vec.delta_kernel_y address=3
vec.delta_x address=-3
vec.delta_block address=-7
vec.delta_y address=1
vec.destination address=128
vec.destination_delta_block address=0
vec.destination_delta_y address=1
max_pool wait=0:1 signal=1
store.source address=128
store.memory address=28
store.length words=4
store wait=1:1
";

pub(crate) fn artifact(arch: &Arch) -> Artifact {
    let tensor = |name: &str, size| Tensor {
        name: name.to_owned(),
        channels: 5,
        height: size,
        width: size,
        scale: 0.5,
        zero_point: 3,
        host: None,
    };
    let window = Window {
        stride: [2, 2],
        ..Window::dense([2, 2])
    };
    let network = Network {
        name: "pool".to_owned(),
        tensors: vec![tensor("in", 4), tensor("out", 2)],
        einsums: vec![Einsum {
            name: "pool".to_owned(),
            kind: Kind::MaxPool(MaxPool { window }),
            inputs: vec![TensorId(0)],
            output: TensorId(1),
        }],
        inputs: vec![TensorId(0)],
        outputs: vec![TensorId(1)],
        constants: Vec::new(),
        host_steps: Vec::new(),
        results: Vec::new(),
        batch: 1,
    };
    let instructions: Vec<_> = TEXT
        .trim()
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    let image = |tensor, word, size| TensorImage {
        tensor,
        word,
        channels: 5,
        height: size,
        width: size,
        layout: Layout::Blocks,
    };
    let semaphore = |producer, consumer| SemaphoreUse {
        meaning: "ready".to_owned(),
        producer,
        consumer,
    };
    let program = Program {
        network: "pool".to_owned(),
        arch_hash: arch.hash(),
        layer_of: vec![0; instructions.len()],
        instructions,
        layers: vec!["pool".to_owned()],
        semaphores: vec![
            semaphore(Engine::Load, Engine::Vec),
            semaphore(Engine::Vec, Engine::Store),
        ],
        constants_word: 12,
        constants: Vec::new(),
        memory_words: 32,
        inputs: vec![image(0, 12, 4)],
        outputs: vec![image(1, 28, 2)],
        intermediates: Vec::new(),
    };
    Artifact {
        network,
        arch: arch.clone(),
        program,
    }
}

/// Image `seed`: any values.
pub(crate) fn image(seed: u32) -> Vec<Vec<i8>> {
    vec![
        (0..80u32)
            .map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed * 7919) >> 11) as i8)
            .collect(),
    ]
}

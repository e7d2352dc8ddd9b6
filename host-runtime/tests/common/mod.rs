//! Archs that tests run on.

#![allow(dead_code, reason = "every test file uses its own part")]

pub(crate) mod pool;

use host_runtime::{Error, RtlMachine, verilated::Optimise};
use hw::flow::skip_test;
use ir::arch::Arch;

pub(crate) fn nano() -> Arch {
    ir::arch::read(
        "nano.toml",
        include_str!("../../../examples/archs/nano.toml"),
    )
    .unwrap()
}

/// A small arch with every unit, whole tiles and both dataflows, behind a port.
pub(crate) fn small_dot() -> Arch {
    ir::arch::read("small_dot.toml", SMALL).unwrap()
}

/// A small systolic arch whose weights are read by column.
pub(crate) fn small_systolic() -> Arch {
    let mut arch = small_dot();
    arch.name = "small_systolic".to_owned();
    arch.array.reduction = ir::arch::Reduction::Systolic;
    arch.array.dataflows = vec![ir::arch::Dataflow::WeightStationary];
    arch.vector.requantise_interval = 1;
    arch.vector.requantise_lanes = 8;
    assert_eq!(arch.problems(), Vec::<String>::new());
    arch
}

pub(crate) fn all() -> Vec<Arch> {
    vec![small_dot(), small_systolic(), nano()]
}

/// The RTL, or the printed reason why it is not here.
pub(crate) fn rtl_or_skip(arch: &Arch) -> Option<RtlMachine> {
    match RtlMachine::of(arch, Optimise::Full) {
        Ok(machine) => Some(machine),
        Err(error @ Error::Unavailable { .. }) => {
            skip_test(&error.to_string());
            None
        }
        Err(error) => panic!("{}: {error}", arch.name),
    }
}

const SMALL: &str = r#"
format = 1
name = "small_dot"
description = "Every unit, as small as it goes."
clock_hz = 100_000_000
counters = "full"
host = "axi"
[memory]
attachment = "port"
words = 16384
burst_words = 16
[fetch]
chunk_words = 4
chunks = 2
[queues]
depth = 4
[semaphores]
count = 12
bits = 3
[load]
outstanding = 2
[activations]
banks = 3
words = 128
[weights]
words = 256
[parameters]
channels = 64
[accumulators]
pixels = 32
[array]
rows = 8
cols = 8
reduction = "dot"
dataflows = ["weight_stationary", "output_stationary"]
[vector]
requantise_lanes = 4
requantise_interval = 2
max_pool = true
pack = true
table_lanes = 2
"#;

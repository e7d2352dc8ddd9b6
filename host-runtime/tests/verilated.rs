//! The shim, the cache and the slave against a stand-in core of the same ports.

use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use host_runtime::rtl::Core;
use host_runtime::verilated::{BuildError, Optimise, Rtl, build_in};
use hw::flow::{ToolError, skip_test};
use ir::arch::Arch;
use ir::memory::{Channel, MemoryModel};

const CORE: &str = include_str!("data/tilewright_core.sv");

const ARCH: &str = r#"
format = 1
name = "stand_in"
description = "Ports as in the stand-in core."
clock_hz = 100000000
host = "axi"
counters = "full"
[memory]
attachment = "port"
words = 1024
burst_words = 16
[fetch]
chunk_words = 4
chunks = 2
[queues]
depth = 4
[semaphores]
count = 8
bits = 3
[load]
outstanding = 2
[activations]
banks = 2
words = 64
[weights]
words = 64
[parameters]
channels = 32
[accumulators]
pixels = 16
[array]
rows = 16
cols = 8
reduction = "dot"
dataflows = ["weight_stationary"]
[vector]
requantise_lanes = 1
requantise_interval = 1
max_pool = true
table_lanes = 4
"#;

/// `None` with a printed reason when a tool is missing.
fn built_or_skip<T>(result: Result<T, BuildError>) -> Option<T> {
    match result {
        Err(BuildError::Tool(error @ ToolError::Missing { .. })) => {
            skip_test(&error.to_string());
            None
        }
        other => Some(other.unwrap()),
    }
}

#[test]
fn stand_in_obeys_the_memory_model_to_the_cycle() {
    let cache = tempfile::tempdir().unwrap();
    let arch: Arch = ir::arch::read("stand_in.toml", ARCH).unwrap();
    let rtl = Rtl {
        top: "tilewright_core",
        files: vec![("tilewright_core.sv", CORE)],
    };
    let Some(first) = built_or_skip(build_in(cache.path(), &rtl, Optimise::Full)) else {
        return;
    };
    assert!(!first.cached && first.runs.len() == 2);
    let second = build_in(cache.path(), &rtl, Optimise::Full).unwrap();
    assert!(second.cached && second.path == first.path && second.runs == first.runs);

    let mut core = Core::load(&arch, &first.path).unwrap();
    for model in [
        MemoryModel::Ideal,
        MemoryModel::M1,
        MemoryModel::M2,
        MemoryModel::Jitter {
            latency: 3,
            seed: 5,
        },
    ] {
        for words in [1u32, 7, 16] {
            let mut memory: Vec<u8> = (0..1024 * 16).map(|i| (i * 7 % 251) as u8).collect();
            let before = memory.clone();
            let mut run = core.start(words, 1024, model);
            assert!(
                core.advance(&mut run, &mut memory, 3).unwrap().is_none(),
                "a slice is no run"
            );
            let result = core.advance(&mut run, &mut memory, 1000).unwrap().unwrap();

            let beats = u64::from(words - 1);
            let (read, write) = (
                model.burst(Channel::Read, 0),
                model.burst(Channel::Write, 0),
            );
            let read_end = 1 + read.latency + beats * read.beat_gap;
            let write_end = read_end + 1 + write.latency + beats * write.beat_gap + write.response;
            assert_eq!(result.cycles, write_end, "{model:?} {words}");
            let spans: Vec<_> = result
                .spans
                .iter()
                .map(|s| (s.engine.name(), s.start, s.signal))
                .collect();
            assert_eq!(
                spans,
                [("load", 1, read_end), ("store", read_end + 1, write_end)],
                "{model:?} {words}"
            );
            assert_eq!(result.counters.unwrap()[3].1, write_end + 3);

            let bytes = words as usize * 16;
            assert_eq!(memory[..256], before[..256]);
            assert!(
                memory[256..256 + bytes]
                    .iter()
                    .zip(&before)
                    .all(|(new, old)| *new == !old)
            );
            assert_eq!(memory[256 + bytes..], before[256 + bytes..]);
        }
    }
}

/// Every file below `folder` with its size and time of change.
fn listing(folder: &Path) -> Vec<(PathBuf, u64, SystemTime)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            found.extend(listing(&entry.path()));
        }
        found.push((entry.path(), metadata.len(), metadata.modified().unwrap()));
    }
    found.sort();
    found
}

#[test]
fn cache_is_read_without_writing_and_replaced_where_it_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let rtl = Rtl {
        top: "blink",
        files: vec![(
            "blink.sv",
            "module blink (input logic clk_i, output logic x);\n  always_ff @(posedge clk_i) x <= !x;\nendmodule\n",
        )],
    };
    // A file where the cache should be takes no directory, whoever asks.
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let Some(built) = built_or_skip(build_in(&file, &rtl, Optimise::Quick)) else {
        return;
    };
    assert!(built.path.exists() && !built.cached);
    let path = built.path.clone();
    drop(built);
    assert!(!path.exists(), "the temporary folder ends with its library");

    let cache = folder.path().join("cache");
    assert!(!build_in(&cache, &rtl, Optimise::Quick).unwrap().cached);
    let before = listing(&cache);
    assert!(
        !before
            .iter()
            .any(|(path, ..)| path.extension().is_some_and(|end| end == "lock")),
        "{before:?}"
    );
    assert!(build_in(&cache, &rtl, Optimise::Quick).unwrap().cached);
    assert_eq!(
        listing(&cache),
        before,
        "a library that is there is only read"
    );
}

#[test]
fn build_errors_show_the_first_lines_and_keep_the_log() {
    let cache = tempfile::tempdir().unwrap();
    let rtl = Rtl {
        top: "broken",
        files: vec![(
            "broken.sv",
            "module broken (output logic x);\n  missing u_missing();\nendmodule\n",
        )],
    };
    match build_in(cache.path(), &rtl, Optimise::Quick) {
        Err(BuildError::Tool(error @ ToolError::Missing { .. })) => skip_test(&error.to_string()),
        Err(error @ BuildError::Compile { .. }) => {
            let text = error.to_string();
            assert!(text.contains("broken.sv:2"), "{text}");
            let BuildError::Compile { log, .. } = error else {
                unreachable!("matched above")
            };
            assert!(log.exists());
        }
        other => panic!("{other:?}"),
    }
}

/// Printed by `cargo test --release -- --ignored --nocapture`: the figures in the crate's notes.
#[test]
#[ignore = "a measurement"]
#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement"
)]
fn speed_of_the_stand_in() {
    let cache = tempfile::tempdir().unwrap();
    let arch: Arch = ir::arch::read("stand_in.toml", ARCH).unwrap();
    let rtl = Rtl {
        top: "tilewright_core",
        files: vec![("tilewright_core.sv", CORE)],
    };
    for optimise in [Optimise::Quick, Optimise::Full] {
        let clock = Instant::now();
        let Some(built) = built_or_skip(build_in(cache.path(), &rtl, optimise)) else {
            return;
        };
        println!("{optimise:?}: built in {:?}", clock.elapsed());
        let mut core = Core::load(&arch, &built.path).unwrap();
        let mut memory = vec![0; 1024 * 16];
        let (mut cycles, clock) = (0, Instant::now());
        for _ in 0..20_000 {
            let mut run = core.start(16, 1024, MemoryModel::M2);
            cycles += core
                .advance(&mut run, &mut memory, 1000)
                .unwrap()
                .unwrap()
                .cycles;
        }
        println!(
            "{optimise:?}: {:.2} M cycles/s",
            cycles as f64 / clock.elapsed().as_secs_f64() / 1e6
        );
    }
}

//! What holds for every program, on random ones.

mod common;

use common::{dot, edge, nano, program, run_with};
use ir::arch::{Arch, Attachment};
use ir::isa::Engine;
use ir::memory::MemoryModel;
use ir::program::Program;
use proptest::prelude::*;
use sim::{Mode, Outcome, trace::Activity, trace::Unit};

/// One round of work: words to load, pixels, taps, blocks, pixels to store, and a memory address.
type Round = (u32, u32, u32, u32, u32);

/// LOAD, EXEC, VEC and STORE hand rounds to each other and give their tokens back.
fn text(arch: &Arch, rounds: &[Round]) -> String {
    let output = if arch.reads_whole_tiles() {
        " +output"
    } else {
        ""
    };
    let mut text = String::new();
    for (i, (words, pixels, taps, blocks, address)) in rounds.iter().enumerate() {
        // Tokens that come back are there from the second round on.
        let back = |semaphore| {
            if i == 0 {
                String::new()
            } else {
                format!(" wait={semaphore}:1")
            }
        };
        let last = i + 1 == rounds.len();
        let give = |semaphore| {
            if last {
                String::new()
            } else {
                format!(" signal={semaphore}")
            }
        };
        text += &format!(
            "load.memory address={}
             load.length words={words}
             load.destination address=0 space=0
             load{} signal=0
             exec.reduction kernel_x={taps} kernel_y=1 blocks={blocks}
             exec.pixels x={pixels} y=1
             exec.delta_x address=1
             exec.extent width={words} height=1
             exec.step stride_x=1 stride_y=1 dilation_x=1 dilation_y=1
             exec wait=0:1{} signal=1{}{output}
             vec.pixels x={pixels} y=1
             vec.destination address={}
             requantise wait=1:1{} signal=2{}
             store.source address={}
             store.memory address={}
             store.length words={pixels}
             store wait=2:1{}\n",
            600 + address,
            back(3),
            back(4),
            give(3),
            arch.activations.words,
            back(5),
            give(4),
            arch.activations.words,
            700 + address,
            give(5),
        );
    }
    text
}

fn random_program(arch: &Arch, rounds: &[Round]) -> Program {
    use Engine::{Exec, Load, Store, Vec};
    let semaphores = [
        (Load, Exec),
        (Exec, Vec),
        (Vec, Store),
        (Exec, Load),
        (Vec, Exec),
        (Store, Vec),
    ];
    program(arch, &semaphores, &text(arch, rounds), &[])
}

fn rounds() -> impl Strategy<Value = Vec<Round>> {
    prop::collection::vec((1..60u32, 1..40u32, 1..4u32, 1..3u32, 0..32u32), 1..12)
}

fn arch() -> impl Strategy<Value = Arch> {
    let base = prop_oneof![Just(edge()), Just(nano()), Just(dot())];
    (base, 1..9u32, 1..5u32, 0..2u32, 0..4u32, 1..3u32).prop_map(
        |(mut arch, depth, outstanding, chunk, burst, chunks)| {
            arch.queues.depth = depth;
            arch.load.outstanding = outstanding;
            arch.memory.burst_words = 2 << burst;
            arch.fetch.chunk_words = 1 << chunk;
            arch.fetch.chunks = chunks;
            arch
        },
    )
}

/// The cycles of a unit, state by state.
fn states(outcome: &Outcome) -> Vec<u64> {
    outcome
        .counters
        .values()
        .chunks(4)
        .map(|states| states.iter().sum())
        .collect()
}

/// Cycles in which the engine ran, by its spans.
fn spans(outcome: &Outcome, engine: Engine) -> u64 {
    let of_engine = outcome.instructions.iter().filter(|s| s.engine == engine);
    of_engine.map(|s| s.last - s.start + 1).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_cycle_is_counted_once(arch in arch(), rounds in rounds()) {
        let program = random_program(&arch, &rounds);
        for model in [MemoryModel::Ideal, MemoryModel::M1, MemoryModel::M2] {
            let (outcome, _) = run_with(&arch, &program, model, Mode::Trace).expect("it runs");
            prop_assert_eq!(states(&outcome), vec![outcome.cycles; 5]);
            for engine in Engine::ALL {
                let counters = outcome.counters.engines[engine.index()];
                prop_assert_eq!(counters.busy, spans(&outcome, engine));
                prop_assert!(counters.busy <= outcome.cycles);
                let mut split = sim::EngineCycles::default();
                for layer in &outcome.layers {
                    let layer = layer[engine.index()];
                    split.busy += layer.busy;
                    split.configure += layer.configure;
                    split.wait += layer.wait.iter().sum::<u64>();
                    split.empty += layer.empty;
                }
                prop_assert_eq!(split, counters);
            }
            let trace = outcome.trace.as_ref().expect("trace mode");
            let traced: u64 = trace.intervals.iter().map(|i| i.cycles).sum();
            let empty: u64 = outcome.counters.engines.iter().map(|e| e.empty).sum();
            prop_assert_eq!(traced + empty + outcome.counters.fetch.done, 5 * outcome.cycles);
        }
    }

    #[test]
    fn modes_agree_and_runs_repeat(arch in arch(), rounds in rounds()) {
        let program = random_program(&arch, &rounds);
        let run = |mode| run_with(&arch, &program, MemoryModel::M2, mode).expect("it runs");
        let (full, bytes) = run(Mode::Full);
        let (again, same) = run(Mode::Full);
        prop_assert_eq!(&full, &again);
        prop_assert_eq!(&bytes, &same);
        prop_assert_eq!(&full, &run(Mode::Timing).0);
        let (traced, _) = run(Mode::Trace);
        prop_assert_eq!(full, Outcome { trace: None, ..traced });
    }

    #[test]
    fn slower_memory_never_helps_and_changes_no_value(arch in arch(), rounds in rounds()) {
        let program = random_program(&arch, &rounds);
        let run = |model| run_with(&arch, &program, model, Mode::Full).expect("it runs");
        let (fast, bytes) = run(MemoryModel::Ideal);
        for model in [MemoryModel::M1, MemoryModel::M2, MemoryModel::Fixed { latency: 3, beat_gap: 2 }] {
            let (slow, same) = run(model);
            prop_assert!(slow.cycles >= fast.cycles);
            prop_assert_eq!(&bytes, &same);
            prop_assert_eq!(slow.traffic, fast.traffic);
        }
    }

    #[test]
    fn engines_work_in_order_and_words_take_cycles(arch in arch(), rounds in rounds()) {
        let program = random_program(&arch, &rounds);
        let (outcome, _) = run_with(&arch, &program, MemoryModel::M2, Mode::Timing).expect("it runs");
        for engine in Engine::ALL {
            let of_engine: Vec<_> = outcome.instructions.iter().filter(|s| s.engine == engine).collect();
            prop_assert!(of_engine.windows(2).all(|pair| pair[0].last < pair[1].start));
        }
        let t = outcome.traffic;
        prop_assert_eq!(t.load_words, rounds.iter().map(|r| u64::from(r.0)).sum::<u64>());
        prop_assert_eq!(t.store_words, rounds.iter().map(|r| u64::from(r.1)).sum::<u64>());
        prop_assert_eq!(t.macs, rounds.iter().map(|r| u64::from(r.1 * r.2 * r.3 * arch.macs_per_cycle())).sum::<u64>());
        prop_assert!(outcome.cycles >= t.fetch_words + t.load_words);
        if arch.memory.attachment == Attachment::OnChip {
            prop_assert!(outcome.cycles >= t.fetch_words + t.load_words + t.store_words);
        }
    }
}

#[test]
fn the_trace_names_causes() {
    let arch = edge();
    let program = random_program(&arch, &[(5, 3, 2, 1, 0), (40, 9, 1, 1, 3)]);
    let (outcome, _) = run_with(&arch, &program, MemoryModel::M1, Mode::Trace).expect("it runs");
    let trace = outcome.trace.expect("trace mode");
    let waits = |engine, producer| {
        trace
            .intervals
            .iter()
            .any(|i| i.unit == Unit::Engine(engine) && i.activity == Activity::Wait(producer))
    };
    assert!(waits(Engine::Exec, Engine::Load) && waits(Engine::Store, Engine::Vec));
    let json: serde_json::Value =
        serde_json::from_str(&trace.to_json(&program)).expect("it is JSON");
    let events = json["traceEvents"].as_array().expect("a list");
    let exec = events
        .iter()
        .find(|e| e["name"] == "exec wait=0:1 signal=1 signal=3")
        .expect("the first EXEC");
    assert_eq!(
        (&exec["tid"], &exec["args"]["layer"]),
        (&2.into(), &"only".into())
    );
    let span = outcome.instructions[1];
    assert_eq!(
        (exec["ts"].as_u64(), exec["dur"].as_u64()),
        (Some(span.start), Some(span.last - span.start + 1))
    );
    let wait = events
        .iter()
        .find(|e| e["tid"] == 2 && e["name"] == "wait")
        .expect("EXEC waits");
    assert_eq!(
        (&wait["args"]["cause"], &wait["args"]["for"][0]),
        (&"load".into(), &"load to exec".into())
    );
}

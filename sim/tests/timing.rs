//! Starts and ends worked out by hand from `docs/concepts/timing.md`; the working is in the comments.

mod common;

use common::{dot, edge, nano, program, run_with};
use ir::arch::Arch;
use ir::isa::Engine;
use ir::memory::MemoryModel;
use sim::{Mode, Outcome};

#[track_caller]
fn outcome(
    arch: &Arch,
    semaphores: &[(Engine, Engine)],
    text: &str,
    model: MemoryModel,
) -> Outcome {
    let program = program(arch, semaphores, text, &[]);
    run_with(arch, &program, model, Mode::Timing)
        .expect("the program runs")
        .0
}

/// `spans` are (start, last, signal) of the run instructions in program order.
#[track_caller]
fn check(arch: &Arch, text: &str, spans: &[(u64, u64, u64)], cycles: u64) {
    let outcome = outcome(arch, &[], text, MemoryModel::Ideal);
    let got: Vec<_> = outcome
        .instructions
        .iter()
        .map(|s| (s.start, s.last, s.signal))
        .collect();
    assert_eq!((got.as_slice(), outcome.cycles), (spans, cycles));
}

// Edge, M0: 4 instructions a word, 4 words a chunk, 2 chunks.
// Chunk 0 is requested and granted in 1, offered and accepted in 2, its beats arrive in 3 4 5 6.
// So instruction i < 16 is dispatched in 4 + i and can be executed from 5 + i on.
// One chunk of 16 is dispatched until 19.

#[test]
fn empty_program() {
    check(&edge(), "", &[], 0);
}

#[test]
fn a_nop_is_dispatched_with_its_whole_chunk() {
    check(&edge(), "nop", &[], 19);
}

#[test]
fn fetch_of_several_chunks() {
    // Chunk 1: requested from 2, granted in 2 (the arbiter hands over), accepted in 3, beats in 7 8 9 10: in time.
    // Chunk 2: requested from 20 (instruction 15 is dispatched in 19), accepted in 21, beats from 22.
    // Instruction 31 is dispatched in 35, instruction 32 in 36, 47 in 51.
    check(&edge(), &"nop\n".repeat(33), &[], 51);
}

#[test]
fn fetch_of_one_word_chunks_on_chip() {
    // Nano: 2 instructions a word, 1 word a chunk, 2 chunks. A word accepted in a arrives in a + 2.
    // Chunk 0: granted 1, accepted 2, arrives 4, dispatched 5 6.  Chunk 1: granted 2, accepted 3, arrives 5, dispatched 7 8.
    // Chunk 2: requested 7, accepted 8, arrives 10, dispatched 11 12.  Chunk 3: requested 9, accepted 10, dispatched 13 14.
    check(&nano(), &"nop\n".repeat(8), &[], 14);
    // Chunk 4: requested 13, accepted 14, arrives 16, dispatched 17 18.
    check(&nano(), &"nop\n".repeat(9), &[], 18);
}

#[test]
fn fetch_waits_for_room() {
    // Depth 8, exec.source is pushed in 4; all are executed at once, so the queue never fills.
    let text = "exec.source address=0\n".repeat(12);
    let o = outcome(&edge(), &[], &text, MemoryModel::Ideal);
    assert_eq!(
        (o.counters.fetch.blocked, o.counters.fetch.dispatch),
        (0, 16)
    );
    assert_eq!(o.counters.fetch.starved, 3);
    let exec = o.counters.engines[1];
    assert_eq!((exec.empty, exec.configure), (4 + 3, 12));
}

#[test]
fn load_splits_at_multiples_of_the_burst() {
    // Pushed in 4..7, executed in 5 6 7, start in 8.
    // Words 10..=15: requested and granted in 9, accepted in 10, beats 11..=16.
    // Words 16..=29: requested from 10, granted in 10, accepted in 11, beats 17..=30, written in 31.
    let text = "load.memory address=10
                load.destination address=0 space=0
                load.length words=20
                load";
    check(&edge(), text, &[(8, 31, 31)], 31);
}

#[test]
fn load_keeps_to_its_outstanding_bursts() {
    // One burst at a time: burst 0 of words 0..=15 accepted in 10, beats 11..=26; burst 1 requested from 27,
    // accepted in 28, beats 29..=44, last cycle 45.
    let mut arch = edge();
    arch.load.outstanding = 1;
    let text = "load.memory address=0
                load.destination address=0 space=0
                load.length words=32
                load";
    check(&arch, text, &[(8, 45, 45)], 45);
}

#[test]
fn load_on_chip() {
    // Instructions 0..=3 are dispatched in 5 6 7 8; start in 9.
    // Chunk 2 (fill) does not exist: 4 instructions are 2 chunks. Burst of 8 words, then of 2: one outstanding.
    // Requested 10, granted 10, accepted 11, beats 13..=20. Burst 1 requested 21, accepted 22, beats 24 25; last 26.
    let text = "load.memory address=8
                load.destination address=0 space=0
                load.length words=10
                load";
    check(&nano(), text, &[(9, 26, 26)], 26);
}

#[test]
fn loads_follow_each_other() {
    // Start in 8: requested 9, accepted 10, beat 11, last 12. Start in 13: requested 14, accepted 15, beat 16, last 17.
    let text = "load.length words=1
                nop
                nop
                load
                load";
    check(&edge(), text, &[(8, 12, 12), (13, 17, 17)], 19);
}

#[test]
fn load_goes_before_fetch() {
    // Chunk 2 is requested from 20, see above. Instruction 14 starts in 19 and requests from 20, too.
    // LOAD is granted in 20, accepted in 21, beat 22, last 23; FETCH is granted in 21, accepted in 22, in time.
    let text = format!(
        "load.length words=1\n{}load\n{}",
        "nop\n".repeat(13),
        "nop\n".repeat(18)
    );
    check(&edge(), &text, &[(19, 23, 23)], 51);
}

#[test]
fn store_waits_for_the_response() {
    // Start in 8. Burst 0 of words 14 15: offered and accepted in 11, beats 12 13, response 14.
    // Burst 1 of word 16: offered from 14, accepted in 14, beat 15, response 16.
    let text = "store.source address=0
                store.memory address=14
                store.length words=3
                store";
    check(&edge(), text, &[(8, 16, 16)], 19);
}

#[test]
fn store_on_chip() {
    // Start in 9, offered and accepted in 12, words in 13..=15, response in 16.
    let text = "store.source address=0
                store.memory address=16
                store.length words=3
                store";
    check(&nano(), text, &[(9, 16, 16)], 16);
}

#[test]
fn store_goes_before_fetch_on_chip() {
    // Nano dispatches 5 6 7 8, then chunk 2 in 11 12, chunk 3 in 13 14 (see above).
    // STORE: its `run` is instruction 3, start 9, offered in 12. Chunk 4 is requested in 13 = instruction 5 + 1,
    // granted 13, offered in 14. The STORE burst of 3 words is accepted in 12 and holds the memory in 13 14 15;
    // the next burst can be accepted in 15. So chunk 4 is accepted in 15, arrives in 17, is dispatched in 18 19.
    let text = format!(
        "store.source address=0
         store.memory address=16
         store.length words=3
         store
         {}",
        "nop\n".repeat(6)
    );
    check(&nano(), &text, &[(9, 16, 16)], 19);
}

#[test]
fn a_write_goes_before_a_read_on_chip() {
    // Dispatched in 5 6 7 8. STORE starts in 8 and offers its burst from 11. LOAD starts in 9, is granted in 10 and
    // offered from 11, too. The write is accepted in 11, takes 12 13, response in 14. The read is accepted in 13,
    // arrives in 15; last cycle 16.
    let text = "store.length words=2
                load.length words=1
                store
                load";
    check(&nano(), text, &[(8, 14, 14), (9, 16, 16)], 16);
}

const EXEC: &str = "exec.reduction kernel_x=3 kernel_y=1 blocks=2
                    exec.pixels x=2 y=2
                    exec.extent width=2047 height=2047";

#[test]
fn exec_weight_stationary_by_column() {
    // Starts in 8. fill 16, steps 6 of max(4, 16, 3) = 16 cycles, pixels 4: 8 + 16 + 5 * 16 + 4 = 108.
    // Signal: systolic, rows + 3 = 19 later. A second one starts in 109. Neither raises a semaphore, but the
    // machine is not quiet before the signal cycle of the second one: 228.
    let text = format!("{EXEC}\nexec\nexec");
    check(&edge(), &text, &[(8, 108, 127), (109, 209, 228)], 228);
}

#[test]
fn exec_dot() {
    // Two instructions a word, four words a chunk: 8 instructions a chunk. Dispatch as on edge: 4 + i, i < 8.
    // Weight-stationary with whole tiles: 8 + 1 + 5 * max(4, 1, 3) + 4 = 33, signal 37.
    // Output-stationary: start 34, 24 steps: 58, signal 62.
    let text = format!("{EXEC}\nexec\nexec +output");
    check(&dot(), &text, &[(8, 33, 37), (34, 58, 62)], 62);
    // A single pixel takes 3 cycles a step: 8 + 1 + 5 * 3 + 1 = 25.
    let text = "exec.reduction kernel_x=6 kernel_y=1 blocks=1
                exec.pixels x=1 y=1
                exec.extent width=2047 height=2047
                exec";
    check(&dot(), text, &[(8, 25, 29)], 29);
}

#[test]
fn requantise() {
    // Edge: 16 lanes, one cycle: slot 1, tail 7 + 1. Start 6: 6 + 1 + 5 + 8 = 20.
    check(
        &edge(),
        "vec.pixels x=3 y=2\nrequantise",
        &[(6, 20, 20)],
        20,
    );
    // Dot: 4 columns on 2 lanes at 2 cycles: slot 4, tail 2 + 8 + 1 = 11. Start 6: 6 + 1 + 5 * 4 + 11 = 38.
    check(&dot(), "vec.pixels x=3 y=2\nrequantise", &[(6, 38, 38)], 38);
}

#[test]
fn max_pool_and_tables() {
    // Start 7: 7 + 1 + (6 * 2 * 4 - 1) + 2 = 57.
    let pool = "vec.pixels x=3 y=2
                vec.window kernel_x=2 kernel_y=2 blocks=2
                max_pool";
    check(&edge(), pool, &[(7, 57, 57)], 57);
    // 16 bytes on 4 lanes: slot 4, tail 8, for pairs as for single words. Start 6: 6 + 1 + 5 * 4 + 8 = 35; then 36: 65.
    check(
        &edge(),
        "vec.pixels x=3 y=2\nlookup +pair\nlookup",
        &[(6, 35, 35), (36, 65, 65)],
        65,
    );
    // Pack: two cycles a pixel, tail 4. Start 7: 7 + 1 + 5 * 2 + 4 = 22.
    let pack = "vec.pixels x=3 y=2
                vec.window kernel_x=2 kernel_y=1 blocks=1
                pack";
    check(&edge(), pack, &[(7, 22, 22)], 22);
}

#[test]
fn a_token_is_taken_one_cycle_after_it_is_raised() {
    use Engine::{Exec, Vec};
    let text = "exec.reduction kernel_x=1 kernel_y=1 blocks=1
                exec.pixels x=1 y=1
                exec.extent width=1 height=1
                exec signal=0
                vec.pixels x=1 y=1
                requantise wait=0:1";
    let o = outcome(&edge(), &[(Exec, Vec)], text, MemoryModel::Ideal);
    // EXEC: 8 + 16 + 1 = 25, signal 44. VEC could start in 10, starts in 45: 45 + 1 + 8 = 54.
    let vec = o.instructions[1];
    assert_eq!((vec.start, vec.last), (45, 54));
    assert_eq!(o.counters.engines[2].wait, 35);
    assert_eq!(o.layers[0][2].wait, [0, 35, 0, 0]);
}

#[test]
fn a_full_queue_blocks_fetch_until_the_cycle_after_a_pop() {
    let mut arch = edge();
    arch.queues.depth = 2;
    // VEC: pixels in 5, requantise starts in 6, ends 6 + 1 + 8 = 15. Instructions 2 and 3 are pushed in 6 and,
    // since the queue holds two (running and 2), 3 not before 16; 2 is executed in 16, 3 in 17.
    let text = "vec.pixels x=1 y=1
                requantise
                vec.pixels x=1 y=1
                requantise";
    let o = outcome(&arch, &[], text, MemoryModel::Ideal);
    assert_eq!(o.instructions[1].start, 17);
    // Instruction 3 could be dispatched in 7, is in 16; the twelve nops follow until 28, VEC ends in 17 + 9 = 26.
    assert_eq!(o.counters.fetch.blocked, 9);
    assert_eq!(o.cycles, 28);
}

#[test]
fn fixed_latency() {
    // M1: latency 24, response 24. Chunk 0 accepted in 2, beats 26..=29, dispatch from 27.
    // STORE: start 31, accepted 34, beats 58 59, response 83.
    let text = "store.source address=0
                store.memory address=14
                store.length words=2
                store";
    let o = outcome(&edge(), &[], text, MemoryModel::M1);
    assert_eq!((o.instructions[0].start, o.instructions[0].last), (31, 83));
}

#[test]
fn names_follow_values() {
    let o = outcome(
        &edge(),
        &[],
        "vec.pixels x=1 y=1\nrequantise",
        MemoryModel::Ideal,
    );
    let named: Vec<_> = sim::Counters::NAMES
        .iter()
        .zip(o.counters.values())
        .collect();
    assert_eq!(named[12], (&"vec.busy", 10));
    assert_eq!(named[13], (&"vec.configure", 1));
    assert_eq!(named[0], (&"fetch.dispatch", 16));
}

//! Each way to leave two accesses unordered, and the same program with its token.

mod common;

use common::{edge, program, run_with};
use ir::isa::Engine::{self, Exec, Load, Store, Vec};
use ir::memory::MemoryModel;
use sim::{HazardKind, Memory, Mode, SimError};

/// Runs `text` without the parts in braces, which must be a hazard of `kind`, and with them, which must be right.
#[track_caller]
fn check(semaphores: &[(Engine, Engine)], text: &str, kind: HazardKind, message: &str) {
    let arch = edge();
    let right = text.replace(['{', '}'], "");
    let mut wrong = String::new();
    for part in text.split('{') {
        wrong += part.rsplit('}').next().expect("a part");
    }
    for model in [MemoryModel::Ideal, MemoryModel::M2] {
        let right = program(&arch, semaphores, &right, &[]);
        run_with(&arch, &right, model, Mode::Full).expect("the tokens make it right");
        let wrong = program(&arch, semaphores, &wrong, &[]);
        let error = run_with(&arch, &wrong, model, Mode::Full).expect_err("nothing orders it");
        let SimError::Hazard(hazard) = &error else {
            panic!("{error}")
        };
        assert_eq!((hazard.kind, hazard.to_string().as_str()), (kind, message));
        run_with(&arch, &wrong, model, Mode::Timing).expect("timing sees no values");
    }
}

const LOAD: &str = "load.memory address=100
                    load.length words=4";
const EXEC: &str = "exec.reduction kernel_x=1 kernel_y=1 blocks=1
                    exec.pixels x=2 y=1
                    exec.delta_x address=1
                    exec.extent width=2 height=1
                    exec.step stride_x=1 stride_y=1 dilation_x=1 dilation_y=1";

#[test]
fn read_of_a_bank_before_it_is_loaded() {
    check(
        &[(Load, Exec)],
        &format!("{LOAD}\nload{{ signal=0}}\n{EXEC}\nexec{{ wait=0:1}}"),
        HazardKind::ReadAfterWrite,
        "instruction 8 `exec` on exec reads, word 0 of bank 0, but does not wait for instruction 2 `load` on load, which writes it",
    );
}

#[test]
fn load_over_words_that_are_still_read() {
    check(
        &[(Load, Exec), (Exec, Load)],
        &format!(
            "{LOAD}\nload signal=0\n{EXEC}\nexec wait=0:1{{ signal=1}}\nload.destination address=1 space=0\nload{{ wait=1:1}}"
        ),
        HazardKind::WriteAfterRead,
        "instruction 10 `load` on load writes, word 1 of bank 0, but does not wait for instruction 8 `exec wait=0:1` on exec, which reads it",
    );
}

#[test]
fn weights_before_they_are_loaded() {
    check(
        &[(Load, Exec)],
        &format!(
            "{LOAD}\nload.destination address=4 space=1\nload{{ signal=0}}\n{EXEC}\nexec{{ wait=0:1}}"
        ),
        HazardKind::ReadAfterWrite,
        "instruction 9 `exec` on exec reads, word 4 of the weights, but does not wait for instruction 3 `load` on load, which writes it",
    );
}

#[test]
fn sums_before_they_are_there() {
    check(
        &[(Exec, Vec)],
        &format!("{EXEC}\nexec{{ signal=0}}\nvec.pixels x=1 y=1\nrequantise{{ wait=0:1}}"),
        HazardKind::ReadAfterWrite,
        "instruction 7 `requantise` on vec reads, pixel 0 of accumulator half 0, but does not wait for instruction 5 `exec` on exec, which writes it",
    );
}

#[test]
fn sums_overwritten_while_they_are_read() {
    check(
        &[(Exec, Vec), (Vec, Exec)],
        &format!(
            "{EXEC}\nexec signal=0\nvec.pixels x=1 y=1\nrequantise wait=0:1{{ signal=1}}\nexec{{ wait=1:1}}"
        ),
        HazardKind::WriteAfterRead,
        "instruction 8 `exec` on exec writes, pixel 0 of accumulator half 0, but does not wait for instruction 7 `requantise wait=0:1` on vec, which reads it",
    );
}

#[test]
fn parameters_and_tables_before_they_are_loaded() {
    check(
        &[(Load, Vec)],
        &format!(
            "{LOAD}\nload.destination address=0 space=2\nload{{ signal=0}}\nvec.pixels x=1 y=1\nrequantise{{ wait=0:1}}"
        ),
        HazardKind::ReadAfterWrite,
        "instruction 5 `requantise` on vec reads, word 0 of the parameters, but does not wait for instruction 3 `load` on load, which writes it",
    );
    check(
        &[(Load, Vec)],
        &format!(
            "{LOAD}\nload.destination address=64 space=3\nload{{ signal=0}}\nvec.pixels x=1 y=1\nvec.destination address=1\nlookup\nlookup +pair{{ wait=0:1}}"
        ),
        HazardKind::ReadAfterWrite,
        "instruction 7 `lookup +pair` on vec reads, word 64 of the tables, but does not wait for instruction 3 `load` on load, which writes it",
    );
}

#[test]
fn memory_before_it_is_stored() {
    let store = "store.memory address=101\nstore.length words=1";
    check(
        &[(Store, Load)],
        &format!(
            "{store}\nstore{{ signal=0}}\n{LOAD}\nload.destination address=8 space=0\nload{{ wait=0:1}}"
        ),
        HazardKind::ReadAfterWrite,
        "instruction 6 `load` on load reads, word 101 of memory, but does not wait for instruction 2 `store` on store, which writes it",
    );
}

#[test]
fn two_readers_and_two_writers_of_one_bank() {
    check(
        &[(Exec, Store)],
        &format!(
            "{EXEC}\nexec{{ signal=0}}\nstore.source address=9\nstore.memory address=100\nstore.length words=1\nstore{{ wait=0:1}}"
        ),
        HazardKind::ReadPort,
        "instruction 9 `store` on store reads, word 9 of bank 0, but does not wait for instruction 5 `exec` on exec, which reads this bank",
    );
    check(
        &[(Vec, Load)],
        &format!(
            "vec.pixels x=1 y=1\nvec.destination address=2049\nrequantise{{ signal=0}}\n{LOAD}\nload.destination address=2048 space=0\nnop\nnop\nload{{ wait=0:1}}"
        ),
        HazardKind::WritePort,
        "instruction 8 `load` on load writes, word 0 of bank 1, but does not wait for instruction 2 `requantise` on vec, which writes this bank",
    );
}

#[test]
fn order_is_passed_on_by_a_third_engine() {
    // LOAD -> EXEC -> VEC: the parameters are there although VEC has no token of LOAD.
    let text = format!(
        "{LOAD}
         load.destination address=0 space=2
         load signal=0
         {EXEC}
         exec wait=0:1 signal=1
         vec.pixels x=1 y=1
         requantise wait=1:1"
    );
    let arch = edge();
    let program = program(&arch, &[(Load, Exec), (Exec, Vec)], &text, &[]);
    run_with(&arch, &program, MemoryModel::Ideal, Mode::Full).expect("it is ordered");
}

#[test]
fn other_faults() {
    #[track_caller]
    fn fails(semaphores: &[(Engine, Engine)], text: &str, message: &str) {
        let arch = edge();
        let program = program(&arch, semaphores, text, &[]);
        // `Program::check` refuses some of them already; the simulator does not rely on it.
        let checked = ir::program::Checked {
            program: &program,
            arch: &arch,
        };
        let error = sim::simulate(
            checked,
            &mut Memory::of(checked),
            MemoryModel::Ideal,
            Mode::Full,
        )
        .expect_err("it is wrong");
        assert_eq!(error.to_string(), message);
    }
    fails(
        &[],
        "vec.pixels x=2 y=1\nvec.delta_x address=1\nvec.destination address=1\nlookup +pair",
        "instruction 3 `lookup +pair` on vec reads, word 1 of bank 0, which it has written itself",
    );
    fails(
        &[],
        "store.length words=1\nstore",
        "instruction 1 `store` on store writes, word 0 of memory, which holds the program",
    );
    fails(
        &[],
        "load",
        "instruction 0 `load`: `words` of `load.length` is 0: at least 1 is possible",
    );
    fails(
        &[],
        "vec.pixels x=1 y=1\nvec.clamp low=0 high=0 dropped=20\nlookup",
        "instruction 2 `lookup`: `dropped` of `vec.clamp` is 20: 19 at most",
    );
    fails(
        &[],
        "load.length words=1\nload.destination address=12288 space=0\nload",
        "instruction 2 `load`: address 12288 is in a bank that does not exist",
    );
    fails(
        &[],
        "load.length words=1\nload.memory address=5000\nload",
        "instruction 2 `load`: word 5000 is beyond the 1028 words of memory",
    );
    fails(
        &[],
        "vec.pixels x=513 y=1\nrequantise",
        "instruction 1 `requantise`: the number of pixels is 513: 512 at most",
    );
    fails(
        &[(Vec, Store), (Vec, Store)],
        &format!(
            "vec.pixels x=1 y=1
             {}lookup signal=0 signal=1
             store.length words=1
             store.memory address=100
             store wait=0:7 wait=1:1
             store wait=0:1",
            "lookup signal=0
"
            .repeat(7),
        ),
        // The first table starts in 6, each takes 10 cycles.
        "instruction 8 on vec raises semaphore 0 (`vec to store`) above 7 tokens in cycle 85",
    );
}

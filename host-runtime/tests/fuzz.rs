//! Random programs: legal by construction, on the simulator and on the RTL.

mod common;

use std::collections::BTreeSet;

use host_runtime::Machine;
use host_runtime::fuzz::{Case, fuzz};
use ir::arch::Arch;
use ir::isa::{Instruction, Register};
use ir::memory::MemoryModel;

const MODELS: [MemoryModel; 3] = [MemoryModel::Ideal, MemoryModel::M1, MemoryModel::M2];

#[expect(clippy::print_stdout, reason = "coverage is shown with `--nocapture`")]
#[track_caller]
fn check(arch: &Arch, other: Option<&mut dyn Machine>, seed: u64, n: usize) {
    let report = fuzz(arch, other, &MODELS, seed, n).unwrap();
    println!(
        "{}: {} cases, {} instructions, {} cycles\n{}",
        arch.name, report.cases, report.instructions, report.cycles, report.coverage
    );
    if let Some(failure) = report.failure {
        let program = failure.case.program(arch);
        panic!(
            "{} seed {} {:?}: {}\n{} of {} operations left:\n{}",
            arch.name,
            failure.case.seed,
            failure.model,
            failure.difference,
            failure.case.len(),
            failure.operations_before,
            program.disassembly()
        );
    }
    assert_eq!(report.coverage.empty_cells(), Vec::<String>::new());
}

#[test]
fn random_programs_are_legal_and_cover_everything() {
    for arch in common::all() {
        check(&arch, None, 1, 150);
    }
}

#[test]
fn random_tables_have_every_number_of_fraction_bits() {
    let (arch, field) = (common::small_dot(), Register::VecClamp.fields()[2]);
    let programs = (1..=50).filter_map(|seed| Some(Case::random(&arch, seed, 50)?.program(&arch)));
    let dropped: BTreeSet<i64> = programs
        .flat_map(|program| program.instructions)
        .filter_map(|instruction| match instruction {
            Instruction::Configure {
                register: Register::VecClamp,
                value,
            } => Some(field.extract(value)),
            _ => None,
        })
        .collect();
    assert_eq!(dropped, (0..=19).collect());
}

#[test]
fn small_dot_rtl_equals_simulator() {
    rtl(&common::small_dot());
}

#[test]
fn small_systolic_rtl_equals_simulator() {
    rtl(&common::small_systolic());
}

#[test]
fn nano_rtl_equals_simulator() {
    rtl(&common::nano());
}

fn rtl(arch: &Arch) {
    let Some(mut machine) = common::rtl_or_skip(arch) else {
        return;
    };
    check(arch, Some(&mut machine), 1000, 40);
}

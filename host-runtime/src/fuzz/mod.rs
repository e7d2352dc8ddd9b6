//! Random legal programs: every operation, flag and memory, every kind of wait, on any arch.
//!
//! A case is a list of operations. Instructions follow from it: `emit` writes the registers that differ and puts
//! operations in order with tokens, so that no two accesses meet under any timing. The simulator's hazard check is the
//! judge of that. Because a case is only a list, it shrinks by dropping operations.

mod emit;
mod generate;
mod places;
mod random;

use std::collections::BTreeMap;
use std::fmt;

use ir::arch::Arch;
use ir::isa::{Engine, Instruction};
use ir::memory::MemoryModel;
use ir::operation::{Exec, MaxPool, Operation};
use serde::Serialize;

pub use generate::Case;

use crate::Error;
use crate::compare::{Difference, compare_memory, compare_runs};
use crate::machine::{Machine, MachineRun, memory_image};
use crate::simulated::SimMachine;

/// A case on which two machines disagree, as small as it could be made.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The case.
    pub case: Case,
    /// The memory model.
    pub model: MemoryModel,
    /// The first difference.
    pub difference: Difference,
    /// Operations before shrinking.
    pub operations_before: usize,
}

/// The result of many cases.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Cases that ran, each with every memory model.
    pub cases: usize,
    /// Instructions in all cases.
    pub instructions: usize,
    /// Cycles in all runs.
    pub cycles: u64,
    /// What was covered.
    pub coverage: Coverage,
    /// The first failure, shrunk.
    pub failure: Option<Failure>,
}

/// Runs `n` random cases from `seed` on, on the simulator and on `other`, with each of `models`, up to the first failure.
///
/// # Errors
/// [`Error::Unsound`] when the arch is too small for random programs. A simulator that refuses a case is a failure.
pub fn fuzz(
    arch: &Arch,
    other: Option<&mut dyn Machine>,
    models: &[MemoryModel],
    seed: u64,
    n: usize,
) -> Result<Report, Error> {
    let mut report = Report {
        coverage: Coverage::of(arch),
        ..Report::default()
    };
    let mut other = other;
    for number in 0..n as u64 {
        let case =
            Case::random(arch, seed.wrapping_add(number), 60).ok_or_else(|| Error::Unsound {
                reason: "the memory of the arch is too small for random programs".to_owned(),
            })?;
        report.cases += 1;
        for &model in models {
            match run_case(arch, &case, &mut other, model) {
                Ok(run) => report.note(arch, &case, &run),
                Err(first) => {
                    report.failure = Some(shrink(arch, &case, &mut other, model, *first));
                    return Ok(report);
                }
            }
        }
    }
    Ok(report)
}

/// Runs one case on the simulator and on `other`, both after reset.
fn run_case(
    arch: &Arch,
    case: &Case,
    other: &mut Option<&mut dyn Machine>,
    model: MemoryModel,
) -> Result<MachineRun, Box<Difference>> {
    let program = case.program(arch);
    let checked = program
        .check(arch)
        .map_err(|error| Difference::failure("check", &error))?;
    let mut expected_memory = memory_image(checked);
    let begin = expected_memory.clone();
    let limit = 2_000_000;
    let expected = SimMachine::new(arch)
        .run(checked, &mut expected_memory, model, limit)
        .map_err(|e| Difference::failure("sim", &e))?;
    if let Some(other) = other {
        let mut memory = begin;
        // A machine that is late is told from one that hangs.
        let actual = other
            .run(checked, &mut memory, model, expected.cycles * 4 + 10_000)
            .map_err(|e| Difference::failure(other.name(), &e))?;
        let device = other.name();
        let runs = compare_runs(arch, &program, device, &expected, &actual);
        let memories = compare_memory(arch, device, &expected_memory, &memory);
        if let Some(first) = runs.first.or(memories.first) {
            return Err(Box::new(first));
        }
    }
    Ok(expected)
}

/// Drops operations as long as the case still fails, first many at once, then one by one.
///
/// A smaller case counts only if it differs in the same way: another fault of a smaller program would lead astray.
fn shrink(
    arch: &Arch,
    case: &Case,
    other: &mut Option<&mut dyn Machine>,
    model: MemoryModel,
    first: Difference,
) -> Failure {
    let operations_before = case.len();
    let mut difference = first;
    let mut case = case.clone();
    let mut chunk = case.len().div_ceil(2).max(1);
    let mut budget = 400;
    loop {
        let mut start = 0;
        while start < case.len() && budget > 0 {
            budget -= 1;
            let smaller = case.without(arch, |index| (start..start + chunk).contains(&index));
            let fails = match run_case(arch, &smaller, other, model) {
                Err(found) if smaller.len() < case.len() && !smaller.is_empty() => {
                    same_kind(&found, &difference).then_some(*found)
                }
                _ => None,
            };
            match fails {
                Some(found) => (case, difference) = (smaller, found),
                None => start += chunk,
            }
        }
        if chunk == 1 || budget == 0 {
            break;
        }
        chunk = chunk.div_ceil(2);
    }
    Failure {
        case,
        model,
        difference,
        operations_before,
    }
}

fn same_kind(a: &Difference, b: &Difference) -> bool {
    std::mem::discriminant(&a.what) == std::mem::discriminant(&b.what)
}

/// What the cases met: operations by what delayed them, and the options of instructions.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Coverage {
    /// Runs of each operation by the reason of its start: `free`, or the engine whose token came last.
    pub starts: BTreeMap<String, BTreeMap<&'static str, u64>>,
    /// Instructions with each option.
    pub options: BTreeMap<&'static str, u64>,
}

const REASONS: [&str; 5] = ["free", "load", "exec", "vec", "store"];

impl Report {
    fn note(&mut self, arch: &Arch, case: &Case, run: &MachineRun) {
        let program = case.program(arch);
        self.instructions += program.instructions.len();
        self.cycles += run.cycles;
        self.coverage.note(case, &program, run);
    }
}

impl Coverage {
    /// An empty table with a cell for all that programs on `arch` can meet.
    pub fn of(arch: &Arch) -> Coverage {
        use ir::arch::Dataflow;
        let mut rows = vec![
            "load activations",
            "load weights",
            "load parameters",
            "store",
            "requantise half0",
            "requantise half1",
        ];
        if arch.vector.table_lanes > 0 {
            rows.extend(["load tables", "lookup pair", "lookup"]);
        }
        if arch.vector.max_pool {
            rows.push("max_pool");
        }
        if arch.vector.pack {
            rows.push("pack");
        }
        if arch.has(Dataflow::OutputStationary) {
            rows.extend(["exec output half0", "exec output half1"]);
        }
        if arch.has(Dataflow::WeightStationary) {
            rows.extend([
                "exec weight half0",
                "exec weight half1",
                "exec weight accumulate half0",
                "exec weight accumulate half1",
            ]);
        }
        let mut coverage = Coverage::default();
        for row in rows {
            let engine = row
                .split(' ')
                .next()
                .and_then(|word| ir::isa::Opcode::ALL.iter().find(|o| o.name() == word));
            let own = engine.map_or("", |opcode| opcode.engine().name());
            let cells = REASONS
                .iter()
                .filter(|reason| **reason != own)
                .map(|reason| (*reason, 0))
                .collect();
            coverage.starts.insert(row.to_owned(), cells);
        }
        for option in OPTIONS {
            coverage.options.insert(option, 0);
        }
        coverage
    }

    /// Adds what another one met.
    pub fn add(&mut self, other: &Coverage) {
        for (row, cells) in &other.starts {
            for (reason, n) in cells {
                *self
                    .starts
                    .entry(row.clone())
                    .or_default()
                    .entry(reason)
                    .or_default() += n;
            }
        }
        for (option, n) in &other.options {
            *self.options.entry(option).or_default() += n;
        }
    }

    /// The cells that nothing met.
    pub fn empty_cells(&self) -> Vec<String> {
        let starts = self.starts.iter().flat_map(|(row, cells)| {
            cells
                .iter()
                .filter(|(_, n)| **n == 0)
                .map(move |(reason, _)| format!("{row}, {reason}"))
        });
        let options = self
            .options
            .iter()
            .filter(|(_, n)| **n == 0)
            .map(|(option, _)| (*option).to_owned());
        starts.chain(options).collect()
    }

    fn note(&mut self, case: &Case, program: &ir::Program, run: &MachineRun) {
        let mut spans: [_; 4] = std::array::from_fn(|engine| {
            run.spans.iter().filter(move |s| s.engine.index() == engine)
        });
        let mut raised: BTreeMap<u8, Vec<(u64, Engine)>> = BTreeMap::new();
        let mut timed = Vec::new();
        for (index, instruction) in program.instructions.iter().enumerate() {
            let Instruction::Run(instruction) = instruction else {
                if *instruction == Instruction::Nop {
                    self.count("nop");
                }
                continue;
            };
            let engine = instruction.opcode.engine();
            let Some(span) = spans[engine.index()].next() else {
                continue;
            };
            for signal in instruction.signals.iter().flatten() {
                raised
                    .entry(signal.0)
                    .or_default()
                    .push((span.signal, engine));
            }
            timed.push((index, *instruction, *span));
        }
        let mut taken: BTreeMap<u8, usize> = BTreeMap::new();
        for (index, instruction, span) in timed {
            let mut reason = "free";
            for wait in instruction.waits.iter().flatten() {
                let count = taken.entry(wait.semaphore.0).or_default();
                *count += usize::from(wait.amount);
                let last = raised
                    .get(&wait.semaphore.0)
                    .and_then(|tokens| tokens.get(*count - 1));
                if let Some((signal, engine)) = last.filter(|(signal, _)| signal + 1 == span.start)
                {
                    let _ = signal;
                    reason = engine.name();
                }
            }
            let row = program.layers[usize::from(program.layer_of[index])].clone();
            *self
                .starts
                .entry(row)
                .or_default()
                .entry(reason)
                .or_default() += 1;
            self.note_run(&instruction);
        }
        for item in &case.items {
            self.note_operation(&item.operation);
        }
        if run
            .spans
            .iter()
            .max_by_key(|span| span.signal)
            .is_some_and(|span| span.engine == Engine::Exec)
        {
            self.count("ends with exec");
        }
    }

    fn note_run(&mut self, run: &ir::isa::Run) {
        if run.waits.iter().flatten().count() == 2 {
            self.count("two waits");
        }
        if run.signals.iter().flatten().count() == 2 {
            self.count("two signals");
        }
        if run.waits.iter().flatten().any(|wait| wait.amount > 1) {
            self.count("wait for more than one token");
        }
    }

    fn note_operation(&mut self, operation: &Operation) {
        let (Operation::Exec(Exec { window, .. }) | Operation::MaxPool(MaxPool { window, .. })) =
            operation
        else {
            return;
        };
        let options = [
            ("padding", window.origin.iter().any(|n| *n < 0)),
            ("stride", window.stride != [1, 1]),
            (
                "dilation",
                window.dilation != [1, 1] && window.kernel != [1, 1],
            ),
            ("kernel", window.kernel != [1, 1]),
            ("long kernel", window.kernel.iter().any(|n| *n > 31)),
            ("blocks", window.blocks > 1),
            (
                "far from the corner",
                window.extent.iter().any(|n| *n > 511),
            ),
        ];
        for (option, _) in options.iter().filter(|(_, used)| *used) {
            self.count(option);
        }
    }

    fn count(&mut self, option: &'static str) {
        *self.options.entry(option).or_default() += 1;
    }
}

const OPTIONS: [&str; 12] = [
    "two waits",
    "two signals",
    "wait for more than one token",
    "nop",
    "padding",
    "stride",
    "dilation",
    "kernel",
    "long kernel",
    "blocks",
    "far from the corner",
    "ends with exec",
];

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:32}{}",
            "started after",
            REASONS.map(|reason| format!("{reason:>9}")).concat()
        )?;
        for (row, cells) in &self.starts {
            let cell = |reason: &str| cells.get(reason).map_or("-".to_owned(), u64::to_string);
            writeln!(
                f,
                "{row:32}{}",
                REASONS
                    .map(|reason| format!("{:>9}", cell(reason)))
                    .concat()
            )?;
        }
        for (option, n) in &self.options {
            writeln!(f, "{option:32}{n:>9}")?;
        }
        Ok(())
    }
}

//! The comparer can fail: a machine that lies about one thing is seen, and what was not compared is not called equal.

mod common;

use common::pool;
use host_runtime::compare::What;
use host_runtime::verify::{Options, Variant, Verification, verify};
use host_runtime::{Error, Machine, MachineRun, SimMachine};
use ir::arch::{Arch, Counters};
use ir::isa::Engine;
use ir::memory::MemoryModel;
use ir::program::Checked;

/// The simulator under another name, with a lie told in its first run.
struct Liar {
    machine: SimMachine,
    lie: Option<Lie>,
}

type Lie = fn(&mut MachineRun, &mut Vec<u8>);

impl Machine for Liar {
    fn name(&self) -> &'static str {
        "liar"
    }

    fn begin(&mut self, program: Checked, model: MemoryModel) {
        self.machine.begin(program, model);
    }

    fn advance(
        &mut self,
        program: Checked,
        memory: &mut Vec<u8>,
        cycles: u64,
    ) -> Result<Option<MachineRun>, Error> {
        let mut run = self.machine.advance(program, memory, cycles)?;
        if let (Some(run), Some(lie)) = (run.as_mut(), self.lie.take()) {
            lie(run, memory);
        }
        Ok(run)
    }

    fn stop(&mut self, program: Checked) -> Error {
        self.machine.stop(program)
    }
}

/// Verifies with the machines that tell `lies`, on two images.
fn verified(arch: &Arch, lies: &[Lie], images: u32) -> Verification {
    let artifact = pool::artifact(arch);
    let images: Vec<_> = (0..images).map(pool::image).collect();
    let machine = |lie: &Lie| -> (&'static str, Result<Box<dyn Machine>, Error>) {
        let machine = SimMachine::new(arch);
        let lie = Some(*lie);
        ("liar", Ok(Box::new(Liar { machine, lie })))
    };
    let options = Options {
        models: &[MemoryModel::Ideal],
        images: &images,
        machines: lies.iter().map(machine).collect(),
        cycle_limit: 100_000,
    };
    verify::<Error>(&artifact.network, arch, options, |_: Variant| {
        Ok(artifact.program.clone())
    })
    .unwrap()
}

/// Bits, cycles and counters that differ.
fn figures(result: &Verification) -> [Option<u64>; 3] {
    [
        result.bit_mismatches,
        result.cycle_differences,
        result.counter_differences,
    ]
}

fn counters(run: &mut MachineRun) -> &mut Vec<(String, u64)> {
    run.counters.as_mut().expect("the simulator counts")
}

/// The first byte of the output, which the program stores at word 28; words of the arch have 8 bytes.
const OUTPUT: usize = 28 * 8;

#[test]
fn every_lie_is_seen() {
    let cases: [(&str, Lie, [u64; 3], &str); 12] = [
        ("truth", |_, _| {}, [0, 0, 0], ""),
        (
            "one byte that is no tensor's",
            |_, memory| memory[0] ^= 1,
            [1, 0, 0],
            "memory word 0 byte 0",
        ),
        (
            "the last byte",
            |_, memory| *memory.last_mut().unwrap() ^= 0x80,
            [1, 0, 0],
            "memory word",
        ),
        (
            // Against the reference as a value, against the simulator as a byte.
            "one output",
            |_, memory| memory[OUTPUT] ^= 1,
            [2, 0, 0],
            "tensor `out` value 0",
        ),
        (
            "a memory that ends early",
            |_, memory| memory.truncate(memory.len() - 1),
            [1, 0, 0],
            "B of memory, was",
        ),
        (
            "one start",
            |run, _| run.spans[1].start += 1,
            [0, 1, 0],
            "instruction 18 `max_pool",
        ),
        (
            "one end",
            |run, _| run.spans[1].signal -= 1,
            [0, 1, 0],
            "instruction 18 `max_pool",
        ),
        (
            "one instruction that is not reported",
            |run, _| run.spans.truncate(2),
            [0, 1, 0],
            "was not run",
        ),
        (
            "one instruction too many",
            |run, _| {
                let mut span = *run.spans.last().unwrap();
                span.nth += 1;
                run.spans.push(span);
            },
            [0, 1, 0],
            "expected not run",
        ),
        (
            "the length of the run",
            |run, _| run.cycles += 1,
            [0, 1, 0],
            "cycles, was",
        ),
        (
            "one counter",
            |run, _| counters(run)[2].1 += 1,
            [0, 0, 1],
            "counter `",
        ),
        (
            "one counter that is not shown",
            |run, _| drop(counters(run).remove(0)),
            [0, 0, 1],
            "was none",
        ),
    ];
    for (name, lie, expected, first) in cases {
        let result = verified(&common::small_dot(), &[lie], 2);
        assert_eq!(figures(&result), expected.map(Some), "{name}");
        assert_eq!(result.agrees(), expected == [0; 3], "{name}");
        let text = result.first.map(|first| first.to_string());
        assert!(
            text.as_deref().unwrap_or_default().contains(first),
            "{name}: {text:?}"
        );
    }
}

#[test]
fn machine_without_counters_differs_in_each_that_the_arch_has() {
    let arch = common::small_dot();
    let result = verified(&arch, &[|run, _| run.counters = None], 1);
    let n_counters = sim::Counters::NAMES.len() as u64;
    assert_eq!(figures(&result), [Some(0), Some(0), Some(n_counters)]);
    assert!(!result.agrees());
    let first = result.first.expect("it differs").what;
    assert!(
        matches!(first, What::Counter { actual: None, .. }),
        "{first:?}"
    );
}

#[test]
fn machine_that_reports_nothing_differs_in_each_instruction() {
    let lie: Lie = |run, _| run.spans.clear();
    let result = verified(&common::small_dot(), &[lie], 1);
    assert_eq!(figures(&result), [Some(0), Some(3), Some(0)]);
}

#[test]
fn lie_of_the_second_machine_is_seen() {
    let lies: [Lie; 2] = [|_, _| {}, |run, _| run.spans[0].signal += 1];
    let result = verified(&common::small_dot(), &lies, 1);
    assert_eq!(figures(&result), [Some(0), Some(1), Some(0)]);
}

#[test]
fn swapped_instructions_are_seen() {
    let lie: Lie = |run, _| {
        let engine = run.spans[0].engine;
        run.spans[0].engine = if engine == Engine::Load {
            Engine::Store
        } else {
            Engine::Load
        };
    };
    assert!(!verified(&common::small_dot(), &[lie], 1).agrees());
}

#[test]
fn what_was_not_compared_is_not_called_equal() {
    // Without a machine beside the simulator there are only values to compare.
    let result = verified(&common::small_dot(), &[], 2);
    assert_eq!(figures(&result), [Some(0), None, None]);
    assert!(result.agrees());
    // Without counters in the hardware there are none to compare.
    let mut arch = common::small_dot();
    arch.counters = Counters::Basic;
    let result = verified(&arch, &[|run, _| run.counters = None], 2);
    assert_eq!(figures(&result), [Some(0), Some(0), None]);
    assert!(result.agrees());
    // Without an image there is nothing, and nothing agrees.
    let result = verified(&arch, &[|_, _| {}], 0);
    assert_eq!(figures(&result), [None; 3]);
    assert!(!result.agrees());
}
